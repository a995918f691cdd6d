//! `Listener`s, and each of their routes with the policy that holds there.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use revouch_validator::policy::NamePattern;

use super::lint;
use super::policy::Prepared;
use super::report::Report;
use super::scope::{Of, Scope};
use crate::config::{
    CertificateFiles, CompiledPolicy, Limits, ListenerConfig, Loopback, MinVersion, Rate, RouteConfig,
    SendProxy, Upstream,
};
use crate::documents::values::SocketAddress;
use crate::documents::{LimitsSection, ListenerSpec, RouteSection, UpstreamSection};

const MOST_ADDRESSES: usize = 64;
const MOST_CERTIFICATES: usize = 64;
const MOST_PROTOCOLS: usize = 16;
const MOST_ROUTES: usize = 1024;
const MOST_NAMES: usize = 1024;
const MOST_HANDSHAKES: u32 = 1_000_000;
const MOST_CONNECTIONS: u32 = 10_000_000;
const MOST_EVIDENCE: u32 = 100_000;
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(300);
const SHORTEST_HANDSHAKE: Duration = Duration::from_millis(10);
/// What `sockaddr_un` holds on Linux, its final NUL left out.
const LONGEST_UNIX_PATH: usize = 107;

type Of1<'d> = Of<'d, ListenerSpec>;

/// Every listener. `policy_of` tells the policy of a listener's route, by their places.
pub(super) fn compile_all<'d, 'p>(
    scope: &Scope<'d>,
    metrics: SocketAddr,
    report: &mut Report<'d>,
    mut policy_of: impl FnMut(usize, usize) -> Option<(&'p Prepared<'d>, Arc<CompiledPolicy>)>,
) -> Vec<ListenerConfig>
where
    'd: 'p,
{
    let mut taken = Taken::new(scope, metrics);
    let mut compiled = Vec::new();
    for (index, of) in scope.listeners.iter().enumerate() {
        let bind = bind(of, &mut taken, report);
        let limits = limits(of, report);
        let tls = of.spec.tls.clone().unwrap_or_default();
        let alpn = tls.alpn.unwrap_or_default();
        report.bounded(of.source, "spec.tls.alpn", alpn.len(), 0, MOST_PROTOCOLS);
        let mut routes = Vec::new();
        for (place, route) in of.spec.routes.iter().flatten().enumerate() {
            let policy = policy_of(index, place);
            let prepared = policy.as_ref().map(|(prepared, _)| *prepared);
            if let Some(prepared) = prepared {
                check_deadline(of, prepared, &limits, report);
            }
            let path = format!("spec.routes[{place}]");
            routes.extend(compile_route(of, &path, route, policy, report));
            if let Some(prepared) = prepared {
                lint::route(of.source, &path, route, prepared, report);
            }
        }
        check_routes(of, report);
        lint::listener(of.source, &bind, &routes, &limits, report);
        compiled.push(ListenerConfig {
            name: of.name.to_owned(),
            bind,
            certificates: certificates(of, report),
            min_version: tls.min_version.unwrap_or(MinVersion::Tls12),
            alpn: alpn.iter().map(|protocol| protocol.as_str().to_owned()).collect(),
            limits,
            routes,
        });
    }
    compiled
}

/// Who has which address, by port. Addresses of the same port may exclude each other without being equal.
struct Taken {
    by_port: HashMap<u16, Vec<(IpAddr, String)>>,
    /// The ports on which a listener has the wildcard of IPv4 for itself: there the one of IPv6 leaves IPv4 alone.
    v4_wildcard: HashSet<u16>,
}

impl Taken {
    fn new(scope: &Scope<'_>, metrics: SocketAddr) -> Self {
        let binds = scope.listeners.iter().flat_map(|of| of.spec.bind.iter().flatten());
        let v4_wildcard = binds.filter(|bind| bind.0.is_ipv4() && bind.0.ip().is_unspecified());
        let mut taken =
            Self { v4_wildcard: v4_wildcard.map(|bind| bind.0.port()).collect(), by_port: HashMap::new() };
        taken.take(metrics, "the ProxyConfig's metrics.bind".to_owned());
        taken
    }

    /// Takes an address, unless it or what it covers is taken; then says by whom.
    fn take(&mut self, address: SocketAddr, by: String) -> Option<&str> {
        // Port 0 is another port each time.
        if address.port() == 0 {
            return None;
        }
        let dual_stack = !self.v4_wildcard.contains(&address.port());
        let ip = address.ip().to_canonical();
        let others = self.by_port.entry(address.port()).or_default();
        let place = others
            .iter()
            .position(|(other, _)| covers(ip, *other, dual_stack) || covers(*other, ip, dual_stack));
        if place.is_none() {
            others.push((ip, by));
        }
        others.get(place?).map(|(_, first)| first.as_str())
    }
}

