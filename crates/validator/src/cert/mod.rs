//! What a certificate says: names, purposes, key, dates. Nothing here decides whether it is to be believed.
//!
//! Promises: any octets may be handed in. The answer is [`CertificateFacts`] or a typed error, never a panic, and what is
//! allocated is bounded by the limits below. A certificate of version 1, without names, without dates that make sense or with
//! extensions that path validation would not take can still be read: a DANE-EE(3) record may vouch for it (R11).

mod base64_list;
mod der;
mod fingerprint;
mod key;
mod names;
mod subject;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use x509_parser::certificate::{X509Certificate, X509CertificateParser};
use x509_parser::nom::Parser as _;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

pub(crate) use self::base64_list::{base64_list, certificates_from_base64};
pub(crate) use self::der::{Reader, tag};
pub use self::fingerprint::Fingerprint;
pub use self::key::{KeyAlgorithm, KeyFacts, MAX_RSA_BITS, MIN_RSA_BITS, WeakKey};
use self::names::{GeneralName, cn_names_device, ip_matches, read_general_name};
pub use self::names::{OtherName, dns_matches};
use self::subject::subject_text;
use crate::name::DnsName;
use crate::timestamp::Timestamp;

/// The largest certificate that is read, in octets.
pub const MAX_CERTIFICATE: usize = 64 * 1024;
/// The most subject alternative names that a certificate may have, of all types together.
pub const MAX_NAMES: usize = 1024;
/// The most common names that a subject may have.
pub const MAX_COMMON_NAMES: usize = 64;
/// The most purposes that an extended key usage extension may list.
pub const MAX_PURPOSES: usize = 256;

/// What one certificate says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// SHA-256 of the whole certificate.
    pub fingerprint: Fingerprint,
    /// The X.509 version, 1 to 3 (or what else stands there, plus one).
    pub version: u32,
    /// The serial number's octets, as encoded.
    pub serial: Vec<u8>,
    /// The subject's name in DER.
    pub subject_der: Vec<u8>,
    /// The issuer's name in DER.
    pub issuer_der: Vec<u8>,
    /// The subject's common names, decoded; what cannot be decoded is replaced by U+FFFD. Never used to confirm a name.
    pub common_names: Vec<String>,
    /// The dNSName entries that are ASCII, as they stand.
    pub dns: Vec<String>,
    /// The iPAddress entries.
    pub ip: Vec<IpAddr>,
    /// How many names there are of every other type.
    pub other: BTreeMap<OtherName, usize>,
    /// The extended key usages.
    pub eku: EkuSet,
    /// The key usages; `None` if the extension is absent.
    pub key_usage: Option<KeyUsage>,
    /// Basic constraints; `None` if the extension is absent.
    pub basic_constraints: Option<BasicConstraints>,
    /// It has a CRL distribution points extension (RFC 5280 section 4.2.1.13): it says in which list to look for it.
    pub names_its_crl: bool,
    /// The public key.
    pub key: KeyFacts,
    /// The SubjectPublicKeyInfo in DER, as selector 1 of TLSA takes it.
    pub spki: Vec<u8>,
    /// The first second in which the certificate is valid; dates before 1970 count as 1970.
    pub not_before: Timestamp,
    /// The last second in which the certificate is valid.
    pub not_after: Timestamp,
    subject: String,
    subject_says_all: bool,
}

/// The extended key usages of a certificate (RFC 5280 section 4.2.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EkuSet {
    /// There is no such extension.
    Absent,
    /// There is one, and it lists these.
    Present {
        /// id-kp-serverAuth.
        server_auth: bool,
        /// id-kp-clientAuth.
        client_auth: bool,
        /// anyExtendedKeyUsage.
        any: bool,
        /// How many others.
        others: usize,
    },
}

/// The key usages that matter here (RFC 5280 section 4.2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUsage {
    /// May sign a handshake.
    pub digital_signature: bool,
    /// May sign certificates.
    pub key_cert_sign: bool,
    /// May sign revocation lists.
    pub crl_sign: bool,
}

