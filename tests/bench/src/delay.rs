//! A long way between peer and program: a TCP relay in this process that hands every octet on half a round trip later.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::Outcome;
use crate::client::tcp;

/// Pieces that are on their way at a time; a handshake has a handful.
const PIECES: usize = 1024;

/// The last of a wait, which is spent awake.
const COARSE: Duration = Duration::from_millis(2);

/// A relay for one connection. It ends when this is dropped.
pub(crate) struct Delay {
    pub(crate) address: SocketAddr,
    _task: AbortOnDropHandle<io::Result<()>>,
}

impl Delay {
    /// Takes one connection and makes it again from `source` to `to`.
    pub(crate) async fn start(source: IpAddr, to: SocketAddr, round_trip: Duration) -> Outcome<Self> {
        let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            // Connected in advance: the figure begins with the ClientHello.
            let far = tcp(source, to).await?;
            let (near, _) = listener.accept().await?;
            near.set_nodelay(true)?;
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            let way = round_trip / 2;
            let there = carry(near_read, far_write, way);
            let back = carry(far_read, near_write, way);
            tokio::try_join!(there, back).map(drop)
        });
        Ok(Self { address, _task: AbortOnDropHandle::new(task) })
    }
}

/// Waits to the point: the runtime's timers count whole milliseconds, and rounding up four times would be half of a short round trip.
async fn until(when: Instant) {
    sleep_until(when - COARSE).await;
    while Instant::now() < when {
        tokio::task::yield_now().await;
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Duration) -> io::Result<()> {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let reading = async move {
        loop {
            let mut piece = Vec::with_capacity(16 * 1024);
            let read = from.read_buf(&mut piece).await?;
            if read == 0 || sender.send((Instant::now() + way, piece)).await.is_err() {
                return Ok::<(), io::Error>(());
            }
        }
    };
    let writing = async move {
        while let Some((when, piece)) = pieces.recv().await {
            until(when).await;
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(reading, writing).map(drop)
}
