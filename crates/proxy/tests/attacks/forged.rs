//! Handshakes in which something was left out, doubled, replayed or forged: nobody gets in without the proof that it holds the key of the
//! certificate that was judged.

use std::io::Write as _;
use std::sync::Arc;

use revouch_validator::reason::Reason;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::craft::{BOTH, Crafted, Version, config};
use crate::seal::{ALERT, DATA, HANDSHAKE, message, record, records};
use crate::stage::{Plan, SOURCE, Stage};
use crate::{MANY, alert_of, all_lines, open_stage, refused};

/// Types of handshake messages.
const CERTIFICATE: u8 = 11;
const KEY_EXCHANGE: u8 = 16;
const VERIFY: u8 = 15;

/// Alerts of the TLS library, where it is not the decision that refuses (RFC 8446 section 6).
const UNEXPECTED_MESSAGE: u8 = 10;
const BAD_RECORD_MAC: u8 = 20;
const DECODE_ERROR: u8 = 50;
const DECRYPT_ERROR: u8 = 51;

/// Sends the peer's second flight, and data right behind it with the keys that they would have if they were let in.
async fn meets(
    stage: &Stage,
    what: &str,
    mut peer: Crafted,
    mut flight: Vec<u8>,
    (reason, alert): (Reason, u8),
) {
    let number = stage.lines().len();
    if peer.tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3) {
        flight.extend(peer.traffic().seal(DATA, b"let me in"));
    }
    peer.send(&flight).await;
    let end = peer.end().await;
    let line = refused(stage, number, reason).await;
    assert_eq!(end.alert, Some(alert), "{what}: {line:?}");
    assert!(end.data.is_empty(), "{what}: {end:?}");
}

/// A peer on TLS 1.3 that has the acceptor's flight, and its own.
async fn before_flight(stage: &Stage) -> (Crafted, Vec<u8>) {
    let mut peer = Crafted::connect(stage, Some(&stage.leaf()), Version::Tls13).await;
    let hello = peer.hello();
    peer.send(&hello).await;
    let flight = peer.answer().await;
    (peer, flight)
}

#[tokio::test]
async fn tls13_nobody_enters_without_certificate_and_proof() {
    // Audit lets refused chains through, and nobody without the proof.
    for policy in ["", "mode: Audit"] {
        let stage = Plan::new().policy(policy).limits(MANY).start().await;
        let (other, flight) = before_flight(&stage).await;
        let replayed = other.open(&flight).message(VERIFY);
        drop(other);
        stage.line(0).await;
        let failed = |alert| (Reason::HandshakeFailed, alert);
        let no_certificate = (Reason::NoCertificate, 116);
        let bad_signature = (Reason::BadSignature, DECRYPT_ERROR);
        let nothing = message(CERTIFICATE, &[0, 0, 0, 0]);
        for what in [
            "as it should be",
            "no certificate and no proof",
            "no proof",
            "an empty list",
            "an empty list and a proof",
            "the proof of another handshake",
            "a proof of another scheme",
            "an empty proof",
            "two certificates",
            "the proof first",
            "two proofs",
            "a cut certificate",
            "a compressed certificate",
        ] {
            let (peer, flight) = before_flight(&stage).await;
            let mut flight = peer.open(&flight);
            let (certificate, verify) = (flight.message(CERTIFICATE), flight.message(VERIFY));
            let scheme = |scheme: [u8; 2]| [&verify[..4], &scheme, &verify[6..]].concat();
            let (messages, expected) = match what {
                "no certificate and no proof" => (vec![], failed(UNEXPECTED_MESSAGE)),
                "no proof" => (vec![certificate], failed(UNEXPECTED_MESSAGE)),
                "an empty list" => (vec![nothing.clone()], no_certificate),
                "an empty list and a proof" => (vec![nothing.clone(), verify], no_certificate),
                "the proof of another handshake" => (vec![certificate, replayed.clone()], bad_signature),
                // rsa_pss_rsae_sha256, by a key that is none.
                "a proof of another scheme" => (vec![certificate, scheme([8, 4])], bad_signature),
                "an empty proof" => (vec![certificate, message(VERIFY, &[4, 3, 0, 0])], bad_signature),
                "two certificates" => {
                    (vec![certificate.clone(), certificate, verify], failed(UNEXPECTED_MESSAGE))
                }
                "the proof first" => (vec![verify, certificate], failed(UNEXPECTED_MESSAGE)),
                // zlib, which nobody has offered to take.
                "a compressed certificate" => (
                    vec![message(25, &[0, 1, 0, 1, 0, 0, 0, 2, 0x78, 0x9c]), verify],
                    failed(UNEXPECTED_MESSAGE),
                ),
                "two proofs" => (vec![certificate, verify.clone(), verify], failed(UNEXPECTED_MESSAGE)),
                "a cut certificate" => (
                    vec![message(CERTIFICATE, &certificate[4..certificate.len() - 3]), verify],
                    failed(DECODE_ERROR),
                ),
                _ => {
                    let sealed = flight.with(&[certificate, verify]);
                    is_let_in(&stage, peer, &sealed).await;
                    continue;
                }
            };
            let sealed = flight.with(&messages);
            nothing_more_reaches_the_upstream(&stage, what, peer, sealed, expected).await;
        }
    }
}

