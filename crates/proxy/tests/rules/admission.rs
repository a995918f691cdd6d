//! What comes before the certificate: limits, deadlines, no TLS at all, no route, no policy, no certificate; and Audit.

use revouch_testbed::{Ending, Peer};
use revouch_validator::reason::Reason;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::{HELLO, Line, NAME, PATIENCE, Plan, SOURCE, Stage};

/// Waits until the connection is closed, and gives what came.
async fn closed(mut stream: TcpStream) -> Vec<u8> {
    let mut octets = Vec::new();
    // A reset is an end too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut octets))
        .await
        .expect("the connection stays open");
    octets
}

async fn counted(stage: &Stage, line: &Line, reason: Reason) {
    assert_eq!(line.text("reason"), Some(reason.as_str()), "{line:?}");
    let series = format!("revouch_handshakes_total{{outcome=\"refused\",reason=\"{reason}\"}}");
    assert!(stage.metric(&series).await > 0.5, "{series}");
    assert_eq!(stage.backend.connections(), 0);
}

#[tokio::test]
async fn limits_close_without_tls() {
    let held_by = [
        (Plan::new().limits("handshakesInFlight: 1, handshakeDeadline: 1m"), Reason::LimitHandshakes),
        (Plan::new().limits("handshakesPerSource: 1, handshakeDeadline: 1m"), Reason::LimitSource),
        (Plan::new().limits("connectionsPerSource: 1, handshakeDeadline: 1m"), Reason::LimitSource),
        (
            Plan::new().limits("handshakeDeadline: 1m").process(", maxConnections: 1"),
            Reason::LimitConnections,
        ),
    ];
    for (plan, reason) in held_by {
        let stage = plan.start().await;
        let held = in_handshake(&stage).await;
        let second = Peer::from(SOURCE).connect_tcp(stage.listener).await.unwrap();
        assert_eq!(closed(second).await, b"", "{reason}: closed without a byte");
        counted(&stage, &stage.line(0).await, reason).await;
        drop(held);
    }
}

/// A connection whose ClientHello was answered: it keeps its place.
async fn in_handshake(stage: &Stage) -> TcpStream {
    let mut stream = Peer::from(SOURCE).connect_tcp(stage.listener).await.unwrap();
    stream.write_all(&client_hello(&[&rustls::version::TLS13])).await.unwrap();
    stream.read_exact(&mut [0; 5]).await.unwrap();
    stream
}

#[tokio::test]
async fn one_source_has_so_many_connections_until_they_end() {
    let stage = Plan::new().limits("connectionsPerSource: 2").start().await;
    let peer = Peer::from(SOURCE).identity(&stage.leaf());
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut connected = peer.connect(stage.listener).await.unwrap();
        assert_eq!(connected.echo(HELLO).await, Ending::Echoed);
        held.push(connected);
    }
    let third = Peer::from(SOURCE).connect_tcp(stage.listener).await.unwrap();
    assert_eq!(closed(third).await, b"");
    let line = stage.line(0).await;
    let told = (line.text("reason"), line.text("detail"));
    assert_eq!(told, (Some("limit_source"), Some("limits.connectionsPerSource")));
    // Other sources have places of their own: this one is nobody, and is told so.
    let other =
        Peer::from([127, 1, 0, 2].into()).identity(&stage.leaf()).exchange(stage.listener, HELLO).await;
    assert!(!other.accepted());
    assert_eq!(stage.line(1).await.text("reason"), Some("no_ptr"));
    drop(held.pop());
    stage.line(2).await;
    stage.accepts_peer(&peer, NAME).await;
}

#[tokio::test]
async fn who_has_sent_no_client_hello_keeps_nobody_out() {
    let stage = Plan::new().limits("handshakesInFlight: 2, handshakeDeadline: 1m").start().await;
    let oldest = Peer::from(SOURCE).connect_tcp(stage.listener).await.unwrap();
    let mut started = Peer::from(SOURCE).connect_tcp(stage.listener).await.unwrap();
    started.write_all(&client_hello(&[&rustls::version::TLS13])[..40]).await.unwrap();
    let peer = Peer::from(SOURCE).identity(&stage.leaf());
    let outcome = peer.exchange(stage.listener, HELLO).await;
    assert!(outcome.accepted(), "{outcome:?}");
    assert_eq!(closed(oldest).await, b"");
    let series = "revouch_handshakes_total{outcome=\"refused\",reason=\"limit_handshakes\"}";
    assert!((stage.metric(series).await - 1.0).abs() < 0.1, "the other had its place still");
    let lines = [stage.line(0).await, stage.line(1).await];
    assert!(lines.iter().any(|line| line.text("reason") == Some("limit_handshakes")), "{lines:?}");
    drop(started);
}

