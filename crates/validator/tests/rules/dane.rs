//! R11: what TLSA records do to a decision.

use rcgen::ExtendedKeyUsagePurpose as Eku;
use revouch_validator::answer::DnssecStatus;
use revouch_validator::chain::Chain;
use revouch_validator::policy::{ClassChoice, Confirm, MixedNames, Policy, TlsaMode};
use revouch_validator::rr::{RrType, Tlsa};

use crate::common::*;

const OWNER: &str = "_5269._tcp.gw1.example.test";

fn open() -> Policy {
    policy(|_| {})
}

fn requiring() -> Policy {
    policy(|draft| draft.tlsa = TlsaMode::Require)
}

fn gw1() -> Chain {
    server(&["gw1.example.test"]).chain()
}

fn with(records: &[Tlsa]) -> Dns {
    secure().tlsa(OWNER, records)
}

#[test]
fn r11_a_set_with_more_records_than_are_used_fails_whatever_their_order() {
    let chain = gw1();
    for (most, other) in [(64, tlsa_of_nobody(1)), (4, bare_key())] {
        let mut records: Vec<Tlsa> = vec![tlsa_of(&chain, 1, 1, 1)];
        // A bare key takes no room of a record that is none.
        records.extend(vec![other.clone(); if other.matching == 0 { most } else { most - 1 }]);
        assert!(judge(&open(), &chain, &with(&records)).is_accepted(), "{most}");
        records.push(other);
        assert_eq!(told(&judge(&open(), &chain, &with(&records))), "refused dns_servfail", "{most}");
        records.reverse();
        assert_eq!(told(&judge(&open(), &chain, &with(&records))), "refused dns_servfail", "{most}");
    }
}

/// A key of somebody's, as a trust anchor in full.
fn bare_key() -> Tlsa {
    tlsa_of_der(&SERVERS.root, 2, 1, 0)
}

#[test]
fn r11_a_usable_record_must_match_and_any_may() {
    let chain = gw1();
    for (usage, selector, matching) in [(0, 0, 1), (1, 0, 1), (1, 1, 2), (1, 1, 0), (3, 1, 1), (3, 0, 2)] {
        let record = if usage == 0 {
            tlsa_of_der(&SERVERS.intermediate, 0, selector, matching)
        } else {
            tlsa_of(&chain, usage, selector, matching)
        };
        let verdict = judge(&open(), &chain, &with(&[tlsa_of_nobody(1), record]));
        assert_eq!(told(&verdict), "accepted gw1.example.test", "{usage} {selector} {matching}");
        assert_eq!(verdict.accepted().unwrap().tlsa().unwrap().usage, usage);
    }
    for usage in 0..=3 {
        assert_eq!(
            told(&judge(&open(), &chain, &with(&[tlsa_of_nobody(usage)]))),
            "refused tlsa_mismatch",
            "{usage}"
        );
    }
}

#[test]
fn r11_usage_0_matches_the_stores_root() {
    assert!(judge(&open(), &gw1(), &with(&[tlsa_of_der(&SERVERS.root, 0, 1, 1)])).is_accepted());
}

#[test]
fn r11_usage_2_needs_no_public_root_but_the_name() {
    let mut trust = trust();
    trust.server = revouch_validator::path::Anchors::none();
    let dns = with(&[tlsa_of_der(&SERVERS.intermediate, 2, 1, 1)]);
    assert_eq!(told(&judge_with(&open(), &gw1(), &dns, &trust)), "accepted gw1.example.test");
    let other = server(&["other.example.test"]).chain();
    assert_eq!(told(&judge_with(&open(), &other, &dns, &trust)), "refused name_mismatch");
    let expired = server(&["gw1.example.test"]).valid(-7200, -60).chain();
    assert_eq!(told(&judge_with(&open(), &expired, &dns, &trust)), "refused expired");
}

#[test]
fn r11_usage_3_ignores_names_dates_issuers_and_eku() {
    let leaves = [
        server(&["gw1.example.test"]).self_signed(),
        server(&["other.example.test"]).self_signed(),
        server(&[]).self_signed().valid(-7200, -60),
        server(&["gw1.example.test"]).eku(&[]).self_signed(),
        server(&["gw1.example.test"]).eku(&[Eku::Any]).self_signed(),
        server(&["gw1.example.test"]).email("a@example.test").self_signed(),
    ];
    for leaf in leaves {
        let chain = leaf.chain();
        let verdict = judge(&open(), &chain, &with(&[tlsa_of(&chain, 3, 1, 1)]));
        assert_eq!(told(&verdict), "accepted gw1.example.test");
    }
}

