//! Signatures over the certificates of CAs that were checked before.
//!
//! Promises: the outcome is that of checking them all: what counts is the digest of algorithm, key, message and signature, and only of
//! signatures that were found valid. Kept are those of paths that led to an anchor of the set alone, so that nobody without such a path can
//! drive out what good peers need; bounded in number, the oldest makes room. The leaf's own signature is always checked: its certificate is
//! hardly seen again before the whole path would be answered from a cache.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
};
use webpki::ALL_VERIFICATION_ALGS;

use crate::cert::Fingerprint;

/// How many signatures are kept: there are some hundred intermediate CAs under the public roots.
const MAX_KEPT: usize = 1024;

/// The signatures of one set of anchors.
#[derive(Default)]
pub(super) struct Signatures(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    digests: HashSet<Fingerprint>,
    order: VecDeque<Fingerprint>,
}

impl Signatures {
    fn holds(&self, digest: &Fingerprint) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).digests.contains(digest)
    }

    fn keep(&self, digest: Fingerprint) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.digests.insert(digest) {
            kept.order.push_back(digest);
        }
        while kept.order.len() > MAX_KEPT {
            if let Some(oldest) = kept.order.pop_front() {
                kept.digests.remove(&oldest);
            }
        }
    }
}

/// The checks of one search, with those of before.
pub(super) struct Recall<'a> {
    known: &'a Signatures,
    issuers: &'a [CertificateDer<'a>],
    /// Found valid in this search: which issuer's certificate bears it, and its digest.
    found: Mutex<Vec<(usize, Fingerprint)>>,
}

impl<'a> Recall<'a> {
    /// Checks signatures over `issuers`, and any other, with the help of `known`.
    pub(super) fn new(known: &'a Signatures, issuers: &'a [CertificateDer<'a>]) -> Self {
        Self { known, issuers, found: Mutex::default() }
    }

    /// The algorithms of webpki, each of which looks first whether it was asked before.
    pub(super) fn algorithms(&self) -> Vec<Recalling<'_>> {
        let numbered = (0_u8..).zip(ALL_VERIFICATION_ALGS);
        numbered
            .map(|(number, algorithm)| Recalling { number, algorithm: *algorithm, recall: self })
            .collect()
    }

    /// Keeps what was found valid on this path of intermediate certificates.
    pub(super) fn keep(&self, path: &[&[u8]]) {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for (issuer, digest) in found.iter() {
            let bearer = self.issuers.get(*issuer);
            if path.iter().any(|der| bearer.is_some_and(|bearer| std::ptr::eq(der.as_ptr(), bearer.as_ptr())))
            {
                self.known.keep(*digest);
            }
        }
    }

    /// The place of the issuer in whose certificate the message lies.
    fn bearer(&self, message: &[u8]) -> Option<usize> {
        self.issuers.iter().position(|issuer| issuer.as_ptr_range().contains(&message.as_ptr()))
    }
}

/// One algorithm, see [`Recall::algorithms`].
pub(super) struct Recalling<'r> {
    /// Its place among all.
    number: u8,
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    recall: &'r Recall<'r>,
}

impl SignatureVerificationAlgorithm for Recalling<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let check = || self.algorithm.verify_signature(public_key, message, signature);
        let Some(bearer) = self.recall.bearer(message) else { return check() };
        let parts = [&[self.number][..], public_key, message, signature];
        let digest = Fingerprint::of_parts("revouch signature", parts);
        if !self.recall.known.holds(&digest) {
            check()?;
            self.recall.found.lock().unwrap_or_else(PoisonError::into_inner).push((bearer, digest));
        }
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}

impl fmt::Debug for Recalling<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.algorithm.fmt(f)
    }
}

#[cfg(test)]
mod tests;
