//! Diagnostics: what the process says of itself, through `tracing`, to standard error.
//!
//! Connections are not reported here but in the access log. The lines go through the same kind of queue, so that a full pipe behind
//! standard error holds up nobody. Only the binary installs this; the library never touches the process-wide subscriber.

use std::io::{self, Write};

use revouch_api::config::{LogFormat, LogLevel};
use revouch_validator::timestamp::Timestamp;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::lines::{Lines, MAX_LINE};

/// Changes the level of diagnostics while the process runs.
#[derive(Clone)]
pub struct Level {
    handle: reload::Handle<LevelFilter, Registry>,
}

impl Level {
    /// Diagnostics of `level` and above are written from now on.
    pub fn set(&self, level: LogLevel) {
        // Fails only where the subscriber is gone, and with it everything that could be written.
        let _ = self.handle.reload(filter(level));
    }
}

/// A subscriber that writes to `lines`, and the means to change its level.
pub fn subscriber(
    lines: Lines,
    format: LogFormat,
    level: LogLevel,
) -> (impl tracing::Subscriber + Send + Sync, Level) {
    let (filter, handle) = reload::Layer::new(filter(level));
    let layer =
        fmt::layer().with_writer(Sink { lines }).with_ansi(false).with_timer(Clock).with_target(false);
    let layer = match format {
        LogFormat::Json => {
            layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
        LogFormat::Text => layer.boxed(),
    };
    (Registry::default().with(filter.and_then(layer)), Level { handle })
}

const fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut fmt::format::Writer<'_>) -> std::fmt::Result {
        write!(writer, "{}", now())
    }
}

/// The time of the system's clock; a clock before 1970 reads as 1970, at which nothing is valid.
#[must_use]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.unwrap_or_default().as_secs())
}

struct Sink {
    lines: Lines,
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = OneLine<'a>;

    fn make_writer(&'a self) -> OneLine<'a> {
        OneLine { lines: &self.lines, text: Vec::new() }
    }
}

/// Collects what is written of one event and hands it over when the event is done.
struct OneLine<'a> {
    lines: &'a Lines,
    text: Vec<u8>,
}

impl Write for OneLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // One more than a line may have is enough for it to be dropped as too long.
        let room = MAX_LINE.saturating_sub(self.text.len());
        self.text.extend(bytes.iter().take(room));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for OneLine<'_> {
    fn drop(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        while text.last() == Some(&b'\n') {
            text.pop();
        }
        if !text.is_empty() {
            self.lines.line(text);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use prometheus::IntCounter;

    use super::*;
    use crate::lines::Destination;

    fn written(format: LogFormat, body: impl FnOnce(&Level)) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let dropped = IntCounter::new("dropped", "Lines dropped.").unwrap();
        let (lines, writer) = Lines::start(&Destination::File(path.clone()), dropped).unwrap();
        let (subscriber, level) = subscriber(lines, format, LogLevel::Info);
        tracing::subscriber::with_default(subscriber, || body(&level));
        drop(level);
        writer.finish();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn json_lines_hold_level_message_and_fields() {
        let text = written(LogFormat::Json, |_| tracing::warn!(file = "a.pem", "key does not fit"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "key does not fit");
        assert_eq!(line["file"], "a.pem");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn the_level_can_be_changed_while_it_runs() {
        let text = written(LogFormat::Text, |level| {
            tracing::debug!("first");
            level.set(LogLevel::Debug);
            tracing::debug!("second");
        });
        assert!(!text.contains("first"), "{text}");
        assert!(text.contains("second"), "{text}");
    }
}
