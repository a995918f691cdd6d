//! Keeps the names of `identity.confirm: Forward` resolved in advance.
//!
//! Promises: each listed name stands by itself; what the decision needs of it is asked anew before it expires, over the same way and
//! into the same cache as any other question, and is never used after it has expired. A name that cannot be resolved is tried
//! again after a pause, and known as such until then, so that it holds up no peer of another name. Peers pay nothing for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use revouch_validator::connection::Connection;
use revouch_validator::evidence::Evidence;
use revouch_validator::policy::{Confirm, NamePattern, Policy, PolicyDraft};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::engine::Engine;
use crate::gather::Gathering;
use crate::limiter::Toll;

/// How many names are asked for at the same time.
const AT_ONCE: usize = 16;
/// The pause after a failure, and where nothing may be kept.
const PAUSE: Duration = Duration::from_secs(15);
/// How long before its end an answer is asked anew: a fifth of its time, within these bounds.
const LEAD: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Keeps names resolved until it is dropped.
#[derive(Debug)]
pub struct Prefetch {
    _tasks: JoinSet<()>,
}

impl Prefetch {
    /// Starts, if the policy's names are to be resolved in advance.
    pub(crate) fn start(engine: &Arc<Engine>, policy: &Policy, local_port: u16) -> Option<Self> {
        if policy.confirm != Confirm::Forward {
            return None;
        }
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        for pattern in policy.names.iter().flatten() {
            let Some(policy) = of_one_name(policy, pattern) else { continue };
            tasks.spawn(keep(Arc::clone(engine), policy, local_port, Arc::clone(&turns)));
        }
        Some(Self { _tasks: tasks })
    }
}

/// A policy under which the plan wants everything about the one name, whatever its addresses are.
fn of_one_name(policy: &Policy, pattern: &NamePattern) -> Option<Policy> {
    let mut draft = PolicyDraft::from(policy.clone());
    draft.confirm = Confirm::None;
    draft.names = Some(vec![pattern.clone()]);
    draft.addresses = None;
    draft.build().ok()
}

async fn keep(engine: Arc<Engine>, policy: Policy, local_port: u16, turns: Arc<Semaphore>) {
    // Any usable address of each family will do; without a port, nothing is asked for the source port.
    let sources = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let mut fresh_for = Duration::ZERO;
    loop {
        let mut pause = None;
        for source in sources {
            let Ok(_turn) = turns.acquire().await else { return };
            let connection = Connection::new(SocketAddr::new(source, 0), local_port);
            let toll = Toll::free();
            let gathering = Gathering { policy: &policy, connection: &connection, toll: &toll, fresh_for };
            let evidence = engine.gather(gathering).await;
            engine.note_failures(&evidence, &policy.exemptions);
            let lasts = lasts(&evidence);
            pause = pause.into_iter().chain([lasts]).min();
        }
        let lasts = pause.unwrap_or(PAUSE);
        let lead = (lasts / 5).clamp(LEAD.0, LEAD.1);
        sleep(lasts.saturating_sub(lead).max(LEAD.0)).await;
        // What ends up to a lead later is asked anew too, so that a name's records do not each need a round of their own.
        fresh_for = lead * 2;
    }
}

/// How long until something must be asked anew. What failed or may not be kept is tried again after a pause.
fn lasts(evidence: &Evidence) -> Duration {
    let each = evidence.iter().map(|seen| match seen.outcome.as_result() {
        Ok(answer) if answer.ttl > 0 => Duration::from_secs(answer.ttl.into()),
        _ => PAUSE,
    });
    each.min().unwrap_or(PAUSE)
}

#[cfg(test)]
mod tests;
