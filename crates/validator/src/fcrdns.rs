//! Forward-confirmed reverse DNS over recorded answers (R2, R8; `dns.md` section 2).
//!
//! Promises: only a name that can be a host's, that the policy lists, and whose own forward answer holds the source address
//! becomes a [`ConfirmedName`] (under `confirm: None` the address is waived, by name). Each name is judged by its own answer;
//! a failed PTR leaves no name at all. No other code makes a `ConfirmedName`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::answer::{DnsFailure, DnssecStatus};
use crate::exemption::ExemptBy;
use crate::name::{DnsName, is_ldh_label};
use crate::policy::{Confirm, Multicast, NamePattern};
use crate::rr::{RecordData, RrType};
use crate::view::{Seen, View};

/// A name that the source address was confirmed for. Only this module makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfirmedName {
    name: DnsName,
    /// The state of the forward answer.
    #[serde(rename = "dnssec")]
    status: DnssecStatus,
}

impl ConfirmedName {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &DnsName {
        &self.name
    }

    /// The state of the forward answer, CNAME links included.
    #[must_use]
    pub fn status(&self) -> DnssecStatus {
        self.status
    }
}

/// Why a name of a PTR answer, or one that the policy lists, cannot be a peer's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Root, a single label, a numeric last label, a wildcard, or not letters, digits and hyphens. (Over 253 octets no
    /// [`DnsName`] can be.)
    NoHostName,
    /// Under in-addr.arpa, ip6.arpa or invalid.
    ReservedZone,
    /// Under `.local` while the policy refuses multicast names.
    Multicast,
    /// Exempt by the built-in list alone.
    BuiltInExempt,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHostName => "no host name",
            Self::ReservedZone => "in a zone that holds no hosts",
            Self::Multicast => "a multicast name, which the policy does not allow",
            Self::BuiltInExempt => "exempt from DNSSEC by the built-in list alone",
        })
    }
}

/// What came of the question for the address's names.
#[derive(Debug)]
pub(crate) enum Ptr<'e> {
    /// Not needed: the policy's own list gives the names.
    NotAsked,
    /// Not answered yet.
    Open,
    /// Failed: no name counts, and no address either (R8).
    Failed(Cow<'e, DnsFailure>),
    /// Answered, with records or without.
    Answered(Seen<'e>),
}

/// The names that may become the peer's, in the order in which they are tried (R2).
#[derive(Debug)]
pub(crate) struct Names<'e> {
    pub(crate) ptr: Ptr<'e>,
    /// Usable and listed, in order; of a PTR answer `maxNames` at most.
    pub(crate) candidates: Vec<DnsName>,
    /// How many names of the PTR answer stand behind those.
    pub(crate) beyond: usize,
    /// Usable but not in `identity.names`.
    pub(crate) unlisted: Some8<DnsName>,
    pub(crate) unusable: Some8<(DnsName, Unusable)>,
}

/// The first eight of many, and how many more there are. A PTR answer can hold thousands of names, and the plan looks at it
/// after every answer.
#[derive(Debug)]
pub(crate) struct Some8<T> {
    pub(crate) first: Vec<T>,
    pub(crate) more: usize,
}

impl<T> Some8<T> {
    const NONE: Self = Self { first: Vec::new(), more: 0 };

    fn is_full(&self) -> bool {
        self.first.len() >= 8
    }

