//! The links of this host, as the kernel shows them in /sys and /proc.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// The most links that are asked on.
const MAX_LINKS: usize = 16;

/// Interface flags of netdevice(7).
const UP: u32 = 0x1;
const LOOPBACK: u32 = 0x8;
const MULTICAST: u32 = 0x1000;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    name: String,
    index: u32,
    flags: u32,
    /// Networks that are reached without a gateway: address and mask.
    networks: Vec<(u32, u32)>,
}

impl Link {
    /// The interface `name`.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn named(name: &str) -> io::Result<Self> {
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no name of an interface"));
        }
        let shown = |file: &str| std::fs::read_to_string(Path::new("/sys/class/net").join(name).join(file));
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
        let index = shown("ifindex")?.trim().parse().map_err(invalid)?;
        let flags =
            u32::from_str_radix(shown("flags")?.trim().trim_start_matches("0x"), 16).map_err(invalid)?;
        let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
        Ok(Self { name: name.to_owned(), index, flags, networks: networks(&routes, name) })
    }

    /// All interfaces that are up and can do multicast, without loopback; at most 16.
    ///
    /// # Errors
    /// The list of interfaces cannot be read.
    pub fn all() -> io::Result<Vec<Self>> {
        let mut names: Vec<String> = std::fs::read_dir("/sys/class/net")?
            .filter_map(|e| e.ok()?.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        let links = names.iter().filter_map(|name| Self::named(name).ok());
        Ok(links.filter(Self::does_multicast).take(MAX_LINKS).collect())
    }

    /// The name of the interface.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The index of the interface.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    fn does_multicast(&self) -> bool {
        self.flags & UP != 0 && self.flags & MULTICAST != 0 && self.flags & LOOPBACK == 0
    }

    /// Whether an address is one of this link (RFC 6762 section 11): link-local, or in a network that is reached without a gateway.
    pub(super) fn has_neighbour(&self, address: IpAddr) -> bool {
        if self.flags & LOOPBACK != 0 {
            // Nobody but this host sends there.
            return true;
        }
        match address {
            IpAddr::V4(v4) => {
                v4.is_link_local() || self.networks.iter().any(|(net, mask)| u32::from(v4) & mask == *net)
            }
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        }
    }
}

/// The networks of `/proc/net/route` that lie on the link: no gateway, and not everything.
fn networks(routes: &str, link: &str) -> Vec<(u32, u32)> {
    let hex =
        |word: &str| u32::from_str_radix(word, 16).ok().map(|n| u32::from(Ipv4Addr::from(n.to_ne_bytes())));
    let network = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, destination, gateway, _, _, _, _, mask, ..] = words.as_slice() else { return None };
        let (destination, gateway, mask) = (hex(destination)?, hex(gateway)?, hex(mask)?);
        (*name == link && gateway == 0 && mask != 0).then_some((destination & mask, mask))
    };
    routes.lines().skip(1).filter_map(network).take(64).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// As the kernel shows it on a little-endian machine.
    #[cfg(target_endian = "little")]
    const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
        eth0\t006433C6\t010200C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
        eth1\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n";

    #[cfg(target_endian = "little")]
    #[test]
    fn neighbours_are_link_local_or_in_a_network_without_gateway() {
        let link =
            Link { name: "eth0".into(), index: 2, flags: UP | MULTICAST, networks: networks(ROUTES, "eth0") };
        for (address, expected) in [
            ("192.0.2.77", true),
            ("169.254.3.4", true),
            ("fe80::1", true),
            ("198.51.100.1", false),
            ("10.0.0.1", false),
            ("203.0.113.1", false),
            ("2001:db8::1", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(link.has_neighbour(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn loopback_is_known_and_never_among_all() {
        assert_eq!(Link::named("lo").unwrap().name(), "lo");
        assert!(Link::all().unwrap().iter().all(|link| link.name() != "lo"));
        for bad in ["", "..", "a/b", "no-such-interface"] {
            assert!(Link::named(bad).is_err(), "{bad}");
        }
    }
}
