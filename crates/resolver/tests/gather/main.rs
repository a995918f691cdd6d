//! The evidence for whole connections, from a signed universe over real sockets, and what the decision makes of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod routing;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use revouch_lab::{
    CertificateAuthority, Fault, Identity, Listen, Sabotage, Scope, Server as Lab, Signing, Universe,
    UniverseBuilder,
};
use revouch_resolver::anchors::Anchors;
use revouch_resolver::upstream::{Protocol, Server};
use revouch_resolver::{Builder, Observer, Resolver};
use revouch_validator::answer::{DnsFailure, DnssecStatus, Negative};
use revouch_validator::chain::Chain;
use revouch_validator::connection::Connection;
use revouch_validator::decide::{Case, decide};
use revouch_validator::evidence::{AnswerSource, Evidence, Observation};
use revouch_validator::name::DnsName;
use revouch_validator::plan;
use revouch_validator::policy::{Policy, PolicyDraft, SourcePort};
use revouch_validator::reason::Reason;
use revouch_validator::rr::RrType;
use revouch_validator::timestamp::Timestamp;
use revouch_validator::trust::TrustStore;
use revouch_validator::verdict::Verdict;

/// The port of the listener in every test.
const PORT: u16 = 8443;

/// A universe that is served, and a resolver that asks it.
struct Scene {
    universe: Universe,
    lab: Lab,
    resolver: Resolver,
}

impl Scene {
    async fn new(universe: UniverseBuilder) -> Self {
        Self::with(universe, |builder| builder).await
    }

    async fn with(universe: UniverseBuilder, change: impl FnOnce(Builder) -> Builder) -> Self {
        let universe = universe.build().unwrap();
        let lab = universe.serve(Listen::loopback()).await.unwrap();
        let builder = Resolver::builder()
            .servers(vec![server(lab.address())])
            .anchors(Anchors::parse(&universe.trust_anchor()).unwrap())
            .patience(Duration::from_secs(10), 1);
        Self { universe, lab, resolver: change(builder).build().unwrap() }
    }

    async fn gather(&self, policy: &Policy, source: &str) -> Arc<Evidence> {
        let evidence = self.resolver.gather(policy, &connection(source)).await;
        let open = plan::questions(policy, &connection(source), &evidence, now());
        assert!(!open.iter().any(plan::Planned::is_decisive), "{open:?}");
        evidence
    }

    /// What becomes of a peer with this certificate if nobody but the DNS is trusted.
    async fn judge(&self, policy: &Policy, source: &str, identity: &Identity) -> Verdict {
        let evidence = self.gather(policy, source).await;
        decide(&Case {
            policy,
            chain: &Chain::new(identity.chain()).unwrap(),
            connection: &connection(source),
            evidence: Some(&evidence),
            trust: &TrustStore::none(),
            now: now(),
        })
    }
}

fn server(address: SocketAddr) -> Server {
    Server { address, protocol: Protocol::Udp }
}

fn connection(source: &str) -> Connection {
    Connection::new(SocketAddr::new(source.parse().unwrap(), 40_000), PORT)
}

fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

/// The defaults with ample time, as machines that run tests are slow.
fn policy(change: impl FnOnce(&mut PolicyDraft)) -> Policy {
    let mut draft = PolicyDraft { deadline_ms: 30_000, ..PolicyDraft::default() };
    change(&mut draft);
    draft.build().unwrap()
}

fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

fn seen<'e>(evidence: &'e Evidence, at: &str, rr_type: RrType) -> &'e Observation {
    evidence.get(&name(at), rr_type).unwrap_or_else(|| panic!("{at} {rr_type} was not asked"))
}

fn status(evidence: &Evidence, at: &str, rr_type: RrType) -> DnssecStatus {
    seen(evidence, at, rr_type).outcome.as_result().unwrap().status
}

fn is_bogus(evidence: &Evidence, at: &str, rr_type: RrType) -> bool {
    matches!(seen(evidence, at, rr_type).outcome.as_result(), Err(DnsFailure::Bogus(_)))
}