/// As [`meets`], where one peer before was let in.
async fn nothing_more_reaches_the_upstream(
    stage: &Stage,
    what: &str,
    mut peer: Crafted,
    mut flight: Vec<u8>,
    (reason, alert): (Reason, u8),
) {
    let number = stage.lines().len();
    flight.extend(peer.traffic().seal(DATA, b"let me in"));
    peer.send(&flight).await;
    let end = peer.end().await;
    let line = stage.line(number).await;
    assert_eq!(
        (line.text("outcome"), line.text("reason")),
        (Some("refused"), Some(reason.as_str())),
        "{what}: {line:?}"
    );
    assert_eq!(end.alert, Some(alert), "{what}: {line:?}");
    assert!(end.data.is_empty(), "{what}: {end:?}");
    assert_eq!((stage.backend.connections(), stage.backend.octets()), (1, 5), "{what}");
}

/// That what the others leave out is enough, put together by the same hand.
async fn is_let_in(stage: &Stage, mut peer: Crafted, flight: &[u8]) {
    let number = stage.lines().len();
    let mut keys = peer.traffic();
    let all = [flight, &keys.seal(DATA, b"hello"), &keys.seal(ALERT, &[1, 0])].concat();
    peer.send(&all).await;
    assert_eq!(peer.end().await.data, b"hello");
    let line = stage.line(number).await;
    assert_eq!(line.text("outcome"), Some("accepted"), "{line:?}");
}

#[tokio::test]
async fn tls13_nobody_enters_without_a_finished_that_fits() {
    let stage = open_stage().await;
    let (peer, flight) = before_flight(&stage).await;
    let mut opened = peer.open(&flight);
    let (certificate, verify) = (opened.message(CERTIFICATE), opened.message(VERIFY));
    let mut sealed = opened.keys.seal(HANDSHAKE, &[certificate, verify].concat());
    sealed.extend(opened.keys.seal(HANDSHAKE, &message(20, &[0; 32])));
    meets(&stage, "a forged Finished", peer, sealed, (Reason::HandshakeFailed, DECRYPT_ERROR)).await;
    // Data in the place of the Finished: it is protected by keys that the acceptor does not use yet.
    let (peer, flight) = before_flight(&stage).await;
    let mut opened = peer.open(&flight);
    let all = [opened.message(CERTIFICATE), opened.message(VERIFY)].concat();
    let sealed = opened.keys.seal(HANDSHAKE, &all);
    meets(&stage, "no Finished", peer, sealed, (Reason::HandshakeFailed, BAD_RECORD_MAC)).await;
    // Data under the keys of the handshake.
    let (peer, flight) = before_flight(&stage).await;
    let mut opened = peer.open(&flight);
    let sealed = opened.keys.seal(DATA, b"let me in");
    meets(&stage, "data in the handshake", peer, sealed, (Reason::HandshakeFailed, UNEXPECTED_MESSAGE)).await;
}

