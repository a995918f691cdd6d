//! Why there is no valid path from a certificate to a trust anchor.

use std::fmt;

use serde::{Deserialize, Serialize};
use webpki::Error;

use crate::cert::WeakKey;
use crate::timestamp::Timestamp;

/// Why path validation failed. Where several paths were tried, the most telling of their failures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PathError {
    /// A certificate is not one that RFC 5280 path validation can work with.
    Unreadable,
    /// No trust anchor issued the leaf or any certificate that leads to it.
    UnknownIssuer,
    /// A certificate's time is over.
    Expired {
        /// The last second in which it was valid.
        not_after: Timestamp,
    },
    /// A certificate's time has not begun.
    NotYetValid {
        /// The first second in which it will be valid.
        not_before: Timestamp,
    },
    /// A certificate ends before it begins.
    NeverValid,
    /// A certificate is revoked.
    Revoked,
    /// No CRL tells whether a certificate is revoked, and the policy asks for one (`crlUnknown: Refuse`).
    RevocationUnknown,
    /// The CRL that tells about a certificate is out of date, and the policy refuses that (`crlExpired: Refuse`).
    CrlExpired {
        /// When the next one was due.
        next_update: Timestamp,
    },
    /// The CRL for a certificate is not signed by that certificate's issuer, or its issuer may not sign CRLs.
    CrlUnusable,
    /// The key usage extension does not allow what the key is used for: `digitalSignature` for a leaf, `keyCertSign` for a CA.
    KeyUsage {
        /// 0 for the leaf, 1 for its issuer, and so on.
        depth: usize,
    },
    /// The extended key usages of a certificate do not allow the purpose.
    ExtendedKeyUsage,
    /// A key is too weak, too large, or of a kind that is not supported.
    WeakKey {
        /// 0 for the leaf, 1 for its issuer, and so on.
        depth: usize,
        /// What is wrong with it.
        why: WeakKey,
    },
    /// A name is outside the name constraints of an issuer.
    NameConstraint,
    /// The path is longer than a CA's path length constraint allows.
    PathLength,
    /// A certificate that is no CA stands as an issuer.
    NotACa,
    /// The leaf is a CA certificate.
    CaAsLeaf,
    /// A signature does not verify.
    BadSignature,
    /// A signature is of an algorithm that is not supported.
    UnsupportedSignature,
    /// A critical extension is not understood.
    CriticalExtension,
    /// The search was given up: too many paths, signatures, constraints or equally named issuers.
    TooComplex,
    /// A key is known to be compromised and distrusted by name.
    Distrusted,
}

impl From<Error> for PathError {
    fn from(error: Error) -> Self {
        match error {
            Error::UnknownIssuer => Self::UnknownIssuer,
            Error::CertExpired { not_after, .. } => Self::Expired { not_after: not_after.into() },
            Error::CertNotValidYet { not_before, .. } => Self::NotYetValid { not_before: not_before.into() },
            Error::InvalidCertValidity => Self::NeverValid,
            Error::CertRevoked => Self::Revoked,
            Error::UnknownRevocationStatus => Self::RevocationUnknown,
            Error::CrlExpired { next_update, .. } => Self::CrlExpired { next_update: next_update.into() },
            Error::IssuerNotCrlSigner
            | Error::InvalidCrlSignatureForPublicKey
            | Error::UnsupportedCrlSignatureAlgorithmContext(_)
            | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => Self::CrlUnusable,
            Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => Self::ExtendedKeyUsage,
            Error::NameConstraintViolation
            | Error::MalformedNameConstraint
            | Error::InvalidNetworkMaskConstraint => Self::NameConstraint,
            Error::PathLenConstraintViolated => Self::PathLength,
            Error::EndEntityUsedAsCa => Self::NotACa,
            Error::CaUsedAsEndEntity => Self::CaAsLeaf,
            Error::InvalidSignatureForPublicKey => Self::BadSignature,
            Error::UnsupportedSignatureAlgorithmContext(_)
            | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Self::UnsupportedSignature,
            Error::UnsupportedCriticalExtension => Self::CriticalExtension,
            Error::MaximumNameConstraintComparisonsExceeded
            | Error::MaximumPathBuildCallsExceeded
            | Error::MaximumPathDepthExceeded
            | Error::MaximumSignatureChecksExceeded => Self::TooComplex,
            Error::CertDistrusted => Self::Distrusted,
            _ => Self::Unreadable,
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("a certificate cannot be used for path validation"),
            Self::UnknownIssuer => f.write_str("no trusted issuer"),
            Self::Expired { not_after } => write!(f, "a certificate expired at {not_after}"),
            Self::NotYetValid { not_before } => write!(f, "a certificate is not valid before {not_before}"),
            Self::NeverValid => f.write_str("a certificate ends before it begins"),
            Self::Revoked => f.write_str("a certificate is revoked"),
            Self::RevocationUnknown => f.write_str("no CRL tells whether a certificate is revoked"),
            Self::CrlExpired { next_update } => {
                write!(f, "the CRL is out of date: the next one was due at {next_update}")
            }
            Self::CrlUnusable => {
                f.write_str("the CRL is not signed by the certificate's issuer, or that may not sign CRLs")
            }
            Self::KeyUsage { depth: 0 } => {
                f.write_str("the leaf's key usage does not allow digitalSignature")
            }
            Self::KeyUsage { depth } => {
                write!(f, "the key usage of the CA at depth {depth} does not allow keyCertSign")
            }
            Self::ExtendedKeyUsage => f.write_str("the extended key usages do not allow the purpose"),
            Self::WeakKey { depth, why } => write!(f, "{why} (depth {depth})"),
            Self::NameConstraint => f.write_str("a name is outside the name constraints of an issuer"),
            Self::PathLength => f.write_str("the path is longer than a CA allows"),
            Self::NotACa => f.write_str("a certificate that is no CA stands as an issuer"),
            Self::CaAsLeaf => f.write_str("the leaf is a CA certificate"),
            Self::BadSignature => f.write_str("a signature does not verify"),
            Self::UnsupportedSignature => f.write_str("a signature's algorithm is not supported"),
            Self::CriticalExtension => f.write_str("a critical extension is not understood"),
            Self::TooComplex => f.write_str("the chain is too complex"),
            Self::Distrusted => f.write_str("a key is distrusted by name"),
        }
    }
}

impl std::error::Error for PathError {}
