//! Trust anchors and revocation lists from where a policy says they are.
//!
//! Promises: a file that an operator names is taken whole or not at all: an unreadable certificate or list in it is an error, never
//! passed over. A set without any anchor is an error where anchors were asked for. Of the system's store, what cannot be read is counted.

use std::fmt;
use std::path::{Path, PathBuf};

use revouch_validator::cert::CertificateFacts;
use revouch_validator::path::{AnchorError, Anchors, CrlError, Crls};
use revouch_validator::timestamp::Timestamp;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

use super::files::{FileError, Files, MAX_CRL_FILE, MAX_PEM_FILE};

/// Which public roots are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PublicRoots {
    /// Those compiled in: Mozilla's, as of the `webpki-root-certs` crate.
    Bundled,
    /// The system's store.
    Platform,
    /// None.
    None,
}

/// What a set of anchors was made of: for the log and `--check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustReport {
    /// The public roots asked for.
    pub public: PublicRoots,
    /// How many of them were taken.
    pub public_count: usize,
    /// How many of them could not be read (of the system's store only).
    pub public_unreadable: usize,
    /// The latest notBefore among them: they are not older than this.
    pub newest: Option<Timestamp>,
    /// The files, and how many anchors each gave.
    pub files: Vec<(PathBuf, usize)>,
}

/// Why anchors or lists cannot be used.
#[derive(Debug)]
pub enum TrustError {
    /// A file cannot be read.
    File(FileError),
    /// The file is not PEM.
    NotPem(PathBuf),
    /// There is no certificate in the file.
    NoCertificate(PathBuf),
    /// A certificate of the file (counted from 1) cannot be an anchor.
    Anchor(PathBuf, usize, AnchorError),
    /// There is no CRL in the file.
    NoCrl(PathBuf),
    /// A CRL of the file (counted from 1) cannot be used.
    Crl(PathBuf, usize, CrlError),
    /// The system's store gave no root.
    EmptyPlatform(String),
    /// Nothing was asked for that could give an anchor.
    Empty,
}

/// Loads the anchors of the public roots and of the files.
///
/// # Errors
/// A file cannot be used as a whole, or there is no anchor in the end.
pub fn load_anchors(
    files: &mut Files,
    public: PublicRoots,
    ca_files: &[PathBuf],
) -> Result<(Anchors, TrustReport), TrustError> {
    let (mut certificates, public_unreadable) = public_roots(public)?;
    let mut report = TrustReport {
        public,
        public_count: certificates.len(),
        public_unreadable,
        newest: newest(&certificates),
        files: Vec::new(),
    };
    let mut origins = Vec::new();
    for path in ca_files {
        let found = read_ca_file(files, path)?;
        report.files.push((path.clone(), found.len()));
        origins.extend((1..=found.len()).map(|place| (path, place)));
        certificates.extend(found);
    }
    let (anchors, rejected) = Anchors::from_der(certificates);
    if let Some(first) = rejected.first() {
        // The public roots were all taken: what was rejected came behind them, from a file.
        let origin = first.index.checked_sub(report.public_count).and_then(|index| origins.get(index));
        return Err(match origin {
            Some((path, place)) => TrustError::Anchor((*path).clone(), *place, first.why),
            None => TrustError::Empty,
        });
    }
    if anchors.is_empty() { Err(TrustError::Empty) } else { Ok((anchors, report)) }
}

/// Loads revocation lists, DER or PEM.
///
/// # Errors
/// A file cannot be used as a whole.
pub fn load_crls(files: &mut Files, crl_files: &[PathBuf]) -> Result<Crls, TrustError> {
    let (mut lists, mut origins) = (Vec::new(), Vec::new());
    for path in crl_files {
        let contents = files.read(path, MAX_CRL_FILE).map_err(TrustError::File)?;
        let found = split_crls(contents).map_err(|_| TrustError::NotPem(path.clone()))?;
        if found.is_empty() {
            return Err(TrustError::NoCrl(path.clone()));
        }
        origins.extend((1..=found.len()).map(|place| (path, place)));
        lists.extend(found);
    }
    let (crls, rejected) = Crls::from_der(lists);
    match rejected.first().and_then(|first| Some((first.why, origins.get(first.index)?))) {
        Some((why, (path, place))) => Err(TrustError::Crl((*path).clone(), *place, why)),
        None => Ok(crls),
    }
}

/// The roots that can serve as anchors, and how many others there were.
fn public_roots(public: PublicRoots) -> Result<(Vec<CertificateDer<'static>>, usize), TrustError> {
    let offered = match public {
        PublicRoots::None => return Ok((Vec::new(), 0)),
        PublicRoots::Bundled => webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec(),
        PublicRoots::Platform => {
            let mut native = rustls_native_certs::load_native_certs();
            if native.certs.is_empty() {
                let why =
                    native.errors.pop().map_or_else(|| "no certificate found".to_owned(), |e| e.to_string());
                return Err(TrustError::EmptyPlatform(why));
            }
            native.certs
        }
    };
    let count = offered.len();
    let taken = Anchors::from_der(offered).0.certificates().to_vec();
    let unreadable = count.saturating_sub(taken.len());
    Ok((taken, unreadable))
}

