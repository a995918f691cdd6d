#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::LazyLock;

use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};

use super::search::MAX_SAME_SUBJECT;
use super::*;
use crate::cert::testing::{DAY, Entity, FIRST, LAST, NOW, ca, leaf, server_ca};

/// A root, a serverAuth-only intermediate, and a leaf below it.
struct World {
    root: Entity,
    intermediate: Entity,
    leaf: Entity,
    anchors: Anchors,
}

impl World {
    fn new(leaf: CertificateParams) -> Self {
        Self::with(server_ca("intermediate"), leaf)
    }

    fn with(intermediate: CertificateParams, leaf: CertificateParams) -> Self {
        let root = Entity::self_signed(ca("root"));
        let intermediate = root.issue(intermediate);
        let leaf = intermediate.issue(leaf);
        let (anchors, rejected) = Anchors::from_der([root.der.clone()]);
        assert_eq!(rejected, []);
        Self { root, intermediate, leaf, anchors }
    }

    fn chain(&self) -> Chain {
        Chain::new(vec![self.leaf.der.clone(), self.intermediate.der.clone()]).unwrap()
    }

    /// The outcome of validating the chain with these settings.
    fn check(&self, setting: &Setting) -> Result<PathFacts, PathError> {
        let chain = self.chain();
        self.verdict(&chain, setting, NOW).outcome
    }

    fn verdict(&self, chain: &Chain, setting: &Setting, now: Timestamp) -> PathVerdict {
        let facts = CertificateFacts::parse(chain.leaf()).unwrap();
        validate(&setting.request(chain, &facts, &self.anchors), now)
    }

    /// CRLs of both CAs.
    fn crls(&self, next_update: Timestamp, by_intermediate: &[u64]) -> Crls {
        lists([
            self.root.crl(FIRST, next_update, &[]),
            self.intermediate.crl(FIRST, next_update, by_intermediate),
        ])
    }
}

#[derive(Clone)]
struct Setting {
    purpose: Purpose,
    crls: Crls,
    crl_policy: CrlPolicy,
}

impl Setting {
    fn request<'a>(
        &'a self,
        chain: &'a Chain,
        facts: &'a CertificateFacts,
        anchors: &'a Anchors,
    ) -> PathRequest<'a> {
        let Self { purpose, crls, crl_policy } = self;
        PathRequest { chain, facts, purpose: *purpose, anchors, crls, crl_policy: *crl_policy }
    }
}

fn purpose(purpose: Purpose) -> Setting {
    Setting { purpose, crls: Crls::none(), crl_policy: CrlPolicy::default() }
}

fn revocation(crls: Crls, unknown: CrlChoice, expired: CrlChoice) -> Setting {
    Setting { purpose: Purpose::Server, crls, crl_policy: CrlPolicy { unknown, expired } }
}

fn lists(der: impl IntoIterator<Item = Vec<u8>>) -> Crls {
    let (crls, rejected) = Crls::from_der(der);
    assert_eq!(rejected, []);
    crls
}

fn server_leaf() -> CertificateParams {
    leaf(&["a.example"])
}

fn purposes(purposes: &[ExtendedKeyUsagePurpose]) -> CertificateParams {
    let mut params = server_leaf();
    params.extended_key_usages = purposes.to_vec();
    params
}

#[test]
fn r16_a_leaf_below_an_intermediate_limited_to_server_auth_is_accepted_as_server() {
    let world = World::new(server_leaf());
    let path = world.check(&purpose(Purpose::Server)).unwrap();
    assert_eq!(
        path.certificates,
        [Fingerprint::of(&world.leaf.der), Fingerprint::of(&world.intermediate.der)]
    );
    assert_eq!(path.anchor.fingerprint, Some(Fingerprint::of(&world.root.der)));
    assert_eq!(path.anchor.subject, "CN=root");
}

