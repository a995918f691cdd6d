//! Runs other programs: printed before they start, their failure a sentence.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;

/// Where administration programs live that a user's `PATH` often leaves out (`unbound` is one).
const ADMINISTRATION_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The cargo that started this program, in the workspace's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root());
    command
}

/// Prints the command and runs it with this program's input and output.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let line = shown(command);
    println!("+ {line}");
    let status = command.status().map_err(|error| format!("`{line}` could not be started: {error}"))?;
    if !status.success() {
        return Err(format!("`{line}` failed ({status})").into());
    }
    Ok(())
}

/// Whether the command succeeds; its output is thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The first executable of this name in `PATH` or the administration directories.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&search_path()).map(|directory| directory.join(name)).find(|file| is_executable(file))
}

/// `PATH` with the administration directories behind it.
pub(crate) fn search_path() -> OsString {
    let own = env::var_os("PATH").unwrap_or_default();
    let all = env::split_paths(&own).chain(ADMINISTRATION_DIRECTORIES.iter().map(PathBuf::from));
    // Joining what splitting gave fails only on a separator inside an entry: then PATH stands as it is.
    env::join_paths(all).unwrap_or(own)
}

/// The directory of the workspace, which is the parent of this package's.
pub(crate) fn workspace_root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_names_the_command_and_its_status() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err().to_string();
        assert!(error.starts_with("`sh -c exit 3` failed") && error.contains('3'), "{error}");
    }

    #[test]
    fn absent_program_is_said_to_be_unstartable() {
        let error = run(&mut Command::new("revouch-no-such-program")).unwrap_err().to_string();
        assert!(error.contains("could not be started"), "{error}");
    }

    #[test]
    fn program_is_found_only_if_it_can_be_executed() {
        assert!(find_program("sh").is_some());
        assert!(find_program("revouch-no-such-program").is_none());
        assert!(!is_executable(&workspace_root().join("Cargo.toml")));
    }

    #[test]
    fn workspace_root_holds_the_lock_file() {
        assert!(workspace_root().join("Cargo.lock").is_file());
    }
}
