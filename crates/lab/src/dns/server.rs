//! The server: UDP and TCP on one port, DNS over TLS (RFC 7858) and over HTTPS (RFC 8484) if asked for.
//!
//! It answers for the whole universe at once, like a recursive server, but never sets AD: who wants to know checks
//! the signatures. Everything is bounded: questions in work, connections, message sizes, idle time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hickory_proto::op::ResponseCode;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::faults::{Fault, Faults, Queries};
use super::universe::Universe;
use super::wire::{MAX_STREAM, Question, Received, read};
use crate::LabError;
use crate::pki::Identity;

/// Datagrams in work at once; further ones wait in the socket's buffer.
const MAX_DATAGRAMS: usize = 1_024;
/// Connections at once, for each listening socket.
const MAX_CONNECTIONS: usize = 512;
/// Questions in work at once on one connection.
const MAX_PIPELINED: usize = 64;
/// A connection on which nothing is asked for so long is closed.
const IDLE: Duration = Duration::from_secs(30);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Attempts to find a port that is free for UDP and TCP.
const PORT_ATTEMPTS: usize = 32;

/// Where and how to listen.
#[derive(Clone)]
pub struct Listen {
    address: IpAddr,
    port: u16,
    dot: Option<Arc<ServerConfig>>,
    doh: Option<Arc<ServerConfig>>,
}

impl Default for Listen {
    fn default() -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 0, dot: None, doh: None }
    }
}

impl Listen {
    /// UDP and TCP on 127.0.0.1, on a port that is free for both.
    #[must_use]
    pub fn loopback() -> Self {
        Self::default()
    }

    /// Another address, for all transports.
    #[must_use]
    pub fn on(mut self, address: IpAddr) -> Self {
        self.address = address;
        self
    }

    /// A fixed port for UDP and TCP; 0, the default, takes a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// DNS over TLS too, on a port of its own, with this certificate.
    ///
    /// # Errors
    /// The key does not fit the certificate.
    pub fn dot(mut self, identity: &Identity) -> Result<Self, LabError> {
        self.dot = Some(Arc::new(identity.server_config(&[b"dot"])?));
        Ok(self)
    }

    /// DNS over HTTPS too (HTTP/2, any path), on a port of its own, with this certificate.
    ///
    /// # Errors
    /// The key does not fit the certificate.
    pub fn doh(mut self, identity: &Identity) -> Result<Self, LabError> {
        self.doh = Some(Arc::new(identity.server_config(&[b"h2"])?));
        Ok(self)
    }
}

/// A running server. It ends when this is dropped.
pub struct Server {
    address: SocketAddr,
    dot: Option<SocketAddr>,
    doh: Option<SocketAddr>,
    desk: Arc<Desk>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(super) async fn start(universe: Universe, listen: Listen) -> Result<Self, LabError> {
        let desk = Arc::new(Desk { universe, faults: Faults::default(), queries: Queries::default() });
        let (udp, tcp) = bind(listen.address, listen.port).await?;
        let address = tcp.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_datagrams(Arc::new(udp), Arc::clone(&desk)));
        tasks.spawn(serve_connections(tcp, Transport::Tcp, Arc::clone(&desk)));
        let mut secured = [None, None];
        let transports = [listen.dot.map(Transport::dot), listen.doh.map(Transport::doh)];
        for (place, transport) in secured.iter_mut().zip(transports) {
            if let Some(transport) = transport {
                let listener = TcpListener::bind((listen.address, 0)).await?;
                *place = Some(listener.local_addr()?);
                tasks.spawn(serve_connections(listener, transport, Arc::clone(&desk)));
            }
        }
        let [dot, doh] = secured;
        Ok(Self { address, dot, doh, desk, _tasks: tasks })
    }

    /// Address and port of UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Address and port of DNS over TLS, if it was asked for.
    pub fn dot_address(&self) -> Option<SocketAddr> {
        self.dot
    }

    /// Address and port of DNS over HTTPS, if it was asked for.
    pub fn doh_address(&self) -> Option<SocketAddr> {
        self.doh
    }

    /// The switch for misbehaviour.
    pub fn faults(&self) -> &Faults {
        &self.desk.faults
    }

    /// What was asked so far.
    pub fn queries(&self) -> &Queries {
        &self.desk.queries
    }
}

/// What all transports share.
struct Desk {
    universe: Universe,
    faults: Faults,
    queries: Queries,
}

impl Desk {
    /// The octets to send back, if any.
    async fn respond(&self, message: &[u8], datagram: bool) -> Option<Vec<u8>> {
        let question = match read(message) {
            Received::Question(question) => question,
            Received::Refuse(refusal) => return Some(refusal),
            Received::Ignore => return None,
        };
        self.queries.record(&question.name, question.rtype);
        match self.faults.find(&question.name, question.rtype) {
            Some(Fault::Refuse) => return Some(question.error(ResponseCode::Refused)),
            Some(Fault::ServFail) => return Some(question.error(ResponseCode::ServFail)),
            Some(Fault::Silent) => return None,
            Some(Fault::Garbage) => return Some(question.garbage()),
            Some(Fault::Truncate | Fault::TruncateAndStall) if datagram => return Some(question.truncated()),
            Some(Fault::TruncateAndStall) => return None,
            Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
            Some(Fault::Truncate) | None => {}
        }
        Some(self.look_up(&question, datagram))
    }

    fn look_up(&self, question: &Question, datagram: bool) -> Vec<u8> {
        let answer = self.universe.zones().answer(&question.name, question.rtype, question.dnssec_ok);
        question.encode(&answer, if datagram { question.datagram_limit() } else { MAX_STREAM })
    }
}