/// Whether a socket on `wide` takes what comes to `narrow`. On Linux the wildcard of IPv6 takes IPv4 too, where it is `dual_stack`.
fn covers(wide: IpAddr, narrow: IpAddr, dual_stack: bool) -> bool {
    wide == narrow
        || wide.is_unspecified() && (wide.is_ipv4() == narrow.is_ipv4() || wide.is_ipv6() && dual_stack)
}

fn bind(of: &Of1<'_>, taken: &mut Taken, report: &mut Report<'_>) -> Vec<SocketAddr> {
    let Some(bind) = report.required(of.source, "spec.bind", of.spec.bind.as_ref()) else {
        return Vec::new();
    };
    report.bounded(of.source, "spec.bind", bind.len(), 1, MOST_ADDRESSES);
    for (index, SocketAddress(address)) in bind.iter().enumerate() {
        if let Some(first) = taken.take(*address, format!("Listener {}", of.name)) {
            let message = format_args!("{address} is taken by {first}");
            report.error(of.source, &format!("spec.bind[{index}]"), message);
        }
    }
    bind.iter().map(|address| address.0).collect()
}

fn certificates(of: &Of1<'_>, report: &mut Report<'_>) -> Vec<CertificateFiles> {
    let path = "spec.tls.certificates";
    let given = of.spec.tls.as_ref().and_then(|tls| tls.certificates.as_ref());
    let Some(given) = report.required(of.source, path, given) else { return Vec::new() };
    report.bounded(of.source, path, given.len(), 1, MOST_CERTIFICATES);
    let mut pairs = Vec::new();
    for (index, pair) in given.iter().enumerate() {
        let cert = report.required(of.source, &format!("{path}[{index}].certFile"), pair.cert_file.as_ref());
        let key = report.required(of.source, &format!("{path}[{index}].keyFile"), pair.key_file.as_ref());
        if let (Some(cert), Some(key)) = (cert, key) {
            let (cert_file, key_file) = (cert.as_path().to_owned(), key.as_path().to_owned());
            pairs.push(CertificateFiles { cert_file, key_file });
        }
    }
    pairs
}

fn limits(of: &Of1<'_>, report: &mut Report<'_>) -> Limits {
    let default = Limits::default();
    let given: LimitsSection = of.spec.limits.clone().unwrap_or_default();
    let mut count = |field: &str, value: Option<u32>, most: u32| {
        let value = value?;
        if value == 0 || value > most {
            report.error(of.source, &format!("spec.limits.{field}"), format_args!("between 1 and {most}"));
        }
        Some(value)
    };
    let all = count("handshakesInFlight", given.handshakes_in_flight, MOST_HANDSHAKES);
    let source = count("handshakesPerSource", given.handshakes_per_source, MOST_HANDSHAKES);
    let connections = count("connectionsPerSource", given.connections_per_source, MOST_CONNECTIONS);
    let evidence_source = count("evidencePerSource", given.evidence_per_source, MOST_EVIDENCE);
    let evidence_network = count("evidencePerNetwork", given.evidence_per_network, MOST_EVIDENCE);
    let deadline = given.handshake_deadline.map_or(default.handshake_deadline, |span| span.0);
    if deadline < SHORTEST_HANDSHAKE || deadline > LONGEST_HANDSHAKE {
        report.error(of.source, "spec.limits.handshakeDeadline", "between 10ms and 5m");
    }
    let places = |n: Option<u32>| n.and_then(|n| usize::try_from(n).ok());
    Limits {
        handshakes_in_flight: places(all).unwrap_or(default.handshakes_in_flight),
        handshakes_per_source: places(source).unwrap_or(default.handshakes_per_source),
        connections_per_source: places(connections).unwrap_or(default.connections_per_source),
        handshake_deadline: deadline,
        evidence_per_source: evidence_source.map_or(default.evidence_per_source, Rate::per_second),
        evidence_per_network: evidence_network.map_or(default.evidence_per_network, Rate::per_second),
    }
}

/// Evidence that may take as long as the handshake would always come too late.
fn check_deadline(of: &Of1<'_>, policy: &Prepared<'_>, limits: &Limits, report: &mut Report<'_>) {
    let deadline = Duration::from_millis(u64::from(policy.draft.deadline_ms));
    if deadline >= limits.handshake_deadline {
        let message = format_args!(
            "{} is not below the handshakeDeadline of Listener {}, {}: the evidence could come only after the handshake",
            crate::documents::values::Span(deadline),
            of.name,
            crate::documents::values::Span(limits.handshake_deadline),
        );
        report.error(policy.source, "spec.dns.deadline", message);
    }
}

