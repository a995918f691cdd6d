//! R15 and R17: which port records count, in which order, and the source port.

use revouch_validator::answer::{DnsFailure, DnssecStatus};
use revouch_validator::chain::Chain;
use revouch_validator::policy::{Policy, PolicyDraft, SourcePort};
use revouch_validator::rr::RrType;

use crate::common::*;

const SERVICE: &str = "_xmpps-server._tcp.gw1.example.test";

fn at_port(port: u16) -> String {
    format!("_{port}._tcp.gw1.example.test")
}

fn services(draft: &mut PolicyDraft) {
    draft.services = vec!["_xmpps-server._tcp".parse().unwrap()];
}

fn source_port(mode: SourcePort) -> Policy {
    policy(|draft| {
        services(draft);
        draft.source_port = mode;
    })
}

fn gw1() -> Chain {
    server(&["gw1.example.test"]).chain()
}

#[test]
fn r15_by_default_the_listeners_port_is_where_a_peers_tlsa_stands() {
    let dns = secure().tlsa(&at_port(PORT), &[tlsa_of_nobody(1)]);
    assert_eq!(told(&judge(&policy(|_| {}), &gw1(), &dns)), "refused tlsa_mismatch");
    let elsewhere = policy(|draft| draft.ports = Some(vec![443, 8443]));
    assert!(judge(&elsewhere, &gw1(), &dns).is_accepted());
    let dns = secure().tlsa(&at_port(8443), &[tlsa_of_nobody(1)]);
    assert_eq!(told(&judge(&elsewhere, &gw1(), &dns)), "refused tlsa_mismatch");
}

#[test]
fn r15_the_first_set_with_a_usable_record_is_the_peers() {
    let chain = gw1();
    let ports = policy(|draft| draft.ports = Some(vec![443, 8443]));
    let mut unusable = tlsa_of_nobody(1);
    unusable.matching = 99;
    let dns = secure().tlsa(&at_port(443), &[unusable]).tlsa(&at_port(8443), &[tlsa_of(&chain, 1, 1, 1)]);
    assert!(judge(&ports, &chain, &dns).accepted().unwrap().tlsa().is_some());
    let first_wins = dns.tlsa(&at_port(443), &[tlsa_of_nobody(1)]);
    assert_eq!(told(&judge(&ports, &chain, &first_wins)), "refused tlsa_mismatch");
    // Behind the set that was taken, a failure is no matter; before it, it fails.
    let behind =
        secure().tlsa(&at_port(443), &[tlsa_of(&chain, 1, 1, 1)]).bogus(&at_port(8443), RrType::TLSA);
    assert!(judge(&ports, &chain, &behind).is_accepted());
    let before = secure().tlsa(&at_port(8443), &[tlsa_of(&chain, 1, 1, 1)]).fails(
        &at_port(443),
        RrType::TLSA,
        DnsFailure::Timeout,
    );
    assert_eq!(told(&judge(&ports, &chain, &before)), "refused dns_timeout");
}

#[test]
fn r15_the_decision_waits_for_nothing_behind_the_set_that_is_taken() {
    let ports = policy(|draft| draft.ports = Some(vec![443, 8443]));
    let waits_for = |dns: &Dns| {
        let (complete, _) = dns.gather(&ports, &connection());
        let mut evidence = revouch_validator::evidence::Evidence::new(connection().source());
        for seen in complete.iter().filter(|seen| seen.question.name != name(&at_port(8443))) {
            evidence.insert(seen.clone());
        }
        let planned = revouch_validator::plan::questions(&ports, &connection(), &evidence, NOW);
        planned.iter().any(revouch_validator::plan::Planned::is_decisive)
    };
    assert!(!waits_for(&secure().tlsa(&at_port(443), &[tlsa_of_nobody(1)])));
    assert!(!waits_for(&secure().bogus(&at_port(443), RrType::TLSA)));
    assert!(waits_for(&secure()));
}

#[test]
fn r15_nothing_more_is_asked_of_a_name_whose_port_answer_failed() {
    let dns = secure().bogus(&at_port(40_000), RrType::SRV);
    let policy = source_port(SourcePort::Prefer);
    let (complete, _) = dns.gather(&policy, &connection());
    let mut evidence = revouch_validator::evidence::Evidence::new(connection().source());
    for seen in complete.iter().filter(|seen| seen.question.rr_type != RrType::TLSA) {
        evidence.insert(seen.clone());
    }
    let planned = revouch_validator::plan::questions(&policy, &connection(), &evidence, NOW);
    let of_the_name = |planned: &revouch_validator::plan::Planned| {
        planned.is_decisive() && planned.question.name.is_at_or_below(&name("gw1.example.test"))
    };
    assert!(!planned.iter().any(of_the_name), "{planned:?}");
}

