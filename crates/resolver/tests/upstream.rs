//! Questions to a signed universe of its own, over real sockets: every state, every transport, every way to fail.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use revouch_lab::{
    CertificateAuthority, Fault, Listen, Sabotage, Scope, Server as Lab, Signing, Universe, UniverseBuilder,
};
use revouch_resolver::anchors::Anchors;
use revouch_resolver::upstream::{
    Clock, Protocol, QueryBudget, Server, Upstream, UpstreamConfig, UpstreamError, Validation,
};
use revouch_validator::answer::{Answer, DnsFailure, DnssecStatus, Negative};
use revouch_validator::name::DnsName;
use revouch_validator::rr::{RecordData, RrType};
use revouch_validator::timestamp::Timestamp;
use rustls::RootCertStore;
use tokio::time::Instant;

/// Zones of every kind, below the signed `test`.
fn zones() -> UniverseBuilder {
    let zones = [
        ("nsec.test", Signing::Nsec),
        ("nsec3.test", Signing::Nsec3),
        ("optout.test", Signing::Nsec3OptOut),
        ("plain.optout.test", Signing::Unsigned),
        ("signed.optout.test", Signing::Nsec),
        ("costly.test", Signing::Nsec3Iterations(151)),
        ("cheap.test", Signing::Nsec3Iterations(150)),
        ("unsigned.test", Signing::Unsigned),
        ("below.unsigned.test", Signing::Nsec),
        ("broken.test", Signing::Nsec),
        ("expired.test", Signing::Nsec),
        ("early.test", Signing::Nsec3),
        ("stripped.test", Signing::Nsec),
    ];
    let builder = zones.into_iter().fold(Universe::builder(), |b, (zone, signing)| {
        let b = b.zone(zone, signing);
        let b = b.record(&format!("www.{zone}"), "A 127.0.1.1").record(&format!("www.{zone}"), "TXT \"x\"");
        let b =
            b.record(&format!("*.wild.{zone}"), "A 127.0.1.2").record(&format!("a.b.{zone}"), "A 127.0.1.3");
        b.record(&format!("alias.{zone}"), &format!("CNAME www.{zone}"))
    });
    builder
        .broken_ds("broken.test", true)
        .sabotage_zone("expired.test", Some(Sabotage::ExpiredSignature))
        .sabotage_zone("early.test", Some(Sabotage::EarlySignature))
        .sabotage_zone("stripped.test", Some(Sabotage::MissingSignature))
        .record("wrong.nsec.test", "A 127.0.1.4")
        .sabotage("wrong.nsec.test", "A", Sabotage::WrongRdata)
}

fn clock() -> Clock {
    Arc::new(|| Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()))
}

/// A universe that is served.
struct Served {
    universe: Universe,
    lab: Lab,
}

impl Served {
    async fn start(builder: UniverseBuilder) -> Self {
        let universe = builder.build().unwrap();
        let lab = universe.serve(Listen::loopback()).await.unwrap();
        Self { universe, lab }
    }

    fn anchors(&self) -> Arc<Anchors> {
        Arc::new(Anchors::parse(&self.universe.trust_anchor()).unwrap())
    }

    fn config(&self) -> UpstreamConfig {
        config(&[&self.lab], Validation::Validate(self.anchors()))
    }

    fn upstream(&self) -> Upstream {
        Upstream::new(self.config(), clock()).unwrap()
    }
}

fn config(labs: &[&Lab], validation: Validation) -> UpstreamConfig {
    let servers = labs.iter().map(|lab| Server { address: lab.address(), protocol: Protocol::Udp }).collect();
    UpstreamConfig {
        servers,
        validation,
        timeout: Duration::from_secs(5),
        attempts: 1,
        tls_roots: Arc::new(RootCertStore::empty()),
    }
}

fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

async fn ask(upstream: &Upstream, owner: &str, rr_type: RrType) -> Result<Answer, DnsFailure> {
    upstream.ask(&name(owner), rr_type, &QueryBudget::new(64), soon()).await
}

/// The answer in two words.
fn told(result: &Result<Answer, DnsFailure>) -> String {
    match result {
        Ok(answer) => {
            let kind = answer.negative.map_or("records".into(), |n| n.to_string());
            format!("{} {kind}", answer.status)
        }
        Err(DnsFailure::Bogus(_)) => "bogus".into(),
        Err(other) => other.to_string(),
    }
}

