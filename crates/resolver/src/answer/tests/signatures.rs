//! Real signatures, made by the library and checked here.

use hickory_proto::dnssec::crypto::EcdsaSigningKey;
use hickory_proto::dnssec::rdata::{DNSKEY, DS};
use hickory_proto::dnssec::{DigestType, PublicKeyBuf, SigningKey, TBS};
use hickory_proto::rr::DNSClass;
use hickory_proto::rr::RecordType as T;
use hickory_proto::rr::rdata::{PTR, SRV};
use proptest::prelude::*;

use super::*;
use crate::answer::signature::{self, Work, ZoneKeys};

/// A zone's key, and what it signs.
struct Zone {
    key: EcdsaSigningKey,
    flags: u16,
}

impl Zone {
    fn new() -> Self {
        let pkcs8 = EcdsaSigningKey::generate_pkcs8(Algorithm::ECDSAP256SHA256).unwrap();
        Self { key: EcdsaSigningKey::from_pkcs8(&pkcs8, Algorithm::ECDSAP256SHA256).unwrap(), flags: 257 }
    }

    fn dnskey(&self) -> DNSKEY {
        DNSKEY::with_flags(self.flags, self.key.to_public_key().unwrap())
    }

    fn ds(&self, digest: DigestType) -> DS {
        let key = self.dnskey();
        let octets = key.to_digest(&name(SIGNED), digest).unwrap().as_ref().to_vec();
        DS::new(key.calculate_key_tag().unwrap(), Algorithm::ECDSAP256SHA256, digest, octets)
    }

    /// The records with a signature over them, as the library makes it. `owner` may be the expansion of a wildcard.
    fn sign(&self, records: &[Record], labels: Option<u8>) -> Vec<Record> {
        let mut signed = proven(
            &records[0].name.to_ascii(),
            records.iter().map(|r| r.data.clone()),
            &Signing { labels, ..by(SIGNED) },
        );
        let last = signed.len() - 1;
        let RData::DNSSEC(DNSSECRData::RRSIG(template)) = &signed[last].data else { panic!() };
        let mut input = template.input().clone();
        input.key_tag = self.dnskey().calculate_key_tag().unwrap();
        let tbs = TBS::from_input(&records[0].name, DNSClass::IN, &input, records.iter()).unwrap();
        let signature = RRSIG::from_sig(input, self.key.sign(&tbs).unwrap());
        signed[last].data = RData::DNSSEC(DNSSECRData::RRSIG(signature));
        signed.iter_mut().for_each(|r| r.proof = Proof::Indeterminate);
        signed
    }

    /// Its proven keys, among them others.
    fn keys_with(&self, others: &[DNSKEY]) -> Option<ZoneKeys> {
        let own = self.dnskey();
        let all: Vec<Record> = others
            .iter()
            .chain([&own])
            .map(|k| record(SIGNED, RData::DNSSEC(DNSSECRData::DNSKEY(k.clone()))))
            .collect();
        let mut message = response().answer(self.sign(&all, None)).0;
        let ds = [self.ds(DigestType::SHA256)];
        let trusted = |key: &DNSKEY| signature::is_delegated(&name(SIGNED), key, &ds);
        signature::prove_keys(&name(SIGNED), &mut message, trusted, NOW, &mut Work::default())
            .map(|proven| proven.keys)
    }

    fn keys(&self) -> ZoneKeys {
        self.keys_with(&[]).unwrap()
    }
}

/// Whether every RRset of the section can be proven.
fn proves(section: &mut [Record], keys: &ZoneKeys, now: Timestamp, work: &mut Work) -> bool {
    let sets = signature::signed_sets(section, now);
    !sets.is_empty() && sets.iter().all(|(place, _)| signature::prove(section, place, keys, now, work))
}

fn valid(mut section: Vec<Record>, keys: &ZoneKeys) -> bool {
    proves(&mut section, keys, NOW, &mut Work::default())
}

#[test]
fn signatures_of_the_library_hold_for_every_shape_of_rrset() {
    let zone = Zone::new();
    let keys = zone.keys();
    let upper = Name::from_ascii("Host.SIGNED.test.").unwrap();
    for records in [
        vec![record("www.signed.test.", a(1))],
        vec![
            record("www.signed.test.", a(9)),
            record("www.signed.test.", a(1)),
            record("www.signed.test.", a(200)),
        ],
        vec![record("*.signed.test.", a(1))],
        vec![record(SIGNED, soa(60))],
        vec![record("www.signed.test.", cname("other.test."))],
        vec![record("1.signed.test.", RData::PTR(PTR(upper.clone())))],
        vec![record("_s._tcp.signed.test.", RData::SRV(SRV::new(1, 2, 3, upper.clone())))],
        vec![record("c.signed.test.", nsec("d.signed.test.", &[T::A, T::CAA]))],
    ] {
        assert!(valid(zone.sign(&records, None), &keys), "{records:?}");
    }
    let expanded = zone.sign(&[record("a.b.signed.test.", a(1))], Some(2));
    assert!(valid(expanded, &keys));
}

