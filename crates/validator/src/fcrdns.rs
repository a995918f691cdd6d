//! Forward-confirmed reverse DNS over recorded answers (R2, R8; `dns.md` section 2).
//!
//! Promises: only a name that can be a host's, that the policy lists, and whose own forward answer holds the source address
//! becomes a [`ConfirmedName`] (under `confirm: None` the address is waived, by name). Each name is judged by its own answer;
//! a failed PTR leaves no name at all. No other code makes a `ConfirmedName`.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::answer::{DnsFailure, DnssecStatus};
use crate::exemption::ExemptBy;
use crate::name::DnsName;
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
    /// Usable and listed, in order.
    pub(crate) candidates: Vec<DnsName>,
    /// Usable but not in `identity.names`.
    pub(crate) unlisted: Vec<DnsName>,
    pub(crate) unusable: Vec<(DnsName, Unusable)>,
}

impl<'e> View<'e> {
    /// The names to try, as far as they are known.
    pub(crate) fn names(&self) -> Names<'e> {
        if self.policy.confirm != Confirm::ReverseDns {
            let mut names =
                Names { ptr: Ptr::NotAsked, candidates: vec![], unlisted: vec![], unusable: vec![] };
            for name in self.policy.names.iter().flatten().filter_map(NamePattern::exact) {
                match self.usable(name) {
                    Ok(()) => names.candidates.push(name.clone()),
                    Err(why) => names.unusable.push((name.clone(), why)),
                }
            }
            return names;
        }
        let mut names = Names { ptr: Ptr::Open, candidates: vec![], unlisted: vec![], unusable: vec![] };
        names.ptr = match self.ask(&DnsName::reverse(self.connection.source()), RrType::PTR) {
            None => Ptr::Open,
            Some(Err(failure)) => Ptr::Failed(failure),
            Some(Ok(seen)) => Ptr::Answered(seen),
        };
        if let Ptr::Answered(seen) = &names.ptr {
            let mut found: Vec<&DnsName> = seen.answer.records.iter().filter_map(ptr_name).collect();
            found.sort();
            found.dedup();
            for name in found {
                match self.usable(name) {
                    Err(why) => names.unusable.push((name.clone(), why)),
                    Ok(()) if self.rank(name).is_none() => names.unlisted.push(name.clone()),
                    Ok(()) => names.candidates.push(name.clone()),
                }
            }
            names.candidates.sort_by_cached_key(|name| self.rank(name));
        }
        names
    }

    /// The place of the first entry of `identity.names` that matches; `None` if none does. Equal for all without a list.
    fn rank(&self, name: &DnsName) -> Option<usize> {
        match &self.policy.names {
            None => Some(0),
            Some(patterns) => patterns.iter().position(|pattern| pattern.matches(name)),
        }
    }

    /// Whether a name can be a host's (`dns.md` section 2.3).
    fn usable(&self, name: &DnsName) -> Result<(), Unusable> {
        let numeric_end = name.labels().next_back().is_some_and(|label| label.iter().all(u8::is_ascii_digit));
        if name.label_count() < 2 || numeric_end || !name.is_ldh() {
            return Err(Unusable::NoHostName);
        }
        let ends = |suffix: &[&str]| {
            let mut labels = name.labels().rev();
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