#[tokio::test]
async fn every_kind_of_zone_gets_its_state() {
    let served = Served::start(zones()).await;
    let upstream = served.upstream();
    let mut wrong = Vec::new();
    for (zone, state, absent) in [
        ("nsec.test", "secure", "secure"),
        ("nsec3.test", "secure", "secure"),
        ("optout.test", "secure", "insecure"),
        ("signed.optout.test", "secure", "secure"),
        ("plain.optout.test", "insecure", "insecure"),
        ("costly.test", "secure", "insecure"),
        ("cheap.test", "secure", "secure"),
        ("unsigned.test", "insecure", "insecure"),
        ("below.unsigned.test", "insecure", "insecure"),
        ("broken.test", "bogus", "bogus"),
        ("expired.test", "bogus", "bogus"),
        ("early.test", "bogus", "bogus"),
        ("stripped.test", "bogus", "bogus"),
    ] {
        let wild = if absent == "insecure" { "insecure" } else { state };
        let nodata = if zone == "costly.test" { "insecure" } else { state };
        for (owner, rr_type, state, kind) in [
            ("www", RrType::A, state, "records"),
            ("alias", RrType::A, state, "records"),
            ("WWW", RrType::TXT, state, "records"),
            ("x.wild", RrType::A, wild, "records"),
            ("www", RrType::TLSA, nodata, "nodata"),
            ("alias", RrType::TLSA, nodata, "nodata"),
            ("b", RrType::A, nodata, "nodata"),
            ("none", RrType::A, absent, "nxdomain"),
            ("deep.none", RrType::A, absent, "nxdomain"),
            ("_8443._tcp.none", RrType::TLSA, absent, "nxdomain"),
        ] {
            let owner = format!("{owner}.{zone}");
            let result = ask(&upstream, &owner, rr_type).await;
            let expected = if state == "bogus" { "bogus".to_owned() } else { format!("{state} {kind}") };
            if told(&result) != expected {
                wrong.push(format!("{owner} {rr_type}: {expected}, but got {result:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A single fault for every question, or for those of one name and type.
fn fault(lab: &Lab, owner: &str, rr_type: Option<&str>, fault: Fault) {
    let mut scope = Scope::suffix(owner).unwrap();
    if let Some(rr_type) = rr_type {
        scope = scope.of_type(rr_type).unwrap();
    }
    lab.faults().set(scope, fault);
}

#[tokio::test]
async fn records_of_every_type_come_as_they_are() {
    let builder = Universe::builder().zone("data.test", Signing::Nsec3);
    let owner = "x.data.test";
    let builder = [
        "AAAA 2001:db8::1",
        "TLSA 3 1 1 0102",
        "SRV 1 2 443 Host.Data.test",
        "SVCB 1 svc.data.test alpn=h2 port=8443",
        "HTTPS 0 other.test",
        "CAA 128 issue \"ca.test\"",
        "MX 10 Mail.data.test",
        "TXT \"t\"",
    ]
    .into_iter()
    .fold(builder, |b, text| b.record(owner, text));
    let served = Served::start(builder.record("4/26.data.test", "PTR Www.Data.test")).await;
    let upstream = served.upstream();
    let mut shown = Vec::new();
    for rr_type in [RrType::AAAA, RrType::TLSA, RrType::SRV, RrType::SVCB, RrType::HTTPS, RrType::CAA] {
        let answer = ask(&upstream, owner, rr_type).await.unwrap();
        assert_eq!(answer.status, DnssecStatus::Secure);
        shown.push(answer.records[0].to_string());
    }
    assert_eq!(
        shown,
        [
            "2001:db8::1",
            "3 1 1 0102",
            "1 2 443 host.data.test",
            "1 svc.data.test port=8443",
            "0 other.test",
            "128 issue \"ca.test\""
        ]
    );
    let mx = ask(&upstream, owner, RrType::MX).await.unwrap();
    assert_eq!(mx.records, [RecordData::Other(b"\x00\x0a\x04mail\x04data\x04test\x00".to_vec())]);
    let ptr = ask(&upstream, "4/26.data.test", RrType::PTR).await.unwrap();
    assert_eq!(ptr.records, [RecordData::Ptr(name("www.data.test"))]);
}

#[tokio::test]
async fn an_answer_says_how_long_it_and_its_signatures_hold() {
    let served = Served::start(
        zones().record("short.nsec.test", "7 A 127.0.1.9").record("long.nsec.test", "90000 A 127.0.1.9"),
    )
    .await;
    let upstream = served.upstream();
    let short = ask(&upstream, "short.nsec.test", RrType::A).await.unwrap();
    let now = clock()();
    assert!(short.signatures.unwrap().contains(now));
    assert_eq!(short.ttl, 7);
    assert_eq!(ask(&upstream, "long.nsec.test", RrType::A).await.unwrap().ttl, 3600);
    assert_eq!(ask(&upstream, "www.unsigned.test", RrType::A).await.unwrap().signatures, None);
    assert!(ask(&upstream, "x.wild.nsec.test", RrType::A).await.unwrap().wildcard);
    let chain = ask(&upstream, "alias.nsec.test", RrType::A).await.unwrap();
    assert_eq!(chain.chain_end(), Some(&name("www.nsec.test")));
}

#[tokio::test]
async fn a_clock_outside_of_the_signatures_makes_everything_bogus() {
    let served = Served::start(zones()).await;
    let late: Clock = Arc::new(|| clock()().saturating_add(40 * 86_400));
    let upstream = Upstream::new(served.config(), late).unwrap();
    assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "bogus");
    assert_eq!(told(&ask(&upstream, "www.unsigned.test", RrType::A).await), "bogus");
}

#[tokio::test]
async fn other_anchors_make_everything_bogus() {
    let served = Served::start(zones()).await;
    for anchors in [Arc::new(Anchors::iana()), Served::start(zones()).await.anchors()] {
        let upstream = Upstream::new(config(&[&served.lab], Validation::Validate(anchors)), clock()).unwrap();
        assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "bogus");
        let probe = upstream.probe(soon()).await;
        assert!(matches!(probe, Err(UpstreamError::ProbeFailed(DnsFailure::Bogus(_)))), "{probe:?}");
    }
    assert_eq!(served.upstream().probe(soon()).await, Ok(()));
}

#[tokio::test]
async fn an_anchor_below_the_root_is_an_island_of_security() {
    let served = Served::start(
        zones()
            .zone("plain.below.unsigned.test", Signing::Unsigned)
            .record("www.plain.below.unsigned.test", "A 127.0.1.1")
            .record("bad.below.unsigned.test", "A 127.0.1.1")
            .sabotage("bad.below.unsigned.test", "A", Sabotage::MissingSignature),
    )
    .await;
    // The island's own key, as its zone shows it.
    let plain = Upstream::new(config(&[&served.lab], Validation::Unchecked), clock()).unwrap();
    let key = ask(&plain, "below.unsigned.test", RrType::DNSKEY).await.unwrap();
    let RecordData::Other(rdata) = &key.records[0] else { panic!("{key:?}") };
    let text = format!(
        "below.unsigned.test. IN DNSKEY {} {} {} {}",
        u16::from_be_bytes([rdata[0], rdata[1]]),
        rdata[2],
        rdata[3],
        data_encoding::BASE64.encode(&rdata[4..])
    );
    let anchors = |text: &str| Validation::Validate(Arc::new(Anchors::parse(text).unwrap()));
    let root = served.universe.trust_anchor();
    for text in [format!("{root}{text}\n"), text.clone()] {
        let upstream = Upstream::new(config(&[&served.lab], anchors(&text)), clock()).unwrap();
        assert_eq!(told(&ask(&upstream, "www.below.unsigned.test", RrType::A).await), "secure records");
        assert_eq!(told(&ask(&upstream, "bad.below.unsigned.test", RrType::A).await), "bogus");
        assert_eq!(
            told(&ask(&upstream, "www.plain.below.unsigned.test", RrType::A).await),
            "insecure records"
        );
        assert_eq!(told(&ask(&upstream, "www.unsigned.test", RrType::A).await), "insecure records");
    }
    // Without the root's anchor, names outside of the island are neither secure nor bogus.
    let upstream = Upstream::new(config(&[&served.lab], anchors(&text)), clock()).unwrap();
    assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "insecure records");
}

#[tokio::test]
async fn a_key_that_was_changed_is_noticed_and_mended_zones_recover() {
    let served = Served::start(zones().ttl(0)).await;
    let upstream = served.upstream();
    assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "secure records");
    served.universe.replace(|now| now.roll_key("nsec.test").broken_ds("nsec.test", true)).unwrap();
    assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "bogus");
    served.universe.replace(UniverseBuilder::mend).unwrap();
    assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "secure records");
}

