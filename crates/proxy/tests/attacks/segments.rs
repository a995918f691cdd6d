//! How the octets are cut: single ones, records of one octet, everything at once. All of it is only odd.

use std::time::Duration;

use revouch_lab::{Fault, Scope};
use revouch_validator::reason::Reason;
use tokio::io::AsyncWriteExt as _;

use crate::craft::{BOTH, Crafted, Version, change_cipher_spec};
use crate::seal::{ALERT, DATA, HANDSHAKE, fragmented, record, records};
use crate::stage::{HELLO, Plan, Stage};
use crate::{MANY, accepted, alert_of, leaves, open_stage, refused, sees_refusal};

/// Type numbers of handshake messages.
const CERTIFICATE: u8 = 11;

async fn send_singly(peer: &mut Crafted, octets: &[u8]) {
    for octet in octets {
        peer.send(&[*octet]).await;
        // So that each is read by itself.
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn single_octets_are_let_in() {
    let stage = open_stage().await;
    for (number, version) in BOTH.into_iter().enumerate() {
        let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), version).await;
        let hello = peer.hello();
        send_singly(&mut peer, &hello).await;
        let flight = peer.answer().await;
        send_singly(&mut peer, &flight).await;
        peer.echo(HELLO).await;
        leaves(&stage, peer, number).await;
    }
}

#[tokio::test]
async fn records_of_one_octet_are_let_in() {
    let stage = open_stage().await;
    for (number, version) in BOTH.into_iter().enumerate() {
        let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), version).await;
        let hello = fragmented(&peer.hello(), 1);
        peer.send(&hello).await;
        let flight = peer.answer().await;
        let flight = match version {
            Version::Tls13 => [change_cipher_spec(), peer.open(&flight).fragmented(1)].concat(),
            Version::Tls12 => tls12_fragmented(&flight),
        };
        peer.send(&flight).await;
        peer.echo(HELLO).await;
        leaves(&stage, peer, number).await;
    }
}

/// What is in the clear in records of one octet: all but ChangeCipherSpec and what stands behind it.
fn tls12_fragmented(flight: &[u8]) -> Vec<u8> {
    let (clear, rest): (Vec<_>, Vec<_>) = {
        let all = records(flight);
        let split = all.iter().position(|record| record[0] != HANDSHAKE).unwrap();
        (all[..split].to_vec(), all[split..].to_vec())
    };
    [fragmented(&clear.concat(), 1), rest.concat()].concat()
}

#[tokio::test]
async fn data_right_behind_finished_arrives_whole() {
    let stage = open_stage().await;
    let data: Vec<u8> = (0..200_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for number in 0..5 {
        let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), Version::Tls13).await;
        let hello = peer.hello();
        peer.send(&hello).await;
        let flight = peer.answer().await;
        let mut keys = peer.traffic();
        let sealed = data.chunks(16 * 1024).flat_map(|part| keys.seal(DATA, part));
        let all: Vec<u8> = flight.into_iter().chain(sealed).collect();
        // The first record of data in one segment with Finished.
        peer.send(&all).await;
        assert!(peer.hear(data.len()).await == data);
        drop(peer);
        accepted(&stage, number).await;
    }
}

#[tokio::test]
async fn a_whole_conversation_right_behind_finished_ends_in_order() {
    let stage = open_stage().await;
    let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), Version::Tls13).await;
    let hello = peer.hello();
    peer.send(&hello).await;
    let flight = peer.answer().await;
    let mut keys = peer.traffic();
    // Data and close_notify, and FIN behind them.
    let all = [flight, keys.seal(DATA, HELLO), keys.seal(ALERT, &[1, 0])].concat();
    peer.send(&all).await;
    peer.stream.shutdown().await.unwrap();
    let end = peer.end().await;
    assert_eq!((&end.data[..], end.alert, end.properly), (HELLO, None, true));
    let line = accepted(&stage, 0).await;
    assert_eq!(line.text("close"), Some("finished"), "{line:?}");
}

#[tokio::test]
async fn data_right_behind_finished_of_a_refused_peer_goes_nowhere_and_it_sees_its_alert() {
    let stage = open_stage().await;
    let wrong = stage.ca.leaf().dns("other.example.test").issue().unwrap();
    for number in 0..5 {
        let mut peer = Crafted::connect(&stage, Some(&wrong), Version::Tls13).await;
        let hello = peer.hello();
        peer.send(&hello).await;
        let flight = peer.answer().await;
        let mut keys = peer.traffic();
        let sealed = (0..20).flat_map(|_| keys.seal(DATA, &[7; 16 * 1024]));
        let all: Vec<u8> = flight.into_iter().chain(sealed).collect();
        peer.send(&all).await;
        let end = sees_refusal(&stage, peer, number, Reason::NameMismatch).await;
        // A reset would take the alert from a peer that is not as quick as this one.
        assert!(!end.reset, "{end:?}");
    }
}

