//! Resource records as the decision sees them: the types it knows, and the octets of those that it only reports.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::encoding::base64_bytes;
use crate::name::DnsName;

/// An RR TYPE (RFC 1035 section 3.2.2), by number. Printed as its mnemonic, or `TYPE123` (RFC 3597 section 5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RrType(pub u16);

macro_rules! rr_types {
    ($($name:ident = $number:literal;)*) => {
        impl RrType {
            $(#[doc = concat!("The type `", stringify!($name), "`.")] pub const $name: Self = Self($number);)*
            /// Every type with a mnemonic here.
            const KNOWN: &[(&'static str, Self)] = &[$((stringify!($name), Self::$name)),*];
        }
    };
}

rr_types! {
    A = 1; NS = 2; CNAME = 5; SOA = 6; PTR = 12; MX = 15; TXT = 16; AAAA = 28; SRV = 33; NAPTR = 35; CERT = 37; DNAME = 39;
    DS = 43; SSHFP = 44; RRSIG = 46; NSEC = 47; DNSKEY = 48; NSEC3 = 50; TLSA = 52; SMIMEA = 53; OPENPGPKEY = 61; SVCB = 64;
    HTTPS = 65; URI = 256; CAA = 257;
}

impl fmt::Display for RrType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::KNOWN.iter().find(|(_, t)| t == self) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for RrType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text names no RR TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownType;

impl fmt::Display for UnknownType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no RR type of this name: write a mnemonic such as TLSA, or TYPE52")
    }
}

impl std::error::Error for UnknownType {}

impl FromStr for RrType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let upper = text.to_ascii_uppercase();
        if let Some((_, known)) = Self::KNOWN.iter().find(|(name, _)| *name == upper) {
            return Ok(*known);
        }
        upper.strip_prefix("TYPE").and_then(|n| n.parse().ok()).map(Self).ok_or(UnknownType)
    }
}

impl Serialize for RrType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RrType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// One TLSA record (RFC 6698 section 2.1), as it came: any number may stand in its fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tlsa {
    /// Certificate usage, 0 to 3 if it is one that RFC 7671 knows.
    pub usage: u8,
    /// Selector, 0 (certificate) or 1 (SPKI) if known.
    pub selector: u8,
    /// Matching type, 0 (full), 1 (SHA-256) or 2 (SHA-512) if known.
    pub matching: u8,
    /// Certificate association data.
    #[serde(with = "base64_bytes")]
    pub data: Vec<u8>,
}

impl fmt::Display for Tlsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.data.get(..self.data.len().min(64)).unwrap_or_default();
        write!(
            f,
            "{} {} {} {}",
            self.usage,
            self.selector,
            self.matching,
            data_encoding::HEXLOWER.encode(shown)
        )?;
        if self.data.len() > shown.len() { write!(f, "... ({} octets)", self.data.len()) } else { Ok(()) }
    }
}

/// One SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Srv {
    /// Lower is asked first.
    pub priority: u16,
    /// Share among equals.
    pub weight: u16,
    /// The port of the service.
    pub port: u16,
    /// The host that offers it.
    pub target: DnsName,
}

/// What counts here of one SVCB or HTTPS record (RFC 9460).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Svcb {
    /// 0 is AliasMode; anything else is ServiceMode, lower first.
    pub priority: u16,
    /// The target name; the root stands for the owner name in ServiceMode.
    pub target: DnsName,
    /// The `port` parameter, if there is one.
    pub port: Option<u16>,
}

/// One CAA record (RFC 8659). Reported, never a reason to refuse.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caa {
    /// Flags; 128 is issuer-critical.
    pub flags: u8,
    /// The property tag.
    pub tag: String,
    /// The property value.
    #[serde(with = "base64_bytes")]
    pub value: Vec<u8>,
}

/// The data of one record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RecordData {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A name in a reverse zone.
    Ptr(DnsName),
    /// An alias; only seen where CNAME itself was asked for.
    Cname(DnsName),
    /// A TLSA record.
    Tlsa(Tlsa),
    /// An SRV record.
    Srv(Srv),
    /// An SVCB record or one of its kind (HTTPS).
    Svcb(Svcb),
    /// A CAA record.
    Caa(Caa),
    /// A record of any other type: RDATA in wire form, uncompressed where the library knows the type.
    Other(#[serde(with = "base64_bytes")] Vec<u8>),
}

impl fmt::Display for RecordData {
    /// The presentation format, peer-controlled text escaped and cut.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(a) => a.fmt(f),
            Self::Aaaa(a) => a.fmt(f),
            Self::Ptr(n) | Self::Cname(n) => write!(f, "{n}"),
            Self::Tlsa(t) => t.fmt(f),
            Self::Srv(s) => write!(f, "{} {} {} {}", s.priority, s.weight, s.port, s.target),
            Self::Svcb(s) => {
                write!(f, "{} {}", s.priority, s.target)?;
                s.port.map_or(Ok(()), |p| write!(f, " port={p}"))
            }
            Self::Caa(c) => {
                write!(
                    f,
                    "{} {} \"{}\"",
                    c.flags,
                    crate::escape::escape(&c.tag),
                    crate::escape::escape(&c.value)
                )
            }
            Self::Other(data) => {
                let shown = data.get(..data.len().min(64)).unwrap_or_default();
                write!(f, "\\# {} {}", data.len(), data_encoding::HEXLOWER.encode(shown))?;
                if data.len() > shown.len() { f.write_str("...") } else { Ok(()) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn types_round_trip_by_mnemonic_and_number() {
        for text in ["A", "TLSA", "SVCB", "TYPE65280"] {
            assert_eq!(text.parse::<RrType>().unwrap().to_string(), text);
        }
        assert_eq!("tlsa".parse(), Ok(RrType::TLSA));
        assert_eq!("TYPE52".parse(), Ok(RrType::TLSA));
        assert_eq!("TYPE65536".parse::<RrType>(), Err(UnknownType));
    }
}