/// UDP and TCP on the same port: with port 0 the TCP socket's is taken, which may be in use for UDP.
async fn bind(address: IpAddr, port: u16) -> Result<(UdpSocket, TcpListener), LabError> {
    let mut attempt = 0;
    loop {
        let tcp = TcpListener::bind((address, port)).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) if port != 0 || attempt == PORT_ATTEMPTS => return Err(error.into()),
            Err(_) => attempt += 1,
        }
    }
}

async fn serve_datagrams(socket: Arc<UdpSocket>, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(MAX_DATAGRAMS));
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; 4_096];
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        // A failed receive is the echo of an earlier send to a port that is closed by now.
        let Ok((length, querier)) = socket.recv_from(&mut buffer).await else { continue };
        let message = buffer.get(..length).unwrap_or_default().to_vec();
        let (socket, desk) = (Arc::clone(&socket), Arc::clone(&desk));
        tasks.spawn(async move {
            if let Some(answer) = desk.respond(&message, true).await {
                // Who has gone away does not want the answer.
                let _ = socket.send_to(&answer, querier).await;
            }
            drop(place);
        });
    }
}

#[derive(Clone)]
enum Transport {
    Tcp,
    Dot(TlsAcceptor),
    Doh(TlsAcceptor),
}

impl Transport {
    fn dot(config: Arc<ServerConfig>) -> Self {
        Self::Dot(TlsAcceptor::from(config))
    }

    fn doh(config: Arc<ServerConfig>) -> Self {
        Self::Doh(TlsAcceptor::from(config))
    }
}

async fn serve_connections(listener: TcpListener, transport: Transport, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: others have to end first.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let (transport, desk) = (transport.clone(), Arc::clone(&desk));
        tasks.spawn(async move {
            match transport {
                Transport::Tcp => serve_stream(stream, desk).await,
                Transport::Dot(acceptor) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        serve_stream(stream, desk).await;
                    }
                }
                Transport::Doh(acceptor) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        serve_http(stream, desk).await;
                    }
                }
            }
            drop(place);
        });
    }
}

/// Messages with a length of two octets before each (RFC 1035 section 4.2.2), answered as they become ready.
async fn serve_stream(stream: impl AsyncRead + AsyncWrite + Send + 'static, desk: Arc<Desk>) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (answers, mut ready) = mpsc::channel::<Vec<u8>>(MAX_PIPELINED);
    let places = Arc::new(Semaphore::new(MAX_PIPELINED));
    let mut tasks = JoinSet::new();
    let read_all = async {
        loop {
            while tasks.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Ok(Ok(length)) = tokio::time::timeout(IDLE, reader.read_u16()).await else { return };
            let mut message = vec![0; usize::from(length)];
            let Ok(Ok(_)) = tokio::time::timeout(IDLE, reader.read_exact(&mut message)).await else { return };
            let (desk, answers) = (Arc::clone(&desk), answers.clone());
            tasks.spawn(async move {
                if let Some(answer) = desk.respond(&message, false).await {
                    // The connection has ended: so has this.
                    let _ = answers.send(answer).await;
                }
                drop(place);
            });
        }
    };
    let write_all = async {
        while let Some(answer) = ready.recv().await {
            let length = u16::try_from(answer.len()).unwrap_or(u16::MAX);
            let mut framed = length.to_be_bytes().to_vec();
            framed.extend(answer);
            if writer.write_all(&framed).await.is_err() || writer.flush().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = read_all => {}
        () = write_all => {}
    }
}

async fn serve_http(stream: impl AsyncRead + AsyncWrite + Unpin, desk: Arc<Desk>) {
    let Ok(mut connection) = h2::server::Builder::new()
        .max_concurrent_streams(u32::try_from(MAX_PIPELINED).unwrap_or(1))
        .handshake::<_, Bytes>(stream)
        .await
    else {
        return;
    };
    let mut tasks = JoinSet::new();
    while let Ok(Some(Ok((request, respond)))) = tokio::time::timeout(IDLE, connection.accept()).await {
        while tasks.try_join_next().is_some() {}
        tasks.spawn(serve_request(request, respond, Arc::clone(&desk)));
    }
}

async fn serve_request(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    desk: Arc<Desk>,
) {
    let message = match *request.method() {
        http::Method::POST => posted(request.into_body()).await,
        http::Method::GET => requested(request.uri()),
        _ => None,
    };
    let Some(message) = message else {
        let mut response = http::Response::new(());
        *response.status_mut() = http::StatusCode::BAD_REQUEST;
        let _ = respond.send_response(response, true);
        return;
    };
    let Some(answer) = desk.respond(&message, false).await else {
        // Silence: dropping the stream at once would be an answer.
        tokio::time::sleep(IDLE).await;
        return;
    };
    let mut response = http::Response::new(());
    let content_type = http::HeaderValue::from_static("application/dns-message");
    response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    if let Ok(mut body) = respond.send_response(response, false) {
        // h2 buffers what the peer's window does not take yet; an answer has at most 64 KiB.
        let _ = body.send_data(Bytes::from(answer), true);
    }
}

async fn posted(mut body: h2::RecvStream) -> Option<Vec<u8>> {
    let mut message = BytesMut::new();
    while let Some(part) = tokio::time::timeout(IDLE, body.data()).await.ok()? {
        let part = part.ok()?;
        body.flow_control().release_capacity(part.len()).ok()?;
        message.extend_from_slice(&part);
        if message.len() > MAX_STREAM {
            return None;
        }
    }
    Some(message.to_vec())
}

fn requested(uri: &http::Uri) -> Option<Vec<u8>> {
    let encoded = uri.query()?.split('&').find_map(|pair| pair.strip_prefix("dns="))?;
    data_encoding::BASE64URL_NOPAD.decode(encoded.as_bytes()).ok()
}
