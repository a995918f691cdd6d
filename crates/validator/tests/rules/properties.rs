//! What holds whatever the DNS says: over random small universes.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use revouch_validator::answer::{DnsFailure, DnssecStatus};
use revouch_validator::cert::CertificateFacts;
use revouch_validator::chain::Chain;
use revouch_validator::decide::{Case, PathVerdicts, decide, decide_with};
use revouch_validator::path::{CrlPolicy, PathKey, PathRequest, PathVerdict, Purpose, validate};
use revouch_validator::plan;
use revouch_validator::policy::{
    BothEku, ClassChoice, Dnssec, MixedNames, PolicyDraft, SourcePort, Subjects, TlsaMode, UnmarkedEku,
};
use revouch_validator::reason::Reason;
use revouch_validator::record::Record;
use revouch_validator::rr::{RrType, Tlsa};
use revouch_validator::timestamp::Timestamp;
use revouch_validator::verdict::{Check, CheckOutcome};

use crate::common::*;

/// Certificates of every class, made once.
static CHAINS: LazyLock<Vec<Chain>> = LazyLock::new(|| {
    use rcgen::ExtendedKeyUsagePurpose as Eku;
    let gw1 = || server(&["gw1.example.test"]);
    vec![
        gw1().chain(),
        gw1().ip("192.0.2.1").chain(),
        gw1().self_signed().chain(),
        gw1().eku(&[]).chain(),
        gw1().eku(&[Eku::Any]).chain(),
        gw1().eku(&[Eku::ServerAuth, Eku::ClientAuth]).chain(),
        gw1().email("a@example.test").chain(),
        server(&["other.example.test"]).chain(),
        server(&[]).ip("192.0.2.1").chain(),
        person("Alice").chain(),
        person("gw1").dns("gw1.example.test").chain(),
    ]
});

/// Verdicts on the paths of all chains, from a second after the time of these tests on.
static PATHS: LazyLock<Vec<Arc<PathVerdict>>> = LazyLock::new(|| {
    let (trust, moment) = (trust(), Timestamp(NOW.0 + 1));
    let path = |chain| {
        let facts = CertificateFacts::parse(Chain::leaf(chain)).unwrap();
        let (anchors, crls, crl_policy) = (&trust.server, &trust.crls, CrlPolicy::default());
        let request =
            PathRequest { chain, facts: &facts, purpose: Purpose::Server, anchors, crls, crl_policy };
        let made = validate(&request, moment);
        Arc::new(PathVerdict { valid_from: moment, ..made })
    };
    let paths: Vec<_> = CHAINS.iter().map(path).collect();
    assert!(paths.iter().any(|path| path.outcome.is_ok()) && paths.iter().any(|path| path.outcome.is_err()));
    paths
});

/// Keeps every path verdict.
#[derive(Default)]
struct Kept(RefCell<Vec<Arc<PathVerdict>>>);

impl PathVerdicts for Kept {
    fn find(&self, key: &PathKey) -> Option<Arc<PathVerdict>> {
        self.0.borrow().iter().find(|path| path.key == *key).cloned()
    }

    fn keep(&self, made: &Arc<PathVerdict>) {
        self.0.borrow_mut().push(Arc::clone(made));
    }
}

/// Gives out one path verdict, whatever is asked for.
struct Liar(Arc<PathVerdict>);

impl PathVerdicts for Liar {
    fn find(&self, _: &PathKey) -> Option<Arc<PathVerdict>> {
        Some(Arc::clone(&self.0))
    }

    fn keep(&self, _: &Arc<PathVerdict>) {}
}

fn status() -> impl Strategy<Value = DnssecStatus> {
    prop::sample::select(vec![DnssecStatus::Insecure, DnssecStatus::Exempt, DnssecStatus::Secure])
}

fn failure() -> impl Strategy<Value = DnsFailure> {
    prop::sample::select(vec![
        DnsFailure::Bogus("x".into()),
        DnsFailure::Timeout,
        DnsFailure::ServFail,
        DnsFailure::Budget,
    ])
}

