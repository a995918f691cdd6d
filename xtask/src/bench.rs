//! `cargo xtask bench`: what the proxy costs, beside other programs.

use std::process::Command;

use crate::command::{cargo, run, search_path, workspace_root};
use crate::{Outcome, setup};

/// The load's core; the programs under measurement get the other (`tests/bench`).
const CORE: &str = "0";
const PACKAGES: [&str; 4] = ["--package", "revouch-bench", "--package", "revouch-proxy"];

/// Provides what is compared with, builds optimised, and measures.
pub(crate) fn run_bench(arguments: &[String]) -> Outcome {
    println!("== 1 of 3: the programs to compare with");
    setup::run_for_bench()?;
    println!("== 2 of 3: the proxy and what measures it, optimised");
    run(cargo().args(["build", "--locked", "--release"]).args(PACKAGES))?;
    println!("== 3 of 3: the figures; docs/performance.md says what each is");
    let directory = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace_root().join("target"), |directory| workspace_root().join(directory));
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", CORE]).arg(directory.join("release/revouch-bench"));
    run(command.args(arguments).env("PATH", search_path()).current_dir(workspace_root()))
}
