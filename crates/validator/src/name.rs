//! DNS names: labels of octets, lower-case, compared label by label.
//!
//! Promises: a [`DnsName`] is never longer than 255 octets on the wire, its labels are 1 to 63 octets, ASCII letters in it are
//! lower-case, so that equality is that of RFC 4343. Any octet may stand in a label (RFC 2181 section 11), as RFC 2317 needs;
//! printing escapes what is not printable. No Unicode processing happens: names are compared as A-labels.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::escape::push_escaped;

/// An absolute domain name in canonical (lower-case) form.
///
/// Ordered alphabetically by its text, which is the order in which R2 tries names.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DnsName {
    /// Wire format without the root's zero octet.
    wire: Box<[u8]>,
}

/// Why a text or a list of labels is no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// A label of no octets, or two dots in a row.
    EmptyLabel,
    /// A label of more than 63 octets.
    LabelTooLong,
    /// More than 255 octets on the wire.
    TooLong,
    /// A `\` that is not followed by three digits up to 255 or by a character.
    BadEscape,
    /// A character outside printable ASCII: write A-labels (`xn--…`) or `\DDD`.
    NotAscii,
}

impl DnsName {
    /// The root.
    #[must_use]
    pub fn root() -> Self {
        Self { wire: Box::default() }
    }

    /// Makes a name from its labels, left-most first, lower-casing ASCII letters.
    ///
    /// # Errors
    /// An empty or too long label, or more than 255 octets in all.
    pub fn from_labels<L: AsRef<[u8]>>(labels: impl IntoIterator<Item = L>) -> Result<Self, NameError> {
        let mut wire = Vec::with_capacity(32);
        for label in labels {
            let label = label.as_ref();
            let length =
                u8::try_from(label.len()).ok().filter(|n| *n <= 63).ok_or(NameError::LabelTooLong)?;
            if length == 0 {
                return Err(NameError::EmptyLabel);
            }
            wire.push(length);
            wire.extend(label.iter().map(u8::to_ascii_lowercase));
            if wire.len() > 254 {
                return Err(NameError::TooLong);
            }
        }
        Ok(Self { wire: wire.into() })
    }

    /// The name under which an address stands in the reverse zone (RFC 1035 section 3.5, RFC 3596 section 2.5).
    ///
    /// An IPv4-mapped IPv6 address is taken as the IPv4 address (R3).
    #[must_use]
    pub fn reverse(address: IpAddr) -> Self {
        let text: Vec<String> = match address.to_canonical() {
            IpAddr::V4(v4) => {
                v4.octets().iter().rev().map(u8::to_string).chain(["in-addr".into(), "arpa".into()]).collect()
            }
            IpAddr::V6(v6) => v6
                .octets()
                .iter()
                .rev()
                .flat_map(|octet| [octet & 15, octet >> 4])
                .map(|nibble| format!("{nibble:x}"))
                .chain(["ip6".into(), "arpa".into()])
                .collect(),
        };
        Self::from_labels(text).unwrap_or_else(|_| Self::root())
    }

