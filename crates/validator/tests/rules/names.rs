//! Which name or address a peer is confirmed for: R2, R3, R8, and `identity`.

use revouch_validator::answer::DnsFailure;
use revouch_validator::decide::{Case, decide};
use revouch_validator::evidence::Evidence;
use revouch_validator::policy::{Confirm, Policy};
use revouch_validator::rr::RrType;

use crate::common::*;

fn open() -> Policy {
    policy(|_| {})
}

fn listing(names: &[&str]) -> Policy {
    policy(|draft| draft.names = Some(names.iter().map(|n| n.parse().unwrap()).collect()))
}

fn gw1() -> revouch_validator::chain::Chain {
    server(&["gw1.example.test"]).chain()
}

#[test]
fn r2_a_forward_confirmed_name_that_the_certificate_has_is_the_identity() {
    let verdict = judge(&open(), &gw1(), &secure());
    assert_eq!(told(&verdict), "accepted gw1.example.test");
    assert_eq!(verdict.accepted().unwrap().matched_name(), Some("gw1.example.test"));
}

#[test]
fn r2_a_wildcard_certificate_matches_one_label() {
    assert!(judge(&open(), &server(&["*.example.test"]).chain(), &secure()).is_accepted());
    for names in [&["*.test"][..], &["*.gw1.example.test"], &["g*.example.test"], &["*"]] {
        assert_eq!(
            told(&judge(&open(), &server(names).chain(), &secure())),
            "refused name_mismatch",
            "{names:?}"
        );
    }
}

#[test]
fn r2_the_common_name_is_never_used() {
    let chain = server(&["other.example.test"]).cn("gw1.example.test").chain();
    assert_eq!(told(&judge(&open(), &chain, &secure())), "refused name_mismatch");
}

