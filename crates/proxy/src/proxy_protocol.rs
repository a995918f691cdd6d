//! The PROXY protocol, version 2, as it is sent to the upstream (R4).
//!
//! Always there: the addresses, ALPN and the server name if there is one, and the SSL TLV with PP2_CLIENT_SSL. Only where the policy
//! passes the authentication on: the certificate bits, a verify result of zero, the CN, and the verified peer name in
//! [`PP2_TYPE_PEER_NAME`]. Otherwise verify is [`NOT_VERIFIED`].
//!
//! Promises: a name is sent whole or not at all. One that is too long, or holds a control character, could be taken for another
//! name by an upstream that cuts it or stops at a NUL. A peer whose verified name cannot be sent is sent as not authenticated.

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
/// The longest value that is sent, in octets: common upstreams read headers of a few kilobytes and no more.
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
            name_tlv(&mut body, PP2_TYPE_AUTHORITY, name);
        }
        tlv(&mut body, PP2_TYPE_SSL, &self.ssl());
        if let Some(identity) = self.identity() {
            name_tlv(&mut body, PP2_TYPE_PEER_NAME, &identity.verified_name);
        }
        let mut header = SIGNATURE.to_vec();
        header.extend([PROXY, family]);
        header.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
        header.extend(body);
        header
    }

    fn identity(&self) -> Option<&ForwardedIdentity> {
        self.identity.filter(|identity| can_be_sent(&identity.verified_name))
    }

    fn ssl(&self) -> Vec<u8> {
        let identity = self.identity();
        let (bits, verify) = match identity {
            Some(_) => (PP2_CLIENT_SSL | PP2_CLIENT_CERT_CONN | PP2_CLIENT_CERT_SESS, 0),
            None => (PP2_CLIENT_SSL, NOT_VERIFIED),
        };
        let mut value = vec![bits];
        value.extend(u32::to_be_bytes(verify));
        if let Some(version) = self.tls_version {
            tlv(&mut value, PP2_SUBTYPE_SSL_VERSION, version.as_bytes());
        }
        if let Some(name) = identity.and_then(|identity| identity.common_name.as_deref()) {
            name_tlv(&mut value, PP2_SUBTYPE_SSL_CN, name);
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

/// A name, whole or not at all.
fn name_tlv(out: &mut Vec<u8>, kind: u8, name: &str) {
    if can_be_sent(name) {
        tlv(out, kind, name.as_bytes());
    }
}

fn can_be_sent(name: &str) -> bool {
    (1..=MAX_VALUE).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// A value of at most [`MAX_VALUE`] octets; a longer one is left out.
fn tlv(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let length = u16::try_from(value.len()).ok().filter(|_| value.len() <= MAX_VALUE);
    if let Some(length) = length {
        out.push(kind);
        out.extend(length.to_be_bytes());
        out.extend(value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use revouch_testbed::ProxyHeader;

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
    fn ipv6_is_sent_as_it_is() {
        let header = Header {
            destination: "[2001:db8::2]:443".parse().unwrap(),
            alpn: None,
            server_name: None,
            tls_version: None,
            ..header("[2001:db8::1]:4096", None)
        };
        let mut expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x2c".to_vec();
        expected.extend("2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
        expected.extend("2001:db8::2".parse::<std::net::Ipv6Addr>().unwrap().octets());
        expected.extend([0x10, 0, 0x01, 0xbb]);
        expected.extend(b"\x20\0\x05\x01\0\0\0\x01");
        assert_eq!(header.encode(), expected);
    }

    #[test]
    fn a_peer_whose_name_could_be_taken_for_another_is_not_passed_on() {
        for name in
            ["n".repeat(MAX_VALUE + 1), "admin\0.evil.example".to_owned(), "a\nb".to_owned(), String::new()]
        {
            let identity = ForwardedIdentity { verified_name: name.clone(), common_name: Some(name) };
            let octets = header("192.0.2.1:1", Some(&identity)).encode();
            let (seen, length) = ProxyHeader::parse(&octets).unwrap();
            assert_eq!(length, octets.len());
            assert_eq!(seen.tlv(PP2_TYPE_PEER_NAME), None);
            let ssl = seen.ssl().unwrap();
            assert_eq!((ssl.client, ssl.verify, ssl.common_name()), (1, NOT_VERIFIED, None));
        }
    }

    fn address() -> impl Strategy<Value = SocketAddr> {
        (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_as_meant(
            source in address(), destination in address(), alpn in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..256)),
            server_name in proptest::option::of("[a-z0-9.-]{1,255}"), name in ".{0,1200}", cn in proptest::option::of(".{0,80}"),
            passed in any::<bool>(),
        ) {
            let identity = ForwardedIdentity { verified_name: name.clone(), common_name: cn.clone() };
            let header = Header {
                source, destination, alpn: alpn.as_deref(), server_name: server_name.as_deref(), tls_version: Some("TLSv1.2"),
                identity: passed.then_some(&identity),
            };
            let mut octets = header.encode();
            let whole = octets.len();
            octets.extend(b"first octets of the peer");
            let (seen, length) = ProxyHeader::parse(&octets).unwrap();
            prop_assert_eq!(length, whole);
            let told = seen.addresses.map(|(from, to)| [from, to].map(|a| (a.ip().to_canonical(), a.port())));
            prop_assert_eq!(told, Some([source, destination].map(|a| (a.ip().to_canonical(), a.port()))));
            prop_assert_eq!(seen.tlv(PP2_TYPE_ALPN), alpn.as_deref());
            prop_assert_eq!(seen.tlv(PP2_TYPE_AUTHORITY), server_name.as_deref().map(str::as_bytes));
            let ssl = seen.ssl().unwrap();
            let sent = |name: &str| (1..=MAX_VALUE).contains(&name.len()) && !name.chars().any(char::is_control);
            let passed = passed && sent(&name);
            prop_assert_eq!((ssl.client, ssl.verify == 0), if passed { (7, true) } else { (1, false) });
            prop_assert_eq!(seen.tlv(PP2_TYPE_PEER_NAME), passed.then_some(name.as_bytes()));
            prop_assert_eq!(ssl.common_name(), cn.filter(|cn| passed && sent(cn)));
        }
    }
}
