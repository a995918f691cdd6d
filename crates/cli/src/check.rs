//! `revouch check`: the whole decision about a peer, by hand, with the documents, the resolver and the code of the proxy.

mod policy;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use revouch_proxy::load::files::Files;
use revouch_proxy::load::resolver_builder;
use revouch_resolver::{AskOptions, Resolver};
use revouch_validator::connection::Connection;
use revouch_validator::decide::{Case, decide};
use revouch_validator::evidence::Evidence;
use revouch_validator::plan;
use revouch_validator::policy::{Multicast, Policy, SourcePort};
use revouch_validator::record::Record;
use revouch_validator::timestamp::Timestamp;
use revouch_validator::verdict::Verdict;
use serde::Serialize;

use crate::Outcome;
use crate::advice::{Asking, Situation};
use crate::asking::{AskingArgs, build};
use crate::exit::Failure;
use crate::explain::Why;
use crate::runtime::block_on;
use crate::show::{self, Style, print, print_json};
use crate::{files, time};
use policy::Chosen;

/// How far from now `--at` may be and still mean now.
const NOW_SECONDS: u64 = 3600;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  revouch check --policy revouch.yaml --chain peer.pem --source 192.0.2.1
  revouch check --policy revouch.yaml --chain peer.pem --source '[2001:db8::1]:5269' --save-evidence record.json
  revouch check --policy stricter.yaml --chain peer.pem --source 192.0.2.1 --evidence record.json

Exit code: 0 if the peer would be accepted, 1 if it would be refused, 2 if that cannot be found out.")]
pub(crate) struct Args {
    /// The configuration: a YAML file with at least the PeerPolicy, or a directory of such files.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Which PeerPolicy; needed where there are several.
    #[arg(long, value_name = "NAME")]
    policy_name: Option<String>,
    /// The port of the listener [default: that of the Listener that the policy's targetRefs name].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    local_port: Option<u16>,
    /// The certificates that the peer sends, leaf first (PEM; - is standard input).
    #[arg(long, value_name = "PEM")]
    chain: PathBuf,
    /// The address that the peer connects from, and its port if the policy looks at it.
    #[arg(long, value_name = "IP[:PORT]", value_parser = source)]
    source: SocketAddr,
    /// Trust anchors for serverAuth certificates instead of those that the policy's trust names.
    #[arg(long, value_name = "PEM")]
    roots: Option<PathBuf>,
    /// Revocation lists instead of those that the policy's trust names (PEM or DER); may be given several times.
    #[arg(long, value_name = "PEM")]
    crl: Vec<PathBuf>,
    #[command(flatten)]
    asking: AskingArgs,
    /// The time of the decision, for certificates, signatures and exemptions [default: now, or that of the record].
    #[arg(long, value_name = "RFC3339", value_parser = time::parse)]
    at: Option<Timestamp>,
    /// Take the DNS answers from this record instead of asking.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["no_dns", "resolver", "trust_anchor"])]
    evidence: Option<PathBuf>,
    /// Ask nothing: only certificates of persons can be accepted.
    #[arg(long, conflicts_with_all = ["resolver", "trust_anchor"])]
    no_dns: bool,
    /// Write everything that the decision depended on to this file, for `revouch explain` and `--evidence`.
    #[arg(long, value_name = "FILE")]
    save_evidence: Option<PathBuf>,
}

/// What is printed as JSON: the verdict of `docs/verdict.md`, and what it is about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(flatten)]
    verdict: Verdict,
    policy: String,
    source: String,
    source_port: u16,
    local_port: u16,
    now: String,
    #[serde(flatten)]
    why: Why,
}

