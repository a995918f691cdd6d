//! R1, R4, R5, R6, R16, S2.1, S2.2, S2.3: the class of the certificate and its path.

use std::time::Duration;

use revouch_lab::{Identity, KeyUsage, LeafBuilder, Purpose};
use revouch_testbed::Peer;
use revouch_validator::reason::Reason;
use time::OffsetDateTime;

use crate::stage::{HELLO, NAME, Plan, SOURCE, Stage};

const CLIENTS: &str =
    "eku: {clientAuth: Accept}\nclientAuth: {subjects: SUBJECTS, trust: {caFiles: [people.pem]}}";

fn clients(subjects: &str) -> String {
    CLIENTS.replace("SUBJECTS", subjects)
}

fn person(stage: &Stage) -> LeafBuilder {
    stage.people.leaf().purposes(&[Purpose::ClientAuth]).common_name("Alice Example")
}

#[tokio::test]
async fn r1_client_auth_is_refused_by_default() {
    let stage = Stage::with_policy("").await;
    stage.refuses(&person(&stage).issue().unwrap(), Reason::ClientAuthRejected).await;
}

#[tokio::test]
async fn r1_a_person_is_accepted_and_a_device_refused_under_subjects_person() {
    let stage = Stage::with_policy(&clients("Person")).await;
    let line = stage.accepts(&person(&stage).issue().unwrap(), "CN=Alice Example").await;
    assert_eq!(line.text("class"), Some("person"));
    stage.refuses(&person(&stage).dns(NAME).issue().unwrap(), Reason::SubjectIsDevice).await;
}

#[tokio::test]
async fn r1_a_device_is_accepted_and_a_person_refused_under_subjects_device() {
    let stage = Stage::with_policy(&clients("Device")).await;
    let line = stage.accepts(&person(&stage).dns(NAME).issue().unwrap(), NAME).await;
    assert_eq!(line.text("class"), Some("device"));
    stage.refuses(&person(&stage).issue().unwrap(), Reason::SubjectIsPerson).await;
    stage.refuses(&person(&stage).dns("other.example.test").issue().unwrap(), Reason::NameMismatch).await;
}

#[tokio::test]
async fn r4_identity_goes_to_the_upstream_by_class_and_override() {
    let told = async |fields: &str, identity: fn(&Stage) -> Identity| {
        let stage = Plan::new()
            .policy(&format!("{}\n{fields}", clients("Person")))
            .upstream(", sendProxy: V2")
            .start()
            .await;
        let peer = Peer::from(SOURCE).identity(&identity(&stage));
        let outcome = peer.exchange(stage.listener, HELLO).await;
        assert!(outcome.accepted(), "{outcome:?} {:?}", stage.line(0).await);
        let header = stage.backend.seen()[0].proxy_header().unwrap();
        assert_eq!(header.addresses.unwrap().0.ip(), SOURCE);
        let ssl = header.ssl().unwrap();
        (ssl.client, ssl.verify, ssl.common_name())
    };
    let server = |stage: &Stage| stage.ca.leaf().dns(NAME).common_name("evil.example.test").issue().unwrap();
    let client = |stage: &Stage| person(stage).issue().unwrap();
    // PP2_CLIENT_SSL alone, and a verify result that is not zero: nothing is passed on.
    let (bits, verify, name) = told("", server).await;
    assert_eq!((bits & 0b110, verify != 0, name), (0, true, None));
    let (bits, verify, name) = told("forwardIdentity: Never", client).await;
    assert_eq!((bits & 0b110, verify != 0, name), (0, true, None));
    let (bits, verify, name) = told("", client).await;
    assert_eq!((bits & 0b010, verify, name.as_deref()), (0b010, 0, Some("Alice Example")));
    // The confirmed name, never the subject's common name.
    let (_, verify, name) = told("forwardIdentity: Always", server).await;
    assert_eq!((verify, name.as_deref()), (0, Some(NAME)));
}

#[tokio::test]
async fn r5_both_ekus_are_refused_or_taken_as_the_class_that_policy_says() {
    let both = |stage: &Stage| {
        stage.ca.leaf().dns(NAME).purposes(&[Purpose::ServerAuth, Purpose::ClientAuth]).issue().unwrap()
    };
    let stage = Stage::with_policy("").await;
    stage.refuses(&both(&stage), Reason::EkuBoth).await;
    let stage = Stage::with_policy("eku: {both: AsServerAuth}").await;
    stage.accepts(&both(&stage), NAME).await;
    // One class, with its own anchors: a public CA's certificate is no better for the other EKU.
    let as_client = clients("Device").replace("clientAuth: Accept", "clientAuth: Accept, both: AsClientAuth");
    let stage = Stage::with_policy(&as_client).await;
    stage.refuses(&both(&stage), Reason::PathEku).await;
    let purposes = [Purpose::ServerAuth, Purpose::ClientAuth];
    let line = stage.accepts(&stage.people.leaf().dns(NAME).purposes(&purposes).issue().unwrap(), NAME).await;
    assert_eq!(line.text("class"), Some("device"));
}

#[tokio::test]
async fn absent_any_and_other_ekus_are_named_policy() {
    let leaf =
        |stage: &Stage, purposes: &[Purpose]| stage.ca.leaf().dns(NAME).purposes(purposes).issue().unwrap();
    let stage = Stage::with_policy("").await;
    stage.refuses(&leaf(&stage, &[]), Reason::EkuAbsent).await;
    stage.refuses(&leaf(&stage, &[Purpose::Any]), Reason::EkuAny).await;
    stage.refuses(&leaf(&stage, &[Purpose::CodeSigning]), Reason::EkuOther).await;
    let stage = Stage::with_policy("eku: {absent: AsServerAuth, any: AsServerAuth}").await;
    stage.accepts(&leaf(&stage, &[]), NAME).await;
    stage.accepts(&leaf(&stage, &[Purpose::Any]), NAME).await;
}

