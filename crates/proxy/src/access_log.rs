//! The access log: one structured line for each connection that ended, but for those that limits turn away in numbers.
//!
//! Promises: a line is one line whatever the peer sent, because every text passes through [`escape`] before it is written;
//! writing never blocks ([`crate::lines`]); and an identity that the peer has not proven, because the handshake did not end, stands
//! under `claimed_identity` and never under `identity`. The fields are listed in `docs/operations.md`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use revouch_api::config::LogFormat;
use revouch_validator::escape::{MAX_ESCAPED, escape};
use revouch_validator::timestamp::Timestamp;

use crate::lines::Lines;

/// What a line takes, so that it need not grow: some octets more than one of an accepted peer has.
const USUAL_LINE: usize = 1024;

/// Writes lines in the configured form.
pub struct AccessLog {
    /// Held for as long as it takes to put a line into a queue, or to change where that queue leads.
    lines: RwLock<Lines>,
    format: LogFormat,
}

/// The line of one connection, as fields in the order in which they are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    fields: Vec<(&'static str, Value)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    /// Escaped, or a word of the program.
    Text(Cow<'static, str>),
    Number(u64),
    /// Milliseconds, written with three decimals.
    Milliseconds(Duration),
    Bool(bool),
}

impl AccessLog {
    /// A log that writes to `lines`.
    #[must_use]
    pub fn new(lines: Lines, format: LogFormat) -> Self {
        Self { lines: RwLock::new(lines), format }
    }

    /// Writes one line. Never blocks; a line that does not fit into the queue is dropped and counted.
    pub fn write(&self, line: &Line) {
        self.lines.read().unwrap_or_else(PoisonError::into_inner).line(self.text(line));
    }

    /// As [`write`](Self::write), for a connection that anybody can make: never in the way of other lines.
    pub fn write_of_anybody(&self, line: &Line) {
        self.lines.read().unwrap_or_else(PoisonError::into_inner).line_of_anybody(self.text(line));
    }

    fn text(&self, line: &Line) -> Vec<u8> {
        match self.format {
            LogFormat::Json => line.json(),
            LogFormat::Text => line.text(),
        }
        .into_bytes()
    }

    /// Writes to `lines` from the next line on.
    pub fn redirect(&self, lines: Lines) {
        *self.lines.write().unwrap_or_else(PoisonError::into_inner) = lines;
    }
}

impl Line {
    /// A line that begins with the time at which the connection ended.
    #[must_use]
    pub fn new(ended: SystemTime) -> Self {
        let mut line = Self { fields: Vec::with_capacity(32) };
        line.fields.push(("time", Value::Text(rfc3339_millis(ended).into())));
        line
    }

    /// Adds a text, escaped.
    pub fn text_field(&mut self, name: &'static str, value: impl AsRef<[u8]>) {
        self.fields.push((name, Value::Text(escape(value).into())));
    }

    /// Adds a text that is printable already, such as a DNS name in presentation format or an escaped subject. One that is not is
    /// escaped after all; one that is too long is cut.
    pub fn printable_field(&mut self, name: &'static str, value: &str) {
        let value = match escaped_start(value) {
            None => escape(value),
            Some(whole) if whole.len() == value.len() => value.to_owned(),
            Some(start) => format!("{start}..."),
        };
        self.fields.push((name, Value::Text(value.into())));
    }

    /// Adds a word of a closed list, if there is one: printable ASCII without `\\` and `"`, as the program itself has it.
    pub fn word(&mut self, name: &'static str, value: impl Into<Option<&'static str>>) {
        if let Some(value) = value.into() {
            self.fields.push((name, Value::Text(Cow::Borrowed(value))));
        }
    }

    /// Adds a text, escaped, if there is one.
    pub fn optional_text(&mut self, name: &'static str, value: Option<impl AsRef<[u8]>>) {
        if let Some(value) = value {
            self.text_field(name, value);
        }
    }

    /// Adds a number.
    pub fn number(&mut self, name: &'static str, value: u64) {
        self.fields.push((name, Value::Number(value)));
    }

    /// Adds a yes or no.
    pub fn flag(&mut self, name: &'static str, value: bool) {
        self.fields.push((name, Value::Bool(value)));
    }

    /// Adds a time span in milliseconds.
    pub fn milliseconds(&mut self, name: &'static str, value: Duration) {
        self.fields.push((name, Value::Milliseconds(value)));
    }

    /// Adds an address as `NAME` and its port as `NAME_port`.
    pub fn source(&mut self, source: SocketAddr) {
        let ip: IpAddr = source.ip().to_canonical();
        self.text_field("source", ip.to_string());
        self.number("source_port", u64::from(source.port()));
    }

    /// As a JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        let mut out = String::with_capacity(USUAL_LINE);
        out.push('{');
        for (index, (name, value)) in self.fields.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            for part in [comma, "\"", name, "\":"] {
                out.push_str(part);
            }
            match value {
                Value::Text(text) => push_json(&mut out, text),
                other => other.push_unquoted(&mut out),
            }
        }
        out.push('}');
        out
    }

    /// As `key=value` pairs; texts that hold anything but letters, digits and `.:/_-*+` are quoted.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::with_capacity(USUAL_LINE);
        for (index, (name, value)) in self.fields.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            for part in [space, name, "="] {
                out.push_str(part);
            }
            match value {
                Value::Text(text) if !is_bare(text) => {
                    for part in ["\"", text, "\""] {
                        out.push_str(part);
                    }
                }
                other => other.push_unquoted(&mut out),
            }
        }
        out
    }
}