/// Basic constraints (RFC 5280 section 4.2.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasicConstraints {
    /// The subject is a certification authority.
    pub ca: bool,
    /// How many intermediate certificates may follow.
    pub path_len: Option<u32>,
}

/// Why a certificate cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateError {
    /// It is longer than [`MAX_CERTIFICATE`].
    TooLarge,
    /// It is no X.509 certificate in DER.
    NotX509,
    /// Something follows the certificate.
    TrailingData,
    /// The subject alternative names cannot be read.
    SubjectAltName,
    /// The extended key usages cannot be read.
    ExtendedKeyUsage,
    /// The key usages cannot be read.
    KeyUsage,
    /// The basic constraints cannot be read.
    BasicConstraints,
    /// An extension that is read here stands twice.
    DuplicateExtension,
    /// There are more than [`MAX_NAMES`] alternative names or [`MAX_COMMON_NAMES`] common names.
    TooManyNames,
    /// There are more than [`MAX_PURPOSES`] extended key usages.
    TooManyPurposes,
}

impl CertificateFacts {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// The octets are no certificate, go beyond the limits of this module, or hold an alternative name, key usage, extended key
    /// usage or basic constraints extension that cannot be read. What other extensions hold is not looked at.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(CertificateError::TooLarge);
        }
        // The contents of extensions are read below, strictly and only where they are needed.
        let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
        let (rest, certificate) = parser.parse(der).map_err(|_| CertificateError::NotX509)?;
        if !rest.is_empty() {
            return Err(CertificateError::TrailingData);
        }
        if !key::is_whole(certificate.public_key()) {
            return Err(CertificateError::NotX509);
        }
        let (subject, subject_says_all) = subject_text(certificate.subject());
        let mut facts = Self {
            fingerprint: Fingerprint::of(der),
            version: certificate.version().0.saturating_add(1),
            serial: certificate.raw_serial().to_vec(),
            subject_der: certificate.subject().as_raw().to_vec(),
            issuer_der: certificate.issuer().as_raw().to_vec(),
            common_names: common_names(certificate.subject())?,
            dns: Vec::new(),
            ip: Vec::new(),
            other: BTreeMap::new(),
            eku: EkuSet::Absent,
            key_usage: None,
            basic_constraints: None,
            names_its_crl: false,
            key: KeyFacts::read(certificate.public_key()),
            spki: certificate.public_key().raw.to_vec(),
            not_before: timestamp(certificate.validity().not_before),
            not_after: timestamp(certificate.validity().not_after),
            subject,
            subject_says_all,
        };
        facts.read_extensions(&certificate)?;
        Ok(facts)
    }

    /// The subject's name for logs and displays: printable ASCII of bounded length.
    #[must_use]
    pub fn subject_display(&self) -> &str {
        &self.subject
    }

    /// Whether [`subject_display`](Self::subject_display) is the whole name, so that no other subject looks the same.
    #[must_use]
    pub fn subject_says_all(&self) -> bool {
        self.subject_says_all
    }

    /// The issuer's name, as [`subject_display`](Self::subject_display); empty if it cannot be read.
    #[must_use]
    pub fn issuer_display(&self) -> String {
        X509Name::from_der(&self.issuer_der).map(|(_, name)| subject_text(&name).0).unwrap_or_default()
    }

    /// Whether the certificate says that its subject is a certification authority.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.basic_constraints.is_some_and(|constraints| constraints.ca)
    }

    /// Whether subject and issuer have the same name.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.subject_der == self.issuer_der
    }

    /// Whether a common name names a device (R1): an IP address, or two or more LDH labels.
    #[must_use]
    pub fn names_device_in_cn(&self) -> bool {
        self.common_names.iter().any(|name| cn_names_device(name))
    }

    /// Whether the certificate names a device anywhere: a dNSName, an iPAddress, or a common name as in
    /// [`names_device_in_cn`](Self::names_device_in_cn) (R1).
    #[must_use]
    pub fn names_device(&self) -> bool {
        !self.dns.is_empty() || !self.ip.is_empty() || self.names_device_in_cn()
    }

    /// The dNSName that matches `reference` by RFC 9525, as it stands in the certificate; `None` if none does.
    ///
    /// A wildcard counts as the whole left-most label only, for exactly one label, with two or more labels behind it. The common
    /// name is never used. A presented name with a final dot matches nothing; the reference's final dot has no effect.
    #[must_use]
    pub fn matches_dns(&self, reference: &DnsName) -> Option<&str> {
        self.dns.iter().map(String::as_str).find(|presented| dns_matches(presented, reference))
    }

    /// Whether an iPAddress is `reference` (R3). A reference that is IPv4-mapped IPv6 counts as IPv4, a presented address of that form confirms
    /// nothing; link-local never confirms.
    #[must_use]
    pub fn matches_ip(&self, reference: IpAddr) -> bool {
        self.ip.iter().any(|presented| ip_matches(*presented, reference))
    }

    fn read_extensions(&mut self, certificate: &X509Certificate<'_>) -> Result<(), CertificateError> {
        let mut seen = BTreeSet::new();
        for extension in certificate.extensions() {
            // 2.5.29.x; only four of them are read, and of a fifth it is noted that it is there.
            let [0x55, 0x1d, number @ (15 | 17 | 19 | 31 | 37)] = *extension.oid.as_bytes() else { continue };
            if !seen.insert(number) {
                return Err(CertificateError::DuplicateExtension);
            }
            match number {
                15 => {
                    self.key_usage = Some(read_key_usage(extension.value).ok_or(CertificateError::KeyUsage)?);
                }
                17 => self.read_names(extension.value)?,
                19 => {
                    let constraints = read_basic_constraints(extension.value);
                    self.basic_constraints = Some(constraints.ok_or(CertificateError::BasicConstraints)?);
                }
                31 => self.names_its_crl = true,
                _ => self.eku = read_eku(extension.value)?,
            }
        }
        Ok(())
    }

    fn read_names(&mut self, value: &[u8]) -> Result<(), CertificateError> {
        let mut reader = Reader::inside(tag::SEQUENCE, value).ok_or(CertificateError::SubjectAltName)?;
        for count in 0.. {
            if reader.is_empty() {
                break;
            }
            if count == MAX_NAMES {
                return Err(CertificateError::TooManyNames);
            }
            match read_general_name(&mut reader).ok_or(CertificateError::SubjectAltName)? {
                GeneralName::Dns(name) => self.dns.push(name.to_owned()),
                GeneralName::Ip(address) => self.ip.push(address),
                GeneralName::Other(kind) => *self.other.entry(kind).or_default() += 1,
            }
        }
        Ok(())
    }
}

