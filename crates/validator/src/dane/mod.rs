//! DANE (RFC 6698, RFC 7671, R11): which TLSA records can be used, and whether one of them matches a certificate.
//!
//! Promises: nothing here knows where the records or the certificates came from. Whether the records are Secure is told by the
//! caller; a bogus or failed answer never gets here. The records are bounded by the DNS message that held them, those that are
//! used by [`MAX_USABLE`].

mod verify;

use std::cell::OnceCell;
use std::fmt;

use aws_lc_rs::digest::{self, Digest};
use serde::{Deserialize, Serialize};

pub use self::verify::{DaneAccepted, DaneRefusal, DaneRequest, verify};
use crate::cert::{CertificateFacts, KeyFacts};
use crate::rr::Tlsa;

/// Certificate usage 0: a CA on a path to one of our own anchors.
pub const PKIX_TA: u8 = 0;
/// Certificate usage 1: the leaf, with a path to one of our own anchors.
pub const PKIX_EE: u8 = 1;
/// Certificate usage 2: a trust anchor that the domain chooses.
pub const DANE_TA: u8 = 2;
/// Certificate usage 3: the leaf, whoever issued it.
pub const DANE_EE: u8 = 3;

/// The most usable records that are kept of one set. A set with more [is cut](UsableTlsa::is_cut).
pub const MAX_USABLE: usize = 64;
/// The most bare keys (usage 2, selector 1, Full) of one set that are tried as anchors: each costs a signature check for every certificate
/// that it might have signed. What is beyond matches nothing, and the set [is cut](UsableTlsa::is_cut).
pub const MAX_BARE_KEYS: usize = 4;

const FULL: u8 = 0;
const SHA_256: u8 = 1;
const SHA_512: u8 = 2;

/// The records of a TLSA set that may vouch for a certificate, and why the others may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableTlsa {
    records: Vec<Usable>,
    left_out: Vec<LeftOut>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Usable {
    index: usize,
    record: Tlsa,
}

/// A record that is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Why it is not used.
    pub why: Unusable,
}

/// Why a TLSA record is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unusable {
    /// The certificate usage is none of 0 to 3.
    UnknownUsage,
    /// The selector is neither 0 nor 1.
    UnknownSelector,
    /// The matching type is none of 0 to 2.
    UnknownMatching,
    /// The digest is not as long as its matching type's digests are, or there is no data at all.
    WrongLength,
    /// The data of Full(0) is no certificate.
    NotACertificate,
    /// The data of Full(0) is no SubjectPublicKeyInfo.
    NotAKey,
    /// Usages 2 and 3 count only in a signed zone (R11).
    NotSecure,
    /// A usable record of the same usage and selector has a stronger digest (RFC 7671 section 9).
    WeakerDigest,
    /// There are [`MAX_USABLE`] others.
    TooMany,
}

/// The record that matched, and what it matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsaMatch {
    /// Certificate usage.
    pub usage: u8,
    /// Selector.
    pub selector: u8,
    /// Matching type.
    pub matching: u8,
    /// What it matched: 0 is the leaf, 1 its issuer, and so on. A bare key counts as the certificate that would hold it.
    pub depth: usize,
    /// The record's place in the set, from 0.
    pub index: usize,
}

/// Sorts a TLSA set into usable records and others (RFC 7671 sections 4, 5 and 9).
///
/// `secure`: whether the answer is Secure, for a name whose whole chain is. Without it only usages 0 and 1 count (R11). A record
/// that cannot be used never has an effect on the others, digest agility included.
#[must_use]
pub fn usable(records: &[Tlsa], secure: bool) -> UsableTlsa {
    let mut kept: Vec<Usable> = Vec::new();
    let mut left_out = Vec::new();
    for (index, record) in records.iter().enumerate() {
        match unusable(record, secure) {
            Some(why) => left_out.push(LeftOut { index, why }),
            None if kept.len() >= MAX_USABLE => left_out.push(LeftOut { index, why: Unusable::TooMany }),
            None => kept.push(Usable { index, record: record.clone() }),
        }
    }
    let strong: Vec<(u8, u8)> = kept
        .iter()
        .filter(|kept| kept.record.matching == SHA_512)
        .map(|kept| (kept.record.usage, kept.record.selector))
        .collect();
    kept.retain(|Usable { index, record }| {
        let weaker = record.matching == SHA_256 && strong.contains(&(record.usage, record.selector));
        if weaker {
            left_out.push(LeftOut { index: *index, why: Unusable::WeakerDigest });
        }
        !weaker
    });
    left_out.sort_by_key(|left_out| left_out.index);
    UsableTlsa { records: kept, left_out }
}

