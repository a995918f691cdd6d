//! Runs cargo-deny over the dependencies, by the rules of `deny.toml`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::Outcome;
use crate::command::{self, cargo, find_program, workspace_root};

/// One version, so that the same rules give the same answer everywhere.
const VERSION: &str = "0.20.2";

/// Licences, bans and sources. Advisories are not among them: they need a database from the network at
/// every run, and this check must give the same answer twice.
pub(crate) fn run() -> Outcome {
    let program = installed()?;
    // cargo-deny asks for the metadata of every platform, so the packages of every platform must be here.
    command::run(cargo().args(["fetch", "--locked"]))?;
    command::run(
        Command::new(program)
            .current_dir(workspace_root())
            .args(["--offline", "--locked", "--config", "deny.toml"])
            .args(["check", "licenses", "bans", "sources"]),
    )
}

/// The pinned cargo-deny: the user's own if it is that version, else one below the target directory.
fn installed() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let tools = target_directory().join("tools");
    let ours = tools.join("bin/cargo-deny");
    let candidates = find_program("cargo-deny").into_iter().chain([ours.clone()]);
    if let Some(program) =
        candidates.into_iter().find(|program| version_of(program).as_deref() == Some(VERSION))
    {
        return Ok(program);
    }
    println!("cargo-deny {VERSION} is not here: building it once, below {} (some minutes)", tools.display());
    command::run(
        cargo().args(["install", "--locked", "--version", VERSION, "--root"]).arg(&tools).arg("cargo-deny"),
    )?;
    Ok(ours)
}

pub(crate) fn target_directory() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => workspace_root().join(directory),
        None => workspace_root().join("target"),
    }
}

/// `cargo-deny 0.20.2` → `0.20.2`; nothing if it does not run.
pub(crate) fn version_of(program: &PathBuf) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(1).map(str::to_owned)
}
