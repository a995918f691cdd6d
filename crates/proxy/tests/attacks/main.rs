//! TLS under attack: peers that cut, stall, flood, forge and replay, through the real proxy. Each ends as the rules say, within its deadline and its
//! memory: what no rule admits ends in the reason and alert that are defined for it without an octet at the upstream; what is only odd is let in and
//! loses nothing.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod bounds;
mod certificates;
mod craft;
mod floods;
mod forged;
mod hellos;
mod resumption;
mod seal;
mod segments;
#[path = "../stage/mod.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod stage;
mod stalls;
mod usage;

use std::time::Duration;

use revouch_testbed::eventually;
use revouch_validator::reason::Reason;

use craft::{Crafted, End};
use stage::{Line, NAME, PATIENCE, Plan, Stage};

/// Limits of the listener under which many peers may come from one address at once.
const MANY: &str = "handshakesInFlight: 10000, handshakesPerSource: 10000, evidencePerSource: 10000, evidencePerNetwork: 10000";

/// A stage that takes many peers of one address at once.
async fn open_stage() -> Stage {
    Plan::new().limits(MANY).start().await
}

/// A stage whose peers must have ended their handshakes within `deadline`.
async fn hasty_stage(deadline: Duration) -> Stage {
    let (deadline, dns) = (deadline.as_millis(), deadline.as_millis() / 2);
    let plan = Plan::new().policy(&format!("dns: {{deadline: {dns}ms}}"));
    plan.limits(&format!("{MANY}, handshakeDeadline: {deadline}ms")).start().await
}

/// The next line of the log, by number: the connection was refused for this reason, and nothing reached the upstream.
async fn refused(stage: &Stage, number: usize, reason: Reason) -> Line {
    let line = stage.line(number).await;
    assert_eq!(line.text("outcome"), Some("refused"), "{line:?}");
    assert_eq!(line.text("reason"), Some(reason.as_str()), "{line:?}");
    assert!(line.text("identity").is_none(), "{line:?}");
    assert_eq!((stage.backend.connections(), stage.backend.octets()), (0, 0), "{line:?}");
    line
}

/// The alert of a reason.
fn alert_of(reason: Reason) -> Option<u8> {
    reason.alert().map(revouch_validator::alert::Alert::number)
}

/// The peer is refused for this reason and sees its alert.
async fn sees_refusal(stage: &Stage, peer: Crafted, number: usize, reason: Reason) -> End {
    let end = peer.end().await;
    let line = refused(stage, number, reason).await;
    assert_eq!(end.alert, alert_of(reason), "{line:?} {end:?}");
    assert!(end.data.is_empty(), "{end:?}");
    end
}

/// The peer, which has been let in, says all and goes: the line of its connection.
async fn leaves(stage: &Stage, mut peer: Crafted, number: usize) -> Line {
    peer.tls.send_close_notify();
    let octets = peer.take();
    peer.send(&octets).await;
    accepted(stage, number).await
}

/// The connection of this number was let in, as [`NAME`].
async fn accepted(stage: &Stage, number: usize) -> Line {
    let line = stage.line(number).await;
    assert_eq!(line.text("outcome"), Some("accepted"), "{line:?}");
    assert_eq!(line.text("identity"), Some(NAME), "{line:?}");
    line
}

/// Waits for so many lines.
async fn all_lines(stage: &Stage, count: usize) -> Vec<Line> {
    let there = eventually(PATIENCE, || stage.lines().len() >= count).await;
    assert!(there, "{} lines of {count}", stage.lines().len());
    stage.lines()
}
