//! Access-log lines of the proxy, read back: JSON objects or `key=value` pairs, as `docs/operations.md` describes them.
//!
//! Promises: whatever stands in a line comes out as printable ASCII; a line without `source` and `outcome` is none.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use revouch_validator::escape::escape;
use revouch_validator::reason::Reason;

/// The most fields that are read of one line.
const MAX_FIELDS: usize = 64;

/// One connection that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    fields: BTreeMap<String, String>,
}

impl LogLine {
    /// Reads a line of either form.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let fields = if line.starts_with('{') { json(line) } else { pairs(line) }?;
        let line = Self { fields };
        (line.get("outcome").is_some() && line.source().is_some()).then_some(line)
    }

    /// A field's text; what the peer controls in it is escaped.
    pub(crate) fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.get("source")?.parse().ok()
    }

    pub(crate) fn source_port(&self) -> u16 {
        self.get("source_port").and_then(|port| port.parse().ok()).unwrap_or(0)
    }

    /// The port that the peer came to; 0 if the line does not tell.
    pub(crate) fn local_port(&self) -> u16 {
        self.get("local").and_then(|local| local.parse::<SocketAddr>().ok()).map_or(0, |local| local.port())
    }

    /// Why it was refused, if the word is one that is known here.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.get("reason")?.parse().ok()
    }

    pub(crate) fn is_accepted(&self) -> bool {
        self.get("outcome") == Some("accepted")
    }

    pub(crate) fn fields(&self) -> &BTreeMap<String, String> {
        &self.fields
    }
}

fn json(line: &str) -> Option<BTreeMap<String, String>> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
    let texts = object.into_iter().take(MAX_FIELDS).filter_map(|(name, value)| {
        let text = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                return None;
            }
            number_or_flag => number_or_flag.to_string(),
        };
        Some((printable(&name), printable(&text)))
    });
    Some(texts.collect())
}

/// `key=value key="value with \" and \\"`.
fn pairs(line: &str) -> Option<BTreeMap<String, String>> {
    let mut fields = BTreeMap::new();
    let mut rest = line;
    while !rest.is_empty() && fields.len() < MAX_FIELDS {
        let (name, behind) = rest.split_once('=')?;
        let (value, behind) = match behind.strip_prefix('"') {
            Some(quoted) => {
                let end = closing_quote(quoted)?;
                (quoted.get(..end)?, quoted.get(end + 1..)?)
            }
            None => behind.split_once(' ').unwrap_or((behind, "")),
        };
        fields.insert(printable(name.trim()), printable(value));
        rest = behind.trim_start();
    }
    Some(fields)
}

/// Where the `"` stands that no `\` precedes.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// The proxy has escaped what it wrote, and that must not be done twice; a file may come from elsewhere.
fn printable(text: &str) -> String {
    let safe = text.len() <= 1024 && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if safe { text.to_owned() } else { escape(text) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const TEXT: &str = r#"time=2026-11-24T06:59:59.042Z sni="a\"b\\c d" source=192.0.2.7 source_port=4711 local=198.51.100.1:5269 outcome=refused reason=no_ptr handshake_ms=12.034"#;

    #[test]
    fn both_forms_give_the_same_fields() {
        let text = LogLine::parse(TEXT).unwrap();
        assert_eq!(text.get("sni"), Some(r#"a\"b\\c d"#));
        let json = r#"{"time":"2026-11-24T06:59:59.042Z","sni":"a\\\"b\\\\c d","source":"192.0.2.7","source_port":4711,"local":"198.51.100.1:5269","outcome":"refused","reason":"no_ptr","handshake_ms":12.034}"#;
        assert_eq!(LogLine::parse(json).unwrap(), text);
        assert_eq!((text.reason(), text.source_port(), text.local_port()), (Some(Reason::NoPtr), 4711, 5269));
    }

    #[test]
    fn what_was_not_escaped_is_escaped_now() {
        let line =
            LogLine::parse("{\"source\":\"::1\",\"outcome\":\"refused\",\"sni\":\"\\u001b[2J\"}").unwrap();
        assert_eq!(line.get("sni"), Some("\\027[2J"));
    }

    #[test]
    fn other_lines_are_none() {
        for line in [
            "",
            "hello",
            "a=\"b",
            "{}",
            "[1]",
            "outcome=refused",
            "{\"source\":\"x\",\"outcome\":\"refused\"}",
        ] {
            assert_eq!(LogLine::parse(line), None, "{line}");
        }
    }
}
