//! Where a bed lives: in a network namespace of its own if that can be had, else on loopback.
//!
//! The authoritative servers have addresses of their own, 127.0.0.1 and on, and one port in common, as delegations carry no ports. The
//! recursive servers are all on 127.0.0.1, each with a port of its own. (BIND listens only on addresses that an interface has by name, which of
//! 127.0.0.0/8 is the first alone; so it has that one.)
//!
//! In a namespace nothing outside can be reached and nothing outside is in the way, so the common port is 53, and the recursive servers start from
//! nothing but a root hint. A namespace takes root (`CAP_SYS_ADMIN`). It is made by `unshare` and held by a child that ends with this process;
//! threads move into it one by one, and what they start is in it from the start. It is gone when the child, the threads and the servers are.
//!
//! On loopback the common port is one that is free on all addresses. BIND can be told to send its questions there (`port`). Unbound sends them to
//! port 53 unless a stub zone says otherwise, so it gets a stub for every zone: it finds the same answers, but follows no delegation
//! on the way. Nothing else differs.

use std::fs::File;
use std::future::Future;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::free_ports;

/// How many authoritative servers there may be, on 127.0.0.1 and on.
const AUTHORITIES: u8 = 3;

/// How many recursive servers there may be.
const RECURSIVES: usize = 4;

/// Threads of the runtime that the work runs on.
const THREADS: usize = 2;

/// A place for servers.
#[derive(Clone)]
pub struct Place {
    namespace: Option<Arc<Namespace>>,
    port: u16,
    recursives: [SocketAddr; RECURSIVES],
}

impl Place {
    /// A namespace, or loopback if there can be none.
    fn find() -> io::Result<Self> {
        match Namespace::make() {
            Ok(namespace) => {
                let recursives = [5301, 5302, 5303, 5304].map(|port| SocketAddr::new(ip(1), port));
                Ok(Self { namespace: Some(Arc::new(namespace)), port: 53, recursives })
            }
            Err(why) => {
                note(&format!("no network namespace ({why}): the test bed is on loopback"));
                Self::loopback()
            }
        }
    }

    fn loopback() -> io::Result<Self> {
        Ok(Self { namespace: None, port: free_everywhere()?, recursives: free_ports(ip(1))? })
    }

    /// The address of the `number`th authoritative server, from 0.
    pub(super) fn authority(&self, number: u8) -> SocketAddr {
        SocketAddr::new(ip(number + 1), self.port)
    }

    /// The address of the `number`th recursive server, from 0.
    pub(super) fn recursive(&self, number: usize) -> SocketAddr {
        let [first, ..] = self.recursives;
        self.recursives.get(number).copied().unwrap_or(first)
    }

    /// Whether servers find each other by delegations alone.
    #[must_use]
    pub fn has_port_53(&self) -> bool {
        self.port == 53
    }

    fn enter(&self) -> io::Result<()> {
        self.namespace.as_ref().map_or(Ok(()), |namespace| namespace.enter())
    }
}

/// Runs `work` on a runtime all of whose threads are in a new place; a namespace if that can be had.
///
/// # Panics
/// The place, or a thread in it, cannot be had, or the work panics.
pub fn run<T: Send, F: Future<Output = T>>(work: impl FnOnce(Place) -> F + Send) -> T {
    run_in(Place::find(), of_many_threads, work)
}

/// As [`run`], on a runtime of one thread, as tests need that let time pass at will.
///
/// # Panics
/// As [`run`].
pub fn run_alone<T: Send, F: Future<Output = T>>(work: impl FnOnce(Place) -> F + Send) -> T {
    run_in(Place::find(), tokio::runtime::Builder::new_current_thread, work)
}

/// As [`run`], on loopback even where a namespace could be had.
///
/// # Panics
/// As [`run`].
pub fn run_on_loopback<T: Send, F: Future<Output = T>>(work: impl FnOnce(Place) -> F + Send) -> T {
    run_in(Place::loopback(), of_many_threads, work)
}

fn of_many_threads() -> tokio::runtime::Builder {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(THREADS);
    builder
}

#[allow(clippy::panic, reason = "a test cannot go on without")]
fn run_in<T: Send, F: Future<Output = T>>(
    place: io::Result<Place>,
    runtime: impl FnOnce() -> tokio::runtime::Builder + Send,
    work: impl FnOnce(Place) -> F + Send,
) -> T {
    let place = place.unwrap_or_else(|why| panic!("no place for the test bed: {why}"));
    let entered = |place: &Place| {
        place.enter().unwrap_or_else(|why| panic!("cannot move into the namespace: {why}"));
    };
    // A thread of its own, as one that has moved never comes back.
    let done = thread::scope(|scope| {
        let worker = scope.spawn(|| {
            entered(&place);
            let of_threads = place.clone();
            let runtime = runtime()
                .on_thread_start(move || entered(&of_threads))
                .enable_all()
                .build()
                .unwrap_or_else(|why| panic!("no runtime: {why}"));
            runtime.block_on(work(place.clone()))
        });
        worker.join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A network namespace with loopback up, and the child that holds it.
struct Namespace {
    holder: Child,
    handle: File,
}

impl Namespace {
    fn make() -> io::Result<Self> {
        // `cat` ends when this process does, however that happens.
        let mut holder = Command::new("unshare")
            .args([
                "--net",
                "sh",
                "-c",
                "PATH=$PATH:/usr/sbin:/sbin; ip link set lo up && echo up && exec cat",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let made = Self::held_by(&mut holder);
        match made {
            Ok(handle) => Ok(Self { holder, handle }),
            Err(error) => {
                end(&mut holder);
                Err(error)
            }
        }
    }

    fn held_by(holder: &mut Child) -> io::Result<File> {
        let mut said = String::new();
        if let Some(stdout) = holder.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        if said.trim() != "up" {
            return Err(io::Error::other("unshare or ip failed"));
        }
        let handle = File::open(format!("/proc/{}/ns/net", holder.id()))?;
        // Entering is tried out by a thread that ends at once.
        let tried = thread::scope(|scope| scope.spawn(|| move_into(&handle)).join());
        tried.unwrap_or_else(|_| Err(io::Error::other("the thread died")))?;
        Ok(handle)
    }

    fn enter(&self) -> io::Result<()> {
        move_into(&self.handle)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        end(&mut self.holder);
    }
}

fn move_into(handle: &File) -> io::Result<()> {
    Ok(move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))?)
}

fn end(child: &mut Child) {
    // An error means that it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

fn ip(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, number))
}

/// A port that was free on every address a moment ago.
fn free_everywhere() -> io::Result<u16> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..32 {
        let port = TcpListener::bind((ip(1), 0))?.local_addr()?.port();
        let held = (1..=AUTHORITIES).try_for_each(|number| {
            TcpListener::bind((ip(number), port)).and(UdpSocket::bind((ip(number), port))).map(drop)
        });
        match held {
            Ok(()) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[allow(clippy::print_stderr, reason = "whoever reads the test's output must know where it ran")]
fn note(text: &str) {
    eprintln!("{text}");
}
