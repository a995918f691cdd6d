//! A reader of PROXY protocol v2 headers, written from the specification and apart from the proxy's own writer, so that
//! the two check each other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The twelve octets that a header starts with.
pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// `PP2_TYPE_SSL`
pub const TLV_SSL: u8 = 0x20;
/// `PP2_SUBTYPE_SSL_CN`
pub const SUB_TLV_SSL_CN: u8 = 0x22;

/// A whole header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// False: LOCAL, the connection is the proxy's own.
    pub proxied: bool,
    /// Source and destination, if the family is TCP over IPv4 or IPv6.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// Type and value of each TLV, in order.
    pub tlvs: Vec<(u8, Vec<u8>)>,
}

/// The value of a `PP2_TYPE_SSL` TLV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SslTlv {
    /// Bits: 1 over TLS, 2 certificate on this connection, 4 certificate in this session.
    pub client: u8,
    /// Zero if the certificate was presented and verified.
    pub verify: u32,
    /// Type and value of each TLV inside.
    pub tlvs: Vec<(u8, Vec<u8>)>,
}

impl ProxyHeader {
    /// Reads a header and gives it with its length; `None` if the octets do not start with a whole, valid one.
    pub fn parse(octets: &[u8]) -> Option<(Self, usize)> {
        let rest = octets.strip_prefix(&SIGNATURE)?;
        let (&[version_command, family, high, low], rest) = rest.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let body = rest.get(..length)?;
        let proxied = match version_command {
            0x20 => false,
            0x21 => true,
            _ => return None,
        };
        let (addresses, tlvs) = match family {
            0x11 => {
                let (source, rest) = body.split_first_chunk::<4>()?;
                let (destination, rest) = rest.split_first_chunk::<4>()?;
                ports([Ipv4Addr::from(*source).into(), Ipv4Addr::from(*destination).into()], rest)?
            }
            0x21 => {
                let (source, rest) = body.split_first_chunk::<16>()?;
                let (destination, rest) = rest.split_first_chunk::<16>()?;
                ports([Ipv6Addr::from(*source).into(), Ipv6Addr::from(*destination).into()], rest)?
            }
            0x00 => (None, body),
            _ => return None,
        };
        Some((Self { proxied, addresses, tlvs: read_tlvs(tlvs)? }, 16 + length))
    }

    /// The first TLV of this type.
    pub fn tlv(&self, kind: u8) -> Option<&[u8]> {
        find(&self.tlvs, kind)
    }

    /// The SSL TLV, taken apart.
    pub fn ssl(&self) -> Option<SslTlv> {
        let (&[client, a, b, c, d], rest) = self.tlv(TLV_SSL)?.split_first_chunk::<5>()?;
        Some(SslTlv { client, verify: u32::from_be_bytes([a, b, c, d]), tlvs: read_tlvs(rest)? })
    }
}

impl SslTlv {
    /// The common name that was passed on.
    pub fn common_name(&self) -> Option<String> {
        find(&self.tlvs, SUB_TLV_SSL_CN).map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

type Addresses = Option<(SocketAddr, SocketAddr)>;

fn ports([source, destination]: [IpAddr; 2], rest: &[u8]) -> Option<(Addresses, &[u8])> {
    let (&[a, b, c, d], rest) = rest.split_first_chunk::<4>()?;
    let source = SocketAddr::new(source, u16::from_be_bytes([a, b]));
    Some((Some((source, SocketAddr::new(destination, u16::from_be_bytes([c, d])))), rest))
}

fn read_tlvs(mut octets: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut found = Vec::new();
    while !octets.is_empty() {
        let (&[kind, high, low], rest) = octets.split_first_chunk::<3>()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        found.push((kind, value.to_vec()));
        octets = rest;
    }
    Some(found)
}

fn find(tlvs: &[(u8, Vec<u8>)], kind: u8) -> Option<&[u8]> {
    tlvs.iter().find(|(other, _)| *other == kind).map(|(_, value)| value.as_slice())
}
