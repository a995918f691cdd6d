//! The authoritative servers: BIND, Knot and NSD, each with its share of the zones.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::table::{Authority, Zone};
use super::{BedError, spawn};
use crate::process::Process;

/// How one server is configured and started.
pub(super) struct Plan<'a> {
    pub(super) directory: &'a Path,
    pub(super) address: SocketAddr,
    /// Each zone with its file.
    pub(super) zones: Vec<(&'a Zone, &'a Path)>,
}

/// Starts the server. It may not answer yet.
pub(super) fn start(authority: Authority, plan: &Plan<'_>) -> Result<Process, BedError> {
    match authority {
        Authority::Bind => bind(plan),
        Authority::Knot => knot(plan),
        Authority::Nsd => nsd(plan),
    }
}

/// The zones of one server, with their files.
pub(super) fn share<'a>(
    authority: Authority,
    zones: &'a [Zone],
    files: &'a BTreeMap<String, PathBuf>,
) -> Vec<(&'a Zone, &'a Path)> {
    let own = zones.iter().filter(|zone| zone.authority == authority);
    own.filter_map(|zone| Some((zone, files.get(&zone.name)?.as_path()))).collect()
}

fn bind(plan: &Plan<'_>) -> Result<Process, BedError> {
    let mut text = format!(
        "options {{\n\
           directory \"{directory}\"; pid-file none; session-keyfile none; lock-file none;\n\
           port {port}; listen-on {{ {ip}; }}; listen-on-v6 {{ none; }};\n\
           recursion no; dnssec-validation no; notify no; check-names primary ignore; check-integrity no;\n\
         }};\n\
         controls {{ }};\n",
        directory = plan.directory.display(),
        ip = plan.address.ip(),
        port = plan.address.port(),
    );
    for (zone, file) in &plan.zones {
        let _ = writeln!(text, "zone \"{}\" {{ type primary; file \"{}\"; }};", zone.name, file.display());
    }
    let config = plan.directory.join("authority-bind.conf");
    fs::write(&config, text)?;
    spawn("named", &["-g", "-n", "1", "-c", &config.display().to_string()])
}

fn knot(plan: &Plan<'_>) -> Result<Process, BedError> {
    let config = plan.directory.join("authority-knot.conf");
    let mut text = knot_head(plan.directory, Some(plan.address));
    text += "zone:\n";
    for (zone, file) in &plan.zones {
        let _ = writeln!(text, "  - domain: \"{}\"\n    file: \"{}\"", zone.name, file.display());
        if zone.by_knot {
            text += "    dnssec-signing: on\n    dnssec-policy: costly\n";
        }
    }
    fs::write(&config, text)?;
    spawn("knotd", &["-c", &config.display().to_string()])
}

/// Writes what `keymgr` must know before there are zone files.
pub(super) fn knot_keys_config(directory: &Path, zones: &[Zone]) -> Result<PathBuf, BedError> {
    fs::create_dir_all(directory.join("knot"))?;
    let config = directory.join("knot-keys.conf");
    let signed = zones.iter().filter(|zone| zone.by_knot);
    let signed = signed.map(|zone| format!("  - domain: \"{}\"\n    dnssec-policy: costly\n", zone.name));
    fs::write(&config, format!("{}zone:\n{}", knot_head(directory, None), signed.collect::<String>()))?;
    Ok(config)
}

fn knot_head(directory: &Path, listen: Option<SocketAddr>) -> String {
    let directory = directory.display();
    let listen = listen.map(|address| format!("    listen: {}@{}\n", address.ip(), address.port()));
    format!(
        "server:\n    rundir: \"{directory}\"\n    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n{listen}\
         database:\n    storage: \"{directory}/knot\"\n    \
             journal-db-max-size: 20M\n    kasp-db-max-size: 20M\n    timer-db-max-size: 20M\n\
         log:\n  - target: stderr\n    any: warning\n\
         policy:\n  - id: costly\n    manual: on\n    single-type-signing: on\n    nsec3: on\n    nsec3-iterations: 151\n    nsec3-salt-length: 0\n\
         template:\n  - id: default\n    zonefile-sync: -1\n    journal-content: none\n",
        listen = listen.unwrap_or_default(),
    )
}

fn nsd(plan: &Plan<'_>) -> Result<Process, BedError> {
    let directory = plan.directory.display();
    let mut text = format!(
        "server:\n  ip-address: {ip}@{port}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{directory}\"\n  \
           database: \"\"\n  pidfile: \"\"\n  xfrdfile: \"\"\n  zonelistfile: \"{directory}/nsd.zones\"\n  \
           xfrdir: \"{directory}\"\n  server-count: 1\n  rrl-ratelimit: 0\n  rrl-whitelist-ratelimit: 0\n  \
           minimal-responses: no\n\
         remote-control:\n  control-enable: no\n",
        ip = plan.address.ip(),
        port = plan.address.port(),
    );
    for (zone, file) in &plan.zones {
        let _ = writeln!(text, "zone:\n  name: \"{}\"\n  zonefile: \"{}\"", zone.name, file.display());
    }
    let config = plan.directory.join("authority-nsd.conf");
    fs::write(&config, text)?;
    spawn("nsd", &["-d", "-c", &config.display().to_string()])
}
