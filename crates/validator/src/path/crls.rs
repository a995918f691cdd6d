//! Certificate revocation lists, and what an unknown status or a stale list means.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use webpki::{BorrowedCertRevocationList, CertRevocationList};
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use crate::cert::{CertificateFacts, Fingerprint, Reader, base64_list, tag};
use crate::timestamp::Timestamp;

/// The most lists in one set.
pub const MAX_CRLS: usize = 1024;
/// The most octets that the lists of a set may have together.
pub const MAX_CRL_OCTETS: usize = 64 * 1024 * 1024;

/// A set of certificate revocation lists. Cheap to clone; the order in which they are given does not matter.
///
/// CRLs of version 2 with a nextUpdate are taken; delta CRLs, indirect ones and those for some reasons only are not. Of several lists of
/// one scope (complete, or of the same issuing distribution point) the newest by thisUpdate counts. A CA gives each serial number once, so
/// one that stands in the newest list of any scope is revoked, whether or not the certificate says in which list to look.
#[derive(Clone)]
pub struct Crls {
    inner: Arc<Inner>,
}

struct Inner {
    lists: Vec<Crl>,
    id: Fingerprint,
}

struct Crl {
    der: Vec<u8>,
    /// The content of the issuer's name.
    issuer: Vec<u8>,
    list: CertRevocationList<'static>,
    this_update: Timestamp,
    next_update: Timestamp,
}

/// A list that was offered and not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedCrl {
    /// Its place in what was offered, from 0.
    pub index: usize,
    /// Why it was not taken.
    pub why: CrlError,
}

/// Why a revocation list is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlError {
    /// It is no complete CRL of version 2 with a nextUpdate.
    Unreadable,
    /// It would be beyond [`MAX_CRLS`] or [`MAX_CRL_OCTETS`].
    TooMany,
}

/// What a missing or stale revocation list means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CrlPolicy {
    /// A certificate for which no list is authoritative (`crlUnknown`).
    pub unknown: CrlChoice,
    /// A list whose nextUpdate has passed (`crlExpired`).
    pub expired: CrlChoice,
}

/// Whether something is put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CrlChoice {
    /// It is.
    Allow,
    /// It is not: the path is refused.
    Refuse,
}

impl Default for CrlPolicy {
    /// An unknown status is allowed, since most public CAs' lists are not at hand; a stale list is refused, since it was put there
    /// to be current.
    fn default() -> Self {
        Self { unknown: CrlChoice::Allow, expired: CrlChoice::Refuse }
    }
}

impl Crls {
    /// No list at all.
    #[must_use]
    pub fn none() -> Self {
        Self::from_der([]).0
    }

    /// Takes lists in DER; those that cannot serve are handed back with the reason.
    pub fn from_der(lists: impl IntoIterator<Item = Vec<u8>>) -> (Self, Vec<RejectedCrl>) {
        let mut taken: BTreeMap<Fingerprint, Crl> = BTreeMap::new();
        let mut rejected = Vec::new();
        let mut octets = 0_usize;
        for (index, der) in lists.into_iter().enumerate() {
            let fingerprint = Fingerprint::of(&der);
            if taken.contains_key(&fingerprint) {
                continue;
            }
            octets = octets.saturating_add(der.len());
            if taken.len() >= MAX_CRLS || octets > MAX_CRL_OCTETS {
                rejected.push(RejectedCrl { index, why: CrlError::TooMany });
                continue;
            }
            match Crl::read(der) {
                Some(crl) => drop(taken.insert(fingerprint, crl)),
                None => rejected.push(RejectedCrl { index, why: CrlError::Unreadable }),
            }
        }
        let id = Fingerprint::of_parts(
            "revouch crls",
            taken.keys().map(|fingerprint| &fingerprint.as_bytes()[..]),
        );
        let mut lists: Vec<Crl> = taken.into_values().collect();
        // webpki takes the first list that is authoritative; this sort is stable.
        lists.sort_by_key(|crl| std::cmp::Reverse(crl.this_update));
        (Self { inner: Arc::new(Inner { lists, id }) }, rejected)
    }

    /// The digest of the set: equal for equal sets.
    #[must_use]
    pub fn id(&self) -> Fingerprint {
        self.inner.id
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.lists.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.lists.is_empty()
    }

