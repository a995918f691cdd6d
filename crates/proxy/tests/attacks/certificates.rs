//! Chains and keys that are too many, too large or too strange, and what they may cost.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rcgen::{KeyUsagePurpose, PublicKeyData, SignatureAlgorithm, SigningKey};
use revouch_lab::{Identity, LeafBuilder};
use revouch_validator::reason::Reason;
use rustls::pki_types::CertificateDer;

use crate::craft::{BOTH, Crafted, Version};
use crate::seal::{DATA, HANDSHAKE, message, record, records};
use crate::stage::{HELLO, NAME, Plan, Stage};
use crate::usage::processor_ms;
use crate::{MANY, leaves, open_stage, refused, sees_refusal};

/// What the decision on one chain may cost in processor time, in a debug build on a machine that has other work to do.
const MOST_MS: u64 = 400;

/// Certificates that have nothing to do with anything, each of its own name, with this many octets more.
fn strangers(count: usize, more: usize) -> Vec<CertificateDer<'static>> {
    let one = |number| {
        let leaf = LeafBuilder::self_signed().common_name(&format!("stranger {number}")).marked_as_ca();
        // An octet string, in an extension that nobody knows.
        let leaf = leaf.extension(&[1, 3, 6, 1, 4, 1, 99_999, 2], vec![0; more], false);
        leaf.issue().unwrap().leaf()
    };
    (0..count).map(one).collect()
}

/// The leaf with its issuer and these behind it.
fn with_more(stage: &Stage, more: Vec<CertificateDer<'static>>) -> Identity {
    let leaf = stage.leaf();
    let issuer = leaf.chain().split_off(1);
    leaf.with_intermediates(issuer.into_iter().chain(more))
}

#[tokio::test]
async fn a_chain_of_16_certificates_is_let_in_and_longer_ones_are_refused() {
    let stage = open_stage().await;
    stage.accepts(&with_more(&stage, strangers(14, 0)), NAME).await;
    // The same one again and again counts too.
    stage.accepts(&with_more(&stage, vec![stage.ca.root(); 14]), NAME).await;
    for count in [17, 20, 60] {
        let long = with_more(&stage, strangers(count - 2, 0));
        stage.refuses(&long, Reason::CertificateUnreadable).await;
    }
    let long = with_more(&stage, vec![stage.ca.root(); 100]);
    stage.refuses(&long, Reason::CertificateUnreadable).await;
}

#[tokio::test]
async fn a_certificate_message_is_let_in_up_to_the_bound_of_the_tls_library() {
    let stage = open_stage().await;
    stage.accepts(&with_more(&stage, strangers(1, 60 * 1024)), NAME).await;
    stage.accepts(&with_more(&stage, strangers(10, 5_800)), NAME).await;
    for (number, version) in BOTH.into_iter().enumerate() {
        let number = 4 + number;
        let octets = stage.backend.octets();
        let long = with_more(&stage, strangers(12, 6 * 1024));
        let mut peer = Crafted::connect(&stage, Some(&long), version).await;
        let hello = peer.hello();
        peer.send(&hello).await;
        let flight = peer.answer().await;
        peer.send(&flight).await;
        peer.end().await;
        let line = stage.line(number).await;
        assert_eq!(line.text("reason"), Some("handshake_failed"), "{line:?}");
        assert_eq!(stage.backend.octets(), octets);
    }
}

/// An RSA key of this length that nobody has the other half of, and signatures by it that are none.
struct Rsa {
    public: Vec<u8>,
    octets: usize,
}

impl Rsa {
    fn new(bits: usize, exponent: &[u8]) -> Self {
        let octets = bits / 8;
        // Odd, and without a zero in front of the highest bit.
        let mut modulus: Vec<u8> = (0..octets).map(|n| (n * 167 + 13).to_be_bytes()[7] | 1).collect();
        modulus[0] = 0xc1;
        let integer = |value: &[u8]| der(2, &[&[0], value].concat());
        Self { public: der(0x30, &[integer(&modulus), der(2, exponent)].concat()), octets }
    }
}

/// A value in DER.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let length = match content.len() {
        0..128 => vec![low],
        128..256 => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], &length[..], content].concat()
}

