//! Memory: hundreds of peers, each holding as much as it can.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::craft::{Crafted, Version, config};
use crate::seal::{DATA, HANDSHAKE, message, record};
use crate::stage::{HELLO, PATIENCE, Stage};
use crate::usage::resident;
use crate::{all_lines, open_stage};
use revouch_testbed::eventually;

const PEERS: usize = 300;
/// What one peer may hold while its handshake is under way. The TLS library keeps up to 64 KiB of a message that is not whole yet; the rest is the
/// connection, its evidence and its buffers.
const HANDSHAKING: u64 = 128 * 1024;
/// What one peer may hold that was let in, has moved much and now takes nothing: the relay's buffers both ways, and what the TLS library keeps
/// for it, 256 KiB each.
const LET_IN: u64 = 1024 * 1024;

/// Lets that many peers do something, and holds them all.
async fn hold<F: Future<Output = Crafted> + Send + 'static>(
    count: usize,
    peer: impl Fn() -> F,
) -> Vec<Crafted> {
    let mut peers = Vec::new();
    // A few at a time: both processors are busy with this as it is.
    while peers.len() < count {
        let mut some = JoinSet::new();
        (0..10).for_each(|_| drop(some.spawn(peer())));
        peers.extend(some.join_all().await);
    }
    peers
}

fn grown(stage: &Stage, before: u64, peers: usize) -> u64 {
    resident(stage).saturating_sub(before) / peers as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_stop_within_the_largest_message_hold_little() {
    let stage = crate::Plan::new().limits(&format!("{}, handshakeDeadline: 30s", crate::MANY)).start().await;
    stage.accepts(&stage.leaf(), crate::stage::NAME).await;
    let before = resident(&stage);
    let (listener, leaf) = (stage.listener, stage.leaf());
    // A ClientHello that is all there but for its last octet, as long as one may be.
    let mut long = config(None, Version::Tls13);
    long.alpn_protocols = (0..128).map(|n| vec![n; 250]).collect();
    let within_hello = hold(PEERS, || {
        let long = long.clone();
        async move {
            let mut peer = Crafted::with(listener, long).await;
            let hello = peer.hello();
            peer.send(&hello[..hello.len() - 1]).await;
            peer
        }
    });
    let peers = within_hello.await;
    // The last octets have been read when nothing more comes to it.
    settled(&stage).await;
    let each = grown(&stage, before, PEERS);
    assert!(each < HANDSHAKING, "{each} octets for each peer within its ClientHello");
    drop(peers);
    all_lines(&stage, 2 + PEERS).await;
    // A Certificate message of 64 KiB, all but its end.
    let within_certificate = hold(PEERS, || {
        let config = config(Some(&leaf), Version::Tls12);
        async move {
            let mut peer = Crafted::with(listener, config).await;
            let hello = peer.hello();
            peer.send(&hello).await;
            peer.answer().await;
            let start = &message(11, &[0; 65_000])[..64_900];
            let octets: Vec<u8> = start.chunks(16_000).flat_map(|part| record(HANDSHAKE, part)).collect();
            peer.send(&octets).await;
            peer
        }
    });
    let peers = within_certificate.await;
    settled(&stage).await;
    let each = grown(&stage, before, PEERS);
    assert!(each < HANDSHAKING, "{each} octets for each peer within its Certificate");
    drop(peers);
    let lines = all_lines(&stage, 2 + 2 * PEERS).await;
    assert!(lines[2..].iter().all(|line| line.text("reason") == Some("handshake_failed")));
    assert_eq!(stage.backend.octets(), 2 * HELLO.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_are_let_in_and_take_nothing_hold_a_bounded_amount() {
    const BUSY: usize = 10;
    let stage = open_stage().await;
    stage.accepts(&stage.leaf(), crate::stage::NAME).await;
    let before = resident(&stage);
    let (listener, leaf) = (stage.listener, stage.leaf());
    let greedy = hold(BUSY, || {
        let config = config(Some(&leaf), Version::Tls13);
        async move {
            let mut peer = Crafted::with(listener, config).await;
            peer.handshake().await;
            let mut keys = peer.traffic();
            let some = [7; 16 * 1024];
            let mut more = || (0..16).map(|_| keys.seal(DATA, &some)).collect::<Vec<_>>().concat();
            // So much that the relay takes its largest buffers.
            for _ in 0..44 {
                peer.send(&more()).await;
                peer.hear(256 * 1024).await;
            }
            // Then as much as goes: the echo is not taken, so that at some time nothing more is. What the kernel holds on the way, up to 32 MiB at
            // each socket, is not the proxy's.
            let mut sent = 0;
            while let Ok(written) = timeout(Duration::from_secs(1), peer.stream.write_all(&more())).await {
                written.unwrap();
                sent += 1;
                assert!(sent < 1024, "256 MiB and more were taken");
            }
            peer
        }
    });
    let peers = greedy.await;
    settled(&stage).await;
    let each = grown(&stage, before, BUSY);
    assert!(each < LET_IN, "{each} octets for each peer");
    drop(peers);
    assert!(eventually(PATIENCE, || stage.backend.live() == 0).await);
}

/// Waits until the memory has stopped to grow.
async fn settled(stage: &Stage) {
    let mut last = resident(stage);
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = resident(stage);
        if now <= last {
            return;
        }
        last = now;
    }
}
