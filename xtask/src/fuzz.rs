//! `cargo xtask fuzz`: builds the targets of `fuzz/` with cargo-fuzz and runs them.
//!
//! They need a nightly toolchain and cargo-fuzz of one version; both are installed if they are not there. There is no sanitizer: code
//! of ours has no `unsafe`, and the C code that is linked is compiled without one in any case. Without it the targets run at twice the speed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::Outcome;
use crate::command::{self, find_program, succeeds, workspace_root};
use crate::deny::{target_directory, version_of};

/// One version, so that the same build comes out everywhere.
const VERSION: &str = "0.13.2";

/// How long each target runs with `--short`, in seconds, once it has been through its corpus.
const SHORT: u64 = 5;

/// What is to be run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The target; see --list
    #[arg(required_unless_present_any = ["list", "short"])]
    target: Option<String>,
    /// For how long
    #[arg(long, default_value_t = 20, conflicts_with_all = ["list", "short"])]
    minutes: u64,
    /// Name the targets
    #[arg(long, exclusive = true)]
    list: bool,
    /// Each target over its corpus, and for some seconds more
    #[arg(long, exclusive = true)]
    short: bool,
}

/// Runs what was asked for.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let all = targets()?;
    if arguments.list {
        all.iter().for_each(|target| println!("{target}"));
        return Ok(());
    }
    let seconds = if arguments.short { SHORT } else { arguments.minutes.saturating_mul(60) };
    let chosen = match &arguments.target {
        None => all,
        Some(target) if all.contains(target) => vec![target.clone()],
        Some(target) => {
            return Err(format!("there is no target `{target}`, only {}", all.join(", ")).into());
        }
    };
    nightly()?;
    let cargo_fuzz = installed()?;
    build(&cargo_fuzz, chosen.first().filter(|_| chosen.len() == 1))?;
    let mut failed = Vec::new();
    for target in &chosen {
        let started = Instant::now();
        if let Err(error) = run_target(target, seconds, arguments.short) {
            eprintln!("xtask: {error}");
            failed.push(target.as_str());
        }
        println!("== {target}: {} s", started.elapsed().as_secs());
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("found something: {}", failed.join(", ")).into()) }
}

/// The names of the targets, which are those of the files.
fn targets() -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory().join("targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn directory() -> PathBuf {
    workspace_root().join("fuzz")
}

/// A nightly toolchain, by which the instrumentation is compiled.
fn nightly() -> Outcome {
    let there = || succeeds(in_nightly("rustc").arg("--version"));
    if there() {
        return Ok(());
    }
    println!("fuzzing needs a nightly toolchain: installing it");
    let install =
        Command::new("rustup").args(["toolchain", "install", "nightly", "--profile", "minimal"]).status();
    if install.is_ok_and(|status| status.success()) && there() {
        return Ok(());
    }
    Err("there is no nightly toolchain, and it could not be installed. Install it by \
         `rustup toolchain install nightly --profile minimal` (rustup is at https://rustup.rs), then run this command again"
        .into())
}

/// A program of the nightly toolchain.
fn in_nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    // The toolchain that runs this program is the workspace's own, and told to its children.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").args(["run", "nightly", program]);
    command
}

/// The pinned cargo-fuzz: the user's own if it is that version, else one below the target directory.
fn installed() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let tools = target_directory().join("tools");
    let ours = tools.join("bin/cargo-fuzz");
    let candidates = find_program("cargo-fuzz").into_iter().chain([ours.clone()]);
    if let Some(program) =
        candidates.into_iter().find(|program| version_of(program).as_deref() == Some(VERSION))
    {
        return Ok(program);
    }
    println!("cargo-fuzz {VERSION} is not here: building it once, below {} (a minute)", tools.display());
    command::run(
        command::cargo()
            .args(["install", "--locked", "--version", VERSION, "--root"])
            .arg(&tools)
            .arg("cargo-fuzz"),
    )?;
    Ok(ours)
}

/// Builds one target, or all.
fn build(cargo_fuzz: &Path, target: Option<&String>) -> Outcome {
    // The lock file is as fixed as the workspace's; cargo-fuzz has no option to say so.
    command::run(in_nightly("cargo").current_dir(directory()).args(["fetch", "--locked"]))?;
    let mut command = in_nightly(&cargo_fuzz.to_string_lossy());
    command.current_dir(workspace_root()).args(["build", "--sanitizer", "none"]);
    command.arg("--target-dir").arg(built());
    command::run(command.args(target))
}

/// Runs a target that was built.
fn run_target(target: &str, seconds: u64, short: bool) -> Outcome {
    let directory = directory();
    let (corpus, artifacts) =
        (directory.join("corpus").join(target), directory.join("artifacts").join(target));
    fs::create_dir_all(&artifacts)?;
    // What a short run finds is not kept: the first directory is the one that grows.
    let found = if short { target_directory().join("fuzz-short").join(target) } else { corpus.clone() };
    fs::create_dir_all(&found)?;
    let binary = binary(target)?;
    let mut command = Command::new(&binary);
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.arg(format!("-max_total_time={seconds}"));
    command.args([
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        "-len_control=0",
        "-verbosity=0",
    ]);
    if short {
        // The same inputs for the same time: what is looked for here is what a change has broken.
        command.arg("-seed=1");
    }
    command.arg(&found).args(Some(&corpus).filter(|corpus| **corpus != found));
    let before = crashes(&artifacts);
    let outcome = command::run(&mut command);
    if short {
        fs::remove_dir_all(&found)?;
    }
    outcome.map_err(|error| {
        let new: Vec<String> = crashes(&artifacts)
            .into_iter()
            .filter(|path| !before.contains(path))
            .map(|path| from_root(&path))
            .collect();
        let shown = if new.is_empty() { "none was written".to_owned() } else { new.join(", ") };
        let again = new.first().cloned().unwrap_or_else(|| "ARTIFACT".to_owned());
        let binary = from_root(&binary);
        format!(
            "{error}\n  the input: {shown}\n  once more: {binary} {again}\n  smaller:   cargo +nightly fuzz tmin \
             --sanitizer none {target} {again}"
        )
        .into()
    })
}

/// Where the targets are built.
fn built() -> PathBuf {
    directory().join("target")
}

/// A target as a program: cargo-fuzz builds below the name of the host's platform.
fn binary(target: &str) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let platforms = fs::read_dir(built())?.flatten().map(|entry| entry.path().join("release").join(target));
    Ok(platforms.into_iter().find(|path| path.is_file()).ok_or("the target was not built")?)
}

/// A path as it is typed in the workspace's root.
fn from_root(path: &Path) -> String {
    path.strip_prefix(workspace_root()).unwrap_or(path).display().to_string()
}

/// The inputs on which a target failed.
fn crashes(artifacts: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(artifacts).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_built_and_has_a_corpus() {
        let manifest = fs::read_to_string(directory().join("Cargo.toml")).unwrap();
        let targets = targets().unwrap();
        assert!(targets.len() > 5, "{targets:?}");
        for target in targets {
            assert!(manifest.contains(&format!("path = \"targets/{target}.rs\"")), "{target}");
            assert!(
                fs::read_dir(directory().join("corpus").join(&target)).unwrap().next().is_some(),
                "{target}"
            );
        }
    }

    #[test]
    fn every_target_is_told_of() {
        let page = fs::read_to_string(workspace_root().join("docs/fuzzing.md")).unwrap();
        for target in targets().unwrap() {
            assert!(page.contains(&format!("| `{target}` |")), "{target}");
        }
    }
}
