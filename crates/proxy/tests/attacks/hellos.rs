//! First flights that are no ClientHello, or a strange one.

use revouch_testbed::Peer;
use revouch_validator::reason::Reason;
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519};

use crate::craft::{BOTH, Crafted, Version, config, provider};
use crate::seal::{HANDSHAKE, fragmented, message, record, records};
use crate::stage::{HELLO, Stage};
use crate::{leaves, open_stage, refused};

/// Extension numbers (RFC 8446 section 4.2 and the IANA registry).
const SERVER_NAME: u16 = 0;
const PADDING: u16 = 21;
const COMPRESS_CERTIFICATE: u16 = 27;
const SUPPORTED_VERSIONS: u16 = 43;
const POST_HANDSHAKE_AUTH: u16 = 49;
const CLIENT_CERTIFICATE_TYPE: u16 = 19;
const UNKNOWN: u16 = 0xfafa;

/// A ClientHello, taken apart: what stands before its extensions, and these.
struct Parts {
    head: Vec<u8>,
    extensions: Vec<(u16, Vec<u8>)>,
}

impl Parts {
    fn of(peer: &Crafted) -> Self {
        Self::read(&peer.hello())
    }

    /// Of the octets of one record.
    fn read(hello: &[u8]) -> Self {
        // Record and message headers, version and random; then session id, cipher suites and compression methods.
        let mut at = 5 + 4 + 2 + 32;
        at += 1 + usize::from(hello[at]);
        at += 2 + usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
        at += 1 + usize::from(hello[at]);
        let (head, mut rest) = (hello[9..at].to_vec(), &hello[at + 2..]);
        let mut extensions = Vec::new();
        while let [a, b, c, d, body @ ..] = rest {
            let (value, behind) = body.split_at(usize::from(u16::from_be_bytes([*c, *d])));
            extensions.push((u16::from_be_bytes([*a, *b]), value.to_vec()));
            rest = behind;
        }
        Self { head, extensions }
    }

    /// Before the others, as the last one may have to be the last.
    fn with(mut self, number: u16, value: &[u8]) -> Self {
        self.extensions.insert(0, (number, value.to_vec()));
        self
    }

    fn without(mut self, number: u16) -> Self {
        self.extensions.retain(|(known, _)| *known != number);
        self
    }

    fn version(mut self, version: u16) -> Self {
        self.head[..2].copy_from_slice(&version.to_be_bytes());
        self
    }

    /// The message, in records as long as they may be.
    fn octets(&self) -> Vec<u8> {
        let length = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
        let one = |(number, value): &(u16, Vec<u8>)| {
            [&number.to_be_bytes()[..], &length(value.len()), value].concat()
        };
        let extensions: Vec<u8> = self.extensions.iter().flat_map(one).collect();
        let body = [&self.head[..], &length(extensions.len()), &extensions].concat();
        message(1, &body).chunks(16 * 1024).flat_map(|part| record(HANDSHAKE, part)).collect()
    }
}

async fn fails(stage: &Stage, what: &str, octets: &[u8], alert: Option<u8>) {
    let number = stage.lines().len();
    let mut peer = Crafted::connect(stage, None, Version::Tls13).await;
    peer.send(octets).await;
    let end = peer.end().await;
    let line = refused(stage, number, Reason::HandshakeFailed).await;
    assert_eq!(end.alert, alert, "{what}: {line:?}");
    // Nothing was asked of the DNS.
    assert!(line.0["evidence_ms"].is_null(), "{what}: {line:?}");
}

