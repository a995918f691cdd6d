//! The system's DNS servers, from the `nameserver` lines of resolv.conf.
//!
//! Nothing else of that file is read: no search list, no options; and never /etc/hosts. As the C library does, only the first
//! [`MAX_NAMESERVERS`] count.

use std::fmt;
use std::io::Read;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::Path;

use revouch_validator::escape::escape;

/// How many `nameserver` lines count (`MAXNS` of resolver(5)).
pub const MAX_NAMESERVERS: usize = 3;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 16;

/// The port that a resolv.conf means.
const PORT: u16 = 53;

/// Reads the servers of the file at `path`, usually `/etc/resolv.conf`. A symbolic link is followed.
///
/// # Errors
/// The file cannot be read, has a `nameserver` line that is no address, or none at all.
pub fn servers(path: &Path) -> Result<Vec<SocketAddr>, ResolvConfError> {
    let unreadable =
        |error: std::io::Error| ResolvConfError::Unreadable(path.display().to_string(), error.to_string());
    let mut octets = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE).read_to_end(&mut octets).map_err(unreadable)?;
    parse(&String::from_utf8_lossy(&octets))
}

/// Reads the servers of the text of a resolv.conf. `%scope` of a link-local address may be an index or the name of an interface.
///
/// # Errors
/// As [`servers`].
pub fn parse(text: &str) -> Result<Vec<SocketAddr>, ResolvConfError> {
    let mut servers = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        let word = words.next().unwrap_or_default();
        let bad = || ResolvConfError::BadAddress { line: index + 1, text: escape(word) };
        let server = address(word).ok_or_else(bad)?;
        if !servers.contains(&server) {
            servers.push(server);
        }
        if servers.len() == MAX_NAMESERVERS {
            break;
        }
    }
    if servers.is_empty() { Err(ResolvConfError::NoServer) } else { Ok(servers) }
}

/// An address with an optional scope.
fn address(word: &str) -> Option<SocketAddr> {
    let Some((address, scope)) = word.split_once('%') else {
        return word.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT));
    };
    let address: Ipv6Addr = address.parse().ok()?;
    let scope = scope.parse().ok().or_else(|| interface_index(scope))?;
    Some(SocketAddrV6::new(address, PORT, 0, scope).into())
}

/// The index of an interface, as the kernel shows it.
fn interface_index(name: &str) -> Option<u32> {
    let plain = !name.is_empty()
        && name.len() < 16
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
    if !plain || name.starts_with('.') {
        return None;
    }
    let shown = std::fs::read_to_string(Path::new("/sys/class/net").join(name).join("ifindex")).ok()?;
    shown.trim().parse().ok()
}

/// Why the system's servers are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolvConfError {
    /// The file, and why it cannot be read.
    Unreadable(String, String),
    /// A `nameserver` line without an address, or with an unknown scope.
    BadAddress {
        /// Counted from 1.
        line: usize,
        /// What stands there, escaped.
        text: String,
    },
    /// No `nameserver` line.
    NoServer,
}

impl fmt::Display for ResolvConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, why) => write!(f, "cannot read {path}: {why} (name the DNS servers in a ResolverOverride for zone \".\")"),
            Self::BadAddress { line, text } => write!(f, "resolv.conf line {line}: \"{text}\" is no IP address of a DNS server"),
            Self::NoServer => {
                f.write_str("resolv.conf has no nameserver line: name the DNS servers in a ResolverOverride for zone \".\"")
            }
        }
    }
}

impl std::error::Error for ResolvConfError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn nameserver_lines_count_and_nothing_else() {
        let text = "# nameserver 192.0.2.9\n; nameserver 192.0.2.8\nsearch corp.example\noptions ndots:5\n\
                    nameserver 192.0.2.1\n\tnameserver\t2001:db8::53 # trailing\nnameserver 192.0.2.1\nnameservers 192.0.2.7\n";
        let expected: [SocketAddr; 2] =
            ["192.0.2.1:53".parse().unwrap(), "[2001:db8::53]:53".parse().unwrap()];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn only_three_servers_count() {
        let text: String = (1..=5).map(|i| format!("nameserver 192.0.2.{i}\n")).collect();
        assert_eq!(parse(&text).unwrap().len(), MAX_NAMESERVERS);
    }

    #[test]
    fn scopes_are_kept() {
        let expected = SocketAddrV6::new("fe80::1".parse().unwrap(), 53, 0, 7);
        assert_eq!(parse("nameserver fe80::1%7").unwrap(), [SocketAddr::from(expected)]);
        for bad in ["fe80::1%../../etc", "fe80::1%", "192.0.2.1%1", "fe80::1%no-such-if0"] {
            assert!(
                matches!(
                    parse(&format!("nameserver {bad}")),
                    Err(ResolvConfError::BadAddress { line: 1, .. })
                ),
                "{bad}"
            );
        }
    }

    #[test]
    fn missing_and_unusable_files_have_clear_errors() {
        assert_eq!(parse("search x\n"), Err(ResolvConfError::NoServer));
        assert_eq!(parse("nameserver"), Err(ResolvConfError::BadAddress { line: 1, text: String::new() }));
        let error = parse("\nnameserver \u{202e}dns").unwrap_err();
        assert!(error.to_string().is_ascii() && error.to_string().contains("line 2"), "{error}");
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(servers(directory.path()), Err(ResolvConfError::Unreadable(..))));
        let target = directory.path().join("stub");
        std::fs::write(&target, "nameserver 127.0.0.53\n").unwrap();
        let link = directory.path().join("resolv.conf");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(servers(&link).unwrap(), ["127.0.0.53:53".parse().unwrap()]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
