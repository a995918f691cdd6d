//! The lingering close: after an alert, FIN, and then the peer's octets are read and thrown away for a moment.
//!
//! A TLS 1.3 peer has finished its handshake, and may be sending, when our alert is still on its way. If unread octets were there when the
//! socket is closed, the system would send a reset, and the peer's system would throw the alert away with it.
//!
//! Promises: at most [`MAX_TIME`] and [`MAX_OCTETS`] for each, and so many at a time as the [`Lingering`] was made for; beyond that
//! the connection is closed at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use crate::events::Observer;

/// The longest time for which a peer's octets are read after the alert.
pub const MAX_TIME: Duration = Duration::from_secs(2);
/// The most octets that are read after the alert.
pub const MAX_OCTETS: usize = 1024 * 1024;
/// How many connections may linger at a time, on all listeners together.
pub const MAX_LINGERING: usize = 1000;

/// The number of connections that linger, and how many may.
pub struct Lingering {
    permits: Semaphore,
    observer: Arc<dyn Observer>,
}

impl Lingering {
    /// Lets at most `most` connections linger at a time.
    #[must_use]
    pub fn new(most: usize, observer: Arc<dyn Observer>) -> Self {
        Self { permits: Semaphore::new(most.min(Semaphore::MAX_PERMITS)), observer }
    }

    /// Closes `io` so that the peer can read what was written to it last.
    pub(crate) async fn close<S: AsyncRead + AsyncWrite + Unpin>(&self, mut io: S) {
        let Ok(_permit) = self.permits.try_acquire() else { return };
        self.observer.lingering(true);
        let _one_less = OneLess(&*self.observer);
        // Whatever fails here, there is nobody left to tell.
        let _ = tokio::time::timeout(MAX_TIME, async {
            io.shutdown().await?;
            drain(&mut io).await
        })
        .await;
    }
}

/// Counts down, also where the future is dropped.
struct OneLess<'a>(&'a dyn Observer);

impl Drop for OneLess<'_> {
    fn drop(&mut self) {
        self.0.lingering(false);
    }
}

async fn drain<S: AsyncRead + Unpin>(io: &mut S) -> std::io::Result<()> {
    let mut scratch = [0; 4096];
    let mut left = MAX_OCTETS;
    loop {
        let read = io.read(&mut scratch).await?;
        left = left.saturating_sub(read);
        if read == 0 || left == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::testing::Recorder;

    #[tokio::test]
    async fn octets_of_the_peer_are_read_until_it_ends() {
        let recorder = Recorder::new();
        let lingering = Lingering::new(1, recorder.clone());
        let (ours, mut theirs) = duplex(64);
        let peer = async {
            theirs.write_all(&[7; 10_000]).await.unwrap();
            let mut rest = Vec::new();
            theirs.read_to_end(&mut rest).await.unwrap();
            drop(theirs);
        };
        tokio::join!(lingering.close(ours), peer);
        assert_eq!(recorder.lingering_seen(), (1, 0));
    }

    #[tokio::test]
    async fn a_peer_that_never_stops_is_cut_off_by_octets() {
        let lingering = Lingering::new(1, Recorder::new());
        let (ours, mut theirs) = duplex(64 * 1024);
        let peer = async {
            let mut sent = 0;
            while let Ok(written) = theirs.write(&[7; 8192]).await {
                sent += written;
            }
            sent
        };
        let ((), sent) = tokio::join!(lingering.close(ours), peer);
        assert!((MAX_OCTETS..MAX_OCTETS + 256 * 1024).contains(&sent), "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_nothing_is_cut_off_by_time() {
        let lingering = Lingering::new(1, Recorder::new());
        let (ours, _theirs) = duplex(64);
        let begun = tokio::time::Instant::now();
        lingering.close(ours).await;
        assert_eq!(begun.elapsed().as_secs(), MAX_TIME.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_limit_a_connection_is_closed_at_once() {
        let recorder = Recorder::new();
        let lingering = Lingering::new(0, recorder.clone());
        let (ours, mut theirs) = duplex(64);
        lingering.close(ours).await;
        assert!(theirs.write(&[1]).await.is_err());
        assert_eq!(recorder.lingering_seen(), (0, 0));
    }
}
