#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::LazyLock;

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair,
    NameConstraints,
};
use rustls_pki_types::CertificateDer;

use super::*;
use crate::cert::testing::{DAY, Entity, LAST, NOW, at, ca, leaf, server_ca};
use crate::chain::Chain;
use crate::name::DnsName;
use crate::path::{Anchors, CrlPolicy, Crls, PathError};
use crate::timestamp::Timestamp;

/// root → intermediate → leaf for `a.example`.
struct World {
    root: Entity,
    intermediate: Entity,
    leaf: Entity,
}

impl World {
    fn new() -> Self {
        Self::with(ca("root"), server_ca("intermediate"))
    }

    fn with(root: CertificateParams, intermediate: CertificateParams) -> Self {
        let root = Entity::self_signed(root);
        let intermediate = root.issue(intermediate);
        let leaf = intermediate.issue(leaf(&["a.example"]));
        Self { root, intermediate, leaf }
    }
}

/// A check with its defaults: Secure, the name `a.example`, no trust anchor.
struct Check<'a> {
    chain: Vec<&'a CertificateDer<'static>>,
    records: Vec<Tlsa>,
    secure: bool,
    name: &'static str,
    ee_name_check: bool,
    anchors: Vec<&'a CertificateDer<'static>>,
    now: Timestamp,
}

impl<'a> Check<'a> {
    fn new(chain: impl IntoIterator<Item = &'a Entity>, records: Vec<Tlsa>) -> Self {
        let chain = chain.into_iter().map(|entity| &entity.der).collect();
        let anchors = Vec::new();
        Self { chain, records, secure: true, name: "a.example", ee_name_check: false, anchors, now: NOW }
    }

    fn run(&self) -> Result<DaneAccepted, DaneRefusal> {
        let names: Vec<DnsName> = vec![self.name.parse().unwrap()];
        let request = DaneRequest {
            chain: &Chain::new(self.chain.iter().copied().cloned().collect()).unwrap(),
            records: &self.records,
            secure: self.secure,
            names: &names,
            ee_name_check: self.ee_name_check,
            anchors: &Anchors::from_der(self.anchors.iter().copied().cloned()).0,
            crls: &Crls::none(),
            crl_policy: CrlPolicy::default(),
        };
        verify(&request, self.now)
    }

    /// Usage, depth and place of the record that matched.
    fn matched(&self) -> Result<(u8, usize, usize), DaneRefusal> {
        self.run()
            .map(|accepted| accepted.matched.unwrap())
            .map(|matched| (matched.usage, matched.depth, matched.index))
    }
}

fn record(usage: u8, selector: u8, matching: u8, der: &[u8]) -> Tlsa {
    let octets = if selector == 1 { CertificateFacts::parse(der).unwrap().spki } else { der.to_vec() };
    let data = match matching {
        1 => digest::digest(&digest::SHA256, &octets).as_ref().to_vec(),
        2 => digest::digest(&digest::SHA512, &octets).as_ref().to_vec(),
        _ => octets,
    };
    Tlsa { usage, selector, matching, data }
}

fn raw(usage: u8, selector: u8, matching: u8, data: &[u8]) -> Tlsa {
    Tlsa { usage, selector, matching, data: data.to_vec() }
}

const NO_MATCH: DaneRefusal = DaneRefusal::NoMatch;

#[test]
fn unusable_records_are_told_with_the_reason() {
    let der = World::new().leaf.der;
    for (record, why) in [
        (raw(4, 0, 1, &[0; 32]), Unusable::UnknownUsage),
        (raw(255, 0, 1, &[0; 32]), Unusable::UnknownUsage),
        (raw(3, 2, 1, &[0; 32]), Unusable::UnknownSelector),
        (raw(3, 1, 3, &[0; 32]), Unusable::UnknownMatching),
        (raw(3, 1, 1, &[0; 31]), Unusable::WrongLength),
        (raw(3, 1, 2, &[0; 32]), Unusable::WrongLength),
        (raw(3, 1, 1, &[]), Unusable::WrongLength),
        (raw(3, 0, 0, &[]), Unusable::WrongLength),
        (raw(3, 0, 0, &der[1..]), Unusable::NotACertificate),
        (raw(3, 1, 0, &der), Unusable::NotAKey),
    ] {
        let set = usable(std::slice::from_ref(&record), true);
        assert!(set.is_empty(), "{record}");
        assert_eq!(set.left_out(), [LeftOut { index: 0, why }], "{record}");
    }
    for good in [record(3, 0, 0, &der), record(3, 1, 0, &der), record(2, 0, 1, &der), record(0, 1, 2, &der)] {
        assert!(usable(std::slice::from_ref(&good), true).left_out().is_empty(), "{good}");
    }
}

