//! The relay: octets both ways between an authorized peer and its upstream.
//!
//! Promises: takes an [`Authorized`], by value: nobody else is relayed. A side that has said all (close_notify, FIN) is told on as such, and the
//! other may go on (half-close). Nothing else is told on as an orderly end, whatever ends the relay: an upstream sees a reset where the
//! peer's stream was cut short, a peer sees no close_notify where the upstream broke off. Nothing is held back for
//! longer than it takes to write it. A direction reads when its sink has taken everything, into memory that all connections of a thread share; what
//! its sink does not take at once is kept, and that is the only memory of its own that it ever has. How much it reads starts small and
//! grows with what is moved, so that a sink that stops costs little, and a busy connection few calls.

mod course;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use self::course::{Course, LARGEST};
use crate::events::{Close, Direction, Observer};
use crate::tls::Authorized;
use crate::upstream::{Untold, Upstream};

/// How long, without an octet, the last words of a peer that is gone may wait for an upstream that takes none.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What has been moved so far; can be read while the relay runs.
#[derive(Debug, Default)]
pub struct Moved {
    inbound: AtomicU64,
    outbound: AtomicU64,
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

/// What became of a relay.
pub(crate) struct Relayed {
    /// How it ended.
    pub(crate) close: Close,
    /// What was wrong with the side that broke off.
    pub(crate) detail: Option<String>,
    /// The peer's connection where it has been told all and may still be sending: closed at once, it could lose what it was told.
    pub(crate) linger: Option<TcpStream>,
}

/// Relays until both directions have ended, a side has broken off, or nothing was moved for `idle`; for [`LAST_WORDS`] where the peer
/// is gone.
pub(crate) async fn relay(
    peer: Authorized,
    mut upstream: Untold,
    idle: Duration,
    moved: &Moved,
    observer: &dyn Observer,
) -> Relayed {
    let (mut from_peer, mut to_peer) = tokio::io::split(peer.into_stream(LARGEST));
    let relay = Relay { idle, moved, observer, started: Instant::now(), last: AtomicU64::new(0) };
    let ends = match &mut *upstream {
        Upstream::Tcp(stream) => {
            let (from, to) = stream.split();
            relay.run((&mut from_peer, &mut to_peer), (from, to)).await
        }
        Upstream::Unix(stream) => {
            let (from, to) = stream.split();
            relay.run((&mut from_peer, &mut to_peer), (from, to)).await
        }
    };
    let close = ends.close();
    if matches!(ends.inbound, Some(End::Finished)) {
        upstream.told_all();
    }
    let told_all = matches!((&ends.inbound, &ends.outbound), (Some(End::Writing), Some(End::Finished)));
    let linger = told_all.then(|| from_peer.unsplit(to_peer).into_tcp());
    Relayed { close, detail: ends.detail(), linger }
}

/// How one direction ended.
#[derive(Debug)]
enum End {
    /// Its source has said all, and its sink was told.
    Finished,
    /// Its source broke off.
    Reading(io::Error),
    /// Its sink takes no more.
    Writing,
}

/// How both ended; `None` where a direction had not.
#[derive(Debug)]
struct Ends {
    inbound: Option<End>,
    outbound: Option<End>,
}

impl Ends {
    /// A side that broke off has ended both directions. A sink that takes no more is no failure if that side has said all itself: the usual
    /// reset behind the end of a connection.
    fn close(&self) -> Close {
        match (&self.inbound, &self.outbound) {
            (Some(End::Reading(error)), _) => peer_failure(error),
            (_, Some(End::Reading(_))) | (Some(End::Writing), Some(End::Writing)) => Close::UpstreamAborted,
            (Some(_), Some(_)) => Close::Finished,
            // The upstream did not take what the peer had said before it went.
            (None, Some(End::Writing)) => Close::PeerAborted,
            (None, _) | (_, None) => Close::Idle,
        }
    }

    fn detail(&self) -> Option<String> {
        [&self.inbound, &self.outbound].into_iter().find_map(|end| match end {
            // The TLS library's text for this is an address on the web.
            Some(End::Reading(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Some("the connection ended without close_notify".to_owned())
            }
            Some(End::Reading(error)) => Some(error.to_string()),
            _ => None,
        })
    }

    /// A sink that takes no more ends its direction alone: what its side has said before it went is still on its way.
    fn are_over(&self) -> bool {
        let broken = |end: &Option<End>| matches!(end, Some(End::Reading(_)));
        let both = self.inbound.is_some() && self.outbound.is_some();
        both || broken(&self.inbound) || broken(&self.outbound)
    }
}

/// A peer that breaks the rules of TLS, or one that has gone.
fn peer_failure(error: &io::Error) -> Close {
    let tls = error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>);
    if tls { Close::PeerProtocol } else { Close::PeerAborted }
}

struct Relay<'a> {
    idle: Duration,
    moved: &'a Moved,
    observer: &'a dyn Observer,
    started: Instant,
    /// Milliseconds after the start at which something was moved last.
    last: AtomicU64,
}

impl Relay<'_> {
    async fn run(
        &self,
        (from_peer, to_peer): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
        (from_upstream, to_upstream): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    ) -> Ends {
        let mut inbound = pin!(self.copy(Direction::In, from_peer, to_upstream));
        let mut outbound = pin!(self.copy(Direction::Out, from_upstream, to_peer));
        let mut idle = pin!(self.idle(self.idle));
        let mut ends = Ends { inbound: None, outbound: None };
        while !ends.are_over() {
            tokio::select! {
                end = &mut inbound, if ends.inbound.is_none() => ends.inbound = Some(end),
                end = &mut outbound, if ends.outbound.is_none() => {
                    if matches!(end, End::Writing) {
                        // Nobody takes the upstream's octets any more. If it waits for that, and we for it to take the peer's, that is no
                        // reason to stay.
                        idle.set(self.idle(LAST_WORDS.min(self.idle)));
                    }
                    ends.outbound = Some(end);
                }
                () = &mut idle => return ends,
            }
        }
        ends
    }

    async fn copy(
        &self,
        direction: Direction,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> End {
        let mut course = Course::default();
        loop {
            match course.step(&mut from, &mut to).await {
                Ok(0) => return finish(to).await,
                Ok(moved) => self.count(direction, moved),
                Err(end) => return end,
            }
        }
    }

    fn count(&self, direction: Direction, octets: u64) {
        let counter = match direction {
            Direction::In => &self.moved.inbound,
            Direction::Out => &self.moved.outbound,
        };
        counter.fetch_add(octets, Ordering::Relaxed);
        let after = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(after, Ordering::Relaxed);
        self.observer.bytes(direction, octets);
    }

    /// Returns once nothing was moved for `limit`.
    async fn idle(&self, limit: Duration) {
        loop {
            let until = self.started + Duration::from_millis(self.last.load(Ordering::Relaxed)) + limit;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// Tells the sink that there is no more.
async fn finish(mut to: impl AsyncWrite + Unpin) -> End {
    match to.shutdown().await {
        Ok(()) => End::Finished,
        Err(_) => End::Writing,
    }
}
