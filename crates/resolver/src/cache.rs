//! What the groups of servers answered, for as long as it may be used.
//!
//! Promises: an answer is given out only within its TTL (positive at most 3600 s, negative at most 300 s, "no PTR" 30 to 60 s, bogus
//! 30 s) and while all of its signatures hold at the wall clock; TTL 0 is not kept; nothing stale is ever served. That nobody answers
//! is kept for 5 s and SERVFAIL for 1 s (RFC 9520), and never in the place of an answer that holds; no other failure is kept. Bounded
//! in entries and in octets: what was not used since it was last passed over goes first.
//!
//! An entry is what one group said, alias chain and all. Which of it counts is decided at each use, as exemptions differ.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use revouch_validator::answer::{Answer, DnsFailure};
use revouch_validator::name::DnsName;
use revouch_validator::rr::{RecordData, RrType};
use revouch_validator::timestamp::Timestamp;
use tokio::time::Instant;

use crate::zones::{Group, Target};

/// The longest time for a positive answer, in seconds.
const MAX_POSITIVE: u32 = 3600;
/// The longest time for a negative answer, in seconds.
const MAX_NEGATIVE: u32 = 300;
/// The times between which "no PTR" is kept, in seconds: short, as it may be mended; not shorter, as scanners have none. Silence on
/// a link is not kept, as a datagram may have been lost.
const NO_PTR: (u32, u32) = (30, 60);
/// How long a bogus answer is kept, in seconds; at most 60.
const BOGUS: u32 = 30;
/// How long it is kept that nobody answers, in seconds: twice what finding it out takes.
const SILENCE: u32 = 5;
/// How long SERVFAIL is kept, in seconds. It comes fast, and may be over soon.
const SERVFAIL: u32 = 1;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// The most answers. Default 65,536.
    pub entries: usize,
    /// The most octets, by estimate. One answer may take a 64th of it. Default 64 MiB.
    pub octets: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { entries: 65_536, octets: 64 << 20 }
    }
}

/// What was asked of whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) group: Group,
    pub(crate) name: DnsName,
    pub(crate) rr_type: RrType,
}

/// What a group said.
pub(crate) type Said = Result<Answer, DnsFailure>;

/// The present, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For TTLs: never goes back.
    pub(crate) monotonic: Instant,
    /// For signatures.
    pub(crate) wall: Timestamp,
}

/// What was found, and how much longer it may be used.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) said: Arc<Said>,
    pub(crate) left: Duration,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache {
    limits: CacheLimits,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<Arc<Key>, Entry>,
    /// Every key once, in the order in which they come up for removal.
    order: VecDeque<Arc<Key>>,
    octets: usize,
}

#[derive(Debug)]
struct Entry {
    said: Arc<Said>,
    until: Instant,
    octets: usize,
    /// Used since it last came up for removal.
    used: bool,
}

impl Cache {
    pub(crate) fn new(limits: CacheLimits) -> Self {
        Self { limits, kept: Mutex::default() }
    }

    /// What may still be used, for at least `at_least` from now.
    pub(crate) fn find(&self, key: &Key, now: Now, at_least: Duration) -> Option<Found> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.entries.get_mut(key)?;
        let left = entry.left(now);
        if left.is_zero() || left < at_least {
            return None;
        }
        entry.used = true;
        Some(Found { said: Arc::clone(&entry.said), left })
    }

    /// Keeps what was just said, if it may be kept, and says for how long it may be used. It takes the place of what was said
    /// before either way, unless it is no answer.
    pub(crate) fn keep(&self, key: &Key, said: &Arc<Said>, now: Now) -> Duration {
        let Some(lifetime) = lifetime(key, said, now.wall) else { return Duration::ZERO };
        let octets = cost(key, said);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if lifetime.is_zero() || octets > self.limits.octets / 64 {
            if let Some(entry) = kept.entries.get_mut(key) {
                entry.until = now.monotonic;
            }
            return lifetime;
        }
        let in_force = kept.entries.get(key).filter(|entry| !entry.left(now).is_zero());
        if is_passing(said) && in_force.is_some_and(|entry| !is_passing(&entry.said)) {
            return Duration::ZERO;
        }
        let until = now.monotonic + lifetime;
        let entry = Entry { said: Arc::clone(said), until, octets, used: false };
        kept.put(key, entry);
        while kept.entries.len() > self.limits.entries || kept.octets > self.limits.octets {
            if !kept.remove_one(now) {
                break;
            }
        }
        lifetime
    }
}