fn tlsa() -> impl Strategy<Value = Tlsa> {
    let matching = (0..CHAINS.len(), 0..=3_u8, 0..=1_u8, 0..=2_u8);
    prop_oneof![
        4 => matching.prop_map(|(chain, usage, selector, matching)| tlsa_of(&CHAINS[chain], usage, selector, matching)),
        1 => (0..=3_u8).prop_map(tlsa_of_nobody),
        1 => unusable(),
    ]
}

fn unusable() -> impl Strategy<Value = Tlsa> {
    let data = prop::collection::vec(any::<u8>(), 0..8);
    (4..=255_u8, any::<u8>(), any::<u8>(), data).prop_map(|(usage, selector, matching, data)| Tlsa {
        usage,
        selector,
        matching,
        data,
    })
}

/// Where TLSA and service records may stand in the random universes.
const TLSA_OWNERS: &[&str] = &[
    "_5269._tcp.gw1.example.test",
    "_5270._tcp.gw1.example.test",
    "_40000._tcp.gw1.example.test",
    "_5269._tcp.1.2.0.192.in-addr.arpa",
    "_5269._tcp.a.example.test",
];
const SERVICE: &str = "_xmpps-server._tcp.gw1.example.test";

prop_compose! {
    fn dns()(
        base in status(),
        ptr in prop::sample::subsequence(vec!["gw1.example.test", "a.example.test", "x.invalid"], 0..=3),
        forwards in prop::collection::vec((prop::sample::select(vec!["gw1.example.test", "a.example.test"]), status()), 0..3),
        sets in prop::collection::vec((prop::sample::select(TLSA_OWNERS.to_vec()), prop::collection::vec(tlsa(), 1..4), status()), 0..4),
        ports in prop::collection::vec((0..3_u16, prop::sample::select(vec![5270_u16, 40_000, 0])), 0..3),
        failures in prop::collection::vec((0..9_usize, failure()), 0..2),
    ) -> Dns {
        let mut dns = secure();
        dns.rest = base;
        dns = dns.ptr(&ptr).a("gw1.example.test", &["192.0.2.1"]);
        for (owner, status) in forwards {
            dns = dns.a(owner, &["192.0.2.1"]).status(owner, RrType::A, status);
        }
        for (owner, records, status) in sets {
            dns = dns.tlsa(owner, &records).status(owner, RrType::TLSA, status);
        }
        let srv: Vec<_> = ports.iter().map(|(priority, port)| (*priority, *port, "gw1.example.test")).collect();
        dns = dns.srv(SERVICE, &srv);
        for (place, failure) in failures {
            let (owner, rr_type) = match place {
                0 => (REVERSE, RrType::PTR),
                1 => ("gw1.example.test", RrType::A),
                2 => (SERVICE, RrType::SRV),
                3 => (SERVICE, RrType::SVCB),
                place => (TLSA_OWNERS[place - 4], RrType::TLSA),
            };
            dns = dns.fails(owner, rr_type, failure);
        }
        dns
    }
}

prop_compose! {
    fn draft()(
        (both, absent, any) in (prop::sample::select(BothEku::ALL), prop::sample::select(UnmarkedEku::ALL), prop::sample::select(UnmarkedEku::ALL)),
        (mixed, subjects) in (prop::sample::select(MixedNames::ALL), prop::sample::select(Subjects::ALL)),
        (dnssec, tlsa, source_port) in (prop::sample::select(Dnssec::ALL), prop::sample::select(TlsaMode::ALL), prop::sample::select(SourcePort::ALL)),
        (client, services, names) in (any::<bool>(), any::<bool>(), prop::option::of(0..3_usize)),
    ) -> PolicyDraft {
        let client_auth = if client { ClassChoice::Accept } else { ClassChoice::Reject };
        let both = if both == BothEku::AsClientAuth && !client { BothEku::Reject } else { both };
        let list = [&["gw1.example.test"][..], &["a.example.test", "gw1.example.test"], &["*.example.test"]];
        PolicyDraft {
            client_auth, has_client_trust: client, both, absent, any, mixed_names: mixed, subjects, dnssec, tlsa, source_port,
            services: if services { vec!["_xmpps-server._tcp".parse().unwrap()] } else { vec![] },
            names: names.map(|n| list[n].iter().map(|text| text.parse().unwrap()).collect()),
            ..PolicyDraft::default()
        }
    }
}

