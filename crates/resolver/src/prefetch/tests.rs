#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use revouch_validator::answer::{Answer, DnsFailure};
use revouch_validator::evidence::AnswerSource;
use revouch_validator::rr::RrType;
use tokio::time::advance;

use super::*;
use crate::testing::{Stage, a, name, records};

fn policy(confirm: Confirm) -> Policy {
    let names = Some(vec!["gw.example".parse().unwrap(), "other.example".parse().unwrap()]);
    PolicyDraft { confirm, names, ..PolicyDraft::default() }.build().unwrap()
}

async fn gather(stage: &Stage) -> Evidence {
    let connection = Connection::new("192.0.2.1:40000".parse().unwrap(), 8443);
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