#[tokio::test]
async fn a_client_hello_has_a_deadline_of_its_own() {
    let stage = Plan::new().limits("handshakeDeadline: 2m").start().await;
    let silent = Peer::from(SOURCE).connect_tcp(stage.listener).await.unwrap();
    assert_eq!(closed(silent).await, b"");
    let line = stage.line(0).await;
    assert_eq!(line.text("detail"), Some("no ClientHello"));
    counted(&stage, &line, Reason::HandshakeTimeout).await;
}

#[tokio::test]
async fn a_peer_that_stalls_is_closed_at_the_deadline() {
    let stage = Plan::new().policy("dns: {deadline: 200ms}").limits("handshakeDeadline: 400ms").start().await;
    let silent = Peer::from(SOURCE).connect_tcp(stage.listener).await.unwrap();
    closed(silent).await;
    counted(&stage, &stage.line(0).await, Reason::HandshakeTimeout).await;
    // In the middle of its ClientHello.
    let mut slow = Peer::from(SOURCE).connect_tcp(stage.listener).await.unwrap();
    slow.write_all(&client_hello(&[&rustls::version::TLS13])[..40]).await.unwrap();
    closed(slow).await;
    counted(&stage, &stage.line(1).await, Reason::HandshakeTimeout).await;
    // After it.
    let mut mute = Peer::from(SOURCE).connect_tcp(stage.listener).await.unwrap();
    mute.write_all(&client_hello(&[&rustls::version::TLS13])).await.unwrap();
    closed(mute).await;
    counted(&stage, &stage.line(2).await, Reason::HandshakeTimeout).await;
}

#[tokio::test]
async fn garbage_is_no_handshake() {
    let stage = Stage::with_policy("").await;
    for garbage in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0x16, 3, 1, 0, 4, 1, 0, 0, 0], &[0xff; 600]]
    {
        let number = stage.lines().len();
        let mut stream = Peer::from(SOURCE).connect_tcp(stage.listener).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let answer = closed(stream).await;
        assert!(answer.starts_with(&[21, 3]), "no alert: {answer:02x?}");
        counted(&stage, &stage.line(number).await, Reason::HandshakeFailed).await;
    }
}

/// A connection that was refused with an alert, and whose peer does not close it.
async fn refused_and_held(stage: &Stage) -> TcpStream {
    let mut stream = Peer::from(SOURCE).connect_tcp(stage.listener).await.unwrap();
    stream.write_all(&client_hello(&[&rustls::version::TLS13])).await.unwrap();
    let mut alert = [0; 7];
    stream.read_exact(&mut alert).await.unwrap();
    assert_eq!(alert[..1], [21]);
    stream
}

#[tokio::test]
async fn who_was_refused_and_lingers_takes_no_place_of_others() {
    let stage = Plan::new().no_policy().process(", maxConnections: 1").start().await;
    let held = refused_and_held(&stage).await;
    // It would find the one place taken, and no alert.
    let next = refused_and_held(&stage).await;
    drop((held, next));
}

#[tokio::test]
async fn one_source_has_few_places_to_linger_in() {
    let stage = Plan::new().no_policy().limits("handshakesPerSource: 100").start().await;
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(refused_and_held(&stage).await);
    }
    let mut most: f64 = 0.0;
    while stage.lines().len() < 40 {
        most = most.max(stage.metric("revouch_lingering_connections").await);
    }
    assert!(most < 16.5, "{most}");
}

