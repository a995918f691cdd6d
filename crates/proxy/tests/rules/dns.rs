//! R7, R9, R10, R12, R13, R14: what the DNS's states and failures do.

use std::net::IpAddr;

use revouch_lab::{Fault, Listen, Sabotage, Scope, Signing, Universe};
use revouch_testbed::Peer;
use revouch_validator::reason::Reason;

use crate::stage::{NAME, Plan, SOURCE, Stage};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn r7_advice_that_fails_refuses_nobody() {
    let stage = Plan::new()
        .dns(|u| u.record(NAME, "CAA 0 issue \"ca.test\"").sabotage(NAME, "CAA", Sabotage::WrongRdata))
        .start()
        .await;
    stage.accepts(&stage.leaf(), NAME).await;
}

#[tokio::test]
async fn r9_bogus_answers_refuse_whatever_the_sabotage() {
    for sabotage in [Sabotage::WrongRdata, Sabotage::ExpiredSignature, Sabotage::MissingSignature] {
        let stage = Plan::new().dns(|u| u.sabotage(NAME, "A", sabotage)).start().await;
        stage.refuses(&stage.leaf(), Reason::DnsBogus).await;
    }
    let stage = Plan::new().dns(|u| u.broken_ds("example.test", true)).start().await;
    stage.refuses(&stage.leaf(), Reason::DnsBogus).await;
}

#[tokio::test]
async fn r7_what_is_advice_is_asked_and_what_nobody_listed_is_not() {
    let stage = Stage::with_policy("dns: {extraTypes: [HTTPS]}").await;
    stage.accepts(&stage.leaf(), NAME).await;
    let queries = stage.dns.queries();
    // Nothing waits for advice.
    let asked = revouch_testbed::eventually(crate::stage::PATIENCE, || {
        ["CAA", "CERT", "HTTPS"].iter().all(|rr_type| queries.count(NAME, rr_type) > 0)
    });
    assert!(asked.await, "{:?}", queries.all());
    assert_eq!(queries.count(NAME, "SSHFP"), 0);
}

#[tokio::test]
async fn r9_every_answer_that_the_policy_uses_refuses_if_it_is_bogus() {
    const SERVICE: &str = "_xmpps-server._tcp.gw1.example.test";
    const REVERSE: &str = "1.0.1.127.in-addr.arpa";
    let tlsa = format!("TLSA 1 1 1 {}", "00".repeat(32));
    for (policy, owner, rr_type, record) in [
        ("dns: {ports: [5269]}", "_5269._tcp.gw1.example.test", "TLSA", tlsa.as_str()),
        ("dns: {services: [_xmpps-server._tcp]}", SERVICE, "SRV", "SRV 0 0 5270 gw1.example.test"),
        ("dns: {services: [_xmpps-server._tcp]}", SERVICE, "SVCB", "SVCB 1 . port=5270"),
        ("", REVERSE, "PTR", "PTR gw1.example.test"),
    ] {
        let plan = Plan::new().policy(policy);
        let stage = plan
            .dns(|u| u.record(owner, record).sabotage(owner, rr_type, Sabotage::WrongRdata))
            .start()
            .await;
        stage.refuses(&stage.leaf(), Reason::DnsBogus).await;
    }
}

#[tokio::test]
async fn r9_a_resolver_that_fails_refuses_for_the_time_being() {
    for (fault, reason) in [
        (Fault::ServFail, Reason::DnsServfail),
        (Fault::Refuse, Reason::DnsRefused),
        (Fault::Silent, Reason::DnsTimeout),
    ] {
        let stage = Stage::with_policy("dns: {deadline: 700ms}").await;
        stage.dns.faults().set(Scope::name(NAME).unwrap().of_type("A").unwrap(), fault);
        stage.refuses_peer(&Peer::from(SOURCE).identity(&stage.leaf()), reason).await;
    }
}

#[tokio::test]
async fn r10_unsigned_zones_pass_unless_dnssec_is_required() {
    let unsigned = |plan: Plan| plan.dns(|u| u.zone("example.test", Signing::Unsigned));
    let stage = unsigned(Plan::new()).start().await;
    stage.accepts(&stage.leaf(), NAME).await;
    let stage = unsigned(Plan::new().policy("dns: {dnssec: Required}")).start().await;
    stage.refuses(&stage.leaf(), Reason::DnssecRequired).await;
    let stage = Stage::with_policy("dns: {dnssec: Required}").await;
    stage.accepts(&stage.leaf(), NAME).await;
    // Every answer counts that the verdict rests on, the PTR too.
    let plan = Plan::new().policy("dns: {dnssec: Required}");
    let stage = plan.dns(|u| u.zone("127.in-addr.arpa", Signing::Unsigned)).start().await;
    stage.refuses(&stage.leaf(), Reason::DnssecRequired).await;
}

const EXEMPT: &str = "\
---
apiVersion: revouch.dev/v1alpha1
kind: DnssecExemption
metadata: {name: corp}
spec: {zones: [corp.test, example.test], reason: split horizon}
";

#[tokio::test]
async fn r13_an_exemption_satisfies_required_and_lets_in_what_dnssec_would_refuse() {
    let stage = Plan::new()
        .policy("dns: {dnssec: Required}")
        .documents(EXEMPT)
        .dns(|u| u.sabotage(NAME, "A", Sabotage::ExpiredSignature))
        .start()
        .await;
    stage.accepts(&stage.leaf(), NAME).await;
}

