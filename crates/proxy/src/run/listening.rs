//! The set of listening sockets, and how it follows the configuration.
//!
//! Promises: a new set is bound as a whole before anything changes, so that one port in use leaves everything as it was; an address that
//! stays keeps its socket, and with it the connections that wait in its backlog; a socket that is no longer wanted is closed at once.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::sockets::{BindError, leaves_v4_alone, listen};

/// An address on which a listener of the configuration is wanted. `L` is what a connection needs to know of the listener.
pub(super) struct Wanted<L> {
    pub(super) name: String,
    pub(super) bind: SocketAddr,
    pub(super) listener: Arc<L>,
}

/// The sockets that are bound.
pub(super) struct Sockets<L> {
    bound: BTreeMap<Key, Bound<L>>,
}

/// A new set of sockets, bound and not in force yet.
pub(super) struct Change<L> {
    wanted: Vec<(Key, Wanted<L>)>,
    fresh: BTreeMap<Key, (TcpListener, SocketAddr)>,
}

/// A socket on which connections must now be accepted.
pub(super) struct Fresh<L> {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) socket: TcpListener,
    /// What the listener is now; connections take the value that stands when they are accepted.
    pub(super) current: watch::Receiver<Arc<L>>,
    /// Cancelled when the socket must be closed.
    pub(super) stop: CancellationToken,
}

/// What makes a socket the same after a reload: its address and whether it leaves IPv4 alone; for port 0, of which there can be many, its
/// place in its listener too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    bind: SocketAddr,
    v6_only: bool,
    any_port: Option<(String, usize)>,
}

struct Bound<L> {
    name: String,
    address: SocketAddr,
    current: watch::Sender<Arc<L>>,
    stop: CancellationToken,
}

impl<L> Sockets<L> {
    pub(super) fn new() -> Self {
        Self { bound: BTreeMap::new() }
    }

    /// Binds what is wanted and not bound yet. Nothing that is in force changes.
    ///
    /// # Errors
    /// An address cannot be bound; those that were bound for this change are closed again.
    pub(super) fn prepare(&self, wanted: Vec<Wanted<L>>) -> Result<Change<L>, BindError> {
        let alongside: Vec<SocketAddr> = wanted.iter().map(|w| w.bind).collect();
        let mut counts = BTreeMap::new();
        let keyed: Vec<(Key, Wanted<L>)> =
            wanted.into_iter().map(|wanted| (key(&mut counts, &wanted, &alongside), wanted)).collect();
        let other_kind = |(key, _): &&(Key, Wanted<L>)| {
            self.bound.keys().any(|bound| bound.bind == key.bind && bound.v6_only != key.v6_only)
        };
        if let Some((key, wanted)) = keyed.iter().find(other_kind) {
            let what = "whether it takes IPv4 too is decided when the process starts: restart it";
            let purpose = format!("listener {}", wanted.name);
            return Err(BindError { address: key.bind, purpose, error: io::Error::other(what) });
        }
        let mut fresh = BTreeMap::new();
        for (key, wanted) in &keyed {
            if self.bound.contains_key(key) || fresh.contains_key(key) {
                continue;
            }
            let purpose = format!("listener {}", wanted.name);
            let socket = listen(wanted.bind, &purpose, key.v6_only)?;
            let address = socket.local_addr();
            let address = address.map_err(|error| BindError { address: wanted.bind, purpose, error })?;
            fresh.insert(key.clone(), (socket, address));
        }
        Ok(Change { wanted: keyed, fresh })
    }

    /// Puts a change in force and returns the sockets on which to accept from now on.
    pub(super) fn apply(&mut self, change: Change<L>) -> Vec<Fresh<L>> {
        let Change { wanted, mut fresh } = change;
        let mut gone = std::mem::take(&mut self.bound);
        let mut started = Vec::new();
        for (key, wanted) in wanted {
            if let Some(mut bound) = gone.remove(&key) {
                // Fails only where the accepting task has ended, which it does on `stop` alone.
                let _ = bound.current.send(wanted.listener);
                bound.name = wanted.name;
                self.bound.insert(key, bound);
            } else if let Some((socket, address)) = fresh.remove(&key) {
                let (sender, current) = watch::channel(wanted.listener);
                let stop = CancellationToken::new();
                let name = wanted.name.clone();
                started.push(Fresh { name, address, socket, current, stop: stop.clone() });
                self.bound.insert(key, Bound { name: wanted.name, address, current: sender, stop });
            }
        }
        for bound in gone.into_values() {
            bound.stop.cancel();
        }
        started
    }

    /// Closes every socket.
    pub(super) fn close(&mut self) {
        for bound in std::mem::take(&mut self.bound).into_values() {
            bound.stop.cancel();
        }
    }

