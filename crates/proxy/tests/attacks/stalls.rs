//! Peers that stop: at every octet of the ClientHello and of the second flight. Hundreds of them at once, each ends at its deadline.

use std::sync::Arc;
use std::time::Duration;

use revouch_validator::reason::Reason;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::craft::{BOTH, Crafted, End, Version};
use crate::stage::Stage;
use crate::{all_lines, hasty_stage};

const DEADLINE: Duration = Duration::from_millis(1500);
/// How much later than its deadline a connection may end where two processors have hundreds of handshakes to make.
const SLACK: Duration = Duration::from_secs(4);

/// Holds all of these peers until the acceptor has closed each, and looks at what became of them.
async fn all_time_out(stage: &Stage, peers: Vec<Crafted>) {
    let count = peers.len();
    let mut waiting = JoinSet::new();
    for peer in peers {
        waiting.spawn(async move { peer.end().await });
    }
    let ends = waiting.join_all().await;
    all_timed_out(stage, ends, count).await;
}

/// Looks at what became of peers that were closed, and at all that the acceptor has had.
async fn all_timed_out(stage: &Stage, ends: Vec<End>, count: usize) {
    for end in ends {
        // Closed without a word: what a peer that says nothing would make of an alert is unknown.
        assert_eq!((end.alert, end.data.len()), (None, 0), "{end:?}");
    }
    let lines = all_lines(stage, count).await;
    assert_eq!(lines.len(), count);
    for line in &lines {
        assert_eq!(line.text("reason"), Some(Reason::HandshakeTimeout.as_str()), "{line:?}");
        assert!(line.text("identity").is_none(), "{line:?}");
        let took = line.0["handshake_ms"].as_f64().unwrap();
        let latest = (DEADLINE + SLACK).as_secs_f64() * 1000.0;
        assert!((DEADLINE.as_secs_f64() * 1000.0..latest).contains(&took), "{line:?}");
    }
    assert_eq!((stage.backend.connections(), stage.backend.octets()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stalls_at_any_octet_of_its_client_hello_ends_at_the_deadline() {
    let stage = hasty_stage(DEADLINE).await;
    let mut peers = Vec::new();
    for version in BOTH {
        let mut length = 1;
        let mut sent = 0;
        while sent < length {
            let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), version).await;
            length = peer.hello().len();
            let part = peer.hello()[..sent].to_vec();
            peer.send(&part).await;
            peers.push(peer);
            sent += 1;
        }
    }
    assert!(peers.len() > 300, "{} peers", peers.len());
    all_time_out(&stage, peers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stalls_at_any_octet_of_its_second_flight_ends_at_the_deadline() {
    for version in BOTH {
        let stage = hasty_stage(DEADLINE).await;
        let leaf = stage.leaf();
        // The signature takes some octets more or less from one flight to the next, as its two numbers have leading zeros or not; this is as long as any.
        let (first, flight) = second_flight(&stage, version).await;
        let longest = 8 + flight.len();
        assert!(longest > 700, "{longest} octets");
        // Few at a time, so that each comes to its point long before its deadline.
        let turns = Arc::new(Semaphore::new(4));
        let mut stalling = JoinSet::new();
        for sent in 0..longest {
            let (listener, config) = (stage.listener, crate::craft::config(Some(&leaf), version));
            let turns = Arc::clone(&turns);
            stalling.spawn(async move {
                let turn = turns.acquire_owned().await.unwrap();
                let mut peer = Crafted::with(listener, config).await;
                let hello = peer.hello();
                peer.send(&hello).await;
                let flight = peer.answer().await;
                // All but the last octet, at most.
                let part = flight[..sent.min(flight.len() - 1)].to_vec();
                peer.send(&part).await;
                drop(turn);
                (flight.len(), peer.end().await)
            });
        }
        let (lengths, mut ends): (Vec<_>, Vec<_>) = stalling.join_all().await.into_iter().unzip();
        ends.push(first.end().await);
        assert!(lengths.iter().all(|length| *length <= longest), "the longest are not stalled at each octet");
        all_timed_out(&stage, ends, longest + 1).await;
    }
}

/// Sends a ClientHello and gives what would follow.
async fn second_flight(stage: &Stage, version: Version) -> (Crafted, Vec<u8>) {
    let mut peer = Crafted::connect(stage, Some(&stage.leaf()), version).await;
    let hello = peer.hello();
    peer.send(&hello).await;
    let flight = peer.answer().await;
    (peer, flight)
}

#[tokio::test]
async fn a_peer_that_sends_an_octet_now_and_then_ends_at_the_deadline() {
    let stage = hasty_stage(DEADLINE).await;
    let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), Version::Tls13).await;
    for octet in peer.hello() {
        peer.send(&[octet]).await;
        tokio::time::sleep(DEADLINE / 20).await;
        if !stage.lines().is_empty() {
            break;
        }
    }
    all_time_out(&stage, vec![peer]).await;
}