#[test]
fn both_usages_below_an_intermediate_limited_to_server_auth_are_no_client() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};
    let world = World::new(purposes(&[ServerAuth, ClientAuth]));
    assert!(world.check(&purpose(Purpose::Server)).is_ok());
    assert_eq!(world.check(&purpose(Purpose::Client)), Err(PathError::ExtendedKeyUsage));
    let world = World::with(ca("unlimited"), purposes(&[ClientAuth]));
    assert!(world.check(&purpose(Purpose::Client)).is_ok());
    assert_eq!(world.check(&purpose(Purpose::Server)), Err(PathError::ExtendedKeyUsage));
    assert_eq!(world.check(&purpose(Purpose::ServerOrAny)), Err(PathError::ExtendedKeyUsage));
    let world = World::new(purposes(&[Any]));
    assert_eq!(world.check(&purpose(Purpose::Server)), Err(PathError::ExtendedKeyUsage));
    assert!(world.check(&purpose(Purpose::ServerOrAny)).is_ok());
    let world = World::new(purposes(&[CodeSigning]));
    assert_eq!(world.check(&purpose(Purpose::ServerOrAny)), Err(PathError::ExtendedKeyUsage));
    let world = World::new(purposes(&[]));
    assert!(world.check(&purpose(Purpose::ServerOrAny)).is_ok());
}

#[test]
fn an_unknown_issuer_a_missing_intermediate_and_an_empty_store_are_refused() {
    let world = World::new(server_leaf());
    let facts = CertificateFacts::parse(&world.leaf.der).unwrap();
    let alone = Chain::new(vec![world.leaf.der.clone()]).unwrap();
    let setting = purpose(Purpose::Server);
    assert_eq!(world.verdict(&alone, &setting, NOW).outcome, Err(PathError::UnknownIssuer));
    let (chain, none) = (world.chain(), Anchors::none());
    assert_eq!(validate(&setting.request(&chain, &facts, &none), NOW).outcome, Err(PathError::UnknownIssuer));
}

#[test]
fn dates_are_checked_to_the_second() {
    let world = World::new(server_leaf());
    let (chain, setting) = (world.chain(), purpose(Purpose::Server));
    let at = |seconds: u64| world.verdict(&chain, &setting, Timestamp(seconds)).outcome.map(drop);
    assert_eq!(at(FIRST.0 - 1), Err(PathError::NotYetValid { not_before: FIRST }));
    assert_eq!(at(FIRST.0), Ok(()));
    assert_eq!(at(LAST.0), Ok(()));
    assert_eq!(at(LAST.0 + 1), Err(PathError::Expired { not_after: LAST }));
}

#[test]
fn key_usage_is_checked_on_leaf_and_intermediates_where_it_is_present() {
    let usages = |mut params: CertificateParams, usages: &[KeyUsagePurpose]| {
        params.key_usages = usages.to_vec();
        params
    };
    let setting = purpose(Purpose::Server);
    let world = World::new(usages(server_leaf(), &[KeyUsagePurpose::KeyEncipherment]));
    assert_eq!(world.check(&setting), Err(PathError::KeyUsage { depth: 0 }));
    let world = World::with(usages(server_ca("ca"), &[]), usages(server_leaf(), &[]));
    assert!(world.check(&setting).is_ok());
    let mut forbidden = World::new(server_leaf());
    // rcgen signs with no issuer that may not; the certificate is replaced by one of the same name and key.
    let params = usages(server_ca("intermediate"), &[KeyUsagePurpose::CrlSign]);
    let key = || KeyPair::try_from(forbidden.intermediate.key.serialize_der()).unwrap();
    let unfit = forbidden.root.issue_for(params, key());
    let (fit, facts) =
        (forbidden.intermediate.der.clone(), CertificateFacts::parse(&forbidden.leaf.der).unwrap());
    forbidden.intermediate = unfit;
    assert_eq!(forbidden.check(&setting), Err(PathError::KeyUsage { depth: 1 }));
    // Another path is tried: the fit one stands behind the unfit one.
    let chain = vec![forbidden.leaf.der.clone(), forbidden.intermediate.der.clone(), fit.clone()];
    let chain = Chain::new(chain).unwrap();
    let path = validate(&setting.request(&chain, &facts, &forbidden.anchors), NOW).outcome.unwrap();
    assert_eq!(path.certificates.last(), Some(&Fingerprint::of(&fit)));
}

#[test]
fn a_ca_as_leaf_and_a_leaf_as_ca_are_refused() {
    let mut authority = server_leaf();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert_eq!(World::new(authority).check(&purpose(Purpose::Server)), Err(PathError::CaAsLeaf));
    let world = World::new(server_leaf());
    let mut below = server_leaf();
    below.distinguished_name.push(rcgen::DnType::CommonName, "below");
    let mut issuer = world.leaf.params.clone();
    issuer.key_usages.clear();
    let issuer = Entity { params: issuer, key: world.leaf.key, der: world.leaf.der.clone() };
    let below = issuer.issue(below).der;
    let facts = CertificateFacts::parse(&below).unwrap();
    let chain = Chain::new(vec![below, issuer.der, world.intermediate.der.clone()]).unwrap();
    let setting = purpose(Purpose::Server);
    let outcome = validate(&setting.request(&chain, &facts, &world.anchors), NOW).outcome;
    assert_eq!(outcome, Err(PathError::NotACa));
}

