//! Resource records in presentation format, ready to be put into a zone file.

use std::net::IpAddr;

use revouch_validator::name::DnsName;
use revouch_validator::policy::Service;

/// A name with its final dot.
pub(super) fn dotted(name: &DnsName) -> String {
    if name.is_root() { ".".to_owned() } else { format!("{name}.") }
}

pub(super) fn ptr(source: Option<IpAddr>, host: &str) -> String {
    let owner =
        source.map_or_else(|| "<reverse name>.".to_owned(), |source| dotted(&DnsName::reverse(source)));
    format!("{owner} PTR {host}")
}

pub(super) fn address(source: Option<IpAddr>, host: &str) -> String {
    match source {
        Some(IpAddr::V4(v4)) => format!("{host} A {v4}"),
        Some(IpAddr::V6(v6)) => format!("{host} AAAA {v6}"),
        None => format!("{host} A <address>"),
    }
}

/// For the key of the leaf: `SPKI(1)` and SHA-256(1), as RFC 7671 section 5.1 recommends.
pub(super) fn tlsa(owner: &str, usage: u8, digest: Option<&str>) -> String {
    let digest = digest.unwrap_or("<SHA-256 of the certificate's SubjectPublicKeyInfo>");
    format!("{owner} TLSA {usage} 1 1 {digest}")
}

/// `host` is a name with its final dot, or a placeholder.
pub(super) fn port_owner(host: &str, port: u16) -> String {
    if port == 0 { format!("_<port>._tcp.{host}") } else { format!("_{port}._tcp.{host}") }
}

/// A record that names the source port: of the service if the policy knows one, else at the port itself (R15 a, b).
pub(super) fn srv(host: &str, service: Option<&Service>, port: u16) -> String {
    let shown = if port == 0 { "<source port>".to_owned() } else { port.to_string() };
    match service {
        Some(service) => format!("{service}.{host} SRV 0 0 {shown} {host}"),
        None => format!("_{shown}._tcp.{host} SRV 0 0 {shown} {host}"),
    }
}
