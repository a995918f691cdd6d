//! The first step of a handshake: reading a ClientHello, bounded in octets.
//!
//! Nothing is asked of the DNS and no private key is used until a whole, valid ClientHello is there, so that port scanners and garbage
//! cost next to nothing. The time is bounded by the caller: one deadline for the whole handshake.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::LazyConfigAcceptor;

/// The most octets that are read for a ClientHello. Real ones, post-quantum key shares included, have below 4 KiB.
pub(super) const MAX_HELLO: usize = 32 * 1024;

/// A valid ClientHello that waits for an answer, and the stream that it came from.
pub(crate) struct Hello<S> {
    pub(super) accepted: Accepted,
    pub(super) io: S,
}

impl<S> Hello<S> {
    /// The server name that the peer asks for. Peer-controlled, though a valid DNS name.
    pub(crate) fn server_name(&self) -> Option<String> {
        self.accepted.client_hello().server_name().map(str::to_owned)
    }
}

/// Reads a ClientHello. If what comes is none, the alert has been sent and the stream is closed when this returns.
pub(crate) async fn read<S>(io: S) -> io::Result<Hello<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let acceptor = LazyConfigAcceptor::new(Acceptor::default(), Limited { io, left: MAX_HELLO });
    let start = acceptor.await?;
    Ok(Hello { accepted: start.accepted, io: start.io.io })
}

/// A stream of which only so many octets can be read.
struct Limited<S> {
    io: S,
    left: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Limited<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the ClientHello is too long",
            )));
        }
        let room = this.left.min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
        std::task::ready!(Pin::new(&mut this.io).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        this.left -= read;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Limited<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
