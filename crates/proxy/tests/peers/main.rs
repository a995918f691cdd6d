//! TLS stacks that no one here wrote, against the real proxy: each is let in with every octet, or sees the alert of the reason for which it is
//! refused. The peers come from addresses of their own, so that their reverse DNS is really looked up.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "../stage/mod.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod stage;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use revouch_lab::{Identity, KeyKind, Purpose};
use revouch_testbed::{Stack, StackOutcome, StackPeer};
use revouch_validator::reason::Reason;

use stage::{Plan, Stage};

/// Not octets that fit into one record.
fn text() -> String {
    (0..800).fold(String::new(), |mut text, line| {
        writeln!(text, "line {line} of what the peer has to say").unwrap();
        text
    })
}

/// Where the peers come from, and the names that lead there.
const NAMED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 1, 1, 1));
const NAME: &str = "mx.example.test";
const NAMELESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 1, 1, 2));
const PINNED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 1, 1, 3));
const PINNED_NAME: &str = "pinned.example.test";

struct Case {
    what: &'static str,
    source: IpAddr,
    identity: Option<Identity>,
    /// The reason, and the number of its alert.
    refused: Option<(Reason, u8)>,
}

/// A stage on which each of these cases ends as it says.
async fn set() -> (Stage, Vec<Case>) {
    let plan = Plan::new().policy("dns: {ports: [5269]}");
    let ca = plan.ca().clone();
    let leaf = |name: &str| ca.leaf().dns(name);
    let good = leaf(NAME).issue().unwrap();
    let revoked = leaf(NAME).issue().unwrap();
    let pinned = leaf(PINNED_NAME).issue().unwrap();
    let crl = ca.crl().revoke(&revoked).issue().unwrap();
    let record = pinned.tlsa(3, 1, 1).unwrap();
    let plan = plan.crl(crl).dns(|universe| {
        universe.host(NAME, NAMED).host(PINNED_NAME, PINNED).tlsa(PINNED_NAME, 5269, &record)
    });
    let client = leaf(NAME).purposes(&[Purpose::ClientAuth]).issue().unwrap();
    let case = |what, source, identity, refused| Case { what, source, identity, refused };
    let cases = vec![
        case("good", NAMED, Some(good.clone()), None),
        case("good, with an RSA key", NAMED, Some(leaf(NAME).key(KeyKind::Rsa2048).issue().unwrap()), None),
        case("good, by its TLSA record", PINNED, Some(pinned), None),
        case("no PTR record", NAMELESS, Some(good), Some((Reason::NoPtr, 49))),
        case(
            "wrong name",
            NAMED,
            Some(leaf("other.example.test").issue().unwrap()),
            Some((Reason::NameMismatch, 42)),
        ),
        case("clientAuth only", NAMED, Some(client), Some((Reason::ClientAuthRejected, 43))),
        case(
            "TLSA of another",
            PINNED,
            Some(leaf(PINNED_NAME).issue().unwrap()),
            Some((Reason::TlsaMismatch, 49)),
        ),
        case("revoked", NAMED, Some(revoked), Some((Reason::Revoked, 44))),
        case("expired", NAMED, Some(leaf(NAME).expired().issue().unwrap()), Some((Reason::Expired, 45))),
        case("no certificate", NAMED, None, Some((Reason::NoCertificate, 116))),
    ];
    (plan.start().await, cases)
}

/// Every case on both TLS versions, one after the other, so that each is at its place in the log.
async fn all_cases(stack: Stack) {
    if !stack.is_installed() {
        return;
    }
    let (stage, cases) = set().await;
    for tls12 in [false, true] {
        for case in &cases {
            let mut peer =
                StackPeer::new(stack, case.source).tls12(tls12).server_name("acceptor.example.test");
            if let Some(identity) = &case.identity {
                peer = peer.identity(identity);
            }
            judge(&stage, stack, tls12, case, &peer).await;
        }
    }
}