#[tokio::test]
async fn tls12_data_right_behind_the_peers_finished_arrives_whole_or_goes_nowhere() {
    let stage = open_stage().await;
    let wrong = stage.ca.leaf().dns("other.example.test").issue().unwrap();
    for (number, identity) in [stage.leaf(), wrong].iter().enumerate() {
        let mut peer = Crafted::connect(&stage, Some(identity), Version::Tls12).await;
        let hello = peer.hello();
        peer.send(&hello).await;
        let flight = peer.answer().await;
        let mut keys = peer.tls12_traffic();
        // Before the acceptor's Finished: false start (RFC 7918).
        let all = [flight, keys.seal(DATA, HELLO), keys.seal(ALERT, &[1, 0])].concat();
        peer.send(&all).await;
        if number == 0 {
            let end = peer.end().await;
            assert_eq!((&end.data[..], end.properly), (HELLO, true), "{end:?}");
            accepted(&stage, number).await;
        } else {
            assert_eq!(peer.end().await.alert, alert_of(Reason::NameMismatch));
            assert_eq!(stage.line(number).await.text("reason"), Some("name_mismatch"));
            assert_eq!(stage.backend.octets(), HELLO.len() as u64);
        }
    }
}

/// A TLS 1.2 peer's flight without its Certificate, and that record.
fn without_certificate(flight: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let is_certificate = |record: &Vec<u8>| record[0] == HANDSHAKE && record[5] == CERTIFICATE;
    let (certificate, rest): (Vec<_>, Vec<_>) = records(flight).into_iter().partition(is_certificate);
    assert_eq!(certificate.len(), 1);
    (certificate.concat(), rest.concat())
}

/// The record of a TLS 1.2 Certificate message (RFC 5246 section 7.4.2).
fn certificate_record(chain: &[rustls::pki_types::CertificateDer<'_>]) -> Vec<u8> {
    let length = |n: usize| u32::try_from(n).unwrap().to_be_bytes()[1..].to_vec();
    let list: Vec<u8> = chain.iter().flat_map(|c| [length(c.len()), c.to_vec()].concat()).collect();
    record(HANDSHAKE, &crate::seal::message(CERTIFICATE, &[length(list.len()), list].concat()))
}

/// DNS that takes its time, so that the decision would be due before the evidence if nothing held it.
async fn slow_stage() -> Stage {
    let stage = Plan::new().limits(MANY).start().await;
    stage.dns.faults().set(Scope::suffix(".").unwrap(), Fault::Delay(Duration::from_millis(40)));
    stage
}

#[tokio::test]
async fn tls12_certificate_in_one_segment_with_the_client_hello_is_judged_on_the_evidence() {
    let stage = slow_stage().await;
    let good = stage.leaf();
    // As if it were any other peer: the handshake is valid, only early.
    let mut peer = Crafted::connect(&stage, Some(&good), Version::Tls12).await;
    let early = [peer.hello(), certificate_record(&good.chain())].concat();
    peer.send(&early).await;
    let (certificate, rest) = without_certificate(&peer.answer().await);
    assert_eq!(certificate, certificate_record(&good.chain()));
    peer.send(&rest).await;
    peer.echo(HELLO).await;
    leaves(&stage, peer, 0).await;
}

#[tokio::test]
async fn tls12_everything_in_one_segment_gains_nothing() {
    let (stage, elsewhere) = (slow_stage().await, slow_stage().await);
    let good = stage.leaf();
    let wrong = stage.ca.leaf().dns("other.example.test").issue().unwrap();
    // What stands behind the certificate is of another handshake: nobody can know it in advance. FIN makes the acceptor look at it at once.
    for (number, (identity, reason)) in
        [(&wrong, Reason::NameMismatch), (&good, Reason::BadSignature)].into_iter().enumerate()
    {
        let mut other = Crafted::connect(&elsewhere, Some(identity), Version::Tls12).await;
        let hello = other.hello();
        other.send(&hello).await;
        let (_, rest) = without_certificate(&other.answer().await);
        let mut peer = Crafted::connect(&stage, Some(identity), Version::Tls12).await;
        let all = [peer.hello(), certificate_record(&identity.chain()), rest].concat();
        peer.send(&all).await;
        peer.stream.shutdown().await.unwrap();
        let line = refused(&stage, number, reason).await;
        assert!(line.0["evidence_ms"].as_f64().is_some(), "{line:?}");
        assert_eq!(line.text("claimed_identity").is_some(), reason == Reason::BadSignature, "{line:?}");
    }
}
