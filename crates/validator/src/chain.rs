//! The certificates that a peer sent, leaf first.
//!
//! Promises: a [`Chain`] is never empty and never beyond the limits below. Nothing else is known of it: the certificates need
//! not be readable, in order, or related to each other.

use std::fmt;
use std::sync::{Arc, OnceLock};

use data_encoding::BASE64;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cert::{CertificateError, CertificateFacts, MAX_CERTIFICATE};

/// The most certificates that a chain may have.
pub const MAX_CERTIFICATES: usize = 16;
/// The most octets that the certificates of a chain may have together.
pub const MAX_OCTETS: usize = 128 * 1024;
/// The most octets of PEM text that are read.
pub const MAX_PEM: usize = 1024 * 1024;

/// A list of one or more certificates in DER, leaf first. Cheap to clone; equal if the octets are.
#[derive(Clone)]
pub struct Chain(Arc<Inner>);

struct Inner {
    certificates: Vec<CertificateDer<'static>>,
    /// What the leaf says, once somebody has asked.
    leaf: OnceLock<Result<CertificateFacts, CertificateError>>,
}

/// Why a list of certificates is no [`Chain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainError {
    /// There is no certificate.
    Empty,
    /// There are more than [`MAX_CERTIFICATES`].
    TooMany,
    /// A certificate has more than 64 KiB, or all together have more than [`MAX_OCTETS`].
    TooLarge,
    /// The text is not PEM, or longer than [`MAX_PEM`].
    NotPem,
}

impl Chain {
    /// Makes a chain of certificates in DER, leaf first.
    ///
    /// # Errors
    /// There is none, or there are more or larger ones than the limits of this module allow.
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Result<Self, ChainError> {
        if certificates.is_empty() {
            return Err(ChainError::Empty);
        }
        if certificates.len() > MAX_CERTIFICATES {
            return Err(ChainError::TooMany);
        }
        let total: usize = certificates.iter().map(|certificate| certificate.len()).sum();
        if total > MAX_OCTETS || certificates.iter().any(|certificate| certificate.len() > MAX_CERTIFICATE) {
            return Err(ChainError::TooLarge);
        }
        Ok(Self(Arc::new(Inner { certificates, leaf: OnceLock::new() })))
    }

    /// Reads the `CERTIFICATE` blocks of a PEM text, leaf first; other blocks are passed over.
    ///
    /// # Errors
    /// As [`new`](Self::new), or the text is not PEM.
    pub fn from_pem(pem: &[u8]) -> Result<Self, ChainError> {
        if pem.len() > MAX_PEM {
            return Err(ChainError::NotPem);
        }
        // One more than allowed is enough to know that there are too many.
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(pem).take(MAX_CERTIFICATES + 1).collect();
        Self::new(certificates.map_err(|_| ChainError::NotPem)?)
    }

    /// The end-entity certificate.
    #[must_use]
    pub fn leaf(&self) -> &CertificateDer<'static> {
        // `new` refuses an empty list; the fallback is a certificate that nothing can read.
        const NOTHING: &CertificateDer<'static> = &CertificateDer::from_slice(&[]);
        self.certificates().first().unwrap_or(NOTHING)
    }

    /// What the leaf says. It is read once for all clones.
    ///
    /// # Errors
    /// It cannot be read, see [`CertificateFacts::parse`].
    pub fn leaf_facts(&self) -> Result<&CertificateFacts, CertificateError> {
        self.0.leaf.get_or_init(|| CertificateFacts::parse(self.leaf())).as_ref().map_err(|error| *error)
    }

    /// The certificates behind the leaf, as they were sent.
    #[must_use]
    pub fn intermediates(&self) -> &[CertificateDer<'static>] {
        self.certificates().get(1..).unwrap_or_default()
    }

    /// All certificates, leaf first.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0.certificates
    }
}

impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        self.certificates() == other.certificates()
    }
}

impl Eq for Chain {}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({} certificates)", self.certificates().len())
    }
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "there is no certificate",
            Self::TooMany => "there are more than 16 certificates",
            Self::TooLarge => "a certificate is longer than 64 KiB, or all together are longer than 128 KiB",
            Self::NotPem => "not PEM, or longer than 1 MiB",
        })
    }
}

impl std::error::Error for ChainError {}

impl Serialize for Chain {
    /// A list of base64 texts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.certificates().iter().map(|certificate| BASE64.encode(certificate)))
    }
}

impl<'de> Deserialize<'de> for Chain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(crate::cert::certificates_from_base64(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn of_sizes(sizes: &[usize]) -> Result<Chain, ChainError> {
        Chain::new(sizes.iter().map(|size| CertificateDer::from(vec![0; *size])).collect())
    }

    #[test]
    fn limits_hold() {
        assert_eq!(of_sizes(&[]), Err(ChainError::Empty));
        assert_eq!(of_sizes(&[1; 17]), Err(ChainError::TooMany));
        assert_eq!(of_sizes(&[MAX_CERTIFICATE + 1]), Err(ChainError::TooLarge));
        assert_eq!(of_sizes(&[MAX_OCTETS / 3 + 1; 3]), Err(ChainError::TooLarge));
        assert_eq!(of_sizes(&[MAX_OCTETS / 16; 16]).unwrap().intermediates().len(), 15);
    }

    #[test]
    fn a_chain_survives_json() {
        let chain = of_sizes(&[3, 2]).unwrap();
        let text = serde_json::to_string(&chain).unwrap();
        assert_eq!(text, r#"["AAAA","AAA="]"#);
        assert_eq!(serde_json::from_str::<Chain>(&text).unwrap(), chain);
        assert!(serde_json::from_str::<Chain>("[]").is_err());
    }

    #[test]
    fn text_without_a_certificate_is_no_chain() {
        assert_eq!(Chain::from_pem(b"nothing here"), Err(ChainError::Empty));
        assert_eq!(
            Chain::from_pem(b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"),
            Err(ChainError::NotPem)
        );
    }
}
