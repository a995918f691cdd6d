//! The answer logic under attack: a small signed universe, and a forwarder that may say anything and signs with the keys of a few zones
//! that are its own. What is accepted must be what the universe holds.
//!
//! All of it runs: selection of records, chain of trust, signatures, denials, evaluation and conversion (`Upstream`), without sockets.
//! The truth of a name is looked up in the universe by itself, and how much an attacker may do to it follows from its zone ([`Level`]).

mod attack;
mod universe;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use arbitrary::Arbitrary;
use revouch_resolver::convert;
use revouch_resolver::upstream::{Forwarder, QueryBudget, Upstream};
use revouch_validator::answer::{Answer, ChainLink, DnsFailure, DnssecStatus};
use revouch_validator::name::DnsName;
use revouch_validator::rr::RrType;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use self::attack::Attack;
use self::universe::{Fact, Level, QUESTIONS, WORLD};

/// Questions with the attacks on them, asked one after the other of the same resolver.
#[derive(Arbitrary, Debug)]
pub struct Input {
    questions: Vec<Attacked>,
}

#[derive(Arbitrary, Debug)]
struct Attacked {
    question: u16,
    attacks: Vec<Attack>,
}

/// What a decision may spend on one name.
const BUDGET: u32 = 64;
/// The TTL of every record of the universe.
const TTL: u32 = 60;

static RUNTIME: LazyLock<Mutex<Runtime>> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    Mutex::new(runtime.unwrap())
});

/// Asks the questions under attack, and the first of them once more without.
pub fn run(input: &Input) {
    let current: Arc<Mutex<Vec<Attack>>> = Arc::default();
    let asked = Arc::new(AtomicUsize::new(0));
    let forwarder: Forwarder = {
        let (current, asked) = (Arc::clone(&current), Arc::clone(&asked));
        Box::new(move |name, rr_type| {
            let turn = asked.fetch_add(1, Ordering::Relaxed);
            let mut response = WORLD.honest(name, rr_type)?;
            for attack in current.lock().unwrap().iter().filter(|attack| attack.strikes(turn, rr_type)) {
                response = attack.apply(name, rr_type, response)?;
            }
            Some(response)
        })
    };
    let now = WORLD.now;
    let upstream = Upstream::through(forwarder, Arc::clone(&WORLD.anchors), Arc::new(move || now));
    let ask = |(name, rr_type): (&DnsName, RrType)| {
        asked.store(0, Ordering::Relaxed);
        let budget = QueryBudget::new(BUDGET);
        let runtime = RUNTIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let deadline = Duration::from_secs(3600);
        let answer =
            runtime.block_on(async { upstream.ask(name, rr_type, &budget, Instant::now() + deadline).await });
        assert!(budget.spent() <= BUDGET);
        answer
    };
    let mut weakened = false;
    for attacked in input.questions.iter().take(3) {
        let (name, rr_type) = &QUESTIONS[usize::from(attacked.question) % QUESTIONS.len()];
        attacked.attacks.iter().take(6).for_each(|attack| current.lock().unwrap().push(attack.clone()));
        weakened |= !attacked.attacks.is_empty();
        if let Ok(answer) = ask((name, *rr_type)) {
            judge(name, *rr_type, &answer);
        }
        current.lock().unwrap().clear();
    }
    let first = input.questions.first().map_or(0, |attacked| usize::from(attacked.question));
    let (name, rr_type) = &QUESTIONS[first % QUESTIONS.len()];
    afterwards(name, *rr_type, ask((name, *rr_type)), weakened);
}

