//! What the DNS's states mean: R7, R9, R10, R12, R13.

use revouch_validator::answer::{ChainLink, DnsFailure, DnssecStatus};
use revouch_validator::exemption::ExemptZone;
use revouch_validator::plan::Pool;
use revouch_validator::policy::{Dnssec, Multicast, Policy, Reporting, TlsaMode};
use revouch_validator::rr::RrType;
use revouch_validator::timestamp::Timestamp;
use revouch_validator::verdict::CheckOutcome;

use crate::common::*;

fn open() -> Policy {
    policy(|_| {})
}

fn required() -> Policy {
    policy(|draft| draft.dnssec = Dnssec::Required)
}

fn gw1() -> revouch_validator::chain::Chain {
    server(&["gw1.example.test"]).chain()
}

#[test]
fn r7_advice_is_asked_reported_and_refuses_nobody() {
    let policy = policy(|draft| draft.extra_types = vec![RrType::SSHFP]);
    let wanted = [RrType::CAA, RrType::CERT, RrType::SSHFP];
    let (_, asked) = secure().gather(&policy, &connection());
    for rr_type in wanted {
        let found = asked
            .iter()
            .find(|p| p.question.rr_type == rr_type && p.question.name == name("gw1.example.test"));
        assert_eq!(found.unwrap().pool, Pool::Advisory);
    }
    let mut dns = secure();
    for rr_type in wanted {
        dns = dns.bogus("gw1.example.test", rr_type);
    }
    for rr_type in [RrType::SRV, RrType::SVCB] {
        dns = dns.fails("_5269._tcp.gw1.example.test", rr_type, DnsFailure::Timeout);
    }
    let verdict = judge(&policy, &gw1(), &dns);
    assert!(verdict.is_accepted());
    let advice: Vec<_> = verdict.checks().iter().filter(|check| check.check == "advice").collect();
    assert_eq!(advice.len(), 5);
    assert!(advice.iter().all(|check| check.outcome == CheckOutcome::Advisory));
}

#[test]
fn r7_ignored_types_are_not_asked() {
    let policy = policy(|draft| (draft.caa, draft.cert) = (Reporting::Ignore, Reporting::Ignore));
    let (_, asked) = secure().gather(&policy, &connection());
    assert!(asked.iter().all(|planned| ![RrType::CAA, RrType::CERT].contains(&planned.question.rr_type)));
}

#[test]
fn r7_advice_that_has_not_come_is_skipped() {
    let (policy, connection, trust, chain) = (open(), connection(), trust(), gw1());
    let (complete, asked) = secure().gather(&policy, &connection);
    let mut evidence = revouch_validator::evidence::Evidence::new(connection.source());
    for planned in asked.iter().filter(|planned| planned.is_decisive()) {
        let seen = complete.get(&planned.question.name, planned.question.rr_type).unwrap();
        evidence.insert(seen.clone());
    }
    let case = revouch_validator::decide::Case {
        policy: &policy,
        chain: &chain,
        connection: &connection,
        evidence: Some(&evidence),
        trust: &trust,
        now: NOW,
    };
    let verdict = revouch_validator::decide::decide(&case);
    assert!(verdict.is_accepted());
    let skipped = verdict
        .checks()
        .iter()
        .filter(|check| check.outcome == CheckOutcome::Skipped && check.check == "advice");
    assert_eq!(skipped.count(), 4);
}

#[test]
fn r9_a_bogus_answer_is_never_an_absent_one() {
    let places = [
        (REVERSE, RrType::PTR),
        ("gw1.example.test", RrType::A),
        ("_5269._tcp.gw1.example.test", RrType::TLSA),
    ];
    for (owner, rr_type) in places {
        assert_eq!(
            told(&judge(&open(), &gw1(), &secure().bogus(owner, rr_type))),
            "refused dns_bogus",
            "{owner}"
        );
        assert_eq!(
            told(&judge(&open(), &gw1(), &unsigned().bogus(owner, rr_type))),
            "refused dns_bogus",
            "{owner}"
        );
    }
    let services = policy(|draft| draft.services = vec!["_xmpps-server._tcp".parse().unwrap()]);
    for rr_type in [RrType::SRV, RrType::SVCB] {
        let dns = secure().bogus("_xmpps-server._tcp.gw1.example.test", rr_type);
        assert_eq!(told(&judge(&services, &gw1(), &dns)), "refused dns_bogus");
        // What the policy does not use is advice.
        assert!(judge(&open(), &gw1(), &dns).is_accepted());
    }
    let ignored = policy(|draft| draft.tlsa = TlsaMode::Ignore);
    let dns = secure().bogus("_5269._tcp.gw1.example.test", RrType::TLSA);
    assert!(judge(&ignored, &gw1(), &dns).is_accepted());
}