    /// The listeners' names and the addresses on which they are bound.
    pub(super) fn addresses(&self) -> Vec<(String, SocketAddr)> {
        self.bound.values().map(|bound| (bound.name.clone(), bound.address)).collect()
    }
}

/// `counts`: how many sockets with port 0 each listener has so far.
fn key<L>(counts: &mut BTreeMap<String, usize>, wanted: &Wanted<L>, alongside: &[SocketAddr]) -> Key {
    let any_port = (wanted.bind.port() == 0).then(|| {
        let count = counts.entry(wanted.name.clone()).or_default();
        *count += 1;
        (wanted.name.clone(), *count)
    });
    Key { bind: wanted.bind, v6_only: leaves_v4_alone(wanted.bind, alongside), any_port }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    fn wanted(name: &str, bind: SocketAddr, listener: u32) -> Wanted<u32> {
        Wanted { name: name.to_owned(), bind, listener: Arc::new(listener) }
    }

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn an_address_that_stays_keeps_its_socket_and_gets_the_new_listener() {
        let mut sockets = Sockets::new();
        let first = sockets.prepare(vec![wanted("a", any(), 1), wanted("b", any(), 1)]).unwrap();
        let fresh = sockets.apply(first);
        let [a, b] = &*fresh else { panic!("{} sockets", fresh.len()) };
        assert_ne!(a.address, b.address);
        let second = sockets.prepare(vec![wanted("b", any(), 2), wanted("c", any(), 2)]).unwrap();
        let started = sockets.apply(second);
        assert_eq!(started.iter().map(|f| &*f.name).collect::<Vec<_>>(), ["c"]);
        assert!(a.stop.is_cancelled() && !b.stop.is_cancelled());
        assert_eq!((**a.current.borrow(), **b.current.borrow()), (1, 2));
        assert!(sockets.addresses().contains(&("b".to_owned(), b.address)));
    }

    #[test]
    fn a_fixed_address_may_go_to_another_listener() {
        let free = listen(any(), "x", false).unwrap().local_addr().unwrap();
        let mut sockets = Sockets::new();
        let change = sockets.prepare(vec![wanted("a", free, 1)]).unwrap();
        let fresh = sockets.apply(change);
        let change = sockets.prepare(vec![wanted("b", free, 2)]).unwrap();
        assert!(sockets.apply(change).is_empty());
        assert_eq!(sockets.addresses(), [("b".to_owned(), free)]);
        assert!(fresh.iter().all(|f| !f.stop.is_cancelled() && **f.current.borrow() == 2));
    }

    #[test]
    fn one_port_in_use_leaves_everything_as_it_was() {
        let holder = listen(any(), "x", false).unwrap();
        let taken = holder.local_addr().unwrap();
        let mut sockets = Sockets::new();
        let change = sockets.prepare(vec![wanted("a", any(), 1)]).unwrap();
        let fresh = sockets.apply(change);
        let before = sockets.addresses();
        assert!(sockets.prepare(vec![wanted("b", any(), 2), wanted("c", taken, 2)]).is_err());
        assert_eq!(sockets.addresses(), before);
        assert!(fresh.iter().all(|f| !f.stop.is_cancelled() && **f.current.borrow() == 1));
    }

    #[test]
    fn a_wildcard_socket_never_loses_ipv4_unnoticed() {
        let free = listen("[::]:0".parse().unwrap(), "x", false).unwrap().local_addr().unwrap();
        let v4 = SocketAddr::new("0.0.0.0".parse().unwrap(), free.port());
        let mut sockets = Sockets::new();
        let change = sockets.prepare(vec![wanted("a", v4, 1), wanted("b", free, 1)]).unwrap();
        let fresh = sockets.apply(change);
        let refused = |sockets: &Sockets<u32>, wanted| match sockets.prepare(wanted) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("not refused"),
        };
        // The socket on [::] that is there leaves IPv4 alone.
        assert!(refused(&sockets, vec![wanted("b", free, 2)]).contains("restart"));
        assert!(fresh.iter().all(|f| !f.stop.is_cancelled() && **f.current.borrow() == 1));
        sockets.close();
        drop(fresh);
        let change = sockets.prepare(vec![wanted("b", free, 3)]).unwrap();
        let _fresh = sockets.apply(change);
        assert!(refused(&sockets, vec![wanted("a", v4, 4), wanted("b", free, 4)]).contains("restart"));
    }

    #[test]
    fn close_stops_every_socket() {
        let mut sockets = Sockets::new();
        let change = sockets.prepare(vec![wanted("a", any(), 1), wanted("a", any(), 1)]).unwrap();
        let fresh = sockets.apply(change);
        sockets.close();
        assert_eq!(fresh.len(), 2);
        assert!(fresh.iter().all(|f| f.stop.is_cancelled()));
        assert!(sockets.addresses().is_empty());
    }
}
