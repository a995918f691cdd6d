//! The PROXY protocol, version 2, as it is sent to the upstream (R4).
//!
//! Always there: the addresses, ALPN and the server name if there is one, and the SSL TLV with PP2_CLIENT_SSL. Only where the policy passes the
//! authentication on: the certificate bits, a verify result of zero, the CN, and the verified peer name in [`PP2_TYPE_PEER_NAME`].
//! Otherwise verify is [`NOT_VERIFIED`].

use std::net::{IpAddr, SocketAddr};

use revouch_validator::verdict::ForwardedIdentity;

/// The verified peer name: the confirmed name or address, or a person's subject. Of the range for custom types.
pub const PP2_TYPE_PEER_NAME: u8 = 0xe0;
/// The verify result where no authentication is passed on.
pub const NOT_VERIFIED: u32 = 1;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const PP2_TYPE_ALPN: u8 = 0x01;
const PP2_TYPE_AUTHORITY: u8 = 0x02;
const PP2_TYPE_SSL: u8 = 0x20;
const PP2_SUBTYPE_SSL_VERSION: u8 = 0x21;
const PP2_SUBTYPE_SSL_CN: u8 = 0x22;
const PP2_CLIENT_SSL: u8 = 0x01;
const PP2_CLIENT_CERT_CONN: u8 = 0x02;
const PP2_CLIENT_CERT_SESS: u8 = 0x04;
/// The longest value that is sent; longer ones are cut. Names and subjects are bounded below that.
const MAX_VALUE: usize = 1024;

/// What the header tells.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// The peer's address.
    pub source: SocketAddr,
    /// The address that the peer connected to.
    pub destination: SocketAddr,
    /// The application protocol that was agreed on.
    pub alpn: Option<&'a [u8]>,
    /// The server name that the peer asked for.
    pub server_name: Option<&'a str>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub tls_version: Option<&'a str>,
    /// Who the peer is, where that is passed on.
    pub identity: Option<&'a ForwardedIdentity>,
}

impl Header<'_> {
    /// The octets of the header.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(256);
        let family = addresses(&mut body, self.source, self.destination);
        if let Some(alpn) = self.alpn {
            tlv(&mut body, PP2_TYPE_ALPN, alpn);
        }
        if let Some(name) = self.server_name {
            tlv(&mut body, PP2_TYPE_AUTHORITY, name.as_bytes());
        }
        tlv(&mut body, PP2_TYPE_SSL, &self.ssl());
        if let Some(identity) = self.identity {
            tlv(&mut body, PP2_TYPE_PEER_NAME, identity.verified_name.as_bytes());
        }
        let mut header = SIGNATURE.to_vec();
        header.extend([PROXY, family]);
        header.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
        header.extend(body);
        header
    }

    fn ssl(&self) -> Vec<u8> {
        let (bits, verify) = match self.identity {
            Some(_) => (PP2_CLIENT_SSL | PP2_CLIENT_CERT_CONN | PP2_CLIENT_CERT_SESS, 0),
            None => (PP2_CLIENT_SSL, NOT_VERIFIED),
        };
        let mut value = vec![bits];
        value.extend(u32::to_be_bytes(verify));
        if let Some(version) = self.tls_version {
            tlv(&mut value, PP2_SUBTYPE_SSL_VERSION, version.as_bytes());
        }
        if let Some(name) = self.identity.and_then(|identity| identity.common_name.as_deref()) {
            tlv(&mut value, PP2_SUBTYPE_SSL_CN, name.as_bytes());
        }
        value
    }
}

/// Both addresses in one family: IPv4 if both are, mapped ones included, else IPv6.
fn addresses(body: &mut Vec<u8>, source: SocketAddr, destination: SocketAddr) -> u8 {
    let family = match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            body.extend(from.octets());
            body.extend(to.octets());
            TCP4
        }
        (from, to) => {
            for address in [from, to] {
                let v6 = match address {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                };
                body.extend(v6.octets());
            }
            TCP6
        }
    };
    body.extend(source.port().to_be_bytes());
    body.extend(destination.port().to_be_bytes());
    family
}

fn tlv(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let value = value.get(..MAX_VALUE.min(value.len())).unwrap_or_default();
    out.push(kind);
    out.extend(u16::try_from(value.len()).unwrap_or(0).to_be_bytes());
    out.extend(value);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn header<'a>(source: &str, identity: Option<&'a ForwardedIdentity>) -> Header<'a> {
        Header {
            source: source.parse().unwrap(),
            destination: "192.0.2.9:8443".parse().unwrap(),
            alpn: Some(b"h2"),
            server_name: Some("a.b"),
            tls_version: Some("TLSv1.3"),
            identity,
        }
    }

    #[test]
    fn without_identity_the_certificate_bits_are_clear_and_verify_is_not_zero() {
        let mut expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
        expected.extend([0, 12 + 5 + 6 + 3 + 5 + 10]);
        expected.extend([192, 0, 2, 1, 192, 0, 2, 9, 0x10, 0, 0x20, 0xfb]);
        expected.extend(b"\x01\0\x02h2\x02\0\x03a.b\x20\0\x0f\x01\0\0\0\x01\x21\0\x07TLSv1.3");
        assert_eq!(header("192.0.2.1:4096", None).encode(), expected);
        assert_eq!(header("[::ffff:192.0.2.1]:4096", None).encode(), expected);
    }

    #[test]
    fn an_identity_sets_the_bits_clears_verify_and_names_the_peer() {
        let identity = ForwardedIdentity { verified_name: "gw1.x".into(), common_name: Some("gw1.x".into()) };
        let octets = header("192.0.2.1:4096", Some(&identity)).encode();
        let tail = b"\x20\0\x17\x07\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x05gw1.x\xe0\0\x05gw1.x";
        assert!(octets.ends_with(tail), "{octets:?}");
    }

    #[test]
    fn mixed_families_are_sent_as_ipv6() {
        let octets = header("[2001:db8::1]:1", None).encode();
        assert_eq!(octets.get(13), Some(&TCP6));
        assert_eq!(
            octets.get(32..48),
            Some(&"::ffff:192.0.2.9".parse::<std::net::Ipv6Addr>().unwrap().octets()[..])
        );
    }

    #[test]
    fn a_name_out_of_bounds_is_cut() {
        let identity =
            ForwardedIdentity { verified_name: "n".repeat(100_000), common_name: Some("c".repeat(100_000)) };
        let octets = header("192.0.2.1:1", Some(&identity)).encode();
        let length = u16::from_be_bytes([octets[14], octets[15]]);
        assert_eq!(usize::from(length), octets.len() - 16);
    }
}