#[test]
fn r15_services_lead_to_their_ports_before_the_listeners() {
    let chain = gw1();
    let policy = policy(services);
    let dns = secure()
        .srv(SERVICE, &[(10, 5270, "gw1.example.test")])
        .tlsa(&at_port(5270), &[tlsa_of(&chain, 3, 1, 1)])
        .tlsa(&at_port(PORT), &[tlsa_of_nobody(3)]);
    assert!(judge(&policy, &chain, &dns).is_accepted());
    let by_svcb = secure()
        .svcb(SERVICE, &[(1, Some(5271), ".")])
        .tlsa(&at_port(5271), &[tlsa_of_nobody(3)])
        .tlsa(&at_port(PORT), &[tlsa_of(&chain, 3, 1, 1)]);
    assert_eq!(told(&judge(&policy, &chain, &by_svcb)), "refused tlsa_mismatch");
}

#[test]
fn r15_only_records_whose_target_is_the_name_itself_count() {
    let chain = gw1();
    let policy = policy(services);
    let nobody = [tlsa_of_nobody(3)];
    for dns in [
        secure().srv(SERVICE, &[(10, 5270, "gw2.example.test")]),
        secure().srv(SERVICE, &[(10, 0, "gw1.example.test")]),
        secure().svcb(SERVICE, &[(0, Some(5270), "gw1.example.test")]),
        secure().svcb(SERVICE, &[(1, Some(5270), "gw2.example.test")]),
        secure().svcb(SERVICE, &[(1, None, ".")]),
    ] {
        let dns = dns.tlsa(&at_port(5270), &nobody).tlsa(&at_port(0), &nobody);
        assert!(judge(&policy, &chain, &dns).is_accepted());
    }
}

#[test]
fn r15_within_a_service_the_source_port_comes_first_then_priority_then_port() {
    let chain = gw1();
    let dns = |first: u16| {
        let mut dns = secure().srv(
            SERVICE,
            &[
                (20, 40_000, "gw1.example.test"),
                (10, 5272, "gw1.example.test"),
                (10, 5271, "gw1.example.test"),
            ],
        );
        for port in [40_000, 5271, 5272] {
            let record = if port == first { tlsa_of(&chain, 1, 1, 1) } else { tlsa_of_nobody(1) };
            dns = dns.tlsa(&at_port(port), &[record]);
        }
        dns
    };
    assert!(judge(&policy(services), &chain, &dns(5271)).is_accepted());
    assert!(judge(&source_port(SourcePort::Prefer), &chain, &dns(40_000)).is_accepted());
    assert_eq!(told(&judge(&source_port(SourcePort::Prefer), &chain, &dns(5271))), "refused tlsa_mismatch");
}

#[test]
fn r15_ports_from_an_unsigned_answer_never_lead_to_usages_2_and_3() {
    let chain = server(&["gw1.example.test"]).self_signed().chain();
    let dns = secure()
        .srv(SERVICE, &[(10, 5270, "gw1.example.test")])
        .tlsa(&at_port(5270), &[tlsa_of(&chain, 3, 1, 1)]);
    assert!(judge(&policy(services), &chain, &dns).is_accepted());
    let unsigned = dns.status(SERVICE, RrType::SRV, DnssecStatus::Insecure);
    assert_eq!(told(&judge(&policy(services), &chain, &unsigned)), "refused unknown_issuer");
    // The policy's own port is no hint from the DNS.
    let own = unsigned.tlsa(&at_port(PORT), &[tlsa_of(&chain, 3, 1, 1)]);
    assert!(judge(&policy(services), &chain, &own).is_accepted());
}

#[test]
fn r15_a_port_that_a_signed_answer_names_is_not_made_less_by_an_unsigned_one() {
    let pinned = |chain: &Chain, priority: u16| {
        secure()
            .srv(SERVICE, &[(10, 5270, "gw1.example.test")])
            .svcb(SERVICE, &[(priority, Some(5270), "gw1.example.test")])
            .status(SERVICE, RrType::SVCB, DnssecStatus::Insecure)
            .tlsa(&at_port(5270), &[tlsa_of(chain, 3, 1, 1)])
    };
    let own = server(&["gw1.example.test"]).self_signed().chain();
    for priority in [1, 10, 20] {
        assert!(judge(&policy(services), &own, &pinned(&own, priority)).is_accepted(), "{priority}");
        // Nor is a certificate let in that the pin is against.
        assert_eq!(told(&judge(&policy(services), &gw1(), &pinned(&own, priority))), "refused tlsa_mismatch");
    }
}