#[tokio::test]
async fn r13_an_alias_into_an_exempt_zone_is_refused() {
    let stage = Plan::new()
        .documents(&EXEMPT.replace(", example.test", ""))
        .dns(|u| {
            u.zone("corp.test", Signing::Nsec)
                .address("inside.corp.test", ip("127.1.0.6"))
                .ptr(ip("127.1.0.6"), "gw6.example.test")
                .record("gw6.example.test", "CNAME inside.corp.test")
        })
        .start()
        .await;
    let leaf = stage.ca.leaf().dns("gw6.example.test").issue().unwrap();
    stage.refuses_peer(&Peer::from(ip("127.1.0.6")).identity(&leaf), Reason::DnsIntoExemptZone).await;
}

#[tokio::test]
async fn r12_multicast_names_are_refused_unless_the_policy_allows_them() {
    // An exemption makes the name usable; who would be asked is another matter.
    let stage = Plan::new()
        .policy("identity: {confirm: Forward, names: [printer.local]}")
        .documents(&EXEMPT.replace("corp.test, example.test", "local"))
        .start()
        .await;
    let leaf = stage.ca.leaf().dns("printer.local").issue().unwrap();
    stage.refuses(&leaf, Reason::MulticastRefused).await;
}

const LOCAL: &str = "\
---
apiVersion: revouch.dev/v1alpha1
kind: ResolverOverride
metadata: {name: local}
spec: {zones: [local], servers: [{address: \"DNS\", protocol: Udp}]}
";

#[tokio::test]
async fn r12_an_override_serves_local_without_multicast() {
    let plan = Plan::new().policy("dns: {multicast: Allow}").documents(LOCAL).dns(|u| {
        u.zone("local", Signing::Unsigned)
            .address("printer.local", ip("127.1.0.11"))
            .ptr(ip("127.1.0.11"), "printer.local")
    });
    let stage = plan.start().await;
    let leaf = stage.ca.leaf().dns("printer.local").issue().unwrap();
    stage.accepts_peer(&Peer::from(ip("127.1.0.11")).identity(&leaf), "printer.local").await;
}

#[tokio::test]
async fn a_name_that_costs_too_many_questions_is_refused() {
    let stage = Plan::new()
        .dns(|u| {
            // Eleven aliases, each in a signed zone of its own: every step asks for new keys.
            let mut u = u.ptr(ip("127.1.0.12"), "a0.z0.test");
            for n in 0..11 {
                let zone = format!("z{n}.test");
                u = u.zone(&zone, Signing::Nsec).record(&format!("a{n}.{zone}"), &format!("CNAME a{0}.z{0}.test", n + 1));
            }
            u.zone("z11.test", Signing::Nsec).address("a11.z11.test", ip("127.1.0.12"))
        })
        .policy("dns: {ports: [1, 2, 3, 4, 5, 6, 7, 8], services: [_a._tcp, _b._tcp, _c._tcp, _d._tcp, _e._tcp, _f._tcp, _g._tcp, _h._tcp], sourcePort: Prefer}")
        .start()
        .await;
    let leaf = stage.ca.leaf().dns("a0.z0.test").issue().unwrap();
    stage.refuses_peer(&Peer::from(ip("127.1.0.12")).identity(&leaf), Reason::DnsBudget).await;
}

#[tokio::test]
async fn a_source_that_makes_us_ask_too_often_is_refused() {
    let stage = Plan::new().limits("evidencePerSource: 1").dns(|u| u.ttl(0)).start().await;
    // The bucket holds ten gatherings and gets one more a second; answers of TTL 0 are kept for nobody.
    let peer = Peer::from(SOURCE).identity(&stage.leaf());
    let mut tries = 0;
    while peer.exchange(stage.listener, b"x").await.accepted() {
        tries += 1;
        stage.line(tries - 1).await;
        assert!(tries < 200, "never refused");
    }
    assert_eq!(stage.line(tries).await.text("reason"), Some(Reason::DnsRateLimited.as_str()));
    assert!(tries >= 10, "{tries}");
    // The bucket gets one gathering a second, which the next peer may find: then the one behind it does not.
    drop(peer.exchange(stage.listener, b"x").await);
    // Whatever became of it, its line is not to be taken for that of the next.
    stage.line(tries + 1).await;
    stage.refuses_peer(&peer, Reason::DnsRateLimited).await;
}

#[tokio::test]
async fn r14_exempt_domains_may_have_a_resolver_of_their_own() {
    // Inside, the name is known; outside, the same name does not exist.
    let inside = Universe::builder()
        .zone("corp.test", Signing::Unsigned)
        .address("gw.corp.test", ip("127.1.0.41"))
        .build()
        .unwrap();
    let inside = inside.serve(Listen::loopback()).await.unwrap();
    let exemption = EXEMPT.replace(", example.test", "");
    let its_own = LOCAL.replace("local", "corp").replace("[corp]", "[corp.test]");
    let its_own = its_own.replace("DNS", &inside.address().to_string());
    let outside =
        |documents: &str| Plan::new().documents(documents).dns(|u| u.ptr(ip("127.1.0.41"), "gw.corp.test"));
    for (documents, reason) in [(exemption.clone() + &its_own, None), (exemption, Some(Reason::NotConfirmed))]
    {
        let stage = outside(&documents).start().await;
        let peer =
            Peer::from(ip("127.1.0.41")).identity(&stage.ca.leaf().dns("gw.corp.test").issue().unwrap());
        match reason {
            None => drop(stage.accepts_peer(&peer, "gw.corp.test").await),
            Some(reason) => drop(stage.refuses_peer(&peer, reason).await),
        }
    }
}