impl PublicKeyData for Rsa {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl SigningKey for Rsa {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(vec![0x42; self.octets])
    }
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn server() -> CertificateParams {
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

/// A root of the test's own.
fn root() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().unwrap();
    let params = ca("Root of large keys");
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

/// A stage that trusts that root alone.
async fn trusting(plan: Plan, pem: &str) -> Stage {
    let dir = revouch_testbed::process::temp_dir().unwrap();
    let file = dir.path().join("large.pem");
    std::fs::write(&file, pem).unwrap();
    let trust = format!("trust: {{public: None, caFiles: [\"{}\"]}}\ndns: {{ports: [5269]}}", file.display());
    // Read at the start; the directory is gone behind it.
    plan.limits(MANY).policy(&trust).start().await
}

#[tokio::test]
async fn a_leaf_with_an_rsa_16384_key_is_refused_whoever_vouches_for_it_before_anything_is_computed_with_it()
{
    let (issuer, pem) = root();
    let leaf = server().signed_by(&Rsa::new(16_384, &[1, 0, 1]), &issuer).unwrap().der().clone();
    // By path; and by a TLSA record.
    let record = revouch_lab::pki::tlsa_data(&leaf, 3, 0, 1).unwrap();
    for plan in [Plan::new(), Plan::new().dns(|universe| universe.tlsa(NAME, 5269, &record))] {
        let stage = trusting(plan, &pem).await;
        let identity = stage.leaf().with_leaf(leaf.clone()).with_intermediates([]);
        let before = processor_ms(&stage);
        stage.refuses(&identity, Reason::WeakKey).await;
        let spent = processor_ms(&stage) - before;
        assert!(spent < MOST_MS, "{spent} ms");
    }
}

#[tokio::test]
async fn in_audit_too_no_signature_by_an_rsa_16384_key_is_computed() {
    let (issuer, pem) = root();
    let leaf = server().signed_by(&Rsa::new(16_384, &[1, 0, 1]), &issuer).unwrap().der().clone();
    let stage = Plan::new().policy("mode: Audit").limits(MANY).start().await;
    drop(pem);
    let identity = stage.leaf().with_leaf(leaf).with_intermediates([]);
    for number in 0..2 {
        let mut peer = Crafted::connect(&stage, Some(&identity), Version::Tls13).await;
        let hello = peer.hello();
        peer.send(&hello).await;
        let flight = peer.answer().await;
        let mut flight = peer.open(&flight);
        // rsa_pss_rsae_sha256, and as many octets as such a signature has.
        let proof = message(15, &[&[8, 4, 8, 0][..], &[0x42; 2048]].concat());
        let mut octets = flight.with(&[flight.message(11), proof]);
        octets.extend(peer.traffic().seal(DATA, HELLO));
        let before = processor_ms(&stage);
        peer.send(&octets).await;
        sees_refusal(&stage, peer, number, Reason::BadSignature).await;
        let spent = processor_ms(&stage) - before;
        assert!(spent < MOST_MS, "{spent} ms");
    }
}

#[tokio::test]
async fn an_issuer_with_an_rsa_16384_key_is_refused_before_anything_is_computed_with_it() {
    let (issuer, pem) = root();
    let key = Rsa::new(16_384, &[1, 0, 1]);
    let large = ca("Large").signed_by(&key, &issuer).unwrap().der().clone();
    let stage = trusting(Plan::new(), &pem).await;
    // The signature is none; nobody finds out.
    let leaf = server().signed_by(&KeyPair::generate().unwrap(), &Issuer::new(ca("Large"), key)).unwrap();
    let identity = stage.leaf().with_leaf(leaf.der().clone()).with_intermediates([large]);
    let before = processor_ms(&stage);
    stage.refuses(&identity, Reason::WeakKey).await;
    let spent = processor_ms(&stage) - before;
    assert!(spent < MOST_MS, "{spent} ms");
}

#[tokio::test]
async fn the_dearest_chain_that_is_searched_costs_little() {
    let (issuer, pem) = root();
    let stage = trusting(Plan::new(), &pem).await;
    // The largest keys, with the largest exponent that is taken for one; three of each name, and each could have issued all of the next.
    let dear = || Rsa::new(8192, &[0x01, 0xff, 0xff, 0xff, 0xff]);
    let mut chain = Vec::new();
    for level in 0..5 {
        for copy in 0..3_u8 {
            let mut params = ca(&format!("Level {level}"));
            params.serial_number = Some(vec![copy + 1].into());
            let key = dear();
            let certificate = if level == 0 {
                params.signed_by(&key, &issuer)
            } else {
                params.signed_by(&key, &Issuer::new(ca(&format!("Level {}", level - 1)), dear()))
            };
            chain.insert(0, certificate.unwrap().der().clone());
        }
    }
    let leaf =
        server().signed_by(&KeyPair::generate().unwrap(), &Issuer::new(ca("Level 4"), dear())).unwrap();
    let identity = stage.leaf().with_leaf(leaf.der().clone()).with_intermediates(chain);
    assert_eq!(identity.chain().len(), 16);
    let before = processor_ms(&stage);
    stage.refuses(&identity, Reason::PathInvalid).await;
    // Twice: TLS 1.2 and 1.3.
    let spent = (processor_ms(&stage) - before) / 2;
    assert!(spent < MOST_MS, "{spent} ms");
}

#[tokio::test]
async fn issuers_that_could_all_have_issued_each_other_cost_little() {
    let (_, pem) = root();
    let stage = trusting(Plan::new(), &pem).await;
    let key = || KeyPair::generate().unwrap();
    let issuer = Issuer::new(ca("Ring"), key());
    let ring = (0..15_u8).map(|number| {
        let mut params = ca("Ring");
        params.serial_number = Some(vec![number + 1].into());
        params.signed_by(&key(), &issuer).unwrap().der().clone()
    });
    let leaf = server().signed_by(&key(), &issuer).unwrap();
    let identity = stage.leaf().with_leaf(leaf.der().clone()).with_intermediates(ring);
    let before = processor_ms(&stage);
    stage.refuses(&identity, Reason::PathInvalid).await;
    let spent = (processor_ms(&stage) - before) / 2;
    assert!(spent < MOST_MS, "{spent} ms");
}

#[tokio::test]
async fn a_leaf_that_path_validation_cannot_read_is_let_in_by_its_tlsa_record() {
    let leaf = || LeafBuilder::self_signed().dns(NAME);
    for (what, identity) in [
        ("version 1", leaf().version_1().issue().unwrap()),
        ("a critical extension that nobody knows", {
            leaf().extension(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0], true).issue().unwrap()
        }),
        ("expired", leaf().expired().issue().unwrap()),
        ("marked as a CA", leaf().marked_as_ca().issue().unwrap()),
    ] {
        let record = identity.tlsa(3, 1, 1).unwrap();
        let plan = Plan::new().policy("dns: {ports: [5269]}").limits(MANY);
        let stage = plan.dns(|universe| universe.tlsa(NAME, 5269, &record)).start().await;
        for (number, version) in BOTH.into_iter().enumerate() {
            let mut peer = Crafted::connect(&stage, Some(&identity), version).await;
            peer.handshake().await;
            peer.echo(HELLO).await;
            let line = leaves(&stage, peer, number).await;
            assert_eq!(line.text("dnssec"), Some("secure"), "{what}: {line:?}");
        }
        // The record vouches for this key alone.
        let other = stage.ca.leaf().dns(NAME).issue().unwrap();
        stage.refuses(&other, Reason::TlsaMismatch).await;
    }
}

#[tokio::test]
async fn a_chain_that_is_no_chain_is_refused() {
    let stage = open_stage().await;
    for (what, body, alert) in [
        // A length that goes beyond the message.
        ("too short", vec![0, 0, 200, 0, 0, 197, 0x30], 50),
        ("an empty certificate", vec![0, 0, 3, 0, 0, 0], 42),
        ("no DER", vec![0, 0, 6, 0, 0, 3, 1, 2, 3], 42),
    ] {
        let number = stage.lines().len();
        let mut peer = Crafted::connect(&stage, Some(&stage.leaf()), Version::Tls12).await;
        let hello = peer.hello();
        peer.send(&hello).await;
        let mut flight = records(&peer.answer().await);
        flight[0] = record(HANDSHAKE, &message(11, &body));
        peer.send(&flight.concat()).await;
        let end = peer.end().await;
        let reason = if alert == 42 { Reason::CertificateUnreadable } else { Reason::HandshakeFailed };
        let line = refused(&stage, number, reason).await;
        assert_eq!(end.alert, Some(alert), "{what}: {line:?}");
    }
}
