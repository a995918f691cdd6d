//! The gate: holds a handshake just before the peer's second flight is read, until the evidence is there.
//!
//! Promises: between the first handshake record that is written (a HelloRetryRequest does not count) and the completion of the
//! evidence future, nothing is read from the stream; nothing that is written is ever held. In doubt about what was written the gate
//! closes: that costs at most the time until the evidence stands.
//!
//! A TLS 1.2 peer can send its Certificate in one segment with the ClientHello, so that it is read before the gate is armed. The TLS
//! library looks at it only behind the next read, which the gate holds. Did it look sooner, the verifier would find no evidence and refuse
//! (`evidence_missing`): the gate is for time, not for safety.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::records::{Record, RecordWatch};

/// A stream with a gate in its reading direction.
pub(super) struct Gate<S, F> {
    io: S,
    state: State<F>,
    /// Looks at what is written, until the handshake is over.
    watch: Option<RecordWatch>,
}

enum State<F> {
    /// Nothing was written yet that the peer could answer with its certificate.
    Open(F),
    /// Reads wait for the future.
    Armed(F),
    /// The evidence was awaited; everything passes.
    Done,
}

impl<S, F> Gate<S, F> {
    /// A stream whose reads, once the gate is armed, wait for `evidence`.
    pub(super) fn new(io: S, evidence: F) -> Self {
        Self { io, state: State::Open(evidence), watch: Some(RecordWatch::default()) }
    }

    /// Ends the looking at what is written. The future, if it was never awaited, is dropped.
    pub(super) fn handshake_is_over(&mut self) {
        self.state = State::Done;
        self.watch = None;
    }

    /// The last alert that was written in the clear.
    pub(super) fn alert(&self) -> Option<AlertDescription> {
        self.watch.as_ref().and_then(RecordWatch::alert)
    }

    /// The stream below, without the gate.
    pub(super) fn into_inner(self) -> S {
        self.io
    }

    fn wrote<'b>(&mut self, slices: impl Iterator<Item = &'b [u8]>, mut written: usize) {
        let Some(watch) = &mut self.watch else { return };
        for slice in slices {
            let part = slice.get(..written).unwrap_or(slice);
            written -= part.len();
            watch.wrote(part);
            if watch.current() == Record::Answerable {
                self.state = match std::mem::replace(&mut self.state, State::Done) {
                    State::Open(evidence) => State::Armed(evidence),
                    other => other,
                };
            }
        }
    }
}

impl<S: AsyncRead + Unpin, F: Future<Output = ()> + Unpin> AsyncRead for Gate<S, F> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let State::Armed(evidence) = &mut this.state {
            match Pin::new(evidence).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => this.state = State::Done,
            }
        }
        Pin::new(&mut this.io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin, F: Unpin> AsyncWrite for Gate<S, F> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = result {
            this.wrote(std::iter::once(buf), written);
        }
        result
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(written)) = result {
            this.wrote(bufs.iter().map(|slice| &**slice), written);
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    use super::*;

    /// A record of a ServerHello, or what looks like one.
    const SERVER_HELLO: &[u8] = &[22, 3, 3, 0, 4, 2, 0, 0, 0];

    fn gated() -> (
        Gate<tokio::io::DuplexStream, impl Future<Output = ()> + Unpin>,
        tokio::io::DuplexStream,
        oneshot::Sender<()>,
    ) {
        let (near, far) = tokio::io::duplex(1024);
        let (sender, receiver) = oneshot::channel::<()>();
        let evidence = Box::pin(async move { drop(receiver.await) });
        (Gate::new(near, evidence), far, sender)
    }

    #[tokio::test]
    async fn before_a_server_hello_reads_pass() {
        let (mut gate, mut far, _evidence) = gated();
        gate.write_all(&[21, 3, 3, 0, 2, 1, 0]).await.unwrap();
        far.write_all(b"abc").await.unwrap();
        let mut buf = [0; 3];
        gate.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"abc");
    }

    #[tokio::test]
    async fn after_a_server_hello_reads_wait_for_the_evidence_and_writes_do_not() {
        for vectored in [false, true] {
            let (mut gate, mut far, evidence) = gated();
            if vectored {
                let written =
                    gate.write_vectored(&[IoSlice::new(&[]), IoSlice::new(SERVER_HELLO)]).await.unwrap();
                assert_eq!(written, SERVER_HELLO.len());
            } else {
                gate.write_all(SERVER_HELLO).await.unwrap();
            }
            far.write_all(b"abc").await.unwrap();
            let mut buf = [0; 3];
            let mut read = tokio_test_pending(gate.read_exact(&mut buf)).await;
            evidence.send(()).unwrap();
            read.as_mut().await.unwrap();
            drop(read);
            assert_eq!(&buf, b"abc");
            gate.write_all(b"more").await.unwrap();
        }
    }

    /// Polls once and expects no answer yet.
    async fn tokio_test_pending<F: Future>(future: F) -> Pin<Box<F>> {
        let mut future = Box::pin(future);
        std::future::poll_fn(|cx| {
            assert!(future.as_mut().poll(cx).is_pending(), "the gate is open");
            Poll::Ready(())
        })
        .await;
        future
    }
}