#[tokio::test]
async fn questions_are_counted_and_kept_keys_cost_nothing() {
    let served = Served::start(zones()).await;
    let upstream = served.upstream();
    let mut spent = Vec::new();
    for owner in ["www.nsec.test", "a.b.nsec.test", "www.unsigned.test", "a.b.unsigned.test"] {
        let budget = QueryBudget::new(64);
        let before = served.lab.queries().total();
        upstream.ask(&name(owner), RrType::A, &budget, soon()).await.unwrap();
        assert_eq!(u64::from(budget.spent()), served.lab.queries().total() - before);
        spent.push(budget.spent());
    }
    // The answer, and DNSKEY and DS of root, test and nsec.test; then the answer; then with one more DS.
    assert_eq!(spent, [6, 1, 2, 1]);
}

#[tokio::test]
async fn those_who_ask_at_once_share_the_keys() {
    let served = Served::start(zones()).await;
    let upstream = served.upstream();
    let types = [RrType::A, RrType::AAAA, RrType::TLSA, RrType::CAA, RrType::SRV, RrType::TXT];
    let asked = types.map(|rr_type| ask(&upstream, "www.nsec3.test", rr_type));
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|a| a.as_ref().unwrap().status == DnssecStatus::Secure));
    for (owner, rr_type) in
        [(".", "DNSKEY"), ("test", "DNSKEY"), ("test", "DS"), ("nsec3.test", "DNSKEY"), ("nsec3.test", "DS")]
    {
        assert_eq!(served.lab.queries().count(owner, rr_type), 1, "{owner} {rr_type}");
    }
}