#[test]
fn r11_only_usages_0_and_1_count_in_an_unsigned_zone() {
    let der = World::new().leaf.der;
    let records: Vec<Tlsa> = (0..4).map(|usage| record(usage, 1, 1, &der)).collect();
    let set = usable(&records, false);
    assert_eq!([0, 1, 2, 3].map(|usage| set.has(usage)), [true, true, false, false]);
    assert_eq!(set.left_out(), [2, 3].map(|index| LeftOut { index, why: Unusable::NotSecure }));
    assert_eq!([0, 1, 2, 3].map(|usage| usable(&records, true).has(usage)), [true; 4]);
}

#[test]
fn sha_512_displaces_sha_256_of_the_same_usage_and_selector_only() {
    let World { leaf, root, .. } = World::new();
    let wrong = raw(3, 1, 2, &[0; 64]);
    // The digest that would match is displaced by one that does not.
    assert_eq!(Check::new([&leaf], vec![record(3, 1, 1, &leaf.der), wrong.clone()]).matched(), Err(NO_MATCH));
    // Another selector, another usage and Full(0) stay.
    for other in [record(3, 0, 1, &leaf.der), record(3, 1, 0, &leaf.der)] {
        assert_eq!(Check::new([&leaf], vec![wrong.clone(), other]).matched(), Ok((3, 0, 1)));
    }
    let other_usage = vec![raw(2, 1, 2, &[0; 64]), record(3, 1, 1, &leaf.der)];
    assert_eq!(Check::new([&leaf, &root], other_usage).matched(), Ok((3, 0, 1)));
    // A SHA-512 record that cannot be used displaces nothing.
    let malformed = raw(3, 1, 2, &[0; 63]);
    assert_eq!(Check::new([&leaf], vec![malformed, record(3, 1, 1, &leaf.der)]).matched(), Ok((3, 0, 1)));
}

#[test]
fn r11_dane_ee_ignores_names_dates_and_issuers() {
    let World { leaf, .. } = World::new();
    let mut check = Check::new([&leaf], vec![record(3, 1, 1, &leaf.der)]);
    check.name = "other.example";
    check.now = Timestamp(LAST.0 + 1);
    assert_eq!(check.matched(), Ok((3, 0, 0)));
    assert_eq!(check.run().unwrap().path, None);
    check.ee_name_check = true;
    assert_eq!(check.matched(), Err(DaneRefusal::Name));
    check.secure = false;
    // As if there were no record: the path alone counts, and there is none.
    assert!(matches!(check.matched(), Err(DaneRefusal::Path(_))));
}

#[test]
fn any_record_of_a_rollover_may_match() {
    let (World { leaf, .. }, World { leaf: next, .. }) = (World::new(), World::new());
    let records = vec![record(3, 1, 1, &next.der), record(3, 1, 1, &leaf.der)];
    assert_eq!(Check::new([&leaf], records.clone()).matched(), Ok((3, 0, 1)));
    assert_eq!(Check::new([&next], records).matched(), Ok((3, 0, 0)));
}