#[tokio::test]
async fn what_is_no_client_hello_fails_and_asks_nothing_of_the_dns() {
    let stage = open_stage().await;
    // Not the total: the proxy tries its servers in its own time.
    let asked = || stage.dns.queries().count("1.0.1.127.in-addr.arpa", "PTR");
    // The alerts are the TLS library's; of some it says nothing.
    let version_2 = [0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10];
    for (what, octets, alert) in [
        ("HTTP", &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], Some(50)),
        ("SMTP", b"EHLO mx.example.test\r\n", Some(50)),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n", Some(50)),
        ("a PROXY header", b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0P\0P", Some(50)),
        ("SSL 2.0", &[&version_2[..], &[0; 40]].concat(), Some(50)),
        ("zeros", &[0; 600], Some(50)),
        ("an alert", &record(21, &[2, 40]), None),
        ("ChangeCipherSpec", &record(20, &[1]), None),
        ("data", &record(23, b"hello"), None),
        ("a heartbeat", &record(24, &[1, 0x40, 0]), Some(50)),
        ("an empty ClientHello", &record(HANDSHAKE, &message(1, &[])), Some(50)),
        ("a ServerHello", &record(HANDSHAKE, &message(2, &[0; 70])), Some(50)),
        ("a Finished", &record(HANDSHAKE, &message(20, &[0; 32])), None),
        ("an endless one", &record(HANDSHAKE, &[1, 0xff, 0xff, 0xff, 3, 3]), None),
        ("empty records", &record(HANDSHAKE, &[]).repeat(40), Some(50)),
    ] {
        fails(&stage, what, octets, alert).await;
    }
    assert_eq!(asked(), 0);
    stage.accepts(&stage.leaf(), crate::stage::NAME).await;
    assert!(asked() > 0);
}

#[tokio::test]
async fn versions_that_are_too_old_get_the_alert_for_that() {
    let stage = open_stage().await;
    let peer = Crafted::connect(&stage, None, Version::Tls12).await;
    for version in [0x0300, 0x0301, 0x0302] {
        let old = Parts::of(&peer).without(SUPPORTED_VERSIONS).version(version);
        fails_late(&stage, &format!("{version:x}"), &old.octets(), 70).await;
        let [high, low] = u16::to_be_bytes(version);
        let listed = Parts::of(&peer).without(SUPPORTED_VERSIONS).with(SUPPORTED_VERSIONS, &[2, high, low]);
        fails_late(&stage, &format!("{version:x} listed"), &listed.octets(), 70).await;
    }
}

/// A ClientHello that can be read, so that evidence is gathered, and cannot be answered.
async fn fails_late(stage: &Stage, what: &str, octets: &[u8], alert: u8) {
    let number = stage.lines().len();
    let mut peer = Crafted::connect(stage, None, Version::Tls13).await;
    peer.send(octets).await;
    let end = peer.end().await;
    let line = refused(stage, number, Reason::HandshakeFailed).await;
    assert_eq!(end.alert, Some(alert), "{what}: {line:?}");
    assert!(line.text("alert").is_some(), "{what}: {line:?}");
}

#[tokio::test]
async fn strange_extensions_change_nothing() {
    let stage = open_stage().await;
    let mut number = 0;
    for version in BOTH {
        for (what, extension, value) in [
            ("unknown", UNKNOWN, &[0; 100][..]),
            ("post-handshake authentication", POST_HANDSHAKE_AUTH, &[]),
            ("padding", PADDING, &[0; 500]),
            ("certificate compression", COMPRESS_CERTIFICATE, &[6, 0, 1, 0, 2, 0, 3]),
            ("X.509 or raw keys", CLIENT_CERTIFICATE_TYPE, &[2, 2, 0]),
        ] {
            // The transcripts differ, so that the proof fits no more: that it comes so far is what is looked at.
            let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), version).await;
            let octets = Parts::of(&peer).with(extension, value).octets();
            peer.send(&octets).await;
            let mut header = [0; 6];
            tokio::io::AsyncReadExt::read_exact(&mut peer.stream, &mut header).await.unwrap();
            assert_eq!((header[0], header[5]), (HANDSHAKE, 2), "{what} {version:?}");
            drop(peer);
            refused(&stage, number, Reason::HandshakeFailed).await;
            number += 1;
        }
        let peer = Crafted::connect(&stage, None, version).await;
        let raw = Parts::of(&peer).with(CLIENT_CERTIFICATE_TYPE, &[1, 2]).octets();
        let twice = Parts::of(&peer).with(UNKNOWN, &[]).with(UNKNOWN, &[]).octets();
        drop(peer);
        number += 1;
        stage.line(number - 1).await;
        let mut peer = Crafted::connect(&stage, None, version).await;
        peer.send(&raw).await;
        peer.end().await;
        refused(&stage, number, Reason::HandshakeFailed).await;
        number += 1;
        fails(&stage, "an extension twice", &twice, Some(50)).await;
        number += 1;
    }
}

