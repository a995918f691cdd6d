#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::atomic::Ordering;

use futures_util::future::{join, join_all};
use revouch_validator::answer::SignatureWindow;
use revouch_validator::evidence::Outcome;
use revouch_validator::timestamp::Timestamp;
use tokio::time::{advance, sleep};

use super::*;
use crate::limiter::{EvidenceLimits, Limiter, Rate};
use crate::testing::{Stage, a, errand, exempt, question, records};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn one() -> Answer {
    records([a("192.0.2.1")])
}

#[tokio::test(start_paused = true)]
async fn equal_questions_in_flight_are_sent_once_and_cost_the_sender_alone() {
    let stage = Stage::new();
    stage.system.say_late("x.example", "A", ms(100), (one(), 3));
    let seen = join_all((0..50).map(|_| stage.ask("x.example", "A"))).await;
    assert_eq!(stage.system.asked(), ["x.example A"]);
    let of = |source| seen.iter().filter(|o| o.source == source).count();
    assert_eq!((of(AnswerSource::Upstream), of(AnswerSource::Joined)), (1, 49));
    assert_eq!(seen.iter().map(|o| o.upstream_queries).sum::<u32>(), 3);
    assert!(seen.iter().all(|o| o.outcome.as_result().unwrap().records == one().records));
    assert_eq!(stage.ask("x.example", "A").await.source, AnswerSource::Cache);
}

