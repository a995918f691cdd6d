//! The options that say whom to ask, the same for `check` and `dns`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use revouch_resolver::anchors::Anchors;
use revouch_resolver::upstream::{Protocol, Server};
use revouch_resolver::{Builder, Resolver};

use crate::exit::Failure;

#[derive(clap::Args)]
pub(crate) struct AskingArgs {
    /// DNS servers to ask instead of the system's, over UDP and TCP: addresses, each with a port if it is not 53.
    #[arg(long, value_name = "ADDR[,ADDR]", value_delimiter = ',', value_parser = server)]
    pub(crate) resolver: Vec<SocketAddr>,
    /// Trust these DNSKEY records instead of the keys of the root that IANA publishes.
    #[arg(long, value_name = "FILE")]
    pub(crate) trust_anchor: Option<PathBuf>,
}

impl AskingArgs {
    /// Puts what was given in the place of what the builder has.
    pub(crate) fn apply(&self, mut builder: Builder) -> Result<Builder, Failure> {
        if !self.resolver.is_empty() {
            let server = |address: &SocketAddr| Server { address: *address, protocol: Protocol::Udp };
            builder = builder.servers(self.resolver.iter().map(server).collect());
        }
        if let Some(path) = &self.trust_anchor {
            let anchors = Anchors::from_file(path)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            builder = builder.anchors(anchors);
        }
        Ok(builder)
    }
}

/// Builds a resolver. Must be called on a runtime.
pub(crate) fn build(builder: Builder) -> Result<Resolver, Failure> {
    builder
        .build()
        .map_err(|error| Failure::new(format!("{error}; --resolver ADDR names the servers to ask")))
}

fn server(text: &str) -> Result<SocketAddr, String> {
    const PORT: u16 = 53;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
    text.parse()
        .or_else(|_| with_port())
        .map_err(|_| "write an address as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_have_a_port() {
        for (text, expected) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            assert_eq!(server(text).map(|address| address.to_string()), Ok(expected.to_owned()));
        }
        assert!(server("ns.example").is_err() && server("").is_err());
    }
}
