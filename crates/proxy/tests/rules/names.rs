//! R2, R3, R8 and `identity`.

use std::net::IpAddr;

use revouch_lab::{Fault, Scope};
use revouch_testbed::Peer;
use revouch_validator::reason::Reason;

use crate::stage::{NAME, Plan, SOURCE, Stage};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn r2_forward_confirmed_reverse_dns_is_the_identity() {
    let stage = Stage::with_policy("").await;
    let line = stage.accepts(&stage.leaf(), NAME).await;
    assert_eq!(line.text("class"), Some("server"));
    stage.refuses(&stage.ca.leaf().dns("other.example.test").issue().unwrap(), Reason::NameMismatch).await;
    let common_name_only = stage.ca.leaf().dns("other.example.test").common_name(NAME).issue().unwrap();
    stage.refuses(&common_name_only, Reason::NameMismatch).await;
}

#[tokio::test]
async fn r2_without_ptr_or_without_the_way_back_the_peer_is_refused() {
    let stage = Plan::new()
        .dns(|u| u.ptr(ip("127.1.0.2"), "gw2.example.test").address("gw2.example.test", ip("127.1.0.99")))
        .start()
        .await;
    let from = |source: &str, name: &str| {
        Peer::from(ip(source)).identity(&stage.ca.leaf().dns(name).issue().unwrap())
    };
    stage.refuses_peer(&from("127.1.0.3", NAME), Reason::NoPtr).await;
    stage.refuses_peer(&from("127.1.0.2", "gw2.example.test"), Reason::NotConfirmed).await;
    stage.accepts(&stage.leaf(), NAME).await;
}

#[tokio::test]
async fn r2_names_that_cannot_be_hosts_and_names_that_are_not_listed() {
    let stage = Plan::new()
        .policy("identity: {names: [gw1.example.test]}")
        .dns(|u| u.host("gw2.example.test", ip("127.1.0.2")).ptr(ip("127.1.0.4"), "x.invalid"))
        .start()
        .await;
    let all = stage.ca.leaf().dns("*.example.test").issue().unwrap();
    stage.accepts(&all, NAME).await;
    stage.refuses_peer(&Peer::from(ip("127.1.0.2")).identity(&all), Reason::NameNotListed).await;
    stage.refuses_peer(&Peer::from(ip("127.1.0.4")).identity(&all), Reason::NameUnusable).await;
}

#[tokio::test]
async fn r3_the_source_address_is_the_identity_of_an_address_certificate() {
    let stage = Stage::with_policy("").await;
    let of = |address: &str| stage.ca.leaf().ip(ip(address)).issue().unwrap();
    let bare = Peer::from(ip("127.1.0.3")).identity(&of("127.1.0.3"));
    stage.accepts_peer(&bare, "127.1.0.3").await;
    let other = Peer::from(ip("127.1.0.3")).identity(&of("127.1.0.4"));
    stage.refuses_peer(&other, Reason::AddressMismatch).await;
}

#[tokio::test]
async fn r3_a_listener_for_both_families_takes_mapped_sources_for_ipv4_and_knows_ipv6() {
    let mut stage = Plan::new().any_address().dns(|u| u.host("gw6.example.test", ip("::1"))).start().await;
    let line = stage.accepts(&stage.leaf(), NAME).await;
    assert_eq!(line.text("source"), Some("127.1.0.1"));
    let by_address = stage.ca.leaf().ip(ip("127.1.0.3")).issue().unwrap();
    stage.accepts_peer(&Peer::from(ip("127.1.0.3")).identity(&by_address), "127.1.0.3").await;
    stage.listener.set_ip(ip("::1"));
    for (identity, expected) in [
        (stage.ca.leaf().dns("gw6.example.test").issue().unwrap(), "gw6.example.test"),
        (stage.ca.leaf().dns("*.example.test").ip(ip("::1")).issue().unwrap(), "gw6.example.test"),
        (stage.ca.leaf().ip(ip("::1")).issue().unwrap(), "::1"),
    ] {
        let line = stage.accepts_peer(&Peer::from(ip("::1")).identity(&identity), expected).await;
        assert_eq!(line.text("source"), Some("::1"));
    }
    let wrong = stage.ca.leaf().dns(NAME).issue().unwrap();
    stage.refuses_peer(&Peer::from(ip("::1")).identity(&wrong), Reason::NameMismatch).await;
}

