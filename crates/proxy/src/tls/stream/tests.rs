//! Over real sockets, with a peer that is driven by hand.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use revouch_lab::CertificateAuthority;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

/// The stream under test, and the other side of its connection.
async fn pair(
    version: &'static rustls::SupportedProtocolVersion,
) -> (PeerStream, TcpStream, ClientConnection) {
    let ca = CertificateAuthority::servers().unwrap();
    let own = ca.leaf().dns("acceptor.test").issue().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(ca.root()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = async {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let name = ServerName::try_from("acceptor.test").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    };
    let accepting = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut config = own.server_config(&[]).unwrap();
        config.send_tls13_tickets = 0;
        TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap()
    };
    let (peer, accepted) = tokio::join!(connecting, accepting);
    let (tcp, tls) = accepted.into_inner();
    let (far, peer) = peer.into_inner();
    (PeerStream::new(tcp, tls), far, peer)
}

async fn in_both_versions() -> [(PeerStream, TcpStream, ClientConnection); 2] {
    [pair(&rustls::version::TLS13).await, pair(&rustls::version::TLS12).await]
}

/// The records of what the peer says.
fn records(peer: &mut ClientConnection, said: &[u8]) -> Vec<u8> {
    peer.writer().write_all(said).unwrap();
    queued(peer)
}

fn queued(peer: &mut ClientConnection) -> Vec<u8> {
    let mut octets = Vec::new();
    while peer.wants_write() {
        peer.write_tls(&mut octets).unwrap();
    }
    octets
}

#[tokio::test]
async fn a_small_reader_gets_every_octet_of_what_came_at_once() {
    for (mut stream, mut far, mut peer) in in_both_versions().await {
        let said: Vec<u8> = (0..60_000_u32).map(|n| n.to_be_bytes()[3]).collect();
        far.write_all(&records(&mut peer, &said)).await.unwrap();
        peer.send_close_notify();
        // What comes behind the end is nobody's.
        far.write_all(&[queued(&mut peer), vec![9; 100]].concat()).await.unwrap();
        let (mut heard, mut piece) = (Vec::new(), [0; 7]);
        loop {
            match stream.read(&mut piece).await.unwrap() {
                0 => break,
                read => heard.extend_from_slice(&piece[..read]),
            }
        }
        assert!(heard == said, "{} of {}", heard.len(), said.len());
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_is_an_error_behind_what_it_said() {
    for (mut stream, mut far, mut peer) in in_both_versions().await {
        far.write_all(&records(&mut peer, b"half a")).await.unwrap();
        // And a part of a record.
        far.write_all(&records(&mut peer, b" word")[..9]).await.unwrap();
        far.shutdown().await.unwrap();
        let mut heard = Vec::new();
        let error = stream.read_to_end(&mut heard).await.unwrap_err();
        assert_eq!((error.kind(), &heard[..]), (io::ErrorKind::UnexpectedEof, &b"half a"[..]));
    }
}

#[tokio::test]
async fn a_record_that_does_not_decrypt_is_an_error_behind_what_came_before_and_is_answered_with_an_alert() {
    for (mut stream, mut far, mut peer) in in_both_versions().await {
        let good = records(&mut peer, b"good");
        let mut bad = records(&mut peer, b"bad");
        *bad.last_mut().unwrap() ^= 1;
        far.write_all(&[good, bad].concat()).await.unwrap();
        let mut heard = [0; 100];
        assert_eq!(stream.read(&mut heard).await.unwrap(), 4);
        let error = stream.read(&mut heard).await.unwrap_err();
        assert!(
            error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>),
            "{error}"
        );
        let mut answer = vec![0; 1000];
        let read = far.read(&mut answer).await.unwrap();
        peer.read_tls(&mut &answer[..read]).unwrap();
        let told = peer.process_new_packets().unwrap_err();
        assert_eq!(told, rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac));
    }
}

#[tokio::test]
async fn new_keys_are_taken_and_given_while_nothing_else_is_said() {
    let (mut stream, mut far, mut peer) = pair(&rustls::version::TLS13).await;
    for round in 0..3_u8 {
        peer.refresh_traffic_keys().unwrap();
        far.write_all(&records(&mut peer, &[round])).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), round);
        stream.write_all(&[round + 100]).await.unwrap();
        stream.flush().await.unwrap();
        let mut heard = [0];
        while peer.reader().read(&mut heard).is_err() {
            let mut octets = vec![0; 1000];
            let read = far.read(&mut octets).await.unwrap();
            peer.read_tls(&mut &octets[..read]).unwrap();
            peer.process_new_packets().unwrap();
        }
        assert_eq!(heard, [round + 100]);
    }
}

#[tokio::test]
async fn a_peer_that_takes_its_time_gets_everything_and_the_end() {
    for (mut stream, mut far, mut peer) in in_both_versions().await {
        stream.tls.set_buffer_limit(Some(256 * 1024));
        let said = vec![5; 8 * 1024 * 1024];
        let expected = said.clone();
        let writing = tokio::spawn(async move {
            stream.write_all(&said).await.unwrap();
            stream.shutdown().await.unwrap();
            stream
        });
        let (mut heard, mut octets) = (Vec::new(), vec![0; 10_000]);
        let end = loop {
            let read = far.read(&mut octets).await.unwrap();
            let mut left = &octets[..read];
            while !left.is_empty() {
                peer.read_tls(&mut left).unwrap();
                peer.process_new_packets().unwrap();
                let mut plain = vec![0; 32 * 1024];
                while let Ok(some @ 1..) = peer.reader().read(&mut plain) {
                    heard.extend_from_slice(&plain[..some]);
                }
            }
            if read == 0 {
                break peer.reader().read(&mut octets);
            }
        };
        assert_eq!(end.unwrap(), 0, "an end in good order");
        assert!(heard == expected, "{} of {}", heard.len(), expected.len());
        drop(writing.await.unwrap());
    }
}
