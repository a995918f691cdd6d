//! End-entity certificates, ordinary and odd.

use std::net::IpAddr;

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa};
use rcgen::{KeyUsagePurpose, SerialNumber};
use rustls_pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use super::KeyKind;
use super::authority::{CertificateAuthority, now};
use super::der;
use super::identity::Identity;
use crate::LabError;

/// One subjectAltName (RFC 5280 section 4.2.1.6). Text is written as it is, valid or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum San {
    /// dNSName.
    Dns(String),
    /// iPAddress.
    Ip(IpAddr),
    /// rfc822Name.
    Email(String),
    /// uniformResourceIdentifier.
    Uri(String),
    /// otherName: a user principal name.
    Other(String),
    /// directoryName: one common name.
    Directory(String),
    /// registeredID.
    RegisteredId,
    /// A whole GeneralName in DER.
    Raw(Vec<u8>),
}

/// A certificate to be issued; made by [`CertificateAuthority::leaf`] or [`LeafBuilder::self_signed`].
#[derive(Clone)]
pub struct LeafBuilder {
    issuer: Option<CertificateAuthority>,
    key: KeyKind,
    reused: Option<Vec<u8>>,
    sans: Vec<San>,
    common_name: Option<String>,
    purposes: Vec<ExtendedKeyUsagePurpose>,
    key_usages: Vec<KeyUsagePurpose>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    serial: u64,
    version_1: bool,
    is_ca: bool,
    extensions: Vec<CustomExtension>,
}

impl LeafBuilder {
    pub(super) fn new(
        issuer: Option<CertificateAuthority>,
        purposes: Vec<ExtendedKeyUsagePurpose>,
        serial: u64,
    ) -> Self {
        let now = now();
        Self {
            issuer,
            key: KeyKind::P256,
            reused: None,
            sans: Vec::new(),
            common_name: None,
            purposes,
            key_usages: vec![KeyUsagePurpose::DigitalSignature],
            not_before: now - Duration::hours(1),
            not_after: now + Duration::days(1),
            serial,
            version_1: false,
            is_ca: false,
            extensions: Vec::new(),
        }
    }

    /// A certificate that signs itself, for DANE-EE(3).
    #[must_use]
    pub fn self_signed() -> Self {
        Self::new(None, vec![ExtendedKeyUsagePurpose::ServerAuth], 1)
    }

    /// Adds a dNSName.
    #[must_use]
    pub fn dns(self, name: &str) -> Self {
        self.san(San::Dns(name.to_owned()))
    }

    /// Adds an iPAddress.
    #[must_use]
    pub fn ip(self, address: IpAddr) -> Self {
        self.san(San::Ip(address))
    }

    /// Adds an rfc822Name.
    #[must_use]
    pub fn email(self, address: &str) -> Self {
        self.san(San::Email(address.to_owned()))
    }

    /// Adds any subjectAltName.
    #[must_use]
    pub fn san(mut self, san: San) -> Self {
        self.sans.push(san);
        self
    }

    /// The subject's common name; by default the subject is empty.
    #[must_use]
    pub fn common_name(mut self, name: &str) -> Self {
        self.common_name = Some(name.to_owned());
        self
    }

    /// The EKU set, in place of what the CA gives; an empty one means no such extension.
    #[must_use]
    pub fn purposes(mut self, purposes: &[ExtendedKeyUsagePurpose]) -> Self {
        self.purposes = purposes.to_vec();
        self
    }

    /// The key usage, by default digitalSignature; an empty one means no such extension.
    #[must_use]
    pub fn key_usages(mut self, usages: &[KeyUsagePurpose]) -> Self {
        self.key_usages = usages.to_vec();
        self
    }

    /// From when to when it is valid.
    #[must_use]
    pub fn validity(mut self, not_before: OffsetDateTime, not_after: OffsetDateTime) -> Self {
        (self.not_before, self.not_after) = (not_before, not_after);
        self
    }

    /// Valid until yesterday.
    #[must_use]
    pub fn expired(self) -> Self {
        let now = now();
        self.validity(now - Duration::days(10), now - Duration::days(1))
    }

    /// Valid from tomorrow on.
    #[must_use]
    pub fn not_yet_valid(self) -> Self {
        let now = now();
        self.validity(now + Duration::days(1), now + Duration::days(10))
    }

    /// The kind of the key.
    #[must_use]
    pub fn key(mut self, key: KeyKind) -> Self {
        self.key = key;
        self
    }

    /// The key of another certificate, as a renewal keeps it.
    #[must_use]
    pub fn same_key_as(mut self, other: &Identity) -> Self {
        self.reused = Some(other.key_pkcs8().to_vec());
        self
    }

    /// The serial number, in place of the CA's next.
    #[must_use]
    pub fn serial(mut self, serial: u64) -> Self {
        self.serial = serial;
        self
    }

    /// Without version and extensions (so without names and EKU), as certificates were before 1996.
    #[must_use]
    pub fn version_1(mut self) -> Self {
        self.version_1 = true;
        self
    }

    /// With basicConstraints that say "CA".
    #[must_use]
    pub fn marked_as_ca(mut self) -> Self {
        self.is_ca = true;
        self
    }

    /// Adds an extension: its object identifier, its value in DER, and whether it is critical.
    #[must_use]
    pub fn extension(mut self, oid: &[u64], value: Vec<u8>, critical: bool) -> Self {
        let mut extension = CustomExtension::from_oid_content(oid, value);
        extension.set_criticality(critical);
        self.extensions.push(extension);
        self
    }

    /// Makes the key and the certificate.
    ///
    /// # Errors
    /// A key or certificate cannot be made.
    pub fn issue(self) -> Result<Identity, LabError> {
        let key = match &self.reused {
            Some(pkcs8) => rcgen::KeyPair::try_from(pkcs8.as_slice())?,
            None => self.key.generate()?,
        };
        let params = self.params();
        let (mut leaf, above) = match &self.issuer {
            Some(authority) => {
                let level = authority.issuing();
                let leaf = params.signed_by(&key, &level.issuer)?;
                (leaf.der().clone(), authority.intermediate())
            }
            None => (params.self_signed(&key)?.der().clone(), None),
        };
        if self.version_1 {
            let signer = self.issuer.as_ref().map_or(&key, |authority| authority.issuing().issuer.key());
            let patched = der::version_1(&leaf, signer);
            leaf = CertificateDer::from(
                patched.ok_or_else(|| LabError::Certificate("cannot make version 1".to_owned()))?,
            );
        }
        let chain = std::iter::once(leaf).chain(above).collect();
        Ok(Identity::new(chain, key.serialize_der(), self.serial))
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = &self.common_name {
            params.distinguished_name.push(DnType::CommonName, name.as_str());
        }
        params.is_ca =
            if self.is_ca { IsCa::Ca(rcgen::BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
        params.key_usages.clone_from(&self.key_usages);
        params.extended_key_usages.clone_from(&self.purposes);
        params.serial_number = Some(SerialNumber::from(self.serial));
        (params.not_before, params.not_after) = (self.not_before, self.not_after);
        params.use_authority_key_identifier_extension = self.issuer.is_some();
        params.custom_extensions.clone_from(&self.extensions);
        if !self.sans.is_empty() {
            let mut extension =
                CustomExtension::from_oid_content(&[2, 5, 29, 17], der::subject_alt_names(&self.sans));
            // RFC 5280 section 4.2.1.6: critical where the subject is empty.
            extension.set_criticality(self.common_name.is_none());
            params.custom_extensions.push(extension);
        }
        params
    }
}