    /// The labels, left-most first; none for the root.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
        Labels::new(&self.wire)
    }

    /// How many labels the name has; 0 for the root.
    #[must_use]
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.wire.is_empty()
    }

    /// Whether this name is `zone` or lies below it. Compared on label boundaries: `notexample.org` is not below `example.org`.
    #[must_use]
    pub fn is_at_or_below(&self, zone: &Self) -> bool {
        let mut rest = &*self.wire;
        loop {
            if rest == &*zone.wire {
                return true;
            }
            match rest.split_first().and_then(|(n, tail)| tail.split_at_checked(usize::from(*n))) {
                Some((_, tail)) => rest = tail,
                None => return false,
            }
        }
    }

    /// The name without its left-most label; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.parent_wire().map(|wire| Self { wire: wire.into() })
    }

    /// Whether `parent` is this name without its left-most label.
    #[must_use]
    pub fn is_child_of(&self, parent: &Self) -> bool {
        self.parent_wire() == Some(parent.wire())
    }

    /// The wire format without the root's zero octet.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// [`wire`](Self::wire) of the [`parent`](Self::parent).
    pub(crate) fn parent_wire(&self) -> Option<&[u8]> {
        self.wire.split_first().and_then(|(length, tail)| tail.get(usize::from(*length)..))
    }

    /// This name with one more label on its left.
    ///
    /// # Errors
    /// The label is empty or too long, or the name would be.
    pub fn child(&self, label: impl AsRef<[u8]>) -> Result<Self, NameError> {
        let first: &[u8] = label.as_ref();
        Self::from_labels(std::iter::once(first).chain(self.labels()))
    }

    /// The owner name of a port's records, `_<port>._tcp.<self>` (RFC 6698 section 3, RFC 8552).
    ///
    /// # Errors
    /// The name would be too long.
    pub fn port_owner(&self, port: u16) -> Result<Self, NameError> {
        self.child("_tcp")?.child(format!("_{port}"))
    }

    /// Whether every label is letters, digits and inner hyphens (RFC 1123 section 2.1); false for the root.
    #[must_use]
    pub fn is_ldh(&self) -> bool {
        !self.is_root() && self.labels().all(is_ldh_label)
    }
}

/// Whether `label` is letters, digits and inner hyphens.
#[must_use]
pub fn is_ldh_label(label: &[u8]) -> bool {
    label.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'-')
        && label.first().is_some_and(|c| *c != b'-')
        && label.last().is_some_and(|c| *c != b'-')
}

/// The labels of a name, without allocation: the names of a PTR answer are many, and looked at often.
#[derive(Clone)]
struct Labels<'a> {
    wire: &'a [u8],
    /// Where each label begins; a wire of at most 254 octets has at most 127 labels.
    starts: [u8; 127],
    next: usize,
    end: usize,
}

impl<'a> Labels<'a> {
    fn new(wire: &'a [u8]) -> Self {
        let (mut starts, mut at, mut end) = ([0; 127], 0, 0);
        while let (Some(length), Some(start), Ok(place)) =
            (wire.get(at), starts.get_mut(end), u8::try_from(at))
        {
            *start = place;
            at += 1 + usize::from(*length);
            end += 1;
        }
        Self { wire, starts, next: 0, end }
    }

    fn label(&self, index: usize) -> Option<&'a [u8]> {
        let (length, rest) = self.wire.get(usize::from(*self.starts.get(index)?)..)?.split_first()?;
        rest.get(..usize::from(*length))
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let index = (self.next < self.end).then_some(self.next)?;
        self.next += 1;
        self.label(index)
    }
}

impl DoubleEndedIterator for Labels<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.end = (self.next < self.end).then(|| self.end - 1)?;
        self.label(self.end)
    }
}

impl FromStr for DnsName {
    type Err = NameError;

    /// Reads the presentation format of RFC 1035 section 5.1. A final dot may be left out; the name is absolute either way.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = if text == "." { "" } else { text };
        let mut labels: Vec<Vec<u8>> = Vec::new();
        let mut label = Vec::new();
        let mut bytes = text.bytes();
        let mut ended = text.is_empty();
        while let Some(byte) = bytes.next() {
            ended = false;
            match byte {
                b'.' => {
                    labels.push(std::mem::take(&mut label));
                    ended = true;
                }
                b'\\' => label.push(unescape(&mut bytes)?),
                0x21..=0x7e => label.push(byte),
                _ => return Err(NameError::NotAscii),
            }
            if label.len() > 63 || labels.len() > 127 {
                return Err(if label.len() > 63 { NameError::LabelTooLong } else { NameError::TooLong });
            }
        }
        if !ended {
            labels.push(label);
        }
        Self::from_labels(labels)
    }
}

/// Reads what stands behind a `\`.
fn unescape(bytes: &mut impl Iterator<Item = u8>) -> Result<u8, NameError> {
    let first = bytes.next().ok_or(NameError::BadEscape)?;
    if !first.is_ascii_digit() {
        return if first.is_ascii_graphic() || first == b' ' { Ok(first) } else { Err(NameError::BadEscape) };
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit).ok_or(NameError::BadEscape)?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| NameError::BadEscape)
}

