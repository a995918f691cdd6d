//! What an upstream group is made of, and why one may be refused.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use revouch_validator::answer::DnsFailure;
use revouch_validator::name::DnsName;
use revouch_validator::rr::RrType;
use revouch_validator::timestamp::Timestamp;
use rustls::RootCertStore;

use crate::anchors::Anchors;

/// The most servers of one group.
pub const MAX_SERVERS: usize = 16;

/// Tells the time. Handed in, so that nothing here reads a clock of its own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How a server is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// Datagrams, with fallback to TCP.
    Udp,
    /// TCP.
    Tcp,
    /// DNS over TLS (RFC 7858).
    Tls {
        /// The name, or IP address, that the server's certificate must have.
        server_name: String,
    },
    /// DNS over HTTPS (RFC 8484) with HTTP/2.
    Https {
        /// The name, or IP address, that the server's certificate must have.
        server_name: String,
        /// The path, usually `/dns-query`.
        path: String,
    },
}

impl Protocol {
    /// The port that goes with the protocol.
    #[must_use]
    pub fn default_port(&self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 53,
            Self::Tls { .. } => 853,
            Self::Https { .. } => 443,
        }
    }
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its address and port.
    pub address: SocketAddr,
    /// How it is spoken to.
    pub protocol: Protocol,
}

/// Who decides the DNSSEC state of an answer.
#[derive(Clone)]
pub enum Validation {
    /// This process, from these trust anchors.
    Validate(Arc<Anchors>),
    /// The upstream, by its AD bit: only on loopback or over an authenticated protocol.
    TrustAd {
        /// A name and type that is signed for certain, asked by [`Upstream::probe`](super::Upstream::probe).
        probe: (DnsName, RrType),
    },
    /// Nobody. Every answer is insecure; for exempt zones (R13).
    Unchecked,
}

impl Validation {
    /// [`Validation::TrustAd`], probed with the keys of the root.
    #[must_use]
    pub fn trust_ad() -> Self {
        Self::TrustAd { probe: (DnsName::root(), RrType::DNSKEY) }
    }
}

/// An upstream group.
#[derive(Clone)]
pub struct UpstreamConfig {
    /// The servers, at most [`MAX_SERVERS`], in the order in which they are first tried.
    pub servers: Vec<Server>,
    /// Who validates.
    pub validation: Validation,
    /// How long one server may take for one question.
    pub timeout: Duration,
    /// How often a server that does not answer is asked; at least 1.
    pub attempts: u32,
    /// The roots by which DoT and DoH servers are authenticated.
    pub tls_roots: Arc<RootCertStore>,
}

impl UpstreamConfig {
    /// The servers with a timeout of one second and two attempts, validating from `anchors`.
    #[must_use]
    pub fn validating(servers: Vec<Server>, anchors: Arc<Anchors>, tls_roots: Arc<RootCertStore>) -> Self {
        let validation = Validation::Validate(anchors);
        Self { servers, validation, timeout: Duration::from_secs(1), attempts: 2, tls_roots }
    }

    /// Refuses what cannot work or cannot be trusted.
    pub(super) fn check(&self) -> Result<(), UpstreamError> {
        if self.servers.is_empty() {
            return Err(UpstreamError::NoServer);
        }
        if self.servers.len() > MAX_SERVERS {
            return Err(UpstreamError::TooManyServers(self.servers.len()));
        }
        for server in &self.servers {
            self.check_server(server)?;
        }
        Ok(())
    }

    fn check_server(&self, server: &Server) -> Result<(), UpstreamError> {
        let (Protocol::Tls { server_name } | Protocol::Https { server_name, .. }) = &server.protocol else {
            let trusted = server.address.ip().to_canonical().is_loopback();
            let needs_trust = matches!(self.validation, Validation::TrustAd { .. });
            return if needs_trust && !trusted {
                Err(UpstreamError::UntrustedPath(server.address))
            } else {
                Ok(())
            };
        };
        rustls::pki_types::ServerName::try_from(server_name.as_str())
            .map_err(|_| UpstreamError::BadServerName(revouch_validator::escape::escape(server_name)))?;
        if self.tls_roots.is_empty() { Err(UpstreamError::NoTlsRoots(server.address)) } else { Ok(()) }
    }
}

/// Why an upstream group cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamError {
    /// The list of servers is empty.
    NoServer,
    /// More than [`MAX_SERVERS`].
    TooManyServers(usize),
    /// No certificate can have this name (escaped).
    BadServerName(String),
    /// A DoT or DoH server, and no root by which to authenticate it.
    NoTlsRoots(SocketAddr),
    /// The AD bit of a server that is neither on loopback nor authenticated can be forged by anyone on the way.
    UntrustedPath(SocketAddr),
    /// The TLS library refuses its own settings.
    Tls(String),
    /// A server of the upstream never sets the AD bit: it does not validate.
    NoAdBit,
    /// No trust anchor, so that nothing can ever be secure.
    NoAnchor,
    /// The probe got no answer.
    ProbeFailed(DnsFailure),
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer => f.write_str("no DNS server is given"),
            Self::TooManyServers(n) => write!(f, "{n} DNS servers are given; at most {MAX_SERVERS} make sense"),
            Self::BadServerName(name) => write!(f, "\"{name}\" is no name that a certificate can have"),
            Self::NoTlsRoots(server) => write!(f, "no roots are given by which to authenticate the DNS server {server}"),
            Self::UntrustedPath(server) => write!(
                f,
                "validation: TrustAd needs a server on loopback, or protocol Tls or Https: anyone on the way to {server} could forge its AD bit"
            ),
            Self::Tls(why) => write!(f, "TLS settings for DNS: {why}"),
            Self::NoAdBit => f.write_str(
                "validation: TrustAd, but a server answers a signed name without the AD bit: it does not validate (use Validate, or a validating server)",
            ),
            Self::NoAnchor => f.write_str("validation: Validate without any trust anchor"),
            Self::ProbeFailed(failure) => write!(f, "the DNS server does not answer a first question: {failure}"),
        }
    }
}

impl std::error::Error for UpstreamError {}
