//! A TLS peer in this process: from which address it comes, what it presents, and what becomes of it.

pub mod openssl;
mod program;
mod relay;
pub mod stack;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use revouch_lab::Identity;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A party that connects. Every setting but the source address has a default: no certificate, no SNI, no ALPN, TLS 1.2
/// and 1.3, any port, ten seconds for everything.
///
/// It trusts any acceptor: the tests are about how the acceptor judges the peer.
#[derive(Clone)]
pub struct Peer {
    source: SocketAddr,
    identity: Option<Identity>,
    server_name: Option<String>,
    alpn: Vec<Vec<u8>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    provider: Option<Arc<CryptoProvider>>,
    deadline: Duration,
}

/// A TLS alert that the peer received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert(pub AlertDescription);

impl Alert {
    /// The number on the wire (RFC 8446 section 6).
    pub fn number(self) -> u8 {
        u8::from(self.0)
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.number(), self.0)
    }
}

/// How an exchange ended, as the peer saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything that was sent came back.
    Echoed,
    /// The acceptor sent a fatal alert.
    Alert(Alert),
    /// The acceptor closed the connection properly before everything came back.
    Closed,
    /// The acceptor closed the connection without a `close_notify`.
    Truncated,
    /// The connection was reset.
    Reset,
    /// It did not come about.
    NotConnected(io::ErrorKind),
    /// Nothing more happened until the deadline.
    TimedOut,
    /// Something else, in words.
    Other(String),
}

/// All that an exchange showed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The peer's side of the handshake was completed. In TLS 1.3 that says nothing about the acceptor's opinion.
    pub handshake: bool,
    /// What came back.
    pub echoed: Vec<u8>,
    /// How it ended.
    pub ending: Ending,
    /// The address the peer came from, as it was bound.
    pub source: Option<SocketAddr>,
}

impl Outcome {
    /// Everything came back: the acceptor has let the peer in.
    pub fn accepted(&self) -> bool {
        self.ending == Ending::Echoed
    }

    /// The number of the alert that was received.
    pub fn alert(&self) -> Option<u8> {
        match self.ending {
            Ending::Alert(alert) => Some(alert.number()),
            _ => None,
        }
    }
}

impl Peer {
    /// A peer that connects from this address.
    pub fn from(source: IpAddr) -> Self {
        Self {
            source: SocketAddr::new(source, 0),
            identity: None,
            server_name: None,
            alpn: Vec::new(),
            versions: vec![&rustls::version::TLS13, &rustls::version::TLS12],
            provider: None,
            deadline: Duration::from_secs(10),
        }
    }

    /// A fixed source port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.source.set_port(port);
        self
    }

    /// The certificate it presents when asked for one.
    #[must_use]
    pub fn identity(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// The name it asks for (SNI).
    #[must_use]
    pub fn server_name(mut self, name: &str) -> Self {
        self.server_name = Some(name.to_owned());
        self
    }

    /// Adds a protocol that it offers (ALPN).
    #[must_use]
    pub fn alpn(mut self, protocol: &[u8]) -> Self {
        self.alpn.push(protocol.to_vec());
        self
    }

    /// TLS 1.2 only.
    #[must_use]
    pub fn tls12(mut self) -> Self {
        self.versions = vec![&rustls::version::TLS12];
        self
    }

    /// TLS 1.3 only.
    #[must_use]
    pub fn tls13(mut self) -> Self {
        self.versions = vec![&rustls::version::TLS13];
        self
    }

    /// Cipher suites and groups other than the library's own choice.
    #[must_use]
    pub fn provider(mut self, provider: CryptoProvider) -> Self {
        self.provider = Some(Arc::new(provider));
        self
    }

    /// Time for everything that one call does.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Connects, sends `data`, waits until it has come back, and closes.
    pub async fn exchange(&self, acceptor: SocketAddr, data: &[u8]) -> Outcome {
        let started = tokio::time::Instant::now();
        match self.connect(acceptor).await {
            Ok(mut connected) => {
                let source = connected.source;
                let left = self.deadline.saturating_sub(started.elapsed());
                let mut echoed = Vec::new();
                let trip = connected.round_trip(data, &mut echoed);
                let ending = match tokio::time::timeout(left, trip).await {
                    Ok(Ok(ending)) => ending,
                    Ok(Err(error)) => ending_of(&error),
                    Err(_) => Ending::TimedOut,
                };
                Outcome { handshake: true, echoed, ending, source }
            }
            Err(ending) => Outcome { handshake: false, echoed: Vec::new(), ending, source: None },
        }
    }

    /// Connects and finishes its side of the handshake.
    ///
    /// # Errors
    /// How it ended instead.
    pub async fn connect(&self, acceptor: SocketAddr) -> Result<Connected, Ending> {
        let handshake = async {
            let stream =
                self.connect_tcp(acceptor).await.map_err(|error| Ending::NotConnected(error.kind()))?;
            let source = stream.local_addr().ok();
            let config = self.config().map_err(|error| Ending::Other(error.to_string()))?;
            let name = match &self.server_name {
                Some(name) => {
                    ServerName::try_from(name.clone()).map_err(|error| Ending::Other(error.to_string()))?
                }
                None => ServerName::from(acceptor.ip()),
            };
            let connector = TlsConnector::from(Arc::new(config));
            let stream = connector.connect(name, stream).await.map_err(|error| ending_of(&error))?;
            Ok(Connected { stream, source })
        };
        tokio::time::timeout(self.deadline, handshake).await.unwrap_or(Err(Ending::TimedOut))
    }

    /// Connects without TLS.
    ///
    /// # Errors
    /// The source address is not local or in use, or nobody listens.
    pub async fn connect_tcp(&self, acceptor: SocketAddr) -> io::Result<TcpStream> {
        let socket = if self.source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(self.source)?;
        let stream = socket.connect(acceptor).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// What its side of a handshake is made with, for who makes it by hand.
    ///
    /// # Errors
    /// The provider has no cipher suite for the versions, or the identity's key cannot be used.
    pub fn config(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = self.provider.clone().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyAcceptor(Arc::clone(&provider))));
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = provider.key_provider.load_private_key(identity.key())?;
                // Not `with_client_auth_cert`: it refuses leaves that it cannot read, and some are meant to be odd.
                let certified = CertifiedKey::new(identity.chain(), key);
                builder.with_client_cert_resolver(Arc::new(Always(Arc::new(certified))))
            }
        };
        config.enable_sni = self.server_name.is_some();
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(config)
    }
}