#[test]
fn the_target_of_a_dname_is_signed_in_lower_case() {
    let zone = Zone::new();
    let mut section = zone.sign(&[record("old.signed.test.", dname("new.test."))], None);
    section[0].data = RData::Unknown { code: T::DNAME, rdata: NULL::with(b"\x03NEW\x04Test\x00".to_vec()) };
    section.extend(plain("x.old.signed.test.", cname("x.new.test.")));
    let raw = response().question("x.old.signed.test.", T::A).answer(section).0;
    let selected = select(&name("x.old.signed.test."), T::A, &raw).unwrap();
    assert!(valid(selected.answers, &zone.keys()));
}

#[test]
fn what_is_proven_is_marked_and_its_ttl_cut_to_what_was_signed() {
    let zone = Zone::new();
    let mut section = zone.sign(&[record("www.signed.test.", a(1))], None);
    section.iter_mut().for_each(|r| r.ttl = 86_400);
    section.push(record("other.signed.test.", a(1)));
    assert!(proves(&mut section, &zone.keys(), NOW, &mut Work::default()));
    let seen: Vec<_> = section.iter().map(|r| (r.proof == Proof::Secure, r.ttl)).collect();
    assert_eq!(seen, [(true, 300), (true, 300), (false, 300)]);
    // Ten seconds before the end of the signature.
    let late = Timestamp(NOW.0 + 990);
    assert!(proves(&mut section, &zone.keys(), late, &mut Work::default()));
    assert_eq!(section[0].ttl, 10);
}

#[test]
fn only_the_signature_that_held_is_marked() {
    let (zone, other) = (Zone::new(), Zone::new());
    let records = [record("www.signed.test.", a(1))];
    let mut section = other.sign(&records, None).split_off(1);
    section.extend(zone.sign(&records, None));
    assert!(proves(&mut section, &zone.keys(), NOW, &mut Work::default()));
    let marked: Vec<bool> = section.iter().map(|r| r.proof == Proof::Secure).collect();
    assert_eq!(marked, [false, true, true]);
}

#[test]
fn a_signature_that_does_not_apply_proves_nothing() {
    let zone = Zone::new();
    let keys = zone.keys();
    let good = || zone.sign(&[record("www.signed.test.", a(1))], None);
    assert!(valid(good(), &keys));
    for (from, until) in [(-2000_i64, -1), (1, 2000)] {
        let now = Timestamp(NOW.0.checked_add_signed(if from < 0 { 1001 } else { -1001 }).unwrap());
        assert!(!proves(&mut good(), &keys, now, &mut Work::default()), "{from} {until}");
    }
    assert!(!valid(good(), &Zone::new().keys()));
    let mut added = good();
    added.push(record("www.signed.test.", a(2)));
    assert!(!valid(added, &keys));
    let mut moved = good();
    moved.iter_mut().for_each(|r| r.name = name("xxx.signed.test."));
    assert!(!valid(moved, &keys));
    // Below another zone, or for types that may not come from a wildcard.
    let mut foreign = good();
    foreign.iter_mut().for_each(|r| r.name = name("www.other.test."));
    assert!(!valid(foreign, &keys));
    assert!(!valid(zone.sign(&[record("x.signed.test.", nsec("y.signed.test.", &[]))], Some(2)), &keys));
    assert!(!valid(zone.sign(&[record("www.signed.test.", a(1))], Some(1)), &keys));
    // A zone cannot speak for its own DS records, nor sign an SOA below its apex.
    let ds = RData::DNSSEC(DNSSECRData::DS(zone.ds(DigestType::SHA256)));
    assert!(!valid(zone.sign(&[record(SIGNED, ds)], None), &keys));
    assert!(!valid(zone.sign(&[record("www.signed.test.", soa(60))], None), &keys));
}

#[test]
fn keys_that_may_not_sign_are_not_used() {
    for (flags, usable) in [(256, true), (257, true), (1, false), (385, false)] {
        let zone = Zone { flags, ..Zone::new() };
        assert_eq!(zone.keys_with(&[]).is_some(), usable, "{flags}");
    }
}

#[test]
fn signatures_over_sha1_are_not_looked_at() {
    for (number, looked_at) in [(13, 1), (8, 1), (5, 0), (7, 0)] {
        let mut section = proven("www.signed.test.", [a(1)], &by(SIGNED));
        let RData::DNSSEC(DNSSECRData::RRSIG(template)) = &section[1].data else { panic!() };
        let mut input = template.input().clone();
        input.algorithm = Algorithm::from_u8(number);
        section[1].data = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, vec![0; 64])));
        assert_eq!(signature::signed_sets(&section, NOW).len(), looked_at, "{number}");
    }
}

