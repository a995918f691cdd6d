//! Trust anchors: the IANA root keys that are built in, or those of a file.

use std::fmt;
use std::io::Read;
use std::path::Path;

use hickory_proto::dnssec::rdata::DNSKEY;
use hickory_proto::dnssec::{PublicKey, PublicKeyBuf, TrustAnchors, Verifier};
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::txt::ParseError;
use hickory_proto::serialize::txt::trust_anchor::{Entry, Parser};
use revouch_validator::escape::escape;

use crate::answer::{canonical, label_count, may_sign};

/// The largest file of anchors that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The most anchors of one file.
const MAX_ANCHORS: usize = 1000;

/// Public keys that are trusted without a chain, each for one zone.
#[derive(Debug, Clone)]
pub struct Anchors {
    keys: Vec<(Name, PublicKeyBuf)>,
}

impl Anchors {
    /// The root keys that IANA publishes: KSK-2017 (tag 20326) and KSK-2024 (tag 38696), as the DNS library ships them.
    #[must_use]
    pub fn iana() -> Self {
        let shipped = TrustAnchors::default();
        let keys = (0..shipped.len())
            .filter_map(|index| shipped.get(index))
            .map(|key| (Name::root(), key.clone()))
            .collect();
        Self { keys }
    }

    /// Reads DNSKEY records in presentation format, one a line, from a file of at most 1 MiB.
    ///
    /// # Errors
    /// The file cannot be read, or holds anything but DNSKEY records and comments.
    pub fn from_file(path: &Path) -> Result<Self, AnchorError> {
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|e| AnchorError::Unreadable(e.to_string()))?;
        let read = file
            .take(MAX_FILE + 1)
            .read_to_string(&mut text)
            .map_err(|e| AnchorError::Unreadable(e.to_string()))?;
        if u64::try_from(read).is_ok_and(|n| n > MAX_FILE) {
            return Err(AnchorError::TooLarge);
        }
        Self::parse(&text)
    }

    /// Reads DNSKEY records in presentation format, such as `. 172800 IN DNSKEY 257 3 8 AwEAAa…`.
    ///
    /// # Errors
    /// As [`Anchors::from_file`].
    pub fn parse(text: &str) -> Result<Self, AnchorError> {
        if let Some(line) = text.lines().position(is_ds_line) {
            return Err(AnchorError::DsRecord { line: line + 1 });
        }
        let entries = Parser::new(text).parse().map_err(|error| match error {
            ParseError::UnsupportedRecordType(found) => AnchorError::NotAKey(found),
            error => AnchorError::Syntax(escape(error.to_string())),
        })?;
        let mut keys = Vec::new();
        for entry in entries {
            let Entry::DNSKEY(record) = entry else { return Err(AnchorError::UnusableKey) };
            let key = record.data();
            if !may_sign(key) {
                return Err(AnchorError::UnusableKey);
            }
            keys.push((canonical(record.name()), key.public_key().clone()));
        }
        match keys.len() {
            0 => Err(AnchorError::Empty),
            1..=MAX_ANCHORS => Ok(Self { keys }),
            _ => Err(AnchorError::TooLarge),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether `key` is an anchor of `zone`.
    #[must_use]
    pub fn contains(&self, zone: &Name, key: &DNSKEY) -> bool {
        self.keys.iter().any(|(at, anchor)| {
            at == zone
                && anchor.public_bytes() == key.public_key().public_bytes()
                && anchor.algorithm() == key.algorithm()
        })
    }

    /// Whether there is an anchor of `zone`.
    #[must_use]
    pub fn is_anchored(&self, zone: &Name) -> bool {
        self.keys.iter().any(|(at, _)| at == zone)
    }

    /// The closest zone at or above `name` that has an anchor.
    #[must_use]
    pub fn closest(&self, name: &Name) -> Option<&Name> {
        self.keys
            .iter()
            .map(|(zone, _)| zone)
            .filter(|zone| zone.zone_of(name))
            .max_by_key(|zone| label_count(zone))
    }

    /// The zone of the first anchor.
    #[must_use]
    pub fn first_zone(&self) -> Option<&Name> {
        self.keys.first().map(|(zone, _)| zone)
    }
}

/// Whether a line holds a DS record.
fn is_ds_line(line: &str) -> bool {
    let code = line.split(';').next().unwrap_or_default();
    code.split_whitespace().skip(1).take(3).any(|word| word.eq_ignore_ascii_case("DS"))
}

/// Why trust anchors cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnchorError {
    /// The file cannot be read.
    Unreadable(String),
    /// More than 1 MiB or more than 1000 keys.
    TooLarge,
    /// A DS record stands in this line.
    DsRecord {
        /// Counted from 1.
        line: usize,
    },
    /// Not in the presentation format.
    Syntax(String),
    /// A record of another type.
    NotAKey(RecordType),
    /// A key that is revoked, no zone key, of an algorithm that does not count here, or an RSA key of more than 4096 bits.
    UnusableKey,
    /// No key at all.
    Empty,
}

