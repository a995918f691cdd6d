//! R11.

use std::net::IpAddr;

use revouch_lab::{LeafBuilder, Signing};
use revouch_testbed::Peer;
use revouch_validator::reason::Reason;

use crate::stage::{NAME, Plan};

const PORTS: &str = "dns: {ports: [5269]}";

#[tokio::test]
async fn r11_usage_3_lets_in_a_self_signed_certificate_of_a_signed_zone() {
    let identity = LeafBuilder::self_signed().dns("anything.example.test").issue().unwrap();
    let record = identity.tlsa(3, 1, 1).unwrap();
    let stage = Plan::new().policy(PORTS).dns(|u| u.tlsa(NAME, 5269, &record)).start().await;
    let line = stage.accepts(&identity, NAME).await;
    assert_eq!(line.text("class"), Some("server"));
    stage.refuses(&stage.leaf(), Reason::TlsaMismatch).await;
}

#[tokio::test]
async fn r11_in_an_unsigned_zone_usage_3_does_not_count() {
    let identity = LeafBuilder::self_signed().dns(NAME).issue().unwrap();
    let record = identity.tlsa(3, 1, 1).unwrap();
    let plan = Plan::new().policy(PORTS);
    let stage =
        plan.dns(|u| u.zone("example.test", Signing::Unsigned).tlsa(NAME, 5269, &record)).start().await;
    stage.refuses(&identity, Reason::UnknownIssuer).await;
    stage.accepts(&stage.leaf(), NAME).await;
}

#[tokio::test]
async fn r11_usages_0_1_and_2() {
    let plan = Plan::new();
    let leaf = plan.ca().leaf().dns(NAME).issue().unwrap();
    let records =
        [plan.ca().tlsa(0, 1, 1).unwrap(), leaf.tlsa(1, 1, 1).unwrap(), plan.ca().tlsa(2, 1, 1).unwrap()];
    let ca = plan.ca().clone();
    for record in records {
        let mut plan = Plan::new().policy(PORTS).dns(|u| u.tlsa(NAME, 5269, &record));
        plan = plan.with_ca(ca.clone());
        plan.start().await.accepts(&leaf, NAME).await;
    }
}

#[tokio::test]
async fn r11_usages_0_1_and_2_that_match_nothing_refuse_unless_tlsa_is_ignored() {
    for usage in [0, 1, 2] {
        let record = format!("{usage} 1 1 {}", "5a".repeat(32));
        let stage = Plan::new().policy(PORTS).dns(|u| u.tlsa(NAME, 5269, &record)).start().await;
        stage.refuses(&stage.leaf(), Reason::TlsaMismatch).await;
        let plan = Plan::new().policy("dns: {ports: [5269], tlsa: Ignore}");
        let stage = plan.dns(|u| u.tlsa(NAME, 5269, &record)).start().await;
        stage.accepts(&stage.leaf(), NAME).await;
    }
}

#[tokio::test]
async fn r11_usage_3_in_the_reverse_zone_vouches_for_the_key_and_never_for_the_address() {
    let source: IpAddr = "127.1.0.22".parse().unwrap();
    let own = |address: &str| LeafBuilder::self_signed().ip(address.parse().unwrap()).issue().unwrap();
    let (right, wrong) = (own("127.1.0.22"), own("127.1.0.23"));
    let [first, second] = [&right, &wrong].map(|identity| identity.tlsa(3, 1, 1).unwrap());
    let plan = Plan::new().policy(PORTS);
    let stage = plan
        .dns(|u| {
            let reverse = "22.0.1.127.in-addr.arpa";
            u.tlsa(reverse, 5269, &first).tlsa(reverse, 5269, &second)
        })
        .start()
        .await;
    stage.accepts_peer(&Peer::from(source).identity(&right), "127.1.0.22").await;
    stage.refuses_peer(&Peer::from(source).identity(&wrong), Reason::AddressMismatch).await;
}

#[tokio::test]
async fn r11_required_and_absent() {
    let stage = Plan::new().policy("dns: {ports: [5269], tlsa: Require}").start().await;
    stage.refuses(&stage.leaf(), Reason::TlsaMissing).await;
}

#[tokio::test]
async fn r11_usage_3_vouches_for_a_leaf_that_path_validation_cannot_read() {
    let identity = LeafBuilder::self_signed().dns(NAME).version_1().issue().unwrap();
    let record = identity.tlsa(3, 0, 1).unwrap();
    let stage = Plan::new().policy(PORTS).dns(|u| u.tlsa(NAME, 5269, &record)).start().await;
    stage.accepts(&identity, NAME).await;
}
