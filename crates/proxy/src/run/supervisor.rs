//! The task that everything else in a running proxy obeys: it alone changes what is in force.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::Registry;
use revouch_api::config::ProcessConfig;
use revouch_resolver::Prefetch;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::descriptors::Room;
use super::listening::{Fresh, Sockets, Wanted};
use super::output::Output;
use super::service::Service;
use super::signals::{Request, Signals};
use super::sockets::BindError;
use super::{Diagnostics, Ended, Role, StartError};
use crate::access_log::AccessLog;
use crate::admin::{Admin, Phase, Readiness};
use crate::load::{LoadError, Loader, probe};
use crate::logging::{Level, now};
use crate::metrics::Metrics;
use crate::observe::Telemetry;
use crate::reload::Watcher;
use crate::runtime::ListenerRuntime;
use crate::snapshot::Snapshot;
use crate::turned_away;

/// Orders that wait for a reload to end.
const MOST_KEPT: usize = 16;
/// How long connections that were told to end may take to do so.
const CUT: std::time::Duration = std::time::Duration::from_secs(2);

/// What the holder of a running proxy can ask for.
pub(super) enum Command {
    /// Load everything again.
    Reload(Reply),
    /// Take no more connections and end.
    Drain,
}

/// Where the outcome of a reload is told.
type Reply = oneshot::Sender<Result<u64, String>>;

/// What is to be done, whoever wants it.
enum Order {
    /// Load everything again.
    Reload(Option<Reply>),
    /// The same, and open the log file anew.
    Reopen,
    /// Take no more connections and end.
    Drain,
    /// End at once: nobody is left to command it.
    End,
}

/// The orders as they come.
struct Orders {
    commands: mpsc::Receiver<Command>,
    signals: Signals,
    /// Those that came while something else was done. At most [`MOST_KEPT`]: more reloads than that in a row are one.
    kept: VecDeque<Order>,
}

impl Orders {
    /// The next one, kept or new. May be dropped and called again without losing one.
    async fn next(&mut self) -> Order {
        match self.kept.pop_front() {
            Some(order) => order,
            None => self.fresh().await,
        }
    }

    /// The next new one.
    async fn fresh(&mut self) -> Order {
        tokio::select! {
            command = self.commands.recv() => match command {
                Some(Command::Reload(reply)) => Order::Reload(Some(reply)),
                Some(Command::Drain) => Order::Drain,
                None => Order::End,
            },
            request = self.signals.next() => match request {
                Request::Reload => Order::Reopen,
                Request::Drain => Order::Drain,
            },
        }
    }

    fn keep(&mut self, order: Order) {
        if self.kept.len() < MOST_KEPT {
            self.kept.push_back(order);
        }
    }
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
    _telling: AbortOnDropHandle<()>,
    room: Room,
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
        let room = match role {
            Role::Process => Room::raise(),
            Role::Embedded => Room::unlimited(),
        };
        let signals = match role {
            Role::Process => Signals::install().map_err(StartError::System)?,
            Role::Embedded => Signals::none(),
        };
        let readiness = Readiness::default();
        let admin = start_admin(snapshot.process().metrics, registry, &readiness)?;
        probe(&snapshot).await.map_err(|error| StartError::Load(LoadError::Resolver(error)))?;
        loader.keep();
        let mut sockets = Sockets::new();
        let change = sockets.prepare(wanted(&snapshot)).map_err(StartError::Bind)?;
        let Diagnostics { lines, writer, level } = diagnostics;
        let (output, access) = Output::open(lines, writer, snapshot.process().log_file.as_deref(), &metrics)
            .map_err(StartError::Log)?;
        let log = AccessLog::new(access, snapshot.process().log_format);
        let telemetry = Arc::new(Telemetry::new(metrics.clone(), log));
        let most = room.connections(snapshot.process().max_connections);
        let service = Service::new(Arc::clone(&telemetry), most, room.lingering());
        let telling = AbortOnDropHandle::new(tokio::spawn(tell_turned_away(Arc::clone(&telemetry))));
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
            _telling: telling,
            room,
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
    pub(super) async fn run(mut self, commands: mpsc::Receiver<Command>) -> Remains {
        let signals = std::mem::replace(&mut self.signals, Signals::none());
        let mut orders = Orders { commands, signals, kept: VecDeque::new() };
        let ended = loop {
            let order = tokio::select! {
                order = orders.next() => order,
                () = self.watcher.changed() => Order::Reload(None),
            };
            let ended = match order {
                Order::Reload(reply) => self.reload_unless_told(reply, false, &mut orders).await,
                Order::Reopen => self.reload_unless_told(None, true, &mut orders).await,
                Order::Drain => Some(self.drain(&mut orders).await),
                Order::End => Some(Ended::AtOnce),
            };
            if let Some(ended) = ended {
                break ended;
            }
        };
        self.end(ended).await
    }

    /// Reloads, and opens the log file anew before if it is to. A file that hangs keeps nobody from ending the process: told to, it gives
    /// the reload up.
    async fn reload_unless_told(
        &mut self,
        reply: Option<Reply>,
        reopen: bool,
        orders: &mut Orders,
    ) -> Option<Ended> {
        let told = {
            let mut reload = pin!(async {
                if reopen {
                    self.reopen_log().await;
                }
                self.reload().await
            });
            loop {
                tokio::select! {
                    done = &mut reload => {
                        if let Some(reply) = reply {
                            // Who asked may have stopped waiting.
                            let _ = reply.send(done);
                        }
                        return None;
                    }
                    order = orders.fresh() => match order {
                        Order::Drain | Order::End => break order,
                        later => orders.keep(later),
                    },
                }
            }
        };
        tracing::warn!("told to end while the configuration was loaded: the load is given up");
        match told {
            Order::Drain => Some(self.drain(orders).await),
            _ => Some(Ended::AtOnce),
        }
    }

    /// Opens the log file of the configuration in force anew, whatever a reload will say: a file that was moved away is not to be written
    /// to any longer.
    async fn reopen_log(&mut self) {
        let file = self.snapshot.process().log_file.clone();
        match self.output.reopen(file, &self.metrics).await {
            Ok(Some(lines)) => self.telemetry.log().redirect(lines),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the log file cannot be opened anew; the old one stays"),
        }
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
        self.service.set_max_connections(self.room.connections(snapshot.process().max_connections));
        if let Some(level) = &self.level {
            level.set(snapshot.process().log_level);
        }
        self.snapshot = snapshot;
        self.loader.lock().unwrap_or_else(PoisonError::into_inner).keep();
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
    async fn drain(&mut self, orders: &mut Orders) -> Ended {
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
                order = orders.fresh() => match order {
                    Order::Drain => {
                        tracing::warn!(connections = self.service.connections(), "told to end at once");
                        return Ended::AtOnce;
                    }
                    Order::End => return Ended::AtOnce,
                    Order::Reload(_) | Order::Reopen => {}
                },
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
        self.telemetry.tell_rest();
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

/// Tells of connections that were counted together, soon after they are due.
async fn tell_turned_away(telemetry: Arc<Telemetry>) {
    loop {
        sleep(turned_away::PERIOD / 4).await;
        telemetry.tell_turned_away();
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