#[tokio::test]
async fn strange_server_names_harm_nobody() {
    let stage = open_stage().await;
    let name = |name: &[u8]| {
        let length = |more: usize| u16::try_from(name.len() + more).unwrap().to_be_bytes();
        [&length(3)[..], &[0], &length(0), name].concat()
    };
    let long = [b'a'; 300];
    for (number, value) in [
        name(b"127.0.0.1"),
        name(b"::1"),
        name(b""),
        name(b"."),
        name(b"acceptor.example.test."),
        name(b"acc\0eptor.example.test"),
        name(b"acceptor_.example.test"),
        name(b"*.example.test"),
        name("acceptor\u{2028}.example.test\n{\"outcome\":\"accepted\"}".as_bytes()),
        name(&long),
        vec![],
        vec![0, 0],
        // Two names.
        vec![0, 8, 0, 0, 1, b'a', 0, 0, 1, b'b'],
        // Of a kind that nobody knows.
        vec![0, 4, 7, 0, 1, b'a'],
    ]
    .into_iter()
    .enumerate()
    {
        let mut peer = Crafted::connect(&stage, None, Version::Tls13).await;
        let octets = Parts::of(&peer).without(SERVER_NAME).with(SERVER_NAME, &value).octets();
        peer.send(&octets).await;
        tokio::io::AsyncWriteExt::shutdown(&mut peer.stream).await.unwrap();
        peer.end().await;
        let line = refused(&stage, number, Reason::HandshakeFailed).await;
        let logged = line.text("sni").unwrap_or_default();
        assert!(logged.bytes().all(|octet| octet.is_ascii_graphic()), "{line:?}");
    }
    stage.accepts(&stage.leaf(), crate::stage::NAME).await;
}

#[tokio::test]
async fn a_long_client_hello_is_read_and_one_beyond_the_bound_is_not() {
    let stage = open_stage().await;
    for (number, version) in BOTH.into_iter().enumerate() {
        // As long as a library makes it by itself, with 31 KiB of protocols.
        let mut long = config(Some(&stage.leaf()), version);
        long.alpn_protocols = (0..128).map(|n| vec![n; 250]).collect();
        let mut peer = Crafted::with(stage.listener, long).await;
        assert!(peer.hello().len() > 31 * 1024 && peer.hello().len() < 32 * 1024);
        peer.handshake().await;
        peer.echo(HELLO).await;
        leaves(&stage, peer, number).await;
    }
    let octets = stage.backend.octets();
    let peer = Crafted::connect(&stage, None, Version::Tls13).await;
    let too_long = Parts::of(&peer).with(PADDING, &[0; 40 * 1024]).octets();
    let tiny = fragmented(&Parts::of(&peer).with(PADDING, &[0; 8 * 1024]).octets(), 1);
    drop(peer);
    stage.line(2).await;
    for (number, octets) in [(3, too_long), (4, tiny)] {
        let mut peer = Crafted::connect(&stage, None, Version::Tls13).await;
        peer.send(&octets).await;
        let end = peer.end().await;
        let line = stage.line(number).await;
        assert_eq!(line.text("reason"), Some("handshake_failed"), "{line:?}");
        assert_eq!((end.alert, line.text("detail")), (None, Some("the ClientHello is too long")), "{line:?}");
    }
    assert_eq!(stage.backend.octets(), octets);
}

