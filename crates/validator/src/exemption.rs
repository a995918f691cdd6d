//! Zones whose DNSSEC state is not evaluated (R12, R13).

use serde::{Deserialize, Serialize};

use crate::name::DnsName;
use crate::timestamp::Timestamp;

/// The zones of RFC 6762 section 3 and 4, always exempt (R12).
const MULTICAST_ZONES: &[&[&str]] = &[
    &["local"],
    &["254", "169", "in-addr", "arpa"],
    &["8", "e", "f", "ip6", "arpa"],
    &["9", "e", "f", "ip6", "arpa"],
    &["a", "e", "f", "ip6", "arpa"],
    &["b", "e", "f", "ip6", "arpa"],
];

/// The rest of R13's default list.
const BUILT_IN_ZONES: &[&[&str]] = &[&["localhost"], &["onion"]];

/// One zone that an operator exempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExemptZone {
    /// The zone; everything at or below it is exempt, on label boundaries.
    pub zone: DnsName,
    /// Until when, inclusive; without end if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
}

/// The exemptions that cover one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exemptions {
    /// Zones of the `DnssecExemption` documents that cover the policy.
    pub listed: Vec<ExemptZone>,
    /// Whether the built-in list (`.localhost`, `.onion`) is on. `.local` and the link-local reverse zones are exempt regardless.
    pub built_in: bool,
}

impl Default for Exemptions {
    fn default() -> Self {
        Self { listed: Vec::new(), built_in: true }
    }
}

/// Why a name is exempt, the strongest ground first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExemptBy {
    /// An operator's `DnssecExemption`.
    Listed,
    /// A zone of RFC 6762 that no operator lists.
    Multicast,
    /// The built-in list alone.
    BuiltIn,
}

impl Exemptions {
    /// Whether `name` is exempt at `now`, and by what. An expired entry exempts nothing.
    #[must_use]
    pub fn exempts(&self, name: &DnsName, now: Timestamp) -> Option<ExemptBy> {
        let listed = |entry: &ExemptZone| {
            name.is_at_or_below(&entry.zone) && entry.not_after.is_none_or(|end| now <= end)
        };
        if self.listed.iter().any(listed) {
            Some(ExemptBy::Listed)
        } else if is_multicast_name(name) {
            Some(ExemptBy::Multicast)
        } else if self.built_in && in_zones(name, BUILT_IN_ZONES) {
            Some(ExemptBy::BuiltIn)
        } else {
            None
        }
    }
}

/// Whether `name` lies in a zone that RFC 6762 gives to multicast DNS.
#[must_use]
pub fn is_multicast_name(name: &DnsName) -> bool {
    in_zones(name, MULTICAST_ZONES)
}

fn in_zones(name: &DnsName, zones: &[&[&str]]) -> bool {
    let from_the_end = name.labels().rev();
    zones.iter().any(|zone| {
        let mut labels = from_the_end.clone();
        zone.iter().rev().all(|want| labels.next() == Some(want.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn name(text: &str) -> DnsName {
        text.parse().unwrap()
    }

    #[test]
    fn r12_multicast_zones_are_always_exempt() {
        let none = Exemptions { listed: vec![], built_in: false };
        for exempt in ["local", "printer.local", "1.1.254.169.in-addr.arpa", "1.0.b.e.f.ip6.arpa"] {
            assert_eq!(none.exempts(&name(exempt), Timestamp(0)), Some(ExemptBy::Multicast), "{exempt}");
        }
        for not in ["notlocal", "local.example", "1.1.1.169.in-addr.arpa", "c.e.f.ip6.arpa", "localhost", "."]
        {
            assert_eq!(none.exempts(&name(not), Timestamp(0)), None, "{not}");
        }
    }

    #[test]
    fn r13_built_in_list_can_be_switched_off_and_listed_zones_end() {
        let mut exemptions = Exemptions::default();
        assert_eq!(exemptions.exempts(&name("x.onion"), Timestamp(0)), Some(ExemptBy::BuiltIn));
        exemptions.built_in = false;
        assert_eq!(exemptions.exempts(&name("x.onion"), Timestamp(0)), None);
        exemptions.listed.push(ExemptZone { zone: name("corp.example"), not_after: Some(Timestamp(10)) });
        assert_eq!(exemptions.exempts(&name("a.corp.example"), Timestamp(10)), Some(ExemptBy::Listed));
        assert_eq!(exemptions.exempts(&name("a.corp.example"), Timestamp(11)), None);
        assert_eq!(exemptions.exempts(&name("notcorp.example"), Timestamp(0)), None);
    }
}
