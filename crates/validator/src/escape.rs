//! Peer-controlled text made safe to print: printable ASCII only, bounded in length.
//!
//! Names from a PTR answer, subjects of certificates and server names of a ClientHello are written by whoever wants to
//! be let in. Nothing of them reaches a log, a terminal or a status without passing through here.

use std::fmt::Write as _;

/// The longest text, in bytes, that [`escape`] gives out before it cuts.
pub const MAX_ESCAPED: usize = 512;

/// Returns `bytes` as printable ASCII of at most [`MAX_ESCAPED`] bytes and an ellipsis.
///
/// Printable ASCII other than `\` and `"` stays as it is; every other byte becomes `\DDD` as in the presentation format of
/// RFC 1035 section 5.1 (`\\` and `\"` for those two), so that no control character, bidirectional mark or quote survives.
#[must_use]
pub fn escape(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    let mut out = String::with_capacity(bytes.len().min(MAX_ESCAPED));
    for &byte in bytes {
        if out.len() >= MAX_ESCAPED {
            out.push_str("...");
            break;
        }
        push_escaped(&mut out, byte);
    }
    out
}

/// Appends one byte in the form that [`escape`] describes.
pub(crate) fn push_escaped(out: &mut String, byte: u8) {
    match byte {
        b'\\' | b'"' => {
            out.push('\\');
            out.push(char::from(byte));
        }
        0x20..=0x7e => out.push(char::from(byte)),
        // Writing to a String cannot fail.
        _ => drop(write!(out, "\\{byte:03}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_quotes_and_bidi_marks_do_not_survive() {
        assert_eq!(escape("a\n\x1b[31m\"\\\u{202e}"), "a\\010\\027[31m\\\"\\\\\\226\\128\\174");
    }

    #[test]
    fn long_text_is_cut() {
        let text = escape(vec![0_u8; 100_000]);
        assert!(text.len() <= MAX_ESCAPED + 8, "{}", text.len());
        assert!(text.ends_with("..."));
    }
}
