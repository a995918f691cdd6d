//! The peers, the backend and the certificates, against an acceptor that is not ours to test: plain rustls and webpki.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use revouch_lab::{CertificateAuthority, Identity, KeyKind, LeafBuilder, Purpose, San};
use revouch_testbed::{Backend, Ending, OpenSsl, Peer, ProxyHeader, eventually};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Asks for a clientAuth certificate of this CA and echoes; checks revocation if there are CRLs.
async fn acceptor(
    own: &Identity,
    ca: &CertificateAuthority,
    with_crl: Option<&Identity>,
) -> (SocketAddr, JoinHandle<()>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(ca.root()).unwrap();
    let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    if let Some(revoked) = with_crl {
        let leaf_crl = ca.crl().revoke(revoked).issue().unwrap();
        verifier = verifier.with_crls([leaf_crl.der(), ca.root_crl().issue().unwrap().der()]);
    }
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(own.chain(), own.key())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let (mut reader, mut writer) = tokio::io::split(stream);
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    (address, task)
}

#[tokio::test]
async fn person_is_let_in_and_every_other_gets_the_alert_that_fits() {
    let people = CertificateAuthority::people().unwrap();
    let servers = CertificateAuthority::servers().unwrap();
    let own = servers.leaf().dns("acceptor.test").issue().unwrap();
    let revoked = people.leaf().email("gone@example.test").issue().unwrap();
    let (at, task) = acceptor(&own, &people, Some(&revoked)).await;
    let person = || people.leaf().common_name("Jo Doe").email("jo@example.test");
    let lonely = LeafBuilder::self_signed().purposes(&[Purpose::ClientAuth]);
    let rsa =
        CertificateAuthority::builder("Lab People").purposes(&[Purpose::ClientAuth]).key(KeyKind::Rsa2048);
    let impostor = rsa.build().unwrap();
    let other = CertificateAuthority::builder("Other").purposes(&[Purpose::ClientAuth]).build().unwrap();
    for (what, identity, alert) in [
        ("good", Some(person().issue().unwrap()), None),
        ("RSA key", Some(person().key(KeyKind::Rsa2048).issue().unwrap()), None),
        ("expired", Some(person().expired().issue().unwrap()), Some(45)),
        ("not yet valid", Some(person().not_yet_valid().issue().unwrap()), Some(45)),
        ("revoked", Some(revoked), Some(44)),
        ("serverAuth", Some(person().purposes(&[Purpose::ServerAuth]).issue().unwrap()), Some(43)),
        // webpki takes the anchor by its name and then finds the signature wrong.
        ("CA of the same name", Some(impostor.leaf().email("jo@example.test").issue().unwrap()), Some(51)),
        ("other CA", Some(other.leaf().email("jo@example.test").issue().unwrap()), Some(48)),
        ("self-signed", Some(lonely.issue().unwrap()), Some(48)),
        ("no intermediate", Some(person().issue().unwrap().with_intermediates([])), Some(48)),
        ("none", None, Some(116)),
    ] {
        for tls12 in [true, false] {
            let mut peer = Peer::from("127.0.1.7".parse().unwrap()).server_name("acceptor.test");
            peer = if tls12 { peer.tls12() } else { peer.tls13() };
            let mut openssl = OpenSsl::from("127.0.1.8".parse().unwrap());
            openssl = if tls12 { openssl.tls12() } else { openssl.tls13() };
            if let Some(identity) = &identity {
                peer = peer.identity(identity);
                openssl = openssl.identity(identity);
            }
            let outcome = peer.exchange(at, b"hello").await;
            assert_eq!(outcome.accepted(), alert.is_none(), "{what}, TLS 1.2 {tls12}: {outcome:?}");
            assert_eq!(outcome.alert(), alert, "{what}, TLS 1.2 {tls12}: {outcome:?}");
            let outcome = openssl.run(at, "hello").await.unwrap();
            assert_eq!(
                (outcome.echoed, outcome.alert),
                (alert.is_none(), alert),
                "{what}, {tls12}: {outcome:?}"
            );
        }
    }
    task.abort();
}

#[tokio::test]
async fn odd_certificates_are_made_and_sent() {
    let servers = CertificateAuthority::servers().unwrap();
    let own = servers.leaf().dns("acceptor.test").issue().unwrap();
    let (at, task) = acceptor(&own, &servers, None).await;
    let odd = [
        LeafBuilder::self_signed().version_1().common_name("old").issue().unwrap(),
        servers.leaf().version_1().issue().unwrap(),
        servers.leaf().san(San::Directory("Jo".to_owned())).san(San::RegisteredId).issue().unwrap(),
        servers
            .leaf()
            .san(San::Other("jo@test".to_owned()))
            .san(San::Uri("urn:x".to_owned()))
            .issue()
            .unwrap(),
        servers.leaf().ip("::1".parse().unwrap()).purposes(&[]).key_usages(&[]).issue().unwrap(),
        servers.leaf().dns("a.test").issue().unwrap().with_leaf(vec![0x30, 0x03, 0x02, 0x01, 0x00].into()),
    ];
    for identity in &odd {
        let outcome = Peer::from("127.0.1.9".parse().unwrap()).identity(identity).exchange(at, b"x").await;
        assert!(matches!(outcome.ending, Ending::Alert(_)), "{outcome:?}");
    }
    assert_eq!(odd[0].tlsa(3, 1, 1).unwrap().len(), "3 1 1 ".len() + 64);
    assert_eq!(odd[0].tlsa(3, 0, 2).unwrap().len(), "3 0 2 ".len() + 128);
    assert_ne!(odd[0].tlsa(3, 0, 1).unwrap(), odd[0].tlsa(3, 1, 1).unwrap());
    assert!(odd[5].tlsa(3, 1, 1).is_err(), "a leaf without a key has no SPKI");
    task.abort();
}

