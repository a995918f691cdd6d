//! BIND's `delv`: a validator of its own, one question a run.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tokio::process::Command;

use super::{BedError, recursives};

/// What `delv` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelvSaid {
    /// Proven, records or none.
    Secure,
    /// Proven that it is not signed.
    Insecure,
    /// Neither.
    Failed,
}

/// How `delv` is run.
#[derive(Clone, Debug)]
pub struct Delv {
    arguments: Vec<String>,
}

impl Delv {
    pub(super) fn new(directory: &Path, anchor: &str, server: SocketAddr) -> Result<Self, BedError> {
        let path = directory.join("delv.anchors");
        fs::write(&path, format!("{}\n", recursives::anchors_clause(anchor)?))?;
        let arguments = ["-p", &server.port().to_string(), "-a", &path.display().to_string(), "+root=."]
            .map(str::to_owned);
        let arguments = [format!("@{}", server.ip())].into_iter().chain(arguments).collect();
        Ok(Self { arguments })
    }

    /// Asks one question. Also gives what `delv` printed.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn ask(&self, name: &str, rr_type: &str) -> Result<(DelvSaid, String), BedError> {
        let run = Command::new("delv")
            .args(&self.arguments)
            .args(["-q", name, "-t", rr_type])
            .kill_on_drop(true)
            .output();
        let output = run.await.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => BedError::not_installed("delv"),
            _ => error.into(),
        })?;
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        let said = if text.contains("fully validated") {
            DelvSaid::Secure
        } else if text.contains("unsigned answer") {
            DelvSaid::Insecure
        } else {
            DelvSaid::Failed
        };
        // An alias and its end are stated apart: the least counts.
        let said = if said == DelvSaid::Secure && text.contains("unsigned answer") {
            DelvSaid::Insecure
        } else {
            said
        };
        Ok((said, text))
    }
}