impl fmt::Display for AnchorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "cannot read the trust anchors: {why}"),
            Self::TooLarge => write!(f, "too many trust anchors: at most {MAX_ANCHORS} keys in 1 MiB"),
            Self::DsRecord { line } => write!(
                f,
                "line {line}: a DS record is only the digest of a key. Put the zone's DNSKEY record here instead: take it with \
                 `dig +noall +answer ZONE DNSKEY`, keep the key with flags 257, and check it against this DS record with `dnssec-dsfromkey`"
            ),
            Self::Syntax(why) => write!(f, "trust anchors must be DNSKEY records, one a line: {why}"),
            Self::NotAKey(found) => write!(f, "trust anchors must be DNSKEY records; found {found}"),
            Self::UnusableKey => f.write_str(
                "a trust anchor is revoked, is no zone key, has an algorithm that does not count here, or is an RSA key of more than 4096 bits",
            ),
            Self::Empty => f.write_str("no trust anchor in the file"),
        }
    }
}

impl std::error::Error for AnchorError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const KEY: &str =
        "257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==";

    #[test]
    fn iana_keys_are_those_with_tags_20326_and_38696() {
        let anchors = Anchors::iana();
        let mut tags: Vec<u16> = anchors
            .keys
            .iter()
            .map(|(_, key)| DNSKEY::new(true, true, false, key.clone()).calculate_key_tag().unwrap())
            .collect();
        tags.sort_unstable();
        assert_eq!(tags, [20326, 38696]);
        assert_eq!(anchors.closest(&Name::from_ascii("example.org.").unwrap()), Some(&Name::root()));
    }

    #[test]
    fn keys_of_a_file_stand_for_their_own_zones() {
        let text = format!("; private root\n. 300 IN DNSKEY {KEY}\nCorp.Example. IN DNSKEY {KEY}\n");
        let anchors = Anchors::parse(&text).unwrap();
        let name = |text: &str| Name::from_ascii(text).unwrap();
        assert_eq!(anchors.closest(&name("a.corp.example.")), Some(&name("corp.example.")));
        assert_eq!(anchors.closest(&name("notcorp.example.")), Some(&Name::root()));
        assert!(anchors.is_anchored(&name("corp.example.")) && !anchors.is_anchored(&name("example.")));
    }

    #[test]
    fn ds_records_are_refused_with_a_way_out() {
        let text = ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";
        let error = Anchors::parse(&format!("\n{text}")).unwrap_err();
        assert_eq!(error, AnchorError::DsRecord { line: 2 });
        assert!(error.to_string().contains("DNSKEY"));
    }

    #[test]
    fn files_without_usable_keys_are_refused() {
        assert_eq!(Anchors::parse("; nothing\n").unwrap_err(), AnchorError::Empty);
        assert!(matches!(Anchors::parse("what is this").unwrap_err(), AnchorError::Syntax(_)));
        assert!(matches!(
            Anchors::parse(". 300 IN A 192.0.2.1").unwrap_err(),
            AnchorError::NotAKey(RecordType::A)
        ));
        for unusable in [KEY.replace("257", "385"), KEY.replace("3 13", "3 5"), KEY.replace("3 13", "3 7")] {
            let text = format!(". 300 IN DNSKEY {unusable}");
            assert_eq!(Anchors::parse(&text).unwrap_err(), AnchorError::UnusableKey);
        }
        let missing = tempfile::tempdir().unwrap().path().join("none");
        assert!(matches!(Anchors::from_file(&missing), Err(AnchorError::Unreadable(_))));
    }
}
