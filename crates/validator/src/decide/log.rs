//! The list of checks while it grows. Bounded: long lists of names are cut with their count.

use crate::name::DnsName;
use crate::verdict::{Check, CheckOutcome};

#[derive(Debug, Default)]
pub(super) struct Log {
    checks: Vec<Check>,
    candidate: Option<String>,
}

impl Log {
    /// How many names without the source address are told one by one.
    pub(super) const MOST_DENIED: usize = 16;
    /// How many names of a list are told.
    const MOST_LISTED: usize = 8;

    pub(super) fn check(
        &mut self,
        rule: &'static str,
        check: &'static str,
        outcome: CheckOutcome,
        seen: impl Into<String>,
    ) {
        let candidate = self.candidate.clone();
        self.checks.push(Check { rule, check, outcome, candidate, seen: seen.into() });
    }

    pub(super) fn about(
        &mut self,
        name: &DnsName,
        rule: &'static str,
        check: &'static str,
        outcome: CheckOutcome,
        seen: String,
    ) {
        self.checks.push(Check { rule, check, outcome, candidate: Some(name.to_string()), seen });
    }

    /// What follows is about this candidate, until [`Log::end_candidate`].
    pub(super) fn begin_candidate(&mut self, candidate: String) {
        self.candidate = Some(candidate);
    }

    pub(super) fn end_candidate(&mut self) {
        self.candidate = None;
    }

    /// Names that a check sorted out.
    pub(super) fn list(
        &mut self,
        rule: &'static str,
        check: &'static str,
        names: impl ExactSizeIterator<Item = String>,
    ) {
        let count = names.len();
        let mut seen = names.take(Self::MOST_LISTED).collect::<Vec<_>>().join(", ");
        if count > Self::MOST_LISTED {
            seen.push_str(&format!(" and {} more", count - Self::MOST_LISTED));
        }
        self.check(rule, check, CheckOutcome::Fail, seen);
    }

    pub(super) fn into_checks(self) -> Vec<Check> {
        self.checks
    }
}
