//! The front door: a resolver is built once and asked from everywhere.
//!
//! Promises: clones are cheap and share everything; nothing here blocks a thread of the runtime once it is built.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use revouch_validator::connection::Connection;
use revouch_validator::evidence::{Evidence, Observation, Question};
use revouch_validator::exemption::Exemptions;
use revouch_validator::name::DnsName;
use revouch_validator::policy::{self, Policy};
use revouch_validator::timestamp::Timestamp;
use rustls::RootCertStore;
use tokio::time::Instant;

use crate::anchors::Anchors;
use crate::ask::Ask;
use crate::budget::Budgets;
use crate::cache::CacheLimits;
use crate::engine::{Concurrency, Engine, Errand, Parts, Servers};
use crate::gather::Gathering;
use crate::limiter::{Limiter, Toll};
use crate::mdns::Multicast;
use crate::observe::{NoObserver, Observer};
use crate::prefetch::Prefetch;
use crate::recent::Recent;
use crate::resolv_conf::{self, ResolvConfError};
use crate::upstream::{
    Clock, Protocol, QueryBudget, Server, Upstream, UpstreamConfig, UpstreamError, Validation,
};
use crate::zones::{ZoneError, Zones};

/// Asks, validates, caches and records.
///
/// Must be used inside a tokio runtime with I/O and time.
#[derive(Clone)]
pub struct Resolver {
    engine: Arc<Engine>,
    limiter: Limiter,
    /// The validating side of each group, with the group's name.
    upstreams: Arc<[(String, Arc<Upstream>)]>,
}

/// Who validates a group's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValidationMode {
    /// This process, from its trust anchors.
    #[default]
    Validate,
    /// The servers, by their AD bit: only over loopback or an authenticated protocol.
    TrustAd,
}

/// A `ResolverOverride`: servers for some zones (R14).
#[derive(Clone, Debug)]
pub struct Override {
    /// Its name, as it stands in evidence. Not `system` or `multicast`.
    pub name: String,
    /// The zones; the root stands for all that no other override has.
    pub zones: Vec<DnsName>,
    /// The servers.
    pub servers: Vec<Server>,
    /// Who validates.
    pub validation: ValidationMode,
    /// How long one server may take for one question.
    pub timeout: Duration,
}

/// What one question by hand may cost.
#[derive(Clone, Copy, Debug)]
pub struct AskOptions {
    /// How many questions may be sent for it. Default 128.
    pub budget: u32,
    /// How long it may take. Default 10 s.
    pub deadline: Duration,
    /// Whether multicast DNS may be used. Default no.
    pub multicast: policy::Multicast,
}

impl Default for AskOptions {
    fn default() -> Self {
        Self { budget: 128, deadline: Duration::from_secs(10), multicast: policy::Multicast::Refuse }
    }
}

impl Resolver {
    /// Starts with the system's servers, the IANA anchors, and no override.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Gathers the evidence for a connection, within the policy's deadline from now and the resolver's own limits on sources.
    ///
    /// Never fails: what could not be had stands in the evidence as a failure.
    pub async fn gather(&self, policy: &Policy, connection: &Connection) -> Arc<Evidence> {
        self.gather_within(policy, connection, &self.limiter).await
    }

    /// As [`gather`](Self::gather), within the limits of a listener (`evidencePerSource`, `evidencePerNetwork`).
    pub async fn gather_within(
        &self,
        policy: &Policy,
        connection: &Connection,
        limiter: &Limiter,
    ) -> Arc<Evidence> {
        let started = Instant::now();
        let toll = Toll::new(limiter, connection.source());
        let gathering = Gathering { policy, connection, toll: &toll, fresh_for: Duration::ZERO };
        let evidence = self.engine.gather(gathering).await;
        self.engine.observer.evidence(started.elapsed(), toll.is_paid());
        Arc::new(evidence)
    }

    /// As [`gather_within`](Self::gather_within), and keeps in `recent` what connections of the same source may share.
    pub async fn gather_sharing(
        &self,
        policy: &Policy,
        connection: &Connection,
        limiter: &Limiter,
        recent: &Recent,
    ) -> Arc<Evidence> {
        let evidence = self.gather_within(policy, connection, limiter).await;
        recent.keep(policy, connection, &evidence, (self.engine.clock)());
        evidence
    }

