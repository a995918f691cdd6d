//! Which names a certificate presents, and whether one of them is the reference identity (RFC 9525).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::der::Reader;
use crate::name::{DnsName, is_ldh_label};

/// The subject alternative names that are neither a dNSName nor an iPAddress (R6), by type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherName {
    /// otherName.
    OtherName,
    /// rfc822Name.
    Rfc822Name,
    /// x400Address.
    X400Address,
    /// directoryName.
    DirectoryName,
    /// ediPartyName.
    EdiPartyName,
    /// uniformResourceIdentifier.
    Uri,
    /// registeredID.
    RegisteredId,
    /// A dNSName that is not ASCII, or an iPAddress of neither 4 nor 16 octets: it names nothing, so it confirms nothing.
    Malformed,
}

impl fmt::Display for OtherName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherName => "otherName",
            Self::Rfc822Name => "rfc822Name",
            Self::X400Address => "x400Address",
            Self::DirectoryName => "directoryName",
            Self::EdiPartyName => "ediPartyName",
            Self::Uri => "uniformResourceIdentifier",
            Self::RegisteredId => "registeredID",
            Self::Malformed => "a malformed dNSName or iPAddress",
        })
    }
}

/// One GeneralName (RFC 5280 section 4.2.1.6).
pub(super) enum GeneralName<'a> {
    Dns(&'a str),
    Ip(IpAddr),
    Other(OtherName),
}

/// Reads the next GeneralName; `None` if there is none that RFC 5280 knows.
pub(super) fn read_general_name<'a>(reader: &mut Reader<'a>) -> Option<GeneralName<'a>> {
    let (tag, content) = reader.element()?;
    Some(match tag {
        0xa0 => GeneralName::Other(OtherName::OtherName),
        0x81 => GeneralName::Other(OtherName::Rfc822Name),
        0x82 if content.is_ascii() => {
            std::str::from_utf8(content).map_or(GeneralName::Other(OtherName::Malformed), GeneralName::Dns)
        }
        0x82 => GeneralName::Other(OtherName::Malformed),
        0xa3 => GeneralName::Other(OtherName::X400Address),
        0xa4 => GeneralName::Other(OtherName::DirectoryName),
        0xa5 => GeneralName::Other(OtherName::EdiPartyName),
        0x86 => GeneralName::Other(OtherName::Uri),
        0x87 => match (<[u8; 4]>::try_from(content), <[u8; 16]>::try_from(content)) {
            (Ok(v4), _) => GeneralName::Ip(v4.into()),
            (_, Ok(v6)) => GeneralName::Ip(v6.into()),
            _ => GeneralName::Other(OtherName::Malformed),
        },
        0x88 => GeneralName::Other(OtherName::RegisteredId),
        _ => return None,
    })
}

/// Whether the presented dNSName is the reference identity, by RFC 9525 section 6.3.
///
/// Labels are compared without regard to ASCII case, as A-labels. A wildcard counts only as the whole left-most label, stands
/// for exactly one label and needs at least two labels behind it, as on an outbound connection (R16). A presented name with a
/// final dot, an empty label, a label that is not LDH or a numeric last label matches nothing.
#[must_use]
pub fn dns_matches(presented: &str, reference: &DnsName) -> bool {
    let (wildcard, fixed) = match presented.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, presented),
    };
    let mut expected = reference.labels();
    if wildcard && (fixed.split('.').count() < 2 || expected.next().is_none()) {
        return false;
    }
    if fixed.rsplit('.').next().is_none_or(|last| last.bytes().all(|c| c.is_ascii_digit())) {
        return false;
    }
    let mut labels = fixed.split('.').map(str::as_bytes);
    let same = |label: &[u8], other: &[u8]| is_ldh_label(label) && label.eq_ignore_ascii_case(other);
    labels.by_ref().all(|label| expected.next().is_some_and(|other| same(label, other)))
        && expected.next().is_none()
}

/// Whether the presented iPAddress is the source address (R3). A source that is IPv4-mapped IPv6 counts as IPv4; a presented address of that
/// form is none of four octets (RFC 5280 section 4.2.1.6), escapes a CA's constraints on IPv4, and confirms nothing. Nor does link-local.
pub(super) fn ip_matches(presented: IpAddr, reference: IpAddr) -> bool {
    let reference = reference.to_canonical();
    presented == reference && !is_link_local(reference)
}

/// Whether a subject's common name names a device (R1): an IP address, or two or more LDH labels.
///
/// White space around it, a final dot and a wildcard as left-most label do not hide a device.
pub(super) fn cn_names_device(common_name: &str) -> bool {
    let name = common_name.trim();
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = name.strip_prefix("*.").map_or_else(|| name.to_owned(), |rest| format!("wildcard.{rest}"));
    let is_label = |label: &str| label.len() <= 63 && is_ldh_label(label.as_bytes());
    name.contains('.') && name.len() <= 253 && name.split('.').all(is_label)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}
