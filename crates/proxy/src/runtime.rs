//! What a listener runs on: immutable values that the loader builds from a configuration, one set for each load.
//!
//! Promises: nothing here changes once it is built. A connection keeps the [`ListenerRuntime`] under which it was accepted until it
//! ends, whatever is loaded meanwhile.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use revouch_validator::connection::Connection;
use revouch_validator::evidence::Evidence;
use revouch_validator::name::DnsName;
use revouch_validator::policy::{NamePattern, Policy};
use revouch_validator::trust::TrustStore;
use tokio::time::Instant;

use crate::tls::TlsTemplate;

/// One listener, as one load of the configuration has it.
pub struct ListenerRuntime {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// The number of the configuration that it belongs to.
    pub generation: u64,
    /// How TLS is spoken: certificates, versions, ALPN.
    pub tls: TlsTemplate,
    /// `limits`, as far as they count handshakes.
    pub limits: HandshakeLimits,
    /// `connectionsPerSource`: at a time, from one IPv4 address or one IPv6 /64. Default 10000.
    pub connections_per_source: usize,
    /// How long each step may take.
    pub deadlines: Deadlines,
    /// `routes`, in their order: the first that matches wins.
    pub routes: Vec<Arc<Route>>,
}

impl ListenerRuntime {
    /// The first route that takes this server name; `None` is a ClientHello without one.
    #[must_use]
    pub fn route(&self, server_name: Option<&DnsName>) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.takes(server_name))
    }
}

/// How many handshakes may be in flight at a time (`Listener.limits`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// `handshakesInFlight`: on the listener as a whole. Default 1000.
    pub in_flight: usize,
    /// `handshakesPerSource`: from one IPv4 address or one IPv6 /64. Default 10.
    pub per_source: usize,
}

impl HandshakeLimits {
    /// From one IPv4 /24 or one IPv6 /48: a quarter of all, but never less than from one source.
    #[must_use]
    pub fn per_network(self) -> usize {
        (self.in_flight / 4).max(self.per_source)
    }
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self { in_flight: 1000, per_source: 10 }
    }
}

/// How long each step of a connection may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From the accepted connection to the end of its ClientHello; never later than `handshake`. Default 5 s: nothing has to be waited
    /// for until then but the line.
    pub hello: Duration,
    /// `handshakeDeadline`: from the accepted connection to the end of the handshake, evidence included. Default 10 s.
    pub handshake: Duration,
    /// Until the upstream is connected and has taken the PROXY header. Default 5 s.
    pub connect: Duration,
    /// Without a byte in either direction. Default one hour: streams between servers are quiet for long, and a peer that has
    /// vanished without a word must not hold its connection for ever.
    pub idle: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(3600),
        }
    }
}

/// One entry of `routes`.
pub struct Route {
    /// `name`.
    pub name: Arc<str>,
    /// `serverNames`; empty takes every name, and peers that send none.
    pub server_names: Vec<NamePattern>,
    /// The policy in force; `None` refuses every peer (`no_policy`).
    pub policy: Option<Arc<PolicyRuntime>>,
    /// Where admitted connections go.
    pub upstream: UpstreamAddress,
    /// `sendProxy: V2`: whether a PROXY protocol v2 header precedes the peer's bytes.
    pub send_proxy: bool,
}

impl Route {
    fn takes(&self, server_name: Option<&DnsName>) -> bool {
        self.server_names.is_empty()
            || server_name.is_some_and(|name| self.server_names.iter().any(|pattern| pattern.matches(name)))
    }
}

/// A policy with everything that a decision under it needs.
pub struct PolicyRuntime {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// What the operator wants of a peer.
    pub policy: Policy,
    /// Whom the operator trusts.
    pub trust: TrustStore,
    /// Who asks the DNS for it.
    pub evidence: Arc<dyn EvidenceSource>,
    /// `upstream.loopback` (C3.2d).
    pub loopback: Loopback,
}

/// What is done about an upstream on the loopback interface (C3.2d): many applications trust whoever comes from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loopback {
    /// Told when the configuration is loaded.
    #[default]
    Warn,
    /// Refused when the configuration is loaded, and never connected to.
    Forbid,
    /// Nothing.
    Allow,
}

/// Where admitted connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamAddress {
    /// `upstream.address`.
    Tcp(SocketAddr),
    /// `upstream.unix`.
    Unix(PathBuf),
}

impl UpstreamAddress {
    /// Whether a connection goes to the loopback interface: 127.0.0.0/8, `::1`, and the unspecified address, which the system takes as that.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Unix(_) => false,
            Self::Tcp(address) => is_loopback(address.ip()),
        }
    }
}

/// Whether connecting to this address stays on the loopback interface (C3.2d).
#[must_use]
pub fn is_loopback(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || address.is_unspecified()
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What evidence is wanted.
#[derive(Clone)]
pub struct EvidenceRequest {
    /// The policy that the peer will be judged by.
    pub policy: Arc<PolicyRuntime>,
    /// The connection that it is for.
    pub connection: Connection,
    /// When the handshake will be given up. The policy's own `dns.deadline` is kept by the source.
    pub deadline: Instant,
}

/// Evidence on its way.
pub type Gathering = Pin<Box<dyn Future<Output = Arc<Evidence>> + Send>>;

/// Asks the DNS. The proxy's is the resolver; tests supply recorded answers.
pub trait EvidenceSource: Send + Sync {
    /// Starts to gather. The future resolves once every decisive answer has come or failed, at the latest at the request's
    /// deadline; what has not come by then is recorded as a failure. Dropping it gives the gathering up.
    fn gather(&self, request: EvidenceRequest) -> Gathering;

    /// What gathering would give at once, if that is known.
    fn known(&self, connection: &Connection) -> Option<Arc<Evidence>>;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn route(name: &str, server_names: &[&str]) -> Arc<Route> {
        Arc::new(Route {
            name: name.into(),
            server_names: server_names.iter().map(|pattern| pattern.parse().unwrap()).collect(),
            policy: None,
            upstream: UpstreamAddress::Unix("/run/app.sock".into()),
            send_proxy: false,
        })
    }

    fn takes(server_names: &[&str], name: Option<&str>) -> bool {
        route("r", server_names).takes(name.map(|name| name.parse().unwrap()).as_ref())
    }

    #[test]
    fn a_route_without_server_names_takes_every_name_and_none() {
        assert!(takes(&[], None) && takes(&[], Some("a.example")));
    }

    #[test]
    fn a_route_with_server_names_takes_those_alone() {
        let names = &["a.example", "*.b.example"];
        assert!(takes(names, Some("A.example")) && takes(names, Some("x.b.example")));
        for name in [None, Some("b.example"), Some("x.y.b.example"), Some("aa.example"), Some("x.a.example")]
        {
            assert!(!takes(names, name), "{name:?}");
        }
    }

    #[test]
    fn every_way_to_the_loopback_interface_is_known() {
        for address in
            ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "0.0.0.0:1", "[::]:1"]
        {
            assert!(UpstreamAddress::Tcp(address.parse().unwrap()).is_loopback(), "{address}");
        }
        assert!(!UpstreamAddress::Tcp("10.20.0.5:8080".parse().unwrap()).is_loopback());
        assert!(!UpstreamAddress::Unix("/run/app.sock".into()).is_loopback());
    }
}
