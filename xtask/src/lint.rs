//! `cargo xtask lint`: what must hold before a change goes in, beside its tests.

use std::time::Instant;

use clap::ValueEnum;

use crate::command::{self, cargo};
use crate::{Outcome, deny};

/// One thing that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Check {
    /// Source formatting, by rustfmt
    Fmt,
    /// Clippy on all targets
    Clippy,
    /// The documentation builds and its links lead somewhere
    Doc,
    /// Licences, banned and doubled crates, sources, by cargo-deny
    Deny,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Doc => "doc",
            Self::Deny => "deny",
        }
    }

    fn run(self) -> Outcome {
        match self {
            Self::Fmt => {
                command::run(cargo().args(["fmt", "--all", "--check"]))?;
                command::run(cargo().args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))
            }
            Self::Clippy => command::run(cargo().args(CLIPPY)),
            Self::Doc => command::run(cargo().args(DOC).env("RUSTDOCFLAGS", "-D warnings")),
            Self::Deny => deny::run(),
        }
    }
}

// `--keep-going`: one crate's warnings do not hide another's.
const CLIPPY: [&str; 8] =
    ["clippy", "--locked", "--keep-going", "--workspace", "--all-targets", "--", "--deny", "warnings"];
const DOC: [&str; 5] = ["doc", "--locked", "--keep-going", "--workspace", "--no-deps"];

/// Runs the checks, all if none is named. A failure does not keep the later ones from running.
pub(crate) fn run(checks: &[Check]) -> Outcome {
    let checks = if checks.is_empty() { Check::value_variants() } else { checks };
    each(checks, Check::run)
}

fn each(checks: &[Check], check: impl Fn(Check) -> Outcome) -> Outcome {
    let mut failed = Vec::new();
    for &one in checks {
        println!("== {}", one.name());
        let started = Instant::now();
        if let Err(error) = check(one) {
            eprintln!("xtask: {error}");
            failed.push(one.name());
        }
        println!("== {}: {} s", one.name(), started.elapsed().as_secs());
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("not clean: {}", failed.join(", ")).into()) }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn failed_check_is_named_and_the_later_ones_still_run() {
        let ran = RefCell::new(Vec::new());
        let outcome = each(&[Check::Fmt, Check::Doc, Check::Deny], |check| {
            ran.borrow_mut().push(check);
            if check == Check::Doc { Err("broken".into()) } else { Ok(()) }
        });
        assert_eq!(outcome.unwrap_err().to_string(), "not clean: doc");
        assert_eq!(ran.into_inner(), [Check::Fmt, Check::Doc, Check::Deny]);
    }

    #[test]
    fn clean_checks_are_no_error() {
        assert!(each(Check::value_variants(), |_| Ok(())).is_ok());
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for check in Check::value_variants() {
            let value = check.to_possible_value().unwrap();
            assert_eq!(value.get_name(), check.name());
        }
    }
}