#[test]
fn r11_what_usage_3_waives_is_refused_at_the_class_stage_without_such_a_record() {
    for (leaf, reason) in [
        (server(&["gw1.example.test"]).eku(&[]), "eku_absent"),
        (server(&["gw1.example.test"]).eku(&[Eku::Any]), "eku_any"),
        (server(&["gw1.example.test"]).email("a@example.test"), "names_mixed"),
    ] {
        let chain = leaf.chain();
        assert_eq!(told(&judge(&open(), &chain, &secure())), format!("refused {reason}"));
        // A record of another usage that matches does not waive it.
        assert_eq!(
            told(&judge(&open(), &chain, &with(&[tlsa_of(&chain, 1, 1, 1)]))),
            format!("refused {reason}")
        );
        // A usage-3 record that does not match: the TLSA check is what failed.
        assert_eq!(told(&judge(&open(), &chain, &with(&[tlsa_of_nobody(3)]))), "refused tlsa_mismatch");
        // One that matches in an unsigned zone is as none.
        let unsigned = unsigned().tlsa(OWNER, &[tlsa_of(&chain, 3, 1, 1)]);
        assert_eq!(told(&judge(&open(), &chain, &unsigned)), format!("refused {reason}"));
    }
}

#[test]
fn r11_usage_3_does_not_waive_names_addresses_or_the_confirmation() {
    let chain = server(&["x.example.test"]).self_signed().chain();
    let dns = with(&[tlsa_of(&chain, 3, 1, 1)]);
    let listed = policy(|draft| draft.names = Some(vec!["other.example.test".parse().unwrap()]));
    assert_eq!(told(&judge(&listed, &chain, &dns)), "refused name_not_listed");
    let elsewhere = policy(|draft| draft.addresses = Some(vec!["198.51.100.0/24".parse().unwrap()]));
    assert_eq!(told(&judge(&elsewhere, &chain, &dns)), "refused address_not_allowed");
    assert_eq!(told(&judge(&open(), &chain, &dns.a("gw1.example.test", &[]))), "refused not_confirmed");
}

#[test]
fn r11_usages_2_and_3_need_a_secure_tlsa_chain_and_a_secure_forward_answer() {
    let chain = server(&["gw1.example.test"]).self_signed().chain();
    let dns = with(&[tlsa_of(&chain, 3, 1, 1)]);
    assert!(judge(&open(), &chain, &dns).is_accepted());
    for (owner, rr_type) in [(OWNER, RrType::TLSA), ("gw1.example.test", RrType::A)] {
        let weaker = dns.clone().status(owner, rr_type, DnssecStatus::Insecure);
        assert_eq!(told(&judge(&open(), &chain, &weaker)), "refused unknown_issuer", "{owner}");
    }
    // The PTR only proposes a name.
    assert!(judge(&open(), &chain, &dns.status(REVERSE, RrType::PTR, DnssecStatus::Insecure)).is_accepted());
}

#[test]
fn r11_confirm_none_uses_the_forward_answers_state() {
    let chain = server(&["gw1.example.test"]).self_signed().chain();
    let policy = policy(|draft| {
        draft.confirm = Confirm::None;
        draft.names = Some(vec!["gw1.example.test".parse().unwrap()]);
    });
    let dns = with(&[tlsa_of(&chain, 3, 1, 1)]).a("gw1.example.test", &["198.51.100.1"]);
    assert!(judge(&policy, &chain, &dns).is_accepted());
    let weaker = dns.status("gw1.example.test", RrType::A, DnssecStatus::Insecure);
    assert_eq!(told(&judge(&policy, &chain, &weaker)), "refused unknown_issuer");
}

#[test]
fn r11_in_an_unsigned_zone_only_usages_0_and_1_count() {
    let chain = gw1();
    let unsigned = |records: &[Tlsa]| unsigned().tlsa(OWNER, records);
    assert!(judge(&open(), &chain, &unsigned(&[tlsa_of(&chain, 1, 1, 1)])).is_accepted());
    assert_eq!(told(&judge(&open(), &chain, &unsigned(&[tlsa_of_nobody(1)]))), "refused tlsa_mismatch");
    // Only 2 and 3: as if there were none.
    let others = unsigned(&[tlsa_of_nobody(2), tlsa_of_nobody(3)]);
    assert!(judge(&open(), &chain, &others).is_accepted());
    assert_eq!(told(&judge(&requiring(), &chain, &others)), "refused tlsa_missing");
}

#[test]
fn r11_modes() {
    let chain = gw1();
    assert_eq!(told(&judge(&requiring(), &chain, &secure())), "refused tlsa_missing");
    assert!(judge(&requiring(), &chain, &with(&[tlsa_of(&chain, 1, 1, 1)])).is_accepted());
    let ignoring = policy(|draft| draft.tlsa = TlsaMode::Ignore);
    assert!(judge(&ignoring, &chain, &with(&[tlsa_of_nobody(3)])).is_accepted());
    let (_, asked) = secure().gather(&ignoring, &connection());
    assert!(asked.iter().all(|planned| planned.question.rr_type != RrType::TLSA));
}

