//! A certificate chain and its key, in every form in which somebody wants them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::der::{pem, public_key_info};
use crate::LabError;

/// A chain, leaf first, and the leaf's key.
#[derive(Clone)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<[u8]>,
    serial: u64,
}

impl Identity {
    pub(super) fn new(chain: Vec<CertificateDer<'static>>, key: Vec<u8>, serial: u64) -> Self {
        Self { chain, key: key.into(), serial }
    }

    /// What is sent in a handshake: the leaf, then the intermediate if there is one; never the root.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    /// The end-entity certificate.
    #[must_use]
    pub fn leaf(&self) -> CertificateDer<'static> {
        self.chain.first().cloned().unwrap_or_else(|| CertificateDer::from(Vec::new()))
    }

    /// The chain as PEM.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    /// The private key.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.to_vec()))
    }

    /// The private key as PKCS#8 in DER.
    #[must_use]
    pub fn key_pkcs8(&self) -> &[u8] {
        &self.key
    }

    /// The private key as PKCS#8 in PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }

    /// The serial number of the leaf.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The same leaf and key with other certificates behind the leaf: none, too many, or wrong ones.
    #[must_use]
    pub fn with_intermediates(mut self, others: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        self.chain.truncate(1);
        self.chain.extend(others);
        self
    }

    /// The same chain with another leaf, such as one with a changed octet.
    #[must_use]
    pub fn with_leaf(mut self, leaf: CertificateDer<'static>) -> Self {
        if let Some(first) = self.chain.first_mut() {
            *first = leaf;
        }
        self
    }

    /// TLSA data for the leaf, as zone text: `identity.tlsa(3, 1, 1)` is `"3 1 1 <SHA-256 of its SPKI>"`.
    ///
    /// # Errors
    /// Selector or matching type is not 0–1 or 0–2.
    pub fn tlsa(&self, usage: u8, selector: u8, matching: u8) -> Result<String, LabError> {
        tlsa_data(&self.leaf(), usage, selector, matching)
    }

    /// Writes `<stem>.chain.pem` and `<stem>.key.pem` into a directory and gives their paths.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, directory: &Path, stem: &str) -> Result<(PathBuf, PathBuf), LabError> {
        let chain = directory.join(format!("{stem}.chain.pem"));
        let key = directory.join(format!("{stem}.key.pem"));
        std::fs::write(&chain, self.chain_pem())?;
        std::fs::write(&key, self.key_pem())?;
        Ok((chain, key))
    }

    /// A TLS acceptor with this certificate that asks for none.
    ///
    /// # Errors
    /// The key does not fit the certificate.
    pub fn server_config(&self, alpn: &[&[u8]]) -> Result<ServerConfig, LabError> {
        let wrong = |error: rustls::Error| LabError::Certificate(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_no_client_auth()
            .with_single_cert(self.chain(), self.key())
            .map_err(wrong)?;
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }
}

/// TLSA data (RFC 6698 section 2.1) of a certificate as zone text. Selector: 0 certificate, 1 SPKI. Matching type:
/// 0 full, 1 SHA-256, 2 SHA-512. The usage may be any number.
///
/// # Errors
/// Another selector or matching type, or octets that are no certificate.
pub fn tlsa_data(certificate: &[u8], usage: u8, selector: u8, matching: u8) -> Result<String, LabError> {
    let wrong = |why: &str| LabError::Certificate(why.to_owned());
    let selected = match selector {
        0 => certificate,
        1 => public_key_info(certificate).ok_or_else(|| wrong("no public key found"))?,
        _ => return Err(wrong("selector is not 0 or 1")),
    };
    let data = match matching {
        0 => selected.to_vec(),
        1 => digest::digest(&digest::SHA256, selected).as_ref().to_vec(),
        2 => digest::digest(&digest::SHA512, selected).as_ref().to_vec(),
        _ => return Err(wrong("matching type is not 0, 1 or 2")),
    };
    Ok(format!("{usage} {selector} {matching} {}", data_encoding::HEXLOWER.encode(&data)))
}
