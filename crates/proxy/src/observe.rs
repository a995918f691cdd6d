//! From what happens to connections to metrics and the access log.
//!
//! Promises: one count for each connection that ends, and one line, but for those that limits turn away in numbers ([`TurnedAway`]). Lines of peers
//! that were refused are not in the way of others. An identity or class that the peer has not proven, since the
//! handshake did not end well, is written as `claimed_…`.

use std::time::{Duration, Instant};

use revouch_resolver::Observer as ResolverObserver;
use revouch_validator::cert::{CertificateFacts, Fingerprint};
use revouch_validator::escape::{MAX_ESCAPED, escape};
use revouch_validator::evidence::{Evidence, Observation};
use revouch_validator::policy::Mode;
use revouch_validator::reason::Reason;
use revouch_validator::verdict::{PeerClass, Verdict};
use rustls::AlertDescription;

use crate::access_log::{AccessLog, Line};
use crate::events::{CacheResult, ConnectionEnd, Direction, Observer, Outcome, asked_upstream};
use crate::metrics::{EvidenceSource, Metrics};
use crate::turned_away::TurnedAway;

/// The most names of a certificate that a line tells.
const MOST_NAMES: usize = 8;

/// Counts and logs.
pub struct Telemetry {
    metrics: Metrics,
    log: AccessLog,
    turned_away: TurnedAway,
}

/// Counts the resolver's questions.
pub struct DnsCounter {
    metrics: Metrics,
}

impl DnsCounter {
    /// Counts in `metrics`.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }
}

impl Telemetry {
    /// Counts in `metrics` and writes to `log`.
    #[must_use]
    pub fn new(metrics: Metrics, log: AccessLog) -> Self {
        Self { metrics, log, turned_away: TurnedAway::default() }
    }

    /// Where the lines of connections go.
    #[must_use]
    pub fn log(&self) -> &AccessLog {
        &self.log
    }

    /// Tells of those that limits turned away and that were not told one by one. To be called often.
    pub fn tell_turned_away(&self) {
        self.tell(self.turned_away.due(Instant::now()));
    }

    /// The same, of all that is left: before the log ends.
    pub fn tell_rest(&self) {
        self.tell(self.turned_away.rest());
    }

    fn tell(&self, counted: Vec<(ConnectionEnd, u64)>) {
        for (last, count) in counted {
            let mut line = line(&last);
            line.number("repeated", count);
            self.log.write_of_anybody(&line);
        }
    }
}

impl Observer for Telemetry {
    fn opened(&self, _: &str) {
        self.metrics.connection_opened();
    }

    fn evidence(&self, evidence: &Evidence, after: Duration) {
        self.metrics.evidence(source(asked_upstream(evidence)), after);
    }

    fn path_cache(&self, result: CacheResult) {
        self.metrics.path_cache(result);
    }

    fn bytes(&self, direction: Direction, bytes: u64) {
        self.metrics.bytes(direction, bytes);
    }

    fn lingering(&self, more: bool) {
        self.metrics.lingering(more);
    }

    fn accept_failed(&self, fd_exhausted: bool) {
        self.metrics.accept_failed(fd_exhausted);
    }

    fn ended(&self, end: &ConnectionEnd) {
        self.metrics.connection_closed();
        match end.outcome {
            Outcome::Accepted => self.metrics.handshake_accepted(),
            Outcome::Audited(reason) => self.metrics.handshake_audited(reason),
            Outcome::Refused(reason) => self.metrics.handshake_refused(reason),
            Outcome::Unfinished => {}
        }
        let turned_away = is_turned_away(end.outcome);
        // Where it is not known what came of a handshake, its time says nothing.
        if !turned_away && end.outcome != Outcome::Unfinished {
            self.metrics.handshake_took(end.handshake);
        }
        if end.close.is_upstream_failure() {
            self.metrics.upstream_failed();
        }
        match end.outcome {
            Outcome::Refused(_) if turned_away && !self.turned_away.is_first(end, Instant::now()) => {}
            Outcome::Refused(_) => self.log.write_of_anybody(&line(end)),
            _ => self.log.write(&line(end)),
        }
    }
}

impl ResolverObserver for DnsCounter {
    fn question(&self, observation: &Observation) {
        self.metrics.dns_question(observation.source, &observation.outcome);
    }

    /// Counted by connection, where [`Observer::evidence`] tells of it.
    fn evidence(&self, _: Duration, _: bool) {}
}

/// The access-log line of a connection. `docs/operations.md` lists the fields.
#[must_use]
pub fn line(end: &ConnectionEnd) -> Line {
    let mut line = Line::new(end.ended);
    line.text_field("listener", &*end.listener);
    line.optional_text("route", end.route.as_deref());
    line.optional_text("policy", end.policy.as_deref());
    line.number("generation", end.generation);
    line.optional_text("sni", end.server_name.as_deref());
    line.source(end.source);
    line.text_field("local", end.local.to_string());
    verdict_fields(&mut line, end);
    tls_fields(&mut line, end);
    line.optional_text("upstream", end.upstream.as_deref());
    line.number("bytes_in", end.bytes_in);
    line.number("bytes_out", end.bytes_out);
    line.milliseconds("duration_ms", end.lasted);
    line.word("close", end.close.as_str());
    line
}