#[test]
fn r2_the_names_of_the_ptr_answer_are_told_and_of_many_the_first_eight() {
    let seen = |verdict: &revouch_validator::verdict::Verdict| {
        verdict.checks().iter().find(|check| check.check == "ptr").unwrap().seen.clone()
    };
    assert_eq!(seen(&judge(&open(), &gw1(), &secure())), "gw1.example.test (secure)");
    let names: Vec<String> = (0..5000).map(|n| format!("n{n}.example.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let seen = seen(&judge(&open(), &gw1(), &secure().ptr(&names)));
    assert!(seen.starts_with("n0.example.test, n1.example.test, "), "{seen}");
    assert!(seen.ends_with("n7.example.test and 4992 more (secure)"), "{seen}");
}

#[test]
fn r2_the_decisive_check_is_that_of_the_reason_not_the_first_that_failed() {
    // x.invalid cannot be a host's, a.example.test is not listed: the latter came further.
    let verdict =
        judge(&listing(&["gw1.example.test"]), &gw1(), &secure().ptr(&["x.invalid", "a.example.test"]));
    assert_eq!(told(&verdict), "refused name_not_listed");
    let decisive = verdict.decisive().unwrap();
    assert_eq!((decisive.check, &*decisive.seen), ("listed", "a.example.test"));
    // A name that was never asked has no check of its own; the failure of another must not stand for it.
    let dns = secure().ptr(&["a.example.test", "gw1.example.test"]).bogus("gw1.example.test", RrType::A);
    let (policy, connection, trust) = (open(), connection(), trust());
    let (whole, _) = dns.gather(&policy, &connection);
    let mut evidence = Evidence::new(connection.source());
    for observation in whole.iter().filter(|o| o.question.name.to_string() != "a.example.test") {
        evidence.insert(observation.clone());
    }
    let (chain, evidence) = (gw1(), Some(&evidence));
    let case =
        Case { policy: &policy, chain: &chain, connection: &connection, evidence, trust: &trust, now: NOW };
    let verdict = decide(&case);
    assert_eq!((told(&verdict), verdict.decisive()), ("refused not_confirmed".to_owned(), None));
}

#[test]
fn r2_without_ptr_the_peer_is_refused() {
    assert_eq!(told(&judge(&open(), &gw1(), &secure().ptr(&[]))), "refused no_ptr");
}

#[test]
fn r2_a_name_that_does_not_lead_back_is_not_confirmed() {
    for forward in [&[][..], &["192.0.2.2"], &["198.51.100.1", "192.0.2.3"]] {
        let dns = secure().a("gw1.example.test", forward);
        assert_eq!(told(&judge(&open(), &gw1(), &dns)), "refused not_confirmed", "{forward:?}");
    }
    let among_others = secure().a("gw1.example.test", &["198.51.100.1", "192.0.2.1"]);
    assert!(judge(&open(), &gw1(), &among_others).is_accepted());
}

#[test]
fn r2_only_the_sources_family_is_asked_and_mapped_addresses_are_ipv4() {
    let connection = connection_from("[::ffff:192.0.2.1]:40000");
    let (evidence, asked) = secure().gather(&open(), &connection);
    assert!(asked.iter().all(|planned| planned.question.rr_type != RrType::AAAA));
    let (policy, trust, chain) = (open(), trust(), gw1());
    let case = Case {
        policy: &policy,
        chain: &chain,
        connection: &connection,
        evidence: Some(&evidence),
        trust: &trust,
        now: NOW,
    };
    assert!(decide(&case).is_accepted());
}

#[test]
fn r2_every_confirmed_name_is_judged_by_itself_in_alphabetical_order() {
    let dns = secure()
        .ptr(&["z.example.test", "gw1.example.test", "a.example.test"])
        .a("z.example.test", &["192.0.2.1"])
        .a("a.example.test", &["192.0.2.1"]);
    let all = server(&["z.example.test", "gw1.example.test", "a.example.test"]).chain();
    assert_eq!(told(&judge(&open(), &all, &dns)), "accepted a.example.test");
    assert_eq!(told(&judge(&open(), &gw1(), &dns)), "accepted gw1.example.test");
    // One name's TLSA set is not another's.
    let pinned = dns.tlsa("_5269._tcp.a.example.test", &[tlsa_of_nobody(1)]);
    assert_eq!(told(&judge(&open(), &all, &pinned)), "accepted gw1.example.test");
}

#[test]
fn r2_the_policys_order_of_names_wins() {
    let dns = secure().ptr(&["gw1.example.test", "a.example.test"]).a("a.example.test", &["192.0.2.1"]);
    let chain = server(&["gw1.example.test", "a.example.test"]).chain();
    let policy = listing(&["gw1.example.test", "*.example.test"]);
    assert_eq!(told(&judge(&policy, &chain, &dns)), "accepted gw1.example.test");
}

#[test]
fn r2_a_failed_forward_answer_disqualifies_that_name_only() {
    let dns = secure().ptr(&["a.example.test", "gw1.example.test"]).bogus("a.example.test", RrType::A);
    let chain = server(&["a.example.test", "gw1.example.test"]).chain();
    assert_eq!(told(&judge(&open(), &chain, &dns)), "accepted gw1.example.test");
}

#[test]
fn r2_a_failed_ptr_disqualifies_every_name() {
    for (failure, reason) in [
        (DnsFailure::Bogus("x".into()), "dns_bogus"),
        (DnsFailure::Timeout, "dns_timeout"),
        (DnsFailure::ServFail, "dns_servfail"),
        (DnsFailure::Refused, "dns_refused"),
        (DnsFailure::Budget, "dns_budget"),
        (DnsFailure::RateLimited, "dns_rate_limited"),
        (DnsFailure::MulticastRefused, "multicast_refused"),
        (DnsFailure::IntoExemptZone, "dns_into_exempt_zone"),
    ] {
        let dns = secure().fails(REVERSE, RrType::PTR, failure);
        assert_eq!(told(&judge(&open(), &gw1(), &dns)), format!("refused {reason}"));
    }
}

#[test]
fn names_that_cannot_be_a_hosts_are_unusable() {
    for bad in [
        "single",
        "host.123",
        "*.example.test",
        "under_score.example.test",
        "-a.example.test",
        "1.2.0.192.in-addr.arpa",
        "x.ip6.arpa",
        "x.invalid",
        "host.local",
        "x.onion",
        "x.localhost",
    ] {
        let dns = secure().ptr(&[bad]).a(bad, &["192.0.2.1"]);
        assert_eq!(told(&judge(&open(), &gw1(), &dns)), "refused name_unusable", "{bad}");
    }
}

#[test]
fn only_listed_names_are_let_in_and_only_they_are_asked_for() {
    let policy = listing(&["gw1.example.test", "*.edge.test"]);
    assert!(judge(&policy, &gw1(), &secure()).is_accepted());
    let dns = secure().ptr(&["other.example.test"]).a("other.example.test", &["192.0.2.1"]);
    let chain = server(&["other.example.test"]).chain();
    assert_eq!(told(&judge(&policy, &chain, &dns)), "refused name_not_listed");
    let (_, asked) = dns.gather(&policy, &connection());
    assert_eq!(asked.len(), 1, "{asked:?}");
    let dns = secure().ptr(&["a.edge.test"]).a("a.edge.test", &["192.0.2.1"]);
    assert!(judge(&policy, &server(&["a.edge.test"]).chain(), &dns).is_accepted());
}

#[test]
fn a_listed_name_is_compared_with_the_confirmed_name_and_never_with_a_san() {
    let dns = secure().ptr(&["evil.example.test"]).a("evil.example.test", &["192.0.2.1"]);
    let chain = server(&["gw1.example.test", "evil.example.test"]).chain();
    assert_eq!(told(&judge(&listing(&["gw1.example.test"]), &chain, &dns)), "refused name_not_listed");
}

#[test]
fn max_names_bounds_what_is_asked_and_listed_names_come_first() {
    let names: Vec<String> = (0..10_000).map(|n| format!("h{n:05}.example.test")).collect();
    let mut dns = secure().ptr(&names.iter().map(String::as_str).collect::<Vec<_>>());
    dns = dns.a("h09999.example.test", &["192.0.2.1"]);
    let chain = server(&["h09999.example.test"]).chain();
    let (_, asked) = dns.gather(&open(), &connection());
    assert_eq!(asked.iter().filter(|planned| planned.question.rr_type == RrType::A).count(), 8);
    let verdict = judge(&open(), &chain, &dns);
    assert_eq!(told(&verdict), "refused not_confirmed");
    assert!(verdict.checks().len() < 100, "{}", verdict.checks().len());
    assert_eq!(
        told(&judge(&listing(&["h09999.example.test"]), &chain, &dns)),
        "accepted h09999.example.test"
    );
}

#[test]
fn max_names_bounds_the_decision_over_any_evidence() {
    let dns = secure().ptr(&["gw1.example.test", "a.example.test"]).a("a.example.test", &["192.0.2.9"]);
    assert_eq!(told(&judge(&open(), &gw1(), &dns)), "accepted gw1.example.test");
    let (evidence, _) = dns.gather(&open(), &connection());
    let (first, trust, chain, connection) =
        (policy(|draft| draft.max_names = 1), trust(), gw1(), connection());
    let case = Case {
        policy: &first,
        chain: &chain,
        connection: &connection,
        evidence: Some(&evidence),
        trust: &trust,
        now: NOW,
    };
    let verdict = decide(&case);
    assert_eq!(told(&verdict), "refused not_confirmed");
    assert!(verdict.checks().iter().any(|check| check.seen == "1 more names were not asked (maxNames)"));
}

#[test]
fn names_that_are_sorted_out_are_told_up_to_eight() {
    let names: Vec<String> = (0..20).map(|n| format!("h{n}.example.test")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.extend(["single", "x.invalid"]);
    let verdict = judge(&listing(&["gw1.example.test"]), &gw1(), &secure().ptr(&names));
    assert_eq!(told(&verdict), "refused name_not_listed");
    let listed = verdict.checks().iter().find(|check| check.check == "listed").unwrap();
    assert_eq!(listed.seen.matches("example.test").count(), 8);
    assert!(listed.seen.ends_with(" and 14 more"), "{}", listed.seen);
    // A name that could be a host's came further than one that could not.
    let dns = secure().ptr(&["single", "other.example.test"]);
    assert_eq!(told(&judge(&listing(&["gw1.example.test"]), &gw1(), &dns)), "refused name_not_listed");
    let verdict = judge(&listing(&["gw1.example.test"]), &gw1(), &secure().ptr(&["single", "x.invalid"]));
    assert_eq!(told(&verdict), "refused name_unusable");
}

#[test]
fn addresses_bind_every_class_and_nothing_is_asked_for_others() {
    let within = |prefix: &str| policy(|draft| draft.addresses = Some(vec![prefix.parse().unwrap()]));
    assert!(judge(&within("192.0.2.0/24"), &gw1(), &secure()).is_accepted());
    let outside = within("198.51.100.0/24");
    assert_eq!(told(&judge(&outside, &gw1(), &secure())), "refused address_not_allowed");
    assert!(secure().gather(&outside, &connection()).1.is_empty());
}

#[test]
fn an_unusable_source_is_refused_without_a_question() {
    for source in ["0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[ff02::1]:1"] {
        let connection = connection_from(source);
        let (policy, trust, chain) = (open(), trust(), gw1());
        let (evidence, asked) = secure().gather(&policy, &connection);
        assert!(asked.is_empty());
        let case = Case {
            policy: &policy,
            chain: &chain,
            connection: &connection,
            evidence: Some(&evidence),
            trust: &trust,
            now: NOW,
        };
        assert_eq!(told(&decide(&case)), "refused address_not_allowed", "{source}");
    }
}

#[test]
fn missing_or_foreign_evidence_fails_closed() {
    let (policy, trust, chain, connection) = (open(), trust(), gw1(), connection());
    let foreign = {
        let elsewhere = connection_from("192.0.2.2:1");
        let dns = secure().records("2.2.0.192.in-addr.arpa", RrType::PTR, vec![]);
        dns.gather(&policy, &elsewhere).0
    };
    let empty = Evidence::new(connection.source());
    for evidence in [None, Some(&foreign), Some(&empty)] {
        let case = Case {
            policy: &policy,
            chain: &chain,
            connection: &connection,
            evidence,
            trust: &trust,
            now: NOW,
        };
        assert_eq!(told(&decide(&case)), "refused evidence_missing");
    }
}

#[test]
fn evidence_of_another_address_counts_for_nothing_under_forward_either() {
    let policy = policy(|draft| {
        (draft.confirm, draft.names) = (Confirm::Forward, Some(vec!["gw1.example.test".parse().unwrap()]));
    });
    let dns = secure().a("gw1.example.test", &["192.0.2.1", "192.0.2.2"]);
    let (foreign, _) = dns.gather(&policy, &connection_from("192.0.2.2:40000"));
    let (trust, chain, connection) = (trust(), gw1(), connection());
    let case = Case {
        policy: &policy,
        chain: &chain,
        connection: &connection,
        evidence: Some(&foreign),
        trust: &trust,
        now: NOW,
    };
    assert_eq!(told(&decide(&case)), "refused evidence_missing");
}

#[test]
fn forward_confirms_exactly_the_listed_names_without_a_ptr() {
    let policy = policy(|draft| {
        draft.confirm = Confirm::Forward;
        draft.names = Some(vec!["gw9.example.test".parse().unwrap(), "gw1.example.test".parse().unwrap()]);
    });
    let (_, asked) = secure().gather(&policy, &connection());
    assert!(asked.iter().all(|planned| planned.question.rr_type != RrType::PTR));
    assert_eq!(told(&judge(&policy, &gw1(), &secure())), "accepted gw1.example.test");
    assert_eq!(
        told(&judge(&policy, &gw1(), &secure().a("gw1.example.test", &["192.0.2.2"]))),
        "refused not_confirmed"
    );
    let failed =
        secure().a("gw1.example.test", &[]).fails("gw9.example.test", RrType::A, DnsFailure::Timeout);
    assert_eq!(told(&judge(&policy, &gw1(), &failed)), "refused dns_timeout");
}

#[test]
fn r13_a_listed_name_must_be_usable_too_however_it_is_confirmed() {
    for confirm in [Confirm::Forward, Confirm::None] {
        for bad in ["peer.onion", "peer.localhost", "printer.local", "host.123", "1.2.0.192.in-addr.arpa"] {
            let listed = |draft: &mut revouch_validator::policy::PolicyDraft| {
                (draft.confirm, draft.names) = (confirm, Some(vec![bad.parse().unwrap()]));
            };
            let dns = unsigned().a(bad, &["192.0.2.1"]);
            let chain = server(&[bad]).chain();
            assert_eq!(told(&judge(&policy(listed), &chain, &dns)), "refused name_unusable", "{bad}");
            assert!(dns.gather(&policy(listed), &connection()).1.is_empty());
        }
        let exempt = policy(|draft| {
            (draft.confirm, draft.names) = (confirm, Some(vec!["peer.onion".parse().unwrap()]));
            draft.exemptions.listed =
                vec![revouch_validator::exemption::ExemptZone { zone: name("onion"), not_after: None }];
        });
        let dns = unsigned().a("peer.onion", &["192.0.2.1"]);
        assert_eq!(told(&judge(&exempt, &server(&["peer.onion"]).chain(), &dns)), "accepted peer.onion");
    }
}

#[test]
fn confirm_none_takes_the_name_without_the_address_but_not_a_failed_answer() {
    let policy = policy(|draft| {
        draft.confirm = Confirm::None;
        draft.names = Some(vec!["gw1.example.test".parse().unwrap()]);
    });
    let elsewhere = secure().ptr(&[]).a("gw1.example.test", &["198.51.100.1"]);
    assert_eq!(told(&judge(&policy, &gw1(), &elsewhere)), "accepted gw1.example.test");
    assert_eq!(
        told(&judge(&policy, &server(&["x.example.test"]).chain(), &elsewhere)),
        "refused name_mismatch"
    );
    assert_eq!(
        told(&judge(&policy, &gw1(), &elsewhere.bogus("gw1.example.test", RrType::A))),
        "refused dns_bogus"
    );
}

#[test]
fn r3_the_source_address_is_the_reference_identity() {
    let dns = secure().ptr(&[]);
    let verdict = judge(&open(), &server(&[]).ip("192.0.2.1").chain(), &dns);
    assert_eq!(told(&verdict), "accepted 192.0.2.1");
    assert_eq!(told(&judge(&open(), &server(&[]).ip("192.0.2.2").chain(), &dns)), "refused address_mismatch");
    let as_text = server(&[]).dns("192.0.2.1").ip("192.0.2.2").chain();
    assert_eq!(told(&judge(&open(), &as_text, &dns)), "refused address_mismatch");
}

#[test]
fn r3_a_listed_name_is_asked_of_everyone() {
    let policy = listing(&["gw1.example.test"]);
    let verdict = judge(&policy, &server(&[]).ip("192.0.2.1").chain(), &secure().ptr(&[]));
    assert_eq!(told(&verdict), "refused name_not_listed");
}

#[test]
fn r8_missing_reverse_dns_does_not_fail_an_address_but_a_failure_does() {
    let chain = || server(&[]).ip("192.0.2.1").chain();
    for dns in [
        secure().ptr(&[]),
        secure().a("gw1.example.test", &[]),
        secure().bogus("gw1.example.test", RrType::A),
    ] {
        assert_eq!(told(&judge(&open(), &chain(), &dns)), "accepted 192.0.2.1");
    }
    assert_eq!(told(&judge(&open(), &chain(), &secure().bogus(REVERSE, RrType::PTR))), "refused dns_bogus");
    let tlsa = format!("_5269._tcp.{REVERSE}");
    assert_eq!(
        told(&judge(&open(), &chain(), &secure().ptr(&[]).bogus(&tlsa, RrType::TLSA))),
        "refused dns_bogus"
    );
    let failed = secure().ptr(&[]).fails(&tlsa, RrType::TLSA, DnsFailure::Timeout);
    assert_eq!(told(&judge(&open(), &chain(), &failed)), "refused dns_timeout");
}

#[test]
fn r8_name_and_address_are_judged_apart_and_the_identity_is_what_was_confirmed() {
    let chain = server(&["gw1.example.test"]).ip("192.0.2.1").chain();
    assert_eq!(told(&judge(&open(), &chain, &secure())), "accepted gw1.example.test");
    // The name's TLSA set refuses the name, not the address.
    let pinned = secure().tlsa("_5269._tcp.gw1.example.test", &[tlsa_of_nobody(1)]);
    assert_eq!(told(&judge(&open(), &chain, &pinned)), "accepted 192.0.2.1");
    let reverse = format!("_5269._tcp.{REVERSE}");
    let other = secure().tlsa(&reverse, &[tlsa_of_nobody(1)]);
    assert_eq!(told(&judge(&open(), &chain, &other)), "accepted gw1.example.test");
    assert_eq!(
        told(&judge(&open(), &chain, &pinned.tlsa(&reverse, &[tlsa_of_nobody(1)]))),
        "refused tlsa_mismatch"
    );
}

#[test]
fn the_reason_is_that_of_the_candidate_that_came_furthest() {
    let dns = secure()
        .ptr(&["a.example.test", "b.example.test", "c.example.test"])
        .a("b.example.test", &["192.0.2.1"])
        .a("c.example.test", &["192.0.2.1"])
        .bogus("_5269._tcp.b.example.test", RrType::TLSA);
    // a is not confirmed, b has a bogus answer, c fails at the name.
    assert_eq!(told(&judge(&open(), &gw1(), &dns)), "refused name_mismatch");
    // Of equals the first: a and b have failed at the forward answer.
    let dns = secure().ptr(&["a.example.test", "b.example.test"]).fails(
        "b.example.test",
        RrType::A,
        DnsFailure::Timeout,
    );
    assert_eq!(told(&judge(&open(), &gw1(), &dns)), "refused not_confirmed");
}
