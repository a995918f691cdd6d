//! One question to one group of servers: from the cache, with others who ask the same, or upstream.
//!
//! Promises: a question that is sent is a task of its own with its own deadline, so that nobody who waits can cut it short for
//! others; it is paid for by whoever sent it; what its sender could not pay for, or had no time for, is no answer for those who
//! joined: they ask again. The number of tasks, and of those that send at the same time, is bounded, and so is the share of them that
//! the peers of one network have.

use std::sync::Arc;
use std::time::Duration;

use revouch_validator::answer::{Answer, DnsFailure, DnssecStatus};
use revouch_validator::evidence::AnswerSource;
use revouch_validator::exemption::Exemptions;
use revouch_validator::policy::Multicast;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::ask::Ask;
use crate::budget::Budgets;
use crate::cache::{Cache, CacheLimits, Found, Key, Now, Said};
use crate::coalesce::{Entered, Flights, Ticket};
use crate::failures::Failures;
use crate::lanes::Place;
use crate::limiter::Toll;
use crate::observe::Observer;
use crate::upstream::{Clock, QueryBudget};
use crate::zones::{Target, Zones};

/// How long a question may take if nobody waits for it any more. Who waits longer lengthens it.
const QUESTION_TIME: Duration = Duration::from_millis(2500);

/// How long a question must have been asked for its silence to say something of those who were asked.
const WHOLE: Duration = Duration::from_millis(2000);

/// A group of servers, asked with validation and, for its exempt names, without.
pub(crate) struct Servers {
    pub(crate) validating: Arc<dyn Ask>,
    pub(crate) unchecked: Arc<dyn Ask>,
}

/// How much may go on at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// Questions that are being asked upstream. Default 2048.
    pub asking: usize,
    /// Questions that are being asked or wait for that. More fail at once. Default 16,384.
    pub waiting: usize,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { asking: 2048, waiting: 16_384 }
    }
}

/// Everything that all gatherings share.
pub(crate) struct Engine {
    pub(crate) zones: Zones,
    /// None where an override takes every name.
    pub(crate) system: Option<Servers>,
    /// In the order of their indexes in `zones`.
    pub(crate) overrides: Vec<Servers>,
    pub(crate) multicast: Option<Arc<dyn Ask>>,
    pub(crate) clock: Clock,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) budgets: Budgets,
    cache: Cache,
    /// What could not be resolved in advance.
    pub(crate) failures: Failures,
    flights: Flights<Key, Found>,
    asking: Semaphore,
}

/// What `Engine` is made of.
pub(crate) struct Parts {
    pub(crate) zones: Zones,
    /// None where an override takes every name.
    pub(crate) system: Option<Servers>,
    pub(crate) overrides: Vec<Servers>,
    pub(crate) multicast: Option<Arc<dyn Ask>>,
    pub(crate) clock: Clock,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) budgets: Budgets,
    pub(crate) cache: CacheLimits,
    pub(crate) concurrency: Concurrency,
}

/// On whose behalf, and with what means, a question is asked.
#[derive(Clone, Copy)]
pub(crate) struct Errand<'e> {
    pub(crate) exemptions: &'e Exemptions,
    pub(crate) multicast: Multicast,
    pub(crate) purse: &'e QueryBudget,
    pub(crate) deadline: Instant,
    pub(crate) toll: &'e Toll,
    /// What the cache holds for less than this is asked anew.
    pub(crate) fresh_for: Duration,
}

impl Errand<'_> {
    /// Whether there is more time to wait than was spent to find out that nobody answers.
    fn outwaits(&self, said: &Said) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        matches!(said, Err(DnsFailure::Timeout)) && left > QUESTION_TIME
    }
}

/// With what a question is sent that goes on by itself.
struct Means {
    purse: QueryBudget,
    deadline: Instant,
    /// Held until the question has ended.
    _place: Place,
}

