//! Evidence that connections from the same address share, as each would gather the same from the cache.
//!
//! Promises: what is given out is what gathering would give: every question of the plan answered, all from the cache, none failed, each within its TTL
//! and its signatures; for [`LONGEST`] at most, so that a name that was asked anew in advance, or an entry that went out of the cache, is missed for
//! no longer. Nothing is kept for policies with an exemption that ends, or of which the source port is part: gathering reads them anew each time.
//! Bounded in number; the oldest makes room.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use revouch_validator::answer::Answer;
use revouch_validator::connection::Connection;
use revouch_validator::evidence::{AnswerSource, Evidence};
use revouch_validator::plan;
use revouch_validator::policy::{Policy, SourcePort};
use revouch_validator::timestamp::Timestamp;
use tokio::time::Instant;

/// The longest time for which evidence is shared.
const LONGEST: Duration = Duration::from_secs(30);

/// For how many sources evidence is kept. One takes some five kilobytes.
const MOST: usize = 512;

/// What was gathered of late. For one resolver and one policy: others would share what is not theirs.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Kept>);

/// What evidence depends on besides the policy: the source, and the port of the listener, which is one of those that TLSA records are asked
/// for.
type Key = (IpAddr, u16);

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<Key, Entry>,
    order: VecDeque<Key>,
}

#[derive(Debug)]
struct Entry {
    evidence: Arc<Evidence>,
    until: Instant,
}

impl Recent {
    /// The evidence for a connection, if one like it was there just before.
    pub(crate) fn find(&self, connection: &Connection, now: Timestamp) -> Option<Arc<Evidence>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.entries.get(&key(connection))?;
        let holds =
            Instant::now() < entry.until && answers(&entry.evidence).all(|answer| in_window(answer, now));
        holds.then(|| Arc::clone(&entry.evidence))
    }

    /// Keeps what was just gathered, if others may share it.
    pub(crate) fn keep(
        &self,
        policy: &Policy,
        connection: &Connection,
        evidence: &Arc<Evidence>,
        now: Timestamp,
    ) {
        let lasts = policy.exemptions.listed.iter().all(|zone| zone.not_after.is_none());
        let is_cached = |seen: &revouch_validator::evidence::Observation| {
            seen.source == AnswerSource::Cache && seen.outcome.as_result().is_ok()
        };
        if policy.source_port != SourcePort::Ignore || !lasts || !evidence.iter().all(is_cached) {
            return;
        }
        let seconds = answers(evidence).map(|answer| u64::from(answer.ttl)).min().unwrap_or(0);
        let holds = seconds > 0 && answers(evidence).all(|answer| in_window(answer, now));
        if !holds || !plan::questions(policy, connection, evidence, now).is_empty() {
            return;
        }
        let until = Instant::now() + Duration::from_secs(seconds).min(LONGEST);
        let entry = Entry { evidence: Arc::clone(evidence), until };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key(connection), entry);
    }
}

impl Kept {
    fn put(&mut self, key: Key, entry: Entry) {
        if self.entries.insert(key, entry).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }
}

fn key(connection: &Connection) -> Key {
    (connection.source(), connection.local_port)
}

fn answers(evidence: &Evidence) -> impl Iterator<Item = &Answer> {
    evidence.iter().filter_map(|seen| seen.outcome.as_result().ok())
}

fn in_window(answer: &Answer, now: Timestamp) -> bool {
    answer.signatures.is_none_or(|window| window.contains(now))
}

#[cfg(test)]
mod tests;
