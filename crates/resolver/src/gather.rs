//! Gathers the evidence for one connection: asks what the plan wants until no decisive question is open.
//!
//! Promises: no question twice; all that can be asked is asked at the same time; the whole is over at the policy's deadline, when
//! what is still open is recorded as [`DnsFailure::Timeout`](revouch_validator::answer::DnsFailure::Timeout). Advice (R7) is
//! recorded if it has come by the time the decisive answers stand; what has not goes on by itself and warms the cache.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use revouch_validator::connection::Connection;
use revouch_validator::evidence::{Evidence, Observation, Question};
use revouch_validator::plan::{self, Planned};
use revouch_validator::policy::Policy;
use tokio::time::Instant;

use crate::budget::Purses;
use crate::engine::{Engine, Errand};
use crate::limiter::Toll;
use crate::upstream::QueryBudget;

/// For whom evidence is gathered.
#[derive(Clone, Copy)]
pub(crate) struct Gathering<'g> {
    pub(crate) policy: &'g Policy,
    pub(crate) connection: &'g Connection,
    pub(crate) toll: &'g Toll,
    /// What the cache holds for less than this is asked anew.
    pub(crate) fresh_for: Duration,
}

impl Engine {
    /// Gathers.
    pub(crate) async fn gather(self: &Arc<Self>, gathering: Gathering<'_>) -> Evidence {
        let deadline = Instant::now() + Duration::from_millis(gathering.policy.deadline_ms.into());
        let mut evidence = Evidence::new(gathering.connection.source());
        let mut purses = Purses::new(self.budgets);
        let mut started: HashSet<Question> = HashSet::new();
        let mut running = FuturesUnordered::new();
        loop {
            let planned = plan::questions(gathering.policy, gathering.connection, &evidence, (self.clock)());
            let is_done = !planned.iter().any(Planned::is_decisive);
            for Planned { question, pool } in planned {
                if started.insert(question.clone()) {
                    running.push(self.one(question, purses.of(&pool), deadline, gathering));
                }
            }
            if !is_done {
                match running.next().await {
                    Some(observation) => evidence.insert(observation),
                    // The plan wants what it has had: no evidence, so no peer.
                    None => return evidence,
                }
            }
            // What has come meanwhile, and what the cache holds, is taken without another look at the plan.
            while let Some(Some(observation)) = running.next().now_or_never() {
                evidence.insert(observation);
            }
            if is_done {
                return evidence;
            }
        }
    }

    async fn one(
        self: &Arc<Self>,
        question: Question,
        purse: QueryBudget,
        deadline: Instant,
        gathering: Gathering<'_>,
    ) -> Observation {
        let errand = Errand {
            exemptions: &gathering.policy.exemptions,
            multicast: gathering.policy.multicast,
            purse: &purse,
            deadline,
            toll: gathering.toll,
            fresh_for: gathering.fresh_for,
        };
        self.observe(&question, &errand).await
    }
}

#[cfg(test)]
mod tests;
