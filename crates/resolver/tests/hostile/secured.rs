//! DNS over TLS (RFC 7858) and over HTTPS (RFC 8484), as badly as it can be done: before the handshake, in it, behind it, in HTTP.

use std::sync::LazyLock;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use revouch_lab::CertificateAuthority;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::attacker::{Desk, Stream, play, serve};
use super::*;

/// The name of the attacker's servers.
pub(super) const NAME: &str = "dns.test";

const DNS_MESSAGE: &str = "application/dns-message";

/// Who vouches for [`NAME`].
static CA: LazyLock<CertificateAuthority> = LazyLock::new(|| CertificateAuthority::servers().unwrap());

static GENUINE: LazyLock<[Arc<ServerConfig>; 2]> = LazyLock::new(|| {
    let identity = CA.leaf().dns(NAME).issue().unwrap();
    [&b"dot"[..], b"h2"].map(|alpn| Arc::new(identity.server_config(&[alpn]).unwrap()))
});

/// By which the attacker's servers are authenticated.
pub(super) fn roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CA.root()).unwrap();
    Arc::new(roots)
}

/// What is said over a secured connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    Dot,
    Doh,
}

impl Inside {
    pub(super) fn protocol(self) -> Protocol {
        match self {
            Self::Dot => Protocol::Tls { server_name: NAME.into() },
            Self::Doh => Protocol::Https { server_name: NAME.into(), path: "/dns-query".into() },
        }
    }
}

/// How a connection is received.
#[derive(Clone, Default)]
pub(super) enum Door {
    /// As it should be.
    #[default]
    Open,
    /// With this instead of a ServerHello.
    Outside(Stream),
    /// With a handshake, and then this instead of any answer.
    Inside(Stream),
    /// With another certificate, or another protocol.
    Otherwise(Arc<ServerConfig>),
}

/// Handshakes that must not succeed.
pub(super) fn impostors(inside: Inside) -> Vec<(&'static str, Door)> {
    let other = CertificateAuthority::servers().unwrap();
    let config = |identity: revouch_lab::Identity, alpn: &[&[u8]]| {
        Door::Otherwise(Arc::new(identity.server_config(alpn).unwrap()))
    };
    let both: &[&[u8]] = &[b"dot", b"h2"];
    let mut all = vec![
        ("vouched for by nobody", config(other.leaf().dns(NAME).issue().unwrap(), both)),
        ("another name", config(CA.leaf().dns("other.test").issue().unwrap(), both)),
        ("no name", config(CA.leaf().issue().unwrap(), both)),
        ("expired", config(CA.leaf().dns(NAME).expired().issue().unwrap(), both)),
        ("not yet valid", config(CA.leaf().dns(NAME).not_yet_valid().issue().unwrap(), both)),
    ];
    // Over DoT no protocol is named (RFC 7858 wants none).
    if inside == Inside::Doh {
        all.push(("another protocol", config(CA.leaf().dns(NAME).issue().unwrap(), &[b"http/1.1"])));
    }
    all
}

/// What only HTTP can do to an answer.
#[derive(Clone, Debug)]
pub(super) enum Http {
    /// The genuine answer under another status.
    Status(u16),
    /// A redirection to the same place.
    Redirect(u16),
    /// The genuine answer as another type.
    Type(&'static str),
    /// A length that is not that of the genuine answer.
    Length(usize),
    /// A header of so many octets.
    Header(usize),
    /// A status, and nothing more.
    Headless,
    /// No octet of a body.
    Empty,
    /// Half of the genuine answer, and nothing more.
    Half,
    /// Half of the genuine answer, and the connection is closed.
    HalfThenClose,
    /// Half of the genuine answer, and the stream is reset.
    HalfThenReset,
    /// The stream is reset.
    Reset(Reason),
    /// The connection is given up with GOAWAY.
    GoAway(Reason),
    /// A body without end, an octet at a time.
    Dribble,
    /// A body without end.
    Endless,
}

/// What becomes of the connection.
enum After {
    GoesOn,
    Closed,
    GivenUp(Reason),
}

pub(super) async fn receive(
    mut stream: TcpStream,
    inside: Inside,
    door: Door,
    desk: &Arc<Desk>,
) -> std::io::Result<()> {
    let [dot, doh] = &*GENUINE;
    let genuine = if inside == Inside::Dot { dot } else { doh };
    let acceptor = |config: &Arc<ServerConfig>| TlsAcceptor::from(Arc::clone(config));
    match door {
        Door::Open => {
            let stream = acceptor(genuine).accept(stream).await?;
            talk(stream, inside, desk).await
        }
        Door::Outside(trick) => {
            stream.read_u8().await?;
            play(&mut stream, trick).await
        }
        Door::Inside(trick) => {
            let mut stream = acceptor(genuine).accept(stream).await?;
            play(&mut stream, trick).await
        }
        Door::Otherwise(config) => {
            let stream = acceptor(&config).accept(stream).await?;
            talk(stream, inside, desk).await
        }
    }
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    inside: Inside,
    desk: &Arc<Desk>,
) -> std::io::Result<()> {
    match inside {
        Inside::Dot => serve(stream, desk).await,
        Inside::Doh => serve_http(stream, desk).await.map_err(std::io::Error::other),
    }
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    desk: &Arc<Desk>,
) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(accepted) = accepted else { return Ok(()) };
                let (request, respond) = accepted?;
                tasks.spawn(answer(request.into_body(), respond, Arc::clone(desk)));
            }
            Some(ended) = tasks.join_next() => match ended {
                Ok(Ok(After::Closed)) => {
                    // What was said before is still sent.
                    let _ = tokio::time::timeout(Duration::from_millis(20), connection.accept()).await;
                    return Ok(());
                }
                Ok(Ok(After::GivenUp(Reason::NO_ERROR))) => connection.graceful_shutdown(),
                Ok(Ok(After::GivenUp(reason))) => connection.abrupt_shutdown(reason),
                // Who has gone away does not want it.
                Ok(Ok(After::GoesOn) | Err(_)) | Err(_) => {}
            },
        }
    }
}

