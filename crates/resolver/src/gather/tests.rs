#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use revouch_validator::answer::{Answer, DnsFailure};
use revouch_validator::evidence::AnswerSource;
use revouch_validator::policy::{PolicyDraft, Reporting};
use revouch_validator::rr::{RecordData, RrType, Tlsa};

use super::*;
use crate::budget::Budgets;
use crate::limiter::Limiter;
use crate::observe::Observer;
use crate::testing::{Stage, a, name, nothing, records};

const REVERSE: &str = "1.2.0.192.in-addr.arpa";

fn policy(change: impl FnOnce(&mut PolicyDraft)) -> Policy {
    let mut draft = PolicyDraft::default();
    change(&mut draft);
    draft.build().unwrap()
}

fn connection() -> Connection {
    Connection::new("192.0.2.1:40000".parse().unwrap(), 8443)
}

async fn gather(stage: &Stage, policy: &Policy) -> (Evidence, Duration) {
    let started = Instant::now();
    let toll = Toll::free();
    let connection = connection();
    let gathering = Gathering { policy, connection: &connection, toll: &toll, fresh_for: Duration::ZERO };
    let evidence = stage.engine.gather(gathering).await;
    (evidence, started.elapsed())
}

fn ptr(names: &[&str]) -> Answer {
    records(names.iter().map(|n| RecordData::Ptr(name(n))))
}

fn tlsa() -> Answer {
    records([RecordData::Tlsa(Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0; 32] })])
}

/// An address with one name that leads back to it.
fn confirmed() -> Stage {
    let stage = Stage::new();
    play(&stage);
    stage
}

fn play(stage: &Stage) {
    stage.system.say(REVERSE, "PTR", ptr(&["gw.example"])).say("gw.example", "A", records([a("192.0.2.1")]));
    stage.system.say("_8443._tcp.gw.example", "TLSA", tlsa());
}

fn answered(evidence: &Evidence, at: &str, rr_type: RrType) -> Option<bool> {
    evidence.outcome(&name(at), rr_type).map(|outcome| outcome.is_ok())
}

#[tokio::test(start_paused = true)]
async fn everything_decisive_is_asked_once_and_recorded() {
    let stage = confirmed();
    let (evidence, _) = gather(&stage, &policy(|_| {})).await;
    for (at, rr_type) in [
        (REVERSE, RrType::PTR),
        ("gw.example", RrType::A),
        ("_8443._tcp.gw.example", RrType::TLSA),
        ("_8443._tcp.1.2.0.192.in-addr.arpa", RrType::TLSA),
    ] {
        assert_eq!(answered(&evidence, at, rr_type), Some(true), "{at} {rr_type}");
    }
    let asked = stage.system.asked();
    let unique: BTreeSet<_> = asked.iter().collect();
    assert_eq!(asked.len(), unique.len(), "{asked:?}");
    assert_eq!(stage.system.count("gw.example", "AAAA"), 0);
}

/// Counts outcomes.
#[derive(Default)]
struct Count(AtomicUsize);

