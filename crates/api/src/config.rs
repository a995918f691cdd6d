//! What the proxy runs on: every document compiled, every default filled in, every reference resolved.
//!
//! Promises: all that could be refused without opening a file was refused. Files are named, never opened: certificates, keys, anchors
//! and revocation lists are the proxy's to load. Nothing here remembers how many files the documents came in, or their order (routes
//! keep theirs): equal documents make an equal [`Config`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use revouch_validator::exemption::ExemptZone;
use revouch_validator::name::DnsName;
use revouch_validator::policy::{NamePattern, Policy};

pub use crate::documents::{LogFormat, LogLevel, Loopback, MinVersion, PublicTrust, SendProxy, Validation};

/// A whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The process.
    pub process: ProcessConfig,
    /// The resolver that all listeners share.
    pub resolver: ResolverConfig,
    /// At least one listener, ordered by name.
    pub listeners: Vec<ListenerConfig>,
}

/// The process itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessConfig {
    /// Where `/metrics`, `/livez` and `/readyz` are served. Default 127.0.0.1:15020: the page tells how many peers are refused and why,
    /// so it is not offered to the network unasked.
    pub metrics: SocketAddr,
    /// How log lines look. Default JSON: they are read by programs first.
    pub log_format: LogFormat,
    /// The least important line that is written. Default `info`.
    pub log_level: LogLevel,
    /// The log file. Default standard error, which every supervisor collects.
    pub log_file: Option<PathBuf>,
    /// Worker threads; 0, the default, for as many as there are cores.
    pub threads: usize,
    /// How long live connections may go on after SIGTERM. Default 30 s, what Kubernetes allows by default. At most a day.
    pub drain: Duration,
    /// Connections at a time, of all listeners. Default 100,000.
    pub max_connections: usize,
}

/// Who is asked what of the DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverConfig {
    /// Servers for zones (R14), ordered by name. No two have a zone in common. Where none matches, the system's servers are asked.
    pub overrides: Vec<OverrideConfig>,
    /// Replaces the built-in anchors of the root.
    pub trust_anchor_file: Option<PathBuf>,
    /// Whether R13's default list (`.localhost`, `.onion`) is exempt.
    pub builtin_exempt_zones: bool,
    /// Every zone that some `DnssecExemption` exempts for some policy, ordered, none twice.
    pub exempt_zones: Vec<ExemptZone>,
}

/// One `ResolverOverride`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverrideConfig {
    /// Its name.
    pub name: String,
    /// The zones, ordered; each with everything below it. The longest that matches wins, on label boundaries. The root takes all others.
    pub zones: Vec<DnsName>,
    /// 1 to 16 servers, the first first.
    pub servers: Vec<DnsServer>,
    /// Who validates. `TrustAd` only with servers on loopback or over an authenticated protocol.
    pub validation: Validation,
    /// How long one server may take for one question.
    pub timeout: Duration,
}

/// A DNS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsServer {
    /// Its address; the port is the protocol's if the document gave none.
    pub address: SocketAddr,
    /// How it is spoken to.
    pub protocol: DnsProtocol,
}

/// How a DNS server is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsProtocol {
    /// Datagrams, and TCP for long answers.
    Udp,
    /// TCP.
    Tcp,
    /// DNS over TLS.
    Tls {
        /// The name, or IP address, that its certificate must have.
        server_name: String,
    },
    /// DNS over HTTPS.
    Https {
        /// The name, or IP address, that its certificate must have.
        server_name: String,
        /// The path, with its leading slash.
        path: String,
    },
}

/// One `Listener`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Its name.
    pub name: String,
    /// Addresses to listen on; at least one. Port 0 takes any free port.
    pub bind: Vec<SocketAddr>,
    /// Its own certificates; at least one. The first is shown where none fits the server name.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version of TLS that is spoken. Default 1.2.
    pub min_version: MinVersion,
    /// ALPN protocols, the preferred first. None by default: then ALPN is not negotiated.
    pub alpn: Vec<String>,
    /// Limits before any work.
    pub limits: Limits,
    /// The first that takes a server name wins, see [`ListenerConfig::route`].
    pub routes: Vec<RouteConfig>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateFiles {
    /// PEM: the certificate and its intermediates.
    pub cert_file: PathBuf,
    /// PEM: the private key.
    pub key_file: PathBuf,
}

