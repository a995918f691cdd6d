//! The admin listener: `/metrics`, `/livez` and `/readyz` over plain HTTP/1.1.
//!
//! Promises: it runs on a thread of its own, so that neither a slow scraper nor a large scrape takes time from connections, and it
//! answers while they are busy. GET and HEAD only, every other path is 404. A connection is for one request; one that sends nothing, or slowly,
//! is closed; there are never more than [`MAX_CONNECTIONS`], and none of them keeps a new one out. It has no authentication: bind it to
//! a loopback or management address.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Registry, TextEncoder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use crate::listener::Trouble;

/// The most admin connections at a time; for another, the oldest that has not asked yet gives way.
pub const MAX_CONNECTIONS: usize = 32;
/// How long a request's headers may take.
pub const HEADER_DEADLINE: Duration = Duration::from_secs(2);
/// How long a connection may stay, whatever it does.
pub const CONNECTION_DEADLINE: Duration = Duration::from_secs(60);
/// The longest request head, in bytes.
const MAX_HEAD: usize = 8 * 1024;

/// Whether the proxy takes connections: what `/readyz` says.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    state: Arc<AtomicU8>,
}

/// A phase in the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The configuration is being loaded, or sockets are being bound.
    Starting = 0,
    /// Connections are taken.
    Ready = 1,
    /// The listening sockets are closed; live connections go on.
    Draining = 2,
}

/// The running admin listener. It stops when this is dropped.
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Readiness {
    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        self.state.store(phase as u8, Ordering::Release);
    }

    /// The phase that it is in.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.state.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        })
    }
}

impl Admin {
    /// Serves on `address`; port 0 takes a free one, see [`address`](Self::address).
    ///
    /// # Errors
    /// The address cannot be bound, or the thread cannot be started.
    pub fn start(address: SocketAddr, registry: Registry, readiness: Readiness) -> io::Result<Self> {
        Self::start_with(address, State { registry, readiness, header_deadline: HEADER_DEADLINE })
    }

    fn start_with(address: SocketAddr, state: State) -> io::Result<Self> {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let state = Arc::new(state);
        let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, state) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        // Either may be gone already where the thread has ended by itself; there is nothing to wait for then.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct State {
    registry: Registry,
    readiness: Readiness,
    header_deadline: Duration,
}

/// The connections that are open, in the order of their arrival.
#[derive(Default)]
struct Connections(Vec<Connection>);

struct Connection {
    /// Whether its request is there.
    has_asked: Arc<AtomicBool>,
    task: AbortOnDropHandle<()>,
}

impl Connections {
    /// Makes room for another.
    async fn make_room(&mut self) {
        self.0.retain(|connection| !connection.task.is_finished());
        if self.0.len() >= MAX_CONNECTIONS {
            let silent = self.0.iter().position(|connection| !connection.has_asked.load(Ordering::Relaxed));
            let oldest = self.0.remove(silent.unwrap_or(0));
            oldest.task.abort();
            // Not until it is gone. It was told to go: that this is an error is no news.
            drop(oldest.task.await);
        }
    }
}

async fn accept(listener: StdListener, state: Arc<State>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the admin listener cannot be used");
            return;
        }
    };
    let mut connections = Connections::default();
    let mut trouble = Trouble::new("no admin connection can be accepted");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.make_room().await;
                let has_asked = Arc::new(AtomicBool::new(false));
                let serving = serve(stream, Arc::clone(&state), Arc::clone(&has_asked));
                let task = tokio::spawn(async move {
                    // Past its deadline, or broken: the scraper sees a closed connection, and that is all there is to say.
                    drop(tokio::time::timeout(CONNECTION_DEADLINE, serving).await);
                });
                connections.0.push(Connection { has_asked, task: AbortOnDropHandle::new(task) });
            }
            Err(error) => {
                trouble.tell(&error, Instant::now());
                // Without a pause, a process out of file descriptors would spin here.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<State>, has_asked: Arc<AtomicBool>) -> Result<(), hyper::Error> {
    let header_deadline = state.header_deadline;
    let service = service_fn(move |request| {
        has_asked.store(true, Ordering::Relaxed);
        let response = answer(&request, &state);
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_deadline)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(request: &Request<Incoming>, state: &State) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/metrics" => metrics(&state.registry),
        "/livez" => plain(StatusCode::OK, "alive\n"),
        "/readyz" => {
            let phase = state.readiness.phase();
            let status = if phase == Phase::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            plain(status, format!("{phase}\n"))
        }
        _ => plain(StatusCode::NOT_FOUND, "not found: /metrics, /livez and /readyz are served here\n"),
    }
}

