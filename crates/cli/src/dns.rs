//! `revouch dns`: questions to the validating resolver, one or many.

mod batch;
mod presentation;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use revouch_resolver::upstream::can_be_asked;
use revouch_resolver::{AskOptions, Resolver, ValidationMode};
use revouch_validator::evidence::Question;
use revouch_validator::exemption::Exemptions;
use revouch_validator::name::{DnsName, NameError};
use revouch_validator::rr::{RrType, UnknownType};

use crate::Outcome;
use crate::asking::{AskingArgs, build};
use crate::exit::Failure;
use crate::runtime::block_on;
use crate::show::{Style, print, print_json_line};
use report::{Report, Status};

/// How long the first question to a server that is to validate for us may take.
const PROBE: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  revouch dns _5269._tcp.gw1.partner.example TLSA
  revouch dns 64/26.2.0.192.in-addr.arpa PTR --resolver 192.0.2.53 --output json
  printf 'gw1.partner.example A\\ngw1.partner.example AAAA\\n' | revouch dns --batch -

Exit code: 0 if there is an answer (an empty one too), 1 if one is bogus, 2 if none could be had.")]
pub(crate) struct Args {
    /// The owner name, as in a zone file: \. and \DDD are escapes; the final dot may be left out.
    #[arg(required_unless_present = "batch", value_parser = |text: &str| name(text).map_err(|error| error.to_string()))]
    name: Option<DnsName>,
    /// The type: a mnemonic such as TLSA, or TYPE52.
    #[arg(value_name = "TYPE", required_unless_present = "batch", value_parser = rr_type)]
    rr_type: Option<RrType>,
    /// Ask what stands in this file (- is standard input), a NAME and a TYPE on each line; the answers come in that order, as one
    /// JSON object a line.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "rr_type"])]
    batch: Option<PathBuf>,
    /// Who validates.
    #[arg(long, value_enum, default_value = "validate")]
    mode: Mode,
    #[command(flatten)]
    asking: AskingArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// This program, from its trust anchors.
    Validate,
    /// The servers, by the AD bit of their answers: only servers on loopback.
    TrustAd,
}

pub(crate) fn run(args: &Args, json: bool, style: Style) -> Outcome {
    if args.mode == Mode::TrustAd && args.asking.trust_anchor.is_some() {
        return Err(Failure::new(
            "--trust-anchor has no use with --mode trust-ad: the servers validate from theirs",
        ));
    }
    block_on(async {
        let asker = Asker { resolver: resolver(args).await?, exemptions: Exemptions::default() };
        match (&args.batch, &args.name, args.rr_type) {
            (Some(path), _, _) => batch::run(&asker, path).await,
            (None, Some(name), Some(rr_type)) => {
                one(&asker, Question::new(name.clone(), rr_type), json, style).await
            }
            (None, _, _) => Err(Failure::new("a NAME and a TYPE are wanted, or --batch")),
        }
    })
}

async fn resolver(args: &Args) -> Result<Resolver, Failure> {
    let mode = match args.mode {
        Mode::Validate => ValidationMode::Validate,
        Mode::TrustAd => ValidationMode::TrustAd,
    };
    let resolver = build(args.asking.apply(Resolver::builder())?.mode(mode))?;
    // A server that never sets the AD bit would make everything look unsigned.
    if args.mode == Mode::TrustAd
        && let Some((_, error)) = resolver.probe(PROBE).await.first()
    {
        return Err(Failure::new(error.to_string()));
    }
    Ok(resolver)
}

async fn one(asker: &Asker, question: Question, json: bool, style: Style) -> Outcome {
    let report = asker.ask(&question).await;
    if json {
        print_json_line(&report)?;
    } else {
        print(&report.told(style))?;
    }
    match report.status {
        Status::Error => Err(Failure::new(format!("{question}: {}", report.why))),
        status => Ok(status != Status::Bogus),
    }
}

/// Asks, with one cache for all questions.
struct Asker {
    resolver: Resolver,
    exemptions: Exemptions,
}

impl Asker {
    async fn ask(&self, question: &Question) -> Report {
        Report::of(&self.resolver.ask(question, &self.exemptions, &AskOptions::default()).await)
    }
}

fn name(text: &str) -> Result<DnsName, NameError> {
    text.parse()
}

/// A type that can be asked for.
fn rr_type(text: &str) -> Result<RrType, String> {
    let rr_type: RrType = text.parse().map_err(|error: UnknownType| error.to_string())?;
    if can_be_asked(rr_type) {
        Ok(rr_type)
    } else {
        Err(format!(
            "{rr_type} cannot be asked for: signatures and denials (RRSIG, NSEC, NSEC3) come with what they are about, and ANY and its like are no records"
        ))
    }
}