    /// What [`gather_sharing`](Self::gather_sharing) would gather without sending anything, if another connection of the same source was
    /// there just before.
    #[must_use]
    pub fn recall(&self, recent: &Recent, connection: &Connection) -> Option<Arc<Evidence>> {
        let evidence = recent.find(connection, (self.engine.clock)())?;
        evidence.iter().for_each(|seen| self.engine.observer.question(seen));
        self.engine.observer.evidence(Duration::ZERO, false);
        Some(evidence)
    }

    /// Asks one question, as for a policy with these exemptions.
    pub async fn ask(
        &self,
        question: &Question,
        exemptions: &Exemptions,
        options: &AskOptions,
    ) -> Observation {
        let errand = Errand {
            exemptions,
            multicast: options.multicast,
            purse: &QueryBudget::new(options.budget),
            deadline: Instant::now() + options.deadline,
            toll: &Toll::free(),
            fresh_for: Duration::ZERO,
        };
        self.engine.observe(question, &errand).await
    }

    /// Keeps the names of a policy with `confirm: Forward` resolved until the result is dropped. `local_port` is that of the
    /// listener, as in [`Connection`]. `None` for policies that confirm otherwise.
    #[must_use]
    pub fn prefetch(&self, policy: &Policy, local_port: u16) -> Option<Prefetch> {
        Prefetch::start(&self.engine, policy, local_port)
    }

    /// Finds out whether each group of servers can do what it is there for, see [`Upstream::probe`]. Returns those that cannot.
    pub async fn probe(&self, within: Duration) -> Vec<(String, UpstreamError)> {
        let deadline = Instant::now() + within;
        let probes = self.upstreams.iter().map(|(name, upstream)| async move {
            upstream.probe(deadline).await.err().map(|error| (name.clone(), error))
        });
        join_all(probes).await.into_iter().flatten().collect()
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<_> = self.upstreams.iter().map(|(name, _)| name).collect();
        f.debug_struct("Resolver").field("groups", &groups).finish_non_exhaustive()
    }
}

/// Makes a [`Resolver`].
#[must_use]
pub struct Builder {
    system: System,
    mode: ValidationMode,
    timeout: Duration,
    attempts: u32,
    overrides: Vec<Override>,
    anchors: Arc<Anchors>,
    tls_roots: Arc<RootCertStore>,
    multicast: Option<Multicast>,
    clock: Clock,
    observer: Arc<dyn Observer>,
    limiter: Limiter,
    budgets: Budgets,
    cache: CacheLimits,
    concurrency: Concurrency,
}

enum System {
    ResolvConf(PathBuf),
    Servers(Vec<Server>),
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            system: System::ResolvConf(PathBuf::from("/etc/resolv.conf")),
            mode: ValidationMode::Validate,
            timeout: Duration::from_secs(1),
            attempts: 2,
            overrides: Vec::new(),
            anchors: Arc::new(Anchors::iana()),
            tls_roots: Arc::new(RootCertStore::empty()),
            multicast: None,
            clock: Arc::new(system_time),
            observer: Arc::new(NoObserver),
            limiter: Limiter::default(),
            budgets: Budgets::default(),
            cache: CacheLimits::default(),
            concurrency: Concurrency::default(),
        }
    }
}

impl Builder {
    /// Reads the system's servers from this file instead of `/etc/resolv.conf`.
    pub fn resolv_conf(mut self, path: impl Into<PathBuf>) -> Self {
        self.system = System::ResolvConf(path.into());
        self
    }

    /// Uses these servers instead of the system's.
    pub fn servers(mut self, servers: Vec<Server>) -> Self {
        self.system = System::Servers(servers);
        self
    }

    /// Who validates the answers of the system's servers, or of those given instead. Default `Validate`.
    pub fn mode(mut self, mode: ValidationMode) -> Self {
        self.mode = mode;
        self
    }

    /// How long one of those servers may take for one question (default 1 s), and how often one that is silent is asked (default 2).
    pub fn patience(mut self, timeout: Duration, attempts: u32) -> Self {
        self.timeout = timeout;
        self.attempts = attempts;
        self
    }

    /// Adds an override.
    pub fn add_override(mut self, added: Override) -> Self {
        self.overrides.push(added);
        self
    }

    /// Validates from these anchors. Default: the root's keys as IANA publishes them.
    pub fn anchors(mut self, anchors: Anchors) -> Self {
        self.anchors = Arc::new(anchors);
        self
    }

    /// Authenticates DoT and DoH servers by these roots. Default: none, so that such servers are refused.
    pub fn tls_roots(mut self, roots: Arc<RootCertStore>) -> Self {
        self.tls_roots = roots;
        self
    }

