//! A throw-away CA that issues what public CAs issue today, and whatever else a test needs.
//!
//! [`CertificateAuthority::servers`] is the shape of 2026: a root, an intermediate limited to serverAuth, leaves with serverAuth
//! alone. [`CertificateAuthority::people`] issues clientAuth certificates under a root of its own.

mod authority;
mod crl;
mod der;
mod identity;
mod leaf;

pub use authority::{CertificateAuthority, CertificateAuthorityBuilder};
pub use crl::{Crl, CrlBuilder};
pub use identity::{Identity, tlsa_data};
pub use leaf::{LeafBuilder, San};
/// What a certificate may be used for (RFC 5280 section 4.2.1.12).
pub use rcgen::ExtendedKeyUsagePurpose as Purpose;
/// What a key may be used for (RFC 5280 section 4.2.1.3).
pub use rcgen::KeyUsagePurpose as KeyUsage;

use crate::LabError;

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// ECDSA on P-256, the default.
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA with 2048 bits.
    Rsa2048,
    /// RSA with 4096 bits: seconds to make.
    Rsa4096,
    /// Ed25519.
    Ed25519,
}

impl KeyKind {
    fn generate(self) -> Result<rcgen::KeyPair, LabError> {
        Ok(match self {
            Self::P256 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::P384 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Rsa2048 => {
                rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
            }
            Self::Rsa4096 => {
                rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_4096)
            }
            Self::Ed25519 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519),
        }?)
    }
}
