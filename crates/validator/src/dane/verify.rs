//! A whole DANE check in one call: what `revouch dane` does, without policy and without DNS.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{TlsaMatch, usable};
use crate::cert::{CertificateError, CertificateFacts, WeakKey};
use crate::chain::Chain;
use crate::name::DnsName;
use crate::path::{
    Anchors, CrlPolicy, Crls, PathError, PathFacts, PathOrTlsaError, PathRequest, Purpose, validate,
    validate_with_tlsa,
};
use crate::rr::Tlsa;
use crate::timestamp::Timestamp;

/// What is checked.
#[derive(Clone, Copy, Debug)]
pub struct DaneRequest<'a> {
    /// The certificates, leaf first.
    pub chain: &'a Chain,
    /// The TLSA set.
    pub records: &'a [Tlsa],
    /// Whether the set is Secure; without it usages 2 and 3 cannot be used (R11).
    pub secure: bool,
    /// The reference identities; one of them must match where names are checked.
    pub names: &'a [DnsName],
    /// Whether names are checked for a DANE-EE(3) match too, which RFC 7671 section 5.1 does not ask for.
    pub ee_name_check: bool,
    /// The anchors for usages 0 and 1, and for a set without a usable record.
    pub anchors: &'a Anchors,
    /// The revocation lists, which do not count for usage 3.
    pub crls: &'a Crls,
    /// What a missing or stale revocation list means.
    pub crl_policy: CrlPolicy,
}

/// What vouches for the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaneAccepted {
    /// The record that matched; `None` if no record can be used, so that the path alone counts.
    pub matched: Option<TlsaMatch>,
    /// The path; `None` for usage 3.
    pub path: Option<PathFacts>,
    /// The reference identity that matched; `None` where names are not checked.
    pub name: Option<DnsName>,
}

/// Why nothing vouches for the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DaneRefusal {
    /// The leaf cannot be read.
    Unreadable(CertificateError),
    /// The leaf's key is not accepted, whoever vouches for it.
    WeakKey(WeakKey),
    /// The set has more records than are used, so that their order would decide.
    TooManyRecords,
    /// No record matches.
    NoMatch,
    /// There is no valid path.
    Path(PathError),
    /// No reference identity is in the certificate.
    Name,
}

/// Checks a chain against a TLSA set, by RFC 7671: DANE-EE(3) first, then the other usages; without a usable record by path and
/// name alone. The purpose is that of a server.
///
/// # Errors
/// The first check that failed.
pub fn verify(request: &DaneRequest<'_>, now: Timestamp) -> Result<DaneAccepted, DaneRefusal> {
    let facts = request.chain.leaf_facts().map_err(DaneRefusal::Unreadable)?;
    if let Some(why) = facts.key.weak() {
        return Err(DaneRefusal::WeakKey(why));
    }
    let usable = usable(request.records, request.secure);
    if usable.is_cut() {
        return Err(DaneRefusal::TooManyRecords);
    }
    if let Some(matched) = usable.match_end_entity(request.chain.leaf(), facts) {
        let name = if request.ee_name_check { Some(matching_name(request, facts)?) } else { None };
        return Ok(DaneAccepted { matched: Some(matched), path: None, name });
    }
    let path_request = PathRequest {
        chain: request.chain,
        facts,
        purpose: Purpose::Server,
        anchors: request.anchors,
        crls: request.crls,
        crl_policy: request.crl_policy,
    };
    let (path, matched) = if usable.is_empty() {
        (validate(&path_request, now).outcome.map_err(DaneRefusal::Path)?, None)
    } else if usable.needs_path() {
        let (path, matched) = validate_with_tlsa(&path_request, now, &usable)?;
        (path, Some(matched))
    } else {
        return Err(DaneRefusal::NoMatch);
    };
    Ok(DaneAccepted { matched, path: Some(path), name: Some(matching_name(request, facts)?) })
}

fn matching_name(request: &DaneRequest<'_>, facts: &CertificateFacts) -> Result<DnsName, DaneRefusal> {
    request.names.iter().find(|name| facts.matches_dns(name).is_some()).cloned().ok_or(DaneRefusal::Name)
}

impl From<PathOrTlsaError> for DaneRefusal {
    fn from(error: PathOrTlsaError) -> Self {
        match error {
            PathOrTlsaError::NoMatch => Self::NoMatch,
            PathOrTlsaError::Path(error) => Self::Path(error),
        }
    }
}

impl fmt::Display for DaneRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::WeakKey(why) => why.fmt(f),
            Self::TooManyRecords => f.write_str("the TLSA set has too many records"),
            Self::NoMatch => f.write_str("no TLSA record matches"),
            Self::Path(error) => error.fmt(f),
            Self::Name => f.write_str("no reference identity is in the certificate"),
        }
    }
}

impl std::error::Error for DaneRefusal {}