fn verdict_fields(line: &mut Line, end: &ConnectionEnd) {
    let (outcome, reason) = outcome_words(end.outcome);
    line.word("outcome", outcome);
    line.word("reason", reason.map(Reason::as_str));
    line.word("mode", end.mode.map(Mode::as_str));
    let Some(verdict) = end.verdict.as_deref() else { return };
    let proven = matches!(end.outcome, Outcome::Accepted | Outcome::Audited(_));
    identity_fields(line, verdict, proven);
    if let Some(reason) = reason {
        refusal_fields(line, end, verdict, reason);
    }
}

fn identity_fields(line: &mut Line, verdict: &Verdict, proven: bool) {
    let class = verdict.class().map(PeerClass::as_str);
    line.word(if proven { "class" } else { "claimed_class" }, class);
    let Some(accepted) = verdict.accepted() else { return };
    let name = if proven { "identity" } else { "claimed_identity" };
    line.printable_field(name, &accepted.identity().to_string());
    line.optional_text("matched_name", accepted.matched_name());
    line.optional_text("dnssec", accepted.dnssec().map(|status| status.to_string()));
}

/// At which check the peer was refused, and what its certificate says: what its operator must know to mend it. Nothing of it is proven.
fn refusal_fields(line: &mut Line, end: &ConnectionEnd, verdict: &Verdict, reason: Reason) {
    // The handshake may have failed for a reason of its own after the decision.
    if let Some(check) = verdict.decisive().filter(|_| verdict.reason() == Some(reason)) {
        line.word("check", check.check);
        if let Some(candidate) = &check.candidate {
            line.printable_field("candidate", candidate);
        }
        line.printable_field("seen", &check.seen);
    }
    let Some(Ok(facts)) = end.decided.as_ref().map(|decided| decided.chain.leaf_facts()) else { return };
    if let Some(names) = certificate_names(facts) {
        line.printable_field("cert_names", &names);
    }
    line.text_field("spki_sha256", Fingerprint::of(&facts.spki).to_string());
}

/// The first dNSName and iPAddress entries as `dns:NAME,ip:ADDRESS`, and how many more there are as `+N`. A comma in a name is escaped,
/// and a name is told whole or not at all.
fn certificate_names(facts: &CertificateFacts) -> Option<String> {
    let dns = facts.dns.iter().map(|name| format!("dns:{}", escape(name).replace(',', "\\044")));
    let mut names = dns.chain(facts.ip.iter().map(|ip| format!("ip:{ip}")));
    let all = facts.dns.len() + facts.ip.len();
    // Room for the count.
    let mut room = MAX_ESCAPED.saturating_sub(16);
    let mut told = Vec::new();
    for name in names.by_ref().take(MOST_NAMES) {
        let Some(left) = room.checked_sub(name.len() + 1) else { break };
        room = left;
        told.push(name);
    }
    if told.len() < all {
        told.push(format!("+{}", all - told.len()));
    }
    (all > 0).then(|| told.join(","))
}

fn tls_fields(line: &mut Line, end: &ConnectionEnd) {
    line.optional_text("alert", end.alert.map(alert_name));
    line.optional_text("peer_alert", end.peer_alert.map(alert_name));
    line.optional_text("detail", end.detail.as_deref());
    line.word("tls_version", end.tls.version);
    line.word("tls_group", end.tls.group);
    line.word("tls_cipher", end.tls.cipher);
    line.optional_text("alpn", end.alpn.as_deref());
    line.milliseconds("handshake_ms", end.handshake);
    if let Some(time) = end.evidence {
        line.milliseconds("evidence_ms", time);
    }
    line.word("evidence_source", end.asked_upstream.map(|asked| source(asked).as_str()));
}

const fn outcome_words(outcome: Outcome) -> (&'static str, Option<Reason>) {
    match outcome {
        Outcome::Accepted => ("accepted", None),
        Outcome::Audited(reason) => ("audited", Some(reason)),
        Outcome::Refused(reason) => ("refused", Some(reason)),
        Outcome::Unfinished => ("unfinished", None),
    }
}

/// Whether a limit turned it away: it took no time and says nothing of handshakes.
const fn is_turned_away(outcome: Outcome) -> bool {
    use Reason::{LimitConnections, LimitHandshakes, LimitSource};
    matches!(outcome, Outcome::Refused(LimitConnections | LimitHandshakes | LimitSource))
}

const fn source(asked_upstream: bool) -> EvidenceSource {
    if asked_upstream { EvidenceSource::Upstream } else { EvidenceSource::Cache }
}

/// The name of RFC 8446 section 6, `access_denied`; the number where there is none.
fn alert_name(alert: AlertDescription) -> String {
    let Some(camel) = alert.as_str() else { return u8::from(alert).to_string() };
    let mut name = String::with_capacity(camel.len() + 4);
    let mut before = '_';
    for c in camel.chars() {
        // `UnknownCA` is `unknown_ca`, not `unknown_c_a`.
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
        before = c;
    }
    name
}

#[cfg(test)]
pub(crate) use tests::refused;
#[cfg(test)]
mod tests;