#[tokio::test]
async fn an_exhausted_budget_is_its_own_failure_whatever_it_hits() {
    let served = Served::start(zones()).await;
    for allowed in 0..6 {
        let budget = QueryBudget::new(allowed);
        let result = served.upstream().ask(&name("www.nsec.test"), RrType::A, &budget, soon()).await;
        assert_eq!((result, budget.spent()), (Err(DnsFailure::Budget), allowed));
    }
}

#[tokio::test]
async fn a_failure_on_the_way_to_the_keys_fails_the_question_and_is_not_absence() {
    let served = Served::start(zones()).await;
    for (owner, rr_type, asked) in [
        ("nsec.test", "DNSKEY", "www.nsec.test"),
        ("nsec.test", "DS", "www.nsec.test"),
        ("unsigned.test", "DS", "www.unsigned.test"),
        (".", "DNSKEY", "none.nsec.test"),
    ] {
        served.lab.faults().set(Scope::name(owner).unwrap().of_type(rr_type).unwrap(), Fault::ServFail);
        assert_eq!(
            ask(&served.upstream(), asked, RrType::A).await,
            Err(DnsFailure::ServFail),
            "{owner} {rr_type}"
        );
        served.lab.faults().clear_all();
    }
}

#[tokio::test]
async fn faults_of_the_server_have_their_own_failures() {
    let served = Served::start(zones()).await;
    let quick = |timeout| UpstreamConfig { timeout: Duration::from_millis(timeout), ..served.config() };
    for (kind, expected) in [
        (Fault::ServFail, Err(DnsFailure::ServFail)),
        (Fault::Refuse, Err(DnsFailure::Refused)),
        // Octets that are no response to the question are passed over, as a forger might have sent them.
        (Fault::Garbage, Err(DnsFailure::Timeout)),
        (Fault::Silent, Err(DnsFailure::Timeout)),
        (Fault::TruncateAndStall, Err(DnsFailure::Timeout)),
    ] {
        fault(&served.lab, "www.nsec.test", None, kind);
        let upstream = Upstream::new(quick(300), clock()).unwrap();
        assert_eq!(ask(&upstream, "www.nsec.test", RrType::A).await, expected, "{kind:?}");
    }
    for kind in [Fault::Truncate, Fault::Delay(Duration::from_millis(50))] {
        fault(&served.lab, "www.nsec.test", None, kind);
        assert_eq!(
            told(&ask(&served.upstream(), "www.nsec.test", RrType::A).await),
            "secure records",
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn the_deadline_ends_everything() {
    let served = Served::start(zones()).await;
    fault(&served.lab, "nsec.test", Some("DNSKEY"), Fault::Silent);
    let started = Instant::now();
    let deadline = started + Duration::from_millis(200);
    let result =
        served.upstream().ask(&name("www.nsec.test"), RrType::A, &QueryBudget::new(64), deadline).await;
    assert_eq!(result, Err(DnsFailure::Timeout));
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn another_server_answers_for_one_that_fails() {
    let universe = zones().build().unwrap();
    let (bad, good) = (
        universe.serve(Listen::loopback()).await.unwrap(),
        universe.serve(Listen::loopback()).await.unwrap(),
    );
    let anchors = Arc::new(Anchors::parse(&universe.trust_anchor()).unwrap());
    for kind in [Fault::ServFail, Fault::Refuse, Fault::Silent, Fault::Garbage] {
        fault(&bad, ".", None, kind);
        let config = UpstreamConfig {
            timeout: Duration::from_millis(400),
            ..config(&[&bad, &good], Validation::Validate(Arc::clone(&anchors)))
        };
        let upstream = Upstream::new(config, clock()).unwrap();
        assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "secure records", "{kind:?}");
        // The one that answered is asked first from then on.
        let before = bad.queries().total();
        assert_eq!(told(&ask(&upstream, "a.b.nsec.test", RrType::A).await), "secure records");
        assert_eq!(bad.queries().total(), before);
    }
}

#[tokio::test]
async fn nobody_listening_is_refused_where_it_can_be_told() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    for (protocol, expected) in [(Protocol::Udp, DnsFailure::Timeout), (Protocol::Tcp, DnsFailure::Refused)] {
        let config = UpstreamConfig {
            servers: vec![Server { address, protocol }],
            timeout: Duration::from_millis(100),
            ..config(&[], Validation::Unchecked)
        };
        let upstream = Upstream::new(config, clock()).unwrap();
        assert_eq!(ask(&upstream, "www.test", RrType::A).await, Err(expected));
    }
}

#[tokio::test]
async fn what_is_no_data_cannot_be_asked_for() {
    let served = Served::start(zones()).await;
    for number in [0, 41, 46, 47, 50, 250, 251, 252, 255] {
        assert_eq!(
            ask(&served.upstream(), "www.nsec.test", RrType(number)).await,
            Err(DnsFailure::Refused),
            "{number}"
        );
    }
    assert_eq!(served.lab.queries().total(), 0);
}

#[tokio::test]
async fn thousands_of_ptr_records_are_an_answer_and_more_than_a_message_holds_are_none() {
    let address = "127.0.9.9".parse().unwrap();
    for (count, expected) in [(3_000, "secure records"), (10_000, "SERVFAIL")] {
        let served = Served::start(Universe::builder().many_ptrs(address, "test", count)).await;
        let upstream = served.upstream();
        let result =
            upstream.ask(&DnsName::reverse(address), RrType::PTR, &QueryBudget::new(64), soon()).await;
        assert_eq!(told(&result), expected);
        if let Ok(answer) = result {
            assert_eq!(answer.records.len(), 3_000);
        }
    }
}

/// The roots of a CA, as DoT and DoH need them.
fn roots(ca: &CertificateAuthority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.root()).unwrap();
    Arc::new(roots)
}

#[tokio::test]
async fn dot_and_doh_authenticate_the_server() {
    let ca = CertificateAuthority::servers().unwrap();
    let identity = ca.leaf().dns("dns.test").ip("127.0.0.1".parse().unwrap()).issue().unwrap();
    let universe = zones().build().unwrap();
    let lab =
        universe.serve(Listen::loopback().dot(&identity).unwrap().doh(&identity).unwrap()).await.unwrap();
    let anchors = Arc::new(Anchors::parse(&universe.trust_anchor()).unwrap());
    let tls = |server_name: &str| Server {
        address: lab.dot_address().unwrap(),
        protocol: Protocol::Tls { server_name: server_name.into() },
    };
    let https = |server_name: &str| Server {
        address: lab.doh_address().unwrap(),
        protocol: Protocol::Https { server_name: server_name.into(), path: "/dns-query".into() },
    };
    let asked = |server: Server, tls_roots: Arc<RootCertStore>| {
        let config = UpstreamConfig {
            servers: vec![server],
            tls_roots,
            ..config(&[], Validation::Validate(Arc::clone(&anchors)))
        };
        let upstream = Upstream::new(config, clock()).unwrap();
        async move {
            let first = told(&ask(&upstream, "www.nsec.test", RrType::A).await);
            (first, told(&ask(&upstream, "none.nsec3.test", RrType::A).await))
        }
    };
    let secure = ("secure records".to_owned(), "secure nxdomain".to_owned());
    for server in [tls("dns.test"), tls("127.0.0.1"), https("dns.test")] {
        assert_eq!(asked(server.clone(), roots(&ca)).await, secure, "{server:?}");
    }
    let other = CertificateAuthority::servers().unwrap();
    for (server, roots) in [
        (tls("other.test"), roots(&ca)),
        (https("other.test"), roots(&ca)),
        (tls("dns.test"), roots(&other)),
        (https("dns.test"), roots(&other)),
    ] {
        let (first, second) = asked(server.clone(), roots).await;
        assert!(!first.contains("records") && !second.contains("nxdomain"), "{server:?}: {first}, {second}");
    }
}

#[tokio::test]
async fn configurations_that_cannot_work_or_be_trusted_are_refused() {
    let outside = Server { address: "192.0.2.53:53".parse().unwrap(), protocol: Protocol::Udp };
    let tls = Server { protocol: Protocol::Tls { server_name: "dns.test".into() }, ..outside.clone() };
    let odd = Server { protocol: Protocol::Tls { server_name: "no name".into() }, ..outside.clone() };
    let refused = |servers: Vec<Server>, validation, tls_roots| {
        let config = UpstreamConfig { servers, tls_roots, ..config(&[], validation) };
        Upstream::new(config, clock()).err().unwrap()
    };
    let none = || Arc::new(RootCertStore::empty());
    assert_eq!(refused(vec![], Validation::Unchecked, none()), UpstreamError::NoServer);
    assert_eq!(
        refused(vec![outside.clone(); 17], Validation::Unchecked, none()),
        UpstreamError::TooManyServers(17)
    );
    assert_eq!(
        refused(vec![outside.clone()], Validation::trust_ad(), none()),
        UpstreamError::UntrustedPath(outside.address)
    );
    assert_eq!(
        refused(vec![tls.clone()], Validation::Unchecked, none()),
        UpstreamError::NoTlsRoots(tls.address)
    );
    assert_eq!(
        refused(vec![odd], Validation::Unchecked, none()),
        UpstreamError::BadServerName("no name".into())
    );
    let ca = CertificateAuthority::servers().unwrap();
    let config =
        UpstreamConfig { servers: vec![tls], tls_roots: roots(&ca), ..config(&[], Validation::trust_ad()) };
    assert!(Upstream::new(config, clock()).is_ok());
}

#[tokio::test]
async fn without_validation_nothing_is_secure_and_nothing_is_bogus() {
    let served = Served::start(zones()).await;
    let upstream = Upstream::new(config(&[&served.lab], Validation::Unchecked), clock()).unwrap();
    for owner in ["www.nsec.test", "www.broken.test", "www.expired.test", "www.unsigned.test"] {
        assert_eq!(told(&ask(&upstream, owner, RrType::A).await), "insecure records", "{owner}");
    }
    let none = ask(&upstream, "none.nsec.test", RrType::A).await.unwrap();
    assert_eq!((none.negative, none.signatures), (Some(Negative::NxDomain), None));
    fault(&served.lab, ".", None, Fault::ServFail);
    assert_eq!(ask(&upstream, "www.nsec.test", RrType::A).await, Err(DnsFailure::ServFail));
}

#[tokio::test]
async fn trust_ad_refuses_to_start_where_ad_never_comes() {
    let served = Served::start(zones()).await;
    let upstream = Upstream::new(config(&[&served.lab], Validation::trust_ad()), clock()).unwrap();
    assert_eq!(upstream.probe(soon()).await, Err(UpstreamError::NoAdBit));
    assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "insecure records");
    fault(&served.lab, ".", None, Fault::ServFail);
    assert_eq!(upstream.probe(soon()).await, Err(UpstreamError::ProbeFailed(DnsFailure::ServFail)));
}