fn newest(certificates: &[CertificateDer<'static>]) -> Option<Timestamp> {
    let dates = certificates.iter().filter_map(|der| CertificateFacts::parse(der).ok());
    dates.map(|facts| facts.not_before).max()
}

fn read_ca_file(files: &mut Files, path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let pem = files.read(path, MAX_PEM_FILE).map_err(TrustError::File)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|_| TrustError::NotPem(path.to_owned()))?;
    if found.is_empty() { Err(TrustError::NoCertificate(path.to_owned())) } else { Ok(found) }
}

/// PEM begins with text, DER with a SEQUENCE.
fn split_crls(contents: Vec<u8>) -> Result<Vec<Vec<u8>>, rustls_pki_types::pem::Error> {
    const SEQUENCE: u8 = 0x30;
    if contents.first() == Some(&SEQUENCE) {
        return Ok(vec![contents]);
    }
    CertificateRevocationListDer::pem_slice_iter(&contents).map(|list| Ok(list?.to_vec())).collect()
}

impl fmt::Display for PublicRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bundled => "Bundled",
            Self::Platform => "Platform",
            Self::None => "None",
        })
    }
}

impl fmt::Display for TrustReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "public roots: {}", self.public)?;
        if self.public != PublicRoots::None {
            write!(f, " ({}", self.public_count)?;
            if let Some(newest) = self.newest {
                write!(f, ", the newest from {newest}")?;
            }
            if self.public_unreadable > 0 {
                write!(f, "; {} more cannot be used", self.public_unreadable)?;
            }
            f.write_str(")")?;
        }
        for (path, count) in &self.files {
            write!(f, "; {}: {count}", path.display())?;
        }
        Ok(())
    }
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::NotPem(path) => write!(f, "{}: not PEM", path.display()),
            Self::NoCertificate(path) => write!(f, "{}: no certificate in this file", path.display()),
            Self::Anchor(path, place, why) => write!(f, "{}: certificate {place}: {why}", path.display()),
            Self::NoCrl(path) => write!(f, "{}: no CRL in this file", path.display()),
            Self::Crl(path, place, why) => write!(f, "{}: CRL {place}: {why}", path.display()),
            Self::EmptyPlatform(why) => write!(f, "public: Platform: the system's store has no roots: {why}"),
            Self::Empty => f.write_str("there is no trust anchor: nobody could be trusted"),
        }
    }
}

impl std::error::Error for TrustError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            Self::Anchor(_, _, error) => Some(error),
            Self::Crl(_, _, error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::fs;

    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
        KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
    };

    use super::*;

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn crl() -> rcgen::CertificateRevocationList {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2027, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&authority()).unwrap()
    }

    fn file(dir: &tempfile::TempDir, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, contents).unwrap();
        path
    }

    #[test]
    fn bundled_roots_and_files_are_counted_apart() {
        let dir = tempfile::tempdir().unwrap();
        let two = file(&dir, "two.pem", format!("{}{}", authority().pem(), authority().pem()));
        let (anchors, report) = load_anchors(&mut Files::new(), PublicRoots::Bundled, &[two]).unwrap();
        assert!(report.public_count > 100);
        assert_eq!(anchors.len(), report.public_count + 2);
        let text = report.to_string();
        assert!(text.starts_with("public roots: Bundled (") && text.contains("two.pem: 2"), "{text}");
        assert!(text.contains("the newest from 20"), "{text}");
    }

    #[test]
    fn no_anchor_at_all_is_an_error() {
        let error = load_anchors(&mut Files::new(), PublicRoots::None, &[]).unwrap_err();
        assert!(matches!(error, TrustError::Empty), "{error}");
    }

    #[test]
    fn a_ca_file_is_taken_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (name, contents, what) in [
            ("none.pem", String::new(), "none.pem: no certificate"),
            (
                "half.pem",
                format!("{}{bad}", authority().pem()),
                "half.pem: certificate 2: name and key cannot be read",
            ),
            ("torn.pem", bad.replace("AAAA", "!"), "torn.pem: not PEM"),
        ] {
            let path = file(&dir, name, contents);
            let error =
                load_anchors(&mut Files::new(), PublicRoots::Bundled, &[path]).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        let error =
            load_anchors(&mut Files::new(), PublicRoots::None, &[dir.path().join("gone.pem")]).unwrap_err();
        assert!(error.to_string().contains("gone.pem: No such file"), "{error}");
    }

    #[test]
    fn crls_are_read_as_der_and_as_pem() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two, three) = (crl(), crl(), crl());
        let der = file(&dir, "one.crl", one.der());
        let pem = file(&dir, "two.pem", format!("{}{}", two.pem().unwrap(), three.pem().unwrap()));
        let crls = load_crls(&mut Files::new(), &[der, pem]).unwrap();
        assert_eq!(crls.len(), 3);
        assert!(load_crls(&mut Files::new(), &[]).unwrap().is_empty());
    }

    #[test]
    fn an_unusable_crl_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let good = file(&dir, "good.crl", crl().der());
        for (name, contents, what) in [
            ("empty.crl", &b""[..], "empty.crl: no CRL"),
            ("text.crl", b"hello", "text.crl: no CRL"),
            ("bad.crl", b"\x30\x03\x02\x01\x01", "bad.crl: CRL 1: not a complete CRL"),
        ] {
            let bad = file(&dir, name, contents);
            let error = load_crls(&mut Files::new(), &[good.clone(), bad]).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