#[tokio::test]
async fn no_route_and_no_policy_refuse_with_access_denied() {
    let stage = Plan::new().route(", serverNames: [api.example.test]").start().await;
    let peer = Peer::from(SOURCE).identity(&stage.leaf());
    stage.refuses_peer(&peer.clone().server_name("other.example.test"), Reason::NoRoute).await;
    stage.refuses_peer(&peer, Reason::NoRoute).await;
    stage.accepts_peer(&peer.server_name("api.example.test"), NAME).await;
    let stage = Plan::new().no_policy().start().await;
    stage.refuses(&stage.leaf(), Reason::NoPolicy).await;
}

#[tokio::test]
async fn a_peer_without_certificate_is_refused() {
    let stage = Stage::with_policy("").await;
    for peer in [Peer::from(SOURCE), Peer::from(SOURCE).tls12()] {
        stage.refuses_peer(&peer, Reason::NoCertificate).await;
    }
}

#[tokio::test]
async fn a_certificate_in_the_same_segment_as_the_client_hello_gains_nothing() {
    let stage = Plan::new().policy("dns: {deadline: 200ms}").limits("handshakeDeadline: 1s").start().await;
    let mut octets = client_hello(&[&rustls::version::TLS12]);
    octets.extend(certificate_record(&stage.leaf().chain()));
    let mut stream = Peer::from(SOURCE).connect_tcp(stage.listener).await.unwrap();
    stream.write_all(&octets).await.unwrap();
    closed(stream).await;
    let line = stage.line(0).await;
    let reason = line.text("reason").unwrap();
    assert!(
        [Reason::HandshakeTimeout, Reason::EvidenceMissing].iter().any(|r| r.as_str() == reason),
        "{line:?}"
    );
    assert_eq!(stage.backend.connections(), 0);
}

#[tokio::test]
async fn audit_relays_a_refused_peer_without_identity_and_tells_why() {
    let stage =
        Plan::new().policy("mode: Audit\nforwardIdentity: Always").upstream(", sendProxy: V2").start().await;
    let wrong = stage.ca.leaf().dns("other.example.test").issue().unwrap();
    for peer in [Peer::from(SOURCE).identity(&wrong), Peer::from(SOURCE).identity(&wrong).tls12()] {
        let number = stage.lines().len();
        let outcome = peer.exchange(stage.listener, HELLO).await;
        assert!(outcome.accepted(), "{outcome:?}");
        let line = stage.line(number).await;
        assert_eq!(
            (line.text("outcome"), line.text("reason")),
            (Some("audited"), Some("name_mismatch")),
            "{line:?}"
        );
        let ssl = stage.backend.seen()[number].proxy_header().unwrap().ssl().unwrap();
        assert!(ssl.client & 0b110 == 0 && ssl.verify != 0);
    }
    assert!(
        stage.metric("revouch_handshakes_total{outcome=\"audited\",reason=\"name_mismatch\"}").await > 1.5
    );
    // Who has no certificate, or not its key, is refused all the same.
    stage_refuses_in_audit(&stage, &Peer::from(SOURCE), Reason::NoCertificate).await;
    let stolen = stage.leaf().with_leaf(stage.leaf().leaf());
    stage_refuses_in_audit(&stage, &Peer::from(SOURCE).identity(&stolen), Reason::BadSignature).await;
}

async fn stage_refuses_in_audit(stage: &Stage, peer: &Peer, reason: Reason) {
    let number = stage.lines().len();
    assert!(!peer.exchange(stage.listener, HELLO).await.accepted());
    assert_eq!(stage.line(number).await.text("reason"), Some(reason.as_str()));
}

/// The first flight of a real TLS library.
fn client_hello(versions: &[&'static rustls::SupportedProtocolVersion]) -> Vec<u8> {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("api.example.test").unwrap();
    let mut connection = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut octets = Vec::new();
    connection.write_tls(&mut octets).unwrap();
    octets
}

/// A TLS 1.2 Certificate message in a record of its own (RFC 5246 section 7.4.2).
fn certificate_record(chain: &[rustls::pki_types::CertificateDer<'_>]) -> Vec<u8> {
    let length = |n: usize| u32::try_from(n).unwrap().to_be_bytes()[1..].to_vec();
    let list: Vec<u8> = chain.iter().flat_map(|c| [length(c.len()), c.to_vec()].concat()).collect();
    let body = [length(list.len()), list].concat();
    let message = [vec![11], length(body.len()), body].concat();
    let mut record = vec![22, 3, 3];
    record.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend(message);
    record
}
