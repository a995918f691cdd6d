//! Ways in for the fuzz targets: the parts of the handshake that read octets of the peer before the TLS library has a say, or follow
//! what it writes.

use std::future::Future;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use super::gate::Gate;
use super::records::{Record, RecordWatch};

/// The most octets that are read for a ClientHello.
pub const MAX_HELLO: usize = super::hello::MAX_HELLO;

/// Reads a ClientHello; gives the server name that it asks for.
///
/// # Errors
/// What comes is none.
pub async fn hello<S: AsyncRead + AsyncWrite + Unpin>(io: S) -> io::Result<Option<String>> {
    super::hello::read(io).await.map(|hello| hello.server_name())
}

/// What the gate's watch makes of records that are written in these pieces: whether the peer could answer one with its certificate,
/// and the last alert.
pub fn watch<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (bool, Option<u8>) {
    let mut watch = RecordWatch::default();
    pieces.into_iter().for_each(|piece| watch.wrote(piece));
    (watch.current() == Record::Answerable, watch.alert().map(u8::from))
}

/// A stream whose reads wait for `evidence` once something was written that the peer can answer.
pub fn gated<S, F>(io: S, evidence: F) -> impl AsyncRead + AsyncWrite + Unpin
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = ()> + Unpin,
{
    Gate::new(io, evidence)
}
