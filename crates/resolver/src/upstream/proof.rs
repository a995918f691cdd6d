//! Whether a server has shown that it validates.
//!
//! Promises: of a server whose AD bit is trusted nothing counts before it has set that bit once, be it for a question of ours or for
//! the probe. Without this a server that does not validate would pass every answer off as one from an unsigned zone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// How long a server that has not shown it is not probed again.
const PAUSE: Duration = Duration::from_secs(1);

/// What the servers of a group have shown.
#[derive(Debug)]
pub(super) struct Proofs {
    /// A name and type that is signed for certain.
    probe: (Name, RecordType),
    servers: Vec<Proof>,
}

#[derive(Debug, Default)]
struct Proof {
    shown: AtomicBool,
    /// When the server was last probed.
    probed: Mutex<Option<Instant>>,
}

/// The right to probe a server; nobody else does meanwhile.
pub(super) struct Turn<'p>(MutexGuard<'p, Option<Instant>>);

impl Proofs {
    pub(super) fn new(name: Name, rr_type: RecordType, servers: usize) -> Self {
        Self { probe: (name, rr_type), servers: (0..servers).map(|_| Proof::default()).collect() }
    }

    /// What a server is asked that is to show it.
    pub(super) fn probe(&self) -> (&Name, RecordType) {
        (&self.probe.0, self.probe.1)
    }

    /// Takes note of a server's answer to whatever question; says whether it has shown by now that it validates.
    pub(super) fn note(&self, index: usize, message: &Message) -> bool {
        if message.metadata.authentic_data
            && let Some(proof) = self.servers.get(index)
        {
            proof.shown.store(true, Ordering::Relaxed);
        }
        self.has_shown(index)
    }

    /// Whether a server has shown that it validates.
    pub(super) fn has_shown(&self, index: usize) -> bool {
        self.servers.get(index).is_some_and(|proof| proof.shown.load(Ordering::Relaxed))
    }

    /// The turn to probe a server, once nobody else does; `None` if that is not needed any more, or was in vain just now.
    pub(super) async fn turn(&self, index: usize) -> Option<Turn<'_>> {
        let probed = self.servers.get(index)?.probed.lock().await;
        let just_now = probed.is_some_and(|at| at.elapsed() < PAUSE);
        (!self.has_shown(index) && !just_now).then_some(Turn(probed))
    }
}

impl Turn<'_> {
    /// Says that the server was probed.
    pub(super) fn end(mut self) {
        *self.0 = Some(Instant::now());
    }
}
