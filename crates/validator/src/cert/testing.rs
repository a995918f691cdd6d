//! Certificates for unit tests: a root, intermediates as public CAs have them today, leaves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

use crate::timestamp::Timestamp;

/// 2026-01-01, in the middle of the life of every leaf made here.
pub(crate) const NOW: Timestamp = Timestamp(1_767_225_600);
/// The first second of a leaf made here: a hundred days before [`NOW`].
pub(crate) const FIRST: Timestamp = Timestamp(NOW.0 - 100 * DAY);
/// The last second of a leaf made here: a hundred days after [`NOW`].
pub(crate) const LAST: Timestamp = Timestamp(NOW.0 + 100 * DAY);
pub(crate) const DAY: u64 = 86_400;

/// A certificate with its key.
pub(crate) struct Entity {
    pub(crate) params: CertificateParams,
    pub(crate) key: KeyPair,
    pub(crate) der: CertificateDer<'static>,
}

/// A CA with no extended key usage.
pub(crate) fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A CA that is limited to serverAuth, as public CAs' intermediates are.
pub(crate) fn server_ca(name: &str) -> CertificateParams {
    let mut params = ca(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// A serverAuth leaf with these dNSNames or iPAddresses, valid from [`FIRST`] to [`LAST`], serial number 7.
pub(crate) fn leaf(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "leaf");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.serial_number = Some(SerialNumber::from(7_u64));
    params.not_before = at(FIRST);
    params.not_after = at(LAST);
    params
}

pub(crate) fn at(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.0.try_into().unwrap()).unwrap()
}

impl Entity {
    pub(crate) fn self_signed(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { params, key, der }
    }

    pub(crate) fn issue(&self, params: CertificateParams) -> Self {
        self.issue_for(params, KeyPair::generate().unwrap())
    }

    pub(crate) fn issue_for(&self, params: CertificateParams, key: KeyPair) -> Self {
        let der = params.signed_by(&key, &self.issuer()).unwrap().der().clone();
        Self { params, key, der }
    }

    /// A complete CRL in DER that revokes these serial numbers.
    pub(crate) fn crl(&self, this_update: Timestamp, next_update: Timestamp, serials: &[u64]) -> Vec<u8> {
        self.crl_of(this_update, next_update, serials, None)
    }

    /// A CRL in DER of this issuing distribution point.
    pub(crate) fn shard(
        &self,
        this_update: Timestamp,
        next_update: Timestamp,
        serials: &[u64],
        uri: &str,
    ) -> Vec<u8> {
        let distribution_point = CrlDistributionPoint { uris: vec![uri.to_owned()] };
        let scope = CrlIssuingDistributionPoint { distribution_point, scope: None };
        self.crl_of(this_update, next_update, serials, Some(scope))
    }

    fn crl_of(
        &self,
        this_update: Timestamp,
        next_update: Timestamp,
        serials: &[u64],
        issuing_distribution_point: Option<CrlIssuingDistributionPoint>,
    ) -> Vec<u8> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: at(this_update),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: at(this_update),
            next_update: at(next_update),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer()).unwrap().der().to_vec()
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// A SubjectPublicKeyInfo of `rsaEncryption` with a modulus of so many bits.
pub(crate) fn rsa_spki(bits: usize, exponent: &[u8]) -> Vec<u8> {
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] = 0xff_u8 >> (modulus.len() * 8 - bits);
    if bits.is_multiple_of(8) {
        modulus.insert(0, 0);
    }
    let key = element(0x30, &[element(2, &modulus), element(2, exponent)].concat());
    let oid = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    element(0x30, &[element(0x30, &oid), element(3, &[&[0], key.as_slice()].concat())].concat())
}

/// One DER element.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match content.len() {
        0..=0x7f => vec![tag, length[1]],
        0x80..=0xff => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [head.as_slice(), content].concat()
}
