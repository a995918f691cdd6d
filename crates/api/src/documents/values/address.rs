//! Addresses to listen on and to connect to. Names are not resolved: what is connected to must not depend on a DNS answer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::{BadValue, as_text, bad};

/// An IP address and a port, `192.0.2.1:443` or `[2001:db8::1]:443`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketAddress(pub SocketAddr);

/// An IP address, with or without a port: without, the port is that of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    /// The address.
    pub address: IpAddr,
    /// The port, if it is given.
    pub port: Option<u16>,
}

impl FromStr for SocketAddress {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        text.parse().map(Self).map_err(|_| {
            bad(text, "an IP address and a port are wanted, 192.0.2.1:443 or [2001:db8::1]:443 (names are not resolved)")
        })
    }
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ServerAddress {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let alone = text.parse().ok().map(|address| Self { address, port: None });
        let with_port = || {
            let socket: SocketAddr = text.parse().ok()?;
            Some(Self { address: socket.ip(), port: Some(socket.port()) })
        };
        alone.or_else(with_port).ok_or_else(|| {
            bad(text, "an IP address with or without a port is wanted, 192.0.2.53 or [2001:db8::53]:853")
        })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

as_text! { SocketAddress ServerAddress }