#[test]
fn a_digest_of_usage_2_needs_the_anchor_in_the_chain() {
    let World { root, intermediate, leaf } = &World::new();
    for (selector, matching) in [(0, 1), (1, 1), (0, 2), (1, 2)] {
        let of_root = vec![record(2, selector, matching, &root.der)];
        assert_eq!(Check::new([leaf, intermediate, root], of_root.clone()).matched(), Ok((2, 2, 0)));
        assert_eq!(Check::new([leaf, intermediate], of_root).matched(), Err(NO_MATCH));
        let of_intermediate = vec![record(2, selector, matching, &intermediate.der)];
        assert_eq!(Check::new([leaf, intermediate], of_intermediate).matched(), Ok((2, 1, 0)));
    }
    let mut other_name = Check::new([leaf, intermediate], vec![record(2, 0, 1, &intermediate.der)]);
    other_name.name = "other.example";
    assert_eq!(other_name.matched(), Err(DaneRefusal::Name));
}

#[test]
fn a_full_certificate_or_bare_key_of_usage_2_may_come_from_dns() {
    let World { root, intermediate, leaf } = &World::new();
    assert_eq!(Check::new([leaf, intermediate], vec![record(2, 0, 0, &root.der)]).matched(), Ok((2, 2, 0)));
    assert_eq!(Check::new([leaf], vec![record(2, 0, 0, &intermediate.der)]).matched(), Ok((2, 1, 0)));
    assert_eq!(Check::new([leaf, intermediate], vec![record(2, 1, 0, &root.der)]).matched(), Ok((2, 2, 0)));
    assert_eq!(Check::new([leaf], vec![record(2, 1, 0, &intermediate.der)]).matched(), Ok((2, 1, 0)));
    assert_eq!(Check::new([leaf], vec![record(2, 1, 0, &root.der)]).matched(), Err(NO_MATCH));
}

#[test]
fn a_set_with_more_bare_keys_than_are_tried_is_refused_whatever_their_order() {
    let World { intermediate, leaf, .. } = &World::new();
    let others = |count: usize| -> Vec<Tlsa> {
        (0..count).map(|_| record(2, 1, 0, &Entity::self_signed(ca("other")).der)).collect()
    };
    let with_right_one_last = |mut records: Vec<Tlsa>| {
        records.push(record(2, 1, 0, &intermediate.der));
        Check::new([leaf], records).matched()
    };
    // Usage, depth, place in the set.
    assert_eq!(with_right_one_last(others(MAX_BARE_KEYS - 1)), Ok((2, 1, MAX_BARE_KEYS - 1)));
    assert_eq!(with_right_one_last(others(MAX_BARE_KEYS)), Err(DaneRefusal::TooManyRecords));
    let mut right_one_first = others(MAX_BARE_KEYS);
    right_one_first.insert(0, record(2, 1, 0, &intermediate.der));
    assert_eq!(Check::new([leaf], right_one_first).matched(), Err(DaneRefusal::TooManyRecords));
}

#[test]
fn the_leaf_is_no_anchor_of_its_own() {
    let alone = Entity::self_signed(leaf(&["a.example"]));
    for matching in 0..3 {
        let records = vec![record(2, 0, matching, &alone.der)];
        assert_eq!(Check::new([&alone], records.clone()).matched(), Err(NO_MATCH), "{matching}");
        assert_eq!(Check::new([&alone, &alone], records).matched(), Err(NO_MATCH), "{matching}, sent twice");
    }
}

#[test]
fn an_anchor_of_usage_2_must_be_fit_itself() {
    let refusal = |root: CertificateParams| {
        let World { root, intermediate, leaf } = &World::with(root, server_ca("intermediate"));
        Check::new([leaf, intermediate, root], vec![record(2, 0, 1, &root.der)]).matched()
    };
    let mut expired = ca("root");
    expired.not_after = at(Timestamp(NOW.0 - DAY));
    let not_after = Timestamp(NOW.0 - DAY);
    assert_eq!(refusal(expired), Err(DaneRefusal::Path(PathError::Expired { not_after })));
    let mut no_ca = ca("root");
    no_ca.is_ca = IsCa::ExplicitNoCa;
    assert_eq!(refusal(no_ca), Err(DaneRefusal::Path(PathError::NotACa)));
    let mut for_clients = ca("root");
    for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert_eq!(refusal(for_clients), Err(DaneRefusal::Path(PathError::ExtendedKeyUsage)));
    let mut short = ca("root");
    short.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    assert_eq!(refusal(short), Err(DaneRefusal::Path(PathError::PathLength)));
    let mut elsewhere = ca("root");
    let permitted_subtrees = vec![GeneralSubtree::DnsName("b.example".into())];
    elsewhere.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    assert_eq!(refusal(elsewhere), Err(DaneRefusal::Path(PathError::NameConstraint)));
    assert_eq!(refusal(ca("root")), Ok((2, 2, 0)));
}

