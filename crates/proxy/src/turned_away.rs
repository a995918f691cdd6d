//! Connections that a limit turned away, for the access log: of a flood, one line a second and network, not one a connection.
//!
//! Promises: the first from a network is told at once; of those that follow within [`PERIOD`], how many there were and the last of them. Each is in
//! one line, or in the number of one. The table is bounded; what it has no room for is counted together, as if from one network.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use revouch_validator::reason::Reason;

use crate::admission::network;
use crate::events::{ConnectionEnd, Outcome};

/// How long those of one network are counted before they are told.
pub const PERIOD: Duration = Duration::from_secs(1);
/// The most networks that are told apart.
const MAX_NETWORKS: usize = 1024;

/// What was not told yet.
#[derive(Default)]
pub struct TurnedAway(Mutex<HashMap<Key, Untold>>);

#[derive(PartialEq, Eq, Hash)]
struct Key {
    listener: Arc<str>,
    reason: Reason,
    /// `None`: all for which there is no room.
    network: Option<IpAddr>,
}

struct Untold {
    since: Instant,
    count: u64,
    last: Option<ConnectionEnd>,
}

impl TurnedAway {
    /// Whether this end is to be told now. Otherwise it is counted, and [`due`](Self::due) tells of it.
    #[must_use]
    pub fn is_first(&self, end: &ConnectionEnd, now: Instant) -> bool {
        let Outcome::Refused(reason) = end.outcome else { return true };
        let mut table = self.table();
        let key = |network| Key { listener: Arc::clone(&end.listener), reason, network };
        let mut of = key(Some(network(end.source.ip())));
        if table.len() >= MAX_NETWORKS && !table.contains_key(&of) {
            of = key(None);
        }
        match table.get_mut(&of) {
            Some(untold) => {
                untold.count += 1;
                untold.last = Some(end.clone());
                false
            }
            None => {
                table.insert(of, Untold { since: now, count: 0, last: None });
                true
            }
        }
    }

    /// What is to be told now: the last of those that were counted together, and how many they were.
    #[must_use]
    pub fn due(&self, now: Instant) -> Vec<(ConnectionEnd, u64)> {
        let mut due = Vec::new();
        self.table().retain(|_, untold| {
            if now.saturating_duration_since(untold.since) < PERIOD {
                return true;
            }
            // A network that goes on is told of once a period; one that has stopped is forgotten.
            let Some(last) = untold.last.take() else { return false };
            due.push((last, untold.count));
            (untold.since, untold.count) = (now, 0);
            true
        });
        due
    }

    /// Everything that is left, whether it is due or not: before the log ends.
    #[must_use]
    pub fn rest(&self) -> Vec<(ConnectionEnd, u64)> {
        self.table().drain().filter_map(|(_, untold)| Some((untold.last?, untold.count))).collect()
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Key, Untold>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::net::{IpAddr, SocketAddr};

    use super::*;
    use crate::observe::refused;

    fn end(source: impl Into<IpAddr>, reason: Reason) -> ConnectionEnd {
        refused(SocketAddr::new(source.into(), 4711), reason)
    }

    fn counts(told: Vec<(ConnectionEnd, u64)>) -> Vec<(String, u64)> {
        let mut counts: Vec<_> =
            told.into_iter().map(|(end, count)| (end.source.ip().to_string(), count)).collect();
        counts.sort();
        counts
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_of_its_second_together() {
        let (table, start) = (TurnedAway::default(), Instant::now());
        let first = |host, reason| table.is_first(&end([192, 0, 2, host], reason), start);
        assert!(
            first(1, Reason::LimitSource) && !first(2, Reason::LimitSource) && !first(3, Reason::LimitSource)
        );
        assert!(first(1, Reason::LimitHandshakes), "another reason");
        assert!(table.is_first(&end([192, 0, 3, 1], Reason::LimitSource), start), "another network");
        assert_eq!(counts(table.due(start + PERIOD / 2)), []);
        assert_eq!(counts(table.due(start + PERIOD)), [("192.0.2.3".to_owned(), 2)]);
        // It is still known as one that floods; the others are forgotten.
        assert!(!first(4, Reason::LimitSource) && first(1, Reason::LimitHandshakes));
        assert_eq!(counts(table.due(start + 2 * PERIOD)), [("192.0.2.4".to_owned(), 1)]);
        assert_eq!(counts(table.due(start + 3 * PERIOD)), []);
        assert!(table.table().is_empty());
    }

    #[test]
    fn more_networks_than_there_is_room_for_are_counted_together() {
        let (table, now) = (TurnedAway::default(), Instant::now());
        let told = (0..10_000_u32)
            .filter(|n| table.is_first(&end((0x0a00_0000 + n * 256).to_be_bytes(), Reason::LimitSource), now))
            .count();
        assert_eq!(told, MAX_NETWORKS + 1);
        let rest = table.rest();
        assert_eq!(rest.len(), 1);
        let together: u64 = rest.iter().map(|(_, count)| count).sum();
        assert_eq!(together + u64::try_from(told).unwrap(), 10_000);
        assert!(table.table().is_empty());
    }
}
