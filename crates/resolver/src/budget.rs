//! Who pays for the questions of one gathering (`dns.md` section 2.9).
//!
//! Promises: the address, each candidate name and the advice have purses of their own; an empty one fails only what it should have
//! paid for. A question costs whoever sends it, never those who join it.

use std::collections::HashMap;

use revouch_validator::plan::Pool;

use crate::upstream::QueryBudget;

/// How many upstream questions one gathering may send, for each purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// For the PTR and the records of the reverse name. Default 64.
    pub address: u32,
    /// For each candidate name. Default 48.
    pub candidate: u32,
    /// For all advice together. Default 64.
    pub advisory: u32,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { address: 64, candidate: 48, advisory: 64 }
    }
}

/// The purses of one gathering.
#[derive(Debug)]
pub(crate) struct Purses {
    budgets: Budgets,
    open: HashMap<Pool, QueryBudget>,
}

impl Purses {
    pub(crate) fn new(budgets: Budgets) -> Self {
        Self { budgets, open: HashMap::new() }
    }

    /// The purse for this purpose. Clones share it.
    pub(crate) fn of(&mut self, pool: &Pool) -> QueryBudget {
        let most = match pool {
            Pool::Address => self.budgets.address,
            Pool::Candidate(_) => self.budgets.candidate,
            Pool::Advisory => self.budgets.advisory,
        };
        self.open.entry(pool.clone()).or_insert_with(|| QueryBudget::new(most)).clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_empty_purse_fails_only_what_it_pays_for() {
        let mut purses = Purses::new(Budgets { address: 1, candidate: 2, advisory: 0 });
        let (a, b) =
            (Pool::Candidate("a.example".parse().unwrap()), Pool::Candidate("b.example".parse().unwrap()));
        assert!(purses.of(&a).take().is_ok() && purses.of(&a).take().is_ok());
        assert!(purses.of(&a).take().is_err());
        assert!(purses.of(&b).take().is_ok());
        assert!(purses.of(&Pool::Address).take().is_ok());
        assert!(purses.of(&Pool::Address).take().is_err());
        assert!(purses.of(&Pool::Advisory).take().is_err());
    }
}