/// What one group said to one question.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) said: Arc<Said>,
    /// How much longer it may be used.
    pub(crate) left: Duration,
    pub(crate) source: AnswerSource,
    /// Questions that were sent for it.
    pub(crate) spent: u32,
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            zones: parts.zones,
            system: parts.system,
            overrides: parts.overrides,
            multicast: parts.multicast,
            clock: parts.clock,
            observer: parts.observer,
            budgets: parts.budgets,
            cache: Cache::new(parts.cache),
            failures: Failures::default(),
            flights: Flights::new(parts.concurrency.waiting),
            asking: Semaphore::new(parts.concurrency.asking.min(Semaphore::MAX_PERMITS)),
        }
    }

    /// Hears what the group of `key` says.
    pub(crate) async fn hear(self: &Arc<Self>, key: &Key, errand: &Errand<'_>) -> Heard {
        let mut place = None;
        loop {
            let known = || {
                let found = self.cache.find(key, self.now(), errand.fresh_for)?;
                (!errand.outwaits(&found.said)).then_some(found)
            };
            if let Some(found) = known() {
                return Heard::new(found, AnswerSource::Cache, 0);
            }
            let in_time = Instant::now() < errand.deadline;
            match self.flights.enter(key, known) {
                Entered::Known(found) => return Heard::new(found, AnswerSource::Cache, 0),
                _ if !in_time => return Heard::failure(DnsFailure::Timeout, AnswerSource::NotAsked, 0),
                Entered::Full => return Heard::failure(DnsFailure::Budget, AnswerSource::NotAsked, 0),
                Entered::Joined(flight) => {
                    place = None;
                    match timeout_at(errand.deadline, flight.landed()).await {
                        Ok(Some(found)) if !is_the_senders_own(&found.said) => {
                            return Heard::new(found, AnswerSource::Joined, 0);
                        }
                        Ok(_) => {}
                        Err(_) => return Heard::failure(DnsFailure::Timeout, AnswerSource::Joined, 0),
                    }
                }
                Entered::First(ticket, flight) => {
                    let Some(place) = place.take().or_else(|| errand.toll.place_now()) else {
                        // The source's network has its share in flight. Nobody else is to wait for that.
                        drop((ticket, flight));
                        let Ok(left) = timeout_at(errand.deadline, errand.toll.place()).await else {
                            return Heard::failure(DnsFailure::RateLimited, AnswerSource::NotAsked, 0);
                        };
                        place = Some(left);
                        continue;
                    };
                    if !errand.toll.pay() {
                        return Heard::failure(DnsFailure::RateLimited, AnswerSource::NotAsked, 0);
                    }
                    let purse = errand.purse.part();
                    let means = Means { purse: purse.clone(), deadline: errand.deadline, _place: place };
                    self.send(key.clone(), ticket, means);
                    let landed = timeout_at(errand.deadline, flight.landed()).await;
                    let source = AnswerSource::Upstream;
                    return match landed {
                        Ok(Some(found)) => Heard::new(found, source, purse.spent()),
                        // The task is gone without a word: the runtime ends, or it panicked.
                        Ok(None) => Heard::failure(DnsFailure::ServFail, source, purse.spent()),
                        Err(_) => Heard::failure(DnsFailure::Timeout, source, purse.spent()),
                    };
                }
            }
        }
    }

    /// Asks the group in a task of its own, and keeps what it says.
    fn send(self: &Arc<Self>, key: Key, ticket: Ticket<Key, Found>, means: Means) {
        let until = means.deadline.max(Instant::now() + QUESTION_TIME);
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            let mut since = None;
            let asked = async {
                let _permit = engine.asking.acquire().await;
                since = Some(Instant::now());
                match engine.whom(&key) {
                    Some(servers) => servers.ask(&key.name, key.rr_type, &means.purse, until).await,
                    None => Err(DnsFailure::Refused),
                }
            };
            let said = timeout_at(until, asked).await.unwrap_or(Err(DnsFailure::Timeout));
            let said = Arc::new(if key.group.exempt { said.map(exempt) } else { said });
            // Silence says nothing if most of the time was spent waiting for a turn.
            let is_whole = Instant::now() < until || since.is_some_and(|since| since.elapsed() >= WHOLE);
            let left = if matches!(*said, Err(DnsFailure::Timeout)) && !is_whole {
                Duration::ZERO
            } else {
                engine.cache.keep(&key, &said, engine.now())
            };
            drop(means);
            ticket.land(Found { said, left });
        });
    }

    fn whom(&self, key: &Key) -> Option<&Arc<dyn Ask>> {
        let servers = match key.group.target {
            Target::Multicast => return self.multicast.as_ref(),
            Target::System => self.system.as_ref()?,
            Target::Override(index) => self.overrides.get(usize::from(index))?,
        };
        Some(if key.group.exempt { &servers.unchecked } else { &servers.validating })
    }

    fn now(&self) -> Now {
        Now { monotonic: Instant::now(), wall: (self.clock)() }
    }
}

impl Heard {
    fn new(found: Found, source: AnswerSource, spent: u32) -> Self {
        Self { said: found.said, left: found.left, source, spent }
    }

    fn failure(failure: DnsFailure, source: AnswerSource, spent: u32) -> Self {
        Self { said: Arc::new(Err(failure)), left: Duration::ZERO, source, spent }
    }
}

/// Whether a failure comes from the means of whoever sent the question.
fn is_the_senders_own(said: &Said) -> bool {
    matches!(said, Err(DnsFailure::Budget | DnsFailure::Timeout))
}

/// An answer of an exempt group: DNSSEC was not looked at, whatever it says (R13).
fn exempt(mut answer: Answer) -> Answer {
    answer.status = DnssecStatus::Exempt;
    answer.signatures = None;
    for link in &mut answer.chain {
        link.status = DnssecStatus::Exempt;
    }
    answer
}

#[cfg(test)]
mod tests;
