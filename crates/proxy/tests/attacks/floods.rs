//! Much of what costs the sender nothing: key updates, empty records, warnings, ChangeCipherSpec, handshake messages behind the handshake.
//! A bounded number is let pass; at the next the connection is over, with a word for it in the log.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;

use crate::craft::{BOTH, Crafted, Version};
use crate::seal::{ALERT, CHANGE_CIPHER_SPEC, DATA, Epoch, HANDSHAKE, message, record, records};
use crate::stage::{HELLO, Line, Stage};
use crate::usage::processor_ms;
use crate::{accepted, leaves, open_stage, refused};
use revouch_validator::reason::Reason;

/// How many key updates in a row, without data between them, the TLS library takes; empty records likewise.
const IN_A_ROW: usize = 32;
/// How many warnings.
const WARNINGS: usize = 4;

/// What a peer says first: once it is back, the peer is in. What is wrong before that fails the handshake.
const FIRST: &[u8] = b"in";

/// A peer that was let in, and the keys of what it sends.
async fn let_in(stage: &Stage) -> (Crafted, Epoch) {
    let mut peer = Crafted::connect(stage, Some(&stage.leaf()), Version::Tls13).await;
    peer.handshake().await;
    let mut keys = peer.traffic();
    peer.send(&keys.seal(DATA, FIRST)).await;
    assert_eq!(peer.hear(FIRST.len()).await, FIRST);
    (peer, keys)
}

/// The connection of this number was let in and then ended by the proxy, since the peer broke the rules of TLS.
async fn broken_off(stage: &Stage, number: usize) -> Line {
    let line = accepted(stage, number).await;
    assert_eq!(line.text("close"), Some("peer_protocol"), "{line:?}");
    line
}

#[tokio::test]
async fn key_updates_within_the_bound_lose_nothing() {
    let stage = open_stage().await;
    for (number, requested) in [false, true].into_iter().enumerate() {
        let (mut peer, mut keys) = let_in(&stage).await;
        // Twice as many as in a row, with data between.
        for _ in 0..2 {
            let mut octets: Vec<u8> = (0..IN_A_ROW).flat_map(|_| keys.key_update(requested)).collect();
            octets.extend(keys.seal(DATA, HELLO));
            peer.send(&octets).await;
            assert_eq!(peer.hear(HELLO.len()).await, HELLO);
        }
        peer.send(&keys.seal(ALERT, &[1, 0])).await;
        let end = peer.end().await;
        assert!(end.properly, "{end:?}");
        let line = accepted(&stage, number).await;
        assert_eq!(line.text("close"), Some("finished"), "{line:?}");
    }
}

#[tokio::test]
async fn a_flood_of_key_updates_ends_at_the_bound() {
    const FLOOD: usize = 200_000;
    let stage = open_stage().await;
    for (number, requested) in [false, true].into_iter().enumerate() {
        let (mut peer, mut keys) = let_in(&stage).await;
        // Made before, so that the proxy has all of it at once. The peer reads nothing.
        let head: Vec<u8> = (0..=IN_A_ROW).flat_map(|_| keys.key_update(requested)).collect();
        let rest = keys.key_update(requested).repeat(FLOOD);
        let (started, before) = (Instant::now(), processor_ms(&stage));
        peer.stream.write_all(&[head, rest].concat()).await.ok();
        let line = broken_off(&stage, number).await;
        assert_eq!(line.text("detail"), Some("peer misbehaved: TooManyKeyUpdateRequests"), "{line:?}");
        // A debug build and a machine with other work to do; unbounded it would be seconds of processor time.
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        let spent = processor_ms(&stage) - before;
        assert!(spent < 500, "{spent} ms of processor time");
        assert_eq!(line.0["bytes_in"], FIRST.len());
    }
}