#[test]
fn r9_signatures_are_held_against_the_time_of_the_decision() {
    let dns = secure().signed_until("gw1.example.test", RrType::A, NOW);
    assert!(judge(&open(), &gw1(), &dns).is_accepted());
    let dns = secure().signed_until("gw1.example.test", RrType::A, Timestamp(NOW.0 - 1));
    assert_eq!(told(&judge(&open(), &gw1(), &dns)), "refused dns_bogus");
}

#[test]
fn r10_an_unsigned_zone_does_not_fail_the_peer_unless_dnssec_is_required() {
    assert!(judge(&open(), &gw1(), &unsigned()).is_accepted());
    assert_eq!(told(&judge(&required(), &gw1(), &unsigned())), "refused dnssec_required");
    assert!(judge(&required(), &gw1(), &secure()).is_accepted());
}

#[test]
fn r10_required_counts_every_answer_the_negative_ones_and_the_ptr_included() {
    for (owner, rr_type) in [
        (REVERSE, RrType::PTR),
        ("gw1.example.test", RrType::A),
        ("_5269._tcp.gw1.example.test", RrType::TLSA),
    ] {
        let mut dns = secure();
        dns.change(owner, rr_type, |answer| answer.status = DnssecStatus::Insecure);
        assert_eq!(told(&judge(&required(), &gw1(), &dns)), "refused dnssec_required", "{owner}");
        assert!(judge(&open(), &gw1(), &dns).is_accepted());
    }
}

#[test]
fn r10_required_counts_the_answers_of_services_and_their_absence() {
    let service = "_xmpps-server._tcp.gw1.example.test";
    let policy = policy(|draft| {
        draft.dnssec = Dnssec::Required;
        draft.services = vec!["_xmpps-server._tcp".parse().unwrap()];
    });
    assert!(judge(&policy, &gw1(), &secure()).is_accepted());
    for rr_type in [RrType::SRV, RrType::SVCB] {
        let mut absent = secure();
        absent.change(service, rr_type, |answer| answer.status = DnssecStatus::Insecure);
        assert_eq!(told(&judge(&policy, &gw1(), &absent)), "refused dnssec_required", "{rr_type}");
    }
    let elsewhere = secure().srv(service, &[(10, 5270, "gw2.example.test")]).status(
        service,
        RrType::SRV,
        DnssecStatus::Insecure,
    );
    assert_eq!(told(&judge(&policy, &gw1(), &elsewhere)), "refused dnssec_required");
}

#[test]
fn r10_required_holds_for_addresses() {
    let chain = || server(&[]).ip("192.0.2.1").chain();
    assert!(judge(&required(), &chain(), &secure().ptr(&[])).is_accepted());
    assert_eq!(told(&judge(&required(), &chain(), &unsigned().ptr(&[]))), "refused dnssec_required");
}

fn exempting(zone: &str, dnssec: Dnssec) -> Policy {
    policy(|draft| {
        draft.dnssec = dnssec;
        for zone in [zone, "2.0.192.in-addr.arpa"] {
            draft.exemptions.listed.push(ExemptZone { zone: name(zone), not_after: Some(NOW) });
        }
    })
}

fn all_exempt() -> Dns {
    let mut dns = secure();
    dns.rest = DnssecStatus::Exempt;
    dns.status(REVERSE, RrType::PTR, DnssecStatus::Exempt).status(
        "gw1.example.test",
        RrType::A,
        DnssecStatus::Exempt,
    )
}

#[test]
fn r10_r13_an_exempt_zone_satisfies_required() {
    assert!(judge(&exempting("example.test", Dnssec::Required), &gw1(), &all_exempt()).is_accepted());
}

