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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use revouch_validator::rr::RrType;
    use tokio::time::advance;

    use super::*;
    use crate::zones::{Group, Target};

    fn key(at: &str) -> Key {
        let group = Group { target: Target::System, exempt: false };
        Key { group, name: at.parse().unwrap(), rr_type: RrType::A }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_counts_for_ten_minutes_or_until_there_is_an_answer() {
        let (failures, one, other) = (Failures::default(), key("one.example"), key("other.example"));
        let [silence, servfail] = [DnsFailure::Timeout, DnsFailure::ServFail];
        failures.note(one.clone(), Some(&silence));
        advance(Duration::from_secs(599)).await;
        assert_eq!(failures.find(&one), Some(silence));
        assert_eq!(failures.find(&other), None);
        // Another failure counts for as long again.
        failures.note(one.clone(), Some(&servfail));
        failures.note(other.clone(), Some(&servfail));
        advance(Duration::from_secs(599)).await;
        assert_eq!(failures.find(&one), Some(servfail.clone()));
        failures.note(other.clone(), None);
        assert_eq!(failures.find(&other), None);
        advance(Duration::from_secs(1)).await;
        assert_eq!(failures.find(&one), None);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_that_no_longer_count_are_let_go() {
        let failures = Failures::default();
        for number in 0..100 {
            failures.note(key(&format!("h{number}.example")), Some(&DnsFailure::Timeout));
            advance(Duration::from_secs(60)).await;
        }
        // Those of the last ten minutes, with the one that was just noted.
        assert_eq!(failures.0.lock().unwrap().len(), 10);
    }
}
