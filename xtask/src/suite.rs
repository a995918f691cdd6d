//! `cargo xtask test` and `cargo xtask demo`.

use crate::command::{cargo, run, search_path};
use crate::{Outcome, setup};

/// Sets up, then builds and runs the tests: all of them unless `arguments` choose packages.
pub(crate) fn test(arguments: &[String]) -> Outcome {
    println!("== 1 of 2: what the tests need beside this workspace");
    setup::run()?;
    println!("== 2 of 2: the tests, and the binaries that they run");
    run(cargo().args(test_arguments(arguments)).env("PATH", search_path()))
}

/// Builds the command line with optimisation and runs its demonstration.
pub(crate) fn demo(arguments: &[String]) -> Outcome {
    println!("== the demonstration: no root, no network, nothing left behind");
    run(cargo().args(["run", "--locked", "--release", "--package", "revouch", "--", "demo"]).args(arguments))
}

fn test_arguments(arguments: &[String]) -> Vec<&str> {
    let mut all = vec!["test", "--locked"];
    if !chooses_packages(arguments) {
        all.push("--workspace");
    }
    all.extend(arguments.iter().map(String::as_str));
    all
}

/// Whether cargo's own arguments, those before `--`, name packages.
fn chooses_packages(arguments: &[String]) -> bool {
    arguments.iter().take_while(|argument| *argument != "--").any(|argument| {
        argument.starts_with("--package") || (argument.starts_with("-p") && !argument.starts_with("--"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments_for(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        test_arguments(&words).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn whole_workspace_is_tested_unless_packages_are_named() {
        assert_eq!(arguments_for(&[]), ["test", "--locked", "--workspace"]);
        assert_eq!(arguments_for(&["-p", "revouch"]), ["test", "--locked", "-p", "revouch"]);
        assert_eq!(arguments_for(&["--package=xtask"]), ["test", "--locked", "--package=xtask"]);
    }

    #[test]
    fn arguments_behind_the_dashes_choose_no_package() {
        assert_eq!(
            arguments_for(&["--", "-p", "--nocapture"]),
            ["test", "--locked", "--workspace", "--", "-p", "--nocapture"]
        );
    }
}