#[tokio::test]
async fn one_key_update_for_each_octet_of_data_loses_nothing_and_starves_nobody() {
    const OCTETS: usize = 5_000;
    let stage = open_stage().await;
    let (mut peer, mut keys) = let_in(&stage).await;
    let mut octets = Vec::new();
    for _ in 0..OCTETS {
        octets.extend(keys.key_update(true));
        octets.extend(keys.seal(DATA, b"x"));
    }
    let sending = async {
        peer.send(&octets).await;
        peer.hear(OCTETS).await
    };
    let other = stage.leaf();
    let (heard, ()) = tokio::join!(sending, async {
        let peer = revouch_testbed::Peer::from(crate::stage::SOURCE).identity(&other);
        assert!(peer.exchange(stage.listener, HELLO).await.accepted());
    });
    assert_eq!(heard, [b'x'; OCTETS]);
}

#[tokio::test]
async fn empty_records_end_at_the_bound() {
    let stage = open_stage().await;
    let (mut peer, mut keys) = let_in(&stage).await;
    let mut octets: Vec<u8> = (0..IN_A_ROW).flat_map(|_| keys.seal(DATA, &[])).collect();
    octets.extend(keys.seal(DATA, HELLO));
    peer.send(&octets).await;
    assert_eq!(peer.hear(HELLO.len()).await, HELLO);
    let octets: Vec<u8> = (0..100_000).flat_map(|_| keys.seal(DATA, &[])).collect();
    peer.stream.write_all(&octets).await.ok();
    let line = broken_off(&stage, 0).await;
    assert_eq!(line.text("detail"), Some("peer misbehaved: TooManyEmptyFragments"), "{line:?}");
}

#[tokio::test]
async fn warnings_end_at_the_bound() {
    // user_canceled, the one warning that TLS 1.3 knows.
    const CANCELED: &[u8] = &[1, 90];
    let stage = open_stage().await;
    let (mut peer, mut keys) = let_in(&stage).await;
    let mut octets: Vec<u8> = (0..WARNINGS).flat_map(|_| keys.seal(ALERT, CANCELED)).collect();
    octets.extend(keys.seal(DATA, HELLO));
    peer.send(&octets).await;
    assert_eq!(peer.hear(HELLO.len()).await, HELLO);
    peer.send(&keys.seal(ALERT, CANCELED)).await;
    let line = broken_off(&stage, 0).await;
    assert_eq!(line.text("detail"), Some("peer misbehaved: TooManyWarningAlertsReceived"), "{line:?}");
    // Before the handshake is over, in TLS 1.2, in the clear.
    let stage = open_stage().await;
    let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), Version::Tls12).await;
    let hello = peer.hello();
    peer.send(&hello).await;
    let flight = peer.answer().await;
    peer.send(&record(ALERT, CANCELED).repeat(WARNINGS + 1)).await;
    peer.send(&flight).await;
    peer.end().await;
    refused(&stage, 0, Reason::HandshakeFailed).await;
}

#[tokio::test]
async fn tls12_renegotiation_is_declined_once_and_ends_the_connection_the_second_time() {
    let stage = open_stage().await;
    let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), Version::Tls12).await;
    peer.handshake().await;
    let mut keys = peer.tls12_traffic();
    // The ClientHello of a new handshake, without its record's header.
    let again = peer.hello()[5..].to_vec();
    let octets = [keys.seal(HANDSHAKE, &again), keys.seal(DATA, HELLO)].concat();
    peer.send(&octets).await;
    assert_eq!(peer.hear(HELLO.len()).await, HELLO);
    let octets = [keys.seal(HANDSHAKE, &again), keys.seal(DATA, b"more")].concat();
    peer.send(&octets).await;
    assert!(peer.end().await.data.is_empty());
    let line = broken_off(&stage, 0).await;
    assert_eq!(line.text("detail"), Some("peer misbehaved: TooManyRenegotiationRequests"), "{line:?}");
    assert_eq!((stage.backend.connections(), stage.backend.octets()), (1, HELLO.len() as u64));
}