impl Observer for Count {
    fn question(&self, _: &Observation) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn evidence(&self, _: Duration, _: bool) {}
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_open_is_not_asked_again_when_others_are_answered() {
    let count = Arc::new(Count::default());
    let stage = Stage::with(|parts| parts.observer = count.clone());
    play(&stage);
    let soon = Duration::from_millis(20);
    stage.system.say(REVERSE, "PTR", ptr(&["gw.example", "late.example", "later.example"]));
    stage.system.say_late("late.example", "A", soon, records([a("192.0.2.1")]));
    stage.system.say_late("later.example", "A", soon * 2, records([a("192.0.2.1")]));
    let policy = policy(|draft| (draft.caa, draft.cert) = (Reporting::Ignore, Reporting::Ignore));
    let (evidence, _) = gather(&stage, &policy).await;
    assert!(evidence.len() > 6);
    // Advice that was not waited for has no outcome yet.
    assert!(count.0.load(Ordering::SeqCst) <= evidence.len());
}

#[tokio::test(start_paused = true)]
async fn a_second_gathering_sends_nothing_and_has_the_advice_too() {
    let stage = confirmed();
    let policy = policy(|_| {});
    gather(&stage, &policy).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let asked = stage.system.asked().len();
    let (evidence, took) = gather(&stage, &policy).await;
    assert_eq!((stage.system.asked().len(), took), (asked, Duration::ZERO));
    assert!(evidence.iter().all(|seen| seen.source == AnswerSource::Cache && seen.upstream_queries == 0));
    assert_eq!(answered(&evidence, "gw.example", RrType::CAA), Some(true));
}

#[tokio::test(start_paused = true)]
async fn r7_advice_that_is_late_neither_holds_nor_refuses_and_warms_the_cache() {
    let stage = confirmed();
    let late = Duration::from_millis(700);
    stage.system.say_late("gw.example", "CAA", late, nothing());
    let (evidence, took) = gather(&stage, &policy(|_| {})).await;
    assert_eq!((answered(&evidence, "gw.example", RrType::CAA), took), (None, Duration::ZERO));
    tokio::time::sleep(late * 2).await;
    let (evidence, _) = gather(&stage, &policy(|_| {})).await;
    assert_eq!(answered(&evidence, "gw.example", RrType::CAA), Some(true));
    assert_eq!(stage.system.count("gw.example", "CAA"), 1);
}

#[tokio::test(start_paused = true)]
async fn questions_of_one_stage_are_asked_side_by_side() {
    let stage = Stage::new();
    let late = Duration::from_millis(200);
    stage.system.say_late(REVERSE, "PTR", late, ptr(&["a.example", "b.example", "c.example"]));
    for host in ["a.example", "b.example", "c.example"] {
        stage.system.say_late(host, "A", late, records([a("192.0.2.1")]));
        stage.system.say_late(&format!("_8443._tcp.{host}"), "TLSA", late, tlsa());
    }
    let (_, took) = gather(&stage, &policy(|_| {})).await;
    assert!(took < Duration::from_millis(610), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_every_open_decisive_question_is_a_timeout() {
    let stage = confirmed();
    stage.system.say_late("_8443._tcp.gw.example", "TLSA", Duration::from_secs(9), tlsa());
    let (evidence, took) = gather(&stage, &policy(|_| {})).await;
    assert!((2500..2510).contains(&took.as_millis()), "{took:?}");
    let outcome = evidence.outcome(&name("_8443._tcp.gw.example"), RrType::TLSA);
    assert_eq!(outcome, Some(Err(&DnsFailure::Timeout)));

    let stage = Stage::new();
    stage.system.say_late(REVERSE, "PTR", Duration::from_secs(9), ptr(&["gw.example"]));
    let (evidence, took) = gather(&stage, &policy(|draft| draft.deadline_ms = 300)).await;
    assert!((300..310).contains(&took.as_millis()), "{took:?}");
    assert_eq!(evidence.outcome(&name(REVERSE), RrType::PTR), Some(Err(&DnsFailure::Timeout)));
    assert!(
        plan::questions(&policy(|_| {}), &connection(), &evidence, (stage.engine.clock)())
            .iter()
            .all(|planned| !planned.is_decisive())
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_purse_fails_only_the_name_that_it_pays_for() {
    let stage = Stage::with(|parts| parts.budgets = Budgets { candidate: 10, ..Budgets::default() });
    stage.system.say(REVERSE, "PTR", ptr(&["dear.example", "cheap.example"]));
    stage.system.say("dear.example", "A", (records([a("192.0.2.1")]), 11));
    stage.system.say("cheap.example", "A", records([a("192.0.2.1")]));
    let (evidence, _) = gather(&stage, &policy(|_| {})).await;
    let dear = evidence.get(&name("dear.example"), RrType::A).unwrap();
    assert_eq!(dear.outcome.as_result(), Err(&DnsFailure::Budget));
    assert_eq!(dear.upstream_queries, 10);
    assert_eq!(answered(&evidence, "cheap.example", RrType::A), Some(true));
    assert_eq!(answered(&evidence, "_8443._tcp.cheap.example", RrType::TLSA), Some(true));
}

#[tokio::test(start_paused = true)]
async fn the_default_purses_are_those_of_the_design() {
    for (cost, enough) in [(48, true), (49, false)] {
        let stage = confirmed();
        stage.system.say("gw.example", "A", (records([]), cost));
        let (evidence, _) = gather(&stage, &policy(|_| {})).await;
        assert_eq!(answered(&evidence, "gw.example", RrType::A), Some(enough), "{cost}");
    }
    for (cost, enough) in [(63, true), (65, false)] {
        let stage = confirmed();
        stage.system.say(REVERSE, "PTR", (ptr(&["gw.example"]), cost));
        let (evidence, _) =
            gather(&stage, &policy(|draft| draft.names = Some(vec!["gw.example".parse().unwrap()]))).await;
        assert_eq!(answered(&evidence, REVERSE, RrType::PTR), Some(enough), "{cost}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_max_names_of_a_huge_ptr_answer_are_asked_for() {
    let stage = Stage::new();
    let names: Vec<String> = (0..10_000).map(|n| format!("h{n}.example")).collect();
    stage.system.say(REVERSE, "PTR", ptr(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    gather(&stage, &policy(|_| {})).await;
    let forward = stage.system.asked().iter().filter(|q| q.ends_with(" A")).count();
    assert_eq!(forward, 8);
}

#[tokio::test(start_paused = true)]
async fn a_gathering_over_the_limit_is_refused_before_anything_is_sent() {
    let stage = confirmed();
    let limiter = Limiter::default();
    while limiter.allow(connection().source(), Instant::now()) {}
    let (policy, connection) = (policy(|_| {}), connection());
    let toll = Toll::new(&limiter, connection.source());
    let gathering =
        Gathering { policy: &policy, connection: &connection, toll: &toll, fresh_for: Duration::ZERO };
    let evidence = stage.engine.gather(gathering).await;
    assert_eq!(evidence.outcome(&name(REVERSE), RrType::PTR), Some(Err(&DnsFailure::RateLimited)));
    assert!(stage.system.asked().is_empty() && !toll.is_paid());
}

#[tokio::test(start_paused = true)]
async fn many_gatherings_at_once_ask_each_question_once() {
    let stage = confirmed();
    stage.system.say_late(REVERSE, "PTR", Duration::from_millis(50), ptr(&["gw.example"]));
    stage.system.say_late("gw.example", "A", Duration::from_millis(50), records([a("192.0.2.1")]));
    let policy = policy(|_| {});
    let all = futures_util::future::join_all((0..100).map(|_| gather(&stage, &policy))).await;
    let asked = stage.system.asked();
    assert_eq!(asked.len(), asked.iter().collect::<BTreeSet<_>>().len(), "{asked:?}");
    assert!(all.iter().all(|(evidence, _)| answered(evidence, "gw.example", RrType::A) == Some(true)));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_be_a_peer_costs_nothing() {
    let stage = Stage::new();
    let connection = Connection::new("224.0.0.1:1".parse().unwrap(), 8443);
    let (policy, toll) = (policy(|_| {}), Toll::free());
    let gathering =
        Gathering { policy: &policy, connection: &connection, toll: &toll, fresh_for: Duration::ZERO };
    assert!(stage.engine.gather(gathering).await.is_empty());
    assert!(stage.system.asked().is_empty());
}
