//! A way around: for programs that cannot choose the address that they come from.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Peer;

/// Passes one connection on, octet by octet, from a source address. Dropping it cuts the connection.
pub(super) struct Relay {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Waits for one connection on loopback; its other end comes from `source`.
    pub(super) async fn start(source: IpAddr, acceptor: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let Ok((mut near, _)) = listener.accept().await else { return };
            let Ok(mut far) = Peer::from(source).connect_tcp(acceptor).await else { return };
            // Whatever ends it, both ends see it.
            drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
        });
        Ok(Self { address, _tasks: tasks })
    }

    /// Where to connect to.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}
