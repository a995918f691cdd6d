//! Certificate revocation lists, RFC 5280 section 5.

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use rustls_pki_types::CertificateRevocationListDer;
use time::{Duration, OffsetDateTime};

use super::authority::{Level, now};
use super::der::pem;
use super::identity::Identity;
use crate::LabError;

/// A CRL to be issued: from an hour ago, next update in a day, nothing revoked.
pub struct CrlBuilder<'a> {
    level: &'a Level,
    revoked: Vec<u64>,
    this_update: OffsetDateTime,
    next_update: OffsetDateTime,
    number: u64,
}

impl<'a> CrlBuilder<'a> {
    pub(super) fn new(level: &'a Level) -> Self {
        let now = now();
        let (this_update, next_update) = (now - Duration::hours(1), now + Duration::days(1));
        Self { level, revoked: Vec::new(), this_update, next_update, number: 1 }
    }

    /// Revokes a leaf.
    #[must_use]
    pub fn revoke(self, identity: &Identity) -> Self {
        self.revoke_serial(identity.serial())
    }

    /// Revokes whatever has this serial number.
    #[must_use]
    pub fn revoke_serial(mut self, serial: u64) -> Self {
        self.revoked.push(serial);
        self
    }

    /// When the list was made.
    #[must_use]
    pub fn this_update(mut self, at: OffsetDateTime) -> Self {
        self.this_update = at;
        self
    }

    /// Until when the list is current; a time in the past makes a stale one.
    #[must_use]
    pub fn next_update(mut self, at: OffsetDateTime) -> Self {
        self.next_update = at;
        self
    }

    /// The CRL number; 1 is the default.
    #[must_use]
    pub fn number(mut self, number: u64) -> Self {
        self.number = number;
        self
    }

    /// Signs the list.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn issue(self) -> Result<Crl, LabError> {
        let revoked_certs = self.revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: self.this_update,
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: self.this_update,
            next_update: self.next_update,
            crl_number: SerialNumber::from(self.number),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(Crl(params.signed_by(&self.level.issuer)?.der().clone()))
    }
}

/// A signed CRL.
#[derive(Clone, Debug)]
pub struct Crl(CertificateRevocationListDer<'static>);

impl Crl {
    /// As DER.
    #[must_use]
    pub fn der(&self) -> CertificateRevocationListDer<'static> {
        self.0.clone()
    }

    /// As PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        pem("X509 CRL", &self.0)
    }
}