#[tokio::test]
async fn r8_failures_in_the_reverse_zone_refuse_an_address() {
    const TLSA: &str = "_5269._tcp.3.0.1.127.in-addr.arpa";
    const SRV: &str = "_xmpps-server._tcp.3.0.1.127.in-addr.arpa";
    let tlsa = format!("TLSA 1 1 1 {}", "00".repeat(32));
    for (owner, rr_type, record) in
        [(TLSA, "TLSA", tlsa.as_str()), (SRV, "SRV", "SRV 0 0 5270 x.example.test")]
    {
        let policy = "dns: {ports: [5269], services: [_xmpps-server._tcp], deadline: 2s}";
        let stage = Plan::new()
            .policy(policy)
            .dns(|u| u.record(owner, record).sabotage(owner, rr_type, revouch_lab::Sabotage::WrongRdata))
            .start()
            .await;
        let identity = stage.ca.leaf().ip(ip("127.1.0.3")).issue().unwrap();
        let peer = Peer::from(ip("127.1.0.3")).identity(&identity);
        stage.refuses_peer(&peer, Reason::DnsBogus).await;
        // Nor is a server that fails taken for one that has nothing.
        let stage = Stage::with_policy(policy).await;
        let scope = Scope::name(owner).unwrap().of_type(rr_type).unwrap();
        stage.dns.faults().set(scope, Fault::ServFail);
        let identity = stage.ca.leaf().ip(ip("127.1.0.3")).issue().unwrap();
        let peer = Peer::from(ip("127.1.0.3")).identity(&identity);
        stage.refuses_peer(&peer, Reason::DnsServfail).await;
    }
}

#[tokio::test]
async fn r8_missing_reverse_dns_is_no_matter_for_an_address_and_a_failing_one_is() {
    let stage = Plan::new()
        .dns(|u| {
            u.ptr(ip("127.1.0.5"), "gw5.example.test").sabotage(
                "5.0.1.127.in-addr.arpa",
                "PTR",
                revouch_lab::Sabotage::WrongRdata,
            )
        })
        .start()
        .await;
    let of =
        |address: &str| Peer::from(ip(address)).identity(&stage.ca.leaf().ip(ip(address)).issue().unwrap());
    stage.accepts_peer(&of("127.1.0.3"), "127.1.0.3").await;
    stage.refuses_peer(&of("127.1.0.5"), Reason::DnsBogus).await;
}

#[tokio::test]
async fn identity_addresses_bind_everyone() {
    let stage = Stage::with_policy("identity: {addresses: [127.1.0.1]}").await;
    stage.accepts(&stage.leaf(), NAME).await;
    let elsewhere = Peer::from(ip("127.1.0.2")).identity(&stage.leaf());
    stage.refuses_peer(&elsewhere, Reason::AddressNotAllowed).await;
}

#[tokio::test]
async fn named_peers_need_no_ptr() {
    let stage = Plan::new()
        .policy("identity: {confirm: Forward, names: [cloud.example.test]}")
        .dns(|u| u.address("cloud.example.test", ip("127.1.0.7")))
        .start()
        .await;
    let cloud = stage.ca.leaf().dns("cloud.example.test").issue().unwrap();
    stage.accepts_peer(&Peer::from(ip("127.1.0.7")).identity(&cloud), "cloud.example.test").await;
    stage.refuses_peer(&Peer::from(SOURCE).identity(&cloud), Reason::NotConfirmed).await;
}

#[tokio::test]
async fn confirm_none_asks_for_the_name_alone() {
    let stage = Stage::with_policy("identity: {confirm: None, names: [gw1.example.test]}").await;
    stage.accepts_peer(&Peer::from(ip("127.1.0.9")).identity(&stage.leaf()), NAME).await;
}

#[tokio::test]
async fn ten_thousand_names_in_a_ptr_answer_are_bounded_and_the_listed_one_is_found() {
    // One DNS message cannot hold them all: the answer is cut, over TCP too, and a cut answer is no answer.
    let stage = Plan::new().dns(|u| u.many_ptrs(ip("127.1.0.8"), "x.test", 10_000)).start().await;
    let peer = Peer::from(ip("127.1.0.8")).identity(&stage.leaf());
    stage.refuses_peer(&peer, Reason::DnsServfail).await;
    // As many as fit are looked at up to maxNames; a listed one comes first.
    let stage = Plan::new()
        .policy("identity: {names: [gw8.example.test]}")
        .dns(|u| u.many_ptrs(ip("127.1.0.8"), "x.test", 3000).host("gw8.example.test", ip("127.1.0.8")))
        .start()
        .await;
    let listed = stage.ca.leaf().dns("gw8.example.test").issue().unwrap();
    stage.accepts_peer(&Peer::from(ip("127.1.0.8")).identity(&listed), "gw8.example.test").await;
}
