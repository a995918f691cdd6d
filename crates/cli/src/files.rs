//! Reading what the command line names: PEM chains, roots, CRLs, records. Bounded, with errors that name the file.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use revouch_proxy::load::files::Files;
use revouch_proxy::load::trust::{PublicRoots, load_anchors, load_crls};
use revouch_validator::chain::Chain;
use revouch_validator::path::{Anchors, Crls};

use crate::exit::Failure;

/// The largest file that is read, in octets.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// Reads a whole file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let named = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    let mut bounded: Box<dyn std::io::Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin().take(MAX_FILE + 1))
    } else {
        Box::new(File::open(path).map_err(named)?.take(MAX_FILE + 1))
    };
    bounded.read_to_end(&mut bytes).map_err(named)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Failure::new(format!("{}: larger than 32 MiB", path.display())));
    }
    Ok(bytes)
}

/// Reads a chain, leaf first.
pub(crate) fn chain(path: &Path) -> Result<Chain, Failure> {
    Chain::from_pem(&read(path)?).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// Reads trust anchors, as the proxy does: whole files or not at all, and at least one anchor.
pub(crate) fn roots(path: &Path) -> Result<Anchors, Failure> {
    let loaded = load_anchors(&mut Files::new(), PublicRoots::None, &[path.to_owned()]);
    loaded.map(|(anchors, _)| anchors).map_err(|error| Failure::new(error.to_string()))
}

/// Reads CRLs, DER or PEM, as the proxy does.
pub(crate) fn crls(paths: &[PathBuf]) -> Result<Crls, Failure> {
    load_crls(&mut Files::new(), paths).map_err(|error| Failure::new(error.to_string()))
}
