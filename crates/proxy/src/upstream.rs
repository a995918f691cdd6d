//! Connecting to the upstream.

use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::TcpKeepalive;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::runtime::UpstreamAddress;

/// After this time without a segment the peer's system is asked whether it is still there…
const KEEPALIVE: Duration = Duration::from_secs(120);
/// …and this often after that…
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// …until it has not answered so many times.
const KEEPALIVE_RETRIES: u32 = 4;

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
                // Sockets that do not take these work without: Nagle's algorithm only delays, and the idle deadline finds out too.
                drop(stream.set_nodelay(true));
                drop(socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive()));
                Ok(Self::Tcp(stream))
            }
            UpstreamAddress::Unix(path) => UnixStream::connect(path).await.map(Self::Unix),
        }
    }

    /// From now on closing breaks the connection off, so that the upstream cannot take it for an orderly end: over TCP with a reset. A Unix
    /// domain socket knows nothing of the kind and is closed.
    fn close_with_reset(&self) {
        if let Self::Tcp(stream) = self {
            // Where that is not possible, closing is all that is left.
            drop(socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)));
        }
    }
}

/// How it is found out that the other side of a TCP connection has vanished.
pub(crate) fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_RETRIES)
}

/// A connection to an upstream that has not been told all: dropped as it is, whatever the cause, it is broken off.
#[derive(Debug)]
pub struct Untold {
    upstream: Upstream,
    told_all: bool,
}

impl Untold {
    /// The upstream has been told all, and that it was all: from now on it is closed like any other.
    pub fn told_all(&mut self) {
        self.told_all = true;
    }
}

impl From<Upstream> for Untold {
    fn from(upstream: Upstream) -> Self {
        Self { upstream, told_all: false }
    }
}

impl Deref for Untold {
    type Target = Upstream;

    fn deref(&self) -> &Upstream {
        &self.upstream
    }
}

impl DerefMut for Untold {
    fn deref_mut(&mut self) -> &mut Upstream {
        &mut self.upstream
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        if !self.told_all {
            self.upstream.close_with_reset();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn only_who_was_told_all_sees_an_orderly_end() {
        for told_all in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = UpstreamAddress::Tcp(listener.local_addr().unwrap());
            let mut near = Untold::from(Upstream::connect(&address).await.unwrap());
            let (mut far, _) = listener.accept().await.unwrap();
            near.write_all(b"half").await.unwrap();
            far.read_exact(&mut [0; 4]).await.unwrap();
            if told_all {
                near.told_all();
            }
            drop(near);
            let end = far.read(&mut [0]).await.map_err(|error| error.kind());
            assert_eq!(end, if told_all { Ok(0) } else { Err(io::ErrorKind::ConnectionReset) });
        }
    }
}