impl EkuSet {
    /// Whether serverAuth is listed.
    #[must_use]
    pub const fn server_auth(&self) -> bool {
        matches!(self, Self::Present { server_auth: true, .. })
    }

    /// Whether clientAuth is listed.
    #[must_use]
    pub const fn client_auth(&self) -> bool {
        matches!(self, Self::Present { client_auth: true, .. })
    }

    /// Whether anyExtendedKeyUsage is listed.
    #[must_use]
    pub const fn any(&self) -> bool {
        matches!(self, Self::Present { any: true, .. })
    }

    /// Whether there is no such extension.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

fn read_eku(value: &[u8]) -> Result<EkuSet, CertificateError> {
    let mut reader = Reader::inside(tag::SEQUENCE, value).ok_or(CertificateError::ExtendedKeyUsage)?;
    let (mut server_auth, mut client_auth, mut any, mut others) = (false, false, false, 0);
    for count in 0.. {
        if reader.is_empty() {
            break;
        }
        if count == MAX_PURPOSES {
            return Err(CertificateError::TooManyPurposes);
        }
        match reader.expect(tag::OID).ok_or(CertificateError::ExtendedKeyUsage)? {
            [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01] => server_auth = true,
            [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02] => client_auth = true,
            [0x55, 0x1d, 0x25, 0x00] => any = true,
            _ => others += 1,
        }
    }
    Ok(EkuSet::Present { server_auth, client_auth, any, others })
}

fn read_key_usage(value: &[u8]) -> Option<KeyUsage> {
    let mut reader = Reader::new(value);
    let content = reader.expect(tag::BIT_STRING)?;
    let (unused, bits) = content.split_first()?;
    if !reader.is_empty() || *unused > 7 || (bits.is_empty() && *unused != 0) {
        return None;
    }
    // Bit 0 is the highest; a bit that is not there is not set.
    let first = bits.first().copied().unwrap_or(0);
    let first = if bits.len() == 1 { first & (0xff << unused) } else { first };
    Some(KeyUsage {
        digital_signature: first & 0x80 != 0,
        key_cert_sign: first & 0x04 != 0,
        crl_sign: first & 0x02 != 0,
    })
}

fn read_basic_constraints(value: &[u8]) -> Option<BasicConstraints> {
    let mut reader = Reader::inside(tag::SEQUENCE, value)?;
    let ca = match reader.peek() {
        // FALSE is the default and should not be written, but real certificates do.
        Some(tag::BOOLEAN) => match reader.expect(tag::BOOLEAN)? {
            [0x00] => false,
            [0xff] => true,
            _ => return None,
        },
        _ => false,
    };
    let path_len = if reader.is_empty() {
        None
    } else {
        let octets = reader.unsigned()?;
        Some(if octets.len() > 4 {
            u32::MAX
        } else {
            octets.iter().fold(0, |sum, octet| (sum << 8) | u32::from(*octet))
        })
    };
    reader.is_empty().then_some(BasicConstraints { ca, path_len })
}

fn common_names(subject: &X509Name<'_>) -> Result<Vec<String>, CertificateError> {
    let names: Vec<String> = subject.iter_common_name().take(MAX_COMMON_NAMES + 1).map(decode).collect();
    if names.len() > MAX_COMMON_NAMES { Err(CertificateError::TooManyNames) } else { Ok(names) }
}

/// Decodes a directory string of whatever type, so that no encoding hides a name from R1.
fn decode(attribute: &AttributeTypeAndValue<'_>) -> String {
    let octets = attribute.as_slice();
    match attribute.attr_value().tag().0 {
        // BMPString
        30 => {
            let units = octets.chunks(2).map(|unit| match unit {
                [high, low] => u16::from_be_bytes([*high, *low]),
                _ => 0xfffd,
            });
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        // UniversalString
        28 => {
            let point = |chunk: &[u8]| {
                <[u8; 4]>::try_from(chunk).ok().map(u32::from_be_bytes).and_then(char::from_u32)
            };
            octets.chunks(4).map(|chunk| point(chunk).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        // TeletexString: what is written there is Latin-1.
        20 => octets.iter().copied().map(char::from).collect(),
        _ => String::from_utf8_lossy(octets).into_owned(),
    }
}

fn timestamp(time: ASN1Time) -> Timestamp {
    Timestamp(u64::try_from(time.timestamp()).unwrap_or(0))
}

impl fmt::Display for EkuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Present { server_auth, client_auth, any, others } = *self else {
            return f.write_str("absent");
        };
        let named = [(server_auth, "serverAuth"), (client_auth, "clientAuth"), (any, "anyExtendedKeyUsage")];
        let mut parts: Vec<String> =
            named.iter().filter(|(listed, _)| *listed).map(|(_, n)| (*n).to_owned()).collect();
        if others > 0 {
            parts.push(format!("{others} other"));
        }
        f.write_str(&if parts.is_empty() { "empty".to_owned() } else { parts.join(", ") })
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the certificate is longer than 64 KiB",
            Self::NotX509 => "not an X.509 certificate in DER",
            Self::TrailingData => "something follows the certificate",
            Self::SubjectAltName => "the subject alternative names cannot be read",
            Self::ExtendedKeyUsage => "the extended key usages cannot be read",
            Self::KeyUsage => "the key usages cannot be read",
            Self::BasicConstraints => "the basic constraints cannot be read",
            Self::DuplicateExtension => "an extension stands twice",
            Self::TooManyNames => "the certificate has too many names",
            Self::TooManyPurposes => "the certificate lists too many extended key usages",
        })
    }
}

impl std::error::Error for CertificateError {}