#[test]
fn revocation_is_told_apart() {
    use CrlChoice::{Allow, Refuse};
    let world = World::new(server_leaf());
    let later = Timestamp(NOW.0 + DAY);
    assert_eq!(world.check(&revocation(world.crls(later, &[7]), Allow, Refuse)), Err(PathError::Revoked));
    assert!(world.check(&revocation(world.crls(later, &[8]), Refuse, Refuse)).is_ok());
    let by_root = lists([world.root.crl(FIRST, later, &[])]);
    assert!(world.check(&revocation(by_root.clone(), Allow, Refuse)).is_ok());
    assert_eq!(world.check(&revocation(by_root, Refuse, Refuse)), Err(PathError::RevocationUnknown));
    assert_eq!(world.check(&revocation(Crls::none(), Refuse, Refuse)), Err(PathError::RevocationUnknown));
    let stale = world.crls(NOW, &[8]);
    let expired = Err(PathError::CrlExpired { next_update: NOW });
    assert_eq!(world.check(&revocation(stale.clone(), Allow, Refuse)), expired);
    assert!(world.check(&revocation(stale, Allow, Allow)).is_ok());
    assert_eq!(world.check(&revocation(world.crls(NOW, &[7]), Allow, Allow)), Err(PathError::Revoked));
}

#[test]
fn an_intermediate_is_revoked_like_a_leaf() {
    let mut params = server_ca("intermediate");
    params.serial_number = Some(9_u64.into());
    let world = World::with(params, server_leaf());
    let crls = lists([world.root.crl(FIRST, LAST, &[9])]);
    let setting = revocation(crls, CrlChoice::Allow, CrlChoice::Refuse);
    assert_eq!(world.check(&setting), Err(PathError::Revoked));
}

#[test]
fn the_newest_crl_of_an_issuer_counts_whatever_the_order() {
    let world = World::new(server_leaf());
    let old = (0..9).map(|day| world.intermediate.crl(Timestamp(FIRST.0 + day * DAY), NOW, &[]));
    let new = world.intermediate.crl(NOW, Timestamp(NOW.0 + DAY), &[7]);
    let setting = revocation(lists(old.chain([new])), CrlChoice::Allow, CrlChoice::Refuse);
    assert_eq!(world.check(&setting), Err(PathError::Revoked));
}

#[test]
fn a_serial_number_in_the_newest_list_of_any_scope_is_revoked() {
    use CrlChoice::{Allow, Refuse};
    let world = World::new(server_leaf());
    let later = Timestamp(NOW.0 + DAY);
    let root = || world.root.crl(FIRST, later, &[]);
    let shard = |age: u64, serials: &[u64], uri: &str| {
        world.intermediate.shard(Timestamp(NOW.0 - age * DAY), later, serials, uri)
    };
    let (first, second) = ("http://crl.example/1", "http://crl.example/2");
    // The certificate does not say in which list to look, and the newest is not the one that it stands in.
    for unknown in [Allow, Refuse] {
        let setting =
            revocation(lists([root(), shard(2, &[7], first), shard(1, &[99], second)]), unknown, Refuse);
        assert_eq!(world.check(&setting), Err(PathError::Revoked), "{unknown:?}");
        let complete = world.intermediate.crl(NOW, later, &[]);
        let setting = revocation(lists([root(), shard(2, &[7], first), complete]), unknown, Refuse);
        assert_eq!(world.check(&setting), Err(PathError::Revoked), "{unknown:?}");
    }
    // An older list of the same scope no longer counts: the certificate was on hold.
    let held = lists([root(), shard(2, &[7], first), shard(1, &[], first)]);
    assert!(world.check(&revocation(held.clone(), Allow, Refuse)).is_ok());
    // That it is in none of some lists does not say that it is in none.
    assert_eq!(world.check(&revocation(held, Refuse, Refuse)), Err(PathError::RevocationUnknown));
    let complete = lists([root(), shard(1, &[8], first), world.intermediate.crl(FIRST, later, &[])]);
    assert!(world.check(&revocation(complete, Refuse, Refuse)).is_ok());
}

