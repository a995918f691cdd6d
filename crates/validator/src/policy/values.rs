//! The values that a policy's fields take, as they are written in documents (`CamelCase`).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::{DnsName, is_ldh_label};

macro_rules! choices {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $vdoc:literal])+ $variant:ident,)* })*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[doc = $vdoc])+ $variant,)* }

        impl $name {
            /// Every value, in the order in which the documentation names them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word as it stands in a document.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }
        }
    )*};
}

choices! {
    /// Whether refusals are carried out.
    Mode {
        /// A refused peer gets an alert and no byte to the upstream.
        Enforce,
        /// A refused peer is relayed all the same, without identity; the verdict is logged and counted.
        Audit,
    }
    /// Whether a class of certificate is let in.
    ClassChoice {
        /// It is judged further.
        Accept,
        /// It is refused.
        Reject,
    }
    /// What a certificate with both EKUs is (R5).
    BothEku {
        /// Refused.
        Reject,
        /// A server's.
        AsServerAuth,
        /// A client's.
        AsClientAuth,
    }
    /// What a certificate without EKU extension, or with anyExtendedKeyUsage, is.
    UnmarkedEku {
        /// Refused.
        Reject,
        /// A server's.
        AsServerAuth,
    }
    /// What a clientAuth certificate may name (R1).
    Subjects {
        /// A natural or legal person only.
        Person,
        /// A device only.
        Device,
        /// Either.
        Any,
    }
    /// How the literal R6 is read.
    MixedNames {
        /// dNSName and iPAddress may stand together, but beside no other type.
        RejectOtherTypes,
        /// dNSName beside iPAddress is refused too.
        Reject,
    }
    /// How a source address leads to a name (R2).
    Confirm {
        /// Forward-confirmed reverse DNS: the draft's way.
        ReverseDns,
        /// The listed names' own addresses, resolved in advance.
        Forward,
        /// The name alone; the address is not checked.
        None,
    }
    /// How much DNSSEC is wanted (R10).
    Dnssec {
        /// An unsigned zone does not fail the peer; a bogus one does.
        Opportunistic,
        /// Every answer that the verdict rests on must be secure or exempt.
        Required,
    }
    /// How TLSA records act (R11).
    TlsaMode {
        /// Where there are usable ones, one must match.
        Honor,
        /// There must be usable ones, and one must match.
        Require,
        /// They are not asked for.
        Ignore,
    }
    /// Whether an advisory type is asked for.
    Reporting {
        /// It is asked for and stands in the verdict; it refuses nobody.
        Report,
        /// It is not asked for.
        Ignore,
    }
    /// How the peer's source port counts (R15 b, R17).
    SourcePort {
        /// Not at all.
        Ignore,
        /// Records at `_<source port>._tcp` are looked for first.
        Prefer,
        /// An SRV, SVCB or TLSA record must name the source port.
        Require,
    }
    /// Whether names may be asked over multicast DNS (R12).
    Multicast {
        /// No.
        Refuse,
        /// `.local` and the link-local reverse zones, where no `ResolverOverride` takes them.
        Allow,
    }
    /// What it means that no CRL covers a certificate.
    CrlUnknown {
        /// Nothing: it counts as not revoked.
        Allow,
        /// The peer is refused.
        Refuse,
    }
    /// What a CRL past its nextUpdate means.
    CrlExpired {
        /// It is still believed.
        Allow,
        /// The peer is refused.
        Refuse,
    }
    /// What the upstream is told of the authentication (R4).
    ForwardIdentity {
        /// Nothing.
        Never,
        /// Only authentications by clientAuth certificates.
        ClientAuthOnly,
        /// Those by serverAuth certificates too.
        Always,
    }
}

/// Why a text is no such value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError(pub(super) String);

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ValueError {}

/// One entry of `identity.names`: a name, or `*.` before a name for exactly one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamePattern {
    wildcard: bool,
    name: DnsName,
}

impl NamePattern {
    /// Whether `name` is the one meant, or one label below it for a wildcard.
    #[must_use]
    pub fn matches(&self, name: &DnsName) -> bool {
        if self.wildcard { name.is_child_of(&self.name) } else { *name == self.name }
    }

    /// The name, or for a wildcard the name that it stands in front of.
    pub(crate) fn base(&self) -> &DnsName {
        &self.name
    }

    /// The name, if it is exact.
    #[must_use]
    pub fn exact(&self) -> Option<&DnsName> {
        (!self.wildcard).then_some(&self.name)
    }
}

impl FromStr for NamePattern {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (wildcard, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let name: DnsName =
            rest.parse().map_err(|e| ValueError(format!("{}: {e}", crate::escape::escape(text))))?;
        if !name.is_ldh() || name.label_count() + usize::from(wildcard) < 2 {
            let shown = crate::escape::escape(text);
            return Err(ValueError(format!(
                "{shown}: a host name of two or more labels is wanted, `*.` only in front"
            )));
        }
        Ok(Self { wildcard, name })
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.wildcard { "*." } else { "" }, self.name)
    }
}