#[tokio::test]
async fn peer_comes_from_the_address_and_port_it_was_given() {
    let ca = CertificateAuthority::people().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = revouch_testbed::process::free_port("127.3.2.1".parse().unwrap()).unwrap();
    let identity = ca.leaf().issue().unwrap();
    let peer = Peer::from(free.ip()).port(free.port()).identity(&identity);
    let connection = peer.connect_tcp(listener.local_addr().unwrap());
    let (accepted, connected) = tokio::join!(listener.accept(), connection);
    assert_eq!(accepted.unwrap().1, free);
    assert_eq!(connected.unwrap().local_addr().unwrap(), free);
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let outcome = Peer::from("127.0.1.1".parse().unwrap()).exchange(closed, b"x").await;
    assert!(matches!(outcome.ending, Ending::NotConnected(_)), "{outcome:?}");
}

#[test]
fn ports_that_are_chosen_together_are_different() {
    let address = "127.3.2.2".parse().unwrap();
    // One at a time they would be the same now and then.
    let mut ports = revouch_testbed::process::free_ports::<200>(address).unwrap().map(|free| free.port());
    ports.sort_unstable();
    assert!(ports.windows(2).all(|pair| pair[0] != pair[1]), "{ports:?}");
}

#[tokio::test]
async fn backend_echoes_strips_the_proxy_header_and_keeps_half_close() {
    let backend = Backend::tcp().await.unwrap();
    let directory = revouch_testbed::process::temp_dir().unwrap();
    let unix = Backend::unix(&directory.path().join("echo")).unwrap();
    let mut header = revouch_testbed::proxy_header::SIGNATURE.to_vec();
    header.extend([0x21, 0x11, 0, 12 + 12, 127, 0, 1, 1, 127, 0, 0, 1, 0x20, 0xFB, 0, 99]);
    header.extend([0x20, 0, 9, 7, 0, 0, 0, 0, 0x22, 0, 1, b'x']);
    let payload = vec![b'y'; 300_000];
    let tcp = TcpStream::connect(backend.address().unwrap()).await.unwrap();
    converse(tcp, &header, &payload).await;
    converse(UnixStream::connect(unix.path().unwrap()).await.unwrap(), &[], &payload).await;
    // A start that only looks like a header.
    converse(TcpStream::connect(backend.address().unwrap()).await.unwrap(), &[], b"\r\n\r\n").await;

    let done = || backend.live() == 0 && unix.live() == 0;
    assert!(eventually(Duration::from_secs(5), done).await);
    let seen = backend.seen();
    assert_eq!((backend.connections(), unix.connections()), (2, 1));
    assert_eq!(backend.octets(), 300_004);
    assert_eq!(seen[0].first, payload[..4_096]);
    assert!(seen.iter().all(|connection| connection.half_closed));
    let parsed = seen[0].proxy_header().unwrap();
    assert_eq!(parsed.addresses, Some(("127.0.1.1:8443".parse().unwrap(), "127.0.0.1:99".parse().unwrap())));
    let ssl = parsed.ssl().unwrap();
    assert_eq!((ssl.client, ssl.verify, ssl.common_name().as_deref()), (7, 0, Some("x")));
    assert!(seen[1].header.is_none());
    assert!((0..header.len()).all(|length| ProxyHeader::parse(&header[..length]).is_none()));
}

async fn converse(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite, header: &[u8], payload: &[u8]) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        writer.write_all(header).await.unwrap();
        writer.write_all(payload).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut echoed = Vec::new();
    let ((), read) = tokio::join!(write, reader.read_to_end(&mut echoed));
    read.unwrap();
    assert!(echoed == payload);
}

#[tokio::test]
async fn process_is_waited_for_signalled_and_gone_when_dropped() {
    use revouch_testbed::Process;
    let script = "echo ready >&2; read line; echo \"got $line\"; sleep 600";
    let process = Process::spawn(std::process::Command::new("sh").arg("-c").arg(script)).unwrap();
    let patience = Duration::from_secs(10);
    assert!(process.wait_for_stderr(patience, |line| line == "ready").await.is_some());
    process.write(b"this\n").unwrap();
    assert!(process.wait_for_stdout(patience, |line| line == "got this").await.is_some());
    process.signal("TERM").unwrap();
    assert!(process.wait(patience).await.is_some());
    assert!(process.signal("TERM").is_err());
    let missing = Process::spawn(&mut std::process::Command::new("no-such-program-anywhere"));
    assert_eq!(missing.err().unwrap().kind(), std::io::ErrorKind::NotFound);
}
