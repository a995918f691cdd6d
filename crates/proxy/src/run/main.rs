//! The program `revouch-proxy`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use tracing::subscriber::set_global_default;

use super::{Ended, Options, Proxy, Role, Running, StartError};
use crate::check::{Checked, check};
use crate::logging;

/// It could not start, or `--check` found an error.
const CANNOT_START: u8 = 2;

/// Runs as the program `revouch-proxy`, to its end. The exit codes are listed in `docs/operations.md`.
#[must_use]
pub fn main(options: Options, check_only: bool) -> ExitCode {
    if check_only {
        return match check(options, &mut io::stdout().lock(), &mut io::stderr().lock()) {
            Ok(Checked::Good) => ExitCode::SUCCESS,
            Ok(Checked::Bad) => ExitCode::from(CANNOT_START),
            // Standard output was closed: whoever reads has read enough.
            Err(_) => ExitCode::FAILURE,
        };
    }
    match start(options).map(Running::wait) {
        Ok(Ended::Drained) => ExitCode::SUCCESS,
        Ok(Ended::AtOnce | Ended::Failed) => ExitCode::FAILURE,
        Err(error) => {
            // There may be no log yet; and who starts it by hand looks here.
            let _ = writeln!(io::stderr(), "revouch-proxy: {error}");
            ExitCode::from(CANNOT_START)
        }
    }
}

fn start(options: Options) -> Result<Running, StartError> {
    let prepared = Proxy::prepare(options)?;
    let process = prepared.snapshot().process();
    let (format, level) = (process.log_format, process.log_level);
    let mut diagnostics = prepared.diagnostics()?;
    let (subscriber, level) = logging::subscriber(diagnostics.lines.clone(), format, level);
    // Fails only where there is a subscriber already, and then that one is told.
    let _ = set_global_default(subscriber);
    diagnostics.level = Some(level);
    prepared.start(diagnostics, Role::Process)
}