#[test]
fn r15_the_source_port_is_asked_for_only_where_the_policy_says_so() {
    let (_, asked) = secure().gather(&policy(services), &connection());
    assert!(asked.iter().all(|planned| planned.question.name != name(&at_port(40_000))));
    let (_, asked) = secure().gather(&source_port(SourcePort::Prefer), &connection());
    assert_eq!(asked.iter().filter(|planned| planned.question.name == name(&at_port(40_000))).count(), 3);
}

#[test]
fn r15_preferred_source_port_comes_before_the_listeners_and_its_absence_is_no_error() {
    let chain = gw1();
    let prefer = source_port(SourcePort::Prefer);
    assert!(judge(&prefer, &chain, &secure()).is_accepted());
    let dns = secure()
        .tlsa(&at_port(40_000), &[tlsa_of_nobody(1)])
        .tlsa(&at_port(PORT), &[tlsa_of(&chain, 1, 1, 1)]);
    assert_eq!(told(&judge(&prefer, &chain, &dns)), "refused tlsa_mismatch");
    // An expansion of *._tcp names every port, so it names none.
    let mut expanded = dns;
    expanded.change(&at_port(40_000), RrType::TLSA, |answer| answer.wildcard = true);
    assert!(judge(&prefer, &chain, &expanded).is_accepted());
    let failed = secure().fails(&at_port(40_000), RrType::SRV, DnsFailure::ServFail);
    assert_eq!(told(&judge(&prefer, &chain, &failed)), "refused dns_servfail");
}

#[test]
fn r17_required_a_service_record_with_the_source_port_or_any_record_at_it() {
    let chain = gw1();
    let require = source_port(SourcePort::Require);
    assert_eq!(told(&judge(&require, &chain, &secure())), "refused source_port_unlisted");
    let other = secure().srv(SERVICE, &[(10, 5270, "gw1.example.test")]);
    assert_eq!(told(&judge(&require, &chain, &other)), "refused source_port_unlisted");
    for dns in [
        secure().srv(SERVICE, &[(10, 40_000, "gw1.example.test")]),
        secure().svcb(SERVICE, &[(1, Some(40_000), ".")]),
        secure().srv(&at_port(40_000), &[(0, 40_000, "gw1.example.test")]),
        secure().svcb(&at_port(40_000), &[(1, None, ".")]),
        secure().tlsa(&at_port(40_000), &[tlsa_of(&chain, 1, 1, 1)]),
    ] {
        assert_eq!(told(&judge(&require, &chain, &dns)), "accepted gw1.example.test");
    }
    let mut expanded = secure().srv(&at_port(40_000), &[(0, 40_000, "gw1.example.test")]);
    expanded.change(&at_port(40_000), RrType::SRV, |answer| answer.wildcard = true);
    assert_eq!(told(&judge(&require, &chain, &expanded)), "refused source_port_unlisted");
}

#[test]
fn r17_an_unknown_source_port_satisfies_nothing() {
    let policy = source_port(SourcePort::Require);
    let connection = connection_from("192.0.2.1:0");
    let (evidence, _) = secure().gather(&policy, &connection);
    let (trust, chain) = (trust(), gw1());
    let case = revouch_validator::decide::Case {
        policy: &policy,
        chain: &chain,
        connection: &connection,
        evidence: Some(&evidence),
        trust: &trust,
        now: NOW,
    };
    assert_eq!(told(&revouch_validator::decide::decide(&case)), "refused source_port_unlisted");
}

#[test]
fn r17_holds_in_the_reverse_zone_for_addresses() {
    let chain = server(&[]).ip("192.0.2.1").chain();
    let require = source_port(SourcePort::Require);
    let dns = secure().ptr(&[]);
    assert_eq!(told(&judge(&require, &chain, &dns)), "refused source_port_unlisted");
    let dns = dns.srv(&format!("_40000._tcp.{REVERSE}"), &[(0, 40_000, "x.example.test")]);
    assert_eq!(told(&judge(&require, &chain, &dns)), "accepted 192.0.2.1");
}

#[test]
fn r15_a_reverse_names_rfc_2317_alias_is_tried_and_its_state_counts() {
    let chain = server(&[]).ip("192.0.2.1").self_signed().chain();
    let alias = "1.0/26.2.0.192.in-addr.arpa";
    let owner = format!("_5269._tcp.{alias}");
    let dns = |link| secure().ptr_by_alias(alias, link, &[]).tlsa(&owner, &[tlsa_of(&chain, 3, 1, 1)]);
    let open = policy(|_| {});
    assert_eq!(told(&judge(&open, &chain, &dns(DnssecStatus::Secure))), "accepted 192.0.2.1");
    assert_eq!(told(&judge(&open, &chain, &dns(DnssecStatus::Insecure))), "refused unknown_issuer");
}