#[tokio::test]
async fn tls12_what_has_no_place_behind_the_handshake_ends_the_connection() {
    let stage = open_stage().await;
    for (number, what) in [
        "warnings",
        "empty records",
        "CCS",
        "a Finished",
        "a certificate",
        "a HelloRequest",
        "a long record",
        "other keys",
    ]
    .into_iter()
    .enumerate()
    {
        let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), Version::Tls12).await;
        peer.handshake().await;
        let mut keys = peer.tls12_traffic();
        peer.send(&keys.seal(DATA, FIRST)).await;
        assert_eq!(peer.hear(FIRST.len()).await, FIRST);
        let octets: Vec<u8> = match what {
            // no_renegotiation, which is never fatal.
            "warnings" => (0..=WARNINGS).flat_map(|_| keys.seal(ALERT, &[1, 100])).collect(),
            "empty records" => (0..10_000).flat_map(|_| keys.seal(DATA, &[])).collect(),
            "CCS" => keys.seal(CHANGE_CIPHER_SPEC, &[1]),
            "a Finished" => keys.seal(HANDSHAKE, &message(20, &[0; 12])),
            "a certificate" => keys.seal(HANDSHAKE, &message(11, &[0, 0, 0])),
            "a HelloRequest" => keys.seal(HANDSHAKE, &message(0, &[])),
            "a long record" => keys.seal(DATA, &[7; 16 * 1024 + 1]),
            _ => [peer.tls12_traffic().seal(DATA, HELLO), keys.seal(DATA, HELLO)].concat(),
        };
        peer.send(&octets).await;
        let end = peer.end().await;
        assert!(end.data.is_empty(), "{what}: {end:?}");
        let line = broken_off(&stage, number).await;
        assert_eq!(line.0["bytes_in"], FIRST.len(), "{what}: {line:?}");
    }
}

#[tokio::test]
async fn nothing_behind_close_notify_is_relayed() {
    let stage = open_stage().await;
    let (mut peer, mut keys) = let_in(&stage).await;
    let octets = [keys.seal(DATA, HELLO), keys.seal(ALERT, &[1, 0]), keys.seal(DATA, b"more")].concat();
    peer.send(&octets).await;
    let end = peer.end().await;
    assert_eq!(end.data, HELLO);
    let said = FIRST.len() + HELLO.len();
    assert_eq!(stage.backend.octets(), said as u64);
    let line = accepted(&stage, 0).await;
    assert_eq!((line.text("close"), &line.0["bytes_in"]), (Some("finished"), &said.into()), "{line:?}");
}

#[tokio::test]
async fn change_cipher_spec_ends_at_the_bound() {
    let stage = open_stage().await;
    let spec = record(CHANGE_CIPHER_SPEC, &[1]);
    // One is usual, two happen where a ClientHello was asked for twice.
    for (number, count) in [0, 2, 3, 10_000].into_iter().enumerate() {
        let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), Version::Tls13).await;
        let hello = peer.hello();
        peer.send(&hello).await;
        let flight = records(&peer.answer().await);
        let flight: Vec<u8> = flight.into_iter().filter(|r| r[0] != CHANGE_CIPHER_SPEC).flatten().collect();
        peer.send(&[spec.repeat(count), flight].concat()).await;
        if count <= 2 {
            peer.echo(HELLO).await;
            leaves(&stage, peer, number).await;
        } else {
            let end = peer.end().await;
            let line = stage.line(number).await;
            assert_eq!(line.text("reason"), Some("handshake_failed"), "{line:?} {end:?}");
            assert_eq!(stage.backend.octets(), 2 * HELLO.len() as u64);
        }
    }
    // Behind the handshake there is none.
    let (mut peer, _) = let_in(&stage).await;
    peer.send(&spec).await;
    let end = peer.end().await;
    assert_eq!(end.alert, Some(10), "{end:?}");
    broken_off(&stage, 4).await;
}