/// The place of a check in the order of docs/verdict.md, "Which reason is given"; 0 is before there is a candidate.
fn stage(check: &Check) -> usize {
    let order: [&[&str]; 9] = [
        &["ptr"],
        &["usable"],
        &["listed"],
        &["forward"],
        &["answers", "dnssec"],
        &["source-port"],
        &["tlsa", "class", "names-mixed"],
        &["path"],
        &["name"],
    ];
    let is_of_the_peer = check.candidate.is_none() && matches!(check.check, "class" | "names-mixed");
    let place = order.iter().position(|words| words.contains(&check.check) && !is_of_the_peer);
    place.map_or(0, |place| place + 1)
}

/// One step stricter, in the fields where strictness has an order (see docs/verdict.md).
/// Whether a policy is still one if it declines serverAuth: it accepts clientAuth, and takes nothing else for a server.
fn may_do_without_servers(draft: &PolicyDraft) -> bool {
    draft.client_auth == ClassChoice::Accept
        && draft.both != BothEku::AsServerAuth
        && draft.absent == UnmarkedEku::Reject
        && draft.any == UnmarkedEku::Reject
}

fn stricter(draft: &PolicyDraft, field: usize) -> PolicyDraft {
    let mut strict = draft.clone();
    match field {
        0 => strict.dnssec = Dnssec::Required,
        1 if strict.tlsa == TlsaMode::Honor => strict.tlsa = TlsaMode::Require,
        2 => strict.both = BothEku::Reject,
        3 => strict.absent = UnmarkedEku::Reject,
        4 => strict.any = UnmarkedEku::Reject,
        5 => strict.mixed_names = MixedNames::Reject,
        6 if strict.both != BothEku::AsClientAuth => strict.client_auth = ClassChoice::Reject,
        7 if strict.source_port == SourcePort::Prefer => strict.source_port = SourcePort::Require,
        8 => strict.addresses = Some(vec!["198.51.100.0/24".parse().unwrap()]),
        9 => strict.names = Some(vec!["gw1.example.test".parse().unwrap()]),
        10 if strict.subjects == Subjects::Any => strict.subjects = Subjects::Person,
        11 if strict.subjects == Subjects::Any => strict.subjects = Subjects::Device,
        12 if may_do_without_servers(&strict) => strict.server_auth = ClassChoice::Reject,
        _ => {}
    }
    strict
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_asks_everything_that_the_decision_needs(dns in dns(), draft in draft(), chain in 0..CHAINS.len()) {
        let policy = draft.build().unwrap();
        let verdict = judge(&policy, &CHAINS[chain], &dns);
        prop_assert_ne!(verdict.reason(), Some(Reason::EvidenceMissing));
    }

    #[test]
    fn a_record_replays_to_the_same_verdict(dns in dns(), draft in draft(), chain in 0..CHAINS.len()) {
        let (policy, connection, trust) = (draft.build().unwrap(), connection(), trust());
        let (evidence, _) = dns.gather(&policy, &connection);
        let case = Case {
            policy: &policy, chain: &CHAINS[chain], connection: &connection, evidence: Some(&evidence), trust: &trust, now: NOW,
        };
        let verdict = decide(&case);
        let json = Record::of(&case, Some("p")).to_json().unwrap();
        prop_assert_eq!(Record::from_json(json.as_bytes()).unwrap().replay(), verdict.clone());
        // And a path that was kept changes nothing, and is not made again.
        let kept = Kept::default();
        let acted_on = decide_with(&case, &kept);
        let but_advice: Vec<_> = verdict.checks().iter().filter(|check| check.check != "advice").cloned().collect();
        prop_assert_eq!(acted_on.checks(), but_advice);
        prop_assert_eq!(acted_on.decisive(), verdict.decisive());
        prop_assert_eq!(acted_on.without_checks(), verdict.without_checks());
        let made = kept.0.borrow().len();
        prop_assert!(made <= 1);
        prop_assert_eq!(&decide_with(&case, &kept), &acted_on);
        prop_assert_eq!(kept.0.borrow().len(), made);
        // Neither does one that was made from other values, whoever gives it out.
        for path in PATHS.iter() {
            prop_assert_eq!(&decide_with(&case, &Liar(Arc::clone(path))), &acted_on);
        }
    }

    #[test]
    fn an_unusable_tlsa_record_in_a_usable_set_never_changes_the_outcome(
        dns in dns(), draft in draft(), chain in 0..CHAINS.len(), set in 0..TLSA_OWNERS.len(), extra in unusable(),
    ) {
        let policy = draft.build().unwrap();
        let before = judge(&policy, &CHAINS[chain], &dns);
        let mut changed = dns.clone();
        let usable = tlsa_of(&CHAINS[chain], 1, 1, 1);
        if let Some(records) = changed.tlsa_records(TLSA_OWNERS[set]) {
            let status = changed.status_of(TLSA_OWNERS[set], RrType::TLSA);
            let usable_set = revouch_validator::dane::usable(&records, status == Some(DnssecStatus::Secure));
            prop_assume!(!usable_set.is_empty());
            let mut more = records.clone();
            more.push(extra.clone());
            changed = changed.tlsa(TLSA_OWNERS[set], &more);
            if let Some(status) = status {
                changed = changed.status(TLSA_OWNERS[set], RrType::TLSA, status);
            }
            let after = judge(&policy, &CHAINS[chain], &changed);
            prop_assert_eq!(told(&before), told(&after));
        } else {
            let alone = judge(&policy, &CHAINS[chain], &dns.clone().tlsa(TLSA_OWNERS[set], std::slice::from_ref(&usable)));
            let both = judge(&policy, &CHAINS[chain], &dns.tlsa(TLSA_OWNERS[set], &[usable, extra]));
            prop_assert_eq!(told(&alone), told(&both));
        }
    }

    #[test]
    fn no_stricter_policy_accepts_what_a_laxer_one_refuses(
        dns in dns(), draft in draft(), field in 0..13_usize, chain in 0..CHAINS.len(),
    ) {
        let (connection, trust) = (connection(), trust());
        let strict = stricter(&draft, field).build().unwrap();
        let lax = draft.build().unwrap();
        // One evidence for both: what either of them wants to know.
        let (mut evidence, _) = dns.gather(&lax, &connection);
        for observation in dns.gather(&strict, &connection).0.iter() {
            evidence.insert(observation.clone());
        }
        let with = |policy| decide(&Case {
            policy, chain: &CHAINS[chain], connection: &connection, evidence: Some(&evidence), trust: &trust, now: NOW,
        });
        prop_assert!(!with(&strict).is_accepted() || with(&lax).is_accepted(), "{:?} {:?}", with(&strict), with(&lax));
    }

    #[test]
    fn no_bogus_decisive_answer_of_the_accepted_name_is_ever_passed_over(dns in dns(), draft in draft(), chain in 0..CHAINS.len()) {
        let policy = draft.build().unwrap();
        let verdict = judge(&policy, &CHAINS[chain], &dns);
        if verdict.is_accepted() && verdict.class() != Some(revouch_validator::verdict::PeerClass::Person) {
            let broken = judge(&policy, &CHAINS[chain], &dns.bogus(REVERSE, RrType::PTR));
            prop_assert!(!broken.is_accepted());
        }
    }

    #[test]
    fn the_decisive_check_is_the_failed_one_of_the_candidate_that_came_furthest(
        dns in dns(), draft in draft(), chain in 0..CHAINS.len(),
    ) {
        let verdict = judge(&draft.build().unwrap(), &CHAINS[chain], &dns);
        let failed = verdict.checks().iter().filter(|check| check.outcome == CheckOutcome::Fail);
        let furthest = failed.min_by_key(|check| std::cmp::Reverse(stage(check)));
        prop_assert_eq!(verdict.decisive(), furthest.filter(|_| !verdict.is_accepted()));
        prop_assert_eq!(verdict.decisive().is_none(), verdict.is_accepted());
    }

    #[test]
    fn the_plan_is_bounded_and_asks_nothing_twice(dns in dns(), draft in draft()) {
        let policy = draft.build().unwrap();
        let (_, asked) = dns.gather(&policy, &connection());
        let mut questions: Vec<_> = asked.iter().map(|p: &plan::Planned| p.question.clone()).collect();
        questions.sort();
        questions.dedup();
        prop_assert_eq!(questions.len(), asked.len());
        prop_assert!(asked.len() < 120, "{}", asked.len());
    }
}
