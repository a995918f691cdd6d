//! A configuration directory, the program, an upstream and a peer.
//!
//! No DNS answers here, so every verdict is a refusal; `mode: Audit` relays the peer all the same, which is all that these tests need of
//! a connection.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long a condition may take to come true before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with a configuration in it.
pub(crate) struct Setup {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) upstream: SocketAddr,
}

/// A running program. It is killed when this is dropped.
pub(crate) struct Proxy {
    child: Child,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

pub(crate) type Peer = StreamOwned<ClientConnection, TcpStream>;

impl Setup {
    pub(crate) fn new() -> Self {
        let setup = Self { dir: tempfile::tempdir().unwrap(), upstream: echo() };
        setup.certificate("tls");
        setup
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes `NAME.crt` and `NAME.key`.
    pub(crate) fn certificate(&self, name: &str) {
        let (cert, key) = pair();
        self.write(&format!("{name}.crt"), &cert);
        self.write(&format!("{name}.key"), &key);
    }

    /// The documents of one listener in Audit mode on `bind`.
    pub(crate) fn listener(&self, name: &str, bind: &str) -> String {
        format!(
            "\
---
apiVersion: revouch.dev/v1alpha1
kind: Listener
metadata: {{name: {name}}}
spec:
  bind: [\"{bind}\"]
  tls: {{certificates: [{{certFile: tls.crt, keyFile: tls.key}}]}}
  routes:
  - {{name: all, upstream: {{address: \"{upstream}\"}}}}
---
apiVersion: revouch.dev/v1alpha1
kind: PeerPolicy
metadata: {{name: {name}}}
spec:
  targetRefs: [{{kind: Listener, name: {name}}}]
  mode: Audit
  dns: {{deadline: 100ms}}
",
            upstream = self.upstream
        )
    }

    /// The documents of the process, and a resolver that nobody answers for.
    pub(crate) fn process(&self, extra: &str) -> String {
        format!(
            "\
---
apiVersion: revouch.dev/v1alpha1
kind: ProxyConfig
metadata: {{name: default}}
spec: {{metrics: {{bind: \"127.0.0.1:0\"}}{extra}}}
---
apiVersion: revouch.dev/v1alpha1
kind: ResolverOverride
metadata: {{name: nobody}}
spec: {{zones: [\".\"], servers: [{{address: \"127.0.0.1:9\"}}]}}
"
        )
    }

    /// The usual configuration: one listener, on a free port.
    pub(crate) fn usual(&self) -> PathBuf {
        self.usual_with("")
    }

    /// The usual configuration, with more fields in the spec of ProxyConfig.
    pub(crate) fn usual_with(&self, extra: &str) -> PathBuf {
        self.write("revouch.yaml", &(self.process(extra) + &self.listener("api", "127.0.0.1:0")))
    }

    /// Connects, completes the handshake and hears its own words from the upstream.
    pub(crate) fn connect(&self, address: SocketAddr) -> Peer {
        let mut peer = self.try_connect(address);
        exchange(&mut peer, b"hello");
        peer
    }

    /// Connects; the handshake is made with the first words.
    pub(crate) fn try_connect(&self, address: SocketAddr) -> Peer {
        let mut roots = RootCertStore::empty();
        roots.add(der(&self.path("tls.crt"))).unwrap();
        let (cert, key) = pair();
        let own = vec![CertificateDer::from(pem::<CertificateDer<'_>>(cert.as_bytes()).to_vec())];
        let key = pem::<PrivateKeyDer<'static>>(key.as_bytes());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(own, key)
            .unwrap();
        let name = ServerName::try_from("api.example.net").unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
    }
}

/// Sends words and hears them again.
pub(crate) fn exchange(peer: &mut Peer, words: &[u8]) {
    peer.write_all(words).unwrap();
    peer.flush().unwrap();
    let mut heard = vec![0; words.len()];
    peer.read_exact(&mut heard).unwrap();
    assert_eq!(heard, words);
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str], config: &Path) -> Output {
    command(config).args(arguments).output().unwrap()
}

/// Runs the program on a configuration with which it must not start; what it says on standard error.
pub(crate) fn run_until_refused(config: &Path) -> String {
    let output = run(&[], config);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_revouch-proxy"));
    command.arg("--config").arg(config).stdin(Stdio::null());
    command
}

impl Proxy {
    /// Starts the program and waits until it is ready.
    pub(crate) fn start(config: &Path, arguments: &[&str]) -> Self {
        Self::spawn(command(config).args(["--log-format", "Json"]).args(arguments))
    }

    /// As [`start`](Self::start), with so many file descriptors at most.
    pub(crate) fn start_with_descriptors(config: &Path, most: u32) -> Self {
        let limited = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &limited, env!("CARGO_BIN_EXE_revouch-proxy"), "--log-format", "Json", "--config"]);
        Self::spawn(shell.arg(config))
    }

    fn spawn(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let log = Arc::new(Log::default());
        let (reader, shared) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                shared.lines.lock().unwrap().push(line);
                shared.more.notify_all();
            }
        });
        let proxy = Self { child, log };
        proxy.wait_for("\"message\":\"ready\"");
        proxy
    }

    /// Waits for a line on standard error that holds `text`.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_for_nth(text, 1)
    }

    /// Waits for the `count`th line on standard error that holds `text`.
    pub(crate) fn wait_for_nth(&self, text: &str, count: usize) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().filter(|line| line.contains(text)).nth(count - 1) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no line with {text} among:\n{}", lines.join("\n"));
            lines = self.log.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Everything on standard error so far.
    pub(crate) fn log(&self) -> String {
        self.log.lines.lock().unwrap().join("\n")
    }

    /// Where a listener listens, as the log says.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        self.nth_address(listener, 1)
    }

    /// As [`address`](Self::address), of a listener with several sockets.
    pub(crate) fn nth_address(&self, listener: &str, nth: usize) -> SocketAddr {
        self.nth_listening(&format!("listener {listener}"), nth)
    }

    fn listening(&self, purpose: &str) -> SocketAddr {
        self.nth_listening(purpose, 1)
    }

    fn nth_listening(&self, purpose: &str, nth: usize) -> SocketAddr {
        let line = self.wait_for_nth(&format!("\"purpose\":\"{purpose}\""), nth);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        value["address"].as_str().unwrap().parse().unwrap()
    }

    /// The status line and body of an answer of the admin listener.
    pub(crate) fn admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.listening("metrics")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Waits until a metric has a value.
    pub(crate) fn wait_for_metric(&self, series: &str, value: &str) {
        let line = format!("{series} {value}\n");
        wait_until(&line, || self.admin("/metrics").contains(&line));
    }

    /// Waits until a metric has a value of at least `least`, however often the admin listener does not answer until then.
    pub(crate) fn wait_for_metric_at_least(&self, series: &str, least: u64) {
        let address = self.listening("metrics");
        let value = || {
            let mut stream = TcpStream::connect(address).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).ok()?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
            let mut text = String::new();
            stream.read_to_string(&mut text).ok()?;
            text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse::<u64>().ok())
        };
        wait_until(series, || value().is_some_and(|value| value >= least));
    }

    /// Sends a signal, by its name for `kill`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Lowers its limit on open files while it runs.
    pub(crate) fn limit_descriptors(&self, most: u64) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        prlimit(pid, Resource::Nofile, Rlimit { current: Some(most), maximum: Some(most) }).unwrap();
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it has ended.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.log());
            pause();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        pause();
    }
}

/// Between two looks at something of which nobody tells.
#[allow(clippy::disallowed_methods, reason = "another process is waited for, on a thread of the test's own")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// An upstream that says what it hears, until the test process ends.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut reader = stream.try_clone().unwrap();
                let _ = std::io::copy(&mut reader, &mut &stream);
                let _ = stream.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    address
}

fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["api.example.net".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn der(path: &Path) -> CertificateDer<'static> {
    pem(&fs::read(path).unwrap())
}

fn pem<T: rustls::pki_types::pem::PemObject>(text: &[u8]) -> T {
    T::from_pem_slice(text).unwrap()
}
