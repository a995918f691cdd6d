//! Path validation (RFC 5280 section 6, R16): from the leaf to a trust anchor, for one purpose, at one point in time.
//!
//! Promises: exactly what a server certificate on an outbound connection would go through, by webpki, and on top of it what webpki
//! does not look at: the key usages of leaf and CAs, and keys that are too weak or too large. Names are not judged here. Not a
//! reason to refuse, since real certificates do it: a common name, the length of the serial number, the criticality of the
//! alternative names. The work is bounded by [`crate::chain::MAX_CERTIFICATES`], by three issuers of one name and by webpki's
//! budgets.
//!
//! Revocation is by CRL, for the leaf and every intermediate. Without any CRL at hand `crlUnknown: Refuse` refuses every path.

mod anchors;
mod crls;
mod error;
mod imposed;
mod recall;
mod search;
#[cfg(test)]
mod tests;
mod tlsa;

use serde::{Deserialize, Serialize};

pub use self::anchors::{AnchorError, Anchors, MAX_ANCHORS, RejectedAnchor};
pub use self::crls::{CrlChoice, CrlError, CrlPolicy, Crls, MAX_CRL_OCTETS, MAX_CRLS, RejectedCrl};
pub use self::error::PathError;
use self::search::{Candidate, Candidates, Outcome};
pub use self::tlsa::{PathOrTlsaError, validate_with_tlsa};
use crate::cert::{CertificateFacts, Fingerprint, Reader, tag};
use crate::chain::Chain;
use crate::timestamp::Timestamp;

/// How long a path that was found may be answered from a cache, in seconds, if no date ends it before.
pub const MAX_VALID_AGE: u64 = 24 * 3600;
/// How long a failure may be answered from a cache, in seconds, if no date ends it before.
pub const MAX_FAILED_AGE: u64 = 60;

/// What a path is validated for: the extended key usage that leaf and intermediates must have where they have any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// serverAuth.
    Server,
    /// serverAuth or anyExtendedKeyUsage (`eku.any: AsServerAuth`).
    ServerOrAny,
    /// clientAuth.
    Client,
}

/// What a path validation depends on besides the time.
#[derive(Clone, Copy, Debug)]
pub struct PathRequest<'a> {
    /// The certificates that the peer sent.
    pub chain: &'a Chain,
    /// What the chain's leaf says. Those of another certificate fail with [`PathError::Unreadable`].
    pub facts: &'a CertificateFacts,
    /// What the path is for.
    pub purpose: Purpose,
    /// The trust anchors.
    pub anchors: &'a Anchors,
    /// The revocation lists.
    pub crls: &'a Crls,
    /// What a missing or stale revocation list means.
    pub crl_policy: CrlPolicy,
}

/// The digest of everything in a [`PathRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PathKey(Fingerprint);

/// The outcome of a path validation, with what it was made from and when it holds, so that it can be cached. Cannot be read from
/// a file: whoever wrote it would decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PathVerdict {
    /// What it was made from.
    pub key: PathKey,
    /// The first second in which the outcome is the same.
    pub valid_from: Timestamp,
    /// The last second in which the outcome is the same and may be answered from a cache: before the next date in any of the
    /// certificates or CRLs, and at most [`MAX_VALID_AGE`] (a failure: [`MAX_FAILED_AGE`]) after it was made.
    pub valid_until: Timestamp,
    /// The path that was found, or why there is none.
    pub outcome: Result<PathFacts, PathError>,
}

/// A valid path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathFacts {
    /// The leaf and the intermediate certificates, leaf first.
    pub certificates: Vec<Fingerprint>,
    /// The anchor at its end.
    pub anchor: AnchorFacts,
}

/// The trust anchor of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorFacts {
    /// The anchor's certificate; `None` for a bare key from a TLSA record.
    pub fingerprint: Option<Fingerprint>,
    /// Its subject, printable and bounded; empty for a bare key.
    pub subject: String,
}

impl PathRequest<'_> {
    /// The digest under which a verdict on this request may be cached: chain, purpose, anchors, CRLs and CRL policy.
    #[must_use]
    pub fn key(&self) -> PathKey {
        let purpose = match self.purpose {
            Purpose::Server => 0,
            Purpose::ServerOrAny => 1,
            Purpose::Client => 2,
        };
        let choice = |choice| u8::from(choice == CrlChoice::Refuse);
        let settings = [purpose, choice(self.crl_policy.unknown), choice(self.crl_policy.expired)];
        let (anchors, crls) = (self.anchors.id(), self.crls.id());
        let fixed = [&settings[..], anchors.as_bytes(), crls.as_bytes()];
        let chain = self.chain.certificates().iter().map(AsRef::as_ref);
        PathKey(Fingerprint::of_parts("revouch path", fixed.into_iter().chain(chain)))
    }
}

impl PathVerdict {
    /// Whether this is the verdict on `request` at `now`: made from the same values, at a time from which nothing has changed.
    #[must_use]
    pub fn answers(&self, request: &PathRequest<'_>, now: Timestamp) -> bool {
        self.answers_key(&request.key(), now)
    }

