//! A listener's own certificates and keys.
//!
//! Promises: what is loaded can be served: there is a leaf, exactly one key, and the two belong together. What is legal and
//! unwise (an expired certificate, a key that is costly or weak) is a [`Warning`]: to refuse it would take down a whole service for one of its certificates.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use revouch_validator::cert::{CertificateFacts, KeyAlgorithm};
use revouch_validator::chain::{Chain, ChainError};
use revouch_validator::timestamp::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use super::files::{FileError, Files, MAX_PEM_FILE};

/// RSA keys of more bits than this cost the acceptor too much to go unmentioned.
const CHEAP_RSA_BITS: u32 = 2048;

/// A certificate with its key, ready to be served.
#[derive(Clone)]
pub struct Identity {
    /// Chain and key.
    pub key: Arc<CertifiedKey>,
    /// What the leaf says.
    pub leaf: CertificateFacts,
    /// Where the chain was read.
    pub cert_file: PathBuf,
}

/// Why a certificate and key cannot be served.
#[derive(Debug)]
pub enum IdentityError {
    /// A file cannot be read.
    File(FileError),
    /// The chain in the file cannot be used.
    Chain(PathBuf, ChainError),
    /// The leaf is no certificate that can be read.
    Leaf(PathBuf),
    /// There is no private key in the file.
    NoKey(PathBuf),
    /// The key in the file is encrypted.
    EncryptedKey(PathBuf),
    /// There is more than one private key in the file.
    SeveralKeys(PathBuf),
    /// The key is of a kind that is not supported, or broken.
    UnusableKey(PathBuf),
    /// Certificate and key do not belong together.
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

/// What is legal and unwise about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The certificate's file.
    pub cert_file: PathBuf,
    /// What it is.
    pub what: Unwise,
}

/// What can be unwise about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwise {
    /// It has expired: peers will refuse it.
    Expired(Timestamp),
    /// It is not valid yet: peers will refuse it.
    NotYetValid(Timestamp),
    /// An RSA key of this many bits: each handshake is costly.
    CostlyKey(u32),
    /// Peers may refuse the key as too weak, or as of a kind that they do not know.
    WeakKey,
}

impl Identity {
    /// Reads a chain and its key from PEM files; they may be the same file.
    ///
    /// # Errors
    /// See [`IdentityError`]; every variant names the file.
    pub fn load(
        files: &mut Files,
        cert: &Path,
        key: &Path,
        provider: &CryptoProvider,
    ) -> Result<Self, IdentityError> {
        let chain = Chain::from_pem(&files.read(cert, MAX_PEM_FILE).map_err(IdentityError::File)?)
            .map_err(|why| IdentityError::Chain(cert.to_owned(), why))?;
        let leaf = CertificateFacts::parse(chain.leaf()).map_err(|_| IdentityError::Leaf(cert.to_owned()))?;
        let private = read_key(&files.read(key, MAX_PEM_FILE).map_err(IdentityError::File)?, key)?;
        let certified = CertifiedKey::from_der(chain.certificates().to_vec(), private, provider);
        match certified {
            Ok(certified) => Ok(Self { key: Arc::new(certified), leaf, cert_file: cert.to_owned() }),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(IdentityError::Mismatch { cert: cert.to_owned(), key: key.to_owned() })
            }
            Err(rustls::Error::InvalidCertificate(_)) => Err(IdentityError::Leaf(cert.to_owned())),
            Err(_) => Err(IdentityError::UnusableKey(key.to_owned())),
        }
    }

    /// What is unwise about it at `now`.
    #[must_use]
    pub fn warnings(&self, now: Timestamp) -> Vec<Warning> {
        let key = self.leaf.key;
        let candidates = [
            (self.leaf.not_after < now).then_some(Unwise::Expired(self.leaf.not_after)),
            (self.leaf.not_before > now).then_some(Unwise::NotYetValid(self.leaf.not_before)),
            (key.algorithm == KeyAlgorithm::Rsa && key.bits > CHEAP_RSA_BITS)
                .then_some(Unwise::CostlyKey(key.bits)),
            key.weak().is_some().then_some(Unwise::WeakKey),
        ];
        let named = |what| Warning { cert_file: self.cert_file.clone(), what };
        candidates.into_iter().flatten().map(named).collect()
    }
}

