//! Trust anchors, kept as whole certificates: a PKIX-TA(0) record may name any of them (RFC 7671 section 5.4).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use data_encoding::BASE64;
use rustls_pki_types::{CertificateDer, Der, TrustAnchor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use webpki::anchor_from_trusted_cert;

use super::imposed;
use super::recall::Signatures;
use crate::cert::{CertificateFacts, Fingerprint, MAX_CERTIFICATE, certificates_from_base64};

/// The most trust anchors in one set.
pub const MAX_ANCHORS: usize = 4096;

/// A set of trust anchors. Cheap to clone; the same certificates in any order, any number of times, make the same set.
///
/// Of an anchor its name, key and name constraints count (RFC 5280 section 6.1.1 d), those that root programmes impose included: not its
/// dates, key usages or signature.
#[derive(Clone)]
pub struct Anchors {
    inner: Arc<Inner>,
}

struct Inner {
    /// In the order of their fingerprints; `webpki` has the same order.
    certificates: Vec<CertificateDer<'static>>,
    webpki: Vec<TrustAnchor<'static>>,
    id: Fingerprint,
    /// What each certificate says, read when a path first leads to it: most anchors of a set are never met.
    facts: Vec<OnceLock<Option<Box<CertificateFacts>>>>,
    /// On paths that led here.
    signatures: Signatures,
}

/// A certificate that was offered as a trust anchor and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedAnchor {
    /// Its place in what was offered, from 0.
    pub index: usize,
    /// Why it was not taken.
    pub why: AnchorError,
}

/// Why a certificate is not taken as a trust anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnchorError {
    /// Name and key cannot be read from it, or it is longer than 64 KiB.
    Unreadable,
    /// There are [`MAX_ANCHORS`] already.
    TooMany,
}

impl Anchors {
    /// No anchor at all: every path fails.
    #[must_use]
    pub fn none() -> Self {
        Self::from_der([]).0
    }

    /// Takes certificates in DER; those that cannot serve are handed back with the reason.
    pub fn from_der(
        certificates: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> (Self, Vec<RejectedAnchor>) {
        let mut taken: BTreeMap<Fingerprint, (CertificateDer<'static>, TrustAnchor<'static>)> =
            BTreeMap::new();
        let mut rejected = Vec::new();
        for (index, certificate) in certificates.into_iter().enumerate() {
            let fingerprint = Fingerprint::of(&certificate);
            let anchor = if certificate.len() > MAX_CERTIFICATE {
                None
            } else {
                anchor_from_trusted_cert(&certificate)
                    .ok()
                    .map(|anchor| constrained(anchor.to_owned(), fingerprint))
            };
            match anchor {
                None => rejected.push(RejectedAnchor { index, why: AnchorError::Unreadable }),
                Some(_) if taken.len() >= MAX_ANCHORS && !taken.contains_key(&fingerprint) => {
                    rejected.push(RejectedAnchor { index, why: AnchorError::TooMany });
                }
                Some(anchor) => {
                    taken.insert(fingerprint, (certificate, anchor));
                }
            }
        }
        let id = Fingerprint::of_parts(
            "revouch anchors",
            taken.keys().map(|fingerprint| &fingerprint.as_bytes()[..]),
        );
        let facts = taken.values().map(|_| OnceLock::new()).collect();
        let (certificates, webpki) = taken.into_values().unzip();
        let signatures = Signatures::default();
        (Self { inner: Arc::new(Inner { certificates, webpki, id, facts, signatures }) }, rejected)
    }

    /// The digest of the set: equal for equal sets.
    #[must_use]
    pub fn id(&self) -> Fingerprint {
        self.inner.id
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.certificates.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.certificates.is_empty()
    }

    /// The anchors as whole certificates.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.inner.certificates
    }

    /// The anchors as path validation takes them, in the order of [`certificates`](Self::certificates).
    pub(crate) fn webpki(&self) -> &[TrustAnchor<'static>] {
        &self.inner.webpki
    }

    /// What the anchor at this place says; `None` if it cannot be read further than for its name and key.
    pub(super) fn facts(&self, place: usize) -> Option<&CertificateFacts> {
        let read = || CertificateFacts::parse(self.certificates().get(place)?).ok().map(Box::new);
        self.inner.facts.get(place)?.get_or_init(read).as_deref()
    }

    /// The signatures that were found valid on paths to one of the anchors.
    pub(super) fn signatures(&self) -> &Signatures {
        &self.inner.signatures
    }
}

/// The anchor with what is imposed on it, where its certificate does not constrain it itself.
fn constrained(mut anchor: TrustAnchor<'static>, fingerprint: Fingerprint) -> TrustAnchor<'static> {
    if anchor.name_constraints.is_none() {
        anchor.name_constraints = imposed::on(fingerprint).map(Der::from);
    }
    anchor
}

impl PartialEq for Anchors {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Anchors {}

impl fmt::Debug for Anchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anchors({}, {})", self.len(), self.id())
    }
}

impl fmt::Display for AnchorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "name and key cannot be read from the certificate",
            Self::TooMany => "there are more than 4096 trust anchors",
        })
    }
}

impl std::error::Error for AnchorError {}

impl Serialize for Anchors {
    /// A list of base64 texts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.certificates().iter().map(|certificate| BASE64.encode(certificate)))
    }
}

impl<'de> Deserialize<'de> for Anchors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (anchors, rejected) = Self::from_der(certificates_from_base64(deserializer)?);
        match rejected.first() {
            Some(first) => {
                Err(serde::de::Error::custom(format_args!("trust anchor {}: {}", first.index, first.why)))
            }
            None => Ok(anchors),
        }
    }
}
