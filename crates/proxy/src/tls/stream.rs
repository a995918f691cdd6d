//! The connection of an authorized peer, behind its handshake.
//!
//! Promises: what is read is what the peer has sent under its keys, to the end that it has told of (close_notify); a stream that is cut short
//! is an error and never an end. What TLS owes the peer for what was read (an update of keys, an alert) is sent at once, or with
//! the next octets if it does not fit. A quiet connection owns no buffer besides the library's smallest: ciphertext is read into
//! memory that all connections of a thread share, and only what the reader has no room for is kept.

#[cfg(test)]
mod tests;

use std::io::{self, IoSlice, Read as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::scratch::lend;

/// The most ciphertext that is read at once.
const MOST: usize = 256 * 1024;
/// The least that it is worth to read: the smallest buffer of the TLS library.
const LEAST: usize = 4 * 1024;

/// The decrypted connection of an authorized peer.
pub(crate) struct PeerStream {
    tcp: TcpStream,
    tls: ServerConnection,
    /// Ciphertext behind what the reader had room for.
    unread: Vec<u8>,
    /// What is wrong with the stream behind what was handed out.
    failed: Option<io::Error>,
}

impl PeerStream {
    /// Takes over once the handshake is done and all of it was sent.
    pub(super) fn new(tcp: TcpStream, tls: ServerConnection) -> Self {
        let mut stream = Self { tcp, tls, unread: Vec::new(), failed: None };
        stream.shrink();
        stream
    }

    /// The connection below, without TLS: to linger on.
    pub(crate) fn into_tcp(self) -> TcpStream {
        self.tcp
    }

    /// Moves what was decrypted. `true`: the peer has said all.
    fn take_plaintext(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<bool> {
        while buf.remaining() > 0 {
            match self.tls.reader().read(buf.initialize_unfilled()) {
                Ok(0) => return Ok(true),
                Ok(read) => buf.advance(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Decrypts until the reader is full or nothing is left, and keeps the rest. An end is found out by the next
    /// [`take_plaintext`](Self::take_plaintext).
    fn decrypt(&mut self, mut octets: &[u8], buf: &mut ReadBuf<'_>) -> io::Result<()> {
        while !octets.is_empty() {
            if buf.remaining() == 0 {
                self.unread = octets.to_vec();
                return Ok(());
            }
            // What comes behind a close_notify is nobody's (RFC 8446 section 6.1).
            if self.tls.read_tls(&mut octets)? == 0 {
                return Ok(());
            }
            self.tls
                .process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if self.take_plaintext(buf)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Decrypts what was kept, or else reads once.
    fn poll_ciphertext(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let unread = std::mem::take(&mut self.unread);
            return Poll::Ready(self.decrypt(&unread, buf));
        }
        let size = buf.remaining().clamp(LEAST, MOST);
        lend(size, |scratch| {
            let mut read = ReadBuf::new(scratch);
            match Pin::new(&mut self.tcp).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if read.filled().is_empty() => {
                    // The library is to know of the end: it tells whether it was one in good order.
                    self.tls.read_tls(&mut io::empty())?;
                    Poll::Ready(Ok(()))
                }
                Poll::Ready(Ok(())) => Poll::Ready(self.decrypt(read.filled(), buf)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.shrink();
                    Poll::Pending
                }
            }
        })
    }

    /// Lets the library give back a buffer that it needs no more: it does so before it reads, even where there is nothing to be read.
    fn shrink(&mut self) {
        drop(self.tls.read_tls(&mut Nothing));
    }

    /// Sends what TLS owes the peer, as far as it fits. What is wrong with the way back shows when something is to be written.
    fn answer(&mut self, cx: &mut Context<'_>) {
        if self.tls.wants_write() {
            drop(self.poll_send(cx));
        }
    }

    /// Sends all that was encrypted.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Sink { tcp: &mut self.tcp, cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Everything in front of an error is handed out before the error is.
    fn poll_plaintext(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        loop {
            let end = match self.take_plaintext(buf) {
                Ok(end) => end,
                Err(error) => return Poll::Ready(Err(error)),
            };
            if end || buf.filled().len() > before || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if let Some(error) = self.failed.take() {
                return Poll::Ready(Err(error));
            }
            self.failed = ready!(self.poll_ciphertext(cx, buf)).err();
        }
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = this.poll_plaintext(cx, buf);
        this.answer(cx);
        read
    }
}

impl AsyncWrite for PeerStream {
    /// Takes octets only when nothing of earlier ones is left.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        let taken = this.tls.writer().write(buf)?;
        if let Poll::Ready(Err(error)) = this.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send(cx)
    }

    /// Sends close_notify, and FIN behind it.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Said once, however often it is called.
        this.tls.send_close_notify();
        ready!(this.poll_send(cx))?;
        match Pin::new(&mut this.tcp).poll_shutdown(cx) {
            // Gone already.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            polled => polled,
        }
    }
}

/// Has nothing to read, and is not at its end.
struct Nothing;

impl io::Read for Nothing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// A socket, as the TLS library writes to it.
struct Sink<'s, 'c> {
    tcp: &'s mut TcpStream,
    cx: &'s mut Context<'c>,
}

impl io::Write for Sink<'_, '_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        told(Pin::new(&mut *self.tcp).poll_write(self.cx, octets))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        told(Pin::new(&mut *self.tcp).poll_write_vectored(self.cx, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn told<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
