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
    pub fn put(&self, verdict: &Arc<PathVerdict>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.verdicts.insert(verdict.key, Arc::clone(verdict)).is_none() {
            entries.order.push_back(verdict.key);
        }
        while entries.order.len() > CAPACITY {
            if let Some(oldest) = entries.order.pop_front() {
                entries.verdicts.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use revouch_validator::path::PathError;

    use super::*;

    fn verdict(number: usize) -> Arc<PathVerdict> {
        let key = serde_json::from_value(serde_json::Value::String(format!("{number:064x}"))).unwrap();
        let outcome = Err(PathError::UnknownIssuer);
        Arc::new(PathVerdict { key, valid_from: Timestamp(10), valid_until: Timestamp(20), outcome })
    }

    #[test]
    fn a_verdict_is_given_out_inside_its_window_only() {
        let cache = PathCache::default();
        let made = verdict(1);
        assert!(cache.get(&made.key, Timestamp(15)).is_none());
        cache.put(&made);
        assert_eq!(cache.get(&made.key, Timestamp(10)).unwrap(), made);
        assert_eq!(cache.get(&made.key, Timestamp(20)).unwrap(), made);
        assert!(cache.get(&made.key, Timestamp(9)).is_none());
        assert!(cache.get(&made.key, Timestamp(21)).is_none());
    }

    #[test]
    fn the_oldest_verdicts_make_room() {
        let cache = PathCache::default();
        (0..=CAPACITY).for_each(|number| cache.put(&verdict(number)));
        assert!(cache.get(&verdict(0).key, Timestamp(15)).is_none());
        assert!(cache.get(&verdict(1).key, Timestamp(15)).is_some());
    }
}