#[tokio::test]
async fn tls12_nobody_enters_without_certificate_and_proof() {
    let stage = open_stage().await;
    let before_flight = async || {
        let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), Version::Tls12).await;
        let hello = peer.hello();
        peer.send(&hello).await;
        let flight = peer.answer().await;
        (peer, records(&flight))
    };
    let is = |record: &Vec<u8>, kind: u8| record[0] == HANDSHAKE && record[5] == kind;
    let (other, others) = before_flight().await;
    let replayed = others.into_iter().find(|record| is(record, VERIFY)).unwrap();
    drop(other);
    stage.line(0).await;
    let failed = |alert| (Reason::HandshakeFailed, alert);
    for (what, expected) in [
        ("no certificate and no proof", failed(UNEXPECTED_MESSAGE)),
        ("no proof", failed(UNEXPECTED_MESSAGE)),
        ("no key exchange", failed(UNEXPECTED_MESSAGE)),
        ("an empty list", (Reason::NoCertificate, 116)),
        ("an empty list and no proof", (Reason::NoCertificate, 116)),
        ("the proof of another handshake", (Reason::BadSignature, DECRYPT_ERROR)),
        ("two certificates", failed(UNEXPECTED_MESSAGE)),
        ("protection at once", failed(UNEXPECTED_MESSAGE)),
    ] {
        let (peer, mut flight) = before_flight().await;
        let empty = record(HANDSHAKE, &message(CERTIFICATE, &[0, 0, 0]));
        match what {
            "no certificate and no proof" => flight.retain(|r| !is(r, CERTIFICATE) && !is(r, VERIFY)),
            "no proof" => flight.retain(|r| !is(r, VERIFY)),
            "no key exchange" => flight.retain(|r| !is(r, KEY_EXCHANGE)),
            "an empty list" => flight[0] = empty,
            "an empty list and no proof" => {
                flight[0] = empty;
                flight.retain(|r| !is(r, VERIFY));
            }
            "the proof of another handshake" => {
                let place = flight.iter().position(|r| is(r, VERIFY)).unwrap();
                flight[place] = replayed.clone();
            }
            "two certificates" => flight.insert(0, flight[0].clone()),
            _ => flight.retain(|r| r[0] != HANDSHAKE),
        }
        meets(&stage, what, peer, flight.concat(), expected).await;
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused_whoever_vouches_for_it() {
    use revouch_lab::LeafBuilder;
    let own = LeafBuilder::self_signed().dns(crate::stage::NAME).version_1().issue().unwrap();
    let record = own.tlsa(3, 0, 1).unwrap();
    // Path validation cannot read it, so that its key is taken by our own hands.
    let plan = Plan::new().policy("dns: {ports: [5269]}").limits(MANY);
    let stage = plan.dns(|universe| universe.tlsa(crate::stage::NAME, 5269, &record)).start().await;
    let stolen = LeafBuilder::self_signed().issue().unwrap().with_leaf(own.leaf());
    let line = stage.refuses(&stolen, Reason::BadSignature).await;
    assert_eq!(alert_of(Reason::BadSignature), Some(DECRYPT_ERROR));
    assert_eq!(line.text("claimed_identity"), Some(crate::stage::NAME), "{line:?}");
    stage.accepts(&own, crate::stage::NAME).await;
}

#[tokio::test]
async fn the_acceptors_own_certificate_and_proof_open_nothing() {
    // The peer's address has the acceptor's name too, so that the certificate itself is good.
    let plan = Plan::new().dns(|universe| universe.host("acceptor.example.test", SOURCE)).limits(MANY);
    let stage = plan.start().await;
    let (peer, flight) = before_flight(&stage).await;
    let mut flight = peer.open(&flight);
    let reflected = flight.with(&[flight.theirs(CERTIFICATE), flight.theirs(VERIFY)]);
    meets(&stage, "reflected", peer, reflected, (Reason::BadSignature, DECRYPT_ERROR)).await;
    assert_eq!(stage.line(0).await.text("claimed_identity"), Some("acceptor.example.test"));
}

#[tokio::test]
async fn a_conversation_that_was_recorded_opens_nothing_when_it_is_played_again() {
    for version in BOTH {
        let stage = open_stage().await;
        let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), version).await;
        let mut recorded = peer.hello();
        peer.send(&recorded).await;
        let flight = peer.answer().await;
        peer.send(&flight).await;
        peer.finish().await;
        peer.tls.writer().write_all(b"hello").unwrap();
        peer.tls.send_close_notify();
        let said = peer.take();
        peer.send(&said).await;
        assert_eq!(peer.end().await.data, b"hello");
        recorded.extend([flight, said].concat());
        // At once, and in its steps.
        for steps in [1, 20] {
            let number = stage.lines().len().max(1);
            let mut peer = Crafted::connect(&stage, None, version).await;
            for part in recorded.chunks(recorded.len().div_ceil(steps)) {
                peer.send(part).await;
                tokio::task::yield_now().await;
            }
            peer.stream.shutdown().await.ok();
            peer.end().await;
            let line = stage.line(number).await;
            assert_eq!(line.text("outcome"), Some("refused"), "{line:?}");
            assert_eq!(stage.backend.octets(), 5);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_wrong_bit_anywhere_in_the_second_flight_is_enough() {
    for version in BOTH {
        let stage = open_stage().await;
        let (listener, config) = (stage.listener, config(Some(&stage.leaf()), version));
        let turns = Arc::new(Semaphore::new(4));
        let mut trying = JoinSet::new();
        for place in (0..1400_usize).step_by(9) {
            let (turns, config) = (Arc::clone(&turns), config.clone());
            trying.spawn(async move {
                let _turn = turns.acquire_owned().await.unwrap();
                let mut peer = Crafted::with(listener, config).await;
                let hello = peer.hello();
                peer.send(&hello).await;
                let mut flight = peer.answer().await;
                let place = place % flight.len();
                if is_version(&flight, place) {
                    return 0;
                }
                flight[place] ^= 1 << (place % 8);
                if version == Version::Tls13 {
                    flight.extend(peer.traffic().seal(DATA, b"let me in"));
                }
                peer.send(&flight).await;
                // A length that became longer waits for more.
                peer.stream.shutdown().await.ok();
                assert!(peer.end().await.data.is_empty());
                1
            });
        }
        let tried = trying.join_all().await.into_iter().sum();
        assert!(tried > 140, "{tried}");
        let lines = all_lines(&stage, tried).await;
        assert!(lines.iter().all(|line| line.text("outcome") == Some("refused")), "{lines:?}");
        assert_eq!((stage.backend.connections(), stage.backend.octets()), (0, 0));
    }
}

/// Whether this octet of a flight is one of a record's version, which nobody looks at (RFC 8446 section 5.1).
fn is_version(flight: &[u8], place: usize) -> bool {
    let mut start = 0;
    records(flight).iter().any(|record| {
        let here = (start + 1..start + 3).contains(&place);
        start += record.len();
        here
    })
}
