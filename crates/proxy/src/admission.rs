//! Limits before work: how many connections there may be, and how many handshakes in flight, on a listener and from one source.
//!
//! Promises: taking and giving back is one short lock; what is counted is bounded by the limits themselves; a permit that is dropped is
//! given back, whatever became of its connection. An IPv6 address counts as its /64, since one host has all of that.

mod handshakes;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use revouch_validator::reason::Reason;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::runtime::ListenerRuntime;

pub use self::handshakes::{HandshakePermit, Handshakes};

/// How many refused connections may linger at a time from one source; more are closed at once.
const MAX_LINGERING_PER_SOURCE: usize = 16;

/// A limit that leaves no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `maxConnections`.
    Connections,
    /// `limits.connectionsPerSource`.
    ConnectionsPerSource,
    /// `limits.handshakesInFlight`.
    HandshakesInFlight,
    /// `limits.handshakesPerSource`.
    HandshakesPerSource,
    /// A network's share of `limits.handshakesInFlight`.
    HandshakesPerNetwork,
}

/// `maxConnections`, for all listeners together. Can be changed while it is in use.
pub struct ConnectionLimit {
    most: AtomicUsize,
    open: AtomicUsize,
}

/// One connection's place.
pub struct ConnectionPermit(Arc<ConnectionLimit>);

/// How many of something each source has.
#[derive(Default)]
pub struct Sources(Mutex<HashMap<IpAddr, usize>>);

/// One of them.
pub struct SourcePermit {
    sources: Arc<Sources>,
    source: IpAddr,
}

/// Places for refused connections that linger, of all listeners together.
pub struct Lingering {
    all: Semaphore,
    sources: Arc<Sources>,
}

/// What is counted for each listener, by its name: over all of its sockets, and over reloads.
#[derive(Default)]
pub struct Listeners(Mutex<HashMap<Arc<str>, Counts>>);

/// What is counted for one listener.
#[derive(Clone, Default)]
struct Counts {
    connections: Arc<Sources>,
    handshakes: Arc<Handshakes>,
}

/// What a connection holds of what is counted for its listener.
pub struct ListenerPermits {
    /// Its place among its source's connections.
    pub connection: SourcePermit,
    /// Its place among the handshakes in flight.
    pub handshake: HandshakePermit,
}

impl Limit {
    /// What the connection is refused for.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Connections => Reason::LimitConnections,
            Self::HandshakesInFlight => Reason::LimitHandshakes,
            Self::ConnectionsPerSource | Self::HandshakesPerSource | Self::HandshakesPerNetwork => {
                Reason::LimitSource
            }
        }
    }

    /// Which limit that is, in words.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Connections => "maxConnections",
            Self::ConnectionsPerSource => "limits.connectionsPerSource",
            Self::HandshakesInFlight => "limits.handshakesInFlight",
            Self::HandshakesPerSource => "limits.handshakesPerSource",
            Self::HandshakesPerNetwork => "the share of one network in limits.handshakesInFlight",
        }
    }
}

impl ConnectionLimit {
    /// At most this many connections.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most: AtomicUsize::new(most), open: AtomicUsize::new(0) }
    }

    /// From now on at most this many; those that are open stay.
    pub fn set(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Limit::Connections`].
    pub fn admit(self: &Arc<Self>) -> Result<ConnectionPermit, Limit> {
        let most = self.most.load(Ordering::Relaxed);
        let more = |open: usize| (open < most).then_some(open + 1);
        let taken = self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.map(|_| ConnectionPermit(Arc::clone(self))).map_err(|_| Limit::Connections)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Sources {
    /// Takes a place for `source`, which has `most` at most; `None` where it has them all.
    #[must_use]
    pub fn admit(self: &Arc<Self>, source: IpAddr, most: usize) -> Option<SourcePermit> {
        let source = source_key(source);
        let mut counts = self.counts();
        let count = counts.get(&source).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        counts.insert(source, count + 1);
        drop(counts);
        Some(SourcePermit { sources: Arc::clone(self), source })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SourcePermit {
    fn drop(&mut self) {
        one_less(&mut self.sources.counts(), self.source);
    }
}

impl Lingering {
    /// At most this many, and 16 from one source.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { all: Semaphore::new(most), sources: Arc::default() }
    }

    /// Takes a place, if there is one for this source.
    #[must_use]
    pub fn admit(&self, source: IpAddr) -> Option<(SemaphorePermit<'_>, SourcePermit)> {
        Some((self.all.try_acquire().ok()?, self.sources.admit(source, MAX_LINGERING_PER_SOURCE)?))
    }
}

impl Listeners {
    /// Takes a connection's places on a listener.
    ///
    /// # Errors
    /// The limit that leaves none.
    pub fn admit(&self, listener: &ListenerRuntime, source: IpAddr) -> Result<ListenerPermits, Limit> {
        let counts = self.counts(&listener.name);
        let connection = counts.connections.admit(source, listener.connections_per_source);
        Ok(ListenerPermits {
            connection: connection.ok_or(Limit::ConnectionsPerSource)?,
            handshake: counts.handshakes.admit(source, listener.limits)?,
        })
    }

    fn counts(&self, listener: &Arc<str>) -> Counts {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = listeners.get(listener) {
            return known.clone();
        }
        // A listener that is gone is forgotten when the last of its connections is over.
        listeners.retain(|_, counts| Arc::strong_count(&counts.connections) > 1);
        listeners.entry(Arc::clone(listener)).or_default().clone()
    }
}

/// One less in a table of counts; what is not counted is not in it.
fn one_less(counts: &mut HashMap<IpAddr, usize>, source: IpAddr) {
    if let Some(count) = counts.get_mut(&source) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&source);
        }
    }
}

/// The address as a source: an IPv4 address, or the /64 of an IPv6 address.
fn source_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(prefix(v6, 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The network of an address, as far as one customer of a provider may have all of it: /24 or /48.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(prefix(v6, 48)),
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
        }
    }
}

fn prefix(address: Ipv6Addr, length: u32) -> Ipv6Addr {
    (u128::from(address) & (u128::MAX << (128 - length))).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn places_are_taken_and_given_back() {
        let limit = Arc::new(ConnectionLimit::new(1));
        let first = limit.admit().unwrap();
        assert_eq!(limit.admit().err(), Some(Limit::Connections));
        drop(first);
        limit.admit().unwrap();
    }

    #[test]
    fn lingering_is_bounded_by_source_and_in_all() {
        let lingering = Lingering::new(1024);
        let held: Vec<_> = (0..=255)
            .flat_map(|host| std::iter::repeat_n(IpAddr::from([192, 0, 2, host]), 20))
            .filter_map(|source| lingering.admit(source))
            .collect();
        assert_eq!(held.len(), 1024);
        assert_eq!(lingering.sources.counts().len(), 1024 / MAX_LINGERING_PER_SOURCE);
        drop(held);
        assert!(lingering.sources.counts().is_empty());
        assert!(lingering.admit([192, 0, 2, 1].into()).is_some());
    }

    #[test]
    fn a_listener_is_known_by_its_name_for_as_long_as_it_has_connections() {
        let listeners = Listeners::default();
        let admit = |name: &str| listeners.counts(&name.into()).connections.admit([192, 0, 2, 1].into(), 1);
        let held = admit("a").unwrap();
        assert!(admit("a").is_none());
        admit("b").unwrap();
        admit("c").unwrap();
        assert!(admit("a").is_none(), "kept, with what it counts");
        assert_eq!(listeners.0.lock().unwrap().len(), 2, "b is forgotten");
        drop(held);
        admit("a").unwrap();
    }
}
