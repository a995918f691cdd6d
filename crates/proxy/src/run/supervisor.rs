//! The task that everything else in a running proxy obeys: it alone changes what is in force.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::Registry;
use revouch_api::config::ProcessConfig;
use revouch_resolver::Prefetch;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::listening::{Fresh, Sockets, Wanted};
use super::output::Output;
use super::service::Service;
use super::signals::{Request, Signals};
use super::sockets::BindError;
use super::{Diagnostics, Ended, Role, StartError, descriptors};
use crate::access_log::AccessLog;
use crate::admin::{Admin, Phase, Readiness};
use crate::load::{LoadError, Loader, probe};
use crate::logging::{Level, now};
use crate::metrics::Metrics;
use crate::observe::Telemetry;
use crate::reload::Watcher;
use crate::runtime::ListenerRuntime;
use crate::snapshot::Snapshot;

/// How long connections that were told to end may take to do so.
const CUT: std::time::Duration = std::time::Duration::from_secs(2);

/// What the holder of a running proxy can ask for.
pub(super) enum Command {
    /// Load everything again.
    Reload(oneshot::Sender<Result<u64, String>>),
    /// Take no more connections and end.
    Drain,
}

/// The addresses in use, by the names of listeners.
pub(super) type Addresses = Arc<Mutex<Vec<(String, SocketAddr)>>>;

pub(super) struct Supervisor {
    loader: Arc<Mutex<Loader>>,
    metrics: Metrics,
    readiness: Readiness,
    admin: Admin,
    level: Option<Level>,
    output: Output,
    telemetry: Arc<Telemetry>,
    service: Service,
    sockets: Sockets<ListenerRuntime>,
    addresses: Addresses,
    snapshot: Snapshot,
    /// Names are kept resolved as long as this is held.
    prefetch: Vec<Prefetch>,
    watcher: Watcher,
    signals: Signals,
}

/// What is left of a supervisor when its runtime has ended: the log, which must be written to its end.
pub(super) struct Remains {
    ended: Ended,
    output: Output,
}

impl Supervisor {
    /// Binds and serves.
    pub(super) async fn start(
        mut loader: Loader,
        snapshot: Snapshot,
        registry: Registry,
        metrics: Metrics,
        diagnostics: Diagnostics,
        role: Role,
    ) -> Result<Self, StartError> {
        if role == Role::Process {
            tell_shortage(snapshot.process());
        }
        let signals = match role {
            Role::Process => Signals::install().map_err(StartError::System)?,
            Role::Embedded => Signals::none(),
        };
        let readiness = Readiness::default();
        let admin = start_admin(snapshot.process().metrics, registry, &readiness)?;
        probe(&snapshot).await.map_err(|error| StartError::Load(LoadError::Resolver(error)))?;
        let mut sockets = Sockets::new();
        let change = sockets.prepare(wanted(&snapshot)).map_err(StartError::Bind)?;
        let Diagnostics { lines, writer, level } = diagnostics;
        let (output, access) = Output::open(lines, writer, snapshot.process().log_file.as_deref(), &metrics)
            .map_err(StartError::Log)?;
        let log = AccessLog::new(access, snapshot.process().log_format);
        let telemetry = Arc::new(Telemetry::new(metrics.clone(), log));
        let service = Service::new(Arc::clone(&telemetry), snapshot.process().max_connections);
        let watcher = Watcher::start(loader.take_digests());
        let fresh = sockets.apply(change);
        let mut supervisor = Self {
            loader: Arc::new(Mutex::new(loader)),
            metrics,
            readiness,
            admin,
            level,
            output,
            telemetry,
            service,
            sockets,
            addresses: Addresses::default(),
            snapshot,
            prefetch: Vec::new(),
            watcher,
            signals,
        };
        tracing::info!(purpose = "metrics", address = %supervisor.admin.address(), "listening");
        supervisor.in_force(fresh);
        supervisor.readiness.enter(Phase::Ready);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
        Ok(supervisor)
    }

    pub(super) fn addresses(&self) -> Addresses {
        Arc::clone(&self.addresses)
    }

