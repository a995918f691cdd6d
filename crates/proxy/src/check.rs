//! `--check`: everything that a start does, short of listening.

use std::io::{self, Write};

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
    for warning in &snapshot.warnings {
        if warning.is_fatal() {
            checked = Checked::Bad;
        }
        writeln!(said, "{}{warning}", prefix(warning))?;
    }
    Ok(checked)
}

/// Findings about documents say themselves what they are.
fn prefix(warning: &crate::snapshot::Warning) -> &'static str {
    match warning {
        crate::snapshot::Warning::Document(_) => "",
        other if other.is_fatal() => "error: ",
        _ => "warning: ",
    }
}
