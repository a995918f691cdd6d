//! One question from its name to its records, over all groups that its aliases lead through.
//!
//! Promises (`dns.md` section 2.10): what a group says counts only for names of that group; where an alias leaves it, its target is
//! asked of the group to which it belongs. No alias leads from a zone that is not exempt into one that is. There are at most
//! [`MAX_LINKS`] aliases over all groups and no loop; the state is the least of all parts.

use std::sync::Arc;
use std::time::Duration;

use revouch_validator::answer::{Answer, ChainLink, DnsFailure, DnssecStatus, SignatureWindow};
use revouch_validator::evidence::{AnswerSource, Observation, Outcome, Question};
use revouch_validator::name::DnsName;
use revouch_validator::policy::Multicast;
use revouch_validator::rr::{RecordData, RrType};
use tokio::time::Instant;

use crate::answer::MAX_LINKS;
use crate::cache::{Key, Said};
use crate::engine::{Engine, Errand, Heard};
use crate::zones::{Group, Target};

impl Engine {
    /// Asks a question for this errand.
    pub(crate) async fn observe(self: &Arc<Self>, question: &Question, errand: &Errand<'_>) -> Observation {
        let started = Instant::now();
        let mut trip = Trip::new(question);
        let outcome = self.follow(&mut trip, question.rr_type, errand).await;
        let group = trip.first.unwrap_or_else(|| self.group(&question.name, errand));
        let observation = Observation {
            question: question.clone(),
            outcome: outcome.map_or_else(Outcome::Failure, Outcome::Answer),
            group: self.zones.describe(group),
            source: trip.source.unwrap_or(AnswerSource::NotAsked),
            upstream_queries: trip.spent,
            elapsed_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        };
        self.observer.question(&observation);
        observation
    }

    async fn follow(
        self: &Arc<Self>,
        trip: &mut Trip,
        rr_type: RrType,
        errand: &Errand<'_>,
    ) -> Result<Answer, DnsFailure> {
        let mut before: Option<Group> = None;
        loop {
            let group = self.group(&trip.at, errand);
            if group.exempt && before.is_some_and(|before| !before.exempt) {
                return Err(DnsFailure::IntoExemptZone);
            }
            if group.target == Target::Multicast && errand.multicast == Multicast::Refuse {
                return Err(DnsFailure::MulticastRefused);
            }
            before = Some(group);
            let said = self.hear_for(trip, group, rr_type, errand).await;
            match &*said {
                Ok(answer) => {
                    if !trip.take(answer, |name| self.group(name, errand) == group)? {
                        return Ok(trip.arrive(answer));
                    }
                }
                Err(failure) => {
                    if !self.steps_out(trip, group, rr_type, failure, errand).await {
                        return Err(failure.clone());
                    }
                }
            }
        }
    }

    /// After a failure: goes along the aliases one by one, to see whether they leave the group.
    ///
    /// What lies behind an alias in another group may be bogus or unknown where this group's servers look for it; that counts for
    /// nothing. Aliases that stay in the group change nothing: the failure stands.
    async fn steps_out(
        self: &Arc<Self>,
        trip: &mut Trip,
        group: Group,
        rr_type: RrType,
        failure: &DnsFailure,
        errand: &Errand<'_>,
    ) -> bool {
        let elsewhere = self.zones.has_overrides() || group.exempt;
        let may_lie_beyond = matches!(failure, DnsFailure::Bogus(_) | DnsFailure::ServFail);
        if !elsewhere || !may_lie_beyond || rr_type == RrType::CNAME {
            return false;
        }
        let mut steps = trip.clone();
        let mut out = false;
        while !out {
            let said = self.hear_for(&mut steps, group, RrType::CNAME, errand).await;
            (trip.source, trip.spent) = (steps.source, steps.spent);
            let Ok(answer) = &*said else { return false };
            let ([RecordData::Cname(target)], []) = (answer.records.as_slice(), answer.chain.as_slice())
            else {
                return false;
            };
            out = self.group(target, errand) != group;
            let link = ChainLink { owner: steps.at.clone(), target: target.clone(), status: answer.status };
            if steps.step(link).is_err() {
                return false;
            }
            steps.count(answer);
        }
        *trip = steps;
        true
    }

