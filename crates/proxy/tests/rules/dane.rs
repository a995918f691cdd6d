//! R11.

use revouch_lab::{LeafBuilder, Signing};
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