fn read_key(pem: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, IdentityError> {
    let mut keys = PrivateKeyDer::pem_slice_iter(pem);
    let first = match keys.next() {
        Some(Ok(key)) => key,
        Some(Err(_)) => return Err(IdentityError::UnusableKey(path.to_owned())),
        None if is_encrypted(pem) => return Err(IdentityError::EncryptedKey(path.to_owned())),
        None => return Err(IdentityError::NoKey(path.to_owned())),
    };
    match keys.next() {
        None if is_encrypted(pem) => Err(IdentityError::EncryptedKey(path.to_owned())),
        None => Ok(first),
        Some(_) => Err(IdentityError::SeveralKeys(path.to_owned())),
    }
}

/// Both ways in which OpenSSL writes encrypted keys.
fn is_encrypted(pem: &[u8]) -> bool {
    let holds = |mark: &[u8]| pem.windows(mark.len()).any(|window| window == mark);
    holds(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || holds(b"Proc-Type: 4,ENCRYPTED")
}

impl Unwise {
    /// Whether the certificate cannot do its work: `--check` calls that an error.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::Expired(_) | Self::NotYetValid(_))
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.cert_file.display();
        match self.what {
            Unwise::Expired(when) => {
                write!(f, "{file}: the certificate expired at {when}; peers will refuse it")
            }
            Unwise::NotYetValid(when) => {
                write!(f, "{file}: the certificate is not valid before {when}; peers will refuse it")
            }
            Unwise::CostlyKey(bits) => write!(
                f,
                "{file}: an RSA key of {bits} bits makes handshakes costly (4096 bits: about 6.1 ms of processor time each, 2048 \
                 bits: 1.1 ms, ECDSA P-256: 0.4 ms)"
            ),
            Unwise::WeakKey => write!(f, "{file}: peers may refuse this kind or length of key"),
        }
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Chain(path, ChainError::Empty) => {
                write!(f, "{}: no certificate in this file", path.display())
            }
            Self::Chain(path, why) => write!(f, "{}: {why}", path.display()),
            Self::Leaf(path) => {
                write!(f, "{}: the first certificate cannot be read as one", path.display())
            }
            Self::NoKey(path) => write!(f, "{}: no private key in this file", path.display()),
            Self::EncryptedKey(path) => {
                write!(
                    f,
                    "{}: the private key is encrypted; a key without a passphrase is needed",
                    path.display()
                )
            }
            Self::SeveralKeys(path) => {
                write!(f, "{}: more than one private key in this file", path.display())
            }
            Self::UnusableKey(path) => {
                write!(f, "{}: the private key is broken, or of a kind that is not supported", path.display())
            }
            Self::Mismatch { cert, key } => {
                write!(f, "the key in {} does not fit the certificate in {}", key.display(), cert.display())
            }
        }
    }
}

impl std::error::Error for IdentityError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            Self::Chain(_, error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use std::fs;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::crypto::aws_lc_rs::default_provider;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_503_599);

    struct Case {
        dir: tempfile::TempDir,
    }

    impl Case {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap() }
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        }

        fn load(&self, cert: &str, key: &str) -> Result<Identity, IdentityError> {
            let (cert, key) = (self.write("tls.crt", cert), self.write("tls.key", key));
            Identity::load(&mut Files::new(), &cert, &key, &default_provider())
        }

        fn error(&self, cert: &str, key: &str) -> String {
            self.load(cert, key).err().unwrap().to_string()
        }
    }

    fn pair(until: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_key_that_fits_is_taken_without_warning() {
        let (cert, key) = pair(2100);
        let identity = Case::new().load(&cert, &key).unwrap();
        assert_eq!(identity.leaf.dns, ["a.example"]);
        assert_eq!(identity.warnings(NOW), []);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_and_both_files_are_named() {
        let error = Case::new().error(&pair(2100).0, &pair(2100).1);
        assert!(error.contains("tls.key does not fit") && error.contains("tls.crt"), "{error}");
    }

    #[test]
    fn what_is_missing_or_unusable_is_named() {
        let (cert, key) = pair(2100);
        let case = Case::new();
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (cert, key, what) in [
            ("", &*key, "tls.crt: no certificate"),
            (no_certificate, &key, "tls.crt: the first certificate cannot be read"),
            (&cert, "", "tls.key: no private key"),
            (&cert, &cert, "tls.key: no private key"),
            (&cert, encrypted, "tls.key: the private key is encrypted"),
            (&cert, &format!("{key}{key}"), "tls.key: more than one private key"),
            (&cert, broken, "tls.key: the private key is broken"),
        ] {
            let error = case.error(cert, key);
            assert!(error.contains(what), "{what}: {error}");
        }
    }

    #[test]
    fn an_expired_certificate_is_a_warning_that_check_calls_an_error() {
        let (cert, key) = pair(2024);
        let warnings = Case::new().load(&cert, &key).unwrap().warnings(NOW);
        let [warning] = &*warnings else { panic!("{warnings:?}") };
        assert!(warning.what.is_fatal());
        assert!(warning.to_string().contains("expired at 2024-01-01T00:00:00Z"), "{warning}");
    }

    #[test]
    fn a_certificate_from_the_future_is_a_warning() {
        let (cert, key) = pair(2100);
        let warnings = Case::new().load(&cert, &key).unwrap().warnings(Timestamp(0));
        assert!(matches!(warnings.first().map(|w| w.what), Some(Unwise::NotYetValid(_))), "{warnings:?}");
    }

    #[test]
    fn an_rsa_4096_key_is_a_warning_with_its_cost() {
        let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_4096).unwrap();
        let cert = CertificateParams::new(["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        let warnings = Case::new().load(&cert.pem(), &key.serialize_pem()).unwrap().warnings(NOW);
        let [warning] = &*warnings else { panic!("{warnings:?}") };
        assert_eq!(warning.what, Unwise::CostlyKey(4096));
        assert!(!warning.what.is_fatal());
        assert!(warning.to_string().contains("6.1 ms"), "{warning}");
    }
}
