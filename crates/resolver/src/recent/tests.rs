#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::atomic::Ordering;

use revouch_validator::answer::{DnsFailure, SignatureWindow};
use revouch_validator::exemption::ExemptZone;
use revouch_validator::policy::PolicyDraft;
use revouch_validator::rr::RecordData;
use tokio::time::advance;

use super::*;
use crate::gather::Gathering;
use crate::limiter::Toll;
use crate::testing::{Stage, a, name, nothing, records};

const REVERSE: &str = "1.2.0.192.in-addr.arpa";

/// A source with a name, and what connections of it share.
struct Shared {
    stage: Stage,
    policy: Policy,
    connection: Connection,
    recent: Recent,
}

impl Shared {
    fn new(policy: impl FnOnce(&mut PolicyDraft), answers: impl FnOnce(&Stage)) -> Self {
        let stage = Stage::new();
        let mut draft = PolicyDraft::default();
        policy(&mut draft);
        stage.system.say(REVERSE, "PTR", records([RecordData::Ptr(name("gw.example"))]));
        stage.system.say("gw.example", "A", records([a("192.0.2.1")]));
        answers(&stage);
        let connection = Connection::new("192.0.2.1:40000".parse().unwrap(), 8443);
        Self { stage, policy: draft.build().unwrap(), connection, recent: Recent::default() }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.stage.wall.load(Ordering::SeqCst))
    }

    async fn gather(&self) -> Arc<Evidence> {
        let (policy, connection) = (&self.policy, &self.connection);
        let gathering = Gathering { policy, connection, toll: &Toll::free(), fresh_for: Duration::ZERO };
        let evidence = Arc::new(self.stage.engine.gather(gathering).await);
        self.recent.keep(policy, connection, &evidence, self.now());
        evidence
    }

    /// Gathers until all comes from the cache.
    async fn gather_twice(&self) -> Arc<Evidence> {
        self.gather().await;
        // Advice that nobody waited for comes meanwhile.
        advance(Duration::from_millis(1)).await;
        self.gather().await
    }

    fn find(&self) -> Option<Arc<Evidence>> {
        self.recent.find(&self.connection, self.now())
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_from_the_cache_alone_is_what_the_next_connection_would_gather() {
    let shared = Shared::new(|_| {}, |_| {});
    shared.gather().await;
    assert!(shared.find().is_none(), "what was asked upstream is not what the next would say of it");
    advance(Duration::from_millis(1)).await;
    shared.gather().await;
    let found = shared.find().unwrap();
    assert_eq!(*found, *shared.gather().await);
    let other_port = Connection::new("192.0.2.1:50000".parse().unwrap(), 8443);
    assert!(shared.recent.find(&other_port, shared.now()).is_some());
}

#[tokio::test(start_paused = true)]
async fn another_address_or_listener_finds_nothing() {
    let shared = Shared::new(|_| {}, |_| {});
    shared.gather_twice().await;
    let others = [
        Connection::new("192.0.2.2:40000".parse().unwrap(), 8443),
        Connection::new("192.0.2.1:40000".parse().unwrap(), 443),
    ];
    for other in others {
        assert!(shared.recent.find(&other, shared.now()).is_none(), "{other:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_first_answer_and_after_half_a_minute() {
    for (ttl, most) in [(60, 30), (10, 10)] {
        let short = RecordData::Ptr(name("gw.example"));
        let short = Answer { ttl, ..records([short]) };
        let shared = Shared::new(
            |_| {},
            |stage| {
                stage.system.say(REVERSE, "PTR", short);
            },
        );
        shared.gather_twice().await;
        // A part of the last second is gone when it is counted in seconds.
        advance(Duration::from_secs(most) - Duration::from_millis(1500)).await;
        assert!(shared.find().is_some(), "{ttl}");
        advance(Duration::from_millis(1500)).await;
        assert!(shared.find().is_none(), "{ttl}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_where_a_signature_does_whichever_way_the_clock_goes() {
    let window = SignatureWindow { from: Timestamp(990), until: Timestamp(1_010) };
    let signed = Answer { signatures: Some(window), ..records([a("192.0.2.1")]) };
    let shared = Shared::new(
        |_| {},
        |stage| {
            stage.system.say("gw.example", "A", signed);
        },
    );
    shared.gather_twice().await;
    for (wall, holds) in [(1_000, true), (1_010, true), (1_011, false), (990, true), (989, false)] {
        shared.stage.wall.store(wall, Ordering::SeqCst);
        assert_eq!(shared.find().is_some(), holds, "{wall}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_not_shared_and_neither_is_what_may_be_gathered_anew_every_time() {
    let ending = |draft: &mut PolicyDraft| {
        let zone = ExemptZone { zone: name("corp.example"), not_after: Some(Timestamp(2_000)) };
        draft.exemptions.listed.push(zone);
    };
    let failing = |stage: &Stage| {
        stage.system.say("gw.example", "CAA", DnsFailure::Bogus("x".into()));
    };
    let fleeting = |stage: &Stage| {
        stage.system.say("gw.example", "CAA", Answer { ttl: 0, ..nothing() });
    };
    let cases = [
        ("an exemption that ends", Shared::new(ending, |_| {})),
        ("the source port", Shared::new(|draft| draft.source_port = SourcePort::Prefer, |_| {})),
        ("a failure", Shared::new(|_| {}, failing)),
        ("TTL 0", Shared::new(|_| {}, fleeting)),
    ];
    for (what, shared) in cases {
        shared.gather_twice().await;
        assert!(shared.find().is_none(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_complete_is_not_shared() {
    let shared = Shared::new(|_| {}, |_| {});
    let whole = shared.gather_twice().await;
    for left_out in whole.iter() {
        let recent = Recent::default();
        let mut part = Evidence::new(whole.source());
        let rest = whole.iter().filter(|seen| seen.question != left_out.question);
        rest.for_each(|seen| part.insert(seen.clone()));
        recent.keep(&shared.policy, &shared.connection, &Arc::new(part), shared.now());
        assert!(recent.find(&shared.connection, shared.now()).is_none(), "{}", left_out.question);
    }
}

#[tokio::test(start_paused = true)]
async fn the_oldest_makes_room() {
    let shared = Shared::new(|_| {}, |_| {});
    let evidence = shared.gather_twice().await;
    let until = Instant::now() + LONGEST;
    for port in 0..=u16::try_from(MOST).unwrap() {
        let entry = Entry { evidence: Arc::clone(&evidence), until };
        shared.recent.0.lock().unwrap().put((evidence.source(), port), entry);
    }
    let kept = shared.recent.0.lock().unwrap();
    assert_eq!((kept.entries.len(), kept.order.len()), (MOST, MOST));
    assert!(!kept.entries.contains_key(&(evidence.source(), 0)));
}
