//! Accepting connections on one socket.
//!
//! Promises: the loop ends when it is told to, and at nothing else; running out of file descriptors slows it down, is counted each time and told once
//! a second; the socket is closed the moment it ends. Connections are admitted in the order of their arrival, and each that was is a
//! task of its own.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{ConnectionLimit, Lingering, Listeners};
use crate::events::Observer;
use crate::inbound::{self, Arrival};
use crate::runtime::ListenerRuntime;
use crate::tls::PathCache;

/// How long it waits after an error that will not go away at once.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How often such an error is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What all connections of a process share.
pub struct Shared {
    /// Is told what happens.
    pub observer: Arc<dyn Observer>,
    /// `maxConnections`.
    pub connections: Arc<ConnectionLimit>,
    /// What is counted for each listener.
    pub listeners: Listeners,
    /// Path verdicts that were made before.
    pub paths: Arc<PathCache>,
    /// Places for refused connections that linger.
    pub lingering: Lingering,
    /// The tasks of live connections.
    pub tracker: TaskTracker,
    /// Cancelled when live connections must end.
    pub cut: CancellationToken,
}

impl Shared {
    /// Nothing has happened yet. At most so many connections at a time, and so many more that linger.
    #[must_use]
    pub fn new(observer: Arc<dyn Observer>, max_connections: usize, lingering: usize) -> Self {
        Self {
            observer,
            connections: Arc::new(ConnectionLimit::new(max_connections)),
            listeners: Listeners::default(),
            paths: Arc::new(PathCache::default()),
            lingering: Lingering::new(lingering),
            tracker: TaskTracker::new(),
            cut: CancellationToken::new(),
        }
    }
}

/// Accepts on `socket` until `stop`. Connections run under the value of `current` that stands when they are accepted.
pub async fn run(
    socket: TcpListener,
    current: watch::Receiver<Arc<ListenerRuntime>>,
    stop: CancellationToken,
    shared: Arc<Shared>,
) {
    let mut trouble = Trouble::new("no connection can be accepted");
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, source)) => {
                let listener = Arc::clone(&current.borrow());
                let arrival = Arrival { stream, source, listener };
                if let Some(admitted) = inbound::admit(arrival, &shared) {
                    shared.tracker.spawn(inbound::serve(admitted, Arc::clone(&shared)));
                }
            }
            Err(error) => {
                let exhausted = is_exhaustion(&error);
                shared.observer.accept_failed(exhausted);
                if !exhausted && is_of_one_connection(&error) {
                    continue;
                }
                trouble.tell(&error, Instant::now());
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(BACK_OFF) => {}
                }
            }
        }
    }
}

/// Errors that will not go away at once, told once a second.
pub(crate) struct Trouble {
    what: &'static str,
    told: Option<Instant>,
    untold: u64,
}

impl Trouble {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, told: None, untold: 0 }
    }

    pub(crate) fn tell(&mut self, error: &io::Error, now: Instant) {
        if self.told.is_some_and(|told| now.duration_since(told) < TELL_EVERY) {
            self.untold += 1;
            return;
        }
        tracing::warn!(%error, times = self.untold + 1, "{}", self.what);
        (self.told, self.untold) = (Some(now), 0);
    }
}

/// The process, or the system, has no file descriptor or no memory for another connection.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// The error is that of the connection that would have been accepted, and the next may be well: accept(2), "Error handling".
fn is_of_one_connection(error: &io::Error) -> bool {
    let errors = [
        libc::ECONNABORTED,
        libc::ECONNRESET,
        libc::EINTR,
        libc::EPERM,
        libc::EPROTO,
        libc::ENOPROTOOPT,
        libc::ENETDOWN,
        libc::ENETUNREACH,
        libc::EHOSTDOWN,
        libc::EHOSTUNREACH,
        libc::ENONET,
        libc::EOPNOTSUPP,
        libc::ETIMEDOUT,
    ];
    error.raw_os_error().is_some_and(|code| errors.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_one_connection_are_passed_over_at_once() {
        let kinds = |code| {
            let error = io::Error::from_raw_os_error(code);
            (is_exhaustion(&error), is_of_one_connection(&error))
        };
        assert_eq!(kinds(libc::EMFILE), (true, false));
        assert_eq!(kinds(libc::ENOMEM), (true, false));
        assert_eq!(kinds(libc::ECONNABORTED), (false, true));
        assert_eq!(kinds(libc::EBADF), (false, false));
    }

    #[test]
    fn the_same_trouble_is_told_once_a_second() {
        let (mut trouble, error) = (Trouble::new("x"), io::Error::from_raw_os_error(libc::EMFILE));
        let start = Instant::now();
        (0..10).for_each(|_| trouble.tell(&error, start));
        assert_eq!(trouble.untold, 9);
        trouble.tell(&error, start + TELL_EVERY);
        assert_eq!(trouble.untold, 0);
    }
}