impl Kept {
    fn put(&mut self, key: &Key, entry: Entry) {
        self.octets += entry.octets;
        if let Some(slot) = self.entries.get_mut(key) {
            self.octets = self.octets.saturating_sub(slot.octets);
            *slot = Entry { used: slot.used, ..entry };
            return;
        }
        let key = Arc::new(key.clone());
        self.order.push_back(Arc::clone(&key));
        self.entries.insert(key, entry);
    }

    /// Removes the next entry that is expired or was not used; one that was used is passed over once.
    fn remove_one(&mut self, now: Now) -> bool {
        while let Some(key) = self.order.pop_front() {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if entry.used && !entry.left(now).is_zero() {
                entry.used = false;
                self.order.push_back(key);
                continue;
            }
            self.octets = self.octets.saturating_sub(entry.octets);
            self.entries.remove(&key);
            return true;
        }
        false
    }
}

impl Entry {
    /// How much longer this may be used; zero if it may not.
    fn left(&self, now: Now) -> Duration {
        let left = self.until.saturating_duration_since(now.monotonic);
        match &*self.said {
            Ok(Answer { signatures: Some(window), .. }) if !window.contains(now.wall) => Duration::ZERO,
            _ => left,
        }
    }
}

/// How long this may be used; `None` for what says nothing about the records.
fn lifetime(key: &Key, said: &Said, wall: Timestamp) -> Option<Duration> {
    let seconds = match said {
        Ok(answer) => {
            let ttl = match answer.negative {
                None => answer.ttl.min(MAX_POSITIVE),
                Some(_) if key.rr_type == RrType::PTR && key.group.target != Target::Multicast => {
                    answer.ttl.clamp(NO_PTR.0, NO_PTR.1)
                }
                Some(_) => answer.ttl.min(MAX_NEGATIVE),
            };
            let signed = match answer.signatures {
                Some(window) if !window.contains(wall) => 0,
                Some(window) => window.until.0 - wall.0,
                None => u64::MAX,
            };
            u64::from(ttl).min(signed)
        }
        Err(DnsFailure::Bogus(_)) => BOGUS.into(),
        // On a link a datagram may just have been lost.
        Err(_) if key.group.target == Target::Multicast => return None,
        Err(DnsFailure::Timeout) => SILENCE.into(),
        Err(DnsFailure::ServFail) => SERVFAIL.into(),
        Err(_) => return None,
    };
    Some(Duration::from_secs(seconds))
}

/// Whether this only says that there is no answer at present.
fn is_passing(said: &Said) -> bool {
    matches!(said, Err(DnsFailure::Timeout | DnsFailure::ServFail))
}

/// About how many octets an entry takes.
fn cost(key: &Key, said: &Said) -> usize {
    const FIXED: usize = 256;
    let names = |name: &DnsName| 32 + name.labels().map(|label| label.len() + 1).sum::<usize>();
    let data = match said {
        Ok(answer) => {
            let records = answer.records.iter().map(|record| {
                size_of::<RecordData>()
                    + match record {
                        RecordData::Ptr(name) | RecordData::Cname(name) => names(name),
                        RecordData::Srv(srv) => names(&srv.target),
                        RecordData::Svcb(svcb) => names(&svcb.target),
                        RecordData::Tlsa(tlsa) => tlsa.data.len(),
                        RecordData::Caa(caa) => caa.tag.len() + caa.value.len(),
                        RecordData::Other(data) => data.len(),
                        _ => 0,
                    }
            });
            let links = answer.chain.iter().map(|link| names(&link.owner) + names(&link.target) + 16);
            records.sum::<usize>() + links.sum::<usize>()
        }
        Err(DnsFailure::Bogus(why)) => why.len(),
        Err(_) => 0,
    };
    FIXED + names(&key.name) + data
}

#[cfg(test)]
mod tests;
