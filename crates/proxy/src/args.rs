//! The command line of `revouch-proxy`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use revouch_api::config::{LogFormat, LogLevel};
use revouch_api::documents::values::Span;

use crate::run::{Options, Overrides};

const EXAMPLE: &str = "\
An example: accept two named servers of a partner on port 8443, and hand their connections to a local socket.

  # revouch.yaml, with tls.crt and tls.key beside it
  apiVersion: revouch.dev/v1alpha1
  kind: Listener
  metadata: {name: api}
  spec:
    bind: [\"[::]:8443\"]
    tls: {certificates: [{certFile: tls.crt, keyFile: tls.key}]}
    routes:
    - {name: partners, upstream: {unix: /run/app.sock}}
  ---
  apiVersion: revouch.dev/v1alpha1
  kind: PeerPolicy
  metadata: {name: partners}
  spec:
    targetRefs: [{kind: Listener, name: api, sectionName: partners}]
    identity: {names: [gw1.partner.example, gw2.partner.example]}

  revouch-proxy --config revouch.yaml --check    # is everything right? what will be in force?
  revouch-proxy --config revouch.yaml            # run
  kill -HUP PID                                  # read everything again
  kill -TERM PID                                 # take no more connections, let the live ones end, exit

Every connection that ends gives one line with the verdict and its reason. docs/operations.md tells the rest:
signals, exit codes, log fields, metrics, a systemd unit.";

/// The longest `drain`.
const MAX_DRAIN: Duration = Duration::from_secs(24 * 3600);

/// Accepts connections of servers that DNS vouches for, and relays them to a service
#[derive(Debug, Parser)]
#[command(name = "revouch-proxy", version, after_long_help = EXAMPLE, max_term_width = 120)]
pub struct Args {
    /// The configuration: a YAML file with one or more documents, or a directory of such files
    #[arg(long, value_name = "FILE|DIR")]
    config: PathBuf,

    /// Validate the configuration and every file that it names, print warnings and the effective configuration, and exit: 0 if it can
    /// be run as it is, 2 if not
    #[arg(long)]
    check: bool,

    /// Serve /metrics, /livez and /readyz here, whatever ProxyConfig says
    #[arg(long, value_name = "IP:PORT")]
    metrics: Option<SocketAddr>,

    /// Write log lines so, whatever ProxyConfig says
    #[arg(long, value_name = "FORMAT", ignore_case = true)]
    log_format: Option<FormatWord>,

    /// Write diagnostics of this level and above, whatever ProxyConfig says
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<LevelWord>,

    /// Write the access log to this file instead of standard error, whatever ProxyConfig says
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,

    /// Use this many threads for connections (0: one for each processor), whatever ProxyConfig says
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Let live connections go on for this long after SIGTERM (as `30s` or `1h30m`), whatever ProxyConfig says
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    drain: Option<Duration>,

    /// Hold at most this many connections, whatever ProxyConfig says
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    max_connections: Option<usize>,
}

/// As `log.format` in documents.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatWord {
    /// One JSON object a line
    #[value(name = "Json")]
    Json,
    /// key=value pairs
    #[value(name = "Text")]
    Text,
}

/// As `log.level` in documents.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LevelWord {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Args {
    /// Whether `--check` was given.
    #[must_use]
    pub fn check(&self) -> bool {
        self.check
    }

    /// What the proxy is started with.
    #[must_use]
    pub fn into_options(self) -> Options {
        let overrides = Overrides {
            metrics: self.metrics,
            log_format: self.log_format.map(|format| match format {
                FormatWord::Json => LogFormat::Json,
                FormatWord::Text => LogFormat::Text,
            }),
            log_level: self.log_level.map(|level| match level {
                LevelWord::Error => LogLevel::Error,
                LevelWord::Warn => LogLevel::Warn,
                LevelWord::Info => LogLevel::Info,
                LevelWord::Debug => LogLevel::Debug,
                LevelWord::Trace => LogLevel::Trace,
            }),
            log_file: self.log_file,
            threads: self.threads,
            drain: self.drain,
            max_connections: self.max_connections,
        };
        Options { config: self.config, overrides }
    }
}

/// As `drain` in documents: at most a day.
fn duration(text: &str) -> Result<Duration, String> {
    let Span(duration) = text.parse().map_err(|error| format!("{error}"))?;
    if duration > MAX_DRAIN { Err("at most 24h".to_owned()) } else { Ok(duration) }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn options(arguments: &[&str]) -> Option<Options> {
        let arguments = ["revouch-proxy", "--config", "c"].iter().chain(arguments);
        Args::try_parse_from(arguments).ok().map(Args::into_options)
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }

    #[test]
    fn flags_have_the_values_of_the_documents() {
        let options = options(&[
            "--metrics",
            "127.0.0.1:0",
            "--log-format",
            "text",
            "--log-level",
            "debug",
            "--log-file",
            "a.log",
            "--threads",
            "2",
            "--drain",
            "1m30s",
            "--max-connections",
            "5",
        ]);
        let overrides = options.unwrap().overrides;
        assert_eq!(overrides.metrics, "127.0.0.1:0".parse().ok());
        assert_eq!(overrides.log_format, Some(LogFormat::Text));
        assert_eq!(overrides.log_level, Some(LogLevel::Debug));
        assert_eq!(overrides.log_file, Some("a.log".into()));
        assert_eq!(overrides.threads, Some(2));
        assert_eq!(overrides.drain, Some(Duration::from_secs(90)));
        assert_eq!(overrides.max_connections, Some(5));
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        for bad in [
            ["--drain", "25h"],
            ["--drain", "30"],
            ["--max-connections", "0"],
            ["--log-level", "off"],
            ["--log-format", "xml"],
            ["--metrics", "15020"],
            ["--threads", "-1"],
        ] {
            assert!(options(&bad).is_none(), "{bad:?}");
        }
    }
}
