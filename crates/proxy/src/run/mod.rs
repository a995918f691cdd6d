//! The life of a proxy: load, bind, serve, reload, drain.
//!
//! Promises: nothing listens before everything was loaded and every address is bound; a reload that fails in any part changes nothing;
//! when it ends, the listening sockets are closed first, live connections go on until they end or `drain` is over, and every line of the
//! log is written.
//!
//! [`Proxy::start`] runs it inside another program (`revouch demo`); [`main`] is the program `revouch-proxy`.

mod descriptors;
mod listening;
mod main;
mod output;
mod service;
mod signals;
mod sockets;
mod supervisor;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus::Registry;
use revouch_api::config::{LogFormat, LogLevel};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

pub use self::main::main;
pub use self::sockets::BindError;
use self::supervisor::{Addresses, Command, Supervisor};
use crate::lines::{LineWriter, Lines};
use crate::load::{LoadError, Loader};
use crate::logging::Level;
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;

/// How long tasks that did not end in the drain are waited for when the runtime is shut down.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// What a proxy is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// A file or directory of documents.
    pub config: PathBuf,
    /// What wins over `ProxyConfig`.
    pub overrides: Overrides,
}

/// Fields of `ProxyConfig` that win over its document.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `metrics.bind`; port 0 takes a free one.
    pub metrics: Option<SocketAddr>,
    /// `log.format`.
    pub log_format: Option<LogFormat>,
    /// `log.level`.
    pub log_level: Option<LogLevel>,
    /// `log.file`.
    pub log_file: Option<PathBuf>,
    /// `threads`.
    pub threads: Option<usize>,
    /// `drain`.
    pub drain: Option<Duration>,
    /// `maxConnections`.
    pub max_connections: Option<usize>,
}

/// The proxy, before it runs.
pub struct Proxy;

/// A proxy that is loaded and does not listen yet.
pub struct Prepared {
    loader: Loader,
    snapshot: Snapshot,
    registry: Registry,
    metrics: Metrics,
    runtime: Runtime,
}

/// A running proxy. Dropped, it ends at once and cuts its connections; see [`drain`](Self::drain).
pub struct Running {
    commands: mpsc::Sender<Command>,
    addresses: Addresses,
    metrics_address: SocketAddr,
    thread: Option<JoinHandle<Ended>>,
}

/// How a proxy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// No connection is left, or the drain was over.
    Drained,
    /// It was told to end at once.
    AtOnce,
    /// Its thread panicked: a bug.
    Failed,
}

/// Where a proxy's lines go while it runs.
pub struct Diagnostics {
    /// The access log's lines, unless it has a file.
    pub lines: Lines,
    /// The thread that writes them.
    pub writer: LineWriter,
    /// Follows `log.level` when the configuration is loaded again.
    pub level: Option<Level>,
}

/// Whether the proxy is a program of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It heeds signals and raises the limit on open files.
    Process,
    /// It leaves those to the program around it.
    Embedded,
}

/// Why a proxy does not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration, or a file that it names, cannot be used.
    Load(LoadError),
    /// An address cannot be listened on.
    Bind(BindError),
    /// The log cannot be written.
    Log(io::Error),
    /// Threads cannot be started, or signals not be taken over.
    System(io::Error),
    /// A metric has a name that is taken: a bug.
    Metrics(prometheus::Error),
}

impl Proxy {
    /// Loads everything. Nothing listens yet and nothing is written.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn prepare(options: Options) -> Result<Prepared, StartError> {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).map_err(StartError::Metrics)?;
        let mut loader = Loader::new(options, metrics.clone());
        let compiled = loader.read().map_err(StartError::Load)?;
        let runtime = runtime(compiled.threads()).map_err(StartError::System)?;
        // The resolver's sockets belong to a runtime.
        let snapshot = {
            let _inside = runtime.enter();
            loader.build(compiled, 1).map_err(StartError::Load)?
        };
        Ok(Prepared { loader, snapshot, registry, metrics, runtime })
    }

    /// Loads everything and runs it inside this program, with diagnostics left to whoever subscribes to `tracing`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(options: Options) -> Result<Running, StartError> {
        let prepared = Self::prepare(options)?;
        let diagnostics = prepared.diagnostics()?;
        prepared.start(diagnostics, Role::Embedded)
    }
}

