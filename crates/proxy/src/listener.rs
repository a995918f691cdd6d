//! Accepting connections on one socket.
//!
//! Promises: the loop ends when it is told to, and at nothing else; running out of file descriptors slows it down and is counted; the socket is
//! closed the moment it ends. Each connection is a task of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{ConnectionLimit, Handshakes};
use crate::events::Observer;
use crate::inbound::{self, Arrival};
use crate::runtime::ListenerRuntime;
use crate::tls::PathCache;

/// How long it waits after an error that will not go away at once.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How many refused connections may linger at a time; more are closed at once.
const MAX_LINGERING: usize = 1024;

/// What all connections of a process share.
pub struct Shared {
    /// Is told what happens.
    pub observer: Arc<dyn Observer>,
    /// `maxConnections`.
    pub connections: Arc<ConnectionLimit>,
    /// Path verdicts that were made before.
    pub paths: Arc<PathCache>,
    /// Places for refused connections that linger.
    pub lingering: Arc<Semaphore>,
    /// The tasks of live connections.
    pub tracker: TaskTracker,
    /// Cancelled when live connections must end.
    pub cut: CancellationToken,
}

impl Shared {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(observer: Arc<dyn Observer>, max_connections: usize) -> Self {
        Self {
            observer,
            connections: Arc::new(ConnectionLimit::new(max_connections)),
            paths: Arc::new(PathCache::default()),
            lingering: Arc::new(Semaphore::new(MAX_LINGERING)),
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
    let handshakes = Arc::new(Handshakes::default());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, source)) => {
                let listener = Arc::clone(&current.borrow());
                spawn(Arrival { stream, source, listener, handshakes: Arc::clone(&handshakes) }, &shared);
            }
            Err(error) => {
                let exhausted = matches!(
                    error.raw_os_error(),
                    Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
                );
                shared.observer.accept_failed(exhausted);
                if exhausted {
                    tracing::warn!("no connection can be accepted: {error}");
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }
}

fn spawn(arrival: Arrival<TcpStream>, shared: &Arc<Shared>) {
    shared.tracker.spawn(inbound::serve(arrival, Arc::clone(shared)));
}
