//! How many questions may be sent upstream: a counter that everything working on one purpose shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use revouch_validator::answer::DnsFailure;

use crate::answer::signature::FailureAllowance;

/// Signature checks that may fail for all questions that one budget pays for.
const MAX_FAILED_CHECKS: u32 = 24;

/// A number of upstream questions that may still be sent. Clones share it.
#[derive(Clone, Debug)]
pub struct QueryBudget(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    left: AtomicU32,
    spent: AtomicU32,
    failures: FailureAllowance,
    /// Who pays, if not this one.
    payer: Option<QueryBudget>,
}

impl QueryBudget {
    /// Allows `questions`, those for DS and DNSKEY records, repetitions and fallbacks to TCP included.
    #[must_use]
    pub fn new(questions: u32) -> Self {
        Self::with(questions, FailureAllowance::new(MAX_FAILED_CHECKS), None)
    }

    /// One that pays from this one and counts by itself what was spent.
    #[must_use]
    pub fn part(&self) -> Self {
        Self::with(0, self.failures(), Some(self.clone()))
    }

    fn with(questions: u32, failures: FailureAllowance, payer: Option<Self>) -> Self {
        let (left, spent) = (AtomicU32::new(questions), AtomicU32::new(0));
        Self(Arc::new(Counters { left, spent, failures, payer }))
    }

    /// How many signature checks may still fail; parts share it with the whole.
    pub(crate) fn failures(&self) -> FailureAllowance {
        self.0.failures.clone()
    }

    /// Pays for one question.
    ///
    /// # Errors
    /// [`DnsFailure::Budget`] if nothing is left.
    pub fn take(&self) -> Result<(), DnsFailure> {
        if let Some(payer) = &self.0.payer {
            payer.take()?;
        } else {
            let paid =
                self.0.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            paid.map_err(|_| DnsFailure::Budget)?;
        }
        self.0.spent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// How many questions were sent.
    #[must_use]
    pub fn spent(&self) -> u32 {
        self.0.spent.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_shared_and_never_overdrawn() {
        let budget = QueryBudget::new(2);
        let other = budget.clone();
        assert_eq!((budget.take(), other.take(), budget.take()), (Ok(()), Ok(()), Err(DnsFailure::Budget)));
        assert_eq!(other.spent(), 2);
    }

    #[test]
    fn parts_pay_from_the_whole_and_count_for_themselves() {
        let whole = QueryBudget::new(3);
        let (one, two) = (whole.part(), whole.part());
        assert_eq!((one.take(), two.take(), one.take()), (Ok(()), Ok(()), Ok(())));
        assert_eq!((two.take(), one.take()), (Err(DnsFailure::Budget), Err(DnsFailure::Budget)));
        assert_eq!((whole.spent(), one.spent(), two.spent()), (3, 2, 1));
    }
}
