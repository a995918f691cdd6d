//! Names and records from text.
//!
//! Names are always absolute here; the dot at the end may be left out. Labels may hold any octet but a dot (so
//! RFC 2317 labels such as `64/26` are fine), which the parser of hickory does not allow.

use std::net::IpAddr;
use std::str::FromStr;

use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

use super::wire::name_wire;
use crate::LabError;

/// An absolute name, in lower case. The root is `"."`.
///
/// # Errors
/// An empty label, one of more than 63 octets, or more than 255 octets in all.
pub fn dns_name(text: &str) -> Result<Name, LabError> {
    let wrong = |why| LabError::Name(text.to_owned(), why);
    let trimmed = text.strip_suffix('.').unwrap_or(text);
    if trimmed.is_empty() {
        return if text == "." { Ok(Name::root()) } else { Err(wrong("empty")) };
    }
    let labels = trimmed.to_ascii_lowercase();
    if labels.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err(wrong("a label has no octets or more than 63"));
    }
    let name = Name::from_labels(labels.split('.').map(str::as_bytes)).map_err(|_| wrong("too long"))?;
    if name_wire(&name).len() > 255 { Err(wrong("more than 255 octets")) } else { Ok(name) }
}

/// The name under `in-addr.arpa` or `ip6.arpa` that holds the PTR records of an address.
#[must_use]
pub fn reverse_name(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            let mut name: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            name.push_str("ip6.arpa");
            name
        }
    }
}

/// `_<port>._tcp.<name>`: where the TLSA (RFC 6698) and the port's own SRV and SVCB records are.
#[must_use]
pub fn service_name(port: u16, name: &str) -> String {
    format!("_{port}._tcp.{name}")
}

/// One record without its owner: the TTL if the text gives one, the type, and the RDATA in canonical wire form.
pub(super) struct ParsedRecord {
    pub(super) ttl: Option<u32>,
    pub(super) rtype: RecordType,
    pub(super) rdata: Vec<u8>,
}

/// Reads `[TTL] [IN] TYPE RDATA`, RFC 3597's `TYPE65280 \# 2 abcd` included.
pub(super) fn parse_record(text: &str) -> Result<ParsedRecord, LabError> {
    let wrong = |why: String| LabError::Record(text.to_owned(), why);
    let (mut word, mut rest) = split_word(text);
    let ttl = word.parse::<u32>().ok();
    if ttl.is_some() {
        (word, rest) = split_word(rest);
    }
    if word.eq_ignore_ascii_case("IN") {
        (word, rest) = split_word(rest);
    }
    let rtype = record_type(word)?;
    let rdata = if let Some(generic) = rest.strip_prefix("\\#") {
        generic_rdata(generic).ok_or_else(|| wrong("not an RFC 3597 RDATA".to_owned()))?
    } else {
        match rtype {
            RecordType::CNAME | RecordType::DNAME | RecordType::NS | RecordType::PTR => {
                name_wire(&dns_name(rest)?)
            }
            _ => canonical_rdata(rtype, rest).map_err(wrong)?,
        }
    };
    Ok(ParsedRecord { ttl, rtype, rdata })
}

/// A record type by its mnemonic, or as `TYPE65280`.
pub(super) fn record_type(word: &str) -> Result<RecordType, LabError> {
    let upper = word.to_ascii_uppercase();
    let numeric = upper.strip_prefix("TYPE").and_then(|digits| digits.parse::<u16>().ok());
    match numeric {
        Some(number) => Ok(RecordType::from(number)),
        None => RecordType::from_str(&upper)
            .map_err(|_| LabError::Record(word.to_owned(), "no such record type".to_owned())),
    }
}

fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

fn generic_rdata(text: &str) -> Option<Vec<u8>> {
    let (length, hex) = split_word(text);
    let hex: String = hex.split_whitespace().collect();
    let rdata = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
    (length.parse() == Ok(rdata.len())).then_some(rdata)
}

fn canonical_rdata(rtype: RecordType, text: &str) -> Result<Vec<u8>, String> {
    let data = RData::try_from_str(rtype, text).map_err(|error| error.to_string())?;
    let mut wire = Vec::new();
    let mut encoder = BinEncoder::new(&mut wire);
    encoder.set_canonical_form(true);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).map_err(|error| error.to_string())?;
    Ok(wire)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn name_may_hold_rfc2317_labels_and_leave_out_the_last_dot() {
        assert_eq!(
            dns_name("1.64/26.2.0.192.in-addr.arpa").unwrap(),
            dns_name("1.64/26.2.0.192.IN-ADDR.arpa.").unwrap()
        );
        assert!(dns_name("").is_err());
        assert!(dns_name("a..b").is_err());
        assert!(dns_name(&"a".repeat(64)).is_err());
        assert!(dns_name(&"abcdefg.".repeat(40)).is_err());
        assert!(dns_name(".").unwrap().is_root());
    }

    #[test]
    fn reverse_names_are_those_of_rfc1035_and_rfc3596() {
        assert_eq!(reverse_name("127.0.1.2".parse().unwrap()), "2.1.0.127.in-addr.arpa");
        assert_eq!(reverse_name("::ffff:127.0.1.2".parse().unwrap()), "2.1.0.127.in-addr.arpa");
        let loopback = reverse_name("::1".parse().unwrap());
        assert!(loopback.starts_with("1.0.0.") && loopback.ends_with("0.0.ip6.arpa"));
        assert_eq!(loopback.split('.').count(), 34);
    }

    #[test]
    fn every_type_the_rules_name_is_read_from_text() {
        for text in [
            "A 127.0.1.1",
            "30 IN AAAA ::1",
            "TLSA 3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "CAA 0 issue \"lab.test\"",
            "SRV 0 0 8443 gw1.example.test.",
            "SVCB 1 . port=8443",
            "HTTPS 1 gw1.example.test. alpn=h2",
            "SSHFP 4 2 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "CERT 1 0 0 AAEC",
            "TXT \"hello world\"",
            "DNAME example.test",
            "TYPE65280 \\# 2 abcd",
        ] {
            parse_record(text).unwrap_or_else(|error| panic!("{error}"));
        }
        assert!(parse_record("A nonsense").is_err());
        assert!(parse_record("TYPE65280 \\# 3 abcd").is_err());
        assert_eq!(parse_record("30 A 127.0.0.1").unwrap().ttl, Some(30));
    }
}