/// A connection after the peer's side of the handshake.
pub struct Connected {
    /// The TLS stream.
    pub stream: TlsStream<TcpStream>,
    /// The address the peer came from.
    pub source: Option<SocketAddr>,
}

impl Connected {
    /// The protocol that was agreed upon (ALPN).
    pub fn alpn(&self) -> Option<Vec<u8>> {
        self.stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)
    }

    /// The TLS version that was agreed upon.
    pub fn version(&self) -> Option<rustls::ProtocolVersion> {
        self.stream.get_ref().1.protocol_version()
    }

    /// The key exchange group that was agreed upon.
    pub fn group(&self) -> Option<rustls::NamedGroup> {
        self.stream.get_ref().1.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name)
    }

    /// The acceptor's certificates, leaf first.
    pub fn acceptor_chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = self.stream.get_ref().1.peer_certificates().unwrap_or_default();
        chain.iter().map(|certificate| certificate.clone().into_owned()).collect()
    }

    /// Sends and waits for as many octets to come back, at most ten seconds.
    pub async fn echo(&mut self, data: &[u8]) -> Ending {
        let mut echoed = Vec::new();
        match tokio::time::timeout(Duration::from_secs(10), self.round_trip(data, &mut echoed)).await {
            Ok(Ok(Ending::Echoed)) if echoed != data => Ending::Other("other octets came back".to_owned()),
            Ok(Ok(ending)) => ending,
            Ok(Err(error)) => ending_of(&error),
            Err(_) => Ending::TimedOut,
        }
    }

    async fn round_trip(&mut self, data: &[u8], echoed: &mut Vec<u8>) -> io::Result<Ending> {
        // Both directions at once: what does not fit into the buffers between would stop both sides. And a refused
        // peer that fails to write still finds the alert in what it can read.
        let (mut reader, mut writer) = tokio::io::split(&mut self.stream);
        let write = async {
            if writer.write_all(data).await.is_ok() {
                let _ = writer.flush().await;
            }
            std::future::pending::<()>().await;
        };
        let read = async {
            while echoed.len() < data.len() {
                if reader.read_buf(echoed).await? == 0 {
                    return Ok(Ending::Closed);
                }
            }
            Ok(Ending::Echoed)
        };
        tokio::select! {
            ending = read => ending,
            () = write => Ok(Ending::Closed),
        }
    }
}

fn ending_of(error: &io::Error) -> Ending {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return match tls {
            rustls::Error::AlertReceived(alert) => Ending::Alert(Alert(*alert)),
            other => Ending::Other(other.to_string()),
        };
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Ending::Truncated,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Ending::Reset,
        _ => Ending::Other(error.to_string()),
    }
}

/// Presents the certificate whatever the acceptor's hints are.
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

/// Takes any certificate whose key the acceptor holds.
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
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
