//! The proxy, built with this package: for the smoke test, which cannot count on the shipped binary's having been built. The figures are
//! taken from that.

use std::process::ExitCode;

use clap::Parser as _;
use revouch_proxy::args::Args;
use revouch_proxy::run;

fn main() -> ExitCode {
    let args = Args::parse();
    let check = args.check();
    run::main(args.into_options(), check)
}
