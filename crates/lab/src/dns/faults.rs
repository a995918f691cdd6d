//! Misbehaviour on demand, and counters of what was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_proto::rr::{Name, RecordType};

use super::text::{dns_name, record_type};
use crate::LabError;

/// Rules that are kept; the oldest goes when there are more.
const MAX_RULES: usize = 1_024;
/// Names and types that are counted apart; further ones only in the total.
const MAX_COUNTED: usize = 65_536;

/// What the server does instead of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Answers REFUSED.
    Refuse,
    /// Answers SERVFAIL.
    ServFail,
    /// Drops the question. A TCP connection stays open.
    Silent,
    /// Answers correctly, this much later.
    Delay(Duration),
    /// Sends octets that carry the question's id and are no DNS message.
    Garbage,
    /// Sets TC over UDP and sends no records; over TCP it answers.
    Truncate,
    /// Sets TC over UDP and drops the question over TCP.
    TruncateAndStall,
}

/// The questions a fault applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    name: Name,
    below: bool,
    rtype: Option<RecordType>,
}

impl Scope {
    /// Questions for exactly this name.
    ///
    /// # Errors
    /// The name cannot be read.
    pub fn name(name: &str) -> Result<Self, LabError> {
        Ok(Self { name: dns_name(name)?, below: false, rtype: None })
    }

    /// Questions for this name and all below it; `"."` is every question.
    ///
    /// # Errors
    /// The name cannot be read.
    pub fn suffix(name: &str) -> Result<Self, LabError> {
        Ok(Self { below: true, ..Self::name(name)? })
    }

    /// Only questions of this type, by its mnemonic.
    ///
    /// # Errors
    /// There is no such type.
    pub fn of_type(mut self, rtype: &str) -> Result<Self, LabError> {
        self.rtype = Some(record_type(rtype)?);
        Ok(self)
    }

    fn matches(&self, name: &Name, rtype: RecordType) -> bool {
        let named = self.name == *name || (self.below && self.name.zone_of(name));
        named && self.rtype.is_none_or(|wanted| wanted == rtype)
    }
}

/// The faults of one server. Of several that match a question, the one that was set last applies.
#[derive(Default)]
pub struct Faults(Mutex<VecDeque<(Scope, Fault)>>);

impl Faults {
    /// Misbehave from now on for these questions.
    pub fn set(&self, scope: Scope, fault: Fault) {
        let mut rules = lock(&self.0);
        rules.retain(|(other, _)| *other != scope);
        rules.push_front((scope, fault));
        rules.truncate(MAX_RULES);
    }

    /// Answer these questions again.
    pub fn clear(&self, scope: &Scope) {
        lock(&self.0).retain(|(other, _)| other != scope);
    }

    /// Answer every question again.
    pub fn clear_all(&self) {
        lock(&self.0).clear();
    }

    pub(super) fn find(&self, name: &Name, rtype: RecordType) -> Option<Fault> {
        lock(&self.0).iter().find(|(scope, _)| scope.matches(name, rtype)).map(|(_, fault)| *fault)
    }
}

/// How often the server was asked, over all transports, faults included.
#[derive(Default)]
pub struct Queries {
    total: AtomicU64,
    each: Mutex<HashMap<(Name, RecordType), u64>>,
}

impl Queries {
    /// All questions.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Questions for this name and type; 0 for one that cannot be read.
    pub fn count(&self, name: &str, rtype: &str) -> u64 {
        let (Ok(name), Ok(rtype)) = (dns_name(name), record_type(rtype)) else { return 0 };
        lock(&self.each).get(&(name, rtype)).copied().unwrap_or(0)
    }

    /// Every name (absolute, lower case) and type that was asked for, and how often, in no order.
    pub fn all(&self) -> Vec<(String, String, u64)> {
        let each = lock(&self.each);
        each.iter().map(|((name, rtype), count)| (name.to_ascii(), rtype.to_string(), *count)).collect()
    }

    pub(super) fn record(&self, name: &Name, rtype: RecordType) {
        self.total.fetch_add(1, Ordering::Relaxed);
        let mut each = lock(&self.each);
        let key = (name.to_lowercase(), rtype);
        if each.len() < MAX_COUNTED || each.contains_key(&key) {
            *each.entry(key).or_default() += 1;
        }
    }
}

/// A poisoned lock is still sound here: every change is a single step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
