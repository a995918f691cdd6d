//! The list of checks while it grows. Bounded: long lists of names are cut with their count.

use crate::fcrdns::Some8;
use crate::name::DnsName;
use crate::reason::Reason;
use crate::verdict::{Check, CheckOutcome};

use super::{Refusal, Stage};

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
        self.check(rule, check, CheckOutcome::Fail, listed(names, shown));
    }

    /// The refusal for which the check that was added last is the ground.
    pub(super) fn refusal(&self, stage: Stage, reason: Reason) -> Refusal {
        Refusal { stage, reason, check: self.checks.len().checked_sub(1) }
    }

    pub(super) fn into_checks(self) -> Vec<Check> {
        self.checks
    }
}

/// Names as they are told: the first eight, and how many more there are.
pub(super) fn listed<T>(names: &Some8<T>, shown: impl Fn(&T) -> String) -> String {
    let mut seen = names.first.iter().map(shown).collect::<Vec<_>>().join(", ");
    if names.more > 0 {
        seen.push_str(&format!(" and {} more", names.more));
    }
    seen
}
