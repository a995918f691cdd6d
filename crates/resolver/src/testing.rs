//! Servers that answer by a script, for the tests of what stands above them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use revouch_validator::answer::{Answer, ChainLink, DnsFailure, DnssecStatus, Negative};
use revouch_validator::evidence::{Observation, Question};
use revouch_validator::exemption::{ExemptZone, Exemptions};
use revouch_validator::name::DnsName;
use revouch_validator::policy::Multicast;
use revouch_validator::rr::{RecordData, RrType};
use revouch_validator::timestamp::Timestamp;
use tokio::time::{Instant, sleep};

use crate::ask::Ask;
use crate::budget::Budgets;
use crate::cache::{CacheLimits, Said};
use crate::engine::{Concurrency, Engine, Errand, Parts, Servers};
use crate::limiter::Toll;
use crate::observe::{NoObserver, Observer};
use crate::upstream::QueryBudget;
use crate::zones::Zones;

pub(crate) fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

pub(crate) fn question(at: &str, rr_type: &str) -> Question {
    Question::new(name(at), rr_type.parse().unwrap())
}

/// A secure answer with a TTL of a minute.
pub(crate) fn records(records: impl IntoIterator<Item = RecordData>) -> Answer {
    Answer {
        records: records.into_iter().collect(),
        chain: vec![],
        status: DnssecStatus::Secure,
        negative: None,
        wildcard: false,
        ttl: 60,
        signatures: None,
    }
}

pub(crate) fn a(address: &str) -> RecordData {
    RecordData::A(address.parse().unwrap())
}

pub(crate) fn nothing() -> Answer {
    Answer { negative: Some(Negative::NxDomain), ..records([]) }
}

/// The answer behind secure aliases, the first of which is at `from`.
pub(crate) fn behind(from: &str, aliases: &[&str], last: Answer) -> Answer {
    let mut owner = name(from);
    let links = aliases.iter().map(|target| {
        let target = name(target);
        let owner = std::mem::replace(&mut owner, target.clone());
        ChainLink { owner, target, status: DnssecStatus::Secure }
    });
    Answer { chain: links.collect(), ..last }
}

/// One line of a script.
#[derive(Clone)]
struct Line {
    said: Said,
    after: Duration,
    cost: u32,
}

/// Servers that know what was scripted, and that nothing else exists.
#[derive(Default)]
pub(crate) struct Script {
    lines: Mutex<HashMap<Question, Line>>,
    asked: Mutex<Vec<Question>>,
    asking: AtomicU64,
    most_asking: AtomicU64,
}

impl Script {
    pub(crate) fn say(&self, at: &str, rr_type: &str, said: impl Into<Spoken>) -> &Self {
        self.say_late(at, rr_type, Duration::ZERO, said)
    }

    pub(crate) fn say_late(
        &self,
        at: &str,
        rr_type: &str,
        after: Duration,
        said: impl Into<Spoken>,
    ) -> &Self {
        let Spoken(said, cost) = said.into();
        self.lines.lock().unwrap().insert(question(at, rr_type), Line { said, after, cost });
        self
    }

    /// Every question that came, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(ToString::to_string).collect()
    }

    pub(crate) fn count(&self, at: &str, rr_type: &str) -> usize {
        let wanted = question(at, rr_type);
        self.asked.lock().unwrap().iter().filter(|q| **q == wanted).count()
    }

    /// How many questions were open at the same time at most.
    pub(crate) fn most_asking(&self) -> u64 {
        self.most_asking.load(Ordering::SeqCst)
    }
}

/// What is said, and what it costs.
pub(crate) struct Spoken(Said, u32);

impl From<Answer> for Spoken {
    fn from(answer: Answer) -> Self {
        Self(Ok(answer), 1)
    }
}

impl From<DnsFailure> for Spoken {
    fn from(failure: DnsFailure) -> Self {
        Self(Err(failure), 1)
    }
}

impl From<(Answer, u32)> for Spoken {
    fn from((answer, cost): (Answer, u32)) -> Self {
        Self(Ok(answer), cost)
    }
}

impl Ask for Script {
    fn ask<'a>(
        &'a self,
        name: &'a DnsName,
        rr_type: RrType,
        budget: &'a QueryBudget,
        _: Instant,
    ) -> BoxFuture<'a, Said> {
        Box::pin(async move {
            let question = Question::new(name.clone(), rr_type);
            let unknown = Line { said: Ok(nothing()), after: Duration::ZERO, cost: 1 };
            let line = self.lines.lock().unwrap().get(&question).cloned().unwrap_or(unknown);
            self.asked.lock().unwrap().push(question);
            let asking = self.asking.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_asking.fetch_max(asking, Ordering::SeqCst);
            if !line.after.is_zero() {
                sleep(line.after).await;
            }
            self.asking.fetch_sub(1, Ordering::SeqCst);
            for _ in 0..line.cost {
                budget.take()?;
            }
            line.said
        })
    }
}

/// An engine over scripts, with a clock that is set by hand.
pub(crate) struct Stage {
    pub(crate) system: Arc<Script>,
    /// The upstream of `corp.example`.
    pub(crate) corp: Arc<Script>,
    pub(crate) link: Arc<Script>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) wall: Arc<AtomicU64>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Parts)) -> Self {
        let [system, corp, link] = [(); 3].map(|()| Arc::new(Script::default()));
        let wall = Arc::new(AtomicU64::new(1_000));
        let shown = Arc::clone(&wall);
        let servers =
            |script: &Arc<Script>| Servers { validating: script.clone(), unchecked: script.clone() };
        let mut parts = Parts {
            zones: Zones::new([("corp".to_owned(), vec![name("corp.example")])]).unwrap(),
            system: Some(servers(&system)),
            overrides: vec![servers(&corp)],
            multicast: Some(link.clone()),
            clock: Arc::new(move || Timestamp(shown.load(Ordering::SeqCst))),
            observer: Arc::new(NoObserver) as Arc<dyn Observer>,
            budgets: Budgets::default(),
            cache: CacheLimits::default(),
            concurrency: Concurrency::default(),
        };
        change(&mut parts);
        Self { system, corp, link, engine: Arc::new(Engine::new(parts)), wall }
    }

    /// Asks with ample means.
    pub(crate) async fn ask(&self, at: &str, rr_type: &str) -> Observation {
        self.ask_with(at, rr_type, 100, Duration::from_millis(2500)).await
    }

    pub(crate) async fn ask_with(
        &self,
        at: &str,
        rr_type: &str,
        budget: u32,
        deadline: Duration,
    ) -> Observation {
        let (purse, toll) = (QueryBudget::new(budget), Toll::free());
        let exemptions = exempt(&["exempt.example", "exempt.corp.example"]);
        let errand = errand(&exemptions, &purse, &toll, Instant::now() + deadline);
        self.engine.observe(&question(at, rr_type), &errand).await
    }
}

pub(crate) fn exempt(zones: &[&str]) -> Exemptions {
    let listed = zones.iter().map(|zone| ExemptZone { zone: name(zone), not_after: None }).collect();
    Exemptions { listed, built_in: true }
}

pub(crate) fn errand<'e>(
    exemptions: &'e Exemptions,
    purse: &'e QueryBudget,
    toll: &'e Toll,
    deadline: Instant,
) -> Errand<'e> {
    Errand { exemptions, multicast: Multicast::Refuse, purse, deadline, toll, fresh_for: Duration::ZERO }
}
