//! The programs under measurement, each a process of its own on the core that is not the load's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use revouch_testbed::Process;
use revouch_testbed::process::free_ports;
use tokio::net::TcpStream;

use crate::Outcome;
use crate::stage::{ProxyPlan, Stage, shown};

/// How long a program may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);
/// `/proc` counts time in these, whatever the kernel's own tick is (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `revouch-bench-bare`.
    Bare,
    /// HAProxy in TCP mode.
    HaProxy,
    /// nginx with its stream module.
    Nginx,
    /// `revouch-proxy`.
    Revouch,
}

/// Where the programs of this workspace are.
#[derive(Clone)]
pub(crate) struct Binaries {
    pub(crate) bare: PathBuf,
    pub(crate) proxy: PathBuf,
    /// Whether programs get cores of their own. Not in the smoke test, which must run where there is one.
    pub(crate) pinned: bool,
}

/// Which cores a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    /// The one that is not the load's.
    One,
    /// Both.
    Two,
}

/// A program that listens. It ends when this is dropped.
pub(crate) struct Program {
    process: Process,
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    log: Option<PathBuf>,
}

impl Kind {
    /// As the tables call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Bare => "bare tokio-rustls",
            Self::HaProxy => "HAProxy",
            Self::Nginx => "nginx",
            Self::Revouch => "revouch-proxy",
        }
    }
}

impl Program {
    /// Starts one in front of `upstream` and waits until it listens.
    pub(crate) async fn start(
        kind: Kind,
        stage: &Stage,
        upstream: SocketAddr,
        binaries: &Binaries,
        cores: Cores,
    ) -> Outcome<Self> {
        let [address, metrics] = free_ports(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
        let on = |program: &std::ffi::OsStr| {
            if !binaries.pinned {
                return Command::new(program);
            }
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", if cores == Cores::One { "1" } else { "0,1" }]).arg(program);
            command
        };
        let mut command = match kind {
            Kind::Bare => on(binaries.bare.as_os_str()),
            Kind::Revouch => on(binaries.proxy.as_os_str()),
            Kind::HaProxy => on("haproxy".as_ref()),
            Kind::Nginx => on("nginx".as_ref()),
        };
        let mut log = None;
        match kind {
            Kind::Bare => {
                command.args([address.to_string(), upstream.to_string()]);
                command.args(["own.pem", "own.key", "roots.pem"].map(|file| stage.path(file)));
            }
            Kind::Revouch => {
                let threads = if cores == Cores::One { 1 } else { 2 };
                let config =
                    stage.proxy_config(&ProxyPlan { listener: address, metrics, upstream, threads })?;
                command.arg("--config").arg(config);
                log = Some(stage.path(&format!("access-{}.log", address.port())));
            }
            Kind::HaProxy => {
                let config = stage.path(&format!("haproxy-{}.cfg", address.port()));
                std::fs::write(&config, haproxy(stage, address, upstream))?;
                command.args(["-db", "-f"]).arg(config);
            }
            Kind::Nginx => {
                let config = stage.path(&format!("nginx-{}.conf", address.port()));
                std::fs::write(&config, nginx(stage, address, upstream))?;
                command.args(["-e", "stderr", "-p"]).arg(stage.dir.path()).arg("-c").arg(config);
            }
        }
        let process = Process::spawn(&mut command)?;
        let program = Self { process, kind, address, log };
        program.wait_until_it_listens().await?;
        Ok(program)
    }

    async fn wait_until_it_listens(&self) -> Outcome<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).await.is_err() {
            if self.process.ended().is_some() || tokio::time::Instant::now() > deadline {
                return Err(
                    format!("{} does not listen: {:?}", self.kind.label(), self.process.stderr()).into()
                );
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// The processor time of all its threads so far, in user and in kernel mode.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        let text = self.proc("stat")?;
        // The name, in parentheses, may hold anything; behind it, utime and stime are fields 14 and 15 of the whole: proc(5).
        let (_, behind) = text.rsplit_once(')').ok_or("no stat")?;
        let fields: Vec<&str> = behind.split_ascii_whitespace().collect();
        let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<u32>().ok());
        match (ticks(11), ticks(12)) {
            (Some(user), Some(system)) => Ok(TICK * (user + system)),
            _ => Err("no times in stat".into()),
        }
    }

    /// Octets of memory that are resident.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        let text = self.proc("status")?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib = line.split_ascii_whitespace().next().ok_or("no number")?;
        Ok(kib.parse::<u64>()? * 1024)
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> Outcome<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/task", self.process.pid()))?.count())
    }

    fn proc(&self, file: &str) -> Outcome<String> {
        Ok(std::fs::read_to_string(format!("/proc/{}/{file}", self.process.pid()))?)
    }

    /// The lines of the proxy's access log so far.
    pub(crate) fn log(&self) -> Outcome<Vec<serde_json::Value>> {
        let Some(path) = &self.log else { return Ok(Vec::new()) };
        let text = std::fs::read_to_string(path)?;
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        Ok(lines.collect())
    }
}

fn haproxy(stage: &Stage, address: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "\
global
    nbthread 1
    maxconn 9500
    tune.ssl.cachesize 0
    ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
defaults
    mode tcp
    maxconn 9500
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen bench
    bind {address} ssl crt {own} ca-file {roots} verify required
    server upstream {upstream}
",
        own = shown(&stage.path("own.both.pem")),
        roots = shown(&stage.path("roots.pem")),
    )
}

fn nginx(stage: &Stage, address: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "\
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
pid nginx-{port}.pid;
error_log stderr warn;

events {{ worker_connections 19000; }}
stream {{
    server {{
        listen {address} ssl backlog=4096;
        tcp_nodelay on;
        ssl_protocols TLSv1.3;
        ssl_certificate {own};
        ssl_certificate_key {key};
        ssl_client_certificate {roots};
        ssl_verify_client on;
        ssl_verify_depth 4;
        ssl_session_cache off;
        ssl_session_tickets off;
        proxy_timeout 1h;
        proxy_pass {upstream};
    }}
}}
",
        port = address.port(),
        own = shown(&stage.path("own.pem")),
        key = shown(&stage.path("own.key")),
        roots = shown(&stage.path("roots.pem")),
    )
}