/// A peer that the DNS alone vouches for, by DANE-EE.
fn gateway(zone: Signing) -> (UniverseBuilder, Identity) {
    let ca = CertificateAuthority::servers().unwrap();
    let gateway = ca.leaf().dns("gw.peer.test").issue().unwrap();
    let universe = Universe::builder()
        .zone("peer.test", zone)
        .host("gw.peer.test", "127.0.1.1".parse().unwrap())
        .tlsa("gw.peer.test", PORT, &gateway.tlsa(3, 1, 1).unwrap());
    (universe, gateway)
}

#[tokio::test]
async fn a_peer_that_signed_dns_vouches_for_is_let_in() {
    for signing in [Signing::Nsec, Signing::Nsec3] {
        let (universe, gateway) = gateway(signing);
        let scene = Scene::new(universe).await;
        let verdict = scene.judge(&policy(|_| {}), "127.0.1.1", &gateway).await;
        assert!(verdict.is_accepted(), "{verdict:?}");
        let evidence = scene.gather(&policy(|_| {}), "127.0.1.1").await;
        for (at, rr_type) in [
            ("1.1.0.127.in-addr.arpa", RrType::PTR),
            ("gw.peer.test", RrType::A),
            ("_8443._tcp.gw.peer.test", RrType::TLSA),
        ] {
            assert_eq!(status(&evidence, at, rr_type), DnssecStatus::Secure, "{at}");
        }
    }
}

#[tokio::test]
async fn a_peer_whose_zone_is_unsigned_cannot_be_vouched_for_by_dane_ee() {
    let (universe, gateway) = gateway(Signing::Unsigned);
    let scene = Scene::new(universe).await;
    let verdict = scene.judge(&policy(|_| {}), "127.0.1.1", &gateway).await;
    assert!(!verdict.is_accepted());
    let evidence = scene.gather(&policy(|_| {}), "127.0.1.1").await;
    assert_eq!(status(&evidence, "gw.peer.test", RrType::A), DnssecStatus::Insecure);
}

#[tokio::test]
async fn cold_gatherings_stay_within_the_budgets() {
    for signing in [Signing::Nsec, Signing::Nsec3, Signing::Unsigned] {
        let (universe, _) = gateway(signing);
        let universe = universe
            .zone("second.test", signing)
            .zone("third.test", signing)
            .host("gw.second.test", "127.0.1.1".parse().unwrap())
            .host("gw.third.test", "127.0.1.1".parse().unwrap());
        let scene = Scene::new(universe).await;
        let evidence = scene.gather(&policy(|_| {}), "127.0.1.1").await;
        for host in ["gw.peer.test", "gw.second.test", "gw.third.test"] {
            assert!(seen(&evidence, host, RrType::A).outcome.as_result().is_ok(), "{signing:?} {host}");
        }
        let spent: u32 = evidence.iter().map(|o| o.upstream_queries).sum();
        assert!(spent > 0 && u64::from(spent) <= scene.lab.queries().total(), "{signing:?} {spent}");
    }
}