    pub(super) fn metrics_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Runs until it is told to end.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> Remains {
        let ended = loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Reload(reply)) => {
                        // Who asked may have stopped waiting.
                        let _ = reply.send(self.reload().await);
                    }
                    Some(Command::Drain) => break self.drain(&mut commands).await,
                    None => break Ended::AtOnce,
                },
                request = self.signals.next() => match request {
                    Request::Reload => drop(self.reload().await),
                    Request::Drain => break self.drain(&mut commands).await,
                },
                () = self.watcher.changed() => drop(self.reload().await),
            }
        };
        self.end(ended).await
    }

    /// Loads everything anew and puts it in force, or leaves everything as it is.
    async fn reload(&mut self) -> Result<u64, String> {
        let generation = self.snapshot.generation + 1;
        let loader = Arc::clone(&self.loader);
        let load = move || {
            let mut loader = loader.lock().unwrap_or_else(PoisonError::into_inner);
            let loaded = loader.read().and_then(|compiled| loader.build(compiled, generation));
            (loaded, loader.take_digests())
        };
        let (loaded, digests) =
            spawn_blocking(load).await.unwrap_or_else(|_| (Err(LoadError::GivenUp), Default::default()));
        self.watcher.replace(digests).await;
        let done = match loaded {
            Ok(snapshot) => self.replace(snapshot).await,
            Err(error) => Err(error.to_string()),
        };
        match &done {
            Ok(generation) => tracing::info!(generation, "configuration loaded"),
            Err(error) => {
                self.metrics.config_failed();
                tracing::error!(%error, "the configuration cannot be loaded; the configuration in force stays");
            }
        }
        done
    }

    /// Puts a snapshot in force; what can fail comes first.
    async fn replace(&mut self, snapshot: Snapshot) -> Result<u64, String> {
        probe(&snapshot).await.map_err(|error| error.to_string())?;
        let change = self.sockets.prepare(wanted(&snapshot)).map_err(|error| error.to_string())?;
        let redirected = self.output.reopen(snapshot.process().log_file.clone(), &self.metrics).await;
        if let Some(lines) = redirected.map_err(|error| error.to_string())? {
            self.telemetry.log().redirect(lines);
        }
        tell_restart(self.snapshot.process(), snapshot.process());
        self.service.set_max_connections(snapshot.process().max_connections);
        if let Some(level) = &self.level {
            level.set(snapshot.process().log_level);
        }
        self.snapshot = snapshot;
        let fresh = self.sockets.apply(change);
        self.in_force(fresh);
        Ok(self.snapshot.generation)
    }

    /// What is to be done with a snapshot once it is the one in force.
    fn in_force(&mut self, fresh: Vec<Fresh<ListenerRuntime>>) {
        for warning in &self.snapshot.warnings {
            tracing::warn!("{warning}");
        }
        for trust in &self.snapshot.trust {
            tracing::info!("{trust}");
        }
        for socket in fresh {
            tracing::info!(purpose = format!("listener {}", socket.name), address = %socket.address, "listening");
            self.service.accept(socket);
        }
        // The new ones begin before the old ones end: what both need is asked once.
        self.prefetch = self.snapshot.prefetch();
        self.metrics.certificates(self.snapshot.certificates.iter().cloned());
        self.metrics.config_loaded(self.snapshot.generation, now());
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = self.sockets.addresses();
    }

    /// Closes the listening sockets and waits for the connections.
    async fn drain(&mut self, commands: &mut mpsc::Receiver<Command>) -> Ended {
        self.readiness.enter(Phase::Draining);
        self.sockets.close();
        let time = self.snapshot.process().drain;
        tracing::info!(connections = self.service.connections(), seconds = time.as_secs(), "draining");
        let idle = self.service.idle();
        tokio::pin!(idle);
        let over = sleep(time);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut idle => return Ended::Drained,
                () = &mut over => {
                    tracing::warn!(connections = self.service.connections(), "the time for the drain is over");
                    return Ended::Drained;
                }
                request = self.signals.next() => if request == Request::Drain {
                    tracing::warn!(connections = self.service.connections(), "told to end at once");
                    return Ended::AtOnce;
                },
                // Nobody is left to command it: the proxy was dropped.
                command = commands.recv() => if command.is_none() { return Ended::AtOnce },
            }
        }
    }

    /// Cuts what is left, and keeps only what the log still needs.
    async fn end(mut self, ended: Ended) -> Remains {
        self.readiness.enter(Phase::Draining);
        self.sockets.close();
        self.service.cut();
        if timeout(CUT, self.service.idle()).await.is_err() {
            tracing::error!(
                connections = self.service.connections(),
                "connections did not end when they were told to"
            );
        }
        tracing::info!("ended");
        Remains { ended, output: self.output }
    }
}

impl Remains {
    /// Waits until the log is written. Nothing that writes to it may be left.
    pub(super) fn finish(self) -> Ended {
        self.output.finish();
        self.ended
    }
}

fn wanted(snapshot: &Snapshot) -> Vec<Wanted<ListenerRuntime>> {
    let each = |listener: &crate::snapshot::BoundListener| {
        let (name, runtime) = (listener.runtime.name.to_string(), Arc::clone(&listener.runtime));
        let wanted = move |bind: &SocketAddr| Wanted {
            name: name.clone(),
            bind: *bind,
            listener: Arc::clone(&runtime),
        };
        listener.bind.iter().map(wanted).collect::<Vec<_>>()
    };
    snapshot.listeners.iter().flat_map(each).collect()
}

fn start_admin(address: SocketAddr, registry: Registry, readiness: &Readiness) -> Result<Admin, StartError> {
    Admin::start(address, registry, readiness.clone())
        .map_err(|error| StartError::Bind(BindError { address, purpose: "metrics".to_owned(), error }))
}

fn tell_shortage(process: &ProcessConfig) {
    let limit = descriptors::raise();
    let wanted = u64::try_from(process.max_connections).unwrap_or(u64::MAX);
    if let Some(fit) = descriptors::shortage(limit, wanted) {
        tracing::warn!(
            limit,
            "maxConnections is {wanted}, and the limit on open files lets {fit} in: raise it (LimitNOFILE= in a systemd unit), or \
             lower maxConnections"
        );
    }
}

fn tell_restart(old: &ProcessConfig, new: &ProcessConfig) {
    let changed = [
        ("metrics.bind", old.metrics != new.metrics),
        ("log.format", old.log_format != new.log_format),
        ("threads", old.threads != new.threads),
    ];
    for (field, _) in changed.iter().filter(|(_, changed)| *changed) {
        tracing::warn!(field, "this has changed and takes effect when the process is started again");
    }
}