async fn answer(
    mut body: RecvStream,
    mut respond: SendResponse<Bytes>,
    desk: Arc<Desk>,
) -> Result<After, h2::Error> {
    let mut octets = Vec::new();
    while let Some(part) = body.data().await {
        octets.extend(part?);
    }
    let Some((asked, reply)) = desk.reply(&octets, true).await else { return Ok(After::GoesOn) };
    let genuine = match reply {
        Reply::Message(message) | Reply::Late(message) => asked.fitting(&message),
        Reply::Octets(all) => all.into_iter().next().unwrap_or_default(),
        Reply::Silence => std::future::pending().await,
        Reply::Stream(_) => return Ok(After::Closed),
        Reply::Http(trick, message) => return play_http(trick, asked.fitting(&message), respond).await,
    };
    respond.send_response(head(200, DNS_MESSAGE), false)?.send_data(genuine.into(), true)?;
    Ok(After::GoesOn)
}

fn head(status: u16, content_type: &str) -> http::Response<()> {
    let builder = http::Response::builder().status(status).header("content-type", content_type);
    builder.body(()).unwrap()
}

async fn play_http(
    trick: Http,
    genuine: Vec<u8>,
    mut respond: SendResponse<Bytes>,
) -> Result<After, h2::Error> {
    let half = Bytes::copy_from_slice(&genuine[..genuine.len() / 2]);
    let genuine = Bytes::from(genuine);
    let mut with = |header: &'static str, value: &str| {
        let mut head = head(200, DNS_MESSAGE);
        head.headers_mut().insert(header, value.parse().unwrap());
        respond.send_response(head, false)?.send_data(genuine.clone(), true)
    };
    match trick {
        Http::Length(length) => with("content-length", &length.to_string())?,
        Http::Header(length) => with("x-much", &"x".repeat(length))?,
        Http::Status(code) => {
            respond.send_response(head(code, DNS_MESSAGE), false)?.send_data(genuine, true)?;
        }
        Http::Redirect(code) => {
            let mut head = head(code, DNS_MESSAGE);
            head.headers_mut().insert("location", "/dns-query".parse().unwrap());
            respond.send_response(head, false)?.send_data(genuine, true)?;
        }
        Http::Type(other) => {
            respond.send_response(head(200, other), false)?.send_data(genuine, true)?;
        }
        Http::Headless => {
            let _open = respond.send_response(head(200, DNS_MESSAGE), false)?;
            std::future::pending::<()>().await;
        }
        Http::Empty => drop(respond.send_response(head(200, DNS_MESSAGE), true)?),
        Http::Half | Http::HalfThenClose | Http::HalfThenReset => {
            let mut open = respond.send_response(head(200, DNS_MESSAGE), false)?;
            open.send_data(half, false)?;
            match trick {
                Http::HalfThenClose => return Ok(After::Closed),
                Http::HalfThenReset => open.send_reset(Reason::INTERNAL_ERROR),
                _ => std::future::pending().await,
            }
        }
        Http::Reset(reason) => respond.send_reset(reason),
        Http::GoAway(reason) => return Ok(After::GivenUp(reason)),
        Http::Dribble => {
            let mut open = respond.send_response(head(200, DNS_MESSAGE), false)?;
            while send_some(&mut open, 1).await? {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        Http::Endless => {
            let mut open = respond.send_response(head(200, DNS_MESSAGE), false)?;
            while send_some(&mut open, 16_384).await? {}
        }
    }
    Ok(After::GoesOn)
}

/// Sends up to `most` octets as soon as they are wanted; `false` once the other side has left.
async fn send_some(open: &mut SendStream<Bytes>, most: usize) -> Result<bool, h2::Error> {
    open.reserve_capacity(most);
    let Some(room) = std::future::poll_fn(|context| open.poll_capacity(context)).await else {
        return Ok(false);
    };
    open.send_data(vec![0; room?.min(most)].into(), false)?;
    Ok(true)
}
