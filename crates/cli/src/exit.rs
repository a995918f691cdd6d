//! How the program ends: 0 for yes, 1 for no, 2 for what kept it from finding out.

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

/// Refused, bogus, no match.
pub(crate) const NO: u8 = 1;
/// Usage or environment.
pub(crate) const ENVIRONMENT: u8 = 2;

/// What kept a subcommand from finding an answer. The text says what to do.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// Turns an outcome into the exit code; a failure goes to standard error.
pub(crate) fn finish(outcome: crate::Outcome) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NO),
        Err(failure) => {
            // Where standard error is closed there is nobody to tell.
            drop(writeln!(std::io::stderr(), "revouch: {failure}"));
            ExitCode::from(ENVIRONMENT)
        }
    }
}
