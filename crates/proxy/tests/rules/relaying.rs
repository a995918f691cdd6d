//! What an accepted peer gets, and what a refused one that sends all the same sees.

use std::io::ErrorKind;

use revouch_testbed::{Ending, Peer};
use revouch_validator::reason::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::stage::{HELLO, NAME, Plan, SOURCE, Stage};

#[tokio::test]
async fn a_refused_peer_that_streams_at_once_still_sees_its_alert() {
    let stage = Stage::with_policy("").await;
    let wrong = stage.ca.leaf().dns("other.example.test").issue().unwrap();
    let peer = Peer::from(SOURCE).identity(&wrong).tls13();
    for _ in 0..5 {
        let mut connected = peer.connect(stage.listener).await.unwrap();
        let ending = connected.echo(&vec![7; 300_000]).await;
        let Ending::Alert(alert) = ending else { panic!("{ending:?}") };
        assert_eq!(
            Some(alert.number()),
            Reason::NameMismatch.alert().map(revouch_validator::alert::Alert::number)
        );
    }
    assert_eq!(stage.backend.connections(), 0);
}

#[tokio::test]
async fn half_close_is_kept_and_bulk_arrives_whole() {
    // Before the peer connects: the thread that makes it also serves the DNS.
    let data: Vec<u8> =
        (0..64 * 1024 * 1024_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let stage = Stage::with_policy("").await;
    let peer = Peer::from(SOURCE).identity(&stage.leaf());
    let connected = peer.connect(stage.listener).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(connected.stream);
    let sent = data.clone();
    let sending = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
        writer
    });
    let mut echoed = Vec::new();
    reader.read_to_end(&mut echoed).await.unwrap();
    drop(sending.await.unwrap());
    assert!(echoed == data, "{} octets of {} came back", echoed.len(), data.len());
    let line = stage.line(0).await;
    assert_eq!(line.text("close"), Some("finished"), "{line:?}");
    assert_eq!(line.0["bytes_in"], 64 * 1024 * 1024);
    assert_eq!(line.0["bytes_out"], 64 * 1024 * 1024);
    let moved = stage.metric("revouch_bytes_total{direction=\"in\"}").await;
    assert!(moved > 64e6, "{moved}");
}

#[tokio::test]
async fn an_accepted_peer_whose_upstream_is_gone_is_closed_and_told_of_in_the_log() {
    let stage = Plan::new().upstream_address("127.0.0.1:1").start().await;
    let outcome = Peer::from(SOURCE).identity(&stage.leaf()).exchange(stage.listener, HELLO).await;
    assert!(!outcome.accepted());
    let line = stage.line(0).await;
    assert_eq!(
        (line.text("outcome"), line.text("close")),
        (Some("accepted"), Some("upstream_unreachable")),
        "{line:?}"
    );
}

/// A stage whose upstream is in the test's hands.
async fn with_upstream() -> (Stage, TcpListener) {
    // Not where the stages look for free ports.
    let upstream = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    (Plan::new().upstream_address(&address).start().await, upstream)
}

#[tokio::test]
async fn a_stream_that_is_cut_short_never_looks_like_one_that_ended() {
    let (stage, upstream) = with_upstream().await;
    let peer = Peer::from(SOURCE).identity(&stage.leaf());
    let mut connected = peer.connect(stage.listener).await.unwrap();
    connected.stream.write_all(b"half a sentence").await.unwrap();
    connected.stream.flush().await.unwrap();
    let (mut near, _) = upstream.accept().await.unwrap();
    near.read_exact(&mut [0; 15]).await.unwrap();
    // FIN without close_notify: what an attacker on the way can do.
    drop(connected);
    let error = near.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(stage.line(0).await.text("close"), Some("peer_aborted"));

    let mut connected = peer.connect(stage.listener).await.unwrap();
    let (mut near, _) = upstream.accept().await.unwrap();
    near.write_all(b"half an answer").await.unwrap();
    connected.stream.read_exact(&mut [0; 14]).await.unwrap();
    socket2::SockRef::from(&near).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(near);
    // After close_notify this would be the end: no octet, and no error.
    connected.stream.read(&mut [0]).await.unwrap_err();
    assert_eq!(stage.line(1).await.text("close"), Some("upstream_aborted"));
}

#[tokio::test]
async fn an_early_answer_reaches_a_peer_that_is_still_sending() {
    let (stage, upstream) = with_upstream().await;
    let connected = Peer::from(SOURCE).identity(&stage.leaf()).connect(stage.listener).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(connected.stream);
    let sending = tokio::spawn(async move {
        // Ends with an error once nobody takes it any more.
        while writer.write_all(&[7; 16 * 1024]).await.is_ok() {}
    });
    let (mut near, _) = upstream.accept().await.unwrap();
    near.write_all(b"that is too long").await.unwrap();
    near.shutdown().await.unwrap();
    // Stops listening with octets unread: the next ones are answered with a reset.
    drop(near);
    let mut answer = Vec::new();
    let ended = reader.read_to_end(&mut answer).await;
    assert_eq!((answer, ended.ok()), (b"that is too long".to_vec(), Some(16)));
    sending.await.unwrap();
}

#[tokio::test]
async fn no_handshake_resumes_an_earlier_one() {
    let stage = Stage::with_policy("").await;
    // The same configuration twice would offer whatever ticket or session the first handshake gave.
    let peer = Peer::from(SOURCE).identity(&stage.leaf());
    for peer in [peer.clone().tls12(), peer.tls13()] {
        let before = stage.lines().len();
        let mut connected = peer.connect(stage.listener).await.unwrap();
        assert_eq!(connected.echo(HELLO).await, Ending::Echoed);
        assert_eq!(connected.stream.get_ref().1.tls13_tickets_received(), 0);
        drop(connected);
        stage.line(before).await;
        stage.accepts_peer(&peer, NAME).await;
    }
}
