//! The six examples of `docs/examples`, each at work: somebody whom it lets in, and somebody whom it does not.

use std::net::IpAddr;

use revouch_lab::Signing;
use revouch_testbed::Peer;
use revouch_validator::reason::Reason;

use crate::stage::{HELLO, NAME, Plan, SOURCE, Stage};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn peer(stage: &Stage, source: &str, name: &str) -> Peer {
    Peer::from(ip(source)).identity(&stage.ca.leaf().dns(name).issue().unwrap())
}

/// A universe with one of the reverse proxies.
fn proxies(file: &str) -> Plan {
    Plan::new()
        .example(file)
        .dns(|u| u.zone("example.net", Signing::Nsec).host("rp1.example.net", ip("127.1.0.31")))
}

#[tokio::test]
async fn xmpp_federation_lets_in_every_server_that_dns_vouches_for() {
    let stage = Plan::new().example("xmpp-federation.yaml").start().await;
    let server = Peer::from(SOURCE).identity(&stage.leaf()).alpn(b"xmpp-server");
    stage.accepts_peer(&server, NAME).await;
    stage.refuses_peer(&peer(&stage, "127.1.0.3", NAME), Reason::NoPtr).await;
}

#[tokio::test]
async fn origin_behind_proxies_lets_in_the_named_ones() {
    let stage = proxies("origin-behind-proxies.yaml").start().await;
    stage.accepts_peer(&peer(&stage, "127.1.0.31", "rp1.example.net"), "rp1.example.net").await;
    stage.refuses(&stage.leaf(), Reason::NameNotListed).await;
}

#[tokio::test]
async fn smtp_dane_needs_no_word_of_policy() {
    let stage = Plan::new().example("smtp-dane.yaml").start().await;
    stage.accepts(&stage.leaf(), NAME).await;
    stage.refuses(&stage.ca.leaf().dns("other.example.test").issue().unwrap(), Reason::NameMismatch).await;
}

#[tokio::test]
async fn a_partner_without_ptr_is_let_in_by_name() {
    let stage = Plan::new()
        .example("partner-without-ptr.yaml")
        .dns(|u| u.zone("partner.example", Signing::Nsec).address("gw.partner.example", ip("127.1.0.32")))
        .start()
        .await;
    let partner = peer(&stage, "127.1.0.32", "gw.partner.example").server_name("api.example.net");
    stage.accepts_peer(&partner, "gw.partner.example").await;
    let elsewhere = peer(&stage, "127.1.0.33", "gw.partner.example").server_name("api.example.net");
    stage.refuses_peer(&elsewhere, Reason::NotConfirmed).await;
}

#[tokio::test]
async fn an_internal_mesh_lives_on_its_own_ca_and_an_exemption() {
    let stage = Plan::new()
        .example("internal-mesh.yaml")
        .dns(|u| u.zone("corp.example", Signing::Unsigned).host("a.corp.example", ip("127.1.0.34")))
        .start()
        .await;
    stage.accepts_peer(&peer(&stage, "127.1.0.34", "a.corp.example"), "a.corp.example").await;
    stage.refuses(&stage.leaf(), Reason::NameNotListed).await;
}

#[tokio::test]
async fn a_trial_tells_of_refusals_and_carries_none_out() {
    let stage = proxies("trial.yaml").start().await;
    stage.accepts_peer(&peer(&stage, "127.1.0.31", "rp1.example.net"), "rp1.example.net").await;
    let stranger = Peer::from(SOURCE).identity(&stage.leaf());
    assert!(stranger.exchange(stage.listener, HELLO).await.accepted());
    let line = stage.line(1).await;
    assert_eq!(
        (line.text("outcome"), line.text("reason")),
        (Some("audited"), Some("name_not_listed")),
        "{line:?}"
    );
}
