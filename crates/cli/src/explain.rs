//! `revouch explain`: a saved record or lines of the access log, told in words, with what must be changed.

use std::path::PathBuf;

use revouch_validator::cert::CertificateFacts;
use revouch_validator::escape::escape;
use revouch_validator::reason::Reason;
use revouch_validator::record::Record;
use revouch_validator::verdict::Verdict;
use serde::Serialize;

use crate::Outcome;
use crate::advice::{Advice, Asking, Situation, Who};
use crate::exit::Failure;
use crate::logline::LogLine;
use crate::show::{self, Colour, Style, print, print_json};
use crate::{files, remedy};

/// The most names of a certificate that are told.
const MOST_NAMES: usize = 16;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  revouch check --policy revouch.yaml --chain peer.pem --source 192.0.2.1 --save-evidence record.json
  revouch explain record.json
  grep 192.0.2.1 /var/log/revouch/access.log | tail -1 | revouch explain -

Exit code: 0 if the peer was accepted, 1 if it was refused, 2 if the file is neither a record nor access-log lines.")]
pub(crate) struct Args {
    /// A record that `revouch check --save-evidence` wrote, or access-log lines of the proxy, JSON or text (- is standard input).
    file: PathBuf,
}

pub(crate) fn run(args: &Args, json: bool, style: Style) -> Outcome {
    let bytes = files::read(&args.file)?;
    let told = if is_record(&bytes) {
        let record = Record::from_json(&bytes)
            .map_err(|error| Failure::new(format!("{}: no record: {error}", args.file.display())))?;
        Told::Record(Box::new(OfRecord::new(&record)))
    } else {
        Told::Lines { connections: lines(&bytes, args)? }
    };
    if json {
        print_json(&told)?;
    } else {
        print(&told.text(style))?;
    }
    Ok(told.is_accepted())
}

/// What is printed as JSON; `docs/cli.md` describes it.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Told {
    Record(Box<OfRecord>),
    #[serde(rename = "access-log")]
    Lines {
        connections: Vec<OfLine>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_name: Option<String>,
    source: String,
    source_port: u16,
    local_port: u16,
    now: String,
    /// In the order in which they were sent.
    certificates: Vec<String>,
    verdict: Verdict,
    #[serde(flatten)]
    why: Why,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfLine {
    fields: std::collections::BTreeMap<String, String>,
    #[serde(flatten)]
    why: Why,
    #[serde(skip)]
    line: LogLine,
}

/// Why a peer was refused, and what to do about it; empty for one that was accepted.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Why {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<AlertTold>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    advice: Vec<Advice>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct AlertTold {
    number: u8,
    name: &'static str,
}

impl Why {
    pub(crate) fn new(reason: Option<Reason>, situation: &Situation<'_>) -> Self {
        let Some(reason) = reason else { return Self::default() };
        let found = match situation.evidence_is_incomplete().filter(|_| reason == Reason::EvidenceMissing) {
            Some(incomplete) => remedy::of_incomplete(incomplete),
            None => remedy::of(reason),
        };
        Self {
            reason: Some(reason),
            alert: reason.alert().map(|alert| AlertTold { number: alert.number(), name: alert.name() }),
            cause: Some(found.cause),
            remedy: Some(found.remedy),
            advice: situation.advice(reason),
        }
    }

    pub(crate) fn text(&self, style: Style) -> String {
        let mut out = String::new();
        for (word, text) in [("why", self.cause), ("to do", self.remedy)] {
            if let Some(text) = text {
                out.push_str(&format!("\n  {} {text}", style.paint(Colour::Bold, &format!("{word:7}"))));
            }
        }
        for advice in &self.advice {
            let who = match advice.who {
                Who::Peer => "peer's operator",
                Who::Here => "here",
            };
            out.push_str(&format!("\n  {} {}", style.paint(Colour::Bold, &format!("{who}:")), advice.what));
            for record in &advice.records {
                out.push_str(&format!("\n      {}", style.paint(Colour::Yellow, record)));
            }
        }
        out
    }
}

impl OfRecord {
    fn new(record: &Record) -> Self {
        let verdict = record.replay();
        let situation = Situation::of(record, &verdict, Asking::default());
        Self {
            policy_name: record.policy_name.as_deref().map(escape),
            source: record.connection.source().to_string(),
            source_port: record.connection.source_port,
            local_port: record.connection.local_port,
            now: record.now.to_string(),
            certificates: record.chain.certificates().iter().map(|der| certificate(der)).collect(),
            why: Why::new(verdict.reason(), &situation),
            verdict,
        }
    }