    fn push(&mut self, item: T) {
        if self.is_full() { self.more += 1 } else { self.first.push(item) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

impl<'e> View<'e> {
    /// The names to try, as far as they are known.
    pub(crate) fn names(&self) -> Names<'e> {
        let mut names = Names {
            ptr: Ptr::NotAsked,
            candidates: vec![],
            beyond: 0,
            unlisted: Some8::NONE,
            unusable: Some8::NONE,
        };
        if self.policy.confirm != Confirm::ReverseDns {
            for name in self.policy.names.iter().flatten().filter_map(NamePattern::exact) {
                match self.usable(name) {
                    Ok(()) => names.candidates.push(name.clone()),
                    Err(why) => names.unusable.push((name.clone(), why)),
                }
            }
            return names;
        }
        names.ptr = match self.ask(&DnsName::reverse(self.connection.source()), RrType::PTR) {
            None => Ptr::Open,
            Some(Err(failure)) => Ptr::Failed(failure),
            Some(Ok(seen)) => {
                self.sort_out(seen.answer.records.iter().filter_map(ptr_name), &mut names);
                Ptr::Answered(seen)
            }
        };
        names
    }

    /// Keeps the first `maxNames` of the names of a PTR answer that are usable and listed. The work is that of one look at each.
    fn sort_out(&self, found: impl Iterator<Item = &'e DnsName>, names: &mut Names<'_>) {
        let ranks = self.policy.names.as_deref().map(Ranks::new);
        let most = usize::from(self.policy.max_names);
        let mut best: Vec<(usize, &DnsName)> = Vec::with_capacity(most + 1);
        for name in found {
            let Some(rank) = ranks.as_ref().map_or(Some(0), |ranks| ranks.of(name)) else {
                if names.unlisted.is_full() {
                    names.unlisted.more += 1;
                } else {
                    match self.usable(name) {
                        Err(why) => names.unusable.push((name.clone(), why)),
                        Ok(()) => names.unlisted.push(name.clone()),
                    }
                }
                continue;
            };
            let place = (rank, name);
            if best.len() >= most && best.last().is_some_and(|last| place > *last) {
                names.beyond += 1;
                continue;
            }
            let Err(index) = best.binary_search(&place) else { continue };
            match self.usable(name) {
                Err(why) => names.unusable.push((name.clone(), why)),
                Ok(()) => best.insert(index, place),
            }
            if best.len() > most {
                best.pop();
                names.beyond += 1;
            }
        }
        names.candidates = best.into_iter().map(|(_, name)| name.clone()).collect();
    }

    /// Whether a name can be a host's (`dns.md` section 2.3).
    fn usable(&self, name: &DnsName) -> Result<(), Unusable> {
        let labels = name.labels();
        let numeric_end = labels.clone().next_back().is_some_and(|last| last.iter().all(u8::is_ascii_digit));
        if labels.clone().nth(1).is_none() || numeric_end || !labels.clone().all(is_ldh_label) {
            return Err(Unusable::NoHostName);
        }
        let from_the_end = labels.rev();
        let ends = |suffix: &[&str]| {
            let mut labels = from_the_end.clone();
            suffix.iter().all(|want| labels.next() == Some(want.as_bytes()))
        };
        if ends(&["arpa", "in-addr"]) || ends(&["arpa", "ip6"]) || ends(&["invalid"]) {
            return Err(Unusable::ReservedZone);
        }
        match self.policy.exemptions.exempts(name, self.now) {
            Some(ExemptBy::BuiltIn) => Err(Unusable::BuiltInExempt),
            Some(ExemptBy::Multicast) if self.policy.multicast == Multicast::Refuse => {
                Err(Unusable::Multicast)
            }
            _ => Ok(()),
        }
    }

    /// Whether `name` leads back to the source address.
    pub(crate) fn confirm(&self, name: &DnsName) -> Confirmation<'e> {
        let seen = match self.ask(name, self.address_type()) {
            None => return Confirmation::Open,
            Some(Err(failure)) => return Confirmation::Failed(failure),
            Some(Ok(seen)) => seen,
        };
        let source = self.connection.source();
        let waived = self.policy.confirm == Confirm::None;
        if waived || seen.answer.records.iter().any(|record| address(record) == Some(source)) {
            Confirmation::Confirmed(ConfirmedName { name: name.clone(), status: seen.status })
        } else {
            Confirmation::Denied(seen)
        }
    }
}

impl Seen<'_> {
    /// The names of a PTR answer, in the order of the answer.
    pub(crate) fn ptr_names(&self) -> Some8<&DnsName> {
        let mut names = Some8::NONE;
        self.answer.records.iter().filter_map(ptr_name).for_each(|name| names.push(name));
        names
    }
}

/// The entries of `identity.names` by what they match.
struct Ranks<'p>(HashMap<(bool, &'p [u8]), usize>);

impl<'p> Ranks<'p> {
    fn new(patterns: &'p [NamePattern]) -> Self {
        let mut ranks = HashMap::with_capacity(patterns.len());
        for (rank, pattern) in patterns.iter().enumerate() {
            ranks.entry((pattern.exact().is_none(), pattern.base().wire())).or_insert(rank);
        }
        Self(ranks)
    }

    /// The place of the first entry that matches.
    fn of(&self, name: &'p DnsName) -> Option<usize> {
        let exact = self.0.get(&(false, name.wire()));
        let wildcard = name.parent_wire().and_then(|parent| self.0.get(&(true, parent)));
        exact.into_iter().chain(wildcard).min().copied()
    }
}

/// What a name's forward answer says of the source address.
#[derive(Debug)]
pub(crate) enum Confirmation<'e> {
    /// Not answered yet, or never asked (beyond `maxNames`).
    Open,
    /// Failed: this name does not count.
    Failed(Cow<'e, DnsFailure>),
    /// It has other addresses, or none.
    Denied(Seen<'e>),
    /// It has the source address.
    Confirmed(ConfirmedName),
}

fn ptr_name(record: &RecordData) -> Option<&DnsName> {
    if let RecordData::Ptr(name) = record { Some(name) } else { None }
}

fn address(record: &RecordData) -> Option<IpAddr> {
    match record {
        RecordData::A(address) => Some(IpAddr::V4(*address)),
        RecordData::Aaaa(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