async fn judge(stage: &Stage, stack: Stack, tls12: bool, case: &Case, peer: &StackPeer) {
    let about = format!("{stack}, TLS 1.2 {tls12}, {}", case.what);
    let before = stage.lines().len();
    let relayed = stage.backend.connections();
    let octets = stage.backend.octets();
    let reason = case.refused.map_or("none", |(reason, _)| reason.as_str());
    let outcome = if case.refused.is_some() { "refused" } else { "accepted" };
    let series = format!("revouch_handshakes_total{{outcome=\"{outcome}\",reason=\"{reason}\"}}");
    let counted = stage.metric(&series).await;
    let shown = peer.run(stage.listener, &text()).await.unwrap();
    let line = stage.line(before).await;
    let all = format!("{about}: {line:?} {:?} {:?}", shown.stderr, shown.stdout.first());
    assert_eq!(line.text("outcome"), Some(outcome), "{all}");
    assert_eq!(line.text("reason").unwrap_or("none"), reason, "{all}");
    assert_eq!(line.text("tls_version"), Some(if tls12 { "TLSv1.2" } else { "TLSv1.3" }), "{all}");
    assert_eq!(line.text("source").unwrap().split(':').next(), Some(&*case.source.to_string()), "{all}");
    assert!((stage.metric(&series).await - counted - 1.0).abs() < 0.1, "{series} {all}");
    match case.refused {
        None => accepted(&shown, &all),
        Some((reason, alert)) => {
            if stack == Stack::Curl && tls12 && reason == Reason::Expired {
                // It takes this alert for trouble with the acceptor's certificate, and tells of that.
                assert!(shown.stderr.iter().any(|line| line.starts_with("curl: (60) ")), "{all}");
            } else {
                assert_eq!(shown.alert, Some(alert), "{all}");
            }
            assert!(!shown.answered, "{all}");
            assert_eq!(stage.backend.connections(), relayed, "something reached the upstream: {all}");
            assert_eq!(stage.backend.octets(), octets, "{all}");
        }
    }
}

fn accepted(shown: &StackOutcome, all: &str) {
    assert!(shown.echoed, "{all}");
    assert_eq!(shown.alert, None, "{all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_is_let_in_or_sees_the_alert() {
    all_cases(Stack::OpenSsl).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gnutls_is_let_in_or_sees_the_alert() {
    all_cases(Stack::GnuTls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_is_let_in_or_sees_the_alert() {
    all_cases(Stack::Curl).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_is_let_in_or_sees_the_alert() {
    all_cases(Stack::Go).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn java_is_let_in_or_sees_the_alert() {
    all_cases(Stack::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_manager_that_looks_at_purposes_still_shows_a_server_certificate() {
    if !Stack::JavaPkix.is_installed() {
        return;
    }
    let (stage, cases) = set().await;
    let good = &cases[0];
    for tls12 in [false, true] {
        let peer = StackPeer::new(Stack::JavaPkix, good.source).tls12(tls12);
        let peer = peer.identity(good.identity.as_ref().unwrap());
        judge(&stage, Stack::JavaPkix, tls12, good, &peer).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_with_a_session_cache_makes_a_whole_handshake_each_time() {
    if !Stack::Go.is_installed() {
        return;
    }
    let (stage, cases) = set().await;
    let good = &cases[0];
    for (number, tls12) in [false, true].into_iter().enumerate() {
        let peer = StackPeer::new(Stack::Go, good.source).tls12(tls12).server_name("acceptor.example.test");
        let peer = peer.identity(good.identity.as_ref().unwrap()).again();
        let shown = peer.run(stage.listener, &text()).await.unwrap();
        assert!(shown.echoed, "{shown:?}");
        let resumed: Vec<&String> = shown.stderr.iter().filter(|line| line.starts_with("resumed")).collect();
        assert_eq!(resumed, ["resumed false", "resumed false"], "{shown:?}");
        assert_eq!(stage.line(2 * number + 1).await.text("outcome"), Some("accepted"));
    }
}
