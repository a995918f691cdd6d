//! The signals that the process heeds.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// SIGTERM or SIGINT: take no more connections, let the live ones end.
    Drain,
    /// SIGHUP: read everything again.
    Reload,
}

/// The signals as they come; none ever, where the proxy runs inside another program.
pub(super) struct Signals {
    installed: Option<Installed>,
}

struct Installed {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes over SIGTERM, SIGINT and SIGHUP of this process. Must be called on a runtime.
    ///
    /// # Errors
    /// The system does not allow it.
    pub(super) fn install() -> io::Result<Self> {
        let installed = Installed {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        };
        Ok(Self { installed: Some(installed) })
    }

    /// Leaves the signals to the program around.
    pub(super) fn none() -> Self {
        Self { installed: None }
    }

    /// The next one. May be dropped and called again without losing one.
    pub(super) async fn next(&mut self) -> Request {
        let Some(Installed { terminate, interrupt, hangup }) = &mut self.installed else {
            return std::future::pending().await;
        };
        tokio::select! {
            Some(()) = terminate.recv() => Request::Drain,
            Some(()) = interrupt.recv() => Request::Drain,
            Some(()) = hangup.recv() => Request::Reload,
            else => std::future::pending().await,
        }
    }
}