pub(crate) fn run(args: &Args, json: bool, style: Style) -> Outcome {
    if args.save_evidence.as_deref().is_some_and(|path| path.as_os_str() == "-") {
        return Err(Failure::new(
            "--save-evidence needs the name of a file: the verdict goes to standard output",
        ));
    }
    let recorded = args.evidence.as_deref().map(recorded).transpose()?;
    let now = args.at.or(recorded.as_ref().map(|record| record.now));
    let now = time::or_now(now);
    let chain = files::chain(&args.chain)?;
    let chosen = Chosen::load(&args.policy, args.policy_name.as_deref(), now)?;
    for warning in &chosen.warnings {
        tracing::warn!("{warning}");
    }
    let trust = chosen.trust(args.roots.as_deref(), &args.crl)?;
    if chosen.policy().source_port == SourcePort::Require && args.source.port() == 0 {
        return Err(Failure::new(format!(
            "PeerPolicy {}: dns.sourcePort is Require, so the decision depends on the peer's port: say the port: --source IP:PORT",
            chosen.name()
        )));
    }
    let connection = Connection::new(args.source, chosen.local_port(args.local_port)?);
    let evidence = match recorded {
        Some(record) => of_record(record, &connection)?,
        None if args.no_dns => None,
        None => Some(gather(args, &chosen, &connection, now)?),
    };
    let case = Case {
        policy: chosen.policy(),
        chain: &chain,
        connection: &connection,
        evidence: evidence.as_ref(),
        trust: &trust,
        now,
    };
    let verdict = decide(&case);
    let record = Record::of(&case, Some(chosen.name()));
    if let Some(path) = &args.save_evidence {
        save(path, &record)?;
    }
    let why = Why::new(verdict.reason(), &Situation::of(&record, &verdict, asking(args)));
    let accepted = verdict.is_accepted();
    if json {
        print_json(&Report {
            policy: chosen.name().to_owned(),
            source: connection.source().to_string(),
            source_port: connection.source_port,
            local_port: connection.local_port,
            now: now.to_string(),
            verdict,
            why,
        })?;
    } else {
        print(&format!("{}{}", show::verdict(&verdict, style), why.text(style)))?;
    }
    Ok(accepted)
}

/// How the answers were had, for the advice.
fn asking(args: &Args) -> Asking {
    let is_far = |at: Timestamp| at.0.abs_diff(time::or_now(None).0) > NOW_SECONDS;
    let asked_now = args.evidence.is_none() && !args.no_dns;
    Asking { options: args.asking.as_words(), at_another_time: asked_now && args.at.is_some_and(is_far) }
}

/// Asks the DNS what the policy wants to know, as the proxy would, from a cold cache.
fn gather(
    args: &Args,
    chosen: &Chosen,
    connection: &Connection,
    now: Timestamp,
) -> Result<Evidence, Failure> {
    block_on(async {
        let multicast = chosen.policy().multicast == Multicast::Allow;
        let mut resolver = chosen.resolver.clone();
        if args.asking.trust_anchor.is_some() {
            resolver.trust_anchor_file = None;
        }
        if !args.asking.resolver.is_empty() {
            // What was named on the command line is asked for everything.
            resolver.overrides.clear();
        }
        let builder = resolver_builder(&resolver, multicast, &mut Files::new());
        let mut builder = args.asking.apply(builder.map_err(|error| Failure::new(error.to_string()))?)?;
        if args.at.is_some() {
            builder = builder.clock(Arc::new(move || now));
        }
        let resolver = build(builder)?;
        let evidence = resolver.gather(chosen.policy(), connection).await;
        Ok(with_advice(Arc::unwrap_or_clone(evidence), &resolver, chosen.policy(), connection, now).await)
    })
}

/// The gate waits for no advice (R7); by hand there is time for it.
async fn with_advice(
    mut evidence: Evidence,
    resolver: &Resolver,
    policy: &Policy,
    connection: &Connection,
    now: Timestamp,
) -> Evidence {
    let deadline = Duration::from_millis(policy.deadline_ms.into());
    let options = AskOptions { deadline, multicast: policy.multicast, ..AskOptions::default() };
    let open =
        plan::questions(policy, connection, &evidence, now).into_iter().filter(|each| !each.is_decisive());
    let open: Vec<_> = open.map(|each| each.question).collect();
    let asked = open.iter().map(|question| resolver.ask(question, &policy.exemptions, &options));
    for observation in join_all(asked).await {
        evidence.insert(observation);
    }
    evidence
}

fn recorded(path: &Path) -> Result<Record, Failure> {
    Record::from_json(&files::read(path)?)
        .map_err(|error| Failure::new(format!("{}: no record: {error}", path.display())))
}

fn of_record(record: Record, connection: &Connection) -> Result<Option<Evidence>, Failure> {
    match record.evidence {
        Some(evidence) if evidence.source() != connection.source() => Err(Failure::new(format!(
            "the evidence is about {}, not about --source {}",
            evidence.source(),
            connection.source()
        ))),
        evidence => Ok(evidence),
    }
}

fn save(path: &Path, record: &Record) -> Result<(), Failure> {
    let named = |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", path.display()));
    let text = record.to_json().map_err(|error| named(&error))?;
    std::fs::write(path, text + "\n").map_err(|error| named(&error))
}

/// An address with or without a port.
fn source(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let without_port = || bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    let wanted =
        |_| "write an address as 192.0.2.1, 192.0.2.1:5269, 2001:db8::1 or [2001:db8::1]:5269".to_owned();
    text.parse().or_else(|_| without_port()).map_err(wanted)
}
