//! The program: a command line, and the library's [`revouch_proxy::run::main`].

use std::process::ExitCode;

use clap::Parser as _;
use revouch_proxy::args::Args;
use revouch_proxy::run;

fn main() -> ExitCode {
    let args = Args::parse();
    let check = args.check();
    run::main(args.into_options(), check)
}