#[tokio::test]
async fn r6_mixed_names_are_invalid() {
    let stage = Stage::with_policy("").await;
    stage
        .refuses(&stage.ca.leaf().dns(NAME).email("a@example.test").issue().unwrap(), Reason::NamesMixed)
        .await;
    let device_names = stage.ca.leaf().dns(NAME).ip(SOURCE).issue().unwrap();
    stage.accepts(&device_names, NAME).await;
    let stage = Stage::with_policy("deviceNames: {mixed: Reject}").await;
    let device_names = stage.ca.leaf().dns(NAME).ip(SOURCE).issue().unwrap();
    stage.refuses(&device_names, Reason::NamesMixed).await;
}

#[tokio::test]
async fn s2_2_a_service_for_persons_declines_servers() {
    let fields = clients("Person").replace("clientAuth: Accept", "clientAuth: Accept, serverAuth: Reject");
    let stage = Stage::with_policy(&fields).await;
    stage.refuses(&stage.leaf(), Reason::ServerAuthRejected).await;
    assert!(
        Peer::from(SOURCE)
            .identity(&person(&stage).issue().unwrap())
            .exchange(stage.listener, b"x")
            .await
            .accepted()
    );
}

#[tokio::test]
async fn s2_3_a_service_for_servers_declines_persons_and_takes_servers() {
    let stage = Stage::with_policy("").await;
    stage.accepts(&stage.leaf(), NAME).await;
    stage.refuses(&person(&stage).issue().unwrap(), Reason::ClientAuthRejected).await;
}

#[tokio::test]
async fn r16_the_path_is_that_of_an_outbound_connection() {
    let stage = Stage::with_policy("").await;
    let leaf = || stage.ca.leaf().dns(NAME);
    stage.refuses(&LeafBuilder::self_signed().dns(NAME).issue().unwrap(), Reason::UnknownIssuer).await;
    stage.refuses(&leaf().expired().issue().unwrap(), Reason::Expired).await;
    stage.refuses(&leaf().not_yet_valid().issue().unwrap(), Reason::NotYetValid).await;
    stage.refuses(&leaf().key_usages(&[KeyUsage::KeyEncipherment]).issue().unwrap(), Reason::KeyUsage).await;
    let unknown = leaf().extension(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0], true).issue().unwrap();
    stage.refuses(&unknown, Reason::PathInvalid).await;
    // A CA for clients, trusted for servers by mistake.
    let stage = Stage::with_policy("trust: {public: None, caFiles: [servers.pem, people.pem]}").await;
    let wrong_ca = stage.people.leaf().purposes(&[Purpose::ServerAuth]).dns(NAME).issue().unwrap();
    stage.refuses(&wrong_ca, Reason::PathEku).await;
}

#[tokio::test]
async fn r16_revocation_is_by_crl() {
    let plan = Plan::new();
    let revoked = plan.ca().leaf().dns(NAME).issue().unwrap();
    let crl = plan.ca().crl().revoke(&revoked).issue().unwrap();
    let stage = plan.crl(crl).start().await;
    stage.refuses(&revoked, Reason::Revoked).await;
    stage.accepts(&stage.leaf(), NAME).await;

    let plan = Plan::new();
    let now = OffsetDateTime::now_utc();
    let stale = plan
        .ca()
        .crl()
        .this_update(now - Duration::from_secs(7200))
        .next_update(now - Duration::from_secs(60));
    let stale = stale.issue().unwrap();
    let stage = plan.crl(stale).start().await;
    stage.refuses(&stage.leaf(), Reason::CrlExpired).await;

    let strict = "trust: {public: None, caFiles: [servers.pem], crlUnknown: Refuse}";
    let stage = Stage::with_policy(strict).await;
    stage.refuses(&stage.leaf(), Reason::RevocationUnknown).await;
}

#[tokio::test]
async fn r16_a_weak_key_is_refused_even_where_dane_vouches_for_it() {
    // An RSA-1024 certificate made for this test; nobody holds its key, and nobody needs to.
    let weak = include_bytes!("rsa1024.der");
    let record = revouch_lab::pki::tlsa_data(weak, 3, 0, 1).unwrap();
    let stage = Plan::new().policy("dns: {ports: [5269]}").dns(|u| u.tlsa(NAME, 5269, &record)).start().await;
    stage.refuses(&stage.leaf().with_leaf(weak.to_vec().into()), Reason::WeakKey).await;
}

#[tokio::test]
async fn r16_the_peer_must_hold_the_key() {
    let stage = Stage::with_policy("").await;
    let stolen = stage.leaf().with_leaf(stage.leaf().leaf());
    stage.refuses(&stolen, Reason::BadSignature).await;
}

#[tokio::test]
async fn a_chain_out_of_bounds_is_refused() {
    let stage = Stage::with_policy("").await;
    let long = stage.leaf().with_intermediates((0..20).map(|_| stage.ca.root()));
    stage.refuses(&long, Reason::CertificateUnreadable).await;
}

#[tokio::test]
async fn s2_1_and_tls_versions_with_openssl_as_the_peer() {
    let stage = Stage::with_policy("").await;
    for tls12 in [false, true] {
        stage.openssl_is_accepted(&stage.leaf(), tls12).await;
        let other = stage.ca.leaf().dns("other.example.test").issue().unwrap();
        stage.openssl_is_refused(&other, tls12, Reason::NameMismatch).await;
        stage
            .openssl_is_refused(&stage.ca.leaf().dns(NAME).expired().issue().unwrap(), tls12, Reason::Expired)
            .await;
    }
}
