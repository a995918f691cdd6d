//! Paths that a TLSA record must vouch for: usages 0, 1 and 2 (RFC 7671 section 5, R11).
//!
//! The records are matched on every candidate path, so that another path is tried where none matches.

use std::fmt;

use rustls_pki_types::{CertificateDer, TrustAnchor};
use webpki::anchor_from_trusted_cert;

use super::search::{Candidate, Candidates, Outcome};
use super::{
    AnchorFacts, PathError, PathFacts, PathRequest, Purpose, fingerprints, may_sign_crls, no_list_at_hand,
    path_facts,
};
use crate::cert::{CertificateFacts, EkuSet, Reader, tag};
use crate::dane::{DANE_TA, PKIX_EE, PKIX_TA, TlsaMatch, UsableTlsa};
use crate::timestamp::Timestamp;

/// Why no path that a TLSA record vouches for was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathOrTlsaError {
    /// No record matches, whether or not there is a path.
    NoMatch,
    /// A record would match or might have, and there is no valid path.
    Path(PathError),
}

/// Validates the path of `request` at `now` so that one of the records of usage 0, 1 or 2 in `tlsa` matches.
///
/// DANE-TA(2) needs no anchor of the request: a certificate that the peer sent behind its leaf and that a record matches is the
/// anchor, or a certificate or bare key that stands in full in a record. Such an anchor must itself be in its time, a CA, strong
/// and fit for the purpose. PKIX-EE(1) and PKIX-TA(0) need a path to one of the request's anchors; certificates that stand in full in
/// records serve as further intermediates. Of several matches DANE-TA comes first, then PKIX-EE; lower in the chain before higher.
///
/// # Errors
/// No record matches, or there is no path.
pub fn validate_with_tlsa(
    request: &PathRequest<'_>,
    now: Timestamp,
    tlsa: &UsableTlsa,
) -> Result<(PathFacts, TlsaMatch), PathOrTlsaError> {
    let mut candidates = Candidates::read(request).map_err(PathOrTlsaError::Path)?;
    no_list_at_hand(request).map_err(PathOrTlsaError::Path)?;
    for certificate in tlsa.certificates() {
        // One too many is left out: what the peer sent comes first.
        candidates.offer(certificate);
    }
    let by_dane = to_dane_anchor(request, &candidates, now, tlsa);
    if let Outcome::Found(found) = by_dane {
        return Ok(found);
    }
    match (by_dane, to_own_anchor(request, &candidates, now, tlsa)) {
        (_, Outcome::Found(found)) => Ok(found),
        (Outcome::Failed(error), _) | (_, Outcome::Failed(error)) => Err(PathOrTlsaError::Path(error)),
        _ => Err(PathOrTlsaError::NoMatch),
    }
}

/// PKIX-EE(1) and PKIX-TA(0).
fn to_own_anchor(
    request: &PathRequest<'_>,
    candidates: &Candidates<'_>,
    now: Timestamp,
    tlsa: &UsableTlsa,
) -> Outcome<(PathFacts, TlsaMatch)> {
    let leaf = tlsa.match_certificate(PKIX_EE, candidates.leaf, &request.facts.spki, 0);
    if leaf.is_none() && !tlsa.has(PKIX_TA) {
        return Outcome::NotAccepted;
    }
    let accept = |candidate: &Candidate<'_>| {
        let matched = leaf.or_else(|| match_authority(request, candidate, tlsa));
        matched.map(|matched| Ok((path_facts(request, candidate)?, matched))).transpose()
    };
    candidates.search(request, request.anchors.webpki(), now, &accept)
}

/// PKIX-TA(0): a CA on the path, the anchor included.
fn match_authority(
    request: &PathRequest<'_>,
    candidate: &Candidate<'_>,
    tlsa: &UsableTlsa,
) -> Option<TlsaMatch> {
    let path = candidate.intermediate_ders.iter().zip(&candidate.intermediates).enumerate();
    let below = path
        .into_iter()
        .find_map(|(above, (der, facts))| tlsa.match_certificate(PKIX_TA, der, &facts.spki, above + 1));
    below.or_else(|| {
        let anchor = request.anchors.certificates().get(candidate.anchor)?;
        let spki = CertificateFacts::parse(anchor).map(|facts| facts.spki).unwrap_or_default();
        tlsa.match_certificate(PKIX_TA, anchor, &spki, candidate.intermediates.len() + 1)
    })
}

/// An anchor that a record of usage 2 makes one.
struct DaneAnchor {
    matched: TlsaMatch,
    /// What the anchor's certificate says; `None` for a bare key.
    facts: Option<CertificateFacts>,
}