impl fmt::Display for DnsName {
    /// The presentation format without a final dot (`.` for the root), unprintable octets and dots in labels escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for (index, label) in self.labels().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            // As nearly all are.
            if let Some(plain) = plain(label) {
                f.write_str(plain)?;
                continue;
            }
            let mut text = String::new();
            for &byte in label {
                match byte {
                    b'.' => text.push_str("\\."),
                    b' ' => text.push_str("\\032"),
                    _ => push_escaped(&mut text, byte),
                }
            }
            f.write_str(&text)?;
        }
        Ok(())
    }
}

/// A label of letters, digits, hyphens and underscores.
fn plain(label: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    label.iter().all(is_plain).then(|| std::str::from_utf8(label).ok()).flatten()
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DnsName({self})")
    }
}

impl Ord for DnsName {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.wire == other.wire {
            return Ordering::Equal;
        }
        self.text_octets().cmp(other.text_octets()).then_with(|| self.wire.cmp(&other.wire))
    }
}

impl DnsName {
    /// The octets of the labels, unescaped, with a dot behind each label. Allocates nothing, as thousands of names are sorted.
    fn text_octets(&self) -> impl Iterator<Item = u8> {
        let mut wire = self.wire.iter().copied();
        let mut left_in_label: Option<u8> = None;
        std::iter::from_fn(move || match left_in_label {
            Some(0) => {
                left_in_label = None;
                Some(b'.')
            }
            Some(left) => {
                left_in_label = Some(left - 1);
                wire.next()
            }
            None => {
                left_in_label = Some(wire.next()?.saturating_sub(1));
                wire.next()
            }
        })
    }
}

impl PartialOrd for DnsName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyLabel => "a label is empty",
            Self::LabelTooLong => "a label is longer than 63 octets",
            Self::TooLong => "the name is longer than 255 octets",
            Self::BadEscape => {
                "a backslash must be followed by three digits (000 to 255) or by a printable character"
            }
            Self::NotAscii => {
                "only printable ASCII is allowed: write internationalised names as A-labels (xn--...)"
            }
        })
    }
}

impl std::error::Error for NameError {}

