//! Somebody on the way between this host and its resolver, who changes what comes back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::dnssec::rdata::{DNSSECRData, RRSIG};
use hickory_proto::op::{DnsRequest, DnsRequestOptions, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::*;

pub(super) fn wire_name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).unwrap()
}

/// What the lab itself says to a question.
async fn genuine(lab: &Lab, owner: &str, rr_type: RecordType) -> Message {
    let mut options = DnsRequestOptions::default();
    options.edns_set_dnssec_ok = true;
    options.edns_payload_len = 4096;
    let request = DnsRequest::from_query(Query::query(wire_name(owner), rr_type), options);
    let response = exchange(lab.address(), &request.to_vec().unwrap()).await;
    Message::from_vec(&response).unwrap()
}

async fn exchange(server: SocketAddr, octets: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(octets, server).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
    buffer.truncate(length);
    buffer
}

/// A relay for datagrams that edits every response. It ends when dropped.
pub(super) struct OnPath {
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl OnPath {
    pub(super) async fn start(lab: &Lab, edit: impl Fn(&mut Message) + Send + 'static) -> Self {
        let (socket, server) = (UdpSocket::bind("127.0.0.1:0").await.unwrap(), lab.address());
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let mut message = Message::from_vec(&exchange(server, &buffer[..length]).await).unwrap();
                edit(&mut message);
                socket.send_to(&message.to_vec().unwrap(), from).await.unwrap();
            }
        });
        Self { address, task }
    }

    fn upstream(&self, served: &Served) -> Upstream {
        let server = Server { address: self.address, protocol: Protocol::Udp };
        let config =
            UpstreamConfig { servers: vec![server], timeout: Duration::from_secs(2), ..served.config() };
        Upstream::new(config, clock()).unwrap()
    }
}

impl Drop for OnPath {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether the message answers this question.
fn is_about(message: &Message, owner: &str, rr_type: RecordType) -> bool {
    message.queries.iter().any(|q| *q.name() == wire_name(owner) && q.query_type() == rr_type)
}

/// Puts the records of another message in the place of those of this one.
fn replay(message: &mut Message, other: &Message) {
    message.answers.clone_from(&other.answers);
    message.authorities.clone_from(&other.authorities);
    message.metadata.response_code = other.metadata.response_code;
}

fn forged(owner: &str) -> Record {
    Record::from_rdata(wire_name(owner), 300, RData::A(A::new(127, 6, 6, 6)))
}

/// Runs one attack on one question and returns the answer in two words.
async fn attacked(owner: &str, rr_type: RrType, edit: impl Fn(&mut Message) + Send + 'static) -> String {
    let served = Served::start(zones()).await;
    let on_path = OnPath::start(&served.lab, edit).await;
    told(&ask(&on_path.upstream(&served), owner, rr_type).await)
}

#[tokio::test]
async fn an_honest_relay_changes_nothing() {
    assert_eq!(attacked("www.nsec.test", RrType::A, |_| {}).await, "secure records");
}

#[tokio::test]
async fn forged_and_added_and_stripped_records_are_bogus_in_signed_zones() {
    let about = |m: &Message| is_about(m, "www.nsec.test", RecordType::A);
    let is_bogus = async |edit: Box<dyn Fn(&mut Message) + Send>| {
        let result = attacked("www.nsec.test", RrType::A, move |m| {
            if about(m) {
                edit(m);
            }
        })
        .await;
        assert_eq!(result, "bogus");
    };
    is_bogus(Box::new(|m| m.answers = vec![forged("www.nsec.test")])).await;
    is_bogus(Box::new(|m| m.answers.push(forged("www.nsec.test")))).await;
    is_bogus(Box::new(|m| m.answers.retain(|r| r.record_type() != RecordType::RRSIG))).await;
    is_bogus(Box::new(|m| m.answers.clear())).await;
    is_bogus(Box::new(|m| {
        m.answers.clear();
        m.metadata.response_code = ResponseCode::NXDomain;
    }))
    .await;
    is_bogus(Box::new(|m| {
        m.metadata.authentic_data = true;
        m.answers = vec![forged("www.nsec.test")];
    }))
    .await;
    is_bogus(Box::new(|m| {
        let alias = RData::CNAME(CNAME(wire_name("www.unsigned.test")));
        m.answers =
            vec![Record::from_rdata(wire_name("www.nsec.test"), 300, alias), forged("www.unsigned.test")];
    }))
    .await;
}

#[tokio::test]
async fn a_wildcard_cannot_stand_for_a_name_that_exists_even_the_second_time() {
    let zones = || {
        zones().record("real.wild.nsec.test", "A 127.0.1.77").record("real.wild.nsec3.test", "A 127.0.1.77")
    };
    for zone in ["nsec.test", "nsec3.test"] {
        let served = Served::start(zones()).await;
        let wildcard = genuine(&served.lab, &format!("other.wild.{zone}"), RecordType::A).await;
        let owner = format!("real.wild.{zone}");
        let about = owner.clone();
        let times = AtomicUsize::new(0);
        let on_path = OnPath::start(&served.lab, move |message| {
            if !is_about(message, &about, RecordType::A) {
                return;
            }
            replay(message, &wildcard);
            let forge = times.fetch_add(1, Ordering::Relaxed) > 0;
            for record in &mut message.answers {
                record.name = wire_name(&about);
                if let (true, RData::DNSSEC(DNSSECRData::RRSIG(signature))) = (forge, &record.data) {
                    // The signature was seen to be good; now it is said to be one over the name itself.
                    let mut input = signature.input().clone();
                    input.num_labels = 4;
                    record.data =
                        RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, signature.sig().to_vec())));
                }
            }
        })
        .await;
        let upstream = on_path.upstream(&served);
        for _ in 0..3 {
            assert_eq!(told(&ask(&upstream, &owner, RrType::A).await), "bogus", "{zone}");
        }
    }
}