/// DANE-TA(2).
fn to_dane_anchor(
    request: &PathRequest<'_>,
    candidates: &Candidates<'_>,
    now: Timestamp,
    tlsa: &UsableTlsa,
) -> Outcome<(PathFacts, TlsaMatch)> {
    if !tlsa.has(DANE_TA) {
        return Outcome::NotAccepted;
    }
    let (mut anchors, mut origins) = (Vec::new(), Vec::new());
    let mut unfit = None;
    // Those from records are among them: `validate_with_tlsa` offered them.
    for (above, (der, facts)) in candidates.issuers().enumerate() {
        if facts.fingerprint == candidates.leaf_facts.fingerprint {
            continue;
        }
        let Some(matched) = tlsa.match_certificate(DANE_TA, der, &facts.spki, 0) else { continue };
        match fit_as_anchor(facts, above + 1, request.purpose, now).and_then(|()| anchor_of(der)) {
            Ok(anchor) => {
                anchors.push(anchor);
                origins.push(DaneAnchor { matched, facts: Some(facts.clone()) });
            }
            Err(error) => drop(unfit.get_or_insert(error)),
        }
    }
    let names: Vec<&[u8]> = issuer_names(candidates);
    for (matched, spki) in tlsa.keys() {
        for name in &names {
            if let Some(anchor) = bare_anchor(name, spki) {
                anchors.push(anchor);
                origins.push(DaneAnchor { matched, facts: None });
            }
        }
    }
    if anchors.is_empty() {
        return unfit.map_or(Outcome::NotAccepted, Outcome::Failed);
    }
    let accept = |candidate: &Candidate<'_>| accept_dane(request, candidate, &origins);
    match candidates.search(request, &anchors, now, &accept) {
        Outcome::Failed(PathError::UnknownIssuer) if unfit.is_some() => {
            Outcome::Failed(unfit.unwrap_or(PathError::UnknownIssuer))
        }
        // The only records are bare keys, and none of them signed anything here: that is a record without a match.
        Outcome::Failed(
            PathError::BadSignature | PathError::UnknownIssuer | PathError::UnsupportedSignature,
        ) if origins.iter().all(|origin| origin.facts.is_none()) => Outcome::NotAccepted,
        outcome => outcome,
    }
}

fn accept_dane(
    request: &PathRequest<'_>,
    candidate: &Candidate<'_>,
    origins: &[DaneAnchor],
) -> Result<Option<(PathFacts, TlsaMatch)>, PathError> {
    let Some(origin) = origins.get(candidate.anchor) else { return Ok(None) };
    let below = candidate.intermediates.len();
    let limit =
        origin.facts.as_ref().and_then(|facts| facts.basic_constraints).and_then(|basic| basic.path_len);
    let counted = candidate.intermediates.iter().filter(|facts| !facts.is_self_issued()).count();
    if limit.is_some_and(|limit| u32::try_from(counted).is_ok_and(|counted| counted > limit)) {
        return Err(PathError::PathLength);
    }
    let anchor = match &origin.facts {
        Some(facts) => {
            may_sign_crls(request, facts)?;
            AnchorFacts { fingerprint: Some(facts.fingerprint), subject: facts.subject_display().to_owned() }
        }
        None => AnchorFacts { fingerprint: None, subject: String::new() },
    };
    let facts = PathFacts { certificates: fingerprints(request.facts, candidate), anchor };
    Ok(Some((facts, TlsaMatch { depth: below + 1, ..origin.matched })))
}

/// What is asked of a certificate that a record makes an anchor, and that no operator chose.
fn fit_as_anchor(
    facts: &CertificateFacts,
    depth: usize,
    purpose: Purpose,
    now: Timestamp,
) -> Result<(), PathError> {
    if now < facts.not_before {
        return Err(PathError::NotYetValid { not_before: facts.not_before });
    }
    if now > facts.not_after {
        return Err(PathError::Expired { not_after: facts.not_after });
    }
    // A certificate of version 1 cannot say that it is a CA; old roots are such.
    if !(facts.is_ca() || facts.version == 1 && facts.is_self_issued()) {
        return Err(PathError::NotACa);
    }
    if facts.key_usage.is_some_and(|usage| !usage.key_cert_sign) {
        return Err(PathError::KeyUsage { depth });
    }
    let EkuSet::Present { server_auth, client_auth, any, .. } = facts.eku else {
        return weak_key(facts, depth);
    };
    let fits = match purpose {
        Purpose::Server => server_auth,
        Purpose::ServerOrAny => server_auth || any,
        Purpose::Client => client_auth,
    };
    if fits { weak_key(facts, depth) } else { Err(PathError::ExtendedKeyUsage) }
}

fn weak_key(facts: &CertificateFacts, depth: usize) -> Result<(), PathError> {
    facts.key.weak().map_or(Ok(()), |why| Err(PathError::WeakKey { depth, why }))
}

fn anchor_of<'a>(der: &'a CertificateDer<'a>) -> Result<TrustAnchor<'a>, PathError> {
    anchor_from_trusted_cert(der).map_err(PathError::from)
}

/// Every name that issued one of the certificates, once: a bare key has no name, so it may be any of them.
fn issuer_names<'a>(candidates: &'a Candidates<'_>) -> Vec<&'a [u8]> {
    let all = std::iter::once(candidates.leaf_facts).chain(candidates.issuers().map(|(_, facts)| facts));
    let mut names: Vec<&[u8]> = all.map(|facts| facts.issuer_der.as_slice()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// An anchor of a name and a key, both in DER.
fn bare_anchor<'a>(name: &'a [u8], spki: &'a [u8]) -> Option<TrustAnchor<'a>> {
    Some(TrustAnchor {
        subject: Reader::inside(tag::SEQUENCE, name)?.rest().into(),
        subject_public_key_info: Reader::inside(tag::SEQUENCE, spki)?.rest().into(),
        name_constraints: None,
    })
}

impl fmt::Display for PathOrTlsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMatch => f.write_str("no TLSA record matches"),
            Self::Path(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PathOrTlsaError {}
