//! Every rule and every reason, through the real proxy: the process, its sockets, a signed DNS universe over UDP, TLS peers of
//! their own addresses. What each rule means in detail is tested over recorded answers in the validator; here it is seen that all of
//! it arrives: the alert at the peer, the line in the log, the count in the metric, and not a byte at the upstream.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod admission;
mod certificate;
mod dane;
mod dns;
mod examples;
mod names;
mod ports;
mod relaying;
mod scenarios;
#[path = "../stage/mod.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod stage;

use revouch_validator::reason::Reason;

/// Reasons that no peer is known to reach through the gate; they are tested in the decision (`docs/known-gaps.md`).
const ONLY_IN_THE_DECISION: [Reason; 1] = [Reason::EvidenceMissing];

#[test]
fn every_reason_is_produced_here() {
    let sources = [
        include_str!("admission.rs"),
        include_str!("certificate.rs"),
        include_str!("dane.rs"),
        include_str!("dns.rs"),
        include_str!("names.rs"),
        include_str!("ports.rs"),
    ]
    .concat();
    let missing: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| !ONLY_IN_THE_DECISION.contains(reason))
        .filter(|reason| !sources.contains(&format!("Reason::{reason:?}")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