    /// As [`answers`](Self::answers), for a request of this key.
    pub(crate) fn answers_key(&self, key: &PathKey, now: Timestamp) -> bool {
        self.valid_from <= now && now <= self.valid_until && self.key == *key
    }
}

/// Validates the path of `request` at `now`.
///
/// Depends on nothing else: the same request gives the same outcome at every point in time from the verdict's `valid_from` to its
/// `valid_until`.
#[must_use]
pub fn validate(request: &PathRequest<'_>, now: Timestamp) -> PathVerdict {
    let candidates = Candidates::read(request);
    let outcome = match &candidates {
        Err(error) => Err(error.clone()),
        Ok(candidates) => without_tlsa(request, candidates, now),
    };
    let (valid_from, last) = match &candidates {
        Ok(candidates) => window(request, candidates, now),
        // Nothing of what fails here depends on the time.
        Err(_) => (Timestamp::MIN, Timestamp::MAX),
    };
    let age = if outcome.is_ok() { MAX_VALID_AGE } else { MAX_FAILED_AGE };
    PathVerdict { key: request.key(), valid_from, valid_until: last.min(now.saturating_add(age)), outcome }
}

fn without_tlsa(
    request: &PathRequest<'_>,
    candidates: &Candidates<'_>,
    now: Timestamp,
) -> Result<PathFacts, PathError> {
    no_list_at_hand(request)?;
    let accept = |candidate: &Candidate<'_>| path_facts(request, candidate).map(Some);
    match candidates.search(request, request.anchors.webpki(), now, &accept) {
        Outcome::Found(facts) => Ok(facts),
        Outcome::Failed(error) => Err(error),
        Outcome::NotAccepted => Err(PathError::UnknownIssuer),
    }
}

/// webpki checks no status at all without a list; with `crlUnknown: Refuse` that is a refusal.
fn no_list_at_hand(request: &PathRequest<'_>) -> Result<(), PathError> {
    let refused = request.crls.is_empty() && request.crl_policy.unknown == CrlChoice::Refuse;
    if refused { Err(PathError::RevocationUnknown) } else { Ok(()) }
}

/// What is told of a path to one of the request's own anchors.
fn path_facts(request: &PathRequest<'_>, candidate: &Candidate<'_>) -> Result<PathFacts, PathError> {
    let anchor = request.anchors.certificates().get(candidate.anchor).ok_or(PathError::UnknownIssuer)?;
    // An anchor needs no more than a name and a key: webpki may take one that cannot be read further.
    let facts = request.anchors.facts(candidate.anchor);
    if let Some(facts) = facts {
        may_sign_crls(request, facts)?;
    }
    let subject = facts.map(|facts| facts.subject_display().to_owned()).unwrap_or_default();
    let fingerprint = facts.map_or_else(|| Fingerprint::of(anchor), |facts| facts.fingerprint);
    Ok(PathFacts {
        certificates: fingerprints(request.facts, candidate),
        anchor: AnchorFacts { fingerprint: Some(fingerprint), subject },
    })
}

/// A CRL of a CA whose key usage does not allow cRLSign is not to be used (RFC 5280 section 6.3.3 f); webpki asks this of
/// intermediates, but knows no key usage of an anchor.
fn may_sign_crls(request: &PathRequest<'_>, anchor: &CertificateFacts) -> Result<(), PathError> {
    let forbidden = anchor.key_usage.is_some_and(|usage| !usage.crl_sign);
    let name = || Reader::inside(tag::SEQUENCE, &anchor.subject_der).map(|content| content.rest());
    let used = forbidden && name().is_some_and(|name| request.crls.any_by(name));
    if used { Err(PathError::CrlUnusable) } else { Ok(()) }
}

fn fingerprints(leaf: &CertificateFacts, candidate: &Candidate<'_>) -> Vec<Fingerprint> {
    std::iter::once(leaf)
        .chain(candidate.intermediates.iter().copied())
        .map(|facts| facts.fingerprint)
        .collect()
}

/// The seconds around `now` in which no certificate and no CRL changes between valid and not valid, so that the outcome of
/// the whole search is the same in all of them.
fn window(request: &PathRequest<'_>, candidates: &Candidates<'_>, now: Timestamp) -> (Timestamp, Timestamp) {
    if candidates.unreadable {
        return (now, now);
    }
    let certificates =
        std::iter::once(candidates.leaf_facts).chain(candidates.issuers().map(|(_, facts)| facts));
    let dates = certificates.flat_map(|facts| [facts.not_before, facts.not_after.saturating_add(1)]);
    let updates = request.crls.next_updates().filter(|_| request.crl_policy.expired == CrlChoice::Refuse);
    let (mut from, mut until) = (Timestamp::MIN, Timestamp::MAX);
    for change in dates.chain(updates) {
        if change <= now {
            from = from.max(change);
        } else {
            until = until.min(Timestamp(change.0 - 1));
        }
    }
    (from, until)
}