#[tokio::test]
async fn a_signed_zone_cannot_be_passed_off_as_unsigned() {
    for (zone, unsigned) in [
        ("signed.optout.test", "plain.optout.test"),
        ("nsec.test", "unsigned.test"),
        ("nsec3.test", "unsigned.test"),
    ] {
        let served = Served::start(zones()).await;
        let owner = format!("www.{zone}");
        let mut lies = Vec::new();
        for other in [unsigned, "none.optout.test", "none.nsec3.test", "none.test"] {
            lies.push(genuine(&served.lab, other, RecordType::DS).await);
        }
        lies.push(genuine(&served.lab, &owner, RecordType::DS).await);
        lies.push(Message::query());
        for lie in lies {
            let (about, zone) = (owner.clone(), zone.to_owned());
            let on_path = OnPath::start(&served.lab, move |message| {
                if is_about(message, &about, RecordType::A) {
                    message.answers = vec![forged(&about)];
                } else if is_about(message, &zone, RecordType::DS) {
                    replay(message, &lie);
                }
            })
            .await;
            assert_eq!(told(&ask(&on_path.upstream(&served), &owner, RrType::A).await), "bogus");
        }
    }
}

#[tokio::test]
async fn denials_of_other_names_do_not_deny_this_one() {
    for zone in ["nsec.test", "nsec3.test", "optout.test", "cheap.test"] {
        let served = Served::start(zones()).await;
        for (other, rr_type) in [
            ("none", RecordType::A),
            ("alias", RecordType::TLSA),
            ("b", RecordType::A),
            ("x.wild", RecordType::TLSA),
        ] {
            let lie = genuine(&served.lab, &format!("{other}.{zone}"), rr_type).await;
            let about = format!("a.b.{zone}");
            let owner = about.clone();
            let on_path = OnPath::start(&served.lab, move |message| {
                if is_about(message, &about, RecordType::A) {
                    replay(message, &lie);
                    message.answers.clear();
                }
            })
            .await;
            assert_eq!(
                told(&ask(&on_path.upstream(&served), &owner, RrType::A).await),
                "bogus",
                "{other}.{zone}"
            );
        }
    }
}