impl UsableTlsa {
    /// Whether no record can be used: then it is as if there were no TLSA set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether some usable records are not used, as there are too many. Which those are depends on the order of the records, which nobody
    /// signs: such a set is to be refused as a whole.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.left_out.iter().any(|left_out| left_out.why == Unusable::TooMany)
            || self.bare_keys().nth(MAX_BARE_KEYS).is_some()
    }

    /// How many records can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether a usable record has this certificate usage.
    #[must_use]
    pub fn has(&self, usage: u8) -> bool {
        self.records.iter().any(|usable| usable.record.usage == usage)
    }

    /// Whether a record other than of usage 3 can be used, so that a path may have to be found for it.
    #[must_use]
    pub fn needs_path(&self) -> bool {
        self.records.iter().any(|usable| usable.record.usage != DANE_EE)
    }

    /// The records that are not used, in the order of the set.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The DANE-EE(3) record that matches the leaf, given in DER and with what it says. Names, dates and issuers are not asked.
    #[must_use]
    pub fn match_end_entity(&self, leaf: &[u8], facts: &CertificateFacts) -> Option<TlsaMatch> {
        self.match_certificate(DANE_EE, leaf, &facts.spki, 0)
    }

    /// The first record of `usage` that matches a certificate in DER or its SubjectPublicKeyInfo.
    pub(crate) fn match_certificate(
        &self,
        usage: u8,
        der: &[u8],
        spki: &[u8],
        depth: usize,
    ) -> Option<TlsaMatch> {
        let (certificate, key) = (Association::new(der), Association::new(spki));
        let found = self.records.iter().filter(|usable| usable.record.usage == usage).find(|usable| {
            let association = if usable.record.selector == 0 { &certificate } else { &key };
            association.is(&usable.record)
        });
        found.map(|usable| usable.matched(depth))
    }

    /// The certificates that stand in full in records of usage 0 and 2.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        let records = self.records.iter().map(|usable| &usable.record);
        records
            .filter(|r| matches!(r.usage, PKIX_TA | DANE_TA) && r.selector == 0 && r.matching == FULL)
            .map(|r| r.data.as_slice())
    }

    /// The bare keys that stand in full in records of usage 2; the depth is not known yet.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (TlsaMatch, &[u8])> {
        self.bare_keys().take(MAX_BARE_KEYS).map(|u| (u.matched(0), u.record.data.as_slice()))
    }

    fn bare_keys(&self) -> impl Iterator<Item = &Usable> {
        let records = self.records.iter();
        records.filter(|u| u.record.usage == DANE_TA && u.record.selector == 1 && u.record.matching == FULL)
    }
}

impl Usable {
    const fn matched(&self, depth: usize) -> TlsaMatch {
        let Tlsa { usage, selector, matching, .. } = self.record;
        TlsaMatch { usage, selector, matching, depth, index: self.index }
    }
}

/// Octets to compare with records; each digest is computed once at most.
struct Association<'a> {
    octets: &'a [u8],
    sha256: OnceCell<Digest>,
    sha512: OnceCell<Digest>,
}

impl<'a> Association<'a> {
    const fn new(octets: &'a [u8]) -> Self {
        Self { octets, sha256: OnceCell::new(), sha512: OnceCell::new() }
    }

    fn is(&self, record: &Tlsa) -> bool {
        match record.matching {
            FULL => self.octets == record.data,
            SHA_256 => {
                self.sha256.get_or_init(|| digest::digest(&digest::SHA256, self.octets)).as_ref()
                    == record.data
            }
            SHA_512 => {
                self.sha512.get_or_init(|| digest::digest(&digest::SHA512, self.octets)).as_ref()
                    == record.data
            }
            _ => false,
        }
    }
}

fn unusable(record: &Tlsa, secure: bool) -> Option<Unusable> {
    if record.usage > DANE_EE {
        return Some(Unusable::UnknownUsage);
    }
    if record.selector > 1 {
        return Some(Unusable::UnknownSelector);
    }
    let wrong_length = |expected: usize| (record.data.len() != expected).then_some(Unusable::WrongLength);
    let in_data = match record.matching {
        FULL if record.data.is_empty() => Some(Unusable::WrongLength),
        FULL if record.selector == 0 => {
            CertificateFacts::parse(&record.data).is_err().then_some(Unusable::NotACertificate)
        }
        FULL => KeyFacts::from_spki(&record.data).is_none().then_some(Unusable::NotAKey),
        SHA_256 => wrong_length(32),
        SHA_512 => wrong_length(64),
        _ => Some(Unusable::UnknownMatching),
    };
    let not_secure = !secure && matches!(record.usage, DANE_TA | DANE_EE);
    in_data.or(not_secure.then_some(Unusable::NotSecure))
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownUsage => "unknown certificate usage",
            Self::UnknownSelector => "unknown selector",
            Self::UnknownMatching => "unknown matching type",
            Self::WrongLength => "data of the wrong length",
            Self::NotACertificate => "the data is no certificate",
            Self::NotAKey => "the data is no public key",
            Self::NotSecure => "usages 2 and 3 count only in a signed zone",
            Self::WeakerDigest => "another record has a stronger digest",
            Self::TooMany => "there are more than 64 usable records",
        })
    }
}

impl fmt::Display for TlsaMatch {
    /// Such as `3 1 1 at depth 0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} at depth {}", self.usage, self.selector, self.matching, self.depth)
    }
}

#[cfg(test)]
mod tests;