fn metrics(registry: &Registry) -> Response<Full<Bytes>> {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => {
            let mut response = plain(StatusCode::OK, text);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(prometheus::TEXT_FORMAT));
            response
        }
        Err(error) => {
            tracing::error!(%error, "metrics cannot be encoded");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be encoded\n")
        }
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

    use std::io::{Read as _, Write as _};
    use std::net::TcpStream as StdStream;

    use super::*;
    use crate::metrics::Metrics;

    /// Shorter than a connection may stay: who is not answered has waited in vain.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn admin(readiness: &Readiness) -> Admin {
        let registry = Registry::new();
        Metrics::new(&registry).unwrap();
        Admin::start("127.0.0.1:0".parse().unwrap(), registry, readiness.clone()).unwrap()
    }

    fn send(admin: &Admin, request: &[u8]) -> String {
        let mut stream = StdStream::connect(admin.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request).unwrap();
        let mut text = String::new();
        // A reset after an answer to an over-long request is still an answer.
        let _ = stream.read_to_string(&mut text);
        text
    }

    fn get(admin: &Admin, method: &str, path: &str) -> String {
        send(admin, format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
    }

    #[test]
    fn metrics_and_health_are_served_and_nothing_else() {
        let readiness = Readiness::default();
        let admin = admin(&readiness);
        let metrics = get(&admin, "GET", "/metrics");
        assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
        assert!(metrics.contains("revouch_build_info{version="), "{metrics}");
        assert!(get(&admin, "GET", "/livez").starts_with("HTTP/1.1 200"));
        for path in ["/", "/metrics/", "/debug", "/livez/x", "//metrics"] {
            assert!(get(&admin, "GET", path).starts_with("HTTP/1.1 404"), "{path}");
        }
    }

    #[test]
    fn only_get_and_head_are_taken() {
        let admin = admin(&Readiness::default());
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT"] {
            let answer = get(&admin, method, "/livez");
            assert!(!answer.starts_with("HTTP/1.1 2"), "{method}: {answer}");
        }
        assert!(get(&admin, "POST", "/livez").contains("allow: GET, HEAD"));
        let head = get(&admin, "HEAD", "/livez");
        assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    }

    #[test]
    fn readiness_follows_the_phase() {
        let readiness = Readiness::default();
        let admin = admin(&readiness);
        for (phase, status) in [(Phase::Starting, 503), (Phase::Ready, 200), (Phase::Draining, 503)] {
            readiness.enter(phase);
            let answer = get(&admin, "GET", "/readyz");
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
            assert!(answer.ends_with(&format!("{phase}\n")), "{answer}");
        }
    }

    #[test]
    fn an_over_long_head_is_refused() {
        let admin = admin(&Readiness::default());
        let mut request = b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ".to_vec();
        request.resize(64 * 1024, b'a');
        request.extend(b"\r\n\r\n");
        let answer = send(&admin, &request);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(get(&admin, "GET", "/livez").starts_with("HTTP/1.1 200"));
    }

    /// An admin listener on which nobody is closed for being slow.
    fn patient() -> Admin {
        let day = Duration::from_secs(24 * 3600);
        let state =
            State { registry: Registry::new(), readiness: Readiness::default(), header_deadline: day };
        Admin::start_with("127.0.0.1:0".parse().unwrap(), state).unwrap()
    }

    #[test]
    fn silent_connections_keep_nobody_out() {
        let admin = patient();
        let silent: Vec<StdStream> =
            (0..MAX_CONNECTIONS).map(|_| StdStream::connect(admin.address()).unwrap()).collect();
        for _ in 0..3 {
            assert!(get(&admin, "GET", "/livez").starts_with("HTTP/1.1 200"));
        }
        let is_open = |mut stream: &StdStream| {
            stream.set_nonblocking(true).unwrap();
            stream.read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        };
        assert!(silent.iter().filter(|stream| is_open(stream)).count() >= MAX_CONNECTIONS - 3);
        assert!(!is_open(&silent[0]), "the oldest gave way");
    }

    #[test]
    fn a_connection_is_for_one_request() {
        let admin = patient();
        let mut stream = StdStream::connect(admin.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Without `Connection: close`; ends all the same.
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("alive\n"), "{answer}");
    }

    #[test]
    fn silent_connections_leave_room_once_they_are_gone() {
        let admin = admin(&Readiness::default());
        let silent: Vec<StdStream> =
            (0..MAX_CONNECTIONS).map(|_| StdStream::connect(admin.address()).unwrap()).collect();
        drop(silent);
        assert!(get(&admin, "GET", "/livez").starts_with("HTTP/1.1 200"));
    }

    #[test]
    fn an_address_in_use_is_an_error() {
        let first = admin(&Readiness::default());
        let second = Admin::start(first.address(), Registry::new(), Readiness::default());
        assert_eq!(second.err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
    }
}
