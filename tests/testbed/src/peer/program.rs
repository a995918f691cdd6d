//! The peers that are written here in other languages: built once, kept beside what cargo builds.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const GO: &str = include_str!("../../peers/go/peer.go");
const JAVA: &str = include_str!("../../peers/java/Peer.java");

/// Whether a program is in the search path.
#[allow(
    clippy::disallowed_methods,
    reason = "where the system looks for programs is told by its environment"
)]
pub(super) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// The Go peer; at the first call it is built.
pub(super) fn go() -> io::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build("go", "peer.go", GO, "peer", go_build));
    built.clone().map_err(io::Error::other)
}

/// The directory of the Java peer's class; at the first call it is built.
pub(super) fn java() -> io::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build("java", "Peer.java", JAVA, "Peer.class", javac));
    let class = built.clone().map_err(io::Error::other)?;
    Ok(class.parent().map(Path::to_owned).unwrap_or_default())
}

/// The standard library alone, and nothing from any network.
fn go_build(directory: &Path, cache: &Path) -> Command {
    let mut command = Command::new("go");
    command.args(["build", "-o", "peer", "peer.go"]).current_dir(directory);
    command
        .env("GO111MODULE", "off")
        .env("GOPROXY", "off")
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0");
    command.env("GOFLAGS", "").env("GOCACHE", cache.join("go-build"));
    command
}

fn javac(directory: &Path, _: &Path) -> Command {
    let mut command = Command::new("javac");
    command.args(["-d", ".", "Peer.java"]).current_dir(directory);
    command
}

/// Builds `source` unless the same source was built before, by whichever process, and gives the path of `product`.
fn build(
    language: &str,
    file: &str,
    source: &str,
    product: &str,
    compiler: fn(&Path, &Path) -> Command,
) -> Result<PathBuf, String> {
    let told = |error: io::Error| format!("the {language} peer: {error}");
    let cache = cache().map_err(told)?;
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    let home = cache.join(format!("{language}-{:016x}", hasher.finish()));
    let built = home.join(product);
    if built.is_file() {
        return Ok(built);
    }
    // Beside it, then renamed as a whole: another process may be at the same.
    let workshop = tempfile::Builder::new().prefix("build-").tempdir_in(&cache).map_err(told)?;
    std::fs::write(workshop.path().join(file), source).map_err(told)?;
    let output = compiler(workshop.path(), &cache).output().map_err(told)?;
    if !output.status.success() {
        return Err(format!("the {language} peer: {}", String::from_utf8_lossy(&output.stderr)));
    }
    if let Err(error) = std::fs::rename(workshop.path(), &home) {
        return if built.is_file() { Ok(built) } else { Err(told(error)) };
    }
    Ok(built)
}

/// `revouch-peers` beside the `deps` of the running test.
fn cache() -> io::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test.ancestors().nth(2).ok_or(io::ErrorKind::NotFound)?;
    let cache = profile.join("revouch-peers");
    std::fs::create_dir_all(&cache)?;
    Ok(cache)
}
