//! The lab's answers, judged by unbound: what it calls secure, insecure, absent or bogus must be what was built.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use revouch_lab::{
    CertificateAuthority, Fault, Listen, Sabotage, Scope, Server, Signing, Universe, dns_name,
};
use revouch_testbed::{Peer, Unbound};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

const NO_ERROR: ResponseCode = ResponseCode::NoError;
const NX_DOMAIN: ResponseCode = ResponseCode::NXDomain;
const SERV_FAIL: ResponseCode = ResponseCode::ServFail;

/// What unbound is to say: code, whether it found it secure, and how many records of the asked type.
struct Expected(&'static str, RecordType, ResponseCode, bool, usize);

fn universe() -> Universe {
    let mut builder = Universe::builder();
    for (zone, signing) in [
        ("nsec.test", Signing::Nsec),
        ("nsec3.test", Signing::Nsec3),
        ("optout.test", Signing::Nsec3OptOut),
        ("many.test", Signing::Nsec3Iterations(200)),
    ] {
        builder = builder.zone(zone, signing).zone(&format!("unsigned.{zone}"), Signing::Unsigned);
        builder = builder.zone(&format!("signed.{zone}"), Signing::Nsec);
        for (owner, text) in [
            ("www", "A 127.0.1.1"),
            ("www", "AAAA ::1"),
            ("alias", "CNAME www.nsec3.test"),
            ("far", "CNAME gone.nsec.test"),
            ("long", "CNAME alias.nsec.test"),
            ("*.wild", "A 127.0.1.2"),
            ("*._tcp.wild2", "TLSA 3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("*.wildalias", "CNAME www.nsec.test"),
            ("a.b.ent", "TXT \"deep\""),
            ("_8443._tcp.www", "TLSA 3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("_8443._tcp.www", "SRV 0 0 8443 www.nsec.test."),
            ("moved", "DNAME nsec.test"),
            ("www.unsigned", "A 127.0.1.3"),
            ("www.signed", "A 127.0.1.4"),
        ] {
            builder = builder.record(&format!("{owner}.{zone}"), text);
        }
    }
    builder
        .zone("badds.test", Signing::Nsec)
        .broken_ds("badds.test", true)
        .record("www.badds.test", "A 127.0.1.5")
        .zone("bad.test", Signing::Nsec3)
        .records(
            "wrong.bad.test   A 127.0.1.6
             expired.bad.test A 127.0.1.6
             early.bad.test   A 127.0.1.6
             bare.bad.test    A 127.0.1.6
             good.bad.test    A 127.0.1.6",
        )
        .sabotage("wrong.bad.test", "A", Sabotage::WrongRdata)
        .sabotage("expired.bad.test", "A", Sabotage::ExpiredSignature)
        .sabotage("early.bad.test", "A", Sabotage::EarlySignature)
        .sabotage("bare.bad.test", "A", Sabotage::MissingSignature)
        .zone("allbad.test", Signing::Nsec)
        .record("www.allbad.test", "A 127.0.1.7")
        .sabotage_zone("allbad.test", Some(Sabotage::WrongRdata))
        .zone("1.127.in-addr.arpa", Signing::Nsec3)
        .zone("2.127.in-addr.arpa", Signing::Unsigned)
        .host("www.nsec.test", "127.1.0.1".parse().unwrap())
        .ptr("127.0.0.9".parse().unwrap(), "www.nsec.test")
        .ptr("127.2.0.1".parse().unwrap(), "www.nsec.test")
        .ptr("::1".parse().unwrap(), "www.nsec.test")
        .record("5.0.0.127.in-addr.arpa", "CNAME 5.0/26.0.0.127.in-addr.arpa")
        .record("5.0/26.0.0.127.in-addr.arpa", "PTR www.nsec.test")
        .build()
        .unwrap()
}

/// A machine without unbound fails these tests: an unjudged authority must not pass for a sound one.
async fn start(universe: &Universe) -> (Server, Unbound) {
    let server = universe.serve(Listen::loopback()).await.unwrap();
    let unbound = Unbound::start(universe, &server).await.unwrap_or_else(|error| panic!("{error}"));
    (server, unbound)
}

#[tokio::test]
async fn unbound_agrees_with_every_shape_of_answer() {
    let universe = universe();
    let (_server, unbound) = start(&universe).await;
    let mut wrong = Vec::new();
    for zone in ["nsec.test", "nsec3.test", "optout.test", "many.test"] {
        // Proofs by NSEC3 with more than 150 iterations count as insecure (RFC 9276), what needs no proof does not.
        let proven = zone != "many.test";
        // Denials in an opt-out span are never secure.
        let denied = proven && zone != "optout.test";
        for (owner, rtype, code, is_secure, count) in [
            ("", RecordType::SOA, NO_ERROR, true, 1),
            ("", RecordType::DNSKEY, NO_ERROR, true, 1),
            ("", RecordType::DS, NO_ERROR, true, 1),
            ("", RecordType::A, NO_ERROR, proven, 0),
            ("www.", RecordType::A, NO_ERROR, true, if zone == "nsec.test" { 2 } else { 1 }),
            ("www.", RecordType::AAAA, NO_ERROR, true, 1),
            ("www.", RecordType::TXT, NO_ERROR, proven, 0),
            ("gone.", RecordType::A, NX_DOMAIN, denied, 0),
            ("a.b.c.gone.", RecordType::A, NX_DOMAIN, denied, 0),
            ("alias.", RecordType::A, NO_ERROR, true, 1),
            ("long.", RecordType::A, NO_ERROR, true, 1),
            ("alias.", RecordType::TXT, NO_ERROR, true, 0),
            ("far.", RecordType::A, NX_DOMAIN, true, 0),
            ("x.wild.", RecordType::A, NO_ERROR, denied, 1),
            ("x.y.wild.", RecordType::A, NO_ERROR, denied, 1),
            ("x.wild.", RecordType::AAAA, NO_ERROR, denied, 0),
            ("*.wild.", RecordType::A, NO_ERROR, true, 1),
            ("_1._tcp.wild2.", RecordType::TLSA, NO_ERROR, denied, 1),
            ("x.wildalias.", RecordType::A, NO_ERROR, denied, 2),
            ("ent.", RecordType::A, NO_ERROR, proven, 0),
            ("b.ent.", RecordType::TXT, NO_ERROR, proven, 0),
            ("x.b.ent.", RecordType::TXT, NX_DOMAIN, denied, 0),
            ("_8443._tcp.www.", RecordType::TLSA, NO_ERROR, true, 1),
            ("_8443._tcp.www.", RecordType::SRV, NO_ERROR, true, 1),
            ("_tcp.www.", RecordType::TLSA, NO_ERROR, proven, 0),
            ("www.moved.", RecordType::AAAA, NO_ERROR, true, 1),
            ("gone.moved.", RecordType::A, NX_DOMAIN, true, 0),
            ("x.wild.moved.", RecordType::A, NO_ERROR, true, 1),
            ("unsigned.", RecordType::DS, NO_ERROR, denied, 0),
            ("www.unsigned.", RecordType::A, NO_ERROR, false, 1),
            ("gone.unsigned.", RecordType::A, NX_DOMAIN, false, 0),
            ("www.signed.", RecordType::A, NO_ERROR, true, 1),
            ("gone.signed.", RecordType::A, NX_DOMAIN, true, 0),
        ] {
            let name = format!("{owner}{zone}");
            wrong.extend(check(&unbound, &name, rtype, code, is_secure, count).await);
        }
    }
    for Expected(name, rtype, code, secure, count) in [
        Expected(".", RecordType::DNSKEY, NO_ERROR, true, 1),
        Expected("nowhere.example", RecordType::A, NX_DOMAIN, true, 0),
        Expected("arpa", RecordType::A, NO_ERROR, true, 0),
        Expected("www.badds.test", RecordType::A, SERV_FAIL, false, 0),
        Expected("wrong.bad.test", RecordType::A, SERV_FAIL, false, 0),
        Expected("expired.bad.test", RecordType::A, SERV_FAIL, false, 0),
        Expected("early.bad.test", RecordType::A, SERV_FAIL, false, 0),
        Expected("bare.bad.test", RecordType::A, SERV_FAIL, false, 0),
        Expected("good.bad.test", RecordType::A, NO_ERROR, true, 1),
        Expected("www.allbad.test", RecordType::A, SERV_FAIL, false, 0),
        Expected("1.0.1.127.in-addr.arpa", RecordType::PTR, NO_ERROR, true, 1),
        Expected("2.0.1.127.in-addr.arpa", RecordType::PTR, NX_DOMAIN, true, 0),
        Expected("9.0.0.127.in-addr.arpa", RecordType::PTR, NO_ERROR, true, 1),
        Expected("1.0.2.127.in-addr.arpa", RecordType::PTR, NO_ERROR, false, 1),
        Expected("5.0.0.127.in-addr.arpa", RecordType::PTR, NO_ERROR, true, 1),
    ] {
        wrong.extend(check(&unbound, name, rtype, code, secure, count).await);
    }
    let loopback = revouch_lab::reverse_name("::1".parse().unwrap());
    wrong.extend(check(&unbound, &loopback, RecordType::PTR, NO_ERROR, true, 1).await);
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), unbound.log().join("\n"));
}

async fn check(
    unbound: &Unbound,
    name: &str,
    rtype: RecordType,
    code: ResponseCode,
    secure: bool,
    count: usize,
) -> Option<String> {
    let answer = ask(unbound.address(), name, rtype).await;
    let got = answer.answers.iter().filter(|record| record.record_type() == rtype).count();
    let seen = (answer.metadata.response_code, answer.metadata.authentic_data, got);
    (seen != (code, secure, count))
        .then(|| format!("{name} {rtype}: wanted {code:?} {secure} {count}, got {seen:?}"))
}

#[tokio::test]
async fn replaced_zone_is_served_signed_and_mended() {
    let universe = universe();
    let (_server, unbound) = start(&universe).await;
    assert_eq!(
        ask(unbound.address(), "wrong.bad.test", RecordType::A).await.metadata.response_code,
        SERV_FAIL
    );
    universe.replace(|now| now.mend().set("new.nsec.test", "A 127.0.9.9").roll_key("nsec3.test")).unwrap();
    let (_server, fresh) = start(&universe).await;
    let mended = ask(fresh.address(), "wrong.bad.test", RecordType::A).await;
    assert!(mended.metadata.authentic_data && mended.answers.len() == 2, "{mended}");
    let new = ask(fresh.address(), "new.nsec.test", RecordType::A).await;
    assert!(new.metadata.authentic_data && addresses(&new) == ["127.0.9.9"], "{new}");
    let rolled = ask(fresh.address(), "www.nsec3.test", RecordType::A).await;
    assert!(rolled.metadata.authentic_data, "{rolled}");
}

#[tokio::test]
async fn answer_that_does_not_fit_is_truncated_and_whole_over_tcp() {
    let address = "127.0.3.3".parse().unwrap();
    let universe = Universe::builder().many_ptrs(address, "huge.test", 3_000).build().unwrap();
    let server = universe.serve(Listen::loopback()).await.unwrap();
    let name = revouch_lab::reverse_name(address);
    let datagram = ask_udp(server.address(), &name, RecordType::PTR).await.unwrap();
    assert!(datagram.metadata.truncation && datagram.answers.is_empty());
    let stream = ask_tcp(server.address(), &name, RecordType::PTR).await.unwrap();
    assert!(!stream.metadata.truncation);
    assert_eq!(stream.answers.iter().filter(|record| record.record_type() == RecordType::PTR).count(), 3_000);
}

#[tokio::test]
async fn ten_thousand_names_do_not_fit_into_any_message() {
    let address = "127.0.3.4".parse().unwrap();
    let universe = Universe::builder().many_ptrs(address, "huge.test", 10_000).build().unwrap();
    let server = universe.serve(Listen::loopback()).await.unwrap();
    let name = revouch_lab::reverse_name(address);
    let stream = ask_tcp(server.address(), &name, RecordType::PTR).await.unwrap();
    assert!(stream.metadata.truncation && stream.answers.len() > 3_000, "{}", stream.answers.len());
}

#[tokio::test]
async fn faults_and_counters_follow_name_and_type() {
    let universe = universe();
    let server = universe.serve(Listen::loopback()).await.unwrap();
    let set = |scope: Scope, fault| server.faults().set(scope, fault);
    set(Scope::suffix("nsec.test").unwrap(), Fault::ServFail);
    set(Scope::name("www.nsec.test").unwrap().of_type("A").unwrap(), Fault::Refuse);
    set(Scope::name("www.nsec3.test").unwrap(), Fault::Silent);
    set(Scope::name("a.b.ent.nsec3.test").unwrap(), Fault::Garbage);
    set(Scope::name("alias.nsec3.test").unwrap(), Fault::Truncate);
    let delay = Duration::from_millis(120);
    set(Scope::name("www.optout.test").unwrap(), Fault::Delay(delay));

    let at = server.address();
    let code = async |name, rtype| ask_udp(at, name, rtype).await.map(|answer| answer.metadata.response_code);
    assert_eq!(code("www.nsec.test", RecordType::A).await, Some(ResponseCode::Refused));
    assert_eq!(code("www.nsec.test", RecordType::AAAA).await, Some(SERV_FAIL));
    assert_eq!(code("x.nsec.test", RecordType::A).await, Some(SERV_FAIL));
    assert_eq!(code("xnsec.test", RecordType::A).await, Some(NX_DOMAIN), "suffixes end at labels");
    let silence = ask_udp(at, "www.nsec3.test", RecordType::A);
    assert!(tokio::time::timeout(Duration::from_millis(200), silence).await.is_err(), "silent");
    assert_eq!(code("a.b.ent.nsec3.test", RecordType::TXT).await, None, "garbage");
    let truncated = ask_udp(at, "alias.nsec3.test", RecordType::A).await.unwrap();
    assert!(truncated.metadata.truncation);
    assert_eq!(
        ask_tcp(at, "alias.nsec3.test", RecordType::A).await.unwrap().metadata.response_code,
        NO_ERROR
    );
    let started = std::time::Instant::now();
    assert_eq!(code("www.optout.test", RecordType::A).await, Some(NO_ERROR));
    assert!(started.elapsed() >= delay);

    assert_eq!(server.queries().count("www.nsec.test", "A"), 1);
    assert_eq!(server.queries().count("alias.nsec3.test", "A"), 2);
    assert_eq!(server.queries().total(), 9);
    server.faults().clear_all();
    assert_eq!(code("www.nsec.test", RecordType::A).await, Some(NO_ERROR));
}

#[tokio::test]
async fn tls_and_https_carry_the_same_answers() {
    let certificate = CertificateAuthority::servers().unwrap().leaf().dns("dns.test").issue().unwrap();
    let listen = Listen::loopback().dot(&certificate).unwrap().doh(&certificate).unwrap();
    let server = universe().serve(listen).await.unwrap();
    let peer = Peer::from("127.0.0.1".parse().unwrap()).server_name("dns.test");

    let mut dot = peer.connect(server.dot_address().unwrap()).await.unwrap();
    assert_eq!(dot.acceptor_chain(), certificate.chain());
    let answer = exchange(&mut dot.stream, "www.nsec.test", RecordType::A).await.unwrap();
    assert_eq!(addresses(&answer).len(), 2);

    let doh = peer.alpn(b"h2").connect(server.doh_address().unwrap()).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(doh.stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let post = http::Request::post("https://dns.test/dns-query").body(()).unwrap();
    let (response, mut body) = requests.send_request(post, false).unwrap();
    body.send_data(query("www.nsec.test", RecordType::A).into(), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let mut message = Vec::new();
    while let Some(part) = body.data().await {
        message.extend_from_slice(&part.unwrap());
    }
    assert_eq!(addresses(&Message::from_vec(&message).unwrap()).len(), 2);
    let get = http::Request::get("https://dns.test/dns-query?dns=%%%").body(()).unwrap();
    let (response, _) = requests.send_request(get, true).unwrap();
    assert_eq!(response.await.unwrap().status(), http::StatusCode::BAD_REQUEST);
    connection.abort();
}

#[tokio::test]
async fn malformed_messages_get_a_refusal_or_nothing_and_the_server_lives() {
    let server = universe().serve(Listen::loopback()).await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut message = query("www.nsec.test", RecordType::A);
    for length in 0..message.len() {
        socket.send_to(&message[..length], server.address()).await.unwrap();
    }
    for place in 2..message.len() {
        message[place] ^= 0xFF;
        socket.send_to(&message, server.address()).await.unwrap();
        message[place] ^= 0xFF;
    }
    let answer = ask_udp(server.address(), "www.nsec.test", RecordType::A).await.unwrap();
    assert_eq!(addresses(&answer).len(), 2);
}

fn addresses(message: &Message) -> Vec<String> {
    let address = |record: &Record| match &record.data {
        RData::A(a) => Some(a.to_string()),
        _ => None,
    };
    message.answers.iter().filter_map(address).collect()
}

fn query(name: &str, rtype: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Query;
    message.metadata.recursion_desired = true;
    message.metadata.authentic_data = true;
    message.add_query(Query::query(dns_name(name).unwrap(), rtype));
    let mut edns = Edns::new();
    edns.set_dnssec_ok(true);
    edns.set_max_payload(1_232);
    message.set_edns(edns);
    message.to_vec().unwrap()
}

/// Over UDP, then over TCP if the answer was truncated.
async fn ask(server: SocketAddr, name: &str, rtype: RecordType) -> Message {
    let answer = ask_udp(server, name, rtype).await.expect("an answer");
    if !answer.metadata.truncation {
        return answer;
    }
    ask_tcp(server, name, rtype).await.expect("an answer over TCP")
}

/// `None`: no answer, or one that is no DNS message.
async fn ask_udp(server: SocketAddr, name: &str, rtype: RecordType) -> Option<Message> {
    let patience = Duration::from_secs(5);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(&query(name, rtype)).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let length = tokio::time::timeout(patience, socket.recv(&mut buffer)).await.ok()?.unwrap();
    Message::from_vec(&buffer[..length]).ok()
}

async fn ask_tcp(server: SocketAddr, name: &str, rtype: RecordType) -> Option<Message> {
    exchange(&mut TcpStream::connect(server).await.unwrap(), name, rtype).await
}

async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    name: &str,
    rtype: RecordType,
) -> Option<Message> {
    let message = query(name, rtype);
    stream.write_u16(u16::try_from(message.len()).unwrap()).await.unwrap();
    stream.write_all(&message).await.unwrap();
    stream.flush().await.unwrap();
    let length = tokio::time::timeout(Duration::from_secs(10), stream.read_u16()).await.ok()?.unwrap();
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.unwrap();
    Some(Message::from_vec(&answer).unwrap())
}
