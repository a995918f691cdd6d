//! Path verdicts that were made before (`tls.md` section 4).
//!
//! Promises: bounded in entries; an entry is given out only while it holds, and whether it fits a decision is asked again by the decision
//! itself. Paths that were found and failures have room of their own, and only a chain that leads to an anchor makes the former,
//! so that nobody without such a chain can drive out what good peers need. Failures are short-lived: their verdicts say so.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use revouch_validator::path::{PathKey, PathVerdict};
use revouch_validator::timestamp::Timestamp;

/// How many paths are kept.
const MAX_FOUND: usize = 4096;
/// How many failures are kept.
const MAX_FAILED: usize = 256;

/// A cache of path verdicts, for all listeners. The oldest entry makes room.
pub struct PathCache {
    found: Mutex<Entries>,
    failed: Mutex<Entries>,
}

struct Entries {
    most: usize,
    verdicts: HashMap<PathKey, Arc<PathVerdict>>,
    order: VecDeque<PathKey>,
}

impl Default for PathCache {
    fn default() -> Self {
        Self::with_room(MAX_FOUND, MAX_FAILED)
    }
}

impl PathCache {
    fn with_room(found: usize, failed: usize) -> Self {
        let entries = |most| Mutex::new(Entries { most, verdicts: HashMap::new(), order: VecDeque::new() });
        Self { found: entries(found), failed: entries(failed) }
    }

    /// The verdict for this key, if it still holds at `now`.
    #[must_use]
    pub fn get(&self, key: &PathKey, now: Timestamp) -> Option<Arc<PathVerdict>> {
        [&self.found, &self.failed].into_iter().find_map(|entries| {
            let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.get(key, now)
        })
    }

    /// Keeps a verdict.
    pub fn put(&self, verdict: PathVerdict) {
        let entries = if verdict.outcome.is_ok() { &self.found } else { &self.failed };
        entries.lock().unwrap_or_else(PoisonError::into_inner).put(verdict);
    }
}

impl Entries {
    fn get(&mut self, key: &PathKey, now: Timestamp) -> Option<Arc<PathVerdict>> {
        let verdict = self.verdicts.get(key)?;
        (verdict.valid_from <= now && now <= verdict.valid_until).then(|| Arc::clone(verdict))
    }

    fn put(&mut self, verdict: PathVerdict) {
        let key = verdict.key;
        if self.verdicts.insert(key, Arc::new(verdict)).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.most {
            if let Some(oldest) = self.order.pop_front() {
                self.verdicts.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use revouch_validator::path::PathError;

    use super::*;

    /// A verdict of the given number that holds from 100 to 200.
    fn verdict(number: u8, outcome: &str) -> PathVerdict {
        let key = format!("{number:02x}").repeat(32);
        let json = format!(
            r#"{{"key":"{key}","valid_from":100,"valid_until":200,"outcome":{{"Ok":{{"certificates":[],
               "anchor":{{"fingerprint":null,"subject":"{outcome}"}}}}}}}}"#
        );
        let mut verdict: PathVerdict = serde_json::from_str(&json).unwrap();
        if outcome == "failed" {
            verdict.outcome = Err(PathError::UnknownIssuer);
        }
        verdict
    }

    fn has(cache: &PathCache, verdict: &PathVerdict, now: u64) -> bool {
        cache.get(&verdict.key, Timestamp(now)).is_some_and(|found| *found == *verdict)
    }

    #[test]
    fn a_verdict_is_given_out_while_it_holds_and_no_longer() {
        let (cache, one) = (PathCache::default(), verdict(1, "found"));
        cache.put(one.clone());
        assert!(has(&cache, &one, 100) && has(&cache, &one, 200));
        assert!(!has(&cache, &one, 99) && !has(&cache, &one, 201));
        assert!(!has(&cache, &verdict(2, "found"), 150));
    }

    #[test]
    fn the_oldest_makes_room_and_failures_never_drive_out_paths() {
        let cache = PathCache::with_room(2, 2);
        let paths = [1, 2, 3].map(|number| verdict(number, "found"));
        paths.iter().for_each(|path| cache.put(path.clone()));
        assert_eq!(paths.each_ref().map(|path| has(&cache, path, 150)), [false, true, true]);
        let failures = [11, 12, 13].map(|number| verdict(number, "failed"));
        failures.iter().for_each(|failure| cache.put(failure.clone()));
        assert_eq!(failures.each_ref().map(|failure| has(&cache, failure, 150)), [false, true, true]);
        assert_eq!(paths.each_ref().map(|path| has(&cache, path, 150)), [false, true, true]);
    }

    #[test]
    fn a_newer_verdict_of_the_same_key_takes_the_place_of_the_older() {
        let cache = PathCache::with_room(1, 1);
        let (one, mut later) = (verdict(1, "found"), verdict(1, "found"));
        later.valid_until = Timestamp(300);
        cache.put(one);
        cache.put(later.clone());
        assert!(has(&cache, &later, 250));
    }
}