impl Prepared {
    /// What is going to run.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// A queue to standard error, for the access log and for diagnostics.
    ///
    /// # Errors
    /// Its thread cannot be started.
    pub fn diagnostics(&self) -> Result<Diagnostics, StartError> {
        let dropped = self.metrics.log_dropped().clone();
        let started = Lines::start(&crate::lines::Destination::Stderr, dropped);
        let (lines, writer) = started.map_err(StartError::System)?;
        Ok(Diagnostics { lines, writer, level: None })
    }

    /// Binds every address and starts to accept.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(self, diagnostics: Diagnostics, role: Role) -> Result<Running, StartError> {
        let Self { loader, snapshot, registry, metrics, runtime } = self;
        let (commands, receiver) = mpsc::channel(1);
        let starting = Supervisor::start(loader, snapshot, registry, metrics, diagnostics, role);
        let supervisor = runtime.block_on(Box::pin(starting))?;
        let (addresses, metrics_address) = (supervisor.addresses(), supervisor.metrics_address());
        let body = move || {
            let remains = runtime.block_on(supervisor.run(receiver));
            runtime.shutdown_timeout(SHUTDOWN);
            remains.finish()
        };
        let thread = std::thread::Builder::new().name("supervisor".to_owned()).spawn(body);
        let thread = Some(thread.map_err(StartError::System)?);
        Ok(Running { commands, addresses, metrics_address, thread })
    }
}

impl Running {
    /// The name of each listener and an address that it listens on, one entry an address. Port 0 is told as the port that was taken.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<(String, SocketAddr)> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where `/metrics`, `/livez` and `/readyz` are served.
    #[must_use]
    pub fn metrics_addr(&self) -> SocketAddr {
        self.metrics_address
    }

    /// Loads everything again and puts it in force; returns the number of the configuration. Blocks: not for a runtime's thread.
    ///
    /// # Errors
    /// Why it cannot be; the one in force stays.
    pub fn reload(&self) -> Result<u64, String> {
        let (reply, answer) = oneshot::channel();
        let ended = || "the proxy has ended".to_owned();
        self.commands.blocking_send(Command::Reload(reply)).map_err(|_| ended())?;
        answer.blocking_recv().map_err(|_| ended())?
    }

    /// Closes the listening sockets and waits until no connection is left, or `drain` is over. Blocks: not for a runtime's thread.
    #[must_use]
    pub fn drain(mut self) -> Ended {
        // Where it has ended already there is nobody to be told.
        let _ = self.commands.blocking_send(Command::Drain);
        self.join()
    }

    /// Waits until it ends by itself: on a signal, in the role of a process.
    #[must_use]
    pub fn wait(mut self) -> Ended {
        self.join()
    }

    fn join(&mut self) -> Ended {
        self.thread.take().map_or(Ended::AtOnce, |thread| thread.join().unwrap_or(Ended::Failed))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The supervisor ends at once when nobody is left to command it.
        let (closed, _) = mpsc::channel(1);
        self.commands = closed;
        self.join();
    }
}

fn runtime(threads: usize) -> io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    builder.thread_name("worker").enable_all().build()
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => error.fmt(f),
            Self::Bind(error) => error.fmt(f),
            Self::Log(error) => error.fmt(f),
            Self::System(error) => write!(f, "the system does not let it run: {error}"),
            Self::Metrics(error) => write!(f, "metrics: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Load(error) => Some(error),
            Self::Bind(error) => Some(error),
            Self::Log(error) | Self::System(error) => Some(error),
            Self::Metrics(error) => Some(error),
        }
    }
}