fn compile_route<'d>(
    of: &Of1<'d>,
    path: &str,
    route: &RouteSection,
    policy: Option<(&Prepared<'d>, Arc<CompiledPolicy>)>,
    report: &mut Report<'d>,
) -> Option<RouteConfig> {
    let name = report.required(of.source, &format!("{path}.name"), route.name.as_ref());
    if let Some(names) = &route.server_names {
        let path = format!("{path}.serverNames");
        if names.is_empty() {
            report.error(
                of.source,
                &path,
                "is empty: the route would take nobody. Leave it out to take every name",
            );
        }
        report.bounded(of.source, &path, names.len(), 0, MOST_NAMES);
    }
    let upstream = report.required(of.source, &format!("{path}.upstream"), route.upstream.as_ref())?;
    let target = compile_upstream(of, &format!("{path}.upstream"), upstream, report)?;
    let loopback = policy.as_ref().map_or(Loopback::Warn, |(prepared, _)| prepared.loopback);
    check_loopback(of, &format!("{path}.upstream.address"), &target, loopback, report);
    Some(RouteConfig {
        name: name?.as_str().to_owned(),
        server_names: server_names(route),
        upstream: target,
        send_proxy: upstream.send_proxy.unwrap_or(SendProxy::None),
        policy: policy.map(|(_, compiled)| compiled),
    })
}

fn server_names(route: &RouteSection) -> Vec<NamePattern> {
    route.server_names.iter().flatten().map(|pattern| pattern.0.clone()).collect()
}

fn compile_upstream(
    of: &Of1<'_>,
    path: &str,
    upstream: &UpstreamSection,
    report: &mut Report<'_>,
) -> Option<Upstream> {
    match (&upstream.address, &upstream.unix) {
        (Some(SocketAddress(address)), None) => {
            let ip = address.ip().to_canonical();
            if ip.is_unspecified() || ip.is_multicast() || address.port() == 0 {
                let message = format_args!("{address} is nothing to connect to");
                report.error(of.source, &format!("{path}.address"), message);
            }
            Some(Upstream::Tcp(*address))
        }
        (None, Some(unix)) => {
            let path = format!("{path}.unix");
            if unix.as_path().as_os_str().len() > LONGEST_UNIX_PATH {
                let message =
                    format_args!("the path is longer than a socket's can be, {LONGEST_UNIX_PATH} bytes");
                report.error(of.source, &path, message);
            }
            Some(Upstream::Unix(unix.as_path().to_owned()))
        }
        (Some(_), Some(_)) => {
            report.error(of.source, path, "either address or unix, not both");
            None
        }
        (None, None) => {
            report.error(of.source, path, "address or unix is missing: where does the route lead?");
            None
        }
    }
}

/// C3.2d.
fn check_loopback(of: &Of1<'_>, path: &str, upstream: &Upstream, choice: Loopback, report: &mut Report<'_>) {
    let Upstream::Tcp(address) = upstream else { return };
    if !address.ip().to_canonical().is_loopback() {
        return;
    }
    let why = "many applications trust whatever comes from there, and so would every peer be (C3.2d)";
    let instead = "use a Unix socket, a network namespace or a dummy interface";
    match choice {
        Loopback::Warn => {
            let message = format_args!(
                "{address} is on loopback: {why}. Better {instead}; if the application trusts nobody for coming from loopback, say so with upstream.loopback: Allow in the PeerPolicy"
            );
            report.warn(of.source, path, message);
        }
        Loopback::Forbid => {
            let message = format_args!(
                "{address} is on loopback, and the PeerPolicy says upstream.loopback: Forbid: {why}; {instead}"
            );
            report.error(of.source, path, message);
        }
        Loopback::Allow => {}
    }
}

/// Names of routes are references: each once.
fn check_routes(of: &Of1<'_>, report: &mut Report<'_>) {
    let routes = of.spec.routes.as_deref().unwrap_or_default();
    report.bounded(of.source, "spec.routes", routes.len(), 0, MOST_ROUTES);
    let mut seen = HashMap::new();
    for (index, name) in
        routes.iter().enumerate().filter_map(|(index, route)| Some((index, route.name.as_ref()?)))
    {
        if let Some(first) = seen.insert(name, index) {
            let message = format_args!("routes[{first}] has the name {name} already");
            report.error(of.source, &format!("spec.routes[{index}].name"), message);
        }
    }
}
