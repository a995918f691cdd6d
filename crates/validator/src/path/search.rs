//! The search for a path: webpki builds it and checks it, and what webpki does not look at is checked on every candidate, so
//! that another path is tried where one fails.

use std::cell::{Cell, RefCell};

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor};
use webpki::{
    EndEntityCert, Error, ExpirationPolicy, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter,
    KeyUsage, RevocationCheckDepth, RevocationOptions, RevocationOptionsBuilder, UnknownStatusPolicy,
    VerifiedPath,
};

use super::crls::CrlChoice;
use super::recall::Recall;
use super::{PathError, PathRequest, Purpose};
use crate::cert::{CertificateFacts, Fingerprint};
use crate::timestamp::Timestamp;

/// The most issuers of one name among which a path is sought. Without such a bound a chain of a few kilobytes has so many paths
/// that the search takes seconds: webpki's own limit is 200,000 steps.
pub(super) const MAX_SAME_SUBJECT: usize = 3;
/// The most issuers of all names: what a chain can hold, and a few that came from TLSA records.
const MAX_ISSUERS: usize = 20;

/// The leaf and every certificate that may stand between it and an anchor, read once.
pub(super) struct Candidates<'a> {
    pub(super) leaf: &'a CertificateDer<'a>,
    pub(super) leaf_facts: &'a CertificateFacts,
    issuers: Vec<CertificateDer<'a>>,
    facts: Vec<CertificateFacts>,
    /// A certificate was left out because it cannot be read.
    pub(super) unreadable: bool,
}

/// A path that is valid but for what `accept` asks.
pub(super) struct Candidate<'a> {
    /// The intermediate certificates, the leaf's issuer first.
    pub(super) intermediates: Vec<&'a CertificateFacts>,
    pub(super) intermediate_ders: Vec<&'a [u8]>,
    /// The place of the anchor in the list that was searched.
    pub(super) anchor: usize,
}

/// What came of a search.
pub(super) enum Outcome<T> {
    /// A path, and what `accept` made of it.
    Found(T),
    /// There is a valid path, and `accept` took none.
    NotAccepted,
    /// There is no valid path.
    Failed(PathError),
}

impl<'a> Candidates<'a> {
    /// Reads the chain of `request`. What cannot be read is left out: no path may use it.
    ///
    /// # Errors
    /// The leaf's key is weak, there are more than [`MAX_SAME_SUBJECT`] issuers of one name, or the request's facts are not those
    /// of its leaf.
    pub(super) fn read(request: &PathRequest<'a>) -> Result<Self, PathError> {
        let leaf = request.chain.leaf();
        if Fingerprint::of(leaf) != request.facts.fingerprint {
            return Err(PathError::Unreadable);
        }
        if let Some(why) = request.facts.key.weak() {
            return Err(PathError::WeakKey { depth: 0, why });
        }
        let mut candidates = Self {
            leaf,
            leaf_facts: request.facts,
            issuers: Vec::new(),
            facts: Vec::new(),
            unreadable: false,
        };
        for issuer in request.chain.intermediates() {
            if !candidates.offer(issuer) {
                return Err(PathError::TooComplex);
            }
        }
        Ok(candidates)
    }

    /// Adds an issuer unless it is there or cannot be read; false if there would be too many.
    pub(super) fn offer(&mut self, der: &'a [u8]) -> bool {
        let Ok(facts) = CertificateFacts::parse(der) else {
            self.unreadable = true;
            return true;
        };
        if self.facts.iter().any(|other| other.fingerprint == facts.fingerprint) {
            return true;
        }
        let same = self.facts.iter().filter(|other| other.subject_der == facts.subject_der).count();
        if same >= MAX_SAME_SUBJECT || self.facts.len() >= MAX_ISSUERS {
            return false;
        }
        self.issuers.push(CertificateDer::from(der));
        self.facts.push(facts);
        true
    }

    /// The issuers with what they say, as they were sent.
    pub(super) fn issuers(&self) -> impl Iterator<Item = (&CertificateDer<'a>, &CertificateFacts)> {
        self.issuers.iter().zip(&self.facts)
    }

