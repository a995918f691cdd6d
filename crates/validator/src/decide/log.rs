//! The list of checks while it grows. Bounded: long lists of names are cut with their count.

use crate::fcrdns::Some8;
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
    pub(super) fn list<T>(
        &mut self,
        rule: &'static str,
        check: &'static str,
        names: &Some8<T>,
        shown: impl Fn(&T) -> String,
    ) {
        let mut seen = names.first.iter().map(shown).collect::<Vec<_>>().join(", ");
        if names.more > 0 {
            seen.push_str(&format!(" and {} more", names.more));
        }
        self.check(rule, check, CheckOutcome::Fail, seen);
    }

    pub(super) fn into_checks(self) -> Vec<Check> {
        self.checks
    }
}