#[tokio::test(start_paused = true)]
async fn a_question_outlives_those_who_wait_and_warms_the_cache() {
    let stage = Stage::new();
    stage.system.say_late("x.example", "A", ms(1000), one());
    let hasty = stage.ask_with("x.example", "A", 10, ms(10));
    let patient = stage.ask("x.example", "A");
    let (hasty, patient) = join(hasty, patient).await;
    assert_eq!(hasty.outcome, Outcome::Failure(DnsFailure::Timeout));
    assert!(hasty.elapsed_us < 20_000);
    assert_eq!(patient.source, AnswerSource::Joined);
    assert!(patient.outcome.as_result().is_ok());

    stage.system.say_late("y.example", "A", ms(1000), one());
    assert!(tokio::time::timeout(ms(10), stage.ask("y.example", "A")).await.is_err());
    sleep(ms(1000)).await;
    assert_eq!(stage.ask("y.example", "A").await.source, AnswerSource::Cache);
    assert_eq!(stage.system.count("y.example", "A"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_nobody_answers_ends_by_itself() {
    let stage = Stage::new();
    stage.system.say_late("x.example", "A", ms(60_000), one());
    let seen = stage.ask_with("x.example", "A", 10, ms(10)).await;
    assert_eq!(seen.outcome, Outcome::Failure(DnsFailure::Timeout));
    assert_eq!(stage.engine.flights.len(), 1);
    sleep(QUESTION_TIME).await;
    assert_eq!(stage.engine.flights.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn those_who_join_do_not_suffer_from_the_senders_purse() {
    let stage = Stage::new();
    stage.system.say_late("x.example", "A", ms(100), (one(), 3));
    let poor = stage.ask_with("x.example", "A", 2, ms(2500));
    let (poor, rich) = join(poor, stage.ask("x.example", "A")).await;
    assert_eq!(poor.outcome, Outcome::Failure(DnsFailure::Budget));
    assert!(rich.outcome.as_result().is_ok());
    assert_eq!((poor.upstream_queries, rich.upstream_queries), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn those_who_join_do_not_suffer_from_the_senders_deadline() {
    let stage = Stage::new();
    stage.system.say_late("x.example", "A", ms(4000), one());
    let hasty = stage.ask_with("x.example", "A", 10, ms(500));
    let (hasty, patient) = join(hasty, stage.ask_with("x.example", "A", 10, ms(10_000))).await;
    assert_eq!(hasty.outcome, Outcome::Failure(DnsFailure::Timeout));
    assert!(patient.outcome.as_result().is_ok());
}

#[tokio::test(start_paused = true)]
async fn ttl_0_is_for_those_who_wait_for_it_alone() {
    let stage = Stage::new();
    stage.system.say("x.example", "A", Answer { ttl: 0, ..one() });
    for _ in 0..3 {
        assert_eq!(stage.ask("x.example", "A").await.source, AnswerSource::Upstream);
    }
    assert_eq!(stage.system.count("x.example", "A"), 3);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_asked_anew_once_its_ttl_or_its_signatures_end() {
    let stage = Stage::new();
    stage.system.say("ttl.example", "A", one());
    let signatures = Some(SignatureWindow { from: Timestamp(0), until: Timestamp(1030) });
    stage.system.say("signed.example", "A", Answer { signatures, ..one() });
    for at in ["ttl.example", "signed.example"] {
        stage.ask(at, "A").await;
        assert_eq!(stage.ask(at, "A").await.source, AnswerSource::Cache);
    }
    advance(Duration::from_secs(29)).await;
    assert_eq!(stage.ask("ttl.example", "A").await.outcome.as_result().unwrap().ttl, 31);
    stage.wall.store(1031, Ordering::SeqCst);
    assert_eq!(stage.ask("signed.example", "A").await.source, AnswerSource::Upstream);
    advance(Duration::from_secs(31)).await;
    assert_eq!(stage.ask("ttl.example", "A").await.source, AnswerSource::Upstream);
}

#[tokio::test(start_paused = true)]
async fn failures_of_those_who_were_asked_are_kept_for_a_while() {
    let stage = Stage::new();
    stage.system.say("bogus.example", "A", DnsFailure::Bogus("why".into()));
    stage.system.say("broken.example", "A", DnsFailure::ServFail);
    stage.system.say("silent.example", "A", DnsFailure::Timeout);
    stage.system.say("refused.example", "A", DnsFailure::Refused);
    let mut counts = Vec::new();
    for pause in [0, 0, 1, 4, 25] {
        advance(Duration::from_secs(pause)).await;
        let each = ["bogus.example", "broken.example", "silent.example", "refused.example"];
        for at in each {
            assert!(stage.ask(at, "A").await.outcome.as_result().is_err());
        }
        counts.push(each.map(|at| stage.system.count(at, "A")));
    }
    assert_eq!(counts, [[1, 1, 1, 1], [1, 1, 1, 2], [1, 2, 1, 3], [1, 3, 2, 4], [2, 4, 3, 5]]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_never_takes_the_place_of_an_answer_that_holds() {
    for failure in [DnsFailure::Timeout, DnsFailure::ServFail] {
        let stage = Stage::new();
        stage.system.say("x.example", "A", one());
        stage.ask("x.example", "A").await;
        stage.system.say("x.example", "A", failure.clone());
        let (exemptions, purse, toll) = (Default::default(), QueryBudget::new(9), Toll::free());
        let fresh_for = Duration::from_secs(3600);
        let deadline = Instant::now() + ms(900);
        let anew = Errand { fresh_for, ..errand(&exemptions, &purse, &toll, deadline) };
        let seen = stage.engine.observe(&question("x.example", "A"), &anew).await;
        assert_eq!(seen.outcome, Outcome::Failure(failure.clone()));
        assert!(stage.ask("x.example", "A").await.outcome.as_result().is_ok());
        advance(Duration::from_secs(60)).await;
        assert_eq!(stage.ask("x.example", "A").await.outcome, Outcome::Failure(failure));
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_kept_only_of_a_question_that_was_asked_to_its_end() {
    // Those who were asked had all the time there is, whoever asked.
    let stage = Stage::new();
    stage.system.say_late("x.example", "A", ms(60_000), one());
    stage.ask_with("x.example", "A", 10, ms(10)).await;
    sleep(ms(3000)).await;
    let seen = stage.ask("x.example", "A").await;
    assert_eq!((seen.source, seen.elapsed_us), (AnswerSource::Cache, 0));
    // Who has more time asks for himself.
    stage.system.say_late("x.example", "A", ms(4000), one());
    assert!(stage.ask_with("x.example", "A", 10, ms(9000)).await.outcome.as_result().is_ok());

    // Here it had to wait for its turn.
    let stage = Stage::with(|parts| parts.concurrency = Concurrency { asking: 1, waiting: 10 });
    stage.system.say_late("first.example", "A", ms(2000), one());
    stage.system.say_late("second.example", "A", ms(1000), one());
    let seen = join(stage.ask("first.example", "A"), stage.ask("second.example", "A")).await;
    assert_eq!(seen.1.outcome, Outcome::Failure(DnsFailure::Timeout));
    assert!(stage.ask("second.example", "A").await.outcome.as_result().is_ok());

    // And here it could not be paid for.
    let stage = Stage::new();
    stage.system.say("x.example", "A", (one(), 3));
    assert!(stage.ask_with("x.example", "A", 2, ms(2500)).await.outcome.as_result().is_err());
    assert!(stage.ask("x.example", "A").await.outcome.as_result().is_ok());
}

#[tokio::test(start_paused = true)]
async fn silence_of_a_link_is_not_kept() {
    let stage = Stage::new();
    stage.link.say("printer.local", "A", DnsFailure::Timeout);
    let (exemptions, purse, toll) = (exempt(&[]), QueryBudget::new(9), Toll::free());
    for _ in 0..2 {
        let errand = errand(&exemptions, &purse, &toll, Instant::now() + ms(900));
        let errand = Errand { multicast: Multicast::Allow, ..errand };
        stage.engine.observe(&question("printer.local", "A"), &errand).await;
    }
    assert_eq!(stage.link.count("printer.local", "A"), 2);
}

#[tokio::test(start_paused = true)]
async fn r13_exempt_answers_are_never_secure() {
    let stage = Stage::new();
    let signatures = Some(SignatureWindow { from: Timestamp(0), until: Timestamp(9999) });
    stage.system.say("x.exempt.example", "A", Answer { signatures, ..one() });
    let seen = stage.ask("x.exempt.example", "A").await;
    assert_eq!(seen.group, "system+exempt");
    let answer = seen.outcome.as_result().unwrap();
    assert_eq!((answer.status, answer.signatures), (DnssecStatus::Exempt, None));
}

#[tokio::test(start_paused = true)]
async fn questions_that_are_sent_at_the_same_time_are_bounded() {
    let stage = Stage::with(|parts| parts.concurrency = Concurrency { asking: 3, waiting: 10 });
    let names: Vec<String> = (0..12).map(|n| format!("h{n}.example")).collect();
    for name in &names {
        stage.system.say_late(name, "A", ms(100), one());
    }
    let seen = join_all(names.iter().map(|name| stage.ask(name, "A"))).await;
    assert_eq!(stage.system.most_asking(), 3);
    let refused = seen.iter().filter(|o| o.outcome == Outcome::Failure(DnsFailure::Budget)).count();
    assert_eq!(refused, 2);
    assert_eq!(stage.engine.flights.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_over_its_limit_gets_what_is_known_and_sends_nothing() {
    let stage = Stage::new();
    for at in ["known.example", "flying.example", "new.example"] {
        stage.system.say_late(at, "A", ms(100), one());
    }
    stage.ask("known.example", "A").await;
    let limits = EvidenceLimits { per_source: Rate::new(1, 1), per_network: Rate::new(1, 1) };
    let limiter = Limiter::new(limits);
    let source = "192.0.2.1".parse().unwrap();
    assert!(limiter.allow(source, Instant::now()));
    let (exemptions, purse, toll) = (Default::default(), QueryBudget::new(9), Toll::new(&limiter, source));
    let errand = errand(&exemptions, &purse, &toll, Instant::now() + ms(900));
    let ask = async |at| stage.engine.observe(&question(at, "A"), &errand).await;
    assert_eq!(ask("known.example").await.source, AnswerSource::Cache);
    let (_, joined) = join(stage.ask("flying.example", "A"), ask("flying.example")).await;
    assert_eq!(joined.source, AnswerSource::Joined);
    assert!(joined.outcome.as_result().is_ok());
    let refused = ask("new.example").await;
    assert_eq!(refused.outcome, Outcome::Failure(DnsFailure::RateLimited));
    assert_eq!(refused.source, AnswerSource::NotAsked);
    assert_eq!(stage.system.count("new.example", "A"), 0);
    assert!(!toll.is_paid());
}

#[tokio::test(start_paused = true)]
async fn a_network_has_a_share_of_what_is_in_flight_even_when_its_peers_are_gone() {
    let stage = Stage::new();
    let names: Vec<String> = (0..200).map(|n| format!("h{n}.example")).collect();
    for name in names.iter().map(String::as_str).chain(["hasty.example", "patient.example"]) {
        stage.system.say_late(name, "A", ms(1000), one());
    }
    let limiter = Limiter::default();
    let (exemptions, purse) = (Default::default(), QueryBudget::new(999));
    let ask = async |source: &str, at: &str, patience: Duration| {
        let toll = Toll::new(&limiter, source.parse().unwrap());
        let errand = errand(&exemptions, &purse, &toll, Instant::now() + patience);
        stage.engine.observe(&question(at, "A"), &errand).await
    };
    // All of one network's peers give up at once; what they asked goes on.
    let gone = join_all(names.iter().map(|name| ask("192.0.2.1", name, ms(2500))));
    assert!(tokio::time::timeout(ms(10), gone).await.is_err());
    assert_eq!(stage.system.most_asking(), 128);
    let (hasty, patient, elsewhere) = tokio::join!(
        ask("192.0.2.9", "hasty.example", ms(500)),
        ask("192.0.2.9", "patient.example", ms(2500)),
        // A question that waits for its network's share is nobody else's to wait for.
        ask("198.51.100.1", "hasty.example", ms(1100)),
    );
    assert_eq!(hasty.outcome, Outcome::Failure(DnsFailure::RateLimited));
    assert_eq!(hasty.source, AnswerSource::NotAsked);
    assert!(patient.outcome.as_result().is_ok() && patient.elapsed_us >= 1_900_000);
    assert!(elsewhere.outcome.as_result().is_ok());
    assert_eq!(stage.engine.flights.len(), 0);
}
