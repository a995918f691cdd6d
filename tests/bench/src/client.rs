//! The peers of the load, and the upstreams behind the programs. All in one thread.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use revouch_lab::Identity;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use crate::Outcome;
use crate::stage::{Stage, name};

/// Nothing that a peer waits for takes so long unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which key exchange a peer offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// What OpenSSL 3.0 has in common with everybody.
    X25519,
    /// What the proxy prefers, and OpenSSL 3.0 does not have.
    X25519MlKem768,
}

/// Makes peers' configurations.
pub(crate) struct Peers {
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
}

/// One peer: its configuration. TLS 1.3 with TLS_AES_256_GCM_SHA384, which all programs prefer, and no resumption.
pub(crate) type Peer = Arc<ClientConfig>;

impl Peers {
    /// Peers that offer one group and trust the stage's CA.
    pub(crate) fn new(stage: &Stage, group: Group) -> Outcome<Self> {
        let mut provider = aws_lc_rs::default_provider();
        let group: &'static dyn SupportedKxGroup = match group {
            Group::X25519 => aws_lc_rs::kx_group::X25519,
            Group::X25519MlKem768 => aws_lc_rs::kx_group::X25519MLKEM768,
        };
        provider.kx_groups = vec![group];
        provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384];
        let provider = Arc::new(provider);
        let mut roots = RootCertStore::empty();
        roots.add(stage.ca.root())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
        Ok(Self { provider, verifier })
    }

    /// A peer with this certificate.
    pub(crate) fn peer(&self, identity: &Identity) -> Outcome<Peer> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_webpki_verifier(Arc::clone(&self.verifier))
            .with_client_auth_cert(identity.chain(), identity.key())?;
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// Connects over TCP from `source`.
pub(crate) async fn tcp(source: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(source, 0))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Makes a handshake on a connection.
pub(crate) async fn tls(peer: &Peer, stream: TcpStream) -> Outcome<TlsStream<TcpStream>> {
    let server = ServerName::try_from(name("acceptor"))?;
    Ok(TlsConnector::from(Arc::clone(peer)).connect(server, stream).await?)
}

/// Connects, makes a handshake, and waits for the upstream's first octet.
pub(crate) async fn greeted(peer: &Peer, source: IpAddr, to: SocketAddr) -> Outcome<TlsStream<TcpStream>> {
    let connecting = async {
        let mut stream = tls(peer, tcp(source, to).await?).await?;
        stream.read_u8().await?;
        Ok(stream)
    };
    timeout(PATIENCE, connecting).await.map_err(|_| "a peer waited for too long")?
}

/// The life of a connection: [`greeted`], then closed in good order from both sides.
pub(crate) async fn visit(peer: &Peer, source: IpAddr, to: SocketAddr) -> Outcome<()> {
    let mut stream = greeted(peer, source, to).await?;
    stream.shutdown().await?;
    // HAProxy and nginx close without close_notify.
    match timeout(PATIENCE, stream.read_u8()).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        Ok(other) => Err(format!("the connection does not end: {other:?}").into()),
        Err(_) => Err("the connection does not end".into()),
    }
}

/// What an upstream does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Sends one octet, and goes when the peer goes.
    Greet,
    /// Reads to the end, then answers with one octet.
    Drain,
    /// Sends so many octets, then ends.
    Fill(u64),
}

/// An upstream. It ends when this is dropped.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Upstream {
    /// Starts one.
    pub(crate) async fn start(part: Part) -> Outcome<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0))?;
        let listener = socket.listen(4096)?;
        let address = listener.local_addr()?;
        Ok(Self { address, _task: AbortOnDropHandle::new(tokio::spawn(accept(listener, part))) })
    }
}

async fn accept(listener: TcpListener, part: Part) {
    let mut tasks = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        tasks.spawn(async move { drop(serve(stream, part).await) });
        while tasks.try_join_next().is_some() {}
    }
}

/// Plain octets go in pieces of this length.
pub(crate) const PIECE: usize = 256 * 1024;

async fn serve(mut stream: TcpStream, part: Part) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match part {
        Part::Greet => {
            stream.write_all(b"!").await?;
            let mut rest = [0; 64];
            while stream.read(&mut rest).await? > 0 {}
        }
        Part::Drain => {
            drain(&mut stream).await?;
            stream.write_all(b"!").await?;
        }
        Part::Fill(octets) => fill(&mut stream, octets).await?,
    }
    stream.shutdown().await
}

/// Reads to the end.
pub(crate) async fn drain(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut octets = 0;
    loop {
        match stream.read(&mut piece).await {
            Ok(0) => return Ok(octets),
            Ok(read) => octets += read as u64,
            // As a program without close_notify ends.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(octets),
            Err(error) => return Err(error),
        }
    }
}

/// Writes so many octets.
pub(crate) async fn fill(
    stream: &mut (impl tokio::io::AsyncWrite + Unpin),
    mut octets: u64,
) -> io::Result<()> {
    let piece = vec![7; PIECE];
    while octets > 0 {
        let part = usize::try_from(octets).map_or(PIECE, |octets| octets.min(PIECE));
        stream.write_all(piece.get(..part).unwrap_or_default()).await?;
        octets -= part as u64;
    }
    stream.flush().await
}
