//! Connecting to the upstream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::runtime::UpstreamAddress;

/// A connection to an upstream.
#[derive(Debug)]
pub enum Upstream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix domain socket.
    Unix(UnixStream),
}

impl Upstream {
    /// Connects. The time is bounded by the caller.
    ///
    /// # Errors
    /// As the operating system has it.
    pub async fn connect(address: &UpstreamAddress) -> io::Result<Self> {
        match address {
            UpstreamAddress::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                // Nagle's algorithm only delays; a socket that does not take the option works without.
                drop(stream.set_nodelay(true));
                Ok(Self::Tcp(stream))
            }
            UpstreamAddress::Unix(path) => UnixStream::connect(path).await.map(Self::Unix),
        }
    }

    /// Breaks the connection off so that the upstream cannot take it for an orderly end: over TCP with a reset. A Unix domain socket knows
    /// nothing of the kind and is closed.
    pub fn abort(self) {
        if let Self::Tcp(stream) = &self {
            // Where that is not possible, closing is all that is left.
            drop(socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO)));
        }
    }
}

impl AsyncRead for Upstream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Upstream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Neither kind of socket holds anything back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
