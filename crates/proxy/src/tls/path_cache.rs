//! Path verdicts that were made before (`tls.md` section 4): bounded, and never trusted beyond what [`PathVerdict::answers`] says, which the
//! decision asks itself.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use revouch_validator::path::{PathKey, PathVerdict};
use revouch_validator::timestamp::Timestamp;

/// How many verdicts are kept.
const CAPACITY: usize = 4096;

/// A cache of path verdicts, for all listeners. The oldest entry makes room.
#[derive(Default)]
pub struct PathCache(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    verdicts: HashMap<PathKey, Arc<PathVerdict>>,
    order: VecDeque<PathKey>,
}

impl PathCache {
    /// The verdict for this key, if it may still be used at `now`.
    #[must_use]
    pub fn get(&self, key: &PathKey, now: Timestamp) -> Option<Arc<PathVerdict>> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = entries.verdicts.get(key)?;
        (found.valid_from <= now && now <= found.valid_until).then(|| Arc::clone(found))
    }

    /// Keeps a verdict.
    pub fn put(&self, verdict: Arc<PathVerdict>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.verdicts.insert(verdict.key, Arc::clone(&verdict)).is_none() {
            entries.order.push_back(verdict.key);
        }
        while entries.order.len() > CAPACITY {
            if let Some(oldest) = entries.order.pop_front() {
                entries.verdicts.remove(&oldest);
            }
        }
    }
}
