//! `ResolverOverride`s (R14) and what the resolver needs besides.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use revouch_validator::name::DnsName;

use super::exemption::{Exemption, ordered};
use super::mesh::Mesh;
use super::report::Report;
use super::scope::{Of, Scope};
use crate::config::{DnsProtocol, DnsServer, OverrideConfig, ResolverConfig, Validation};
use crate::documents::values::ServerIdentity;
use crate::documents::{Protocol, ResolverOverrideSpec, ResolverServer};
use crate::parse::SourceDocument;

/// How long one server may take by default: long enough for a question that is not in its cache, short enough for a second server
/// within `dns.deadline`.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// The path of RFC 8484's examples, which public resolvers use.
const DEFAULT_PATH: &str = "/dns-query";
const MOST_ZONES: usize = 256;
const MOST_SERVERS: usize = 16;
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything about asking.
pub(super) fn compile<'d>(
    scope: &Scope<'d>,
    mesh: &Mesh<'_>,
    exemptions: &[Exemption<'d>],
    report: &mut Report<'d>,
) -> ResolverConfig {
    let overrides = scope.overrides.iter().map(|of| compile_one(of, report)).collect();
    check_zones(scope, report);
    ResolverConfig {
        overrides,
        trust_anchor_file: mesh.trust_anchor_file.clone(),
        builtin_exempt_zones: mesh.builtin_exempt_zones,
        exempt_zones: ordered(
            exemptions.iter().flat_map(|exemption| exemption.zones.iter().cloned()).collect(),
        ),
    }
}

fn compile_one(of: &Of<'_, ResolverOverrideSpec>, report: &mut Report<'_>) -> OverrideConfig {
    let (source, spec) = (of.source, of.spec);
    let mut zones: Vec<DnsName> = Vec::new();
    if let Some(given) = report.required(source, "spec.zones", spec.zones.as_ref()) {
        report.bounded(source, "spec.zones", given.len(), 1, MOST_ZONES);
        zones = given.iter().map(|zone| zone.0.clone()).collect();
        zones.sort();
    }
    let validation = spec.validation.unwrap_or(Validation::Validate);
    let mut servers = Vec::new();
    if let Some(given) = report.required(source, "spec.servers", spec.servers.as_ref()) {
        report.bounded(source, "spec.servers", given.len(), 1, MOST_SERVERS);
        for (index, server) in given.iter().enumerate() {
            let path = format!("spec.servers[{index}]");
            servers.extend(compile_server(source, &path, server, validation, report));
        }
    }
    let timeout = spec.timeout.map_or(DEFAULT_TIMEOUT, |span| span.0);
    if timeout < Duration::from_millis(1) || timeout > LONGEST_TIMEOUT {
        report.error(source, "spec.timeout", "between 1ms and 60s");
    }
    OverrideConfig { name: of.name.to_owned(), zones, servers, validation, timeout }
}

fn compile_server(
    source: &SourceDocument,
    path: &str,
    server: &ResolverServer,
    validation: Validation,
    report: &mut Report<'_>,
) -> Option<DnsServer> {
    let at = |field: &str| format!("{path}.{field}");
    let protocol = server.protocol.unwrap_or(Protocol::Udp);
    let encrypted = matches!(protocol, Protocol::Tls | Protocol::Https);
    if protocol == Protocol::Quic {
        report.error(source, &at("protocol"), "Quic is not supported yet: use Tls or Https");
        return None;
    }
    if server.server_name.is_some() && !encrypted {
        report.error(
            source,
            &at("serverName"),
            "has no effect with this protocol: only Tls and Https have certificates",
        );
    }
    if server.path.is_some() && protocol != Protocol::Https {
        report.error(source, &at("path"), "has no effect with this protocol: only Https has one");
    }
    let address = report.required(source, &at("address"), server.address.as_ref())?;
    let ip = address.address.to_canonical();
    if ip.is_unspecified() || ip.is_multicast() || address.port == Some(0) {
        report.error(source, &at("address"), format_args!("{address} is nothing to send a question to"));
    }
    if validation == Validation::TrustAd && !encrypted && !ip.is_loopback() {
        let message = format_args!(
            "validation: TrustAd needs a server on loopback, or protocol Tls or Https: anyone on the way to {address} could forge its AD bit"
        );
        report.error(source, path, message);
    }
    let name = || server.server_name.clone().unwrap_or_else(|| ServerIdentity::from(ip)).as_str().to_owned();
    let (protocol, port) = match protocol {
        Protocol::Udp | Protocol::Quic => (DnsProtocol::Udp, 53),
        Protocol::Tcp => (DnsProtocol::Tcp, 53),
        Protocol::Tls => (DnsProtocol::Tls { server_name: name() }, 853),
        Protocol::Https => {
            let path = server.path.clone().unwrap_or_else(|| DEFAULT_PATH.to_owned());
            let plain = path.bytes().all(|c| c.is_ascii_graphic() && !b"?#{}".contains(&c));
            if !path.starts_with('/') || !plain || path.len() > 255 {
                report.error(
                    source,
                    &at("path"),
                    "a path such as /dns-query is wanted, without query or template",
                );
            }
            (DnsProtocol::Https { server_name: name(), path }, 443)
        }
    };
    Some(DnsServer { address: SocketAddr::new(address.address, address.port.unwrap_or(port)), protocol })
}

/// The longest zone wins; of two that are equal, none could.
fn check_zones(scope: &Scope<'_>, report: &mut Report<'_>) {
    let mut seen: HashMap<&DnsName, &str> = HashMap::new();
    for of in &scope.overrides {
        for (index, zone) in of.spec.zones.iter().flatten().enumerate() {
            if let Some(first) = seen.insert(&zone.0, of.name) {
                let message = format_args!(
                    "{zone} is in ResolverOverride {first} already: which servers are to be asked?"
                );
                report.error(of.source, &format!("spec.zones[{index}]"), message);
            }
        }
    }
}