#[tokio::test]
async fn a_warm_gathering_sends_nothing() {
    let (universe, gateway) = gateway(Signing::Nsec);
    let scene = Scene::new(universe).await;
    let policy = policy(|_| {});
    scene.gather(&policy, "127.0.1.1").await;
    // The advice goes on by itself: what it sends must not be counted against the second gathering.
    let advice = plan::questions(
        &policy,
        &connection("127.0.1.1"),
        &Evidence::new("127.0.1.1".parse().unwrap()),
        now(),
    );
    assert!(advice.iter().any(plan::Planned::is_decisive));
    loop {
        let evidence = scene.gather(&policy, "127.0.1.1").await;
        if plan::questions(&policy, &connection("127.0.1.1"), &evidence, now()).is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let asked = scene.lab.queries().total();
    assert!(scene.judge(&policy, "127.0.1.1", &gateway).await.is_accepted());
    let evidence = scene.gather(&policy, "127.0.1.1").await;
    assert_eq!(scene.lab.queries().total(), asked);
    assert!(evidence.iter().all(|o| o.source == AnswerSource::Cache));
    assert!(evidence.get(&name("gw.peer.test"), RrType::CAA).is_some());
}

#[tokio::test]
async fn r9_a_bogus_forward_answer_disqualifies_that_name_and_a_bogus_ptr_all() {
    let (universe, gateway) = gateway(Signing::Nsec);
    let universe = universe
        .zone("bad.test", Signing::Nsec)
        .host("a.bad.test", "127.0.1.1".parse().unwrap())
        .sabotage("a.bad.test", "A", Sabotage::WrongRdata);
    let scene = Scene::new(universe).await;
    let evidence = scene.gather(&policy(|_| {}), "127.0.1.1").await;
    assert!(is_bogus(&evidence, "a.bad.test", RrType::A));
    assert!(evidence.get(&name("_8443._tcp.a.bad.test"), RrType::TLSA).is_none());
    assert!(scene.judge(&policy(|_| {}), "127.0.1.1", &gateway).await.is_accepted());

    let (universe, gateway) = self::gateway(Signing::Nsec);
    let scene =
        Scene::new(universe.sabotage("1.1.0.127.in-addr.arpa", "PTR", Sabotage::ExpiredSignature)).await;
    let verdict = scene.judge(&policy(|_| {}), "127.0.1.1", &gateway).await;
    assert_eq!(verdict.reason(), Some(Reason::DnsBogus));
    let evidence = scene.gather(&policy(|_| {}), "127.0.1.1").await;
    assert!(evidence.get(&name("gw.peer.test"), RrType::A).is_none());
}

#[tokio::test]
async fn r8_an_rfc_2317_alias_is_followed_and_its_end_is_looked_at_too() {
    let universe = Universe::builder()
        .zone("peer.test", Signing::Nsec)
        .address("gw.peer.test", "127.0.1.1".parse().unwrap())
        .record("1.1.0.127.in-addr.arpa", "CNAME 1.0/25.1.0.127.in-addr.arpa")
        .record("1.0/25.1.0.127.in-addr.arpa", "PTR gw.peer.test");
    let scene = Scene::new(universe).await;
    let evidence = scene.gather(&policy(|_| {}), "127.0.1.1").await;
    let ptr = seen(&evidence, "1.1.0.127.in-addr.arpa", RrType::PTR).outcome.as_result().unwrap();
    assert_eq!((ptr.status, ptr.chain.len()), (DnssecStatus::Secure, 1));
    for at in ["_8443._tcp.1.1.0.127.in-addr.arpa", "_8443._tcp.1.0/25.1.0.127.in-addr.arpa"] {
        assert!(seen(&evidence, at, RrType::TLSA).outcome.as_result().unwrap().negative.is_some());
    }
    assert_eq!(status(&evidence, "gw.peer.test", RrType::A), DnssecStatus::Secure);
}

#[tokio::test]
async fn an_ipv6_peer_is_asked_for_in_its_own_family() {
    let universe = Universe::builder().host("six.test", "::1".parse().unwrap());
    let scene = Scene::new(universe).await;
    let evidence = scene.gather(&policy(|_| {}), "::1").await;
    assert_eq!(status(&evidence, "six.test", RrType::AAAA), DnssecStatus::Secure);
    assert!(evidence.get(&name("six.test"), RrType::A).is_none());
}

#[tokio::test]
async fn a_peer_without_ptr_is_refused_and_not_asked_for_again() {
    let (_, gateway) = gateway(Signing::Nsec);
    let scene = Scene::new(Universe::builder().ttl(0)).await;
    let verdict = scene.judge(&policy(|_| {}), "127.0.1.9", &gateway).await;
    assert_eq!(verdict.reason(), Some(Reason::NoPtr));
    let evidence = scene.gather(&policy(|_| {}), "127.0.1.9").await;
    let ptr = seen(&evidence, "9.1.0.127.in-addr.arpa", RrType::PTR);
    assert_eq!(ptr.outcome.as_result().unwrap().negative, Some(Negative::NxDomain));
    assert_eq!(ptr.source, AnswerSource::Cache);
    assert_eq!(scene.lab.queries().count("9.1.0.127.in-addr.arpa", "PTR"), 1);
}

#[tokio::test]
async fn r15_an_alias_made_from_a_wildcard_names_no_port() {
    let (universe, gateway) = gateway(Signing::Nsec);
    let required = policy(|draft| draft.source_port = SourcePort::Require);
    let aliased = universe.record("*._tcp.gw.peer.test", "CNAME tlsa.peer.test");
    let aliased = aliased.record("tlsa.peer.test", &format!("TLSA {}", gateway.tlsa(3, 1, 1).unwrap()));
    let scene = Scene::new(aliased).await;
    let evidence = scene.gather(&required, "127.0.1.1").await;
    let tlsa = seen(&evidence, "_40000._tcp.gw.peer.test", RrType::TLSA).outcome.as_result().unwrap();
    assert_eq!((tlsa.records.len(), tlsa.wildcard), (1, true));
    let verdict = scene.judge(&required, "127.0.1.1", &gateway).await;
    assert_eq!(verdict.reason(), Some(Reason::SourcePortUnlisted));
    let named = |now: UniverseBuilder| now.record("_40000._tcp.gw.peer.test", "SRV 0 0 40000 gw.peer.test");
    let (universe, gateway) = self::gateway(Signing::Nsec);
    assert!(Scene::new(named(universe)).await.judge(&required, "127.0.1.1", &gateway).await.is_accepted());
}

#[tokio::test]
async fn silence_ends_at_the_policys_deadline() {
    let (universe, gateway) = gateway(Signing::Nsec);
    let scene = Scene::new(universe).await;
    scene.lab.faults().set(Scope::suffix("peer.test").unwrap(), Fault::Silent);
    let started = Instant::now();
    let verdict = scene.judge(&policy(|draft| draft.deadline_ms = 400), "127.0.1.1", &gateway).await;
    assert!(started.elapsed() >= Duration::from_millis(400));
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert!(!verdict.is_accepted());
    let evidence = scene.gather(&policy(|draft| draft.deadline_ms = 100), "127.0.1.1").await;
    assert_eq!(seen(&evidence, "gw.peer.test", RrType::A).outcome.as_result(), Err(&DnsFailure::Timeout));
}

#[tokio::test]
async fn thousands_of_names_in_a_ptr_answer_are_bounded() {
    let address = "127.0.1.1".parse().unwrap();
    let universe = Universe::builder().zone("m.test", Signing::Nsec).many_ptrs(address, "m.test", 3_500);
    let scene = Scene::new(universe).await;
    let started = Instant::now();
    let evidence = scene.gather(&policy(|_| {}), "127.0.1.1").await;
    let ptr = seen(&evidence, "1.1.0.127.in-addr.arpa", RrType::PTR).outcome.as_result().unwrap();
    assert_eq!(ptr.records.len(), 3_500);
    assert_eq!(evidence.iter().filter(|o| o.question.rr_type == RrType::A).count(), 8);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[tokio::test]
async fn answers_change_when_the_zone_does_and_the_ttl_is_over() {
    let (universe, gateway) = gateway(Signing::Nsec);
    let scene = Scene::new(universe.ttl(0)).await;
    assert!(scene.judge(&policy(|_| {}), "127.0.1.1", &gateway).await.is_accepted());
    scene.universe.replace(|now| now.set("gw.peer.test", "0 A 127.0.1.2")).unwrap();
    let verdict = scene.judge(&policy(|_| {}), "127.0.1.1", &gateway).await;
    assert_eq!(verdict.reason(), Some(Reason::NotConfirmed));
}

/// Counts what it is told.
#[derive(Default)]
struct Counter {
    questions: AtomicU64,
    evidence: Mutex<Vec<bool>>,
}

impl Observer for Counter {
    fn question(&self, _: &Observation) {
        self.questions.fetch_add(1, Ordering::SeqCst);
    }

    fn evidence(&self, _: Duration, asked: bool) {
        self.evidence.lock().unwrap().push(asked);
    }
}

#[tokio::test]
async fn the_observer_is_told_of_questions_and_of_where_evidence_came_from() {
    let (universe, _) = gateway(Signing::Nsec);
    let counter = Arc::new(Counter::default());
    let told = Arc::clone(&counter);
    let scene = Scene::with(universe, |builder| builder.observer(told)).await;
    let policy = policy(|draft| {
        draft.caa = revouch_validator::policy::Reporting::Ignore;
        draft.cert = revouch_validator::policy::Reporting::Ignore;
        draft.services = vec!["_x._tcp".parse().unwrap()];
    });
    let evidence = scene.gather(&policy, "127.0.1.1").await;
    assert_eq!(counter.questions.load(Ordering::SeqCst), evidence.len() as u64);
    scene.gather(&policy, "127.0.1.1").await;
    assert_eq!(*counter.evidence.lock().unwrap(), [true, false]);
}
