//! The verifier of one connection: hands the peer's chain to the decision, and the verdict to the TLS library.
//!
//! Promises: without evidence in the slot the decision is made without it, which refuses whoever needs any (`evidence_missing`). A
//! refused chain gets the reason's alert. Under Audit a refused chain passes, but the proof of the key is asked for all the same.
//! What the slot says of decision and signature is written once, here alone.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use revouch_validator::alert::Alert;
use revouch_validator::chain::Chain;
use revouch_validator::connection::Connection;
use revouch_validator::decide::{Case, PathVerdicts, decide_with};
use revouch_validator::evidence::Evidence;
use revouch_validator::path::{PathKey, PathVerdict};
use revouch_validator::policy::Mode;
use revouch_validator::reason::Reason;
use revouch_validator::timestamp::Timestamp;
use revouch_validator::verdict::Verdict;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use webpki::{EndEntityCert, RawPublicKeyEntity};

use super::PathCache;
use crate::events::{CacheResult, Observer};
use crate::runtime::PolicyRuntime;

/// What the verifier and the rest of the connection share.
#[derive(Default)]
pub(super) struct Slot {
    /// Filled once, before the gate opens.
    pub(super) evidence: OnceLock<Arc<Evidence>>,
    /// How long that took.
    pub(super) took: OnceLock<Duration>,
    /// Filled once, when the chain has come.
    pub(super) decision: OnceLock<Decision>,
    /// Filled once, when the peer's signature was checked: whether it proves that the peer holds its certificate's key.
    pub(super) signature: OnceLock<bool>,
}

impl Slot {
    /// Puts in the evidence and how long it took. Once: what comes later is not looked at.
    pub(super) fn fill(&self, evidence: Arc<Evidence>, took: Duration) {
        let _ = self.took.set(took);
        let _ = self.evidence.set(evidence);
    }
}

/// The verdict and what it was made from.
pub(super) struct Decision {
    pub(super) verdict: Arc<Verdict>,
    /// Absent if the chain is out of bounds.
    pub(super) chain: Option<Chain>,
    pub(super) evidence: Option<Arc<Evidence>>,
    pub(super) now: Timestamp,
}

/// See the module.
pub(super) struct PeerVerifier {
    pub(super) policy: Arc<PolicyRuntime>,
    pub(super) connection: Connection,
    pub(super) slot: Arc<Slot>,
    pub(super) paths: Arc<PathCache>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

/// The cache of path verdicts at the time of one decision.
struct Paths<'v> {
    cache: &'v PathCache,
    observer: &'v dyn Observer,
    now: Timestamp,
}

impl PathVerdicts for Paths<'_> {
    fn find(&self, key: &PathKey) -> Option<Arc<PathVerdict>> {
        let found = self.cache.get(key, self.now)?;
        self.observer.path_cache(CacheResult::Hit);
        Some(found)
    }

    fn keep(&self, made: &Arc<PathVerdict>) {
        self.observer.path_cache(CacheResult::Miss);
        self.cache.put(Arc::clone(made));
    }
}

