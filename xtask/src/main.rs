//! The project's own commands: `cargo xtask setup | test | demo | bench | lint | fuzz`.
//!
//! Each command says what it is about to do, prints the commands it runs, and
//! stops with a reason when it cannot go on. Everything is built from the
//! committed lock file.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]
#![allow(
    clippy::disallowed_methods,
    reason = "PATH, CARGO and CARGO_TARGET_DIR are read as cargo gives them"
)]

mod bench;
mod command;
mod deny;
mod fuzz;
mod lint;
mod setup;
mod suite;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "xtask",
    bin_name = "cargo xtask",
    about = "The project's own commands",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install the programs that the tests run beside the proxy; what is there is left alone
    Setup,
    /// Set up, then build and run all tests; arguments go on to `cargo test`
    Test {
        /// For example `-p revouch-proxy`, or `-- --nocapture`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the demonstration, optimised; arguments go on to `revouch demo`
    Demo {
        /// For example `--once`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure what the proxy costs, beside HAProxy and nginx; arguments go on to `revouch-bench`
    Bench {
        /// For example `handshakes relay --repetitions 3`, or `--help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Formatting, clippy, documentation and dependency rules, each with warnings denied
    Lint {
        /// Only these checks
        #[arg(value_enum)]
        checks: Vec<lint::Check>,
    },
    /// Build a fuzz target with cargo-fuzz and run it; see docs/fuzzing.md
    Fuzz(fuzz::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Setup => setup::run(),
        Task::Test { arguments } => suite::test(&arguments),
        Task::Demo { arguments } => suite::demo(&arguments),
        Task::Bench { arguments } => bench::run_bench(&arguments),
        Task::Lint { checks } => lint::run(&checks),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a task gives back: nothing, or the sentence that says why it stopped.
type Outcome = Result<(), Box<dyn Error>>;
