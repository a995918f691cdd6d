#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use revouch_validator::answer::{Answer, DnsFailure};
use revouch_validator::evidence::{AnswerSource, Outcome, Question};
use revouch_validator::rr::RrType;
use tokio::time::{Instant, advance};

use super::*;
use crate::testing::{Stage, a, name, records};

fn policy(confirm: Confirm) -> Policy {
    let names = Some(vec!["gw.example".parse().unwrap(), "other.example".parse().unwrap()]);
    PolicyDraft { confirm, names, ..PolicyDraft::default() }.build().unwrap()
}

async fn gather(stage: &Stage) -> Evidence {
    gather_for(stage, "192.0.2.1:40000").await
}

async fn gather_for(stage: &Stage, source: &str) -> Evidence {
    let connection = Connection::new(source.parse().unwrap(), 8443);
    let toll = Toll::free();
    let policy = policy(Confirm::Forward);
    let gathering =
        Gathering { policy: &policy, connection: &connection, toll: &toll, fresh_for: Duration::ZERO };
    stage.engine.gather(gathering).await
}

/// Lets the time pass in steps, as the tasks need to run in between.
async fn pass(seconds: u64) {
    for _ in 0..seconds * 2 {
        half_a_second().await;
    }
}

async fn half_a_second() {
    advance(Duration::from_millis(500)).await;
    tokio::task::yield_now().await;
}

fn stage() -> Stage {
    let stage = Stage::new();
    for host in ["gw.example", "other.example"] {
        stage.system.say(host, "A", records([a("192.0.2.1")]));
    }
    stage
}

#[tokio::test(start_paused = true)]
async fn names_are_asked_anew_before_they_expire() {
    let stage = stage();
    // Whoever came between the end of an answer and the next one would have to wait.
    stage.system.say_late("gw.example", "A", Duration::from_millis(900), records([a("192.0.2.1")]));
    let _prefetch = Prefetch::start(&stage.engine, &policy(Confirm::Forward), 8443).unwrap();
    pass(3).await;
    for round in 0..1200 {
        let evidence = gather(&stage).await;
        let decisive = [("gw.example", RrType::A), ("_8443._tcp.gw.example", RrType::TLSA)];
        for (at, rr_type) in decisive {
            let seen = evidence.get(&name(at), rr_type).unwrap();
            assert_eq!(seen.source, AnswerSource::Cache, "{at} {rr_type} in round {round}");
        }
        half_a_second().await;
    }
    // Each minute about once: 600 s at four fifths of 60 s.
    let asked = stage.system.count("gw.example", "A");
    assert!((10..=16).contains(&asked), "{asked}");
    assert!(stage.system.count("gw.example", "AAAA") > 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_never_used_after_it_has_expired() {
    let stage = stage();
    let _prefetch = Prefetch::start(&stage.engine, &policy(Confirm::Forward), 8443).unwrap();
    pass(1).await;
    stage.system.say("gw.example", "A", DnsFailure::ServFail);
    pass(30).await;
    assert!(gather(&stage).await.outcome(&name("gw.example"), RrType::A).unwrap().is_ok());
    pass(30).await;
    let evidence = gather(&stage).await;
    assert_eq!(evidence.outcome(&name("gw.example"), RrType::A), Some(Err(&DnsFailure::ServFail)));
    assert!(evidence.outcome(&name("other.example"), RrType::A).unwrap().is_ok());
    stage.system.say("gw.example", "A", records([a("192.0.2.1")]));
    pass(16).await;
    assert_eq!(gather(&stage).await.get(&name("gw.example"), RrType::A).unwrap().source, AnswerSource::Cache);
}

#[tokio::test(start_paused = true)]
async fn a_ttl_of_0_makes_no_busy_loop() {
    let stage = Stage::new();
    stage.system.say("gw.example", "A", Answer { ttl: 0, ..records([a("192.0.2.1")]) });
    let _prefetch = Prefetch::start(&stage.engine, &policy(Confirm::Forward), 8443).unwrap();
    pass(150).await;
    let asked = stage.system.count("gw.example", "A");
    assert!((5..=30).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_dropped() {
    let stage = stage();
    let prefetch = Prefetch::start(&stage.engine, &policy(Confirm::Forward), 8443);
    pass(1).await;
    drop(prefetch);
    let asked = stage.system.asked().len();
    pass(300).await;
    assert_eq!(stage.system.asked().len(), asked);
}

#[tokio::test]
async fn only_confirm_forward_is_resolved_in_advance() {
    let stage = stage();
    assert!(Prefetch::start(&stage.engine, &policy(Confirm::None), 8443).is_none());
    assert!(Prefetch::start(&stage.engine, &policy(Confirm::ReverseDns), 8443).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_failed_in_advance_holds_up_nobody_whose_name_another_is() {
    let stage = Stage::new();
    let late = Duration::from_secs(60);
    for rr_type in ["A", "AAAA"] {
        stage.system.say_late("gw.example", rr_type, late, records([a("192.0.2.1")]));
    }
    stage.system.say("other.example", "A", records([a("192.0.2.2")]));
    let _prefetch = Prefetch::start(&stage.engine, &policy(Confirm::Forward), 8443).unwrap();
    pass(8).await;
    let failed = Err(&DnsFailure::Timeout);
    for round in 0..40 {
        let started = Instant::now();
        let evidence = gather_for(&stage, "192.0.2.2:40000").await;
        assert_eq!(started.elapsed(), Duration::ZERO, "in round {round}");
        assert_eq!(evidence.outcome(&name("gw.example"), RrType::A), Some(failed));
        assert!(evidence.outcome(&name("other.example"), RrType::A).unwrap().is_ok());
        assert!(evidence.outcome(&name("_8443._tcp.other.example"), RrType::TLSA).unwrap().is_ok());
        pass(2).await;
    }
    // A peer that only the name itself could confirm is one that it does not confirm, and is not spared the question.
    let evidence = gather(&stage).await;
    assert_eq!(evidence.outcome(&name("gw.example"), RrType::A), Some(failed));
    stage.system.say("gw.example", "A", records([a("192.0.2.1")]));
    pass(5).await;
    assert!(gather(&stage).await.outcome(&name("gw.example"), RrType::A).unwrap().is_ok());
    // Once it answers in advance again, it counts for all.
    pass(20).await;
    let evidence = gather_for(&stage, "192.0.2.2:40000").await;
    assert!(evidence.outcome(&name("gw.example"), RrType::A).unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_has_no_names_resolved_in_advance_asks_for_himself() {
    let stage = stage();
    let exemptions = policy(Confirm::Forward).exemptions.clone();
    let failure = DnsFailure::ServFail;
    let question = Question::new(name("gw.example"), RrType::A);
    let mut failed = Evidence::new("127.0.0.1".parse().unwrap());
    let mut seen = stage.ask("gw.example", "A").await;
    (seen.question, seen.outcome) = (question.clone(), Outcome::Failure(failure.clone()));
    failed.insert(seen);
    stage.engine.note_failures(&failed, &exemptions);
    let connection = Connection::new("192.0.2.1:40000".parse().unwrap(), 8443);
    for (confirm, expected) in [(Confirm::None, true), (Confirm::Forward, false)] {
        let (policy, toll) = (policy(confirm), Toll::free());
        let gathering =
            Gathering { policy: &policy, connection: &connection, toll: &toll, fresh_for: Duration::ZERO };
        let evidence = stage.engine.gather(gathering).await;
        let outcome = evidence.outcome(&question.name, RrType::A).unwrap();
        assert_eq!(outcome.is_ok(), expected, "{confirm:?}");
    }
}
