//! Which of the names that are resolved in advance could not be, when that was last tried.
//!
//! Promises: only a name that was asked for anew and failed stands here, until it is asked for again and answers, for ten minutes at most.
//! Bounded by what policies list.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use revouch_validator::answer::DnsFailure;
use tokio::time::Instant;

use crate::cache::Key;

/// How long a failure counts that was not confirmed by another.
const COUNTS: Duration = Duration::from_secs(600);

/// The failures.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<HashMap<Key, (Instant, DnsFailure)>>);

impl Failures {
    /// How the question failed when it was last asked in advance; `None` if it did not.
    pub(crate) fn find(&self, key: &Key) -> Option<DnsFailure> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(key).filter(|(since, _)| since.elapsed() < COUNTS).map(|(_, failure)| failure.clone())
    }

    /// Takes note of what came of a question.
    pub(crate) fn note(&self, key: Key, failure: Option<&DnsFailure>) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(failure) => {
                failures.retain(|_, (since, _)| since.elapsed() < COUNTS);
                failures.insert(key, (Instant::now(), failure.clone()));
            }
            None => drop(failures.remove(&key)),
        }
    }
}
