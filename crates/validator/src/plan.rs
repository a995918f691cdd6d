//! What is to be asked of the DNS, given what is known so far.
//!
//! [`questions`] is pure: a resolver asks what it returns, records the outcomes in the evidence and calls it again, until no
//! decisive question is left. The decision walks the same paths over the same evidence, so that what it needs and what is asked
//! cannot drift apart.

use std::borrow::Cow;

use crate::answer::DnssecStatus;
use crate::connection::Connection;
use crate::evidence::{Evidence, Question};
use crate::fcrdns::{Confirmation, ConfirmedName, Names, Ptr};
use crate::name::DnsName;
use crate::policy::{ClassChoice, Policy, Reporting, Subjects};
use crate::ports::Base;
use crate::rr::RrType;
use crate::timestamp::Timestamp;
use crate::view::View;

/// Which budget pays for a question, and whether the decision waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pool {
    /// Decisive: the PTR and the records of the reverse name.
    Address,
    /// Decisive: everything about one candidate name.
    Candidate(DnsName),
    /// Advice (R7): never holds the gate, never refuses.
    Advisory,
}

/// A question to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What to ask.
    pub question: Question,
    /// Who pays.
    pub pool: Pool,
}

impl Planned {
    /// Whether the decision waits for it.
    #[must_use]
    pub fn is_decisive(&self) -> bool {
        self.pool != Pool::Advisory
    }
}

/// Every question that the decision wants and `evidence` does not hold yet, decisive ones first, none twice.
///
/// Bounded: at most `maxNames` names of a PTR answer are followed, and for each of them a number of questions that the bounds of
/// the policy's lists give. Empty where the address alone refuses the peer, or where no class that needs evidence is let in.
#[must_use]
pub fn questions(
    policy: &Policy,
    connection: &Connection,
    evidence: &Evidence,
    now: Timestamp,
) -> Vec<Planned> {
    let view = View { policy, connection, evidence, now };
    let mut plan = Plan { view, planned: Vec::new() };
    if view.evidence_can_matter() {
        plan.add();
    }
    plan.planned.sort_by_key(|planned| !planned.is_decisive());
    let mut seen = std::collections::HashSet::new();
    plan.planned.retain(|planned| seen.insert(planned.question.clone()));
    plan.planned
}

struct Plan<'e> {
    view: View<'e>,
    planned: Vec<Planned>,
}

impl Plan<'_> {
    fn add(&mut self) {
        let view = self.view;
        let names = view.names();
        if matches!(names.ptr, Ptr::Open) {
            self.push(
                &Pool::Address,
                [Question::new(DnsName::reverse(view.connection.source()), RrType::PTR)],
            );
        }
        if let Some(base) = view.address_base(&names) {
            self.push(&Pool::Address, view.port_questions(&base));
            self.push(&Pool::Advisory, view.advisory_questions(&base.name));
        }
        for name in &names.candidates {
            let pool = Pool::Candidate(name.clone());
            match view.confirm(name) {
                Confirmation::Open => self.push(&pool, [Question::new(name.clone(), view.address_type())]),
                Confirmation::Failed(_) | Confirmation::Denied(_) => {}
                Confirmation::Confirmed(confirmed) => {
                    self.push(&pool, view.port_questions(&Base::of_name(&confirmed)));
                    self.push(&Pool::Advisory, view.advisory_questions(name));
                }
            }
        }
    }

    fn push(&mut self, pool: &Pool, questions: impl IntoIterator<Item = Question>) {
        let wanted = questions.into_iter().filter(|q| self.view.evidence.get(&q.name, q.rr_type).is_none());
        self.planned.extend(wanted.map(|question| Planned { question, pool: pool.clone() }));
    }
}

impl Base<'_> {
    /// The base of a confirmed name's records.
    pub(crate) fn of_name(confirmed: &ConfirmedName) -> Base<'_> {
        Base { name: Cow::Borrowed(confirmed.name()), alias: None, cap: confirmed.status() }
    }
}

impl<'e> View<'e> {
    /// Whether any peer could be let in, or be told more, by evidence.
    fn evidence_can_matter(&self) -> bool {
        let address_allowed = self.admits_source();
        let class_needs_it =
            self.policy.server_auth == ClassChoice::Accept || self.policy.subjects != Subjects::Person;
        self.connection.source_is_usable() && address_allowed && class_needs_it
    }

    /// Whether the source is in `identity.addresses`.
    pub(crate) fn admits_source(&self) -> bool {
        let source = self.connection.source();
        self.policy.addresses.as_ref().is_none_or(|list| list.iter().any(|prefix| prefix.contains(source)))
    }

    /// The base of the reverse name's records (R8); `None` where no address can be the identity.
    pub(crate) fn address_base(&self, names: &Names<'_>) -> Option<Base<'e>> {
        if !self.policy.admits_addresses() {
            return None;
        }
        let alias = match &names.ptr {
            Ptr::Answered(seen) => seen.answer.chain_end().map(|end| {
                let links =
                    seen.answer.chain.iter().map(|link| link.status).min().unwrap_or(DnssecStatus::Insecure);
                let exempt = seen.status == DnssecStatus::Exempt;
                (end.clone(), if exempt { links.min(DnssecStatus::Exempt) } else { links })
            }),
            _ => None,
        };
        let name = Cow::Owned(DnsName::reverse(self.connection.source()));
        Some(Base { name, alias, cap: DnssecStatus::Secure })
    }

    /// The advice of R7 and R8 about one name.
    pub(crate) fn advisory_questions(&self, name: &DnsName) -> Vec<Question> {
        let mut types = Vec::new();
        types.extend((self.policy.caa == Reporting::Report).then_some(RrType::CAA));
        types.extend((self.policy.cert == Reporting::Report).then_some(RrType::CERT));
        types.extend(&self.policy.extra_types);
        let mut questions: Vec<_> =
            types.into_iter().map(|rr_type| Question::new(name.clone(), rr_type)).collect();
        if !self.services_are_decisive() {
            let mut owners: Vec<DnsName> =
                self.policy.services.iter().filter_map(|service| service.owner(name)).collect();
            if owners.is_empty() {
                owners.extend(self.ports().iter().filter_map(|port| name.port_owner(*port).ok()));
            }
            let both = |owner: DnsName| {
                [RrType::SRV, RrType::SVCB].map(|rr_type| Question::new(owner.clone(), rr_type))
            };
            questions.extend(owners.into_iter().flat_map(both));
        }
        questions
    }
}
