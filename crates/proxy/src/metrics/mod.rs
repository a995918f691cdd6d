//! What is counted, under names that `docs/operations.md` lists.
//!
//! Promises: every label set is closed. Values of labels come from enums of this project or, for `listener`, from the
//! configuration; nothing that a peer or the DNS says becomes a label. Series with closed labels exist from the start with the value 0,
//! so that a rate over them is right from the first event on. The registry is handed in; there is no default one.

mod process;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    PullingGauge, Registry,
};
use revouch_validator::answer::DnsFailure;
use revouch_validator::answer::DnssecStatus;
use revouch_validator::evidence::{AnswerSource, Outcome};
use revouch_validator::reason::Reason;
use revouch_validator::timestamp::Timestamp;

use self::process::ProcessCollector;

/// Upper bounds of the time histograms, in seconds: from a cache hit to the longest deadline that a policy may have.
const SECONDS: &[f64] =
    &[0.000_25, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The value of `reason` where nothing was refused.
const NO_REASON: &str = "none";

macro_rules! labels {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $vdoc:literal])+ $variant:ident = $word:literal,)* })*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $vdoc])+ $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The value of the label.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    )*};
}

labels! {
    /// How a handshake ended: the label `outcome`.
    HandshakeOutcome {
        /// The peer was let in by the verdict.
        Accepted = "accepted",
        /// It was not.
        Refused = "refused",
        /// The verdict refused it, and `mode: Audit` let it in.
        Audited = "audited",
    }
    /// Where evidence came from: the label `source`.
    EvidenceSource {
        /// No question was sent upstream for it.
        Cache = "cache",
        /// At least one was.
        Upstream = "upstream",
    }
    /// Which way bytes went: the label `direction`.
    Direction {
        /// From the peer to the upstream.
        In = "in",
        /// From the upstream to the peer.
        Out = "out",
    }
    /// What became of a DNS question: the label `result`.
    DnsResult {
        /// Validated up to a trust anchor.
        Secure = "secure",
        /// Unsigned, or not validated.
        Insecure = "insecure",
        /// In a zone for which DNSSEC is not evaluated.
        Exempt = "exempt",
        /// DNSSEC validation failed.
        Bogus = "bogus",
        /// No answer in time.
        Timeout = "timeout",
        /// SERVFAIL, or nonsense.
        ServFail = "servfail",
        /// Refused, or unreachable.
        Refused = "refused",
        /// The budget was used up.
        Budget = "budget",
        /// Too many look-ups for this source.
        RateLimited = "rate_limited",
        /// Multicast DNS is not allowed.
        MulticastRefused = "multicast_refused",
        /// An alias into an exempt zone.
        IntoExemptZone = "into_exempt_zone",
    }
    /// Whether the cache of path verdicts helped: the label `result`.
    CacheResult {
        /// It did.
        Hit = "hit",
        /// It did not.
        Miss = "miss",
    }
}

impl From<&Outcome> for DnsResult {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Answer(answer) => match answer.status {
                DnssecStatus::Secure => Self::Secure,
                DnssecStatus::Insecure => Self::Insecure,
                DnssecStatus::Exempt => Self::Exempt,
            },
            Outcome::Failure(failure) => match failure {
                DnsFailure::Bogus(_) => Self::Bogus,
                DnsFailure::Timeout => Self::Timeout,
                DnsFailure::ServFail => Self::ServFail,
                DnsFailure::Refused => Self::Refused,
                DnsFailure::Budget => Self::Budget,
                DnsFailure::RateLimited => Self::RateLimited,
                DnsFailure::MulticastRefused => Self::MulticastRefused,
                DnsFailure::IntoExemptZone => Self::IntoExemptZone,
            },
        }
    }
}

/// The proxy's own metrics. Cheap to clone; every method is wait-free but [`certificates`](Self::certificates).
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    handshakes_accepted: IntCounter,
    /// By the place of the reason in [`Reason::ALL`].
    handshakes_refused: Vec<IntCounter>,
    handshakes_audited: Vec<IntCounter>,
    handshake_seconds: Histogram,
    connections: IntCounter,
    connections_active: IntGauge,
    evidence_seconds: Vec<Histogram>,
    dns_queries: Vec<IntCounter>,
    bytes: Vec<IntCounter>,
    upstream_failures: IntCounter,
    path_cache: Vec<IntCounter>,
    lingering: IntGauge,
    fd_exhausted: IntCounter,
    accept_errors: IntCounter,
    log_dropped: IntCounter,
    config_generation: IntGauge,
    config_success: IntGauge,
    config_success_time: Gauge,
    config_failures: IntCounter,
    /// Milliseconds from `born` to the last successful load.
    config_loaded_ms: Arc<AtomicU64>,
    born: Instant,
    certificate_expiry: IntGaugeVec,
    certificates: Mutex<BTreeSet<(String, usize)>>,
}

