//! Which group of servers a name is asked of (R12, R13, R14).
//!
//! Promises: the upstream is that of the override with the longest matching zone, on label boundaries, else the system's; a name is
//! exempt wherever an exemption's suffix matches, whatever upstream it has; exempt names have groups of their own. Names of
//! RFC 6762 go to multicast DNS unless an override takes them by a zone of its own: the zone `.` stands for the system's
//! resolver, which is not asked for them either.

use std::fmt;

use revouch_validator::exemption::{Exemptions, is_multicast_name};
use revouch_validator::name::DnsName;
use revouch_validator::timestamp::Timestamp;

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// The system's resolver, or the servers that were given instead.
    System,
    /// The override with this index.
    Override(u16),
    /// The link, by multicast DNS.
    Multicast,
}

/// Names that are asked of the same servers in the same way. Caches are separate for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    /// Whom to ask.
    pub(crate) target: Target,
    /// Whether DNSSEC is left out.
    pub(crate) exempt: bool,
}

/// The zones of all overrides.
#[derive(Debug, Default)]
pub(crate) struct Zones {
    /// The longest zone first.
    zones: Vec<(DnsName, u16)>,
    names: Vec<String>,
}

/// Two overrides cannot be told apart, or there are too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneError {
    /// A zone is in more than one override, or twice in one.
    Twice(DnsName),
    /// An override has no zone: it would never be asked.
    NoZone(String),
    /// A name of an override is used twice, or is one of the built-in groups' names.
    Name(String),
    /// More overrides than 65,535.
    TooMany,
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(zone) => write!(f, "the zone {zone} stands in resolver overrides twice"),
            Self::NoZone(name) => {
                write!(f, "the resolver override {name} has no zone: it would never be asked")
            }
            Self::Name(name) => write!(f, "two resolver overrides, or groups, have the name {name}"),
            Self::TooMany => f.write_str("there are too many resolver overrides"),
        }
    }
}

impl std::error::Error for ZoneError {}

impl Zones {
    /// Takes the overrides' names and zones, in the order of their indexes.
    ///
    /// # Errors
    /// A zone or a name stands there twice, or an override has no zone.
    pub(crate) fn new(
        overrides: impl IntoIterator<Item = (String, Vec<DnsName>)>,
    ) -> Result<Self, ZoneError> {
        let mut all = Self::default();
        for (name, zones) in overrides {
            let index = u16::try_from(all.names.len()).map_err(|_| ZoneError::TooMany)?;
            if zones.is_empty() {
                return Err(ZoneError::NoZone(name));
            }
            if name == SYSTEM || name == MULTICAST || all.names.contains(&name) {
                return Err(ZoneError::Name(name));
            }
            for zone in zones {
                if all.zones.iter().any(|(known, _)| *known == zone) {
                    return Err(ZoneError::Twice(zone));
                }
                all.zones.push((zone, index));
            }
            all.names.push(name);
        }
        all.zones.sort_by_key(|(zone, _)| std::cmp::Reverse(zone.label_count()));
        Ok(all)
    }

    /// Whether there is any override.
    pub(crate) fn has_overrides(&self) -> bool {
        !self.names.is_empty()
    }

    /// The group of `name` for whoever has these exemptions.
    pub(crate) fn group(&self, name: &DnsName, exemptions: &Exemptions, now: Timestamp) -> Group {
        Group { target: self.target(name), exempt: exemptions.exempts(name, now).is_some() }
    }

    /// The group's name as it stands in evidence.
    pub(crate) fn describe(&self, group: Group) -> String {
        let name = match group.target {
            Target::System => SYSTEM,
            Target::Multicast => MULTICAST,
            Target::Override(index) => self.names.get(usize::from(index)).map_or("", String::as_str),
        };
        format!("{name}{}", if group.exempt { "+exempt" } else { "" })
    }

    fn target(&self, name: &DnsName) -> Target {
        let found = self.zones.iter().find(|(zone, _)| name.is_at_or_below(zone));
        match found {
            Some((zone, _)) if zone.is_root() && is_multicast_name(name) => Target::Multicast,
            Some((_, index)) => Target::Override(*index),
            None if is_multicast_name(name) => Target::Multicast,
            None => Target::System,
        }
    }
}

