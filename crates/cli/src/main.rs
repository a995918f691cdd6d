//! `revouch`: the checks of the proxy, by hand, over the very same code.

mod advice;
mod asking;
mod chain;
mod check;
mod dane;
mod demo;
mod dns;
mod exit;
mod explain;
mod files;
mod logline;
mod remedy;
mod runtime;
mod show;
mod time;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::filter::LevelFilter;

use exit::Failure;
use show::Style;

/// Check peers, certificates and DNS answers by hand, with the code of the proxy.
#[derive(Parser)]
#[command(name = "revouch", version, after_help = AFTER_HELP)]
struct Args {
    /// How results are printed on standard output.
    #[arg(long, global = true, value_enum, default_value = "human")]
    output: Output,
    /// Tell more of what happens, on standard error; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 accepted or ok, 1 refused, bogus or no match, 2 usage or environment error.
Start here: revouch demo";

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people: a tree of checks, in colour on a terminal.
    Human,
    /// One JSON document (docs/cli.md describes each).
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Watch the real proxy judge a cast of peers, on loopback, with a DNS of its own.
    Demo(demo::Args),
    /// Decide about a peer as the proxy would, and tell every check.
    Check(check::Args),
    /// Validate a certificate chain, and a name if one is given.
    Chain(chain::Args),
    /// Ask the DNS and validate the answers.
    Dns(dns::Args),
    /// Match a certificate chain with TLSA records.
    Dane(dane::Args),
    /// Tell a saved record or access-log lines in words, and what must be changed.
    Explain(explain::Args),
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and the version are no errors: clap prints them to standard output.
            let usage = error.use_stderr();
            drop(error.print());
            return if usage { ExitCode::from(exit::ENVIRONMENT) } else { ExitCode::SUCCESS };
        }
    };
    log_to_stderr(args.verbose);
    let style = Style::of_stdout();
    let json = args.output == Output::Json;
    let outcome = match args.command {
        Command::Demo(args) => demo::run(&args, json, style),
        Command::Check(args) => check::run(&args, json, style),
        Command::Chain(args) => chain::run(&args, json, style),
        Command::Dns(args) => dns::run(&args, json, style),
        Command::Dane(args) => dane::run(&args, json, style),
        Command::Explain(args) => explain::run(&args, json, style),
    };
    exit::finish(outcome)
}

/// Standard output is for results alone.
fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .init();
}

/// What a subcommand ends with: whether the answer was yes.
type Outcome = Result<bool, Failure>;
