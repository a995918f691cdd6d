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
    /// The options again, each behind a space, to be pasted into a shell.
    pub(crate) fn as_words(&self) -> String {
        let mut words = String::new();
        if !self.resolver.is_empty() {
            let servers: Vec<String> = self.resolver.iter().map(ToString::to_string).collect();
            words.push_str(&format!(" --resolver {}", quoted(&servers.join(","))));
        }
        if let Some(path) = &self.trust_anchor {
            words.push_str(&format!(" --trust-anchor {}", quoted(&path.display().to_string())));
        }
        words
    }

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

/// A word as a shell reads it back, in quotes if it has to be.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
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
    #![allow(clippy::unwrap_used, reason = "tests")]

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

    #[test]
    fn the_options_are_told_as_words_of_a_shell() {
        let told = |path: Option<&str>| {
            AskingArgs {
                resolver: vec![server("192.0.2.53").unwrap(), server("::1").unwrap()],
                trust_anchor: path.map(PathBuf::from),
            }
            .as_words()
        };
        assert_eq!(told(None), " --resolver '192.0.2.53:53,[::1]:53'");
        assert_eq!(
            told(Some("a/root.key")),
            " --resolver '192.0.2.53:53,[::1]:53' --trust-anchor a/root.key"
        );
        assert_eq!(told(Some("it's;x")), r" --resolver '192.0.2.53:53,[::1]:53' --trust-anchor 'it'\''s;x'");
        assert_eq!(AskingArgs { resolver: vec![], trust_anchor: None }.as_words(), "");
    }
}
