//! From what a configuration names to what the proxy runs on: files become certificates, keys, anchors and revocation lists.
//!
//! Promises: a [`Snapshot`] is whole: everything was read, understood and fits together. What is expensive to lose (the resolver with its
//! caches, the counts of limited sources) is carried over from one load to the next where its configuration is the same.
//! Everything here blocks.

pub mod files;
pub mod identity;
mod policies;
mod resolver;
pub mod trust;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use revouch_api::config::{
    Config, ListenerConfig, MinVersion as MinVersionConfig, RouteConfig, SendProxy, Upstream,
};
use revouch_api::diagnostic::{Diagnostics, Place};
use revouch_api::parse::SourceDocument;
use revouch_resolver::{EvidenceLimits, Limiter, Rate, Resolver};
use revouch_validator::cert::Fingerprint;
use revouch_validator::policy::Confirm;
use revouch_validator::timestamp::Timestamp;
use rustls::crypto::CryptoProvider;

use self::files::Files;
use self::identity::{Identity, IdentityError};
use self::policies::Policies;
pub use self::policies::load as load_trust;
pub(crate) use self::resolver::probe;
use self::resolver::{Built, Sources};
pub use self::resolver::{ResolverError, builder as resolver_builder};
use self::trust::TrustError;
use crate::logging::now;
use crate::metrics::Metrics;
use crate::observe::DnsCounter;
use crate::run::{Options, Overrides};
use crate::runtime::{Deadlines, HandshakeLimits, ListenerRuntime, Route, UpstreamAddress};
use crate::snapshot::{BoundListener, Forward, Snapshot, Warning};
use crate::tls::{MinVersion, TlsTemplate};

/// Loads a configuration, again and again.
pub struct Loader {
    options: Options,
    /// Those that were read last.
    documents: Vec<SourceDocument>,
    provider: Arc<CryptoProvider>,
    metrics: Metrics,
    files: Files,
    /// What the configuration in force goes on with.
    kept: Option<Kept>,
    /// The same of the last load, until that is in force.
    built: Option<Kept>,
}

/// What a load takes over from the one in force where nothing has changed.
struct Kept {
    resolver: (Sources, Resolver),
    /// By the names of listeners.
    limiters: BTreeMap<String, (EvidenceLimits, Limiter)>,
}

/// The documents, read and compiled; no other file is open yet.
pub struct Compiled {
    config: Config,
    warnings: Vec<Warning>,
}

/// Why a configuration cannot be used.
#[derive(Debug)]
pub enum LoadError {
    /// The documents themselves.
    Documents(Diagnostics),
    /// A listener's own certificates.
    Identity {
        /// The listener.
        listener: String,
        /// Why.
        why: IdentityError,
    },
    /// A policy's trust.
    Trust {
        /// The policy.
        policy: String,
        /// Why.
        why: TrustError,
    },
    /// One of these two, with the place in the documents that names what is wrong.
    At {
        /// Where.
        place: Place,
        /// What.
        why: Box<LoadError>,
    },
    /// The resolver.
    Resolver(ResolverError),
    /// The load was given up: a bug.
    GivenUp,
}

impl Loader {
    /// Loads what `options` name. The resolver's questions are counted in `metrics`.
    #[must_use]
    pub fn new(options: Options, metrics: Metrics) -> Self {
        Self {
            options,
            documents: Vec::new(),
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            metrics,
            files: Files::new(),
            kept: None,
            built: None,
        }
    }

    /// Reads and compiles the documents.
    ///
    /// # Errors
    /// Every error that was found in them.
    pub fn read(&mut self) -> Result<Compiled, LoadError> {
        self.files = Files::new();
        // Before they are read: what is written in between is then seen as a change, and never overlooked.
        self.files.note_configuration(&self.options.config);
        let loaded = revouch_api::load::load(&self.options.config, now()).map_err(LoadError::Documents)?;
        self.documents = loaded.documents;
        let revouch_api::compile::Compiled { mut config, warnings } = loaded.compiled;
        self.options.overrides.apply(&mut config);
        let warnings = warnings.iter().map(|warning| Warning::Document(warning.to_string())).collect();
        Ok(Compiled { config, warnings })
    }

