//! The tasks that accept and serve connections.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::listening::Fresh;
use crate::listener::{self, Shared};
use crate::observe::Telemetry;
use crate::runtime::ListenerRuntime;

/// All connections of a process, and the loops that accept them.
pub(super) struct Service {
    shared: Arc<Shared>,
    loops: TaskTracker,
}

impl Service {
    /// Nothing is accepted yet.
    pub(super) fn new(telemetry: Arc<Telemetry>, max_connections: usize, lingering: usize) -> Self {
        let shared = Arc::new(Shared::new(telemetry, max_connections, lingering));
        Self { shared, loops: TaskTracker::new() }
    }

    /// `maxConnections` from now on; connections that are open stay.
    pub(super) fn set_max_connections(&self, most: usize) {
        self.shared.connections.set(most);
    }

    /// Accepts on a socket until it is told to stop. Must be called on a runtime.
    pub(super) fn accept(&self, fresh: Fresh<ListenerRuntime>) {
        let Fresh { name, address, socket, current, stop } = fresh;
        match TcpListener::from_std(socket) {
            Ok(socket) => {
                self.loops.spawn(listener::run(socket, current, stop, Arc::clone(&self.shared)));
            }
            Err(error) => tracing::error!(%error, %address, "listener {name} cannot accept"),
        }
    }

    /// How many connections are live.
    pub(super) fn connections(&self) -> usize {
        self.shared.tracker.len()
    }

    /// Waits until no socket is open and no connection is live. The sockets must have been told to stop.
    pub(super) fn idle(&self) -> impl Future<Output = ()> + use<> {
        let (loops, connections) = (self.loops.clone(), self.shared.tracker.clone());
        async move {
            loops.close();
            loops.wait().await;
            // A loop that has ended spawns no connection any more.
            connections.close();
            connections.wait().await;
        }
    }

    /// Ends every live connection.
    pub(super) fn cut(&self) {
        self.shared.cut.cancel();
    }
}