/// An answer that was accepted must be true of every name on its way that an attacker cannot speak for, and as secure as it is.
fn judge(name: &DnsName, rr_type: RrType, answer: &Answer) {
    let mut at = name.clone();
    let mut levels = Vec::new();
    let mut expanded = false;
    for ChainLink { owner, target, status } in &answer.chain {
        assert_eq!(*owner, at);
        let level = WORLD.level(&at, rr_type);
        let fact = WORLD.fact(&at, rr_type);
        let is_true = fact.as_ref().is_some_and(|fact| fact.says == universe::Says::Alias(target.clone()));
        allowed(level, is_true, *status, || format!("{at} {rr_type} -> {target}"));
        expanded |= fact.is_some_and(|fact| fact.wildcard);
        levels.push(level);
        at = target.clone();
    }
    let level = WORLD.level(&at, rr_type);
    levels.push(level);
    let fact = WORLD.fact(&at, rr_type);
    let is_true = fact.as_ref().is_some_and(|fact| fact.is(answer));
    allowed(level, is_true, answer.status, || format!("{at} {rr_type}: {answer:?}, in truth {fact:?}"));
    expanded |= fact.as_ref().is_some_and(|fact| fact.wildcard && answer.negative.is_none());
    let all = |wanted: &[Level]| levels.iter().all(|level| wanted.contains(level));
    assert!(
        answer.status != DnssecStatus::Secure || !levels.contains(&Level::Unsigned),
        "secure without a signature"
    );
    if all(&[Level::Strong]) {
        assert_eq!(answer.status, DnssecStatus::Secure, "{name} {rr_type} is signed all the way: {answer:?}");
    }
    if answer.status == DnssecStatus::Secure && all(&[Level::Strong, Level::Weak]) {
        // Of a denial it is not told, whatever led to it.
        assert_eq!(answer.wildcard, expanded && answer.negative.is_none(), "{name} {rr_type}: {answer:?}");
        assert!(answer.ttl <= TTL, "{answer:?}");
        assert!(answer.signatures.is_some_and(|window| window.contains(WORLD.now)));
    }
}

/// Whether a part of an answer may be as it is.
fn allowed(level: Level, is_true: bool, status: DnssecStatus, what: impl Fn() -> String) {
    let fits = match level {
        Level::Strong => is_true,
        Level::Weak => is_true || status != DnssecStatus::Secure,
        Level::Unsigned => true,
        Level::Theirs => true,
        Level::Bogus => false,
    };
    assert!(fits, "{level:?}: {}", what());
}

/// Nothing of an attack stays: the honest answer is accepted and true.
fn afterwards(name: &DnsName, rr_type: RrType, answer: Result<Answer, DnsFailure>, weakened: bool) {
    let mut at = name.clone();
    let mut levels = Vec::new();
    let fact: Option<Fact> = loop {
        levels.push(WORLD.level(&at, rr_type));
        match WORLD.fact(&at, rr_type) {
            Some(Fact { says: universe::Says::Alias(target), .. }) if levels.len() < 12 => at = target,
            fact => break fact,
        }
    };
    if levels.contains(&Level::Bogus) {
        assert!(answer.is_err(), "{name} {rr_type} is bogus: {answer:?}");
        return;
    }
    // What an attacker may say of a weak or unsigned zone it may say for good.
    if weakened && levels.iter().any(|level| matches!(level, Level::Weak | Level::Theirs)) {
        return;
    }
    if levels.contains(&Level::Weak) && answer.is_err() && universe::has_bad_signature(&at, rr_type) {
        return;
    }
    let answer = answer.unwrap_or_else(|failure| panic!("{name} {rr_type}, honestly answered: {failure:?}"));
    assert!(fact.is_some_and(|fact| fact.is(&answer)), "{name} {rr_type}: {answer:?}");
    judge(name, rr_type, &answer);
    let secure = levels.iter().all(|level| matches!(level, Level::Strong | Level::Theirs));
    let weak = levels.contains(&Level::Weak);
    assert!(
        weak || secure == (answer.status == DnssecStatus::Secure),
        "{name} {rr_type}: {answer:?} {levels:?}"
    );
}

impl Fact {
    /// Whether the end of an answer says this.
    fn is(&self, answer: &Answer) -> bool {
        match &self.says {
            universe::Says::Records(records) => {
                answer.negative.is_none() && universe::sorted(&answer.records) == *records
            }
            universe::Says::Nothing(kind) => answer.negative == Some(*kind),
            universe::Says::Alias(_) => false,
        }
    }
}

/// The name in the library's form.
fn library(name: &DnsName) -> hickory_proto::rr::Name {
    convert::name(name).unwrap()
}
