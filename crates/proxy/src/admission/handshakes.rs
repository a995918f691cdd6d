//! Places for the handshakes in flight on one listener.
//!
//! Promises: what is in flight is bounded by the limits of the listener, of each source and of each network. Who has not sent a whole
//! ClientHello keeps nobody out: where there is no place left, the oldest of those gives way, so that silence holds a place only while no
//! one else wants it. Who has sent one keeps its place until the handshake is over.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{Limit, network, source_key};
use crate::runtime::HandshakeLimits;

/// The handshakes in flight on one listener.
#[derive(Default)]
pub struct Handshakes(Mutex<Places>);

#[derive(Default)]
struct Places {
    taken: usize,
    by_source: HashMap<IpAddr, usize>,
    by_network: HashMap<IpAddr, Network>,
    /// Those whose ClientHello is not there, by their numbers: the oldest first.
    silent: BTreeMap<u64, Silent>,
    next: u64,
}

#[derive(Default)]
struct Network {
    taken: usize,
    silent: BTreeSet<u64>,
}

struct Silent {
    origin: Origin,
    gives_way: oneshot::Sender<Limit>,
}

/// Where a connection comes from, as it is counted.
#[derive(Clone, Copy)]
struct Origin {
    source: IpAddr,
    network: IpAddr,
}

/// One handshake's place.
pub struct HandshakePermit {
    handshakes: Arc<Handshakes>,
    origin: Origin,
    state: State,
    given_away: oneshot::Receiver<Limit>,
}

#[derive(Clone, Copy)]
enum State {
    /// May give way; the number in `Places::silent`.
    Silent(u64),
    Kept,
    GivenAway,
}

impl Handshakes {
    /// Takes a place for a handshake from `source`.
    ///
    /// # Errors
    /// The limit that leaves none, with nobody who could give way.
    pub fn admit(
        self: &Arc<Self>,
        source: IpAddr,
        limits: HandshakeLimits,
    ) -> Result<HandshakePermit, Limit> {
        let origin = Origin { source: source_key(source), network: network(source) };
        let mut places = self.places();
        if places.by_source.get(&origin.source).copied().unwrap_or(0) >= limits.per_source {
            return Err(Limit::HandshakesPerSource);
        }
        if places.of_network(origin.network) >= limits.per_network() {
            let oldest = places.by_network.get(&origin.network).and_then(|n| n.silent.first().copied());
            places.give_away(oldest, Limit::HandshakesPerNetwork)?;
        }
        if places.taken >= limits.in_flight {
            let oldest = places.silent.first_key_value().map(|(number, _)| *number);
            places.give_away(oldest, Limit::HandshakesInFlight)?;
        }
        let (gives_way, given_away) = oneshot::channel();
        let number = places.take(Silent { origin, gives_way });
        drop(places);
        Ok(HandshakePermit { handshakes: Arc::clone(self), origin, state: State::Silent(number), given_away })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn of_network(&self, network: IpAddr) -> usize {
        self.by_network.get(&network).map_or(0, |network| network.taken)
    }

    fn take(&mut self, silent: Silent) -> u64 {
        let number = self.next;
        self.next += 1;
        self.taken += 1;
        *self.by_source.entry(silent.origin.source).or_default() += 1;
        let network = self.by_network.entry(silent.origin.network).or_default();
        network.taken += 1;
        network.silent.insert(number);
        self.silent.insert(number, silent);
        number
    }

    /// Takes the place of a silent connection from it, if there is one.
    fn give_away(&mut self, number: Option<u64>, limit: Limit) -> Result<(), Limit> {
        let silent = number.and_then(|number| self.no_longer_silent(number)).ok_or(limit)?;
        self.give_back(silent.origin);
        // It may be about to end by itself.
        let _ = silent.gives_way.send(limit);
        Ok(())
    }

    fn no_longer_silent(&mut self, number: u64) -> Option<Silent> {
        let silent = self.silent.remove(&number)?;
        if let Some(network) = self.by_network.get_mut(&silent.origin.network) {
            network.silent.remove(&number);
        }
        Some(silent)
    }

    fn give_back(&mut self, origin: Origin) {
        self.taken = self.taken.saturating_sub(1);
        super::one_less(&mut self.by_source, origin.source);
        if let Some(network) = self.by_network.get_mut(&origin.network) {
            network.taken = network.taken.saturating_sub(1);
            if network.taken == 0 {
                self.by_network.remove(&origin.network);
            }
        }
    }
}

impl HandshakePermit {
    /// Ends when the place was given to another; for as long as [`keep`](Self::keep) was not called.
    pub async fn given_away(&mut self) -> Limit {
        match (&mut self.given_away).await {
            Ok(limit) => limit,
            Err(_) => std::future::pending().await,
        }
    }

