//! What the decision knows of a connection besides its certificate.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// One inbound connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connection {
    source: IpAddr,
    /// The peer's port; 0 if it is not known (a check by hand without one).
    pub source_port: u16,
    /// The port that the listener is bound to: the default of `dns.ports` (R15 c).
    pub local_port: u16,
}

impl Connection {
    /// A connection from `source` to a listener's `local_port`. The address is made canonical (R3: IPv4-mapped is IPv4).
    #[must_use]
    pub fn new(source: SocketAddr, local_port: u16) -> Self {
        Self { source: source.ip().to_canonical(), source_port: source.port(), local_port }
    }

    /// The peer's address, canonical.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.source.to_canonical()
    }

    /// Whether the source address can belong to a peer at all: not unspecified, not multicast, not broadcast (`dns.md` section 2.1).
    #[must_use]
    pub fn source_is_usable(&self) -> bool {
        let source = self.source();
        let broadcast = matches!(source, IpAddr::V4(v4) if v4.is_broadcast());
        !source.is_unspecified() && !source.is_multicast() && !broadcast
    }
}
