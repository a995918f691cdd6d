//! A subject's name as text: printable, bounded, and never two ways to read it.

use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::X509Name;

use super::decode;
use crate::escape::{MAX_ESCAPED, push_escaped};

/// The name as `C=DE, O=Example, CN=Alice`, in the order of the certificate, with ` + ` inside one RDN.
///
/// `,` and `+` in a value become `\DDD` as what is not printable does, so that no value looks like a further attribute. A name
/// longer than [`MAX_ESCAPED`] is cut, with `...` at its end. The second value tells whether the text says all: nothing was cut, and nothing
/// that cannot be decoded stands as U+FFFD. Only then are two subjects of the same text the same.
pub(super) fn subject_text(name: &X509Name<'_>) -> (String, bool) {
    let mut out = String::new();
    let mut says_all = true;
    for (index, rdn) in name.iter_rdn().enumerate() {
        for (place, attribute) in rdn.iter().enumerate() {
            out.push_str(match (index, place) {
                (0, 0) => "",
                (_, 0) => ", ",
                _ => " + ",
            });
            match oid2abbrev(attribute.attr_type(), oid_registry()) {
                Ok(short) => out.push_str(short),
                Err(_) => out.push_str(&attribute.attr_type().to_id_string()),
            }
            out.push('=');
            let value = decode(attribute);
            says_all &= !value.contains(char::REPLACEMENT_CHARACTER);
            for byte in value.bytes() {
                match byte {
                    b',' => out.push_str("\\044"),
                    b'+' => out.push_str("\\043"),
                    _ => push_escaped(&mut out, byte),
                }
                if out.len() >= MAX_ESCAPED {
                    break;
                }
            }
            if out.len() >= MAX_ESCAPED {
                out.truncate(MAX_ESCAPED);
                out.push_str("...");
                return (out, false);
            }
        }
    }
    (out, says_all)
}
