//! The relay: octets in both directions until both have ended.
//!
//! Promises: an end of one direction is passed on and the other goes on (half-close); a direction that fails ends both; nothing is held back
//! for longer than it takes to write it; buffers start small and grow with what was moved, so that idle connections cost little
//! and bulk ones few calls. Takes an [`Authorized`], by value: nobody else is relayed.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::events::{Close, Direction, Observer};
use crate::tls::Authorized;
use crate::upstream::{UpstreamReader, UpstreamWriter};

/// Buffer sizes, and from how many octets moved they are used (`tls.md` section 4).
const SIZES: [(u64, usize); 3] = [(0, 4 * 1024), (128 * 1024, 16 * 1024), (10 * 1024 * 1024, 256 * 1024)];
/// How much the TLS library may hold that was not written yet.
const TLS_BUFFER: usize = 256 * 1024;

/// What has been moved so far. Read by the owner after the relay, and while it runs.
#[derive(Debug, Default)]
pub struct Moved {
    inbound: AtomicU64,
    outbound: AtomicU64,
    /// Milliseconds after the start at which something was moved last.
    last: AtomicU64,
}

impl Moved {
    /// Octets from the peer to the upstream.
    pub fn inbound(&self) -> u64 {
        self.inbound.load(Ordering::Relaxed)
    }

    /// Octets from the upstream to the peer.
    pub fn outbound(&self) -> u64 {
        self.outbound.load(Ordering::Relaxed)
    }
}

/// Which side of a direction failed.
enum Side {
    Reading(io::Error),
    Writing,
}

struct Copier<'a> {
    direction: Direction,
    moved: &'a Moved,
    started: Instant,
    observer: &'a dyn Observer,
}

/// Relays until both directions have ended, one has failed, or nothing was moved for `idle`.
pub async fn relay(
    peer: Authorized,
    upstream: (UpstreamReader, UpstreamWriter),
    idle: Duration,
    moved: &Moved,
    observer: &dyn Observer,
) -> Close {
    let (from_peer, to_peer) = peer.into_halves(TLS_BUFFER);
    let (from_upstream, to_upstream) = upstream;
    let started = Instant::now();
    let copier = |direction| Copier { direction, moved, started, observer };
    let inbound = async {
        copier(Direction::In).run(from_peer, to_upstream).await.map_err(|side| match side {
            Side::Reading(error) => peer_failure(&error),
            Side::Writing => Close::UpstreamAborted,
        })
    };
    let outbound = async {
        copier(Direction::Out).run(from_upstream, to_peer).await.map_err(|side| match side {
            Side::Reading(_) => Close::UpstreamAborted,
            Side::Writing => Close::PeerAborted,
        })
    };
    tokio::select! {
        both = async { tokio::try_join!(inbound, outbound) } => match both {
            Ok(_) => Close::Finished,
            Err(close) => close,
        },
        () = idle_for(idle, moved, started) => Close::Idle,
    }
}

/// A peer that breaks the rules of TLS, or one that has gone.
fn peer_failure(error: &io::Error) -> Close {
    let tls = error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>);
    if tls { Close::PeerProtocol } else { Close::PeerAborted }
}

/// Returns once nothing was moved for `idle`.
async fn idle_for(idle: Duration, moved: &Moved, started: Instant) {
    loop {
        let last = started + Duration::from_millis(moved.last.load(Ordering::Relaxed));
        let until = last + idle;
        if until <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(until).await;
    }
}

impl Copier<'_> {
    async fn run(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> Result<(), Side> {
        let mut total = 0_u64;
        let mut buffer = vec![0; size_for(0)];
        loop {
            let read = from.read(&mut buffer).await.map_err(Side::Reading)?;
            if read == 0 {
                // An upstream or peer that has closed both directions already needs no end.
                drop(to.shutdown().await);
                return Ok(());
            }
            to.write_all(buffer.get(..read).unwrap_or_default()).await.map_err(|_| Side::Writing)?;
            to.flush().await.map_err(|_| Side::Writing)?;
            total += read as u64;
            self.count(read as u64);
            let size = size_for(total);
            if size > buffer.len() {
                buffer.resize(size, 0);
            }
        }
    }

    fn count(&self, octets: u64) {
        let counter = match self.direction {
            Direction::In => &self.moved.inbound,
            Direction::Out => &self.moved.outbound,
        };
        counter.fetch_add(octets, Ordering::Relaxed);
        let after = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.last.fetch_max(after, Ordering::Relaxed);
        self.observer.bytes(self.direction, octets);
    }
}

fn size_for(moved: u64) -> usize {
    SIZES.iter().rev().find(|(from, _)| moved >= *from).map_or(4 * 1024, |(_, size)| *size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_grow_with_what_was_moved() {
        assert_eq!(size_for(0), 4 * 1024);
        assert_eq!(size_for(128 * 1024), 16 * 1024);
        assert_eq!(size_for(u64::MAX), 256 * 1024);
    }
}
