//! A real validating resolver in front of the lab: unbound, with the lab's root as its only trust anchor.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use revouch_lab::{LabError, Server, Universe, reverse_name};
use tempfile::TempDir;

use crate::process::{Process, free_port, temp_dir};
use crate::wait::eventually;

/// Time for unbound to start.
const START: Duration = Duration::from_secs(15);
/// What it logs once it answers.
const STARTED: &str = "start of service";
/// Attempts to start it, each with another port.
const ATTEMPTS: usize = 5;
/// Where distributions put it: often not on an ordinary user's path.
const PROGRAMS: [&str; 3] = ["unbound", "/usr/sbin/unbound", "/usr/local/sbin/unbound"];

/// Why there is no unbound.
#[derive(Debug)]
pub enum UnboundError {
    /// It is not installed: `cargo xtask setup` does that.
    NotInstalled,
    /// It did not start; what it said.
    DidNotStart(String),
    /// A file or process could not be handled.
    Io(io::Error),
    /// The trust anchor could not be written.
    Lab(LabError),
}

impl fmt::Display for UnboundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled => f.write_str("unbound is not installed; run `cargo xtask setup`"),
            Self::DidNotStart(said) => write!(f, "unbound did not start: {said}"),
            Self::Io(error) => write!(f, "unbound: {error}"),
            Self::Lab(error) => write!(f, "unbound: {error}"),
        }
    }
}

impl std::error::Error for UnboundError {}

impl From<io::Error> for UnboundError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A running unbound. Dropping it ends it and removes its files.
pub struct Unbound {
    address: SocketAddr,
    process: Process,
    _directory: TempDir,
}

impl Unbound {
    /// Starts unbound on 127.0.0.1 with everything forwarded to the lab's server.
    ///
    /// # Errors
    /// See [`UnboundError`]; `NotInstalled` is the one for which a test may be skipped, aloud.
    pub async fn start(universe: &Universe, upstream: &Server) -> Result<Self, UnboundError> {
        Self::start_with(universe, upstream.address(), "").await
    }

    /// As [`start`](Self::start), to any upstream, with further lines for the `server:` clause.
    ///
    /// # Errors
    /// See [`UnboundError`].
    pub async fn start_with(
        universe: &Universe,
        upstream: SocketAddr,
        extra: &str,
    ) -> Result<Self, UnboundError> {
        let mut said = String::new();
        for _ in 0..ATTEMPTS {
            let directory = temp_dir()?;
            let address = free_port(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
            let anchor = directory.path().join("root.anchor");
            universe.write_trust_anchor(&anchor).map_err(UnboundError::Lab)?;
            let config = directory.path().join("unbound.conf");
            let text = configuration(address, upstream, &directory.path().display().to_string(), extra);
            std::fs::write(&config, text)?;
            let process = spawn(&config)?;
            let started = process.wait_for_stderr(START, |line| line.contains(STARTED)).await;
            if started.is_some() {
                return Ok(Self { address, process, _directory: directory });
            }
            said = process.stderr().join("\n");
        }
        Err(UnboundError::DidNotStart(said))
    }

    /// Where it answers, over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes it forget all that it has learnt. Nothing may be asked of it meanwhile.
    ///
    /// # Errors
    /// It does not come back.
    pub async fn forget(&self) -> Result<(), UnboundError> {
        let starts = || self.process.stderr().iter().filter(|line| line.contains(STARTED)).count();
        let before = starts();
        self.process.signal("HUP")?;
        if eventually(START, || starts() > before).await {
            return Ok(());
        }
        Err(UnboundError::DidNotStart(self.process.stderr().join("\n")))
    }

    /// What it logged so far; says why an answer is bogus.
    pub fn log(&self) -> Vec<String> {
        self.process.stderr()
    }
}

fn spawn(config: &std::path::Path) -> Result<Process, UnboundError> {
    for program in PROGRAMS {
        match Process::spawn(Command::new(program).arg("-d").arg("-c").arg(config)) {
            Ok(process) => return Ok(process),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(UnboundError::NotInstalled)
}

fn configuration(address: SocketAddr, upstream: SocketAddr, directory: &str, extra: &str) -> String {
    // These are answered by unbound itself unless told otherwise (RFC 6303, RFC 6761).
    let loopback6 = reverse_name(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST));
    let unblocked: String = ["test", "invalid", "127.in-addr.arpa", &loopback6]
        .into_iter()
        .map(|zone| format!("  local-zone: \"{zone}.\" nodefault\n"))
        .collect();
    format!(
        "server:\n  \
           directory: \"{directory}\"\n  \
           chroot: \"\"\n  \
           username: \"\"\n  \
           pidfile: \"\"\n  \
           do-daemonize: no\n  \
           use-syslog: no\n  \
           logfile: \"\"\n  \
           verbosity: 1\n  \
           val-log-level: 2\n  \
           interface: {ip}\n  \
           port: {port}\n  \
           access-control: 127.0.0.0/8 allow\n  \
           do-not-query-localhost: no\n  \
           module-config: \"validator iterator\"\n  \
           trust-anchor-file: \"{directory}/root.anchor\"\n  \
           trust-anchor-signaling: no\n  \
           root-key-sentinel: no\n  \
           qname-minimisation: no\n  \
           num-threads: 1\n  \
           outgoing-range: 256\n  \
           num-queries-per-thread: 128\n\
         {unblocked}{extra}\n\
         remote-control:\n  control-enable: no\n\
         forward-zone:\n  name: \".\"\n  forward-addr: {upstream_ip}@{upstream_port}\n",
        ip = address.ip(),
        port = address.port(),
        upstream_ip = upstream.ip(),
        upstream_port = upstream.port(),
    )
}