/// A range of addresses, `192.0.2.0/24`; a bare address is itself alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressPrefix {
    address: IpAddr,
    length: u8,
}

impl AddressPrefix {
    /// Whether `address` is inside. IPv4-mapped IPv6 addresses are taken as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b))
                .checked_shr(32 - u32::from(self.length))
                .is_none_or(|diff| diff == 0),
            (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a) ^ u128::from(b))
                .checked_shr(128 - u32::from(self.length))
                .is_none_or(|diff| diff == 0),
            _ => false,
        }
    }
}

impl FromStr for AddressPrefix {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = |why: &str| ValueError(format!("{}: {why}", crate::escape::escape(text)));
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr =
            address.parse().map_err(|_| bad("no IP address: write 192.0.2.0/24 or 2001:db8::/32"))?;
        if address != address.to_canonical() {
            return Err(bad("an IPv4-mapped address: write it as IPv4"));
        }
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => most,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|n| *n <= most)
                .ok_or_else(|| bad("the prefix length is out of range"))?,
        };
        let prefix = Self { address, length };
        let bits = match address {
            IpAddr::V4(a) => u32::from(a).checked_shl(u32::from(length)).unwrap_or(0) != 0,
            IpAddr::V6(a) => u128::from(a).checked_shl(u32::from(length)).unwrap_or(0) != 0,
        };
        if bits {
            return Err(bad("bits are set behind the prefix: was another length meant?"));
        }
        Ok(prefix)
    }
}

impl fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// One entry of `dns.services`: `_xmpps-server._tcp` (RFC 8552). Only `_tcp`, as TLSA owners are looked for there (R15).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    label: String,
}

impl Service {
    /// The owner name of the service's records under `base`; `None` if it would be too long.
    #[must_use]
    pub fn owner(&self, base: &DnsName) -> Option<DnsName> {
        base.child("_tcp").ok()?.child(&self.label).ok()
    }
}

impl FromStr for Service {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let label = text.strip_suffix("._tcp").and_then(|l| l.strip_prefix('_').map(|bare| (l, bare)));
        match label {
            Some((label, bare)) if label.len() <= 63 && is_ldh_label(bare.as_bytes()) => {
                Ok(Self { label: label.to_ascii_lowercase() })
            }
            _ => Err(ValueError(format!(
                "{}: a service as `_xmpps-server._tcp` is wanted",
                crate::escape::escape(text)
            ))),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}._tcp", self.label)
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text! { NamePattern AddressPrefix Service }

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_wildcard_pattern_is_exactly_one_label() {
        let pattern: NamePattern = "*.edge.partner.example".parse().unwrap();
        let matches = |name: &str| pattern.matches(&name.parse().unwrap());
        assert!(matches("a.edge.partner.example"));
        assert!(!matches("edge.partner.example"));
        assert!(!matches("a.b.edge.partner.example"));
        assert!(!matches("aedge.partner.example"));
        for bad in ["*.", "*", "single", "a.*.example", "1/2.example", "", ".", "*.*.example"] {
            assert!(bad.parse::<NamePattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_hold_their_range_only() {
        let inside = |prefix: &str, address: &str| {
            prefix.parse::<AddressPrefix>().unwrap().contains(address.parse().unwrap())
        };
        assert!(inside("192.0.2.0/24", "192.0.2.255"));
        assert!(inside("192.0.2.0/24", "::ffff:192.0.2.1"));
        assert!(!inside("192.0.2.0/24", "192.0.3.0"));
        assert!(inside("192.0.2.1", "192.0.2.1"));
        assert!(!inside("192.0.2.1", "192.0.2.0"));
        assert!(inside("0.0.0.0/0", "255.255.255.255"));
        assert!(!inside("0.0.0.0/0", "::1"));
        assert!(inside("::/0", "2001:db8::1"));
        assert!(inside("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!inside("2001:db8::/32", "2001:db9::1"));
        for bad in ["192.0.2.1/24", "192.0.2.0/33", "::ffff:1.2.3.4", "x", "192.0.2.0/", "2001:db8::1/64"] {
            assert!(bad.parse::<AddressPrefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn services_are_tcp_labels() {
        let service: Service = "_XMPPS-server._tcp".parse().unwrap();
        let owner = service.owner(&"n.example".parse().unwrap()).unwrap();
        assert_eq!(owner.to_string(), "_xmpps-server._tcp.n.example");
        for bad in ["xmpps-server._tcp", "_a._udp", "_a.b._tcp", "_._tcp", "_tcp"] {
            assert!(bad.parse::<Service>().is_err(), "{bad}");
        }
    }
}
