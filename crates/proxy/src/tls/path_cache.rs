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
    pub fn put(&self, verdict: Arc<PathVerdict>) {
        let entries = if verdict.outcome.is_ok() { &self.found } else { &self.failed };
        entries.lock().unwrap_or_else(PoisonError::into_inner).put(verdict);
    }
}

impl Entries {
    fn get(&mut self, key: &PathKey, now: Timestamp) -> Option<Arc<PathVerdict>> {
        let verdict = self.verdicts.get(key)?;
        (verdict.valid_from <= now && now <= verdict.valid_until).then(|| Arc::clone(verdict))
    }

    fn put(&mut self, verdict: Arc<PathVerdict>) {
        let key = verdict.key;
        if self.verdicts.insert(key, verdict).is_none() {
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

    use revouch_lab::CertificateAuthority;
    use revouch_validator::cert::CertificateFacts;
    use revouch_validator::chain::Chain;
    use revouch_validator::path::{Anchors, CrlPolicy, Crls, PathRequest, Purpose, validate};

    use super::*;

    /// A verdict on a new certificate: a path that is found if its CA is trusted.
    fn verdict(ca: &CertificateAuthority, trusted: bool) -> Arc<PathVerdict> {
        let chain = Chain::new(ca.leaf().dns("a.test").issue().unwrap().chain()).unwrap();
        let facts = CertificateFacts::parse(chain.leaf()).unwrap();
        let anchors = if trusted { Anchors::from_der([ca.root()]).0 } else { Anchors::none() };
        let made = validate(
            &PathRequest {
                chain: &chain,
                facts: &facts,
                purpose: Purpose::Server,
                anchors: &anchors,
                crls: &Crls::none(),
                crl_policy: CrlPolicy::default(),
            },
            crate::logging::now(),
        );
        assert_eq!(made.outcome.is_ok(), trusted);
        Arc::new(made)
    }

    fn has(cache: &PathCache, verdict: &PathVerdict) -> bool {
        cache.get(&verdict.key, verdict.valid_until).is_some_and(|found| *found == *verdict)
    }

    #[test]
    fn a_verdict_is_given_out_while_it_holds_and_no_longer() {
        let (cache, ca) = (PathCache::default(), CertificateAuthority::servers().unwrap());
        let one = verdict(&ca, true);
        cache.put(Arc::clone(&one));
        assert!(has(&cache, &one));
        assert!(cache.get(&one.key, one.valid_until.saturating_add(1)).is_none());
        assert!(cache.get(&one.key, Timestamp(one.valid_from.0 - 1)).is_none());
        assert!(!has(&cache, &verdict(&ca, true)));
    }

    #[test]
    fn the_oldest_makes_room_and_failures_never_drive_out_paths() {
        let (cache, ca) = (PathCache::with_room(2, 2), CertificateAuthority::servers().unwrap());
        let paths = [(); 3].map(|()| verdict(&ca, true));
        paths.iter().for_each(|path| cache.put(Arc::clone(path)));
        assert_eq!(paths.each_ref().map(|path| has(&cache, path)), [false, true, true]);
        let failures = [(); 3].map(|()| verdict(&ca, false));
        failures.iter().for_each(|failure| cache.put(Arc::clone(failure)));
        assert_eq!(failures.each_ref().map(|failure| has(&cache, failure)), [false, true, true]);
        assert_eq!(paths.each_ref().map(|path| has(&cache, path)), [false, true, true]);
    }
}
