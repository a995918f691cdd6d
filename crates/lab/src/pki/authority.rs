//! The CA: a root and, mostly, one intermediate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rcgen::{KeyUsagePurpose, SerialNumber};
use rustls_pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use super::crl::CrlBuilder;
use super::der::pem;
use super::leaf::LeafBuilder;
use super::{KeyKind, tlsa_data};
use crate::LabError;

/// A CA. Clones are the same CA.
#[derive(Clone)]
pub struct CertificateAuthority(Arc<Inner>);

struct Inner {
    root: Level,
    intermediate: Option<Level>,
    serials: AtomicU64,
}

pub(super) struct Level {
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) certificate: CertificateDer<'static>,
    purposes: Vec<ExtendedKeyUsagePurpose>,
    serial: u64,
}

/// How a CA is to be.
pub struct CertificateAuthorityBuilder {
    name: String,
    key: KeyKind,
    intermediate: bool,
    purposes: Vec<ExtendedKeyUsagePurpose>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

impl CertificateAuthorityBuilder {
    /// The keys of root and intermediate; P-256 is the default.
    #[must_use]
    pub fn key(mut self, key: KeyKind) -> Self {
        self.key = key;
        self
    }

    /// The EKU set of the intermediate; an empty one means no such extension.
    #[must_use]
    pub fn purposes(mut self, purposes: &[ExtendedKeyUsagePurpose]) -> Self {
        self.purposes = purposes.to_vec();
        self
    }

    /// The root issues the leaves itself.
    #[must_use]
    pub fn without_intermediate(mut self) -> Self {
        self.intermediate = false;
        self
    }

    /// The validity of the intermediate; by default from 30 days ago to a year from now, as the root's always is.
    #[must_use]
    pub fn validity(mut self, not_before: OffsetDateTime, not_after: OffsetDateTime) -> Self {
        (self.not_before, self.not_after) = (not_before, not_after);
        self
    }

    /// Makes the keys and certificates.
    ///
    /// # Errors
    /// A key or certificate cannot be made.
    pub fn build(self) -> Result<CertificateAuthority, LabError> {
        let now = now();
        let window = (now - Duration::days(30), now + Duration::days(365));
        let params = ca_params(&format!("{} Root", self.name), 1, None, window);
        let key = self.key.generate()?;
        let certificate = params.self_signed(&key)?.der().clone();
        let root = Level { issuer: Issuer::new(params, key), certificate, purposes: Vec::new(), serial: 1 };
        let intermediate = if self.intermediate {
            let mut params = ca_params(
                &format!("{} Intermediate", self.name),
                2,
                Some(0),
                (self.not_before, self.not_after),
            );
            params.extended_key_usages.clone_from(&self.purposes);
            params.use_authority_key_identifier_extension = true;
            let key = self.key.generate()?;
            let certificate = params.signed_by(&key, &root.issuer)?.der().clone();
            Some(Level { issuer: Issuer::new(params, key), certificate, purposes: self.purposes, serial: 2 })
        } else {
            None
        };
        Ok(CertificateAuthority(Arc::new(Inner { root, intermediate, serials: AtomicU64::new(0x1000) })))
    }
}

impl CertificateAuthority {
    /// As public CAs issue in 2026: an intermediate limited to serverAuth.
    ///
    /// # Errors
    /// A key or certificate cannot be made.
    pub fn servers() -> Result<Self, LabError> {
        Self::builder("Lab Servers").build()
    }

    /// For natural persons: an intermediate limited to clientAuth, under a root of its own. Its leaves have clientAuth
    /// unless told otherwise.
    ///
    /// # Errors
    /// A key or certificate cannot be made.
    pub fn people() -> Result<Self, LabError> {
        Self::builder("Lab People").purposes(&[ExtendedKeyUsagePurpose::ClientAuth]).build()
    }

    /// A CA of this name, by default as [`servers`](Self::servers).
    #[must_use]
    pub fn builder(name: &str) -> CertificateAuthorityBuilder {
        let now = now();
        CertificateAuthorityBuilder {
            name: name.to_owned(),
            key: KeyKind::P256,
            intermediate: true,
            purposes: vec![ExtendedKeyUsagePurpose::ServerAuth],
            not_before: now - Duration::days(30),
            not_after: now + Duration::days(365),
        }
    }

    /// A certificate to be issued: valid from an hour ago to a day from now, P-256, with the EKU of the intermediate
    /// (serverAuth if it has none).
    #[must_use]
    pub fn leaf(&self) -> LeafBuilder {
        let own = &self.issuing().purposes;
        let purposes = if own.is_empty() { vec![ExtendedKeyUsagePurpose::ServerAuth] } else { own.clone() };
        let serial = self.0.serials.fetch_add(1, Ordering::Relaxed);
        LeafBuilder::new(Some(self.clone()), purposes, serial)
    }

    /// A CRL of the CA that issues the leaves.
    #[must_use]
    pub fn crl(&self) -> CrlBuilder<'_> {
        CrlBuilder::new(self.issuing())
    }

    /// A CRL of the root, which speaks of the intermediate.
    #[must_use]
    pub fn root_crl(&self) -> CrlBuilder<'_> {
        CrlBuilder::new(&self.0.root)
    }

    /// The root's certificate.
    #[must_use]
    pub fn root(&self) -> CertificateDer<'static> {
        self.0.root.certificate.clone()
    }

    /// The root's certificate as PEM: a trust store file.
    #[must_use]
    pub fn root_pem(&self) -> String {
        pem("CERTIFICATE", &self.0.root.certificate)
    }

    /// The intermediate's certificate, if there is one.
    #[must_use]
    pub fn intermediate(&self) -> Option<CertificateDer<'static>> {
        Some(self.0.intermediate.as_ref()?.certificate.clone())
    }

    /// The serial number of the intermediate, or of the root where there is none.
    #[must_use]
    pub fn issuing_serial(&self) -> u64 {
        self.issuing().serial
    }

    /// TLSA data for the CA that issues the leaves (usage 0 or 2).
    ///
    /// # Errors
    /// Selector or matching type is not 0–1 or 0–2.
    pub fn tlsa(&self, usage: u8, selector: u8, matching: u8) -> Result<String, LabError> {
        tlsa_data(&self.issuing().certificate, usage, selector, matching)
    }

    /// TLSA data for the root.
    ///
    /// # Errors
    /// Selector or matching type is not 0–1 or 0–2.
    pub fn root_tlsa(&self, usage: u8, selector: u8, matching: u8) -> Result<String, LabError> {
        tlsa_data(&self.0.root.certificate, usage, selector, matching)
    }

    pub(super) fn issuing(&self) -> &Level {
        self.0.intermediate.as_ref().unwrap_or(&self.0.root)
    }
}

fn ca_params(
    name: &str,
    serial: u64,
    path_length: Option<u8>,
    (not_before, not_after): (OffsetDateTime, OffsetDateTime),
) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Revouch Lab");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca =
        IsCa::Ca(path_length.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained));
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.serial_number = Some(SerialNumber::from(serial));
    (params.not_before, params.not_after) = (not_before, not_after);
    params
}

/// The wall clock: lab certificates are made for use now.
pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::from(SystemTime::now())
}