#[test]
fn r11_digest_agility() {
    let chain = gw1();
    let mut wrong = tlsa_of_nobody(1);
    (wrong.matching, wrong.data) = (2, vec![7; 64]);
    // The right SHA-256 does not count beside a SHA-512 of the same usage and selector.
    assert_eq!(
        told(&judge(&open(), &chain, &with(&[tlsa_of(&chain, 1, 1, 1), wrong]))),
        "refused tlsa_mismatch"
    );
}

#[test]
fn r11_for_an_address_the_reverse_zones_set_alone_counts_and_the_address_is_not_waived() {
    let owner = format!("_5269._tcp.{REVERSE}");
    let dns = |chain: &Chain| secure().ptr(&[]).tlsa(&owner, &[tlsa_of(chain, 3, 1, 1)]);
    let right = server(&[]).ip("192.0.2.1").self_signed().chain();
    assert_eq!(told(&judge(&open(), &right, &dns(&right))), "accepted 192.0.2.1");
    let wrong = server(&[]).ip("192.0.2.2").self_signed().chain();
    assert_eq!(told(&judge(&open(), &wrong, &dns(&wrong))), "refused address_mismatch");
    let unsigned = dns(&right).status(&owner, RrType::TLSA, DnssecStatus::Insecure);
    assert_eq!(told(&judge(&open(), &right, &unsigned)), "refused unknown_issuer");
}

#[test]
fn r11_literal_r6_is_waived_by_usage_3_only() {
    let literal = policy(|draft| draft.mixed_names = MixedNames::Reject);
    let chain = server(&["gw1.example.test"]).ip("192.0.2.1").chain();
    assert_eq!(told(&judge(&literal, &chain, &secure())), "refused names_mixed");
    assert!(judge(&literal, &chain, &with(&[tlsa_of(&chain, 3, 1, 1)])).is_accepted());
}

#[test]
fn r11_a_policy_without_anchors_lives_by_tlsa() {
    let policy = policy(|draft| (draft.has_server_trust, draft.tlsa) = (false, TlsaMode::Require));
    let chain = server(&["gw1.example.test"]).self_signed().chain();
    let trust = revouch_validator::trust::TrustStore::none();
    assert!(judge_with(&policy, &chain, &with(&[tlsa_of(&chain, 3, 0, 1)]), &trust).is_accepted());
    assert_eq!(told(&judge_with(&policy, &chain, &secure(), &trust)), "refused tlsa_missing");
}

#[test]
fn r11_stands_before_no_rejected_class() {
    let clients_only = policy(|draft| {
        (draft.server_auth, draft.client_auth, draft.has_client_trust) =
            (ClassChoice::Reject, ClassChoice::Accept, true);
        draft.subjects = revouch_validator::policy::Subjects::Any;
    });
    for purposes in [&[][..], &[Eku::Any], &[Eku::ServerAuth]] {
        let chain = server(&["gw1.example.test"]).eku(purposes).chain();
        let verdict = judge(&clients_only, &chain, &with(&[tlsa_of(&chain, 3, 1, 1)]));
        assert_eq!(told(&verdict), "refused server_auth_rejected");
    }
}

#[test]
fn r11_usage_3_does_not_waive_the_strength_of_the_key() {
    let p256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let mut der = server(&["gw1.example.test"]).self_signed().chain().leaf().to_vec();
    let at = der.windows(8).position(|octets| octets == p256).unwrap();
    // The key is one on P-192, by its own account.
    der[at + 7] = 0x01;
    let chain = Chain::new(vec![der.into()]).unwrap();
    let verdict = judge(&open(), &chain, &with(&[tlsa_of(&chain, 3, 1, 1)]));
    assert_eq!(told(&verdict), "refused weak_key");
    // Nor do the other ways round it.
    assert_eq!(told(&judge(&open(), &chain, &secure())), "refused weak_key");
}

#[test]
fn r13_an_exempt_reverse_zone_leads_to_no_usage_3_by_its_alias() {
    let chain = server(&[]).ip("192.0.2.1").self_signed().chain();
    let alias = "1.reverse.example.test";
    let dns = secure()
        .ptr_by_alias(alias, DnssecStatus::Secure, &[])
        .tlsa(&format!("_5269._tcp.{alias}"), &[tlsa_of(&chain, 3, 1, 1)]);
    assert_eq!(told(&judge(&open(), &chain, &dns)), "accepted 192.0.2.1");
    let exempt = policy(|draft| {
        let zone = name("2.0.192.in-addr.arpa");
        draft.exemptions.listed = vec![revouch_validator::exemption::ExemptZone { zone, not_after: None }];
    });
    assert_eq!(told(&judge(&exempt, &chain, &dns)), "refused unknown_issuer");
}
