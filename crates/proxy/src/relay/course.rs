//! One direction of a relay: reads into memory that the thread shares, and keeps only what its sink does not take at once.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::End;
use crate::scratch::lend;

/// How much is read at once, and from how many octets moved without a rest (`tls.md` section 4).
const SIZES: [(u64, usize); 3] = [(0, SMALLEST), (128 * 1024, 16 * 1024), (10 * 1024 * 1024, LARGEST)];
pub(super) const SMALLEST: usize = 4 * 1024;
/// The most that is read at once, and so the most that is kept for a sink.
pub(super) const LARGEST: usize = 256 * 1024;
/// After this time without an octet a direction begins anew with the smallest size.
const REST: Duration = Duration::from_secs(1);

/// How one direction goes.
pub(super) struct Course {
    /// What was read and its sink has not taken.
    kept: Vec<u8>,
    /// How much of that it has taken meanwhile.
    delivered: usize,
    /// Octets that were moved without a rest.
    in_a_row: u64,
    last: Instant,
}

impl Default for Course {
    fn default() -> Self {
        Self { kept: Vec::new(), delivered: 0, in_a_row: 0, last: Instant::now() }
    }
}

impl Course {
    /// Reads once and delivers that; the number of octets, 0 if the source has said all. Dropped, it may have read and not delivered: whoever
    /// does that gives the direction up.
    pub(super) async fn step(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<u64, End> {
        let read = poll_fn(|cx| self.poll_move(cx, from, to)).await?;
        if read > 0 {
            poll_fn(|cx| self.poll_deliver(cx, to)).await.map_err(|_| End::Writing)?;
            self.in_a_row = self.in_a_row.saturating_add(read);
            self.last = Instant::now();
        }
        Ok(read)
    }

    /// Reads once, and writes what the sink takes at once.
    fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<u64, End>> {
        lend(self.size(), |scratch| {
            let mut read = ReadBuf::new(scratch);
            ready!(Pin::new(from).poll_read(cx, &mut read)).map_err(End::Reading)?;
            let octets = read.filled();
            if octets.is_empty() {
                return Poll::Ready(Ok(0));
            }
            let taken = match Pin::new(to).poll_write(cx, octets) {
                Poll::Ready(taken) => taken.map_err(|_| End::Writing)?,
                Poll::Pending => 0,
            };
            self.kept.extend_from_slice(octets.get(taken..).unwrap_or_default());
            Poll::Ready(Ok(octets.len() as u64))
        })
    }

    /// Delivers what was kept, to the last octet that the sink might hold back.
    fn poll_deliver(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while let Some(left) = self.kept.get(self.delivered..).filter(|left| !left.is_empty()) {
            match ready!(Pin::new(&mut *to).poll_write(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.delivered += taken,
            }
        }
        // The memory is given back.
        (self.kept, self.delivered) = (Vec::new(), 0);
        Pin::new(to).poll_flush(cx)
    }

    /// How much is to be read at once.
    fn size(&mut self) -> usize {
        if self.in_a_row > 0 && self.last.elapsed() >= REST {
            self.in_a_row = 0;
        }
        size_for(self.in_a_row)
    }
}

pub(super) fn size_for(in_a_row: u64) -> usize {
    SIZES.iter().rev().find(|(from, _)| in_a_row >= *from).map_or(SMALLEST, |(_, size)| *size)
}
