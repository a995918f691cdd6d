//! The figures of `docs/performance.md`: `cargo xtask bench` builds what this measures and runs it.
//!
//! One machine, one run: every program has one core and the load, with the DNS server and the upstreams, the other; what a program costs is the
//! processor time of its process, not the time on the clock. Programs that are compared take turns, repetition by repetition.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod client;
mod delay;
mod figures;
mod program;
mod stage;
mod table;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, ValueEnum};

use crate::program::Binaries;
use crate::stage::{Sizes, Stage};
use crate::table::Table;

/// What a step gives back, or the sentence that says why not.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Measures what the proxy costs, beside other programs
#[derive(Parser)]
#[command(name = "revouch-bench")]
struct Arguments {
    /// Only these figures; all if left out
    #[arg(value_enum)]
    names: Vec<Figure>,
    /// How often each is measured
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=20))]
    repetitions: u8,
    /// Tiny, and without HAProxy and nginx: to see that it runs
    #[arg(long)]
    smoke: bool,
    /// Where the table goes as JSON, besides the one on standard output
    #[arg(long)]
    json: Option<PathBuf>,
    /// The proxy; the one beside this program if left out
    #[arg(long)]
    proxy: Option<PathBuf>,
}

/// A group of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// Processor time of a full mutual handshake
    Handshakes,
    /// Time to first byte over a long way, with evidence that takes its time
    FirstByte,
    /// 1,000 handshakes at once with evidence that takes 50 ms
    Burst,
    /// Processor time of relaying, a GiB in each direction
    Relay,
    /// Memory of the empty process and of idle connections
    Memory,
    /// Questions and time of evidence for peers that were never seen
    Cold,
}

/// What every figure is measured with.
struct Bench {
    stage: Arc<Stage>,
    binaries: Binaries,
    repetitions: usize,
    smoke: bool,
    table: Table,
}

fn main() -> ExitCode {
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(Box::pin(run(Arguments::parse()))));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("revouch-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Outcome<()> {
    raise_descriptors()?;
    let beside = |name: &str| -> Outcome<PathBuf> { Ok(std::env::current_exe()?.with_file_name(name)) };
    let binaries = Binaries {
        bare: beside("revouch-bench-bare")?,
        proxy: match arguments.proxy {
            Some(path) => path,
            None => beside("revouch-proxy")?,
        },
        pinned: !arguments.smoke,
    };
    let sizes = if arguments.smoke { Sizes::SMOKE } else { Sizes::WHOLE };
    let stage = Arc::new(Stage::set(sizes).await?);
    let (repetitions, smoke) = (usize::from(arguments.repetitions), arguments.smoke);
    let mut bench = Bench { stage, binaries, repetitions, smoke, table: Table::default() };
    let names = if arguments.names.is_empty() { Figure::value_variants().to_vec() } else { arguments.names };
    for name in names {
        match name {
            Figure::Handshakes => Box::pin(figures::handshakes::measure(&mut bench)).await?,
            Figure::FirstByte => Box::pin(figures::first_byte::measure(&mut bench)).await?,
            Figure::Burst => Box::pin(figures::burst::measure(&mut bench)).await?,
            Figure::Relay => Box::pin(figures::relay::measure(&mut bench)).await?,
            Figure::Memory => Box::pin(figures::memory::measure(&mut bench)).await?,
            Figure::Cold => Box::pin(figures::cold::measure(&mut bench)).await?,
        }
    }
    println!("\n{}", bench.table);
    if let Some(path) = arguments.json {
        std::fs::write(&path, serde_json::to_vec_pretty(&bench.table)?)?;
        println!("written as JSON to {}", path.display());
    }
    Ok(())
}

/// The load holds two ends of every connection.
fn raise_descriptors() -> Outcome<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
