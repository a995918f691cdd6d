//! An upstream service: it echoes, and remembers what came first.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

use crate::proxy_header::{ProxyHeader, SIGNATURE};

/// Octets after the PROXY header that are remembered of each connection.
const MAX_FIRST: usize = 4_096;
/// Connections that are remembered; later ones are only counted.
const MAX_REMEMBERED: usize = 4_096;
/// The longest PROXY header: 16 octets and a length of 16 bits.
const MAX_HEADER: usize = 16 + 65_535;

/// A running backend. Dropping it closes its sockets and connections.
///
/// Whatever comes is sent back, but a PROXY protocol v2 header at the start, which is taken off and remembered. When
/// the other side closes its direction, the rest is echoed and then this direction closed.
pub struct Backend {
    address: Option<SocketAddr>,
    path: Option<PathBuf>,
    record: Arc<Mutex<Record>>,
    _tasks: JoinSet<()>,
}

/// What one connection brought.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The PROXY header's octets, if there was one.
    pub header: Option<Vec<u8>>,
    /// The first octets behind it, at most 4,096.
    pub first: Vec<u8>,
    /// The other side closed its direction properly.
    pub half_closed: bool,
}

impl Seen {
    /// The PROXY header, taken apart; `None` if there was none or it is malformed.
    pub fn proxy_header(&self) -> Option<ProxyHeader> {
        ProxyHeader::parse(self.header.as_ref()?).map(|(header, _)| header)
    }
}

#[derive(Default)]
struct Record {
    connections: usize,
    live: usize,
    octets: u64,
    seen: Vec<Seen>,
}

impl Backend {
    /// An echo service on 127.0.0.1.
    ///
    /// # Errors
    /// The socket cannot be bound.
    pub async fn tcp() -> io::Result<Self> {
        Self::tcp_on(IpAddr::V4(Ipv4Addr::LOCALHOST)).await
    }

    /// An echo service on this address, on a free port.
    ///
    /// # Errors
    /// The socket cannot be bound.
    pub async fn tcp_on(address: IpAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((address, 0)).await?;
        let address = listener.local_addr()?;
        let record = Arc::new(Mutex::new(Record::default()));
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&record);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Ok(Self { address: Some(address), path: None, record, _tasks: tasks })
    }

    /// An echo service on a Unix socket, which is removed with the backend.
    ///
    /// # Errors
    /// The socket cannot be bound.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let record = Arc::new(Mutex::new(Record::default()));
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&record);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Ok(Self { address: None, path: Some(path.to_owned()), record, _tasks: tasks })
    }

    /// The TCP address; `None` for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The path of the Unix socket.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        lock(&self.record).connections
    }

    /// Connections that have not ended.
    pub fn live(&self) -> usize {
        lock(&self.record).live
    }

    /// Octets received on all connections, headers not counted.
    pub fn octets(&self) -> u64 {
        lock(&self.record).octets
    }

    /// What each connection brought so far, in the order in which they came.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.record).seen.clone()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // It may be gone already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// One connection's place in the record; counts it as live until dropped.
struct Ticket {
    record: Arc<Mutex<Record>>,
    index: usize,
}

impl Ticket {
    fn take(record: Arc<Mutex<Record>>) -> Self {
        let mut entries = lock(&record);
        entries.connections += 1;
        entries.live += 1;
        let index = entries.seen.len();
        if index < MAX_REMEMBERED {
            entries.seen.push(Seen::default());
        }
        drop(entries);
        Self { record, index }
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        // A connection beyond the remembered ones has no entry.
        if let Some(seen) = lock(&self.record).seen.get_mut(self.index) {
            change(seen);
        }
    }

    fn received(&self, octets: &[u8]) {
        lock(&self.record).octets += octets.len() as u64;
        self.note(|seen| {
            let room = MAX_FIRST.saturating_sub(seen.first.len());
            seen.first.extend(octets.iter().take(room));
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.record).live -= 1;
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, record: Arc<Mutex<Record>>) {
    let ticket = Ticket::take(record);
    // A connection that breaks is at its end like any other.
    if echo(&mut stream, &ticket).await.is_ok() {
        ticket.note(|seen| seen.half_closed = true);
        let _ = stream.shutdown().await;
    }
}

async fn echo(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), ticket: &Ticket) -> io::Result<()> {
    let mut start = Vec::new();
    let (header, whole) = loop {
        match header_length(&start) {
            Some(length) if start.len() >= length => break (length, true),
            None => break (0, true),
            Some(_) => {}
        }
        if start.len() > MAX_HEADER || stream.read_buf(&mut start).await? == 0 {
            break (0, false);
        }
    };
    let payload = start.split_off(header);
    if header > 0 {
        ticket.note(|seen| seen.header = Some(start));
    }
    ticket.received(&payload);
    stream.write_all(&payload).await?;
    let mut buffer = vec![0; 16 * 1_024];
    if !whole {
        return Ok(());
    }
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let octets = buffer.get(..count).unwrap_or_default();
        ticket.received(octets);
        stream.write_all(octets).await?;
    }
}

/// Octets to have before it is clear what a connection starts with; `None`: not a PROXY header.
fn header_length(start: &[u8]) -> Option<usize> {
    match start.strip_prefix(&SIGNATURE) {
        Some(&[_, _, high, low, ..]) => Some(16 + usize::from(u16::from_be_bytes([high, low]))),
        Some(_) => Some(16),
        None => SIGNATURE.starts_with(start).then_some(16),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