impl Serialize for DnsName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DnsName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> DnsName {
        text.parse().unwrap()
    }

    #[test]
    fn suffixes_match_on_label_boundaries_only() {
        assert!(name("a.example.org").is_at_or_below(&name("example.org")));
        assert!(name("example.org").is_at_or_below(&name("EXAMPLE.org.")));
        assert!(!name("notexample.org").is_at_or_below(&name("example.org")));
        assert!(!name("org").is_at_or_below(&name("example.org")));
        assert!(name("org").is_at_or_below(&DnsName::root()));
        // The octets of one label may look like a shorter name's wire form.
        assert!(!DnsName::from_labels(["x\x03org"]).unwrap().is_at_or_below(&name("org")));
    }

    #[test]
    fn reverse_names() {
        assert_eq!(name("4.2.0.192.in-addr.arpa"), DnsName::reverse("192.0.2.4".parse().unwrap()));
        assert_eq!(name("4.2.0.192.in-addr.arpa"), DnsName::reverse("::ffff:192.0.2.4".parse().unwrap()));
        let v6 = DnsName::reverse("2001:db8::1".parse().unwrap()).to_string();
        assert_eq!(v6, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    }

    #[test]
    fn odd_labels_survive_and_are_printed_escaped() {
        let odd = DnsName::from_labels([&b"64/26"[..], b"a.b", b"\n\"", b"X"]).unwrap();
        assert_eq!(odd.to_string(), "64/26.a\\.b.\\010\\\".x");
        assert_eq!(name(&odd.to_string()), odd);
    }

    #[test]
    fn bad_names_are_refused() {
        for (text, why) in [
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            ("a\\25", NameError::BadEscape),
            ("a\\256", NameError::BadEscape),
            ("bücher.example", NameError::NotAscii),
            (&"a".repeat(64), NameError::LabelTooLong),
            (&"a.".repeat(128), NameError::TooLong),
        ] {
            assert_eq!(text.parse::<DnsName>(), Err(why), "{text}");
        }
    }

    #[test]
    fn labels_are_read_from_both_ends() {
        let most = DnsName::from_labels(["a"; 127]).unwrap();
        assert_eq!((most.labels().count(), most.labels().rev().count()), (127, 127));
        let long = name(&["b".repeat(63), "c".repeat(63), "d".repeat(63), "e".repeat(61)].join("."));
        let lengths: Vec<usize> = long.labels().rev().map(<[u8]>::len).collect();
        assert_eq!(lengths, [61, 63, 63, 63]);
        let three = name("a.b.c");
        let mut labels = three.labels();
        assert_eq!((labels.next(), labels.next_back()), (Some(&b"a"[..]), Some(&b"c"[..])));
        assert_eq!((labels.next(), labels.next(), labels.next_back()), (Some(&b"b"[..]), None, None));
        assert_eq!(DnsName::root().labels().next(), None);
    }

    #[test]
    fn a_child_has_one_label_more() {
        assert!(name("a.example.org").is_child_of(&name("example.org")));
        assert!(name("org").is_child_of(&DnsName::root()));
        for (child, parent) in [("example.org", "example.org"), ("a.b.org", "org"), ("ab.org", "b.org")] {
            assert!(!name(child).is_child_of(&name(parent)), "{child} {parent}");
        }
        assert!(!DnsName::root().is_child_of(&DnsName::root()));
    }

    #[test]
    fn order_is_alphabetical() {
        let mut names = [name("b.example"), name("a.example"), name("a-b.example"), name("example")];
        names.sort();
        assert_eq!(names.map(|n| n.to_string()), ["a-b.example", "a.example", "b.example", "example"]);
    }

    proptest! {
        #[test]
        fn text_round_trips(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..8)) {
            let made = DnsName::from_labels(&labels).unwrap();
            prop_assert_eq!(name(&made.to_string()), made);
        }

        #[test]
        fn names_are_ordered_by_their_text(
            a in prop::collection::vec("[a-c-]{1,3}", 0..4), b in prop::collection::vec("[a-c-]{1,3}", 0..4),
        ) {
            let text = |labels: &[String]| labels.iter().map(|label| format!("{label}.")).collect::<String>();
            let (x, y) = (DnsName::from_labels(&a).unwrap(), DnsName::from_labels(&b).unwrap());
            prop_assert_eq!(x.cmp(&y), text(&a).cmp(&text(&b)));
        }

        #[test]
        fn a_child_is_below_and_a_prefixed_label_is_not(
            labels in prop::collection::vec("[a-z0-9-]{1,10}", 1..5), prefix in "[a-z0-9-]{1,10}",
        ) {
            let zone = DnsName::from_labels(&labels).unwrap();
            prop_assert!(zone.child(&prefix).unwrap().is_at_or_below(&zone));
            let mut glued = labels.clone();
            if let Some(first) = glued.first_mut() { first.insert_str(0, &prefix); }
            prop_assert!(!DnsName::from_labels(&glued).unwrap().is_at_or_below(&zone));
        }

        #[test]
        fn order_is_that_of_the_labels_with_dots_behind_them(
            one in prop::collection::vec(prop::collection::vec(prop::sample::select(b"ab-.\x01\x02".to_vec()), 1..3), 0..4),
            other in prop::collection::vec(prop::collection::vec(prop::sample::select(b"ab-.\x01\x02".to_vec()), 1..3), 0..4),
        ) {
            let text = |labels: &[Vec<u8>]| labels.iter().flat_map(|l| [l.as_slice(), b"."].concat()).collect::<Vec<u8>>();
            let expected = text(&one).cmp(&text(&other));
            let made = DnsName::from_labels(&one).unwrap().cmp(&DnsName::from_labels(&other).unwrap());
            prop_assert!(made == expected || (expected == Ordering::Equal && one != other));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC*") {
            let _ = text.parse::<DnsName>();
        }
    }
}