    /// Loads every file and puts everything together. Must be called on a runtime.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn build(&mut self, compiled: Compiled, generation: u64) -> Result<Snapshot, LoadError> {
        let documents = std::mem::take(&mut self.documents);
        self.build_all(compiled, generation).map_err(|why| why.placed(&documents))
    }

    fn build_all(&mut self, compiled: Compiled, generation: u64) -> Result<Snapshot, LoadError> {
        let Compiled { config, warnings } = compiled;
        let observer = Arc::new(DnsCounter::new(self.metrics.clone()));
        self.built = None;
        let kept_resolver = self.kept.as_ref().map(|kept| &kept.resolver);
        let resolver = resolver::build(&config, &mut self.files, observer, kept_resolver);
        let Built { sources, resolver, is_new } = resolver.map_err(LoadError::Resolver)?;
        let mut building = Building {
            loader: self,
            resolver: &resolver,
            now: now(),
            policies: Policies::default(),
            warnings,
        };
        let mut limiters = BTreeMap::new();
        let (mut listeners, mut certificates, mut forward) = (Vec::new(), Vec::new(), Vec::new());
        for listener in &config.listeners {
            let limits = evidence_limits(listener);
            let limiter = building.limiter(&listener.name, limits);
            let identities = building.identities(listener)?;
            let expiry = |(index, identity): (usize, &Identity)| {
                (listener.name.clone(), index, identity.leaf.not_after)
            };
            certificates.extend(identities.iter().enumerate().map(expiry));
            listeners.push(building.listener(listener, &identities, &limiter, generation)?);
            forward.extend(forwards(listener, &resolver));
            limiters.insert(listener.name.clone(), (limits, limiter));
        }
        let Building { policies, mut warnings, now, .. } = building;
        let trust = policies.into_summaries();
        warnings.extend(trust.iter().filter_map(|summary| stale_crl(summary, now)));
        let new_resolver = is_new.then(|| resolver.clone());
        self.built = Some(Kept { resolver: (sources, resolver), limiters });
        Ok(Snapshot { generation, config, listeners, certificates, trust, warnings, new_resolver, forward })
    }

    /// What was built last is in force: the next load goes on with its resolver and limiters. Not before: a resolver whose servers were
    /// found not to validate must be looked at again by every load that names it.
    pub fn keep(&mut self) {
        self.kept = self.built.take().or_else(|| self.kept.take());
    }

    /// The files that the last load read, or tried to, and their digests.
    #[must_use]
    pub fn take_digests(&mut self) -> BTreeMap<PathBuf, Option<Fingerprint>> {
        std::mem::take(&mut self.files).into_digests()
    }
}

impl Compiled {
    /// `threads`; 0 for as many as there are processors.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.config.process.threads
    }
}

impl Overrides {
    fn apply(&self, config: &mut Config) {
        let process = &mut config.process;
        process.metrics = self.metrics.unwrap_or(process.metrics);
        process.log_format = self.log_format.unwrap_or(process.log_format);
        process.log_level = self.log_level.unwrap_or(process.log_level);
        process.log_file = self.log_file.clone().or_else(|| process.log_file.take());
        process.threads = self.threads.unwrap_or(process.threads);
        process.drain = self.drain.unwrap_or(process.drain);
        process.max_connections = self.max_connections.unwrap_or(process.max_connections);
    }
}

/// What one load has at hand.
struct Building<'l> {
    loader: &'l mut Loader,
    resolver: &'l Resolver,
    now: Timestamp,
    policies: Policies,
    warnings: Vec<Warning>,
}

impl Building<'_> {
    /// The limiter of this listener, with its counts, if the limits are the same.
    fn limiter(&self, listener: &str, limits: EvidenceLimits) -> Limiter {
        let kept = self.loader.kept.as_ref().and_then(|kept| kept.limiters.get(listener));
        let kept = kept.filter(|(of, _)| *of == limits);
        kept.map_or_else(|| Limiter::new(limits), |(_, limiter)| limiter.clone())
    }

    fn identities(&mut self, listener: &ListenerConfig) -> Result<Vec<Identity>, LoadError> {
        let mut identities = Vec::new();
        for pair in &listener.certificates {
            let loaded = Identity::load(
                &mut self.loader.files,
                &pair.cert_file,
                &pair.key_file,
                &self.loader.provider,
            );
            let identity =
                loaded.map_err(|why| LoadError::Identity { listener: listener.name.clone(), why })?;
            self.warnings.extend(identity.warnings(self.now).into_iter().map(Warning::Certificate));
            identities.push(identity);
        }
        Ok(identities)
    }

    fn listener(
        &mut self,
        listener: &ListenerConfig,
        identities: &[Identity],
        limiter: &Limiter,
        generation: u64,
    ) -> Result<BoundListener, LoadError> {
        let mut policies = self.policies.of_listener(self.resolver, limiter);
        let mut routes = Vec::new();
        for route in &listener.routes {
            let policy = route.policy.as_ref().map(|policy| policies.runtime(policy, &mut self.loader.files));
            routes.push(Arc::new(compiled_route(route, policy.transpose()?)));
        }
        let runtime = ListenerRuntime {
            name: listener.name.as_str().into(),
            generation,
            tls: tls(listener, identities, &self.loader.provider),
            limits: HandshakeLimits {
                in_flight: listener.limits.handshakes_in_flight,
                per_source: listener.limits.handshakes_per_source,
            },
            connections_per_source: listener.limits.connections_per_source,
            deadlines: Deadlines { handshake: listener.limits.handshake_deadline, ..Deadlines::default() },
            routes,
        };
        Ok(BoundListener { bind: listener.bind.clone(), runtime: Arc::new(runtime) })
    }
}