    async fn hear_for(
        self: &Arc<Self>,
        trip: &mut Trip,
        group: Group,
        rr_type: RrType,
        errand: &Errand<'_>,
    ) -> Arc<Said> {
        let key = Key { group, name: trip.at.clone(), rr_type };
        let heard = self.hear(&key, errand).await;
        trip.first.get_or_insert(group);
        trip.note(&heard);
        heard.said
    }

    fn group(&self, name: &DnsName, errand: &Errand<'_>) -> Group {
        self.zones.group(name, errand.exemptions, (self.clock)())
    }
}

/// How far a question has come.
#[derive(Clone, Debug)]
struct Trip {
    at: DnsName,
    links: Vec<ChainLink>,
    status: DnssecStatus,
    wildcard: bool,
    left: Duration,
    window: Option<SignatureWindow>,
    first: Option<Group>,
    source: Option<AnswerSource>,
    spent: u32,
}

impl Trip {
    fn new(question: &Question) -> Self {
        Self {
            at: question.name.clone(),
            links: Vec::new(),
            status: DnssecStatus::Secure,
            wildcard: false,
            left: Duration::MAX,
            window: None,
            first: None,
            source: None,
            spent: 0,
        }
    }

    /// Notes where an answer came from: the dearest source of all counts.
    fn note(&mut self, heard: &Heard) {
        let dearness = |source: AnswerSource| match source {
            AnswerSource::NotAsked => 0,
            AnswerSource::Cache => 1,
            AnswerSource::Joined => 2,
            AnswerSource::Upstream => 3,
        };
        let dearest = self.source.into_iter().chain([heard.source]).max_by_key(|source| dearness(*source));
        self.source = dearest;
        self.spent = self.spent.saturating_add(heard.spent);
        self.left = self.left.min(heard.left);
    }

    /// Takes the aliases of an answer as far as they are the group's own; says whether they leave the group.
    fn take(&mut self, answer: &Answer, is_own: impl Fn(&DnsName) -> bool) -> Result<bool, DnsFailure> {
        self.count(answer);
        for link in &answer.chain {
            if link.owner != self.at {
                return Err(DnsFailure::ServFail);
            }
            self.step(link.clone())?;
            if !is_own(&self.at) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Follows one alias.
    fn step(&mut self, link: ChainLink) -> Result<(), DnsFailure> {
        let seen = link.target == link.owner || self.links.iter().any(|earlier| earlier.owner == link.target);
        if seen || self.links.len() >= MAX_LINKS {
            return Err(DnsFailure::ServFail);
        }
        self.status = self.status.min(link.status);
        self.at = link.target.clone();
        self.links.push(link);
        Ok(())
    }

    /// Counts what holds for an answer as a whole, though perhaps not all of it is used: too strict, never too lax.
    fn count(&mut self, answer: &Answer) {
        self.wildcard |= answer.wildcard;
        self.window = match (self.window, answer.signatures) {
            (Some(one), Some(other)) => Some(one.intersect(other)),
            (one, other) => one.or(other),
        };
    }

    /// The answer, `last` being what the last group said.
    fn arrive(&mut self, last: &Answer) -> Answer {
        Answer {
            records: last.records.clone(),
            chain: std::mem::take(&mut self.links),
            status: self.status.min(last.status),
            negative: last.negative,
            wildcard: self.wildcard,
            ttl: u32::try_from(self.left.as_secs()).unwrap_or(u32::MAX),
            signatures: self.window,
        }
    }
}

#[cfg(test)]
mod tests;
