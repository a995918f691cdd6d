//! The subject's public key: of what kind and how strong it is.

use std::fmt;

use serde::{Deserialize, Serialize};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::der::{Reader, tag};

/// The smallest RSA modulus that is accepted, in bits.
pub const MIN_RSA_BITS: u32 = 2048;
/// The largest RSA modulus that is accepted, in bits: beyond it one verification costs more than a peer should be able to ask for.
pub const MAX_RSA_BITS: u32 = 8192;

/// The algorithm of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// RSA (`rsaEncryption`).
    Rsa,
    /// RSA restricted to PSS (`id-RSASSA-PSS`).
    RsaPss,
    /// ECDSA on P-192.
    P192,
    /// ECDSA on P-224.
    P224,
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// An elliptic curve other than these, or one given by its parameters.
    OtherCurve,
    /// Ed25519.
    Ed25519,
    /// Ed448.
    Ed448,
    /// ML-DSA-44.
    MlDsa44,
    /// ML-DSA-65.
    MlDsa65,
    /// ML-DSA-87.
    MlDsa87,
    /// DSA.
    Dsa,
    /// Anything else.
    Other,
}

/// What is known of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyFacts {
    /// The algorithm.
    pub algorithm: KeyAlgorithm,
    /// The length in bits: of the modulus for RSA, of the curve's field for ECDSA, of the encoded key for others.
    pub bits: u32,
    /// The RSA exponent is even, below 3 or above 2^64, or the key cannot be read at all.
    malformed: bool,
}

/// Whether `spki` is one whole element. The parser passes over what stands behind the key's bits, and gives out the octets before it:
/// they are not what a TLSA record of selector 1 is about.
pub(super) fn is_whole(spki: &SubjectPublicKeyInfo<'_>) -> bool {
    Reader::inside(tag::SEQUENCE, spki.raw).is_some()
}

/// Why a key is not accepted, whoever vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeakKey {
    /// RSA below [`MIN_RSA_BITS`], or a curve below P-256.
    TooShort,
    /// RSA above [`MAX_RSA_BITS`]: refused before anything is computed with it.
    TooLarge,
    /// DSA.
    Algorithm,
    /// No signature by such a key can be verified here: Ed448, `id-RSASSA-PSS`, curves other than the NIST ones, unknown algorithms.
    Unsupported,
    /// An RSA exponent that is even, below 3 or above 2^64, or a key that cannot be read.
    Malformed,
}

impl KeyFacts {
    /// Reads a whole SubjectPublicKeyInfo in DER; `None` if it is none, or if something follows it.
    #[must_use]
    pub fn from_spki(der: &[u8]) -> Option<Self> {
        match SubjectPublicKeyInfo::from_der(der) {
            Ok(([], spki)) if is_whole(&spki) => Some(Self::read(&spki)),
            _ => None,
        }
    }

    /// Why this key is not accepted; `None` if it is strong enough and of a supported kind.
    #[must_use]
    pub const fn weak(&self) -> Option<WeakKey> {
        match self.algorithm {
            KeyAlgorithm::Dsa => Some(WeakKey::Algorithm),
            KeyAlgorithm::P192 | KeyAlgorithm::P224 => Some(WeakKey::TooShort),
            KeyAlgorithm::RsaPss | KeyAlgorithm::OtherCurve | KeyAlgorithm::Ed448 | KeyAlgorithm::Other => {
                Some(WeakKey::Unsupported)
            }
            KeyAlgorithm::Rsa if self.bits > MAX_RSA_BITS => Some(WeakKey::TooLarge),
            KeyAlgorithm::Rsa if self.malformed => Some(WeakKey::Malformed),
            KeyAlgorithm::Rsa if self.bits < MIN_RSA_BITS => Some(WeakKey::TooShort),
            _ => None,
        }
    }

