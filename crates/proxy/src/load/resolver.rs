//! The resolver, from what the configuration says of it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use revouch_api::config::{Config, DnsProtocol, DnsServer, OverrideConfig, ResolverConfig, Validation};
use revouch_resolver::anchors::{AnchorError, Anchors};
use revouch_resolver::mdns::Multicast;
use revouch_resolver::upstream::{Protocol, Server, UpstreamError};
use revouch_resolver::{BuildError, Builder, Limiter, Observer, Override, Recent, Resolver, ValidationMode};
use revouch_validator::cert::Fingerprint;
use revouch_validator::connection::Connection;
use revouch_validator::evidence::Evidence;
use revouch_validator::name::DnsName;
use revouch_validator::policy;
use rustls::RootCertStore;

use super::files::{FileError, Files};
use crate::runtime::{EvidenceRequest, EvidenceSource, Gathering};
use crate::snapshot::Snapshot;

/// Where the system's servers are named.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// How long the first question may take.
const PROBE: Duration = Duration::from_secs(2);
/// The largest file of trust anchors, in bytes.
const MAX_ANCHOR_FILE: u64 = 1024 * 1024;

/// Why there is no resolver.
#[derive(Debug)]
pub enum ResolverError {
    /// The file of trust anchors cannot be read.
    File(FileError),
    /// The file of trust anchors holds something else.
    Anchors(PathBuf, AnchorError),
    /// Multicast DNS is allowed and cannot be spoken.
    Multicast(io::Error),
    /// The servers cannot be used.
    Build(BuildError),
    /// The servers of this group are to validate, and do not.
    Probe(String, UpstreamError),
}

/// Everything that a resolver is made from: equal sources make resolvers that are as good as one another, so that a reload can keep the
/// one that there is, and its caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sources {
    config: ResolverConfig,
    multicast: bool,
    anchors: Option<Fingerprint>,
    resolv_conf: Option<Fingerprint>,
}

/// A resolver, and what it was made from.
pub(super) struct Built {
    pub(super) sources: Sources,
    pub(super) resolver: Resolver,
    pub(super) is_new: bool,
}

/// Asks for the connections of one listener under one policy.
pub(super) struct Dns {
    resolver: Resolver,
    limiter: Limiter,
    recent: Arc<Recent>,
}

impl Dns {
    pub(super) fn new(resolver: Resolver, limiter: Limiter) -> Self {
        Self { resolver, limiter, recent: Arc::default() }
    }
}

impl EvidenceSource for Dns {
    fn gather(&self, request: EvidenceRequest) -> Gathering {
        let (resolver, limiter, recent) =
            (self.resolver.clone(), self.limiter.clone(), Arc::clone(&self.recent));
        Box::pin(async move {
            let EvidenceRequest { policy, connection, .. } = &request;
            let gathering = resolver.gather_sharing(&policy.policy, connection, &limiter, &recent);
            // The resolver keeps the policy's deadline; the handshake's own may come first, and then there is no evidence.
            let in_time = tokio::time::timeout_at(request.deadline, gathering).await;
            in_time.unwrap_or_else(|_| Arc::new(Evidence::new(request.connection.source())))
        })
    }

    fn known(&self, connection: &Connection) -> Option<Arc<Evidence>> {
        self.resolver.recall(&self.recent, connection)
    }
}

/// A resolver for `config`: `kept`, if it was made from the same, else a new one. Must be called on a runtime.
pub(super) fn build(
    config: &Config,
    files: &mut Files,
    observer: Arc<dyn Observer>,
    kept: Option<&(Sources, Resolver)>,
) -> Result<Built, ResolverError> {
    let anchor_file = config.resolver.trust_anchor_file.as_deref();
    let anchors = anchor_file.map(|path| read_anchors(files, path)).transpose()?;
    let takes_all = config.resolver.overrides.iter().any(|o| o.zones.iter().any(DnsName::is_root));
    if !takes_all {
        files.note(Path::new(RESOLV_CONF));
    }
    let allows_multicast = |p: &Arc<_>| {
        let p: &revouch_api::config::CompiledPolicy = p;
        p.policy.multicast == policy::Multicast::Allow
    };
    let sources = Sources {
        config: config.resolver.clone(),
        multicast: config.policies().into_iter().any(allows_multicast),
        anchors: anchor_file.and_then(|path| files.digest(path)),
        resolv_conf: files.digest(Path::new(RESOLV_CONF)),
    };
    if let Some((_, resolver)) = kept.filter(|(made_from, _)| *made_from == sources) {
        return Ok(Built { sources, resolver: resolver.clone(), is_new: false });
    }
    let builder = prepare(&config.resolver, sources.multicast, anchors)?.observer(observer);
    Ok(Built { sources, resolver: builder.build().map_err(ResolverError::Build)?, is_new: true })
}

