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
    /// It followed an alias and said nothing about what is at its end.
    Silent,
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
        let said = said(&text, rr_type);
        Ok((said, text))
    }
}

/// What the output says as a whole. RRsets are told of apart: the least counts.
fn said(text: &str, rr_type: &str) -> DelvSaid {
    let has = |words: &str| text.contains(words);
    let data = text.lines().filter(|line| !line.starts_with(';'));
    let types: Vec<&str> = data.filter_map(|line| line.split_whitespace().nth(3)).collect();
    if has("resolution failed") {
        // An answer without records is reported as a failure of that name.
        return match (has("negative response, fully validated"), has("negative response, unsigned answer")) {
            (true, _) if !has("; unsigned answer") => DelvSaid::Secure,
            (true, _) | (_, true) => DelvSaid::Insecure,
            // Only the alias is told of, not what is at its end.
            _ if has("resolution failed: ncache") => DelvSaid::Silent,
            _ => DelvSaid::Failed,
        };
    }
    let is_there = types.contains(&rr_type) || has("negative response");
    match (is_there, has("unsigned answer"), has("fully validated")) {
        (false, ..) if types.contains(&"CNAME") => DelvSaid::Silent,
        (_, true, _) => DelvSaid::Insecure,
        (_, false, true) => DelvSaid::Secure,
        _ => DelvSaid::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_is_said_counts() {
        let alias = "; fully validated\na.test. 1 IN CNAME b.test.\na.test. 1 IN RRSIG CNAME 13 2 1\n";
        for (text, expected) in [
            (format!("{alias}; unsigned answer\nb.test. 1 IN A 192.0.2.1"), DelvSaid::Insecure),
            (format!("{alias}b.test. 1 IN A 192.0.2.1"), DelvSaid::Secure),
            (alias.to_owned(), DelvSaid::Silent),
            ("; negative response, fully validated\n; a.test. 1 IN \\-A ;-$NXRRSET".into(), DelvSaid::Secure),
            (";; resolution failed: no valid RRSIG".into(), DelvSaid::Failed),
            (format!(";; resolution failed: ncache nxdomain\n{alias}"), DelvSaid::Silent),
            (
                ";; resolution failed: ncache nxdomain\n; unsigned answer\na.test. 1 IN CNAME b.test.\n\
                 ; negative response, fully validated"
                    .into(),
                DelvSaid::Insecure,
            ),
            (
                ";; resolution failed: ncache nxdomain\n; negative response, unsigned answer".into(),
                DelvSaid::Insecure,
            ),
        ] {
            assert_eq!(said(&text, "A"), expected, "{text}");
        }
    }
}