#[test]
fn a_certificate_that_names_its_list_is_looked_for_there() {
    let mut leaf = server_leaf();
    let uri = "http://crl.example/1";
    leaf.crl_distribution_points = vec![rcgen::CrlDistributionPoint { uris: vec![uri.to_owned()] }];
    let world = World::new(leaf);
    let later = Timestamp(NOW.0 + DAY);
    let check = |serials: &[u64], uri: &str| {
        let crls =
            lists([world.root.crl(FIRST, later, &[]), world.intermediate.shard(FIRST, later, serials, uri)]);
        world.check(&revocation(crls, CrlChoice::Refuse, CrlChoice::Refuse))
    };
    assert!(check(&[8], uri).is_ok());
    assert_eq!(check(&[7], uri), Err(PathError::Revoked));
    assert_eq!(check(&[8], "http://crl.example/2"), Err(PathError::RevocationUnknown));
}

#[test]
fn a_mapped_address_in_a_certificate_does_not_escape_a_constraint_on_ipv4() {
    use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints, SanType};
    let source: std::net::IpAddr = "192.0.2.1".parse().unwrap();
    for (san, path_is_valid) in [("192.0.2.1", false), ("::ffff:192.0.2.1", true)] {
        let mut intermediate = server_ca("intermediate");
        let all = GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4]));
        intermediate.name_constraints =
            Some(NameConstraints { permitted_subtrees: vec![], excluded_subtrees: vec![all] });
        let mut leaf = server_leaf();
        leaf.subject_alt_names = vec![SanType::IpAddress(san.parse().unwrap())];
        let world = World::with(intermediate, leaf);
        let facts = CertificateFacts::parse(&world.leaf.der).unwrap();
        let found = world.check(&purpose(Purpose::Server));
        assert_eq!(found.is_ok(), path_is_valid, "{san}");
        assert!(!(found.is_ok() && facts.matches_ip(source)), "{san} confirms {source}");
    }
}

#[test]
fn a_crl_of_an_anchor_that_may_not_sign_one_is_refused() {
    let mut world = World::new(server_leaf());
    let crl = world.root.crl(FIRST, LAST, &[]);
    world.root.params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let der = world.root.params.self_signed(&world.root.key).unwrap().der().clone();
    world.anchors = Anchors::from_der([der]).0;
    assert!(world.check(&purpose(Purpose::Server)).is_ok());
    let setting = revocation(lists([crl]), CrlChoice::Allow, CrlChoice::Refuse);
    assert_eq!(world.check(&setting), Err(PathError::CrlUnusable));
}

#[test]
fn a_crl_by_another_key_of_the_same_name_is_unusable() {
    let world = World::new(server_leaf());
    let impostor = Entity::self_signed(server_ca("intermediate"));
    let setting = revocation(lists([impostor.crl(FIRST, LAST, &[7])]), CrlChoice::Allow, CrlChoice::Refuse);
    assert_eq!(world.check(&setting), Err(PathError::CrlUnusable));
}

#[test]
fn a_leaf_with_a_weak_key_is_refused_before_any_signature_is_verified() {
    // A certificate whose key is replaced in place keeps a signature that does not fit: WeakKey comes first.
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let world = World::new(server_leaf());
    let mut der = world.intermediate.issue_for(server_leaf(), key).der.to_vec();
    // The modulus' INTEGER and the lengths around it keep their size: 2048 bits become fewer, for a leading octet of 1.
    let spki = CertificateFacts::parse(&der).unwrap().spki;
    let start = der.windows(spki.len()).position(|window| window == spki).unwrap();
    let modulus = start + spki.windows(4).position(|window| window == [0x02, 0x82, 0x01, 0x01]).unwrap() + 4;
    der[modulus + 1] = 1;
    let chain = Chain::new(vec![der.into(), world.intermediate.der.clone()]).unwrap();
    let outcome = world.verdict(&chain, &purpose(Purpose::Server), NOW).outcome;
    assert_eq!(outcome, Err(PathError::WeakKey { depth: 0, why: crate::cert::WeakKey::TooShort }));
}

