//! Gathers the evidence for one connection: asks what the plan wants until no decisive question is open.
//!
//! Promises: no question twice; all that can be asked is asked at the same time; the whole is over at the policy's deadline, when
//! what is still open is recorded as [`DnsFailure::Timeout`]. Advice (R7) is recorded if it has come by the time the decisive
//! answers stand; what has not goes on by itself and warms the cache. A listed name that could not be resolved in advance is asked
//! for only where no other listed name has the peer's address, and counts as failed where one has.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use revouch_validator::answer::DnsFailure;
use revouch_validator::connection::Connection;
use revouch_validator::evidence::{AnswerSource, Evidence, Observation, Outcome, Question};
use revouch_validator::exemption::Exemptions;
use revouch_validator::plan::{self, Planned};
use revouch_validator::policy::{Confirm, Policy};
use revouch_validator::rr::{RecordData, RrType};
use tokio::time::Instant;

use crate::budget::Purses;
use crate::cache::Key;
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
        let mut spares = gathering.policy.confirm == Confirm::Forward;
        loop {
            let mut planned =
                plan::questions(gathering.policy, gathering.connection, &evidence, (self.clock)());
            let mut failed = Vec::new();
            if spares {
                planned.retain(|planned| match self.known_failure(&planned.question, gathering.policy) {
                    Some(failure) if !started.contains(&planned.question) => {
                        failed.push((planned.question.clone(), failure));
                        false
                    }
                    _ => true,
                });
            }
            let is_done = !planned.iter().any(Planned::is_decisive);
            if is_done && !failed.is_empty() {
                if is_confirmed(&evidence) {
                    failed.into_iter().for_each(|failed| evidence.insert(self.failed(failed, gathering)));
                } else {
                    spares = false;
                }
                continue;
            }
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

    /// How the question for the addresses of a listed name failed in advance, if it did.
    fn known_failure(&self, question: &Question, policy: &Policy) -> Option<DnsFailure> {
        let is_forward = matches!(question.rr_type, RrType::A | RrType::AAAA);
        is_forward.then(|| self.failures.find(&self.key(question, &policy.exemptions))).flatten()
    }

    /// Takes note of which names could be resolved in advance.
    pub(crate) fn note_failures(&self, evidence: &Evidence, exemptions: &Exemptions) {
        for seen in evidence.iter().filter(|seen| matches!(seen.question.rr_type, RrType::A | RrType::AAAA)) {
            self.failures.note(self.key(&seen.question, exemptions), seen.outcome.as_result().err());
        }
    }

    fn key(&self, question: &Question, exemptions: &Exemptions) -> Key {
        let group = self.zones.group(&question.name, exemptions, (self.clock)());
        Key { group, name: question.name.clone(), rr_type: question.rr_type }
    }

    /// A question that is not asked, as it failed in advance.
    fn failed(&self, failed: (Question, DnsFailure), gathering: Gathering<'_>) -> Observation {
        let (question, failure) = failed;
        let group = self.key(&question, &gathering.policy.exemptions).group;
        let observation = Observation {
            question,
            outcome: Outcome::Failure(failure),
            group: self.zones.describe(group),
            source: AnswerSource::Cache,
            upstream_queries: 0,
            elapsed_us: 0,
        };
        self.observer.question(&observation);
        observation
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

/// Whether a name has the peer's address.
fn is_confirmed(evidence: &Evidence) -> bool {
    let is_source = |record: &RecordData| match record {
        RecordData::A(address) => evidence.source() == IpAddr::V4(*address),
        RecordData::Aaaa(address) => evidence.source() == IpAddr::V6(*address),
        _ => false,
    };
    evidence.iter().any(|seen| seen.outcome.as_result().is_ok_and(|said| said.records.iter().any(is_source)))
}

#[cfg(test)]
mod tests;