impl Metrics {
    /// Registers everything with `registry`.
    ///
    /// # Errors
    /// The registry holds a metric of the same name already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let make = Maker { registry };
        let handshakes = make.counters(
            "revouch_handshakes_total",
            "Handshakes that ended, by outcome and reason.",
            &["outcome", "reason"],
        )?;
        let by_reason = |outcome: HandshakeOutcome| -> Vec<IntCounter> {
            let series = |reason: &Reason| handshakes.with_label_values(&[outcome.as_str(), reason.as_str()]);
            Reason::ALL.iter().map(series).collect()
        };
        let evidence = make.histograms(
            "revouch_evidence_seconds",
            "Time until the DNS evidence of a connection stood, in seconds.",
            &["source"],
        )?;
        let dns = make.counters(
            "revouch_dns_queries_total",
            "DNS questions asked for peers, by result.",
            &["result"],
        )?;
        let bytes = make.counters("revouch_bytes_total", "Bytes relayed, without TLS.", &["direction"])?;
        let path_cache = make.counters(
            "revouch_path_cache_lookups_total",
            "Look-ups in the cache of path verdicts, by result.",
            &["result"],
        )?;
        let (born, config_loaded_ms) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        make.config_age(born, Arc::clone(&config_loaded_ms))?;
        make.build_info()?;
        registry.register(Box::new(ProcessCollector::new()?))?;
        let inner = Inner {
            handshakes_accepted: handshakes
                .with_label_values(&[HandshakeOutcome::Accepted.as_str(), NO_REASON]),
            handshakes_refused: by_reason(HandshakeOutcome::Refused),
            handshakes_audited: by_reason(HandshakeOutcome::Audited),
            handshake_seconds: make.histogram(
                "revouch_handshake_seconds",
                "Time from the accepted connection to the end of its handshake, in seconds.",
            )?,
            connections: make
                .counter("revouch_connections_total", "Connections accepted by the listening sockets.")?,
            connections_active: make.gauge("revouch_connections_active", "Connections that are open now.")?,
            evidence_seconds: each(EvidenceSource::ALL, |s| evidence.with_label_values(&[s.as_str()])),
            dns_queries: each(DnsResult::ALL, |r| dns.with_label_values(&[r.as_str()])),
            bytes: each(Direction::ALL, |d| bytes.with_label_values(&[d.as_str()])),
            upstream_failures: make.counter(
                "revouch_upstream_connect_failures_total",
                "Admitted connections whose upstream could not be reached.",
            )?,
            path_cache: each(CacheResult::ALL, |r| path_cache.with_label_values(&[r.as_str()])),
            lingering: make.gauge(
                "revouch_lingering_connections",
                "Refused connections that are held open for a moment so that the peer can read its alert.",
            )?,
            fd_exhausted: make.counter(
                "revouch_fd_exhaustion_total",
                "Times that a connection could not be accepted for want of file descriptors.",
            )?,
            accept_errors: make.counter(
                "revouch_accept_errors_total",
                "Connections that could not be accepted, for whatever cause.",
            )?,
            log_dropped: make.counter(
                "revouch_log_lines_dropped_total",
                "Log lines that were dropped because they could not be written fast enough, or at all.",
            )?,
            config_generation: make.gauge(
                "revouch_config_generation",
                "The number of the configuration in force: 1 at the start, one more with each reload.",
            )?,
            config_success: make.gauge(
                "revouch_config_last_reload_successful",
                "Whether the last attempt to load the configuration succeeded.",
            )?,
            config_success_time: make.float(
                "revouch_config_last_reload_success_timestamp_seconds",
                "When the configuration was last loaded successfully, in seconds since 1970.",
            )?,
            config_failures: make.counter(
                "revouch_config_reload_failures_total",
                "Attempts to load a changed configuration that failed; the one in force stayed.",
            )?,
            config_loaded_ms,
            born,
            certificate_expiry: make.gauges(
                "revouch_certificate_expiry_seconds",
                "notAfter of the listener's own certificate, in seconds since 1970.",
                &["listener", "index"],
            )?,
            certificates: Mutex::new(BTreeSet::new()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A handshake ended by a verdict that accepts.
    pub fn handshake_accepted(&self) {
        self.inner.handshakes_accepted.inc();
    }

    /// A handshake, or what should have become one, ended by a refusal.
    pub fn handshake_refused(&self, reason: Reason) {
        count(&self.inner.handshakes_refused, reason as usize);
    }

    /// A verdict refused and `mode: Audit` let the peer in.
    pub fn handshake_audited(&self, reason: Reason) {
        count(&self.inner.handshakes_audited, reason as usize);
    }

    /// How long a handshake took, whatever its outcome.
    pub fn handshake_took(&self, time: Duration) {
        self.inner.handshake_seconds.observe(time.as_secs_f64());
    }

    /// A listening socket accepted a connection.
    pub fn connection_opened(&self) {
        self.inner.connections.inc();
        self.inner.connections_active.inc();
    }

    /// A connection that [`connection_opened`](Self::connection_opened) counted is over.
    pub fn connection_closed(&self) {
        self.inner.connections_active.dec();
    }

    /// The evidence of a connection stood after `time`.
    pub fn evidence(&self, source: EvidenceSource, time: Duration) {
        if let Some(histogram) = self.inner.evidence_seconds.get(source as usize) {
            histogram.observe(time.as_secs_f64());
        }
    }

    /// One question of a gathering. What came from the cache or was never sent is not counted.
    pub fn dns_question(&self, source: AnswerSource, outcome: &Outcome) {
        if source == AnswerSource::Upstream {
            count(&self.inner.dns_queries, DnsResult::from(outcome) as usize);
        }
    }

    /// Bytes were relayed.
    pub fn bytes(&self, direction: Direction, bytes: u64) {
        if let Some(counter) = self.inner.bytes.get(direction as usize) {
            counter.inc_by(bytes);
        }
    }

    /// An admitted connection's upstream could not be reached.
    pub fn upstream_failed(&self) {
        self.inner.upstream_failures.inc();
    }

    /// The cache of path verdicts was asked.
    pub fn path_cache(&self, result: CacheResult) {
        count(&self.inner.path_cache, result as usize);
    }

    /// Refused connections linger: one more, or one less.
    pub fn lingering(&self, more: bool) {
        self.inner.lingering.add(if more { 1 } else { -1 });
    }

    /// A connection could not be accepted; `fd_exhausted` if for want of file descriptors.
    pub fn accept_failed(&self, fd_exhausted: bool) {
        self.inner.accept_errors.inc();
        if fd_exhausted {
            self.inner.fd_exhausted.inc();
        }
    }

    /// The counter of log lines that were dropped.
    #[must_use]
    pub fn log_dropped(&self) -> &IntCounter {
        &self.inner.log_dropped
    }

    /// A configuration was loaded at `now` and is in force as number `generation`.
    pub fn config_loaded(&self, generation: u64, now: Timestamp) {
        self.inner.config_generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.inner.config_success.set(1);
        // Exact until the year 285 million.
        #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
        self.inner.config_success_time.set(now.0 as f64);
        let since = u64::try_from(self.inner.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.inner.config_loaded_ms.store(since, Ordering::Relaxed);
    }

    /// A changed configuration could not be loaded.
    pub fn config_failed(&self) {
        self.inner.config_success.set(0);
        self.inner.config_failures.inc();
    }

    /// The expiry of every listener's own certificates, by the listener's name and the certificate's place in its list.
    /// Series of certificates that are gone are removed.
    pub fn certificates(&self, expiries: impl IntoIterator<Item = (String, usize, Timestamp)>) {
        let mut known = self.inner.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = BTreeSet::new();
        for (listener, index, not_after) in expiries {
            let seconds = i64::try_from(not_after.0).unwrap_or(i64::MAX);
            self.inner.certificate_expiry.with_label_values(&[&*listener, &*index.to_string()]).set(seconds);
            now.insert((listener, index));
        }
        for (listener, index) in known.difference(&now) {
            // Only what was set above before is removed, so that there is something to remove.
            let _ = self.inner.certificate_expiry.remove_label_values(&[&**listener, &*index.to_string()]);
        }
        *known = now;
    }
}

fn each<L: Copy, M>(all: &[L], series: impl Fn(L) -> M) -> Vec<M> {
    all.iter().map(|label| series(*label)).collect()
}

/// The vectors hold one counter for every value of the enum, in its order.
fn count(counters: &[IntCounter], index: usize) {
    if let Some(counter) = counters.get(index) {
        counter.inc();
    }
}

/// Makes and registers metrics.
struct Maker<'a> {
    registry: &'a Registry,
}

impl Maker<'_> {
    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.registered(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.registered(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.registered(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.registered(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn float(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.registered(Gauge::new(name, help)?)
    }

    fn histogram(&self, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
        self.registered(Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
        let opts = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        self.registered(HistogramVec::new(opts, labels)?)
    }

    fn config_age(&self, born: Instant, loaded_ms: Arc<AtomicU64>) -> Result<(), prometheus::Error> {
        let age = move || {
            let loaded = Duration::from_millis(loaded_ms.load(Ordering::Relaxed));
            born.elapsed().saturating_sub(loaded).as_secs_f64()
        };
        let help = "Time since the configuration was last loaded successfully, in seconds.";
        self.registered(PullingGauge::new("revouch_config_age_seconds", help, Box::new(age))?).map(drop)
    }

    fn build_info(&self) -> Result<(), prometheus::Error> {
        let info =
            self.gauges("revouch_build_info", "Always 1; the label tells the version.", &["version"])?;
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(())
    }

    fn registered<M: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: M,
    ) -> Result<M, prometheus::Error> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}