#[test]
fn a_weak_key_of_an_intermediate_is_told() {
    let world = World::new(server_leaf());
    let weak =
        rcgen::SubjectPublicKeyInfo::from_der(&crate::cert::testing::rsa_spki(1024, &[1, 0, 1])).unwrap();
    let root = rcgen::Issuer::from_params(&world.root.params, &world.root.key);
    let weak = world.intermediate.params.signed_by(&weak, &root).unwrap();
    let chain = Chain::new(vec![world.leaf.der.clone(), weak.der().clone()]).unwrap();
    let outcome = world.verdict(&chain, &purpose(Purpose::Server), NOW).outcome;
    assert_eq!(outcome, Err(PathError::WeakKey { depth: 1, why: crate::cert::WeakKey::TooShort }));
}

#[test]
fn facts_of_another_leaf_are_not_believed() {
    let (world, other) = (World::new(server_leaf()), World::new(server_leaf()));
    let (chain, facts) = (world.chain(), CertificateFacts::parse(&other.leaf.der).unwrap());
    let setting = purpose(Purpose::Server);
    assert_eq!(
        validate(&setting.request(&chain, &facts, &world.anchors), NOW).outcome,
        Err(PathError::Unreadable)
    );
}

#[test]
fn many_issuers_of_one_name_are_refused_at_once() {
    let world = World::new(server_leaf());
    let mut looping = server_ca("loop");
    looping.key_usages = ca("").key_usages;
    let issuer = Entity::self_signed(looping.clone());
    let leaf = issuer.issue(server_leaf());
    let many: Vec<_> = (0..=MAX_SAME_SUBJECT).map(|_| issuer.issue(looping.clone()).der).collect();
    let chain = |count: usize| {
        let all = std::iter::once(leaf.der.clone()).chain(many.iter().take(count).cloned());
        Chain::new(all.collect()).unwrap()
    };
    let setting = purpose(Purpose::Server);
    assert_eq!(
        world.verdict(&chain(MAX_SAME_SUBJECT + 1), &setting, NOW).outcome,
        Err(PathError::TooComplex)
    );
    assert!(matches!(
        world.verdict(&chain(MAX_SAME_SUBJECT), &setting, NOW).outcome,
        Err(PathError::UnknownIssuer)
    ));
}

#[test]
fn a_verdict_answers_only_the_request_and_the_time_it_was_made_for() {
    let world = World::new(server_leaf());
    let chain = world.chain();
    let facts = CertificateFacts::parse(chain.leaf()).unwrap();
    let setting = revocation(world.crls(Timestamp(NOW.0 + 3600), &[]), CrlChoice::Allow, CrlChoice::Refuse);
    let request = setting.request(&chain, &facts, &world.anchors);
    let verdict = validate(&request, NOW);
    assert!(verdict.outcome.is_ok());
    assert_eq!((verdict.valid_from, verdict.valid_until), (FIRST, Timestamp(NOW.0 + 3599)));
    assert!(verdict.answers(&request, NOW) && verdict.answers(&request, FIRST));
    assert!(
        !verdict.answers(&request, Timestamp(NOW.0 + 3600))
            && !verdict.answers(&request, Timestamp(FIRST.0 - 1))
    );

    let reordered =
        Chain::new(vec![world.leaf.der.clone(), world.root.der.clone(), world.intermediate.der.clone()]);
    let (reordered, none, no_crls) = (reordered.unwrap(), Anchors::none(), Crls::none());
    let lenient = CrlPolicy { expired: CrlChoice::Allow, ..request.crl_policy };
    let strict = CrlPolicy { unknown: CrlChoice::Refuse, ..request.crl_policy };
    for other in [
        PathRequest { chain: &reordered, ..request },
        PathRequest { purpose: Purpose::ServerOrAny, ..request },
        PathRequest { purpose: Purpose::Client, ..request },
        PathRequest { anchors: &none, ..request },
        PathRequest { crls: &no_crls, ..request },
        PathRequest { crl_policy: lenient, ..request },
        PathRequest { crl_policy: strict, ..request },
    ] {
        assert!(!verdict.answers(&other, NOW), "{other:?}");
    }
}

#[test]
fn failures_are_kept_for_a_short_time_only() {
    let world = World::new(server_leaf());
    let verdict = world.verdict(&world.chain(), &purpose(Purpose::Client), NOW);
    assert_eq!(
        (verdict.outcome, verdict.valid_until),
        (Err(PathError::ExtendedKeyUsage), Timestamp(NOW.0 + MAX_FAILED_AGE))
    );
    let verdict = world.verdict(&world.chain(), &purpose(Purpose::Server), NOW);
    assert_eq!(verdict.valid_until, Timestamp(NOW.0 + MAX_VALID_AGE));
}