    pub(super) fn read(spki: &SubjectPublicKeyInfo<'_>) -> Self {
        let key: &[u8] = &spki.subject_public_key.data;
        let length = bits_of(key.len());
        let plain = |algorithm, bits| Self { algorithm, bits, malformed: false };
        match spki.algorithm.algorithm.as_bytes() {
            // 1.2.840.113549.1.1.1 and .10
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last @ (0x01 | 0x0a)] => {
                let algorithm = if *last == 1 { KeyAlgorithm::Rsa } else { KeyAlgorithm::RsaPss };
                rsa(key).map_or(Self { algorithm, bits: 0, malformed: true }, |(bits, malformed)| Self {
                    algorithm,
                    bits,
                    malformed,
                })
            }
            // 1.2.840.10045.2.1
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01] => {
                let named =
                    spki.algorithm.parameters.as_ref().filter(|p| p.tag() == x509_parser::asn1_rs::Tag::Oid);
                let (algorithm, bits) = match named.map(|p| p.data) {
                    Some([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x01]) => (KeyAlgorithm::P192, 192),
                    Some([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]) => (KeyAlgorithm::P256, 256),
                    Some([0x2b, 0x81, 0x04, 0x00, 0x21]) => (KeyAlgorithm::P224, 224),
                    Some([0x2b, 0x81, 0x04, 0x00, 0x22]) => (KeyAlgorithm::P384, 384),
                    Some([0x2b, 0x81, 0x04, 0x00, 0x23]) => (KeyAlgorithm::P521, 521),
                    _ => (KeyAlgorithm::OtherCurve, length),
                };
                plain(algorithm, bits)
            }
            // 1.2.840.10040.4.1
            [0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01] => plain(KeyAlgorithm::Dsa, length),
            [0x2b, 0x65, 0x70] => plain(KeyAlgorithm::Ed25519, 256),
            [0x2b, 0x65, 0x71] => plain(KeyAlgorithm::Ed448, 456),
            // 2.16.840.1.101.3.4.3.17 to .19
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, last @ 0x11..=0x13] => {
                let algorithm = match last {
                    0x11 => KeyAlgorithm::MlDsa44,
                    0x12 => KeyAlgorithm::MlDsa65,
                    _ => KeyAlgorithm::MlDsa87,
                };
                plain(algorithm, length)
            }
            _ => plain(KeyAlgorithm::Other, length),
        }
    }
}

/// The exact length of the modulus in bits, and whether the exponent is one that no key should have.
fn rsa(key: &[u8]) -> Option<(u32, bool)> {
    let mut reader = Reader::inside(tag::SEQUENCE, key)?;
    let (modulus, exponent) = (reader.unsigned()?, reader.unsigned()?);
    let unused = modulus.first().map_or(0, |octet| octet.leading_zeros());
    let odd = exponent.last().is_some_and(|octet| octet & 1 == 1);
    let one = exponent == [1];
    Some((bits_of(modulus.len()).saturating_sub(unused), !odd || one || exponent.len() > 8))
}

fn bits_of(octets: usize) -> u32 {
    u32::try_from(octets).unwrap_or(u32::MAX).saturating_mul(8)
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RSA",
            Self::RsaPss => "RSASSA-PSS",
            Self::P192 => "P-192",
            Self::P224 => "P-224",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::OtherCurve => "another elliptic curve",
            Self::Ed25519 => "Ed25519",
            Self::Ed448 => "Ed448",
            Self::MlDsa44 => "ML-DSA-44",
            Self::MlDsa65 => "ML-DSA-65",
            Self::MlDsa87 => "ML-DSA-87",
            Self::Dsa => "DSA",
            Self::Other => "an unknown algorithm",
        })
    }
}

impl fmt::Display for KeyFacts {
    /// Such as `RSA 2048` or `P-256`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.algorithm {
            KeyAlgorithm::Rsa | KeyAlgorithm::RsaPss | KeyAlgorithm::Dsa => {
                write!(f, "{} {}", self.algorithm, self.bits)
            }
            _ => self.algorithm.fmt(f),
        }
    }
}

impl fmt::Display for WeakKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "the key is too short",
            Self::TooLarge => "the key is too large",
            Self::Algorithm => "the key's algorithm is weak",
            Self::Unsupported => "the key's algorithm is not supported",
            Self::Malformed => "the key is malformed",
        })
    }
}