    /// When each list is out of date.
    pub fn next_updates(&self) -> impl Iterator<Item = Timestamp> {
        self.inner.lists.iter().map(|crl| crl.next_update)
    }

    /// Whether one of the lists is by the CA of this name, given in DER without its outer tag and length.
    pub(crate) fn any_by(&self, name: &[u8]) -> bool {
        self.inner.lists.iter().any(|crl| crl.issuer == name)
    }

    /// Whether the newest list of any scope by the issuer of this certificate has its serial number. Path validation by itself looks
    /// into one list only, and for a certificate without a CRL distribution point that may be one that is not about it.
    pub(crate) fn revoke(&self, certificate: &CertificateFacts) -> bool {
        let mut scopes = Vec::new();
        self.by_issuer_of(certificate).any(|crl| {
            let scope = crl.list.issuing_distribution_point();
            let newest = !scopes.contains(&scope);
            if newest {
                scopes.push(scope);
            }
            // A list of which an entry cannot be read may be about any certificate.
            newest && !matches!(crl.list.find_serial(&certificate.serial), Ok(None))
        })
    }

    /// Whether there is a list that must have this certificate if it is revoked: a complete one, or, where the certificate says in which
    /// list to look, what path validation has found by that.
    pub(crate) fn are_about(&self, certificate: &CertificateFacts) -> bool {
        let complete = |crl: &Crl| crl.list.issuing_distribution_point().is_none();
        certificate.names_its_crl || self.by_issuer_of(certificate).any(complete)
    }

    fn by_issuer_of<'a>(&'a self, certificate: &'a CertificateFacts) -> impl Iterator<Item = &'a Crl> {
        let issuer = Reader::inside(tag::SEQUENCE, &certificate.issuer_der).map(|content| content.rest());
        self.inner.lists.iter().filter(move |crl| issuer.is_some_and(|issuer| crl.issuer == issuer))
    }

    /// The lists as path validation takes them, newest first.
    pub(crate) fn webpki(&self) -> Vec<&CertRevocationList<'static>> {
        self.inner.lists.iter().map(|crl| &crl.list).collect()
    }
}

impl Crl {
    fn read(der: Vec<u8>) -> Option<Self> {
        let list =
            CertRevocationList::from(BorrowedCertRevocationList::from_der(&der).ok()?.to_owned().ok()?);
        let (issuer, this_update, next_update) = head(&der)?;
        let issuer = issuer.to_vec();
        Some(Self { der, issuer, list, this_update, next_update })
    }
}

/// Issuer, thisUpdate and nextUpdate (RFC 5280 section 5.1), which webpki reads and does not give out.
fn head(der: &[u8]) -> Option<(&[u8], Timestamp, Timestamp)> {
    let signed = Reader::inside(tag::SEQUENCE, der)?.expect(tag::SEQUENCE)?;
    let mut list = Reader::new(signed);
    list.expect(tag::INTEGER)?;
    list.expect(tag::SEQUENCE)?;
    let issuer = list.expect(tag::SEQUENCE)?;
    let (rest, this_update) = ASN1Time::from_der(list.rest()).ok()?;
    let (_, next_update) = ASN1Time::from_der(rest).ok()?;
    let seconds = |time: ASN1Time| u64::try_from(time.timestamp()).map(Timestamp).ok();
    Some((issuer, seconds(this_update)?, seconds(next_update)?))
}

impl PartialEq for Crls {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Crls {}

impl fmt::Debug for Crls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crls({}, {})", self.len(), self.id())
    }
}

impl fmt::Display for CrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "not a complete CRL of version 2 with a nextUpdate",
            Self::TooMany => "there are more than 1024 CRLs, or more than 64 MiB of them",
        })
    }
}

impl std::error::Error for CrlError {}

impl Serialize for Crls {
    /// A list of base64 texts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.inner.lists.iter().map(|crl| BASE64.encode(&crl.der)))
    }
}

impl<'de> Deserialize<'de> for Crls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (crls, rejected) = Self::from_der(base64_list(deserializer)?);
        match rejected.first() {
            Some(first) => Err(serde::de::Error::custom(format_args!("CRL {}: {}", first.index, first.why))),
            None => Ok(crls),
        }
    }
}