    /// Asks multicast names, where a policy allows it, like this. Default: not at all, they count as refused.
    pub fn multicast(mut self, multicast: Multicast) -> Self {
        self.multicast = Some(multicast);
        self
    }

    /// Tells the time for signatures and exemptions. Default: the system's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Who counts what happens. Default: nobody.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// The limits on sources where a listener gives none.
    pub fn limiter(mut self, limiter: Limiter) -> Self {
        self.limiter = limiter;
        self
    }

    /// How many questions one gathering may send.
    pub fn budgets(mut self, budgets: Budgets) -> Self {
        self.budgets = budgets;
        self
    }

    /// How much is kept.
    pub fn cache(mut self, limits: CacheLimits) -> Self {
        self.cache = limits;
        self
    }

    /// How much may go on at the same time.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Builds. Reads resolv.conf unless servers are given or an override has the root; sends nothing.
    ///
    /// # Errors
    /// There are no servers, or a group or an override cannot work.
    pub fn build(self) -> Result<Resolver, BuildError> {
        let described = self.overrides.iter().map(|o| (o.name.clone(), o.zones.clone()));
        let zones = Zones::new(described)?;
        let mut upstreams = Vec::new();
        let takes_all = self.overrides.iter().any(|o| o.zones.iter().any(DnsName::is_root));
        let servers = match &self.system {
            System::Servers(servers) => Some(servers.clone()),
            System::ResolvConf(_) if takes_all => None,
            System::ResolvConf(path) => Some(resolv_conf::servers(path)?.into_iter().map(udp).collect()),
        };
        let system = servers
            .map(|servers| {
                let config = self.config(servers, self.mode, self.timeout);
                self.group("system", config, &mut upstreams)
            })
            .transpose()?;
        let overrides = self.overrides.iter().map(|each| {
            let config = self.config(each.servers.clone(), each.validation, each.timeout);
            self.group(&each.name, config, &mut upstreams)
        });
        let overrides = overrides.collect::<Result<_, _>>()?;
        let engine = Engine::new(Parts {
            zones,
            system,
            overrides,
            multicast: self.multicast.map(|multicast| Arc::new(multicast) as Arc<dyn Ask>),
            clock: self.clock,
            observer: self.observer,
            budgets: self.budgets,
            cache: self.cache,
            concurrency: self.concurrency,
        });
        Ok(Resolver { engine: Arc::new(engine), limiter: self.limiter, upstreams: upstreams.into() })
    }

    fn config(&self, servers: Vec<Server>, mode: ValidationMode, timeout: Duration) -> UpstreamConfig {
        let validation = match mode {
            ValidationMode::Validate => Validation::Validate(Arc::clone(&self.anchors)),
            ValidationMode::TrustAd => Validation::trust_ad(),
        };
        let tls_roots = Arc::clone(&self.tls_roots);
        UpstreamConfig { servers, validation, timeout, attempts: self.attempts, tls_roots }
    }

    /// Both sides of a group.
    fn group(
        &self,
        name: &str,
        config: UpstreamConfig,
        upstreams: &mut Vec<(String, Arc<Upstream>)>,
    ) -> Result<Servers, BuildError> {
        let failed = |error| BuildError::Upstream(name.to_owned(), error);
        let unchecked = UpstreamConfig { validation: Validation::Unchecked, ..config.clone() };
        let unchecked = Upstream::new(unchecked, Arc::clone(&self.clock)).map_err(failed)?;
        let validating = Arc::new(Upstream::new(config, Arc::clone(&self.clock)).map_err(failed)?);
        upstreams.push((name.to_owned(), Arc::clone(&validating)));
        Ok(Servers { validating, unchecked: Arc::new(unchecked) })
    }
}

/// Why there is no resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// The system's servers are not known.
    System(ResolvConfError),
    /// The overrides contradict each other.
    Zones(ZoneError),
    /// The group of this name cannot work.
    Upstream(String, UpstreamError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::Zones(error) => error.fmt(f),
            Self::Upstream(name, error) => write!(f, "DNS servers of \"{name}\": {error}"),
        }
    }
}

impl std::error::Error for BuildError {}

impl From<ResolvConfError> for BuildError {
    fn from(error: ResolvConfError) -> Self {
        Self::System(error)
    }
}

impl From<ZoneError> for BuildError {
    fn from(error: ZoneError) -> Self {
        Self::Zones(error)
    }
}

fn udp(address: std::net::SocketAddr) -> Server {
    Server { address, protocol: Protocol::Udp }
}

/// The system's clock. Before 1970 it is 1970, when no signature holds.
fn system_time() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}
