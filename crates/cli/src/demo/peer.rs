//! A peer of the demo: connects from its own address, shows its certificate, sends a line and waits for the echo or the alert.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use super::cast::Member;

/// What is sent.
const HELLO: &[u8] = b"hello\n";
/// The time for everything.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a peer saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Its line came back.
    Echo,
    /// An alert.
    Alert(AlertDescription),
    /// Something else, in words.
    Other(String),
}

/// Connects and tells what the peer saw, and from which port it came.
pub(super) async fn visit(member: &Member, acceptor: SocketAddr) -> (Seen, u16) {
    let mut port = 0;
    let seen = match tokio::time::timeout(PATIENCE, exchange(member, acceptor, &mut port)).await {
        Err(_) => Seen::Other("no answer in time".to_owned()),
        Ok(Ok(echoed)) if echoed == HELLO => Seen::Echo,
        Ok(Ok(_)) => Seen::Other("closed".to_owned()),
        Ok(Err(error)) => match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::AlertReceived(alert)) => Seen::Alert(*alert),
            _ => Seen::Other(error.kind().to_string()),
        },
    };
    (seen, port)
}

async fn exchange(member: &Member, acceptor: SocketAddr, port: &mut u16) -> io::Result<Vec<u8>> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(member.source)?;
    let stream = socket.connect(acceptor).await?;
    *port = stream.local_addr()?.port();
    let config = config(member).map_err(io::Error::other)?;
    let name = ServerName::try_from(member.server_name).map_err(io::Error::other)?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(HELLO).await?;
    stream.flush().await?;
    let mut echoed = vec![0; HELLO.len()];
    stream.read_exact(&mut echoed).await?;
    stream.shutdown().await?;
    Ok(echoed)
}

fn config(member: &Member) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyAcceptor(Arc::clone(&provider))));
    let Some(identity) = &member.identity else { return Ok(builder.with_no_client_auth()) };
    let key = provider.key_provider.load_private_key(identity.key())?;
    Ok(builder
        .with_client_cert_resolver(Arc::new(Always(Arc::new(CertifiedKey::new(identity.chain(), key))))))
}

/// Presents the certificate whatever the acceptor asks for (S2.1).
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Takes any acceptor: the demo is about how the acceptor judges the peer.
#[derive(Debug)]
struct AnyAcceptor(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyAcceptor {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
