#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use revouch_validator::answer::Negative;

use super::*;
use crate::testing::{Stage, a, behind, name, nothing, records};

fn answer(seen: &Observation) -> &Answer {
    match &seen.outcome {
        Outcome::Answer(answer) => answer,
        Outcome::Failure(failure) => panic!("{}: {failure}", seen.question),
    }
}

fn failure(seen: &Observation) -> &DnsFailure {
    match &seen.outcome {
        Outcome::Failure(failure) => failure,
        Outcome::Answer(answer) => panic!("{}: {answer:?}", seen.question),
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_within_a_group_is_taken_as_it_came() {
    let stage = Stage::new();
    let said = behind("a.example", &["b.example", "c.example"], records([a("192.0.2.1")]));
    stage.system.say("a.example", "A", said.clone());
    let seen = stage.ask("a.example", "A").await;
    assert_eq!((answer(&seen), seen.group.as_str(), seen.upstream_queries), (&said, "system", 1));
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_leaves_the_group_goes_on_in_the_other_and_foreign_records_do_not_count() {
    let stage = Stage::new();
    let lie = records([a("203.0.113.66")]);
    stage.system.say(
        "a.example",
        "A",
        behind("a.example", &["b.example", "h.corp.example", "z.corp.example"], lie),
    );
    let truth = Answer { status: DnssecStatus::Insecure, ttl: 20, ..records([a("192.0.2.1")]) };
    stage.corp.say("h.corp.example", "A", truth);
    let seen = stage.ask("a.example", "A").await;
    let got = answer(&seen);
    assert_eq!(got.records, [a("192.0.2.1")]);
    assert_eq!((got.status, got.ttl, got.chain.len()), (DnssecStatus::Insecure, 20, 2));
    assert_eq!(got.chain_end(), Some(&name("h.corp.example")));
    assert_eq!(seen.upstream_queries, 2);
    assert_eq!(stage.corp.asked(), ["h.corp.example A"]);
}

#[tokio::test(start_paused = true)]
async fn a_chain_may_come_back_and_an_absence_beyond_is_an_absence() {
    let stage = Stage::new();
    stage.system.say("a.example", "A", behind("a.example", &["h.corp.example"], nothing()));
    stage.corp.say(
        "h.corp.example",
        "A",
        behind("h.corp.example", &["c.example"], records([a("203.0.113.66")])),
    );
    stage.system.say("c.example", "A", Answer { negative: Some(Negative::NoData), ..nothing() });
    let seen = stage.ask("a.example", "A").await;
    let got = answer(&seen);
    assert_eq!((got.negative, got.records.len(), got.chain.len()), (Some(Negative::NoData), 0, 2));
}

#[tokio::test(start_paused = true)]
async fn no_alias_leads_from_a_zone_that_is_not_exempt_into_one_that_is() {
    let stage = Stage::new();
    for into in ["x.exempt.example", "x.exempt.corp.example", "printer.local", "x.onion"] {
        stage.system.say("a.example", "A", behind("a.example", &[into], records([a("192.0.2.1")])));
        let seen = stage.ask("a.example", "A").await;
        assert_eq!(failure(&seen), &DnsFailure::IntoExemptZone, "{into}");
        tokio::time::advance(Duration::from_secs(61)).await;
    }
    assert!(stage.link.asked().is_empty() && stage.corp.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_exempt_zone_may_lead_out_and_the_answer_is_at_most_exempt() {
    let stage = Stage::new();
    stage.system.say(
        "x.exempt.example",
        "A",
        behind("x.exempt.example", &["b.example"], records([a("203.0.113.66")])),
    );
    stage.system.say("b.example", "A", records([a("192.0.2.1")]));
    let seen = stage.ask("x.exempt.example", "A").await;
    assert_eq!((answer(&seen).status, seen.group.as_str()), (DnssecStatus::Exempt, "system+exempt"));
    assert_eq!(answer(&seen).records, [a("192.0.2.1")]);
    stage.system.say("b.example", "AAAA", Answer { status: DnssecStatus::Insecure, ..nothing() });
    stage.system.say("x.exempt.example", "AAAA", behind("x.exempt.example", &["b.example"], nothing()));
    assert_eq!(answer(&stage.ask("x.exempt.example", "AAAA").await).status, DnssecStatus::Insecure);
}

#[tokio::test(start_paused = true)]
async fn a_failure_behind_an_alias_out_of_the_group_is_not_the_groups_to_say() {
    for failed in [DnsFailure::Bogus("no proof".into()), DnsFailure::ServFail] {
        let stage = Stage::new();
        stage.system.say("a.example", "A", failed.clone());
        stage.system.say("a.example", "CNAME", records([RecordData::Cname(name("b.example"))]));
        stage.system.say("b.example", "CNAME", records([RecordData::Cname(name("h.corp.example"))]));
        stage.corp.say("h.corp.example", "A", records([a("192.0.2.1")]));
        let seen = stage.ask("a.example", "A").await;
        assert_eq!((answer(&seen).records.as_slice(), answer(&seen).chain.len()), (&[a("192.0.2.1")][..], 2));
        assert_eq!(seen.upstream_queries, 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_stands_if_the_aliases_stay_in_the_group_or_fail_themselves() {
    let stage = Stage::new();
    let failed = DnsFailure::Bogus("no proof".into());
    stage.system.say("a.example", "A", failed.clone());
    stage.system.say("a.example", "CNAME", records([RecordData::Cname(name("b.example"))]));
    stage.system.say("b.example", "A", records([a("192.0.2.1")]));
    assert_eq!(failure(&stage.ask("a.example", "A").await), &failed);
    stage.system.say("c.example", "A", failed.clone());
    stage.system.say("c.example", "CNAME", DnsFailure::ServFail);
    assert_eq!(failure(&stage.ask("c.example", "A").await), &failed);
}

#[tokio::test(start_paused = true)]
async fn loops_over_groups_fail() {
    let stage = Stage::new();
    stage.system.say("a.example", "A", behind("a.example", &["h.corp.example"], nothing()));
    stage.corp.say("h.corp.example", "A", behind("h.corp.example", &["a.example"], nothing()));
    assert_eq!(failure(&stage.ask("a.example", "A").await), &DnsFailure::ServFail);
}

#[tokio::test(start_paused = true)]
async fn eleven_aliases_over_all_groups_are_followed_and_twelve_fail() {
    for (links, succeeds) in [(11, true), (12, false)] {
        let stage = Stage::new();
        let at = |n: usize| {
            if n.is_multiple_of(2) { format!("h{n}.example") } else { format!("h{n}.corp.example") }
        };
        for n in 0..links {
            let script = if n % 2 == 0 { &stage.system } else { &stage.corp };
            script.say(&at(n), "A", behind(&at(n), &[&at(n + 1)], nothing()));
        }
        let last = if links % 2 == 0 { &stage.system } else { &stage.corp };
        last.say(&at(links), "A", records([a("192.0.2.1")]));
        let seen = stage.ask("h0.example", "A").await;
        assert_eq!(seen.outcome.as_result().is_ok(), succeeds, "{links}");
        if succeeds {
            assert_eq!(answer(&seen).chain.len(), 11);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r12_multicast_names_are_refused_unless_allowed() {
    let stage = Stage::new();
    stage.link.say("printer.local", "A", records([a("169.254.1.1")]));
    let seen = stage.ask("printer.local", "A").await;
    assert_eq!((failure(&seen), seen.source), (&DnsFailure::MulticastRefused, AnswerSource::NotAsked));
    let (exemptions, purse, toll) =
        (Default::default(), crate::upstream::QueryBudget::new(9), crate::limiter::Toll::free());
    let deadline = Instant::now() + Duration::from_secs(1);
    let errand = Errand {
        multicast: Multicast::Allow,
        ..crate::testing::errand(&exemptions, &purse, &toll, deadline)
    };
    let seen = stage.engine.observe(&crate::testing::question("printer.local", "A"), &errand).await;
    assert_eq!((answer(&seen).status, seen.group.as_str()), (DnssecStatus::Exempt, "multicast+exempt"));
    assert!(stage.system.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_aliases_do_not_hang_together_fails() {
    let stage = Stage::new();
    let said = behind("other.example", &["b.example"], records([a("192.0.2.1")]));
    stage.system.say("a.example", "A", said);
    assert_eq!(failure(&stage.ask("a.example", "A").await), &DnsFailure::ServFail);
}

#[tokio::test(start_paused = true)]
async fn one_cached_answer_is_cut_by_each_askers_own_exemptions() {
    let stage = Stage::new();
    stage.system.say("a.example", "A", behind("a.example", &["x.exempt.example"], records([a("192.0.2.1")])));
    assert_eq!(failure(&stage.ask("a.example", "A").await), &DnsFailure::IntoExemptZone);
    let (exemptions, purse, toll) =
        (Default::default(), crate::upstream::QueryBudget::new(9), crate::limiter::Toll::free());
    let deadline = Instant::now() + Duration::from_secs(1);
    let errand = crate::testing::errand(&exemptions, &purse, &toll, deadline);
    let seen = stage.engine.observe(&crate::testing::question("a.example", "A"), &errand).await;
    assert_eq!((answer(&seen).status, seen.source), (DnssecStatus::Secure, AnswerSource::Cache));
}