    /// The whole ClientHello is there: the place is kept until this is dropped.
    ///
    /// # Errors
    /// It was given to another before.
    pub fn keep(&mut self) -> Result<(), Limit> {
        if let State::Silent(number) = self.state {
            if self.handshakes.places().no_longer_silent(number).is_none() {
                self.state = State::GivenAway;
                return Err(self.given_away.try_recv().unwrap_or(Limit::HandshakesInFlight));
            }
            self.state = State::Kept;
        }
        Ok(())
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        let mut places = self.handshakes.places();
        let has_place = match self.state {
            State::Silent(number) => places.no_longer_silent(number).is_some(),
            State::Kept => true,
            State::GivenAway => false,
        };
        if has_place {
            places.give_back(self.origin);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn admit(
        handshakes: &Arc<Handshakes>,
        source: &str,
        in_flight: usize,
        per_source: usize,
    ) -> Result<HandshakePermit, Limit> {
        handshakes.admit(source.parse().unwrap(), HandshakeLimits { in_flight, per_source })
    }

    /// With a whole ClientHello.
    fn speaking(handshakes: &Arc<Handshakes>, source: &str, all: usize, each: usize) -> HandshakePermit {
        let mut permit = admit(handshakes, source, all, each).unwrap();
        permit.keep().unwrap();
        permit
    }

    #[test]
    fn handshakes_count_by_listener_and_by_source() {
        let handshakes = Arc::new(Handshakes::default());
        let held = [speaking(&handshakes, "2001:db8::1", 3, 2), speaking(&handshakes, "2001:db8::2", 3, 2)];
        assert_eq!(admit(&handshakes, "2001:db8::3", 3, 2).err(), Some(Limit::HandshakesPerSource));
        let other = speaking(&handshakes, "2001:db8:1::1", 3, 2);
        assert_eq!(admit(&handshakes, "192.0.2.1", 3, 2).err(), Some(Limit::HandshakesInFlight));
        drop((held, other));
        assert!(handshakes.places().by_source.is_empty() && handshakes.places().by_network.is_empty());
        let _held = admit(&handshakes, "192.0.2.1", 3, 1).unwrap();
        assert_eq!(admit(&handshakes, "::ffff:192.0.2.1", 3, 1).err(), Some(Limit::HandshakesPerSource));
        assert_eq!(admit(&handshakes, "192.0.2.2", 3, 0).err(), Some(Limit::HandshakesPerSource));
    }

    #[tokio::test]
    async fn the_oldest_that_has_sent_nothing_gives_way() {
        let handshakes = Arc::new(Handshakes::default());
        let _spoken = speaking(&handshakes, "192.0.2.1", 3, 9);
        let mut oldest = admit(&handshakes, "198.51.100.1", 3, 9).unwrap();
        let mut second = admit(&handshakes, "203.0.113.1", 3, 9).unwrap();
        let _third = admit(&handshakes, "192.0.2.2", 3, 9).unwrap();
        assert_eq!(oldest.given_away().await, Limit::HandshakesInFlight);
        drop(oldest);
        let _fourth = admit(&handshakes, "192.0.2.3", 3, 9).unwrap();
        // Its ClientHello came as its place went.
        assert_eq!(second.keep(), Err(Limit::HandshakesInFlight));
        drop(second);
        assert_eq!(handshakes.places().taken, 3);
    }

    #[test]
    fn one_network_takes_a_quarter_and_only_its_own_give_way_to_it() {
        for network in ["192.0.2.", "2001:db8:0:"] {
            let handshakes = Arc::new(Handshakes::default());
            let from = |n: usize| {
                if network.contains(':') { format!("{network}{n}::1") } else { format!("{network}{n}") }
            };
            let other = admit(&handshakes, "198.51.100.1", 100, 1).unwrap();
            let first = admit(&handshakes, &from(1), 100, 1).unwrap();
            let spoken: Vec<_> = (2..=25).map(|n| speaking(&handshakes, &from(n), 100, 1)).collect();
            let mut newcomer = admit(&handshakes, &from(26), 100, 1).unwrap();
            drop(first);
            assert_eq!(handshakes.places().taken, 26, "{network}");
            newcomer.keep().unwrap();
            assert_eq!(admit(&handshakes, &from(27), 100, 1).err(), Some(Limit::HandshakesPerNetwork));
            drop((other, spoken, newcomer));
            assert!(handshakes.places().by_network.is_empty());
        }
    }

    #[test]
    fn the_share_of_a_network_is_never_less_than_that_of_a_source() {
        let handshakes = Arc::new(Handshakes::default());
        let held: Vec<_> = (0..8).map(|_| speaking(&handshakes, "192.0.2.1", 8, 8)).collect();
        assert_eq!(held.len(), 8);
    }

    proptest! {
        /// Whatever comes, goes and speaks: the counts are those of the permits that have a place.
        #[test]
        fn the_counts_are_right(steps in prop::collection::vec((0..3_u8, 0..6_u8, any::<prop::sample::Index>()), 1..200)) {
            let handshakes = Arc::new(Handshakes::default());
            let limits = HandshakeLimits { in_flight: 6, per_source: 3 };
            let mut held: Vec<HandshakePermit> = Vec::new();
            for (what, source, which) in steps {
                match what {
                    0 => {
                        let source = IpAddr::from([192, 0, source % 3, source]);
                        held.extend(handshakes.admit(source, limits).ok());
                    }
                    1 if !held.is_empty() => drop(held.swap_remove(which.index(held.len()))),
                    2 if !held.is_empty() => {
                        let at = which.index(held.len());
                        if held[at].keep().is_err() {
                            drop(held.swap_remove(at));
                        }
                    }
                    _ => {}
                }
                let places = handshakes.places();
                let has_place = |permit: &&HandshakePermit| match permit.state {
                    State::Silent(number) => places.silent.contains_key(&number),
                    State::Kept => true,
                    State::GivenAway => false,
                };
                prop_assert_eq!(places.taken, held.iter().filter(has_place).count());
                prop_assert!(places.taken <= 6);
                prop_assert_eq!(places.taken, places.by_source.values().sum::<usize>());
                prop_assert_eq!(places.taken, places.by_network.values().map(|n| n.taken).sum::<usize>());
                prop_assert_eq!(places.silent.len(), places.by_network.values().map(|n| n.silent.len()).sum::<usize>());
                prop_assert!(places.by_source.values().all(|count| (1..=3).contains(count)));
            }
            held.clear();
            let places = handshakes.places();
            prop_assert!(places.taken == 0 && places.silent.is_empty() && places.by_source.is_empty() && places.by_network.is_empty());
        }
    }
}
