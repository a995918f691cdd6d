//! How many questions a network may have in flight at the same time.
//!
//! Promises: of the questions that are asked upstream at one time, no network's peers have more than a share, however many of them
//! come and go: a question that was sent goes on when its peer is gone, and counts until it has ended. What is over the share waits,
//! and only for the network's own questions. A network with no question in flight takes no room.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The share of one network, a sixteenth of what may be asked by default.
const SHARE: usize = 128;

/// The lanes of all networks. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes(Arc<Mutex<HashMap<IpAddr, Arc<Semaphore>>>>);

/// The right to have one question in flight, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    // Given back before the lane is looked at.
    _permit: Option<OwnedSemaphorePermit>,
    _lane: Option<Lane>,
}

/// The way to a network's places, which is forgotten with the last who is on it.
#[derive(Debug)]
struct Lane {
    lanes: Lanes,
    network: IpAddr,
    places: Option<Arc<Semaphore>>,
}

impl Lanes {
    /// A place for a question of this source, as soon as there is one.
    pub(crate) async fn place(&self, source: IpAddr) -> Place {
        let (lane, places) = self.lane(network(source));
        // Nobody closes the semaphore.
        Place { _permit: places.acquire_owned().await.ok(), _lane: Some(lane) }
    }

    /// A place, if there is one at once.
    pub(crate) fn place_now(&self, source: IpAddr) -> Option<Place> {
        let (lane, places) = self.lane(network(source));
        Some(Place { _permit: Some(places.try_acquire_owned().ok()?), _lane: Some(lane) })
    }

    fn lane(&self, network: IpAddr) -> (Lane, Arc<Semaphore>) {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = lanes.entry(network).or_insert_with(|| Arc::new(Semaphore::new(SHARE)));
        let lane = Lane { lanes: self.clone(), network, places: Some(Arc::clone(places)) };
        (lane, Arc::clone(places))
    }
}

impl Place {
    /// For questions that no peer caused.
    pub(crate) fn free() -> Self {
        Self { _permit: None, _lane: None }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut lanes = self.lanes.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.places.take();
        // Others come by it only under this lock.
        if lanes.get(&self.network).is_some_and(|places| Arc::strong_count(places) == 1) {
            lanes.remove(&self.network);
        }
    }
}

/// The /24 or /48 of an address: what one who attacks is likely to have.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from(u32::from(v4) & (u32::MAX << 8))),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & (u128::MAX << 80))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use futures_util::FutureExt;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// As many places as there are now, at most `most`.
    fn places(lanes: &Lanes, source: &str, most: usize) -> Vec<Place> {
        (0..most).map_while(|_| lanes.place_now(ip(source))).collect()
    }

    #[tokio::test]
    async fn a_network_has_its_share_and_others_have_theirs() {
        let lanes = Lanes::default();
        let held = [places(&lanes, "192.0.2.1", 100), places(&lanes, "::ffff:192.0.2.9", 100)];
        assert_eq!(held.iter().map(Vec::len).sum::<usize>(), 128);
        assert_eq!(places(&lanes, "192.0.3.1", 500).len(), 128);
        let held = [places(&lanes, "2001:db8:0:1::1", 100), places(&lanes, "2001:db8:0:ffff::1", 100)];
        assert_eq!(held.iter().map(Vec::len).sum::<usize>(), 128);
        assert_eq!(places(&lanes, "2001:db8:1::1", 500).len(), 128);
    }

    #[tokio::test]
    async fn a_place_that_is_given_back_goes_to_who_waits_and_the_last_one_leaves_nothing() {
        let lanes = Lanes::default();
        let mut held = places(&lanes, "192.0.2.1", 128);
        let mut waiting = Box::pin(lanes.place(ip("192.0.2.2")));
        let mut gives_up = Box::pin(lanes.place(ip("192.0.2.3")));
        assert!(waiting.as_mut().now_or_never().is_none() && gives_up.as_mut().now_or_never().is_none());
        held.pop();
        let place = waiting.as_mut().now_or_never();
        assert!(place.is_some());
        drop((held, place, waiting));
        drop(gives_up);
        assert!(lanes.0.lock().unwrap().is_empty());
    }
}