#[test]
fn the_dates_of_the_leaf_count_for_usage_2() {
    let World { root, intermediate, leaf } = &World::new();
    let mut check = Check::new([leaf, intermediate, root], vec![record(2, 0, 1, &root.der)]);
    check.now = Timestamp(LAST.0 + 1);
    assert_eq!(check.matched(), Err(DaneRefusal::Path(PathError::Expired { not_after: LAST })));
}

#[test]
fn usage_1_needs_the_leaf_and_a_path_to_our_own_anchors() {
    let World { root, intermediate, leaf } = &World::new();
    let mut check = Check::new([leaf, intermediate], vec![record(1, 1, 1, &leaf.der)]);
    assert_eq!(check.matched(), Err(DaneRefusal::Path(PathError::UnknownIssuer)));
    check.anchors = vec![&root.der];
    check.secure = false;
    assert_eq!(check.matched(), Ok((1, 0, 0)));
    check.records = vec![record(1, 1, 1, &intermediate.der)];
    assert_eq!(check.matched(), Err(NO_MATCH));
}

#[test]
fn usage_0_matches_a_ca_on_the_validated_path_only() {
    let World { root, intermediate, leaf } = &World::new();
    let (stranger, mut check) =
        (Entity::self_signed(ca("stranger")), Check::new([leaf, intermediate], vec![]));
    check.anchors = vec![&root.der];
    for (authority, depth) in [(intermediate, 1), (root, 2)] {
        for (selector, matching) in [(0, 0), (0, 1), (1, 0), (1, 2)] {
            check.records = vec![record(0, selector, matching, &authority.der)];
            assert_eq!(check.matched(), Ok((0, depth, 0)));
        }
    }
    check.records = vec![record(0, 0, 1, &leaf.der)];
    assert_eq!(check.matched(), Err(NO_MATCH), "the leaf is no CA");
    check.chain.push(&stranger.der);
    check.records = vec![record(0, 0, 1, &stranger.der)];
    assert_eq!(check.matched(), Err(NO_MATCH), "sent along, but not on the path");
    check.anchors.push(&stranger.der);
    assert_eq!(check.matched(), Err(NO_MATCH), "an anchor, but not of this path");
}

#[test]
fn another_path_is_tried_where_the_first_has_no_match() {
    let World { root, intermediate, leaf } = &World::new();
    let other_root = Entity::self_signed(ca("other root"));
    let key = KeyPair::try_from(intermediate.key.serialize_der()).unwrap();
    let cross = other_root.issue_for(server_ca("intermediate"), key);
    for wanted in [root, &other_root] {
        let mut check = Check::new([leaf, intermediate, &cross], vec![record(0, 0, 1, &wanted.der)]);
        check.anchors = vec![&root.der, &other_root.der];
        assert_eq!(check.matched(), Ok((0, 2, 0)));
    }
}

#[test]
fn a_missing_intermediate_may_come_from_a_full_record() {
    let World { root, intermediate, leaf } = &World::new();
    let mut check = Check::new([leaf], vec![record(1, 1, 1, &leaf.der), record(0, 0, 0, &intermediate.der)]);
    check.anchors = vec![&root.der];
    assert_eq!(check.matched(), Ok((1, 0, 0)));
}

#[test]
fn without_a_usable_record_path_and_name_count() {
    let World { root, intermediate, leaf } = &World::new();
    let mut check = Check::new([leaf, intermediate], vec![raw(9, 9, 9, &[1])]);
    check.anchors = vec![&root.der];
    assert_eq!(check.run().unwrap().matched, None);
    check.name = "other.example";
    assert_eq!(check.run(), Err(DaneRefusal::Name));
}