#[tokio::test]
async fn handshake_messages_behind_the_handshake_end_the_connection() {
    let stage = open_stage().await;
    let (client_hello, certificate, finished, ticket, unknown) = (1, 11, 20, 4, 99);
    for (number, (kind, body)) in [
        (client_hello, vec![3, 3]),
        // Post-handshake authentication, which nobody has asked for: the certificate that was judged is the only one.
        (certificate, vec![0, 0, 0, 0]),
        (finished, vec![0; 32]),
        (ticket, vec![0; 40]),
        (unknown, vec![]),
        // Neither 0 nor 1 of a KeyUpdate.
        (24, vec![2]),
    ]
    .into_iter()
    .enumerate()
    {
        let (mut peer, mut keys) = let_in(&stage).await;
        let octets = [keys.seal(HANDSHAKE, &message(kind, &body)), keys.seal(DATA, HELLO)].concat();
        peer.send(&octets).await;
        let end = peer.end().await;
        assert!(end.alert.is_some() && end.data.is_empty(), "{kind}: {end:?}");
        let line = broken_off(&stage, number).await;
        assert_eq!(line.0["bytes_in"], FIRST.len(), "{kind}: {line:?}");
    }
    // A message that does not end, and one that would be longer than any.
    for (number, length) in [(6, [0, 0, 9]), (7, [0xff, 0xff, 0xff])] {
        let (mut peer, mut keys) = let_in(&stage).await;
        let start = [&[certificate][..], &length, b"abc"].concat();
        peer.send(&[keys.seal(HANDSHAKE, &start), keys.seal(DATA, HELLO)].concat()).await;
        let end = peer.end().await;
        assert!(end.data.is_empty(), "{end:?}");
        broken_off(&stage, number).await;
    }
    assert_eq!(stage.backend.octets(), 8 * FIRST.len() as u64);
}

#[tokio::test]
async fn records_that_are_no_records_end_the_connection() {
    let stage = open_stage().await;
    for number in 0..5 {
        let (mut peer, mut keys) = let_in(&stage).await;
        let (octets, alert) = match number {
            // The most that a record may hold, with its type, and one more.
            0 => (keys.seal(DATA, &[7; 16 * 1024 + 1]), 22),
            // A header that says more than any record may have. RFC 8446 section 5.2 has record_overflow (22); this is what the TLS library
            // says.
            1 => (vec![DATA, 3, 3, 0xff, 0xff], 50),
            // Padding, and no type. The TLS library ends it without a word.
            2 => (keys.seal_inner(&[0; 100]), 0),
            // Not under the peer's keys.
            3 => (Epoch::new(&[7; 32]).seal(DATA, HELLO), 20),
            // In the clear.
            _ => (record(DATA, HELLO), 20),
        };
        peer.send(&octets).await;
        let end = peer.end().await;
        let line = broken_off(&stage, number).await;
        assert_eq!((end.alert.unwrap_or(0), end.data.len()), (alert, 0), "{number}: {line:?}");
    }
    let (mut peer, mut keys) = let_in(&stage).await;
    peer.send(&keys.seal(DATA, &[7; 16 * 1024])).await;
    assert_eq!(peer.hear(16 * 1024).await, [7; 16 * 1024]);
    // Padded to the full, as one that hides its lengths does.
    peer.send(&keys.seal_inner(&[&b"x\x17"[..], &[0; 16 * 1024 - 1]].concat())).await;
    assert_eq!(peer.hear(1).await, b"x");
}

#[tokio::test]
async fn records_that_are_no_records_end_the_handshake() {
    let stage = open_stage().await;
    let mut number = 0;
    for version in BOTH {
        for (what, octets) in [
            ("empty records", record(HANDSHAKE, &[]).repeat(1000)),
            ("an oversized record", [&[HANDSHAKE, 3, 3, 0xff, 0xff][..], &[0; 70_000]].concat()),
            (
                "an endless message",
                record(HANDSHAKE, &[&[11, 0xff, 0xff, 0xff][..], &[0; 16_000]].concat()).repeat(8),
            ),
            ("an unknown type", record(99, &[0; 10])),
            ("data", record(DATA, &[0; 100])),
        ] {
            let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), version).await;
            let hello = peer.hello();
            peer.send(&hello).await;
            let flight = peer.answer().await;
            peer.send(&[octets, flight].concat()).await;
            let end = peer.end().await;
            let line = refused(&stage, number, Reason::HandshakeFailed).await;
            assert!(end.data.is_empty(), "{what}: {line:?}");
            number += 1;
        }
    }
}
