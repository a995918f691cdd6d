//! The recursive servers: unbound and BIND, each once validating and once not.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::table::Zone;
use super::{BedError, spawn};
use crate::process::Process;

/// A recursive server of the bed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recursive {
    /// Unbound, validating.
    Unbound,
    /// BIND, validating.
    Bind,
    /// Unbound without its validator.
    PlainUnbound,
    /// BIND with `dnssec-validation no`.
    PlainBind,
}

impl Recursive {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unbound, Self::Bind, Self::PlainUnbound, Self::PlainBind];

    /// Whether its AD bit means something.
    #[must_use]
    pub fn validates(self) -> bool {
        matches!(self, Self::Unbound | Self::Bind)
    }

    /// Its name in files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unbound => "unbound",
            Self::Bind => "bind",
            Self::PlainUnbound => "plain-unbound",
            Self::PlainBind => "plain-bind",
        }
    }
}

/// What BIND is told not to support: an algorithm that the product cannot check either (unbound and `delv` can), and those with SHA-1, as
/// RFC 9905 section 2 demands of whoever runs a validator.
const UNSUPPORTED: &str = "disable-algorithms . { RSASHA1; NSEC3RSASHA1; ED448; };";

/// What a recursive server must know.
pub(super) struct Plan<'a> {
    pub(super) directory: &'a Path,
    pub(super) address: SocketAddr,
    pub(super) zones: &'a [Zone],
    /// Address of the server of each zone, in the order of `zones`.
    pub(super) servers: &'a [SocketAddr],
    /// Whether a root hint is enough.
    pub(super) by_delegations: bool,
    /// The root's key, `. IN DNSKEY …`.
    pub(super) anchor: &'a str,
}

/// Starts the server. It may not answer yet.
pub(super) fn start(recursive: Recursive, plan: &Plan<'_>) -> Result<Process, BedError> {
    match recursive {
        Recursive::Unbound | Recursive::PlainUnbound => unbound(recursive, plan),
        Recursive::Bind | Recursive::PlainBind => bind(recursive, plan),
    }
}

impl Plan<'_> {
    fn root_server(&self) -> Option<SocketAddr> {
        let root = self.zones.iter().position(|zone| zone.name == ".")?;
        self.servers.get(root).copied()
    }

    fn hints(&self, recursive: Recursive) -> Result<String, BedError> {
        let root = self.root_server().ok_or_else(|| BedError::new("the table has no root"))?;
        let path = self.directory.join(format!("{}.hints", recursive.name()));
        fs::write(&path, format!(". 3600000 NS ns.\nns. 3600000 A {}\n", root.ip()))?;
        Ok(path.display().to_string())
    }
}

/// `harden-below-nxdomain` is off, unlike by default: with it a name below an alias that leads nowhere is denied by whatever denied the alias's end, which
/// proves nothing about it, and only if the alias happens to be in the cache.
fn unbound(recursive: Recursive, plan: &Plan<'_>) -> Result<Process, BedError> {
    let name = recursive.name();
    let directory = plan.directory.display();
    let anchor = plan.directory.join(format!("{name}.anchor"));
    fs::write(&anchor, format!("{}\n", plan.anchor))?;
    let (modules, trust) = if recursive.validates() {
        ("validator iterator", format!("  trust-anchor-file: \"{}\"\n", anchor.display()))
    } else {
        ("iterator", String::new())
    };
    let mut text = format!(
        "server:\n  directory: \"{directory}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  do-daemonize: no\n  \
           use-syslog: no\n  logfile: \"\"\n  verbosity: 1\n  val-log-level: 2\n  \
           interface: {ip}\n  port: {port}\n  access-control: 127.0.0.0/8 allow\n  do-ip6: no\n  \
           do-not-query-localhost: no\n  module-config: \"{modules}\"\n  trust-anchor-signaling: no\n  \
           root-key-sentinel: no\n  num-threads: 1\n  outgoing-range: 900\n  num-queries-per-thread: 4096\n  \
           jostle-timeout: 10000\n  so-rcvbuf: 1m\n  unblock-lan-zones: yes\n  harden-below-nxdomain: no\n  target-fetch-policy: \"0 0 0 0 0\"\n{trust}",
        ip = plan.address.ip(),
        port = plan.address.port(),
    );
    // What unbound answers by itself unless told otherwise (RFC 6303, RFC 6761).
    for zone in plan.zones {
        let _ = writeln!(text, "  local-zone: \"{}\" nodefault", zone.name);
    }
    if plan.by_delegations {
        let _ = writeln!(text, "  root-hints: \"{}\"", plan.hints(recursive)?);
    }
    text += "remote-control:\n  control-enable: no\n";
    if !plan.by_delegations {
        for (zone, server) in plan.zones.iter().zip(plan.servers) {
            let _ = writeln!(
                text,
                "stub-zone:\n  name: \"{}\"\n  stub-addr: {}@{}",
                zone.name,
                server.ip(),
                server.port()
            );
        }
    }
    let config = plan.directory.join(format!("{name}.conf"));
    fs::write(&config, text)?;
    spawn("unbound", &["-d", "-c", &config.display().to_string()])
}

fn bind(recursive: Recursive, plan: &Plan<'_>) -> Result<Process, BedError> {
    let name = recursive.name();
    let home = plan.directory.join(name);
    fs::create_dir_all(&home)?;
    let validation = if recursive.validates() { "yes" } else { "no" };
    let mut text = format!(
        "options {{\n\
           directory \"{home}\"; pid-file none; session-keyfile none; lock-file none;\n\
           port {common_port}; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }};\n\
           recursion yes; allow-recursion {{ any; }}; allow-query {{ any; }}; empty-zones-enable no;\n\
           {UNSUPPORTED} dnssec-validation {validation}; trust-anchor-telemetry no; notify no;\n\
           max-records-per-type 0; recursive-clients 10000; clients-per-query 0; max-clients-per-query 0; max-recursion-queries 200;\n\
         }};\n\
         controls {{ }};\n\
         zone \".\" {{ type hint; file \"{hints}\"; }};\n",
        home = home.display(),
        ip = plan.address.ip(),
        port = plan.address.port(),
        // The port that questions go to.
        common_port = plan.root_server().map_or(53, |server| server.port()),
        hints = plan.hints(recursive)?,
    );
    if recursive.validates() {
        let _ = writeln!(text, "{}", anchors_clause(plan.anchor)?);
    }
    let config = plan.directory.join(format!("{name}.conf"));
    fs::write(&config, text)?;
    // The bed has no IPv6.
    spawn("named", &["-g", "-4", "-n", "1", "-c", &config.display().to_string()])
}

/// The root's key as BIND's programs want it.
pub(super) fn anchors_clause(anchor: &str) -> Result<String, BedError> {
    let (_, data) =
        anchor.split_once(" DNSKEY ").ok_or_else(|| BedError::new("the anchor is no DNSKEY record"))?;
    let mut words = data.split_whitespace();
    let [Some(flags), Some(protocol), Some(algorithm)] = [words.next(), words.next(), words.next()] else {
        return Err(BedError::new("the anchor is cut short"));
    };
    let key: String = words.collect();
    Ok(format!("trust-anchors {{ . static-key {flags} {protocol} {algorithm} \"{key}\"; }};"))
}
