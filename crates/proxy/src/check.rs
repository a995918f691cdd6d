//! `--check`: everything that a start does, short of listening.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use crate::run::{Options, Proxy};

/// Whether a configuration can be run as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It can.
    Good,
    /// It cannot, or not as it should.
    Bad,
}

/// Loads everything, writes the effective configuration to `shown`, and errors and warnings to `said`.
///
/// # Errors
/// They cannot be written to.
pub fn check(options: Options, shown: &mut dyn Write, said: &mut dyn Write) -> io::Result<Checked> {
    let prepared = match Proxy::prepare(options) {
        Ok(prepared) => prepared,
        Err(error) => {
            writeln!(said, "{error}")?;
            return Ok(Checked::Bad);
        }
    };
    let snapshot = prepared.snapshot();
    shown.write_all(snapshot.effective().map_err(io::Error::other)?.as_bytes())?;
    let mut checked = Checked::Good;
    if let Some(file) = snapshot.process().log_file.as_deref()
        && let Err(error) = can_be_written(file)
    {
        checked = Checked::Bad;
        writeln!(said, "error: log file {}: {error}", file.display())?;
    }
    for warning in &snapshot.warnings {
        if warning.is_fatal() {
            checked = Checked::Bad;
        }
        writeln!(said, "{}{warning}", prefix(warning))?;
    }
    Ok(checked)
}

/// Whether a start could open this log file. It is not created here.
fn can_be_written(file: &Path) -> io::Result<()> {
    if file.exists() {
        return OpenOptions::new().append(true).open(file).map(drop);
    }
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !directory.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(rustix::fs::access(directory, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)?)
}

/// Findings about documents say themselves what they are.
fn prefix(warning: &crate::snapshot::Warning) -> &'static str {
    match warning {
        crate::snapshot::Warning::Document(_) => "",
        other if other.is_fatal() => "error: ",
        _ => "warning: ",
    }
}