fn compiled_route(route: &RouteConfig, policy: Option<Arc<crate::runtime::PolicyRuntime>>) -> Route {
    Route {
        name: route.name.as_str().into(),
        server_names: route.server_names.clone(),
        policy,
        upstream: match &route.upstream {
            Upstream::Tcp(address) => UpstreamAddress::Tcp(*address),
            Upstream::Unix(path) => UpstreamAddress::Unix(path.clone()),
        },
        send_proxy: route.send_proxy == SendProxy::V2,
    }
}

/// The policies of a listener whose names are resolved in advance, for each port that it is bound to.
fn forwards(listener: &ListenerConfig, resolver: &Resolver) -> Vec<Forward> {
    let mut ports: Vec<u16> = listener.bind.iter().map(SocketAddr::port).collect();
    ports.sort_unstable();
    ports.dedup();
    let policies = listener.routes.iter().filter_map(|route| route.policy.as_ref());
    let wanted = policies.filter(|policy| policy.policy.confirm == Confirm::Forward);
    let each = |policy: &Arc<revouch_api::config::CompiledPolicy>| {
        let policy = policy.policy.clone();
        ports
            .iter()
            .map(|port| Forward { resolver: resolver.clone(), policy: policy.clone(), port: *port })
            .collect::<Vec<_>>()
    };
    wanted.flat_map(each).collect()
}

fn evidence_limits(listener: &ListenerConfig) -> EvidenceLimits {
    let rate = |rate: revouch_api::config::Rate| Rate::new(rate.per_second, rate.burst);
    EvidenceLimits {
        per_source: rate(listener.limits.evidence_per_source),
        per_network: rate(listener.limits.evidence_per_network),
    }
}

fn stale_crl(summary: &crate::snapshot::TrustSummary, now: Timestamp) -> Option<Warning> {
    let due = summary.crls.1.filter(|due| *due < now)?;
    Some(Warning::Trust(format!("PeerPolicy {}: a CRL is out of date since {due}", summary.policy)))
}

fn tls(listener: &ListenerConfig, identities: &[Identity], provider: &Arc<CryptoProvider>) -> TlsTemplate {
    let certificates = identities.iter().map(|identity| Arc::clone(&identity.key)).collect();
    let min = match listener.min_version {
        MinVersionConfig::Tls12 => MinVersion::Tls12,
        MinVersionConfig::Tls13 => MinVersion::Tls13,
    };
    let alpn = listener.alpn.iter().map(|protocol| protocol.clone().into_bytes()).collect();
    TlsTemplate::new(Arc::clone(provider), certificates, min, alpn)
}

impl LoadError {
    /// With the place of the section that names the files, if one of these documents has it.
    fn placed(self, documents: &[SourceDocument]) -> Self {
        let (object, section) = match &self {
            Self::Identity { listener, .. } => (format!("Listener {listener}"), "spec.tls.certificates"),
            Self::Trust { policy, .. } => (format!("PeerPolicy {policy}"), "spec.trust"),
            _ => return self,
        };
        match documents.iter().find(|document| document.object() == object) {
            Some(document) => Self::At { place: document.nearest(section), why: Box::new(self) },
            None => self,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Documents(found) => found.fmt(f),
            Self::Identity { listener, why } => write!(f, "Listener {listener}: {why}"),
            Self::Trust { policy, why } => write!(f, "PeerPolicy {policy}: {why}"),
            Self::At { place, why } => write!(f, "{place}: error: {why}"),
            Self::Resolver(error) => error.fmt(f),
            Self::GivenUp => f.write_str("the load was given up"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Documents(error) => Some(error),
            Self::Identity { why, .. } => Some(why),
            Self::Trust { why, .. } => Some(why),
            Self::Resolver(error) => Some(error),
            Self::At { why, .. } => why.source(),
            Self::GivenUp => None,
        }
    }
}
