//! Equal questions in flight are one question.
//!
//! Promises: of all who want the value of a key at the same time, one gets the [`Ticket`] and is to find it; the others wait for it
//! and only stop waiting if they go away. A ticket that is dropped without a value (a task that was cancelled) frees its key and
//! tells the waiters. At most a given number of keys is in flight.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// The keys in flight. Clones share them.
#[derive(Debug)]
pub(crate) struct Flights<K, V> {
    flying: Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>,
    most: usize,
}

/// What came of wanting a value.
#[derive(Debug)]
pub(crate) enum Entered<K: Hash + Eq, V> {
    /// It is known.
    Known(V),
    /// Somebody is finding it.
    Joined(Flight<V>),
    /// Nobody is: the caller shall, and everybody waits with this flight.
    First(Ticket<K, V>, Flight<V>),
    /// Too many keys are in flight.
    Full,
}

/// Waits for a value.
#[derive(Debug)]
pub(crate) struct Flight<V>(watch::Receiver<Option<V>>);

/// The duty to find the value of a key.
#[derive(Debug)]
pub(crate) struct Ticket<K: Hash + Eq, V> {
    key: K,
    /// None once the value was handed out.
    sender: Option<watch::Sender<Option<V>>>,
    flying: Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>,
}

impl<K: Hash + Eq + Clone, V: Clone> Flights<K, V> {
    /// For at most `most` keys at a time.
    pub(crate) fn new(most: usize) -> Self {
        Self { flying: Arc::default(), most }
    }

    /// Wants the value of `key`. `known` is asked once more when nobody is finding it, as it may just have been found.
    pub(crate) fn enter(&self, key: &K, known: impl FnOnce() -> Option<V>) -> Entered<K, V> {
        let mut flying = self.flying.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flying.get(key) {
            return Entered::Joined(Flight(flight.clone()));
        }
        if let Some(value) = known() {
            return Entered::Known(value);
        }
        if flying.len() >= self.most {
            return Entered::Full;
        }
        let (sender, receiver) = watch::channel(None);
        flying.insert(key.clone(), receiver.clone());
        let ticket = Ticket { key: key.clone(), sender: Some(sender), flying: Arc::clone(&self.flying) };
        Entered::First(ticket, Flight(receiver))
    }

    /// How many keys are in flight.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.flying.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl<K: Hash + Eq, V> Ticket<K, V> {
    /// Hands the value to all who wait. Whoever comes later must find it elsewhere: keep it there before.
    pub(crate) fn land(mut self, value: V) {
        // The key first: whoever comes once the first has been told must not be told the same.
        let sender = self.sender.take();
        self.free();
        if let Some(sender) = sender {
            // Nobody waiting any more is no error.
            let _ = sender.send(Some(value));
        }
    }

    fn free(&self) {
        self.flying.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl<K: Hash + Eq, V> Drop for Ticket<K, V> {
    fn drop(&mut self) {
        // Once it has landed the key may be somebody else's.
        if self.sender.is_some() {
            self.free();
        }
    }
}

impl<V: Clone> Flight<V> {
    /// The value; `None` if the ticket was dropped without one.
    pub(crate) async fn landed(mut self) -> Option<V> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|value| value.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    fn first(flights: &Flights<u8, u32>, key: u8) -> (Ticket<u8, u32>, Flight<u32>) {
        match flights.enter(&key, || None) {
            Entered::First(ticket, flight) => (ticket, flight),
            other => panic!("{other:?}"),
        }
    }

    fn joined(flights: &Flights<u8, u32>, key: u8) -> Flight<u32> {
        match flights.enter(&key, || panic!("asked though in flight")) {
            Entered::Joined(flight) => flight,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn all_who_join_get_the_value_and_the_key_is_free_again() {
        let flights = Flights::new(4);
        let (ticket, own) = first(&flights, 1);
        let others = [joined(&flights, 1), joined(&flights, 1)];
        ticket.land(7);
        assert_eq!(own.landed().await, Some(7));
        for other in others {
            assert_eq!(other.landed().await, Some(7));
        }
        assert_eq!(flights.len(), 0);
        assert!(matches!(flights.enter(&1, || Some(8)), Entered::Known(8)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_comes_after_the_landing_is_not_told_what_has_landed() {
        let flights = Arc::new(Flights::new(4));
        for round in 0..2000 {
            let (ticket, own) = first(&flights, 1);
            let landing = tokio::spawn(async move { ticket.land(round) });
            assert_eq!(own.landed().await, Some(round));
            // The waiter has been told, so the flight is over, though its task may not be.
            let next = first(&flights, 1);
            landing.await.unwrap();
            assert_eq!(flights.len(), 1, "the next flight is not the last one's to end");
            drop(next);
        }
    }

    #[tokio::test]
    async fn a_dropped_ticket_tells_the_waiters_and_frees_the_key() {
        let flights = Flights::new(4);
        let (ticket, _) = first(&flights, 1);
        let other = joined(&flights, 1);
        drop(ticket);
        assert_eq!(other.landed().await, None);
        first(&flights, 1);
    }

    #[tokio::test]
    async fn a_waiter_that_leaves_disturbs_nobody() {
        let flights = Flights::new(4);
        let (ticket, own) = first(&flights, 1);
        drop((own, joined(&flights, 1)));
        let last = joined(&flights, 1);
        ticket.land(9);
        assert_eq!(last.landed().await, Some(9));
    }

    #[test]
    fn keys_in_flight_are_bounded() {
        let flights = Flights::new(2);
        let held = (first(&flights, 1), first(&flights, 2));
        assert!(matches!(flights.enter(&3, || None), Entered::Full));
        drop(held);
        first(&flights, 3);
    }
}