#[test]
fn sets_survive_json() {
    let world = World::new(server_leaf());
    let crls = world.crls(LAST, &[7]);
    let again: Anchors = serde_json::from_str(&serde_json::to_string(&world.anchors).unwrap()).unwrap();
    assert_eq!((&again, again.certificates()), (&world.anchors, world.anchors.certificates()));
    assert_eq!(serde_json::from_str::<Crls>(&serde_json::to_string(&crls).unwrap()).unwrap(), crls);
    assert!(serde_json::from_str::<Anchors>(r#"["AAAA"]"#).is_err());
    assert!(serde_json::from_str::<Crls>(r#"["AAAA"]"#).is_err());
}

#[test]
fn a_set_of_anchors_does_not_depend_on_order_or_repetition() {
    let (one, two) = (Entity::self_signed(ca("one")).der, Entity::self_signed(ca("two")).der);
    let (first, _) = Anchors::from_der([one.clone(), two.clone()]);
    let (second, rejected) = Anchors::from_der([two, one.clone(), one, vec![1, 2].into()]);
    assert_eq!(first, second);
    assert_eq!(rejected, [RejectedAnchor { index: 3, why: AnchorError::Unreadable }]);
    assert_ne!(first, Anchors::none());
}

/// A chain in which the dates of leaf, intermediate and CRLs fall apart.
static DATED: LazyLock<World> = LazyLock::new(|| {
    let mut intermediate = server_ca("intermediate");
    intermediate.not_before = crate::cert::testing::at(Timestamp(NOW.0 - 10 * DAY));
    intermediate.not_after = crate::cert::testing::at(Timestamp(NOW.0 + 10 * DAY));
    World::with(intermediate, server_leaf())
});

proptest! {
    /// What makes caching safe: within a verdict's window every validation has the same outcome.
    #[test]
    fn the_outcome_is_the_same_in_the_whole_window(
        now in NOW.0 - 120 * DAY..NOW.0 + 120 * DAY, part in 0.0..=1.0_f64, next in 0..40_u64, refuse: bool,
    ) {
        let world = &*DATED;
        let crls = world.crls(Timestamp(NOW.0 + next * DAY - 20 * DAY), &[]);
        let expired = if refuse { CrlChoice::Refuse } else { CrlChoice::Allow };
        let setting = revocation(crls, CrlChoice::Allow, expired);
        let chain = world.chain();
        let facts = CertificateFacts::parse(chain.leaf()).unwrap();
        let request = setting.request(&chain, &facts, &world.anchors);
        let verdict = validate(&request, Timestamp(now));
        let from = verdict.valid_from.0.max(now.saturating_sub(30 * DAY));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a window")]
        let other = Timestamp(from + ((verdict.valid_until.0 - from) as f64 * part) as u64);
        prop_assert!(verdict.answers(&request, other));
        prop_assert_eq!(validate(&request, other).outcome, verdict.outcome);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever a peer sends, an operator loads or a zone publishes: an outcome, and never one that a damaged certificate gains by.
    #[test]
    fn validation_never_panics_on_changed_octets(
        which in 0..4_usize, changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=u8::MAX), 1..4), usage in 0..3_u8,
    ) {
        let world = &*DATED;
        let mut parts = [&world.leaf.der, &world.intermediate.der, &world.root.der].map(|der| der.to_vec()).to_vec();
        parts.push(world.intermediate.crl(FIRST, LAST, &[8]));
        for (index, bits) in changes {
            let index = index.index(parts[which].len());
            parts[which][index] ^= bits;
        }
        let crls = Crls::from_der([parts.pop().unwrap()]).0;
        let anchors = Anchors::from_der([parts.pop().unwrap().into()]).0;
        let record = crate::rr::Tlsa { usage, selector: 0, matching: 0, data: parts[1].clone() };
        let chain = Chain::new(parts.into_iter().map(Into::into).collect()).unwrap();
        let setting = revocation(crls, CrlChoice::Allow, CrlChoice::Refuse);
        if let Ok(facts) = CertificateFacts::parse(chain.leaf()) {
            let request = setting.request(&chain, &facts, &anchors);
            let outcome = validate(&request, NOW).outcome;
            let _ = validate_with_tlsa(&request, NOW, &crate::dane::usable(&[record], true));
            let changed_back = chain.leaf() == &world.leaf.der && chain.intermediates() == [world.intermediate.der.clone()];
            prop_assert!(outcome.is_err() || which > 1 || changed_back);
        }
    }
}
