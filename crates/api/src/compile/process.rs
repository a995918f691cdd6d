//! The `ProxyConfig`.

use std::time::Duration;

use super::report::Report;
use super::scope::Scope;
use crate::config::ProcessConfig;

const DAY: Duration = Duration::from_secs(86_400);
const MOST_THREADS: u32 = 1024;
const MOST_CONNECTIONS: u32 = 10_000_000;

/// Of the one `ProxyConfig`, or the defaults.
pub(super) fn compile<'d>(scope: &Scope<'d>, report: &mut Report<'d>) -> ProcessConfig {
    let default = ProcessConfig::default();
    let Some(of) = scope.processes.first() else { return default };
    let spec = of.spec;
    let log = spec.log.clone().unwrap_or_default();
    let threads = spec.threads.unwrap_or(0);
    if threads > MOST_THREADS {
        report.error(
            of.source,
            "spec.threads",
            format_args!("at most {MOST_THREADS}; 0 for as many as there are cores"),
        );
    }
    let drain = spec.drain.map_or(default.drain, |span| span.0);
    if drain > DAY {
        report.error(of.source, "spec.drain", "at most 24h");
    }
    let connections = spec.max_connections;
    if connections.is_some_and(|n| n == 0 || n > MOST_CONNECTIONS) {
        report.error(of.source, "spec.maxConnections", format_args!("between 1 and {MOST_CONNECTIONS}"));
    }
    ProcessConfig {
        metrics: spec.metrics.as_ref().and_then(|m| m.bind).map_or(default.metrics, |bind| bind.0),
        log_format: log.format.unwrap_or(default.log_format),
        log_level: log.level.unwrap_or(default.log_level),
        log_file: log.file.and_then(|file| file.0).map(|path| path.as_path().to_owned()),
        threads: usize::try_from(threads).unwrap_or(0),
        drain,
        max_connections: connections.and_then(|n| usize::try_from(n).ok()).unwrap_or(default.max_connections),
    }
}