#[tokio::test]
async fn a_peer_that_is_asked_for_another_key_share_is_let_in_and_asked_once() {
    let stage = open_stage().await;
    // It offers a share of a group that the acceptor has not, and another group without one.
    let mut peer = Crafted::with(stage.listener, with_groups(&stage, vec![&Nowhere, X25519])).await;
    let hello = peer.hello();
    peer.send(&hello).await;
    let second = peer.answer().await;
    peer.send(&second).await;
    let flight = peer.answer().await;
    peer.send(&flight).await;
    peer.echo(HELLO).await;
    assert_eq!(peer.tls.handshake_kind(), Some(rustls::HandshakeKind::FullWithHelloRetryRequest));
    leaves(&stage, peer, 0).await;
    // The same ClientHello again, in the place of one with the share that was asked for.
    let mut peer =
        Crafted::with(stage.listener, with_groups(&stage, vec![&Nowhere, SECP256R1, SECP384R1])).await;
    let hello = peer.hello();
    peer.send(&hello).await;
    peer.answer().await;
    peer.send(&hello).await;
    let end = peer.end().await;
    let line = stage.line(1).await;
    assert_eq!(
        (line.text("reason"), line.text("alert")),
        (Some("handshake_failed"), Some("illegal_parameter")),
        "{line:?} {end:?}"
    );
}

#[tokio::test]
async fn a_second_client_hello_cannot_ask_for_another_server_name() {
    // The name chooses the route, and with it the policy.
    let plan = crate::Plan::new().route(", serverNames: [acceptor.example.test]").limits(crate::MANY);
    let stage = plan.start().await;
    for (number, name) in [None, Some(&b"other.example.test"[..])].into_iter().enumerate() {
        let mut peer = Crafted::with(stage.listener, with_groups(&stage, vec![&Nowhere, X25519])).await;
        let hello = peer.hello();
        peer.send(&hello).await;
        let second = records(&peer.answer().await).pop().unwrap();
        let mut parts = Parts::read(&second).without(SERVER_NAME);
        if let Some(name) = name {
            let length = |more: usize| u16::try_from(name.len() + more).unwrap().to_be_bytes();
            parts = parts.with(SERVER_NAME, &[&length(3)[..], &[0], &length(0), name].concat());
        }
        peer.send(&parts.octets()).await;
        peer.end().await;
        let line = refused(&stage, number, Reason::HandshakeFailed).await;
        let found = (line.text("detail"), line.text("sni"));
        let expected = "peer misbehaved: ServerNameDifferedOnRetry";
        assert_eq!(found, (Some(expected), Some("acceptor.example.test")), "{line:?}");
    }
}

/// What a peer makes its handshake with that has these groups, and offers a share of the first.
fn with_groups(
    stage: &Stage,
    groups: Vec<&'static dyn rustls::crypto::SupportedKxGroup>,
) -> rustls::ClientConfig {
    let mut provider = provider();
    provider.kx_groups = groups;
    let peer = Peer::from(crate::stage::SOURCE).provider(provider).identity(&stage.leaf());
    peer.server_name("acceptor.example.test").tls13().config().unwrap()
}

/// A group that no acceptor knows.
#[derive(Debug)]
struct Nowhere;

impl rustls::crypto::SupportedKxGroup for Nowhere {
    fn start(&self) -> Result<Box<dyn rustls::crypto::ActiveKeyExchange>, rustls::Error> {
        Ok(Box::new(Self))
    }

    fn name(&self) -> rustls::NamedGroup {
        rustls::NamedGroup::Unknown(0xfefe)
    }
}

impl rustls::crypto::ActiveKeyExchange for Nowhere {
    fn complete(self: Box<Self>, _: &[u8]) -> Result<rustls::crypto::SharedSecret, rustls::Error> {
        Err(rustls::Error::General("nobody has this group".to_owned()))
    }

    fn pub_key(&self) -> &[u8] {
        &[7; 32]
    }

    fn group(&self) -> rustls::NamedGroup {
        rustls::NamedGroup::Unknown(0xfefe)
    }
}