/// A builder with all that a configuration says of the resolver, for whoever decides by hand with the same settings. `multicast`:
/// whether a policy allows multicast DNS.
///
/// # Errors
/// The trust anchors cannot be read, or multicast DNS cannot be spoken.
pub fn builder(
    config: &ResolverConfig,
    multicast: bool,
    files: &mut Files,
) -> Result<Builder, ResolverError> {
    let anchors = config.trust_anchor_file.as_deref().map(|path| read_anchors(files, path)).transpose()?;
    prepare(config, multicast, anchors)
}

fn prepare(
    config: &ResolverConfig,
    multicast: bool,
    anchors: Option<Anchors>,
) -> Result<Builder, ResolverError> {
    let mut builder = Resolver::builder().resolv_conf(RESOLV_CONF).tls_roots(tls_roots(config));
    if let Some(anchors) = anchors {
        builder = builder.anchors(anchors);
    }
    if multicast {
        builder = builder.multicast(Multicast::new(None).map_err(ResolverError::Multicast)?);
    }
    for each in &config.overrides {
        builder = builder.add_override(compiled(each));
    }
    Ok(builder)
}

/// Asks the servers of a new resolver a first question. Servers that are to validate (`TrustAd`) must show that they do, which is waited
/// for; servers that do not answer are told of, for they may come back: until then peers that need them are refused.
///
/// # Errors
/// `TrustAd` servers answer, and do not validate.
pub(crate) async fn probe(snapshot: &Snapshot) -> Result<(), ResolverError> {
    let Some(resolver) = snapshot.new_resolver.clone() else { return Ok(()) };
    let overrides = &snapshot.config.resolver.overrides;
    if !overrides.iter().any(|each| each.validation == Validation::TrustAd) {
        tokio::spawn(async move { resolver.probe(PROBE).await.iter().for_each(tell_silent) });
        return Ok(());
    }
    for failed in resolver.probe(PROBE).await {
        match failed {
            (group, error @ UpstreamError::NoAdBit) => return Err(ResolverError::Probe(group, error)),
            silent => tell_silent(&silent),
        }
    }
    Ok(())
}

fn tell_silent((group, error): &(String, UpstreamError)) {
    tracing::warn!(group, %error, "DNS servers do not work: peers that need them are refused until they do");
}

fn read_anchors(files: &mut Files, path: &Path) -> Result<Anchors, ResolverError> {
    let contents = files.read(path, MAX_ANCHOR_FILE).map_err(ResolverError::File)?;
    Anchors::parse(&String::from_utf8_lossy(&contents))
        .map_err(|why| ResolverError::Anchors(path.to_owned(), why))
}

/// The roots for servers over TLS: those compiled in, as the system's store is what an attacker on the way may have come by.
fn tls_roots(config: &ResolverConfig) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let speaks_tls = |server: &DnsServer| !matches!(server.protocol, DnsProtocol::Udp | DnsProtocol::Tcp);
    if config.overrides.iter().flat_map(|each| &each.servers).any(speaks_tls) {
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    }
    Arc::new(roots)
}

fn compiled(config: &OverrideConfig) -> Override {
    let server = |server: &DnsServer| Server {
        address: server.address,
        protocol: match &server.protocol {
            DnsProtocol::Udp => Protocol::Udp,
            DnsProtocol::Tcp => Protocol::Tcp,
            DnsProtocol::Tls { server_name } => Protocol::Tls { server_name: server_name.clone() },
            DnsProtocol::Https { server_name, path } => {
                Protocol::Https { server_name: server_name.clone(), path: path.clone() }
            }
        },
    };
    Override {
        name: config.name.clone(),
        zones: config.zones.clone(),
        servers: config.servers.iter().map(server).collect(),
        validation: match config.validation {
            Validation::Validate => ValidationMode::Validate,
            Validation::TrustAd => ValidationMode::TrustAd,
        },
        timeout: config.timeout,
    }
}

impl fmt::Display for ResolverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Anchors(path, why) => write!(f, "{}: {why}", path.display()),
            Self::Multicast(error) => {
                write!(f, "dns.multicast: Allow: multicast DNS cannot be used: {error}")
            }
            Self::Build(error) => error.fmt(f),
            Self::Probe(group, error) => write!(f, "DNS servers of \"{group}\": {error}"),
        }
    }
}

impl std::error::Error for ResolverError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            Self::Anchors(_, error) => Some(error),
            Self::Multicast(error) => Some(error),
            Self::Build(error) => Some(error),
            Self::Probe(_, error) => Some(error),
        }
    }
}
