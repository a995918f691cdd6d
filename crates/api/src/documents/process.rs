//! `ProxyConfig`: the process itself.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::section::{sections, whole, words};
use super::values::{FilePath, SocketAddress, Span};

sections! {
    /// `spec` of a `ProxyConfig`.
    ProxyConfigSpec {
        /// Where `/metrics`, `/livez` and `/readyz` are served.
        metrics: MetricsSection,
        /// Where the log goes.
        log: LogSection,
        /// Worker threads; 0 for as many as there are cores.
        threads: u32,
        /// How long live connections may go on after SIGTERM.
        drain: Span,
        /// Connections at a time, of all listeners.
        max_connections: u32,
    }

    /// `metrics`.
    MetricsSection {
        /// The address.
        bind: SocketAddress,
    }

    /// `log`.
    LogSection {
        /// How a line looks.
        format: LogFormat,
        /// The least important line that is written.
        level: LogLevel,
        /// The file; standard error if left out or null.
        file: LogFile,
    }
}

words! {
    /// How a log line looks.
    LogFormat {
        /// One JSON object a line.
        Json,
        /// `key=value`.
        Text,
    }
    /// The least important line that is written.
    LogLevel {
        /// Only what failed.
        Error = "error",
        /// And what is unwise.
        Warn = "warn",
        /// And what happens.
        Info = "info",
        /// And how.
        Debug = "debug",
        /// And every step.
        Trace = "trace",
    }
}

/// `log.file`: a path, or null for standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogFile(pub Option<FilePath>);

whole! { SocketAddress, LogFile }

impl ProxyConfigSpec {
    pub(crate) fn resolve_paths(&mut self, base: &Path) {
        let file = self.log.as_mut().and_then(|log| log.file.as_mut()).and_then(|file| file.0.as_mut());
        if let Some(path) = file {
            path.resolve(base);
        }
    }
}