#[tokio::test]
async fn an_unsigned_zones_soa_does_not_deny_names_of_a_signed_one() {
    let served = Served::start(zones()).await;
    let lie = genuine(&served.lab, "none.unsigned.test", RecordType::A).await;
    for owner_of_soa in ["unsigned.test", "nsec.test", "www.nsec.test", "test"] {
        let lie = lie.clone();
        let on_path = OnPath::start(&served.lab, move |message| {
            if is_about(message, "www.nsec.test", RecordType::A) {
                replay(message, &lie);
                message.authorities.iter_mut().for_each(|r| r.name = wire_name(owner_of_soa));
            }
        })
        .await;
        assert_eq!(
            told(&ask(&on_path.upstream(&served), "www.nsec.test", RrType::A).await),
            "bogus",
            "{owner_of_soa}"
        );
    }
}

#[tokio::test]
async fn an_unsigned_answer_may_be_changed_and_stays_insecure() {
    let edit = |m: &mut Message| {
        if is_about(m, "www.unsigned.test", RecordType::A) {
            m.answers = vec![forged("www.unsigned.test")];
        }
    };
    assert_eq!(attacked("www.unsigned.test", RrType::A, edit).await, "insecure records");
}

#[tokio::test]
async fn responses_to_another_question_are_passed_over() {
    let edit = |m: &mut Message| m.queries.iter_mut().for_each(|q| q.name = wire_name("other.test"));
    assert_eq!(attacked("www.nsec.test", RrType::A, edit).await, "no answer in time");
}

/// A cache may hold records without their signatures for a moment, a delegation that was not there, or keys that have gone.
#[tokio::test]
async fn what_is_bogus_once_is_asked_for_again_with_all_that_it_rests_on() {
    let parts =
        [("www.nsec.test", RecordType::A), ("nsec.test", RecordType::DNSKEY), ("nsec.test", RecordType::DS)];
    for (owner, rr_type) in parts {
        let served = Served::start(zones()).await;
        let times = AtomicUsize::new(0);
        let on_path = OnPath::start(&served.lab, move |message| {
            if is_about(message, owner, rr_type) && times.fetch_add(1, Ordering::SeqCst) == 0 {
                for section in [&mut message.answers, &mut message.authorities] {
                    section.retain(|record| record.record_type() != RecordType::RRSIG);
                }
            }
        })
        .await;
        let upstream = on_path.upstream(&served);
        assert_eq!(
            told(&ask(&upstream, "www.nsec.test", RrType::A).await),
            "secure records",
            "{owner} {rr_type}"
        );
    }
}

#[tokio::test]
async fn what_is_bogus_is_asked_of_another_server() {
    let served = Served::start(zones()).await;
    let strips = |message: &mut Message| {
        message.answers.retain(|record| record.record_type() != RecordType::RRSIG);
    };
    let (bad, good) = (OnPath::start(&served.lab, strips).await, OnPath::start(&served.lab, |_| {}).await);
    for servers in [[&bad, &good], [&good, &bad]] {
        let servers: Vec<Server> = servers
            .iter()
            .map(|server| Server { address: server.address, protocol: Protocol::Udp })
            .collect();
        let validation = Validation::Validate(served.anchors());
        let config = UpstreamConfig { servers, ..config(&[], validation) };
        let upstream = Upstream::new(config, clock()).unwrap();
        assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "secure records");
    }
}