impl Value {
    fn push_unquoted(&self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Text(text) => write!(out, "{text}"),
            Self::Number(number) => write!(out, "{number}"),
            Self::Milliseconds(time) => {
                let micros = time.as_micros();
                write!(out, "{}.{:03}", micros / 1000, micros % 1000)
            }
            Self::Bool(flag) => write!(out, "{flag}"),
        };
    }
}

/// Appends escaped text as a JSON string. It is printable ASCII in which `\` and `"` stand behind a `\`: both need another.
fn push_json(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '"']) {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        out.push('\\');
        let (odd, behind) = from.split_at(1);
        out.push_str(odd);
        rest = behind;
    }
    out.push_str(rest);
    out.push('"');
}

/// Of a text that [`escape`] could have made, printable ASCII with every quote behind a backslash and none at the end, as much as
/// a field may hold, cut behind a whole octet; `None` of any other.
fn escaped_start(text: &str) -> Option<&str> {
    // How many digits may still belong to the `\DDD` that was begun.
    let (mut open, mut fits) = (0_u8, 0);
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        let end = match byte {
            b'\\' => {
                let (at, next) = bytes.next().filter(|(_, next)| (0x20..=0x7e).contains(next))?;
                open = if next.is_ascii_digit() { 2 } else { 0 };
                at + 1
            }
            b'"' => return None,
            0x20..=0x7e => {
                open = if byte.is_ascii_digit() { open.saturating_sub(1) } else { 0 };
                at + 1
            }
            _ => return None,
        };
        if open == 0 && end <= MAX_ESCAPED {
            fits = end;
        }
    }
    // What `escape` has cut is a little longer: the last octet may take four characters, and the ellipsis three.
    if text.len() <= MAX_ESCAPED + 6 { Some(text) } else { text.get(..fits) }
}

fn is_bare(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".:/_-*+".contains(&b))
}

fn rfc3339_millis(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = Timestamp(since.as_secs()).to_string();
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), since.subsec_millis())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn line() -> Line {
        let mut line = Line::new(UNIX_EPOCH + Duration::from_millis(1_795_503_599_042));
        line.text_field("sni", "a\"b\\c\n{\u{202e}\u{1b}[31m");
        line.optional_text("policy", None::<&str>);
        line.source("[::ffff:192.0.2.7]:4711".parse().unwrap());
        line.milliseconds("handshake_ms", Duration::from_micros(12_034));
        line.flag("relayed", true);
        line
    }

    #[test]
    fn hostile_text_stays_inside_its_json_string() {
        let text = line().json();
        assert!(text.bytes().all(|b| (0x20..0x7f).contains(&b)), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["sni"], "a\\\"b\\\\c\\010{\\226\\128\\174\\027[31m");
        assert_eq!(value["source"], "192.0.2.7");
        assert_eq!(value["source_port"], 4711);
        assert_eq!(value["handshake_ms"], 12.034);
        assert_eq!(value["time"], "2026-11-24T06:59:59.042Z");
        assert_eq!(value["relayed"], true);
        assert!(value.get("policy").is_none());
    }

    #[test]
    fn hostile_text_stays_inside_its_quotes() {
        assert_eq!(
            line().text(),
            "time=2026-11-24T06:59:59.042Z sni=\"a\\\"b\\\\c\\010{\\226\\128\\174\\027[31m\" source=192.0.2.7 \
             source_port=4711 handshake_ms=12.034 relayed=true"
        );
    }

    #[test]
    fn printable_text_is_escaped_once_and_other_text_all_the_same() {
        let shown = |text: &str| {
            let mut line = Line::new(UNIX_EPOCH);
            line.printable_field("x", text);
            serde_json::from_str::<serde_json::Value>(&line.json()).unwrap()["x"].as_str().unwrap().to_owned()
        };
        for printable in
            ["gw1.partner.example", "CN=Ann \\226\\128\\174", "a\\\"b", "a\\\\", &escape(vec![0; 1000])]
        {
            assert_eq!(shown(printable), printable);
        }
        for other in ["a\nb", "a\"b", "a\\", "a\\\\\"", "\\1\"x", "\\\u{202e}"] {
            assert_eq!(shown(other), escape(other));
        }
        assert_eq!(shown(&"x".repeat(1000)), escape("x".repeat(1000)));
        for at in 0..4 {
            let cut = shown(&format!("{}{}", "x".repeat(at), "\\007".repeat(200)));
            let octets = cut.strip_prefix(&"x".repeat(at)).unwrap().strip_suffix("...").unwrap();
            assert_eq!(octets, "\\007".repeat(octets.len() / 4), "cut between octets");
            assert!(cut.len() > 500 && cut.len() < 520, "{}", cut.len());
        }
    }

    #[test]
    fn a_long_name_is_cut() {
        let mut line = Line::new(UNIX_EPOCH);
        line.text_field("sni", vec![b'"'; 1_000_000]);
        assert!(line.json().len() < 4096);
    }
}
