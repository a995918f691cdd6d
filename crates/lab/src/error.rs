//! What can be wrong with a universe or a certificate that was asked for.

use std::fmt;

/// Why a universe could not be built, changed or served, or a certificate not be issued.
#[derive(Debug)]
#[non_exhaustive]
pub enum LabError {
    /// A domain name cannot be read: the text, and what is wrong with it.
    Name(String, &'static str),
    /// A record's text cannot be read: the text, and what is wrong with it.
    Record(String, String),
    /// No zone of the universe holds this name, or what was said about a zone contradicts itself.
    Zone(String, &'static str),
    /// A key could not be made or could not sign.
    Signing(String),
    /// A certificate or CRL could not be issued.
    Certificate(String),
    /// A socket or a file.
    Io(std::io::Error),
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text, why) => write!(f, "domain name {text:?}: {why}"),
            Self::Record(text, why) => write!(f, "record {text:?}: {why}"),
            Self::Zone(zone, why) => write!(f, "zone {zone:?}: {why}"),
            Self::Signing(why) => write!(f, "signing: {why}"),
            Self::Certificate(why) => write!(f, "certificate: {why}"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for LabError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<std::io::Error> for LabError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rcgen::Error> for LabError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error.to_string())
    }
}