    /// Looks for a path to one of `anchors` that `accept` takes.
    pub(super) fn search<T>(
        &self,
        request: &PathRequest<'_>,
        anchors: &[TrustAnchor<'_>],
        now: Timestamp,
        accept: &dyn Fn(&Candidate<'_>) -> Result<Option<T>, PathError>,
    ) -> Outcome<T> {
        let end_entity = match EndEntityCert::try_from(self.leaf) {
            Ok(end_entity) => end_entity,
            Err(error) => return Outcome::Failed(error.into()),
        };
        let crls = request.crls.webpki();
        let found = RefCell::new(None);
        let failure = RefCell::new(None);
        let not_accepted = Cell::new(false);
        let recall = Recall::new(request.anchors.signatures(), &self.issuers);
        let algorithms = recall.algorithms();
        let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
            algorithms.iter().map(|algorithm| algorithm as &dyn SignatureVerificationAlgorithm).collect();
        let is_own = std::ptr::eq(anchors, request.anchors.webpki());
        let verify = |path: &VerifiedPath<'_>| {
            let judged = self.judge(path, request, anchors).and_then(|candidate| {
                let accepted = accept(&candidate)?;
                // An anchor that a record names may be anyone's.
                if is_own {
                    recall.keep(&candidate.intermediate_ders);
                }
                Ok(accepted)
            });
            match judged {
                Ok(Some(accepted)) => {
                    found.replace(Some(accepted));
                    return Ok(());
                }
                Ok(None) => not_accepted.set(true),
                Err(error) => drop(failure.borrow_mut().get_or_insert(error)),
            }
            Err(Error::UnknownIssuer)
        };
        let result = end_entity.verify_for_usage(
            &algorithms,
            anchors,
            &self.issuers,
            now.to_unix_time(),
            EkuValidator(request.purpose),
            revocation(request, &crls),
            Some(&verify),
        );
        match (result, found.take(), failure.take()) {
            (Ok(_), Some(accepted), _) => Outcome::Found(accepted),
            _ if not_accepted.get() => Outcome::NotAccepted,
            (_, _, Some(error)) => Outcome::Failed(error),
            (Err(error), ..) => Outcome::Failed(self.explain(error.into())),
            // Not reached: a path is found only by `verify` taking it.
            (Ok(_), None, None) => Outcome::Failed(PathError::UnknownIssuer),
        }
    }

    /// webpki does not say that a signature fails since the issuer's key is too weak for it.
    fn explain(&self, error: PathError) -> PathError {
        if !matches!(error, PathError::BadSignature | PathError::UnsupportedSignature) {
            return error;
        }
        let weak = |(above, (_, facts)): (usize, (_, &CertificateFacts))| {
            facts.key.weak().map(|why| PathError::WeakKey { depth: above + 1, why })
        };
        self.issuers().enumerate().find_map(weak).unwrap_or(error)
    }

    /// What webpki does not check: key usages, the strength of the keys, and lists of other scopes than the one that it chose.
    fn judge(
        &self,
        path: &VerifiedPath<'_>,
        request: &PathRequest<'_>,
        anchors: &[TrustAnchor<'_>],
    ) -> Result<Candidate<'_>, PathError> {
        if self.leaf_facts.key_usage.is_some_and(|usage| !usage.digital_signature) {
            return Err(PathError::KeyUsage { depth: 0 });
        }
        let mut intermediates = Vec::new();
        let mut intermediate_ders = Vec::new();
        for (above, certificate) in path.intermediate_certificates().enumerate() {
            let depth = above + 1;
            let der = certificate.der();
            let known = self.issuers().find(|(issuer, _)| std::ptr::eq(issuer.as_ptr(), der.as_ptr()));
            let (issuer, facts) = known.ok_or(PathError::Unreadable)?;
            if facts.key_usage.is_some_and(|usage| !usage.key_cert_sign) {
                return Err(PathError::KeyUsage { depth });
            }
            // webpki's algorithms cannot verify a signature by such a key; this does not rely on it.
            if let Some(why) = facts.key.weak() {
                return Err(PathError::WeakKey { depth, why });
            }
            intermediates.push(facts);
            intermediate_ders.push(issuer.as_ref());
        }
        for certificate in std::iter::once(self.leaf_facts).chain(intermediates.iter().copied()) {
            look_up(request, certificate)?;
        }
        let anchor = anchors.iter().position(|anchor| std::ptr::eq(anchor, path.anchor()));
        Ok(Candidate { intermediates, intermediate_ders, anchor: anchor.ok_or(PathError::UnknownIssuer)? })
    }
}

/// The status of one certificate by all lists of its issuer (RFC 5280 section 6.3.3).
fn look_up(request: &PathRequest<'_>, certificate: &CertificateFacts) -> Result<(), PathError> {
    if request.crls.revoke(certificate) {
        return Err(PathError::Revoked);
    }
    let unknown = request.crl_policy.unknown == CrlChoice::Refuse && !request.crls.are_about(certificate);
    if unknown { Err(PathError::RevocationUnknown) } else { Ok(()) }
}

/// The extended key usages that a purpose asks of the leaf and of every intermediate.
struct EkuValidator(Purpose);

impl ExtendedKeyUsageValidator for EkuValidator {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        const SERVER_AUTH: KeyPurposeId<'_> =
            KeyPurposeId::new(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01]);
        const ANY: KeyPurposeId<'_> = KeyPurposeId::new(&[0x55, 0x1d, 0x25, 0x00]);
        match self.0 {
            Purpose::Server => KeyUsage::server_auth().validate(purposes),
            Purpose::Client => KeyUsage::client_auth().validate(purposes),
            Purpose::ServerOrAny => {
                let mut absent = true;
                for purpose in purposes {
                    absent = false;
                    let purpose = purpose?;
                    if purpose == SERVER_AUTH || purpose == ANY {
                        return Ok(());
                    }
                }
                // An empty extension does not come here: webpki refuses it before. The error's context cannot be made outside of
                // webpki; this one has the same meaning to the caller.
                if absent { Ok(()) } else { Err(Error::EmptyEkuExtension) }
            }
        }
    }
}

fn revocation<'a>(
    request: &PathRequest<'_>,
    crls: &'a [&'a webpki::CertRevocationList<'a>],
) -> Option<RevocationOptions<'a>> {
    let unknown = match request.crl_policy.unknown {
        CrlChoice::Allow => UnknownStatusPolicy::Allow,
        CrlChoice::Refuse => UnknownStatusPolicy::Deny,
    };
    let expired = match request.crl_policy.expired {
        CrlChoice::Allow => ExpirationPolicy::Ignore,
        CrlChoice::Refuse => ExpirationPolicy::Enforce,
    };
    let builder = RevocationOptionsBuilder::new(crls).ok()?;
    let builder = builder.with_depth(RevocationCheckDepth::Chain).with_status_policy(unknown);
    Some(builder.with_expiration_policy(expired).build())
}
