//! Names: of objects, of zones, of resolvers, of protocols.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use revouch_validator::name::DnsName;

use super::{BadValue, as_text, bad};

/// The name of an object or of a part of one: lower-case letters, digits, `-` and `.`, as Kubernetes has them (RFC 1123), at most 253
/// octets. So it can stand in a log line and in a metric's label as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(String);

impl ObjectName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let label = |label: &str| {
            !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
        };
        if text.len() <= 253 && text.split('.').all(label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(bad(
                text,
                "a name of lower-case letters, digits, `-` and `.` is wanted (letter or digit at each end, at most 253 in all)",
            ))
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A DNS zone: the name and everything below it. `.` is the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Zone(pub DnsName);

impl FromStr for Zone {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text.is_empty() || matches!(text, "~" | "null") {
            return Err(BadValue("a zone is missing here; the root is \".\"".into()));
        }
        if text.starts_with("*.") {
            return Err(bad(text, "a zone is meant with everything below it: leave out the `*.`"));
        }
        let network = text.split_once('/').map_or(text, |(address, _)| address);
        if network.parse::<IpAddr>().is_ok() {
            return Err(bad(
                text,
                "a zone is wanted, not an address: write the reverse zone, 168.192.in-addr.arpa",
            ));
        }
        text.parse().map(Self).map_err(|error| bad(text, error))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name, or IP address, that a DNS server's certificate must have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerIdentity(String);

impl ServerIdentity {
    /// The name or address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerIdentity {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let is_host = || text.parse::<DnsName>().is_ok_and(|name| name.is_ldh());
        if text.parse::<IpAddr>().is_ok() || is_host() {
            Ok(Self(text.trim_end_matches('.').to_owned()))
        } else {
            Err(bad(text, "a host name or an IP address is wanted"))
        }
    }
}

impl From<IpAddr> for ServerIdentity {
    fn from(address: IpAddr) -> Self {
        Self(address.to_string())
    }
}

impl fmt::Display for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An ALPN protocol (RFC 7301), `h2` or `xmpp-server`: 1 to 255 octets of printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Alpn(String);

impl Alpn {
    /// The protocol's identifier.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Alpn {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if (1..=255).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(bad(text, "a protocol of 1 to 255 printable ASCII characters is wanted, h2 or xmpp-server"))
        }
    }
}

impl fmt::Display for Alpn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text! { ObjectName Zone ServerIdentity Alpn }