const SYSTEM: &str = "system";
const MULTICAST: &str = "multicast";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use revouch_validator::exemption::ExemptZone;

    use super::*;

    fn name(text: &str) -> DnsName {
        text.parse().unwrap()
    }

    fn zones(overrides: &[(&str, &[&str])]) -> Result<Zones, ZoneError> {
        Zones::new(overrides.iter().map(|(n, z)| ((*n).to_owned(), z.iter().map(|z| name(z)).collect())))
    }

    fn group(zones: &Zones, at: &str) -> String {
        let exemptions = Exemptions {
            listed: vec![ExemptZone { zone: name("lab.corp.example"), not_after: Some(Timestamp(10)) }],
            built_in: true,
        };
        zones.describe(zones.group(&name(at), &exemptions, Timestamp(10)))
    }

    #[test]
    fn r14_longest_label_boundary_suffix_wins() {
        let zones =
            zones(&[("corp", &["corp.example"]), ("all", &["."]), ("deep", &["a.corp.example"])]).unwrap();
        for (at, expected) in [
            ("corp.example", "corp"),
            ("x.corp.example", "corp"),
            ("notcorp.example", "all"),
            ("x.a.corp.example", "deep"),
            ("xa.corp.example", "corp"),
            (".", "all"),
        ] {
            assert_eq!(group(&zones, at), expected, "{at}");
        }
    }

    #[test]
    fn r13_exempt_names_have_groups_of_their_own_whatever_the_upstream() {
        let zones = zones(&[("corp", &["corp.example"])]).unwrap();
        assert_eq!(group(&zones, "h.lab.corp.example"), "corp+exempt");
        assert_eq!(group(&zones, "h.corp.example"), "corp");
        assert_eq!(group(&zones, "h.onion"), "system+exempt");
        assert_eq!(group(&zones, "h.example"), "system");
    }

    #[test]
    fn r12_multicast_names_leave_the_system_and_the_override_of_the_root_alone() {
        let plain = Zones::default();
        assert_eq!(group(&plain, "printer.local"), "multicast+exempt");
        assert_eq!(group(&plain, "1.1.254.169.in-addr.arpa"), "multicast+exempt");
        let root = zones(&[("all", &["."])]).unwrap();
        assert_eq!(group(&root, "printer.local"), "multicast+exempt");
        let own = zones(&[("all", &["."]), ("home", &["local"])]).unwrap();
        assert_eq!(group(&own, "printer.local"), "home+exempt");
    }

    #[test]
    fn ambiguous_overrides_are_refused() {
        assert_eq!(
            zones(&[("a", &["x.example"]), ("b", &["X.example."])]).unwrap_err(),
            ZoneError::Twice(name("x.example"))
        );
        assert_eq!(zones(&[("a", &[])]).unwrap_err(), ZoneError::NoZone("a".into()));
        assert_eq!(zones(&[("system", &["a"])]).unwrap_err(), ZoneError::Name("system".into()));
        assert_eq!(zones(&[("a", &["a"]), ("a", &["b"])]).unwrap_err(), ZoneError::Name("a".into()));
    }

    proptest! {
        /// Against the definition: of all zones that are a suffix by labels, the longest.
        #[test]
        fn routing_is_the_longest_suffix(
            wanted in prop::collection::vec("[ab]{1,2}", 0..5),
            given in prop::collection::btree_set(prop::collection::vec("[ab]{1,2}", 0..4), 0..6),
        ) {
            let given: Vec<Vec<String>> = given.into_iter().collect();
            let zones = Zones::new(
                given.iter().enumerate().map(|(i, z)| (format!("o{i}"), vec![DnsName::from_labels(z).unwrap()])),
            ).unwrap();
            let expected = given.iter().enumerate().filter(|(_, z)| wanted.ends_with(z)).max_by_key(|(_, z)| z.len());
            let expected = expected.map_or("system".to_owned(), |(i, _)| format!("o{i}"));
            let group = zones.group(&DnsName::from_labels(&wanted).unwrap(), &Exemptions::default(), Timestamp(0));
            prop_assert_eq!(zones.describe(group), expected);
        }
    }
}