/// Limits of a listener, which apply before a policy is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Handshakes at a time, of all sources. Default 1000.
    pub handshakes_in_flight: usize,
    /// Handshakes at a time of one source address. Default 10.
    pub handshakes_per_source: usize,
    /// Connections at a time of one source address. Default 10000.
    pub connections_per_source: usize,
    /// From the accepted connection to the end of its handshake. Default 10 s.
    pub handshake_deadline: Duration,
    /// Gatherings of evidence that ask upstream, for one source address. Default 20 a second, burst 200.
    pub evidence_per_source: Rate,
    /// The same for one /24 or /64. Default 100 a second, burst 1000.
    pub evidence_per_network: Rate,
}

/// How many how often: a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back each second.
    pub per_second: u32,
    /// Tokens at most, and at the start.
    pub burst: u32,
}

/// One route of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// Its name, unique in the listener.
    pub name: String,
    /// The server names that it takes. Empty: every one, and connections without one.
    pub server_names: Vec<NamePattern>,
    /// Where it leads.
    pub upstream: Upstream,
    /// What precedes the peer's bytes. Default nothing.
    pub send_proxy: SendProxy,
    /// Who may come. `None` refuses every peer (`no_policy`).
    pub policy: Option<Arc<CompiledPolicy>>,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Upstream {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// A `PeerPolicy` as it holds on a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledPolicy {
    /// The name of the `PeerPolicy`.
    pub name: String,
    /// What the decision reads, exemptions that cover the route included.
    pub policy: Policy,
    /// Anchors and revocation lists for serverAuth certificates; the lists serve both classes.
    pub trust: TrustConfig,
    /// Anchors for clientAuth certificates: PEM files. Empty where that class is refused.
    pub client_ca_files: Vec<PathBuf>,
    /// Whether its routes may lead to loopback (C3.2d). Already held against them.
    pub loopback: Loopback,
}

/// `trust` of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustConfig {
    /// Which public roots. Default those compiled in.
    pub public: PublicTrust,
    /// PEM files of further anchors.
    pub ca_files: Vec<PathBuf>,
    /// Files of revocation lists, PEM or DER.
    pub crl_files: Vec<PathBuf>,
}

impl Default for ProcessConfig {
    fn default() -> Self {
        Self {
            metrics: SocketAddr::from(([127, 0, 0, 1], 15020)),
            log_format: LogFormat::Json,
            log_level: LogLevel::Info,
            log_file: None,
            threads: 0,
            drain: Duration::from_secs(30),
            max_connections: 100_000,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshakes_in_flight: 1000,
            handshakes_per_source: 10,
            connections_per_source: 10_000,
            handshake_deadline: Duration::from_secs(10),
            evidence_per_source: Rate::per_second(20),
            evidence_per_network: Rate::per_second(100),
        }
    }
}

impl Rate {
    /// So many a second, and ten times as many at once: who was quiet may come with a crowd.
    #[must_use]
    pub const fn per_second(per_second: u32) -> Self {
        Self { per_second, burst: per_second.saturating_mul(10) }
    }
}

impl Config {
    /// The listener of this name.
    #[must_use]
    pub fn listener(&self, name: &str) -> Option<&ListenerConfig> {
        self.listeners.iter().find(|listener| listener.name == name)
    }

    /// Every policy in force, each once, in the order of listeners and routes.
    #[must_use]
    pub fn policies(&self) -> Vec<&Arc<CompiledPolicy>> {
        let mut found: Vec<&Arc<CompiledPolicy>> = Vec::new();
        for policy in self.listeners.iter().flat_map(|l| &l.routes).filter_map(|r| r.policy.as_ref()) {
            if !found.iter().any(|known| Arc::ptr_eq(known, policy)) {
                found.push(policy);
            }
        }
        found
    }
}

impl ListenerConfig {
    /// The route for the server name of a ClientHello: the first that takes it. `None` refuses the peer with its own reason.
    #[must_use]
    pub fn route(&self, server_name: Option<&DnsName>) -> Option<&RouteConfig> {
        self.routes.iter().find(|route| route.takes(server_name))
    }
}

impl RouteConfig {
    /// Whether it takes a connection with this server name; one without any only where the route names none.
    #[must_use]
    pub fn takes(&self, server_name: Option<&DnsName>) -> bool {
        self.server_names.is_empty()
            || server_name.is_some_and(|name| self.server_names.iter().any(|pattern| pattern.matches(name)))
    }
}
