//! How a listener speaks TLS: what does not change from connection to connection.

use std::fmt;
use std::sync::Arc;

use revouch_validator::cert::CertificateFacts;
use revouch_validator::name::DnsName;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};

/// `tls.minVersion`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// "1.2", the default.
    #[default]
    Tls12,
    /// "1.3".
    Tls13,
}

/// A listener's TLS settings. Resumption, tickets and early data are off in all that is made from it: a resumed session would skip the
/// verifier.
#[derive(Clone)]
pub struct TlsTemplate {
    provider: Arc<CryptoProvider>,
    certificates: Arc<Certificates>,
    versions: &'static [&'static SupportedProtocolVersion],
    alpn: Vec<Vec<u8>>,
}

static TLS13_ONLY: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
static TLS12_AND_13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

impl TlsTemplate {
    /// Settings with these certificates. Of those that the peer can check the signatures of, the first that is valid for the server name
    /// that it asks for is shown; if none is, the first.
    #[must_use]
    pub fn new(
        provider: Arc<CryptoProvider>,
        certificates: Vec<Arc<CertifiedKey>>,
        min: MinVersion,
        alpn: Vec<Vec<u8>>,
    ) -> Self {
        let facts = |key: &CertifiedKey| key.cert.first().and_then(|leaf| CertificateFacts::parse(leaf).ok());
        let certificates = certificates.into_iter().map(|key| (facts(&key), key)).collect();
        let versions = match min {
            MinVersion::Tls12 => TLS12_AND_13,
            MinVersion::Tls13 => TLS13_ONLY,
        };
        Self { provider, certificates: Arc::new(Certificates(certificates)), versions, alpn }
    }

    /// The configuration of one connection, with its own verifier.
    pub(super) fn config(
        &self,
        verifier: Arc<dyn ClientCertVerifier>,
    ) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(self.versions)?
            .with_client_cert_verifier(verifier);
        let mut config =
            builder.with_cert_resolver(Arc::clone(&self.certificates) as Arc<dyn ResolvesServerCert>);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(config)
    }

    /// A configuration that answers every ClientHello with access_denied (49): it has no certificate to show.
    pub(super) fn refusing(&self) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(self.versions)?;
        Ok(builder.with_no_client_auth().with_cert_resolver(Arc::new(Certificates(Vec::new()))))
    }

    pub(super) fn provider(&self) -> &CryptoProvider {
        &self.provider
    }
}

struct Certificates(Vec<(Option<CertificateFacts>, Arc<CertifiedKey>)>);

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} certificates", self.0.len())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| name.parse::<DnsName>().ok());
        let is_for = |facts: &Option<CertificateFacts>| {
            name.as_ref()
                .is_some_and(|name| facts.as_ref().is_some_and(|facts| facts.matches_dns(name).is_some()))
        };
        let can_check = |key: &CertifiedKey| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let usable = || self.0.iter().filter(|(_, key)| can_check(key));
        // A peer that can check none fails in the handshake, with the alert for that.
        let found = usable().find(|(facts, _)| is_for(facts)).or_else(|| usable().next());
        found.or_else(|| self.0.first()).map(|(_, key)| Arc::clone(key))
    }
}