impl PeerVerifier {
    fn decide(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], now: Timestamp) -> Decision {
        let certificates = std::iter::once(leaf).chain(others).map(|c| c.clone().into_owned()).collect();
        let evidence = self.slot.evidence.get().cloned();
        let Ok(chain) = Chain::new(certificates) else {
            let verdict = Arc::new(Verdict::refusal(Reason::CertificateUnreadable));
            return Decision { verdict, chain: None, evidence, now };
        };
        let case = Case {
            policy: &self.policy.policy,
            chain: &chain,
            connection: &self.connection,
            evidence: evidence.as_deref(),
            trust: &self.policy.trust,
            now,
        };
        let verdict = decide_with(&case, &Paths { cache: &self.paths, observer: &*self.observer, now });
        Decision { verdict: Arc::new(verdict), chain: Some(chain), evidence, now }
    }

    /// Notes what came of the check. Whatever was wrong, the peer sees decrypt_error (51), the alert of `bad_signature`.
    fn checked(
        &self,
        result: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        let result = result.map_err(|_| bad_signature());
        // One handshake, one signature.
        if self.slot.signature.set(result.is_ok()).is_err() {
            return Err(bad_signature());
        }
        result
    }

    /// The key of the certificate that was decided on. One that only webpki can read has passed under Audit alone, one that webpki cannot read may be
    /// vouched for by DANE-EE; where both can, they find the same key.
    fn key_of(&self, certificate: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'_>, Error> {
        let decision = self.slot.decision.get();
        let chain = decision.and_then(|decision| decision.chain.as_ref()).ok_or_else(bad_signature)?;
        // One handshake, one chain.
        if chain.leaf() != certificate {
            return Err(bad_signature());
        }
        match chain.leaf_facts() {
            Ok(facts) => Ok(SubjectPublicKeyInfoDer::from(&facts.spki[..])),
            Err(_) => match EndEntityCert::try_from(chain.leaf()) {
                Ok(leaf) => Ok(leaf.subject_public_key_info()),
                Err(_) => Err(bad_signature()),
            },
        }
    }

    fn signed_in_tls12(
        &self,
        message: &[u8],
        key: &SubjectPublicKeyInfoDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = RawPublicKeyEntity::try_from(key).map_err(|_| bad_signature())?;
        let found = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
        let (_, algorithms) = found.ok_or_else(bad_signature)?;
        let verifies = algorithms
            .iter()
            .any(|algorithm| key.verify_signature(*algorithm, message, signed.signature()).is_ok());
        if verifies { Ok(HandshakeSignatureValid::assertion()) } else { Err(bad_signature()) }
    }
}

fn bad_signature() -> Error {
    Error::InvalidCertificate(CertificateError::BadSignature)
}

impl ClientCertVerifier for PeerVerifier {
    /// Empty: the names of all public roots would add ten kilobytes to the flight, and say nothing.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let decision = self.decide(end_entity, intermediates, now.into());
        let verdict = Arc::clone(&decision.verdict);
        let readable = decision.chain.is_some();
        // One handshake, one chain: a second one is none of ours.
        if self.slot.decision.set(decision).is_err() {
            return Err(Error::General("a second certificate".to_owned()));
        }
        let audited = self.policy.policy.mode == Mode::Audit && readable;
        match verdict.reason() {
            None if verdict.is_accepted() => Ok(ClientCertVerified::assertion()),
            Some(_) if audited => Ok(ClientCertVerified::assertion()),
            reason => Err(error_of(reason.and_then(Reason::alert))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.checked(self.key_of(cert).and_then(|key| self.signed_in_tls12(message, &key, dss)))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verify = |key| verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms);
        self.checked(self.key_of(cert).and_then(verify))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for PeerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerVerifier")
    }
}

/// The error that makes rustls send an alert (`building.md`, "Alerts").
fn error_of(alert: Option<Alert>) -> Error {
    let certificate = match alert {
        Some(Alert::BadCertificate) => CertificateError::BadEncoding,
        Some(Alert::UnsupportedCertificate) => CertificateError::InvalidPurpose,
        Some(Alert::CertificateRevoked) => CertificateError::Revoked,
        Some(Alert::CertificateExpired) => CertificateError::Expired,
        Some(Alert::CertificateUnknown) => CertificateError::Other(OtherError(Arc::new(Refusal))),
        Some(Alert::UnknownCa) => CertificateError::UnknownIssuer,
        Some(Alert::DecryptError) => CertificateError::BadSignature,
        Some(Alert::AccessDenied | Alert::HandshakeFailure | Alert::CertificateRequired) | None => {
            CertificateError::ApplicationVerificationFailure
        }
    };
    Error::InvalidCertificate(certificate)
}

/// The cause that goes with alert 46; the reason itself stands in the slot.
#[derive(Debug)]
struct Refusal;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused for the time being")
    }
}

impl std::error::Error for Refusal {}