/// Else whoever has a bogus name could have everybody wait for a server that is dead.
#[tokio::test]
async fn a_second_look_at_another_server_is_for_that_question_alone() {
    let served = Served::start(zones()).await;
    let dead = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let servers = [served.lab.address(), dead.local_addr().unwrap()];
    let servers = servers.map(|address| Server { address, protocol: Protocol::Udp }).to_vec();
    let timeout = Duration::from_secs(1);
    let config = UpstreamConfig { servers, timeout, ..config(&[], Validation::Validate(served.anchors())) };
    let upstream = Upstream::new(config, clock()).unwrap();
    let mut question = [0; 512];
    let meanwhile = async {
        dead.recv(&mut question).await.unwrap();
        told(&ask(&upstream, "www.nsec.test", RrType::A).await)
    };
    let bogus = async { told(&ask(&upstream, "www.broken.test", RrType::A).await) };
    assert_eq!(tokio::join!(bogus, meanwhile), ("bogus".to_owned(), "secure records".to_owned()));
    assert!(dead.try_recv(&mut question).is_err(), "it was asked for more than what was bogus");
}

#[tokio::test]
async fn what_one_purse_pays_for_shares_how_many_checks_may_fail() {
    // Each costs one of 24: when it comes, and when it is asked for once more.
    let builder = (0..12).fold(zones(), |b, n| b.record(&format!("h{n}.nsec.test"), "A 127.0.1.9"));
    let served = Served::start(builder).await;
    let on_path = OnPath::start(&served.lab, |message| {
        for record in message.answers.iter_mut().filter(|r| r.name.to_lowercase().to_ascii().starts_with('h'))
        {
            if let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data {
                let mut octets = signature.sig().to_vec();
                octets[0] ^= 1;
                let broken = RRSIG::from_sig(signature.input().clone(), octets);
                record.data = RData::DNSSEC(DNSSECRData::RRSIG(broken));
            }
        }
    })
    .await;
    let upstream = on_path.upstream(&served);
    let purse = QueryBudget::new(1000);
    let ask = async |owner: &str, purse: &QueryBudget| {
        told(&upstream.ask(&name(owner), RrType::A, purse, soon()).await)
    };
    for n in 0..12 {
        assert_eq!(ask("www.nsec.test", &purse).await, "secure records", "after {n}");
        assert_eq!(ask(&format!("h{n}.nsec.test"), &purse.part()).await, "bogus", "{n}");
    }
    assert_eq!(ask("www.nsec.test", &purse).await, "bogus");
    assert_eq!(ask("www.nsec.test", &QueryBudget::new(9)).await, "secure records");
}

/// A validating resolver on loopback, as far as its header goes.
pub(super) async fn validator(served: &Served) -> OnPath {
    OnPath::start(&served.lab, |message| {
        let name = message.queries[0].name().clone();
        message.metadata.authentic_data = !wire_name("unsigned.test").zone_of(&name);
        if wire_name("broken.test").zone_of(&name) {
            message.answers.clear();
            message.authorities.clear();
            message.metadata.response_code = ResponseCode::ServFail;
        }
        if wire_name("www.nsec3.test") == name {
            message.authorities.clear();
            message.answers.clear();
        }
    })
    .await
}

#[tokio::test]
async fn trust_ad_takes_the_state_from_a_loopback_validator() {
    let served = Served::start(zones()).await;
    let on_path = validator(&served).await;
    let server = Server { address: on_path.address, protocol: Protocol::Udp };
    let config = UpstreamConfig { servers: vec![server], ..config(&[], Validation::trust_ad()) };
    let upstream = Upstream::new(config, clock()).unwrap();
    assert_eq!(upstream.probe(soon()).await, Ok(()));
    for (owner, expected) in [
        ("www.nsec.test", "secure records"),
        ("alias.nsec.test", "secure records"),
        ("none.nsec.test", "secure nxdomain"),
        ("www.unsigned.test", "insecure records"),
        ("none.unsigned.test", "insecure nxdomain"),
        ("www.broken.test", "SERVFAIL"),
        // No records and no SOA: that is nobody's answer.
        ("www.nsec3.test", "SERVFAIL"),
    ] {
        assert_eq!(told(&ask(&upstream, owner, RrType::A).await), expected, "{owner}");
    }
}