#[test]
fn usable_records_are_bounded() {
    let records: Vec<Tlsa> = (0..=u8::MAX).map(|octet| raw(3, 1, 1, &[octet; 32])).collect();
    let set = usable(&records, true);
    assert_eq!((set.len(), set.left_out().len()), (MAX_USABLE, 256 - MAX_USABLE));
    assert!(set.is_cut() && set.left_out().iter().all(|left_out| left_out.why == Unusable::TooMany));
    assert!(!usable(&records[..MAX_USABLE], true).is_cut());
    // What cannot be used takes no place.
    let many = [vec![raw(9, 1, 1, &[0; 32]); 300], records[..MAX_USABLE].to_vec()].concat();
    assert!(!usable(&many, true).is_cut() && !usable(&records, false).is_cut());
}

static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// A record that matches something in [`WORLD`], or just looks as if.
fn plausible() -> impl Strategy<Value = Tlsa> {
    (0..4_u8, 0..2_u8, 0..3_u8, 0..3_usize, prop::bool::weighted(0.7)).prop_map(
        |(usage, selector, matching, which, right)| {
            let entity = [&WORLD.root, &WORLD.intermediate, &WORLD.leaf][which];
            let mut made = record(usage, selector, matching, &entity.der);
            if !right && matching > 0 {
                made.data[0] ^= 1;
            }
            made
        },
    )
}

fn unusable_record() -> impl Strategy<Value = Tlsa> {
    (any::<u8>(), any::<u8>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..70))
        .prop_map(|(usage, selector, matching, data)| Tlsa {
            usage: usage % 6,
            selector: selector % 4,
            matching: matching % 5,
            data,
        })
        .prop_filter("it must be unusable", |record| unusable(record, true).is_some())
}

fn outcome(records: Vec<Tlsa>, secure: bool) -> Result<(Option<Tlsa>, usize), DaneRefusal> {
    let World { root, intermediate, leaf } = &*WORLD;
    let mut check = Check::new([leaf, intermediate, root], records);
    check.anchors = vec![&root.der];
    check.secure = secure;
    let accepted = check.run()?;
    let depth = accepted.matched.map_or(0, |matched| matched.depth);
    Ok((accepted.matched.map(|matched| check.records[matched.index].clone()), depth))
}

proptest! {
    #[test]
    fn adding_an_unusable_record_never_changes_the_outcome(
        mut records in prop::collection::vec(plausible(), 0..5), extra in unusable_record(), place in any::<prop::sample::Index>(),
        secure: bool,
    ) {
        let before = outcome(records.clone(), secure);
        records.insert(place.index(records.len() + 1), extra);
        prop_assert_eq!(outcome(records, secure), before);
    }

    #[test]
    fn only_the_strongest_digest_of_a_usage_and_selector_is_kept(
        records in prop::collection::vec(plausible(), 0..8), secure: bool,
    ) {
        let set = usable(&records, secure);
        for Usable { record, index } in &set.records {
            prop_assert_eq!(&records[*index], record);
            let stronger = set.records.iter().any(|other| {
                other.record.matching == SHA_512
                    && (other.record.usage, other.record.selector) == (record.usage, record.selector)
            });
            prop_assert!(record.matching != SHA_256 || !stronger);
            prop_assert!(secure || record.usage < DANE_TA);
        }
        prop_assert_eq!(set.records.len() + set.left_out.len(), records.len());
        // Full(0) always stays, and displacement never empties a set.
        let full = |r: &&Tlsa| r.matching == FULL && (secure || r.usage < DANE_TA);
        prop_assert_eq!(set.records.iter().filter(|u| u.record.matching == FULL).count(), records.iter().filter(full).count());
        prop_assert_eq!(set.is_empty(), !records.iter().any(|r| secure || r.usage < DANE_TA));
    }

    #[test]
    fn sorting_out_never_panics(
        records in prop::collection::vec(
            (any::<u8>(), any::<u8>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..80)), 0..6,
        ),
    ) {
        let records: Vec<Tlsa> =
            records.into_iter().map(|(usage, selector, matching, data)| Tlsa { usage, selector, matching, data }).collect();
        let set = usable(&records, true);
        prop_assert_eq!(set.len() + set.left_out().len(), records.len());
    }
}
