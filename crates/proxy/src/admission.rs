//! Limits before work: how many connections there may be, and how many handshakes in flight, on a listener and from one source.
//!
//! Promises: taking and giving back is one short lock; what is counted is bounded by the limits themselves; a permit that is dropped is
//! given back, whatever became of its connection.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use revouch_validator::reason::Reason;

use crate::runtime::HandshakeLimits;

/// `maxConnections`, for all listeners together. Can be changed while it is in use.
pub struct ConnectionLimit {
    most: AtomicUsize,
    open: AtomicUsize,
}

/// One connection's place.
pub struct ConnectionPermit(Arc<ConnectionLimit>);

/// The handshakes in flight on one listener.
#[derive(Default)]
pub struct Handshakes(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    all: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// One handshake's place.
pub struct HandshakePermit {
    handshakes: Arc<Handshakes>,
    source: IpAddr,
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
    /// [`Reason::LimitConnections`].
    pub fn admit(self: &Arc<Self>) -> Result<ConnectionPermit, Reason> {
        let most = self.most.load(Ordering::Relaxed);
        let more = |open: usize| (open < most).then_some(open + 1);
        let taken = self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.map(|_| ConnectionPermit(Arc::clone(self))).map_err(|_| Reason::LimitConnections)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Handshakes {
    /// Takes a place for a handshake from `source`; an IPv6 address counts as its /64, since one host has all of that.
    ///
    /// # Errors
    /// [`Reason::LimitHandshakes`] or [`Reason::LimitSource`].
    pub fn admit(
        self: &Arc<Self>,
        source: IpAddr,
        limits: HandshakeLimits,
    ) -> Result<HandshakePermit, Reason> {
        let source = network(source);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all >= limits.in_flight {
            return Err(Reason::LimitHandshakes);
        }
        if counts.by_source.get(&source).is_some_and(|count| *count >= limits.per_source)
            || limits.per_source == 0
        {
            return Err(Reason::LimitSource);
        }
        counts.all += 1;
        *counts.by_source.entry(source).or_default() += 1;
        drop(counts);
        Ok(HandshakePermit { handshakes: Arc::clone(self), source })
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        let mut counts = self.handshakes.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        if let Some(count) = counts.by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                counts.by_source.remove(&self.source);
            }
        }
    }
}

fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn places_are_taken_and_given_back() {
        let limit = Arc::new(ConnectionLimit::new(1));
        let first = limit.admit().unwrap();
        assert_eq!(limit.admit().err(), Some(Reason::LimitConnections));
        drop(first);
        limit.admit().unwrap();
    }

    #[test]
    fn handshakes_count_by_listener_and_by_source() {
        let handshakes = Arc::new(Handshakes::default());
        let admit = |source: &str| {
            handshakes.admit(source.parse().unwrap(), HandshakeLimits { in_flight: 3, per_source: 2 })
        };
        let held = [admit("2001:db8::1").unwrap(), admit("2001:db8::2").unwrap()];
        assert_eq!(admit("2001:db8::3").err(), Some(Reason::LimitSource));
        let other = admit("2001:db8:0:1::1").unwrap();
        assert_eq!(admit("192.0.2.1").err(), Some(Reason::LimitHandshakes));
        drop((held, other));
        assert!(handshakes.0.lock().unwrap().by_source.is_empty());
        admit("192.0.2.1").unwrap();
        assert!(admit("::ffff:192.0.2.1").is_ok());
    }
}
