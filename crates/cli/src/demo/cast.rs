//! The demo's peers: who they are, where they come from, and what the rules say of them.

use std::net::SocketAddr;

use revouch_lab::Identity;

use super::stage::address;

/// Everybody.
pub(super) struct Cast {
    pub(super) members: Vec<Member>,
}

/// One peer.
pub(super) struct Member {
    /// Where it comes from; port 0 is any.
    pub(super) source: SocketAddr,
    pub(super) who: &'static str,
    /// What the rules say: `accepted IDENTITY` or `refused REASON`.
    pub(super) expected: &'static str,
    /// What it presents.
    pub(super) identity: Option<Identity>,
    /// The server name that it asks for.
    pub(super) server_name: &'static str,
}

impl Member {
    pub(super) fn new(number: u8, who: &'static str, expected: &'static str) -> Self {
        let source = SocketAddr::new(address(number), 0);
        Self { source, who, expected, identity: None, server_name: "demo.test" }
    }

    pub(super) fn with(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    pub(super) fn at_port(mut self, port: u16) -> Self {
        self.source.set_port(port);
        self
    }

    pub(super) fn asking_for(mut self, server_name: &'static str) -> Self {
        self.server_name = server_name;
        self
    }
}