#[test]
fn the_key_set_must_be_signed_by_a_key_that_is_delegated() {
    let (zone, other) = (Zone::new(), Zone::new());
    assert!(zone.keys_with(&[other.dnskey()]).is_some());
    let all = [record(SIGNED, RData::DNSSEC(DNSSECRData::DNSKEY(zone.dnskey())))];
    let mut message = response().answer(zone.sign(&all, None)).0;
    let ds = [other.ds(DigestType::SHA256)];
    let trusted = |key: &DNSKEY| signature::is_delegated(&name(SIGNED), key, &ds);
    assert!(signature::prove_keys(&name(SIGNED), &mut message, trusted, NOW, &mut Work::default()).is_none());
}

#[test]
fn while_keys_are_rolled_either_signs_and_afterwards_only_the_new_one() {
    let (old, new) = (Zone::new(), Zone::new());
    let www = || vec![record("www.signed.test.", a(1))];
    let by_both = || [old.sign(&www(), None), new.sign(&www(), None).split_off(1)].concat();
    // The old key is delegated and signs the set of both.
    let both = old.keys_with(&[new.dnskey()]).unwrap();
    for section in [old.sign(&www(), None), new.sign(&www(), None), by_both()] {
        assert!(valid(section, &both));
    }
    let (before, after) = (old.keys(), new.keys());
    assert!(valid(by_both(), &before) && valid(by_both(), &after));
    assert!(!valid(new.sign(&www(), None), &before));
    assert!(!valid(old.sign(&www(), None), &after));
}

#[test]
fn keys_with_nxdomain_are_a_contradiction() {
    let zone = Zone::new();
    let key = record(SIGNED, RData::DNSSEC(DNSSECRData::DNSKEY(zone.dnskey())));
    let proves = |message: Built| {
        let mut message = message.answer(zone.sign(std::slice::from_ref(&key), None)).0;
        signature::prove_keys(&name(SIGNED), &mut message, |_| true, NOW, &mut Work::default()).is_some()
    };
    assert!(proves(response()) && !proves(response().nxdomain()));
}

#[test]
fn a_sha1_digest_counts_only_where_nothing_stronger_stands() {
    let (zone, other) = (Zone::new(), Zone::new());
    let is = |records: &[DS]| signature::is_delegated(&name(SIGNED), &zone.dnskey(), records);
    assert!(is(&[zone.ds(DigestType::SHA1)]) && is(&[zone.ds(DigestType::SHA384)]));
    assert!(!is(&[zone.ds(DigestType::SHA1), other.ds(DigestType::SHA256)]));
    assert!(!is(&[]) && !is(&[other.ds(DigestType::SHA256)]));
}

#[test]
fn work_is_bounded() {
    let zone = Zone::new();
    let keys = zone.keys();
    let mut work = Work::default();
    let mut held = 0;
    while held < 1000
        && proves(&mut zone.sign(&[record("www.signed.test.", a(1))], None), &keys, NOW, &mut work)
    {
        held += 1;
    }
    assert_eq!(held, 128);
}

/// Signatures by the zone's key, as it seems, of which the first `bad` do not hold and the last does.
fn behind_bad_ones(zone: &Zone, bad: usize) -> Vec<Record> {
    let good = zone.sign(&[record("www.signed.test.", a(1))], None);
    let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &good[1].data else { panic!() };
    let broken = (0..bad).map(|n| {
        let mut octets = signature.sig().to_vec();
        octets[n] ^= 1;
        let data = RRSIG::from_sig(signature.input().clone(), octets);
        record("www.signed.test.", RData::DNSSEC(DNSSECRData::RRSIG(data)))
    });
    [good[0].clone()].into_iter().chain(broken).chain([good[1].clone()]).collect()
}

#[test]
fn of_one_rrset_few_checks_may_fail() {
    let zone = Zone::new();
    let keys = zone.keys();
    for (bad, expected) in [(0, true), (1, true), (2, true), (3, false), (7, false)] {
        assert_eq!(valid(behind_bad_ones(&zone, bad), &keys), expected, "{bad}");
    }
}

#[test]
fn of_one_question_few_checks_may_fail_however_many_hold() {
    let zone = Zone::new();
    let keys = zone.keys();
    let mut work = Work::default();
    let mut held = 0;
    while proves(&mut behind_bad_ones(&zone, 1), &keys, NOW, &mut work) {
        held += 1;
    }
    assert_eq!(held, 7);
    assert!(!proves(&mut behind_bad_ones(&zone, 0), &keys, NOW, &mut work), "nothing holds any more");
}

