//! Listening sockets: how they are made, and what is said when they cannot be.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::upstream::keepalive;

/// How many connections the kernel holds until they are accepted; it may cap this.
const BACKLOG: i32 = 4096;

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the address was for: `listener api`, `metrics`.
    pub purpose: String,
    /// What the system said.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, purpose, error } = self;
        write!(f, "{purpose}: cannot listen on {address}: {error}. ")?;
        let port = address.port();
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                write!(
                    f,
                    "Another process has this port (see `ss -ltnp 'sport = :{port}'`): stop it, or choose another address"
                )
            }
            io::ErrorKind::PermissionDenied => write!(
                f,
                "Ports below 1024 need a privilege: AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit, or a higher port"
            ),
            io::ErrorKind::AddrNotAvailable => {
                write!(
                    f,
                    "No interface of this machine has this address: correct it, or bind to 0.0.0.0 or [::]"
                )
            }
            io::ErrorKind::Other => Ok(()),
            _ => write!(f, "Choose another address"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Makes a listening socket, not blocking. One on `[::]` takes IPv4 too, unless it is to be `v6_only`.
///
/// # Errors
/// The address cannot be bound.
pub(super) fn listen(address: SocketAddr, purpose: &str, v6_only: bool) -> Result<TcpListener, BindError> {
    let bound = listen_raw(address, v6_only);
    bound.map_err(|error| BindError { address, purpose: purpose.to_owned(), error })
}

/// Whether a socket on `[::]` leaves IPv4 alone: where `alongside` has the IPv4 wildcard with the same port.
pub(super) fn leaves_v4_alone(address: SocketAddr, alongside: &[SocketAddr]) -> bool {
    let v4_wildcard = |other: &SocketAddr| {
        matches!(other.ip(), IpAddr::V4(v4) if v4.is_unspecified()) && other.port() == address.port()
    };
    address.is_ipv6() && address.ip().is_unspecified() && alongside.iter().any(v4_wildcard)
}

fn listen_raw(address: SocketAddr, v6_only: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Else a restart would have to wait until the last connections of the old process are forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(v6_only)?;
    }
    socket.set_nonblocking(true)?;
    // What is accepted inherits these. Without the first a peer that vanished (no FIN, no reset) would keep its place until the idle deadline;
    // Nagle's algorithm only delays.
    socket.set_tcp_keepalive(&keepalive())?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_a_remedy() {
        let first = listen("127.0.0.1:0".parse().unwrap(), "listener api", false).unwrap();
        let address = first.local_addr().unwrap();
        let error = listen(address, "listener api", false).unwrap_err().to_string();
        assert!(error.contains(&format!("listener api: cannot listen on {address}")), "{error}");
        assert!(error.contains("Another process has this port"), "{error}");
    }

    #[test]
    fn an_address_of_another_machine_is_named_with_a_remedy() {
        let error = listen("192.0.2.1:0".parse().unwrap(), "metrics", false).unwrap_err().to_string();
        assert!(error.contains("No interface of this machine"), "{error}");
    }

    #[test]
    fn what_is_accepted_finds_out_that_its_peer_has_vanished_and_delays_nothing() {
        let socket = listen("127.0.0.1:0".parse().unwrap(), "listener api", false).unwrap();
        let _peer = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(false).unwrap();
        let (accepted, _) = socket.accept().unwrap();
        let accepted = socket2::SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap() && accepted.tcp_nodelay().unwrap());
        let times = (accepted.tcp_keepalive_time().unwrap(), accepted.tcp_keepalive_interval().unwrap());
        assert_eq!(
            (times, accepted.tcp_keepalive_retries().unwrap()),
            ((Duration::from_secs(120), Duration::from_secs(30)), 4)
        );
    }

    #[test]
    fn the_v6_wildcard_takes_v4_unless_v4_has_a_socket_of_its_own() {
        let v6: SocketAddr = "[::]:0".parse().unwrap();
        let both = listen(v6, "listener api", false).unwrap();
        let port = both.local_addr().unwrap().port();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        let v4 = SocketAddr::new("0.0.0.0".parse().unwrap(), 8443);
        assert!(leaves_v4_alone("[::]:8443".parse().unwrap(), &[v4]));
        assert!(!leaves_v4_alone("[::]:8444".parse().unwrap(), &[v4]));
    }
}