    fn text(&self, style: Style) -> String {
        let mut out = show::verdict(&self.verdict, style);
        let bold = |word: &str| style.paint(Colour::Bold, &format!("{word:7}"));
        let port = if self.source_port == 0 { String::new() } else { format!(" port {}", self.source_port) };
        let policy = self.policy_name.as_ref().map_or_else(String::new, |name| format!(" by policy {name}"));
        out.push_str(&format!(
            "\n  {} {}{port}, connecting to port {}, judged{policy} as of {}",
            bold("who"),
            self.source,
            self.local_port,
            self.now
        ));
        for (index, certificate) in self.certificates.iter().enumerate() {
            out.push_str(&format!("\n  {} {certificate}", bold(if index == 0 { "sent" } else { "" })));
        }
        out.push_str(&self.why.text(style));
        out
    }
}

impl OfLine {
    fn new(line: LogLine) -> Self {
        let why = Why::new(line.reason(), &Situation::of_line(&line));
        Self { fields: line.fields().clone(), why, line }
    }

    fn text(&self, style: Style) -> String {
        let line = &self.line;
        let field = |name: &str| line.get(name);
        let outcome = field("outcome").unwrap_or_default();
        let what = field("reason").or_else(|| field("identity")).unwrap_or_default();
        let mut out = style.headline(line.is_accepted(), &format!("{outcome}: {what}"));
        let bold = |word: &str| style.paint(Colour::Bold, &format!("{word:7}"));
        let port = field("source_port").map_or_else(String::new, |port| format!(" port {port}"));
        out.push_str(&format!("\n  {} {}{port}", bold("who"), field("source").unwrap_or_default()));
        for (word, name) in [
            (", connecting to", "local"),
            (", for the name", "sni"),
            (", judged by policy", "policy"),
            (", at", "time"),
        ] {
            if let Some(value) = field(name) {
                out.push_str(&format!("{word} {value}"));
            }
        }
        if let Some((check, seen)) = field("check").zip(field("seen")) {
            let about = field("candidate").map_or_else(String::new, |name| format!(" of {name}"));
            out.push_str(&format!("\n  {} {check}{about}: {seen}", bold("failed")));
        }
        if let Some(names) = field("cert_names") {
            out.push_str(&format!("\n  {} a certificate for {names}", bold("sent")));
        }
        for (word, names) in [
            ("is", &["identity", "class", "matched_name", "dnssec"][..]),
            ("claims", &["claimed_identity", "claimed_class"]),
            ("tls", &["tls_version", "alert", "peer_alert", "detail"]),
        ] {
            let told: Vec<String> =
                names.iter().filter_map(|name| field(name).map(|value| format!("{name} {value}"))).collect();
            if !told.is_empty() {
                out.push_str(&format!("\n  {} {}", bold(word), told.join(", ")));
            }
        }
        if outcome == "audited" {
            out.push_str(&format!(
                "\n  {} the policy has mode: Audit, so the peer was let in all the same, without identity",
                bold("audit")
            ));
        }
        out.push_str(&self.why.text(style));
        out
    }
}

impl Told {
    fn is_accepted(&self) -> bool {
        match self {
            Self::Record(record) => record.verdict.is_accepted(),
            Self::Lines { connections } => connections.iter().all(|each| each.line.is_accepted()),
        }
    }

    fn text(&self, style: Style) -> String {
        match self {
            Self::Record(record) => record.text(style),
            Self::Lines { connections } => {
                connections.iter().map(|each| each.text(style)).collect::<Vec<_>>().join("\n\n")
            }
        }
    }
}

/// Whether the file is to be read as a record: one JSON object with a `version`.
fn is_record(bytes: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Head {
        #[serde(rename = "version")]
        _version: serde::de::IgnoredAny,
    }
    serde_json::from_slice::<Head>(bytes).is_ok()
}

fn lines(bytes: &[u8], args: &Args) -> Result<Vec<OfLine>, Failure> {
    let text = String::from_utf8_lossy(bytes);
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let parsed = LogLine::parse(line).ok_or_else(|| {
            Failure::new(format!(
                "{}: line {}: neither a record of `revouch check --save-evidence` nor an access-log line of the proxy",
                args.file.display(),
                number + 1
            ))
        })?;
        found.push(OfLine::new(parsed));
    }
    if found.is_empty() {
        Err(Failure::new(format!("{}: nothing in it", args.file.display())))
    } else {
        Ok(found)
    }
}

/// One line about a certificate.
fn certificate(der: &[u8]) -> String {
    let facts = match CertificateFacts::parse(der) {
        Ok(facts) => facts,
        Err(error) => return format!("a certificate that cannot be read: {error}"),
    };
    let names = facts.dns.iter().map(|name| format!("dNSName {}", escape(name)));
    let names: Vec<String> = names.chain(facts.ip.iter().map(|ip| format!("iPAddress {ip}"))).collect();
    let more = names.len().saturating_sub(MOST_NAMES);
    let mut told = names.into_iter().take(MOST_NAMES).map(|name| format!(", {name}")).collect::<String>();
    if more > 0 {
        told.push_str(&format!(" and {more} more"));
    }
    let subject = if facts.subject_display().is_empty() { "no subject" } else { facts.subject_display() };
    format!("{subject}, EKU {}{told}, valid {} to {}", facts.eku, facts.not_before, facts.not_after)
}
