//! R15 and R17.

use std::net::IpAddr;

use revouch_lab::LeafBuilder;
use revouch_testbed::Peer;
use revouch_testbed::process::free_port;
use revouch_validator::reason::Reason;

use crate::stage::{NAME, Plan, SOURCE};

/// A port that the peer can bind to.
fn source_port() -> u16 {
    free_port(SOURCE).unwrap().port()
}

#[tokio::test]
async fn r15_a_service_leads_to_the_tlsa_record_of_its_port() {
    let identity = LeafBuilder::self_signed().dns(NAME).issue().unwrap();
    let record = identity.tlsa(3, 1, 1).unwrap();
    let stage = Plan::new()
        .policy("dns: {services: [_xmpps-server._tcp]}")
        .dns(|u| {
            u.record("_xmpps-server._tcp.gw1.example.test", "SRV 0 0 5270 gw1.example.test")
                .tlsa(NAME, 5270, &record)
        })
        .start()
        .await;
    stage.accepts(&identity, NAME).await;
    stage.refuses(&stage.leaf(), Reason::TlsaMismatch).await;
}

#[tokio::test]
async fn r15_the_lowest_priority_counts_and_records_of_other_targets_do_not() {
    let identity = LeafBuilder::self_signed().dns(NAME).issue().unwrap();
    let record = identity.tlsa(3, 1, 1).unwrap();
    let other = format!("1 1 1 {}", "5a".repeat(32));
    const SERVICE: &str = "_xmpps-server._tcp.gw1.example.test";
    let stage = Plan::new()
        .policy("dns: {services: [_xmpps-server._tcp]}")
        .dns(|u| {
            u.record(SERVICE, "SRV 0 0 5268 elsewhere.example.test")
                .record(SERVICE, "SRV 20 0 5269 gw1.example.test")
                .record(SERVICE, "SVCB 10 . port=5270")
                .record(SERVICE, "SVCB 0 elsewhere.example.test")
                .tlsa(NAME, 5268, &other)
                .tlsa(NAME, 5269, &other)
                .tlsa(NAME, 5270, &record)
        })
        .start()
        .await;
    stage.accepts(&identity, NAME).await;
    stage.refuses(&stage.leaf(), Reason::TlsaMismatch).await;
}

#[tokio::test]
async fn r15_absent_port_records_are_no_error_under_prefer() {
    let stage = Plan::new().policy("dns: {sourcePort: Prefer}").start().await;
    stage.accepts(&stage.leaf(), NAME).await;
}

#[tokio::test]
async fn r17_a_required_source_port_must_be_named() {
    let port = source_port();
    let stage = Plan::new()
        .policy("dns: {sourcePort: Require}")
        .dns(|u| {
            u.record(&format!("_{port}._tcp.gw1.example.test"), &format!("SRV 0 0 {port} gw1.example.test"))
        })
        .start()
        .await;
    let from = |port: u16| Peer::from(SOURCE).port(port).identity(&stage.leaf());
    stage.accepts_peer(&from(port), NAME).await;
    stage.refuses_peer(&Peer::from(SOURCE).identity(&stage.leaf()), Reason::SourcePortUnlisted).await;
}

#[tokio::test]
async fn r17_counts_in_the_reverse_zone_for_addresses() {
    let source: IpAddr = "127.1.0.21".parse().unwrap();
    let port = free_port(source).unwrap().port();
    let stage = Plan::new()
        .policy("dns: {sourcePort: Require}")
        .dns(|u| {
            u.record(
                &format!("_{port}._tcp.21.0.1.127.in-addr.arpa"),
                &format!("SRV 0 0 {port} x.example.test"),
            )
        })
        .start()
        .await;
    let identity = stage.ca.leaf().ip(source).issue().unwrap();
    stage.accepts_peer(&Peer::from(source).port(port).identity(&identity), "127.1.0.21").await;
    stage.refuses_peer(&Peer::from(source).identity(&identity), Reason::SourcePortUnlisted).await;
}
