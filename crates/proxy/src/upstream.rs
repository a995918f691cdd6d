//! Connecting to the upstream, and its two directions whatever kind of socket it is.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::runtime::UpstreamAddress;

/// The direction from the upstream.
pub type UpstreamReader = Box<dyn AsyncRead + Send + Unpin>;
/// The direction to the upstream.
pub type UpstreamWriter = Box<dyn AsyncWrite + Send + Unpin>;

/// Connects.
///
/// # Errors
/// As the operating system has it.
pub async fn connect(address: &UpstreamAddress) -> io::Result<(UpstreamReader, UpstreamWriter)> {
    match address {
        UpstreamAddress::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            Ok((Box::new(reader), Box::new(writer)))
        }
        UpstreamAddress::Unix(path) => {
            let (reader, writer) = UnixStream::connect(path).await?.into_split();
            Ok((Box::new(reader), Box::new(writer)))
        }
    }
}