#[test]
fn r13_exempt_without_an_exemption_of_this_policy_is_insecure() {
    assert_eq!(told(&judge(&required(), &gw1(), &all_exempt())), "refused dnssec_required");
    // On label boundaries only, and only until its end.
    assert_eq!(
        told(&judge(&exempting("ample.test", Dnssec::Required), &gw1(), &all_exempt())),
        "refused dnssec_required"
    );
    let mut expired: revouch_validator::policy::PolicyDraft =
        exempting("example.test", Dnssec::Required).into();
    expired.exemptions.listed[0].not_after = Some(Timestamp(NOW.0 - 1));
    assert_eq!(told(&judge(&expired.build().unwrap(), &gw1(), &all_exempt())), "refused dnssec_required");
}

#[test]
fn r13_records_from_an_exempt_zone_count_as_unsigned() {
    let chain = server(&["gw1.example.test"]).self_signed().chain();
    let pinned = secure().tlsa("_5269._tcp.gw1.example.test", &[tlsa_of(&chain, 3, 1, 1)]);
    assert!(judge(&open(), &chain, &pinned).is_accepted());
    // Even if they were recorded as secure.
    let policy = exempting("example.test", Dnssec::Opportunistic);
    assert_eq!(told(&judge(&policy, &chain, &pinned)), "refused unknown_issuer");
}

#[test]
fn r13_an_alias_into_a_zone_that_this_policy_exempts_fails() {
    let aliased = |target: &str| {
        let mut dns = secure();
        dns.change("gw1.example.test", RrType::A, |answer| {
            answer.chain = vec![ChainLink {
                owner: name("gw1.example.test"),
                target: name(target),
                status: DnssecStatus::Secure,
            }];
        });
        dns
    };
    assert!(judge(&open(), &gw1(), &aliased("gw1.corp.test")).is_accepted());
    // Recorded as secure, under other exemptions.
    let exempt = exempting("corp.test", Dnssec::Opportunistic);
    assert_eq!(told(&judge(&exempt, &gw1(), &aliased("gw1.corp.test"))), "refused dns_into_exempt_zone");
    for target in ["x.localhost", "printer.local"] {
        assert_eq!(told(&judge(&open(), &gw1(), &aliased(target))), "refused dns_into_exempt_zone");
    }
    // Inside an exempt zone, and out of one, it may lead.
    let inside = exempting("test", Dnssec::Opportunistic);
    assert!(judge(&inside, &gw1(), &aliased("gw1.corp.test")).is_accepted());
    let out = exempting("example.test", Dnssec::Opportunistic);
    assert!(judge(&out, &gw1(), &aliased("gw1.corp.test")).is_accepted());
}

#[test]
fn r13_the_built_in_list_makes_no_name_usable_but_an_exemption_does() {
    let dns = unsigned().ptr(&["peer.onion"]).a("peer.onion", &["192.0.2.1"]);
    let chain = || server(&["peer.onion"]).chain();
    assert_eq!(told(&judge(&open(), &chain(), &dns)), "refused name_unusable");
    assert_eq!(
        told(&judge(&exempting("onion", Dnssec::Opportunistic), &chain(), &dns)),
        "accepted peer.onion"
    );
    let off = policy(|draft| draft.exemptions.built_in = false);
    assert_eq!(told(&judge(&off, &chain(), &dns)), "accepted peer.onion");
}

#[test]
fn r12_zeroconf_names_need_no_dnssec_where_multicast_is_allowed() {
    let mut dns = unsigned().ptr(&["printer.local"]).a("printer.local", &["192.0.2.1"]);
    dns = dns.status("printer.local", RrType::A, DnssecStatus::Exempt).status(
        REVERSE,
        RrType::PTR,
        DnssecStatus::Secure,
    );
    dns.rest = DnssecStatus::Exempt;
    let chain = || server(&["printer.local"]).chain();
    assert_eq!(told(&judge(&required(), &chain(), &dns)), "refused name_unusable");
    let allowed = policy(|draft| (draft.multicast, draft.dnssec) = (Multicast::Allow, Dnssec::Required));
    assert_eq!(told(&judge(&allowed, &chain(), &dns)), "accepted printer.local");
}