#[test]
fn questions_of_one_purpose_share_what_may_fail() {
    let zone = Zone::new();
    let keys = zone.keys();
    let allowance = signature::FailureAllowance::new(5);
    let mut held = 0;
    for _ in 0..9 {
        let mut work = Work::default();
        work.draw_on(allowance.clone());
        held += u32::from(proves(&mut behind_bad_ones(&zone, 2), &keys, NOW, &mut work));
    }
    assert_eq!(held, 2);
}

/// Other keys with the tag of this one: it is a sum over 16-bit words, and exchanged words keep it.
fn colliding(real: &DNSKEY) -> Vec<DNSKEY> {
    let octets = hickory_proto::dnssec::PublicKey::public_bytes(real.public_key()).to_vec();
    let exchanged = [(0, 2), (4, 6), (8, 10)].into_iter().map(|(i, j)| {
        let mut octets = octets.clone();
        octets.swap(i, j);
        octets.swap(i + 1, j + 1);
        DNSKEY::with_flags(257, PublicKeyBuf::new(octets, Algorithm::ECDSAP256SHA256))
    });
    let keys: Vec<DNSKEY> = exchanged.collect();
    let tag = real.calculate_key_tag().unwrap();
    assert!(keys.iter().all(|k| k.calculate_key_tag().unwrap() == tag));
    keys
}

/// CVE-2023-50387: keys of one tag, each to be tried on each of many signatures of many RRsets.
#[test]
fn a_message_full_of_signatures_costs_as_many_checks_as_may_fail() {
    let zone = Zone::new();
    let keys = zone.keys_with(&colliding(&zone.dnskey())[..1]).unwrap();
    let owner = |number: usize| format!("n{number}.signed.test.");
    let mut message = response().question(&owner(0), T::A);
    for number in 0..12 {
        let alias = record(&owner(number), cname(&owner(number + 1)));
        let signed = zone.sign(std::slice::from_ref(&alias), None);
        let RData::DNSSEC(DNSSECRData::RRSIG(good)) = &signed[1].data else { panic!() };
        let bad = (0..100_u8).map(|octet| {
            let mut octets = good.sig().to_vec();
            octets[0] ^= octet + 1;
            let made = RRSIG::from_sig(good.input().clone(), octets);
            record(&owner(number), RData::DNSSEC(DNSSECRData::RRSIG(made)))
        });
        message = message.answer([alias]).answer(bad);
    }
    let mut section = select(&name(&owner(0)), T::A, &message.0).unwrap().answers;
    let mut work = Work::default();
    let mut spent = Vec::new();
    for (place, _) in signature::signed_sets(&section, NOW) {
        let before = work.spent();
        assert!(!signature::prove(&mut section, &place, &keys, NOW, &mut work));
        spent.push(work.spent() - before);
    }
    // Three that fail for each RRset, eight for the question: then nothing is left.
    assert_eq!(spent, [3, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn of_keys_with_one_tag_only_two_are_tried() {
    let zone = Zone::new();
    let colliding = colliding(&zone.dnskey());
    let section = || zone.sign(&[record("www.signed.test.", a(1))], None);
    assert!(valid(section(), &zone.keys_with(&colliding[..1]).unwrap()));
    assert!(!valid(section(), &zone.keys_with(&colliding[..2]).unwrap()));
}

#[test]
fn signers_and_sets_are_named_once_and_bounded() {
    let zone = Zone::new();
    let mut section = zone.sign(&[record("a.b.c.d.signed.test.", a(1))], None);
    for signer in ["d.signed.test.", "c.d.signed.test.", "b.c.d.signed.test.", "test.", SIGNED] {
        section.extend(proven("a.b.c.d.signed.test.", [a(1)], &by(signer)).split_off(1));
    }
    let sets = signature::signed_sets(&section, NOW);
    assert_eq!((sets.len(), sets[0].1.len()), (1, 3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_octet_of_what_was_signed_can_be_changed(index in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let zone = Zone::new();
        let section = zone.sign(&[record("www.signed.test.", a(1)), record("www.signed.test.", a(2))], None);
        let mut message = response().answer(section).0.to_vec().unwrap();
        // Header, TTLs and compression are not signed.
        let at = 12 + index.index(message.len() - 12);
        message[at] ^= 1 << bit;
        let Ok(changed) = Message::from_vec(&message) else { return Ok(()) };
        let mut section: Vec<Record> = changed.answers;
        section.iter_mut().for_each(|r| r.name = canonical(&r.name));
        let original = zone.sign(&[record("www.signed.test.", a(1)), record("www.signed.test.", a(2))], None);
        let mut copy = section.clone();
        if proves(&mut copy, &zone.keys(), NOW, &mut Work::default()) {
            let data = |s: &[Record]| s.iter().map(|r| (r.name.clone(), r.data.clone())).collect::<Vec<_>>();
            prop_assert_eq!(data(&section)[..2].to_vec(), data(&original)[..2].to_vec());
        }
    }
}
