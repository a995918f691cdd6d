//! The decision: policy, chain, connection, evidence, trust and time in, a verdict out. Pure: the same values give the same verdict.
//!
//! The order of the checks, and with it the reason that is given, is that of the rules' last section: the certificate can be read;
//! its class; the source address; the PTR; a listed and confirmed name; then for each candidate its answers, the port, TLSA, the
//! path, the name. The identity is the first candidate that passes. A refusal's reason is the first failed check of the candidate
//! that came furthest; of equals, the first in R2's order; the address itself (R3) stands last.

mod advice;
mod candidate;
mod class;
mod log;
mod refusal;

use std::sync::Arc;

use crate::answer::DnssecStatus;
use crate::cert::CertificateFacts;
use crate::chain::Chain;
use crate::connection::Connection;
use crate::dane::DANE_EE;
use crate::evidence::Evidence;
use crate::fcrdns::{Confirmation, ConfirmedName, Names, Ptr};
use crate::path::{
    CrlChoice, CrlPolicy, PathError, PathFacts, PathKey, PathRequest, PathVerdict, Purpose, validate,
};
use crate::policy::{CrlExpired, CrlUnknown, Policy};
use crate::ports::Base;
use crate::reason::Reason;
use crate::timestamp::Timestamp;
use crate::trust::TrustStore;
use crate::verdict::{Accepted, CheckOutcome, Identity, PeerClass, Verdict};
use crate::view::View;

use candidate::Candidate;
use class::{Class, classify};
use log::{Log, listed};
use refusal::{Refusal, Stage, keep_furthest};

/// The longest common name that is passed on, in octets; RFC 5280 allows 64 characters.
const MAX_COMMON_NAME: usize = 256;

/// Everything that a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// What the operator wants.
    pub policy: &'a Policy,
    /// What the peer sent.
    pub chain: &'a Chain,
    /// Where it came from.
    pub connection: &'a Connection,
    /// What the DNS says of that; `None` if it is not there yet, which refuses every peer that needs it.
    pub evidence: Option<&'a Evidence>,
    /// Whom the operator trusts.
    pub trust: &'a TrustStore,
    /// The time of the decision.
    pub now: Timestamp,
}

/// Where path verdicts are kept from decision to decision. The decision is the same without.
pub trait PathVerdicts {
    /// What was kept under this key. It counts only if it was made from the same values and holds at the time of the decision.
    fn find(&self, key: &PathKey) -> Option<Arc<PathVerdict>>;

    /// A verdict that was just made: the next decision on the same values may find it.
    fn keep(&self, made: &Arc<PathVerdict>);
}

/// Keeps nothing.
struct Nowhere;

impl PathVerdicts for Nowhere {
    fn find(&self, _: &PathKey) -> Option<Arc<PathVerdict>> {
        None
    }

    fn keep(&self, _: &Arc<PathVerdict>) {}
}

/// Decides whether the peer is let in.
#[must_use]
pub fn decide(case: &Case<'_>) -> Verdict {
    made(case, &Nowhere, true)
}

/// As [`decide`], with path verdicts that were made before, and for who acts on the verdict: the checks that only tell what else the DNS says
/// (`advice`, R7) are left out. Path verdicts are asked only where the decision depends on a path, and once at most.
#[must_use]
pub fn decide_with(case: &Case<'_>, paths: &dyn PathVerdicts) -> Verdict {
    made(case, paths, false)
}

fn made(case: &Case<'_>, paths: &dyn PathVerdicts, with_advice: bool) -> Verdict {
    let mut log = Log::default();
    let (outcome, class) = match case.chain.leaf_facts() {
        Err(error) => {
            log.check("R16", "certificate", CheckOutcome::Fail, error.to_string());
            (Err(log.refusal(Stage::Peer, Reason::CertificateUnreadable)), None)
        }
        Ok(facts) => {
            log.check(
                "R16",
                "certificate",
                CheckOutcome::Pass,
                format!("{}, EKU {}", subject_or_none(facts), facts.eku),
            );
            Decision { case, facts, log: &mut log, paths, path: None, class: None, with_advice }.run()
        }
    };
    let outcome = outcome.map_err(|refusal| (refusal.reason, refusal.check));
    Verdict::new(outcome, class, log.into_checks())
}

/// The subject, which certificates of today often leave empty.
fn subject_or_none(facts: &CertificateFacts) -> &str {
    if facts.subject_display().is_empty() { "no subject" } else { facts.subject_display() }
}

fn path_request<'a>(
    policy: &Policy,
    chain: &'a Chain,
    facts: &'a CertificateFacts,
    trust: &'a TrustStore,
    class: Class,
) -> PathRequest<'a> {
    let anchors = if class.purpose == Purpose::Client { &trust.client } else { &trust.server };
    let unknown = if policy.crl_unknown == CrlUnknown::Allow { CrlChoice::Allow } else { CrlChoice::Refuse };
    let expired = if policy.crl_expired == CrlExpired::Allow { CrlChoice::Allow } else { CrlChoice::Refuse };
    let crl_policy = CrlPolicy { unknown, expired };
    PathRequest { chain, facts, purpose: class.purpose, anchors, crls: &trust.crls, crl_policy }
}

struct Decision<'a, 'l> {
    case: &'a Case<'a>,
    facts: &'a CertificateFacts,
    log: &'l mut Log,
    paths: &'l dyn PathVerdicts,
    /// The path verdict, once one was needed: the same for every candidate.
    path: Option<Arc<PathVerdict>>,
    class: Option<PeerClass>,
    with_advice: bool,
}

impl<'a> Decision<'a, '_> {
    fn run(mut self) -> (Result<Accepted, Refusal>, Option<PeerClass>) {
        let outcome = self.decide();
        (outcome, self.class)
    }

    fn decide(&mut self) -> Result<Accepted, Refusal> {
        let class = self.classify()?;
        // A refusal that only DANE-EE waives stands here unless a candidate has such a record.
        if let Some(reason) = class.unless_dane_ee.filter(|_| !self.dane_ee_is_possible()) {
            self.log.check(rule_of(reason), class_check(reason), CheckOutcome::Fail, self.class_seen());
            return Err(self.log.refusal(Stage::Peer, reason));
        }
        self.class = Some(class.peer);
        self.log.check(
            "R1",
            "class",
            CheckOutcome::Pass,
            format!("{}: {}", class.peer.as_str(), self.class_seen()),
        );
        self.check_source()?;
        if class.peer == PeerClass::Person {
            return self.decide_person(class);
        }
        let evidence =
            self.case.evidence.filter(|evidence| evidence.source() == self.case.connection.source());
        let Some(evidence) = evidence else {
            self.log.check(
                "R2",
                "evidence",
                CheckOutcome::Fail,
                "no evidence for this address when the decision was due",
            );
            return Err(self.log.refusal(Stage::Peer, Reason::EvidenceMissing));
        };
        let view = self.view(evidence);
        let outcome = self.decide_by_dns(view, class);
        if self.with_advice {
            advice::report(self.log, &view, outcome.as_ref().ok());
        }
        outcome
    }

    fn view(&self, evidence: &'a Evidence) -> View<'a> {
        View { policy: self.case.policy, connection: self.case.connection, evidence, now: self.case.now }
    }

    fn classify(&mut self) -> Result<Class, Refusal> {
        classify(self.case.policy, self.facts).map_err(|reason| {
            self.log.check(rule_of(reason), class_check(reason), CheckOutcome::Fail, self.class_seen());
            self.log.refusal(Stage::Peer, reason)
        })
    }

    fn class_seen(&self) -> String {
        let others: Vec<String> = self.facts.other.keys().map(ToString::to_string).collect();
        let device = if self.facts.names_device() { "names a device" } else { "names no device" };
        let beside =
            if others.is_empty() { String::new() } else { format!(", other names: {}", others.join(", ")) };
        format!(
            "EKU {}, {} dNSName, {} iPAddress, {device}{beside}",
            self.facts.eku,
            self.facts.dns.len(),
            self.facts.ip.len()
        )
    }

    /// Whether any candidate has a usable, Secure usage-3 record.
    fn dane_ee_is_possible(&self) -> bool {
        let Some(evidence) = self.case.evidence else { return false };
        let view = self.view(evidence);
        let names = view.names();
        if matches!(names.ptr, Ptr::Open | Ptr::Failed(_)) {
            return false;
        }
        let has = |base: &Base<'_>| view.tlsa_set(base).is_ok_and(|set| set.usable.has(DANE_EE));
        let by_name = names.candidates.iter().any(|name| match view.confirm(name) {
            Confirmation::Confirmed(confirmed) => has(&Base::of_name(&confirmed)),
            _ => false,
        });
        by_name || (!self.facts.ip.is_empty() && view.address_base(&names).is_some_and(|base| has(&base)))
    }

    fn check_source(&mut self) -> Result<(), Refusal> {
        let source = self.case.connection.source();
        if !self.case.connection.source_is_usable() {
            self.log.check(
                "R2",
                "source",
                CheckOutcome::Fail,
                format!("{source} cannot be a peer's address"),
            );
            return Err(self.log.refusal(Stage::Peer, Reason::AddressNotAllowed));
        }
        let Some(list) = &self.case.policy.addresses else { return Ok(()) };
        match list.iter().find(|prefix| prefix.contains(source)) {
            Some(prefix) => {
                self.log.check("R3", "addresses", CheckOutcome::Pass, format!("{source} is in {prefix}"));
                Ok(())
            }
            None => {
                self.log.check(
                    "R3",
                    "addresses",
                    CheckOutcome::Fail,
                    format!("{source} is in none of identity.addresses"),
                );
                Err(self.log.refusal(Stage::Peer, Reason::AddressNotAllowed))
            }
        }
    }

    /// R1: a person's certificate needs a path to anchors of its own and nothing else.
    fn decide_person(&mut self, class: Class) -> Result<Accepted, Refusal> {
        let path = self.path(class).map_err(|error| {
            self.log.check("R16", "path", CheckOutcome::Fail, error.to_string());
            self.log.refusal(Stage::Path, path_reason(&error))
        })?;
        self.log.check("R16", "path", CheckOutcome::Pass, format!("to {}", path.anchor.subject));
        Ok(Accepted {
            identity: Identity::Person(self.facts.subject_display().to_owned()),
            matched_name: None,
            tlsa: None,
            path: Some(path),
            dnssec: None,
            common_name: self.facts.common_names.first().filter(|name| can_be_passed_on(name)).cloned(),
            is_whole: self.facts.subject_says_all(),
        })
    }

    /// R2 and R3: each candidate by itself, the first that passes is the identity.
    fn decide_by_dns(&mut self, view: View<'a>, class: Class) -> Result<Accepted, Refusal> {
        let names = view.names();
        let mut furthest = self.check_ptr(&names)?;
        let ptr = match &names.ptr {
            Ptr::Answered(seen) => seen.status,
            _ => DnssecStatus::Secure,
        };
        let mut unasked = names.beyond;
        let mut denied = 0_usize;
        for name in &names.candidates {
            match self.confirm(&view, name, &mut unasked, &mut denied) {
                Err(refusal) => keep_furthest(&mut furthest, refusal),
                Ok(confirmed) => {
                    let status = ptr.min(confirmed.status());
                    let base = Base::of_name(&confirmed);
                    match (Candidate {
                        decision: self,
                        view,
                        class,
                        base: &base,
                        status,
                        name: Some(&confirmed),
                    })
                    .judge()
                    {
                        Ok(accepted) => return Ok(accepted),
                        Err(refusal) => keep_furthest(&mut furthest, refusal),
                    }
                }
            }
        }
        if unasked > 0 {
            self.log.check(
                "R2",
                "forward",
                CheckOutcome::Skipped,
                format!("{unasked} more names were not asked (maxNames)"),
            );
        }
        if denied > Log::MOST_DENIED {
            let more = denied - Log::MOST_DENIED;
            self.log.check(
                "R2",
                "forward",
                CheckOutcome::Fail,
                format!("{more} more names do not have the source address"),
            );
        }
        match self.judge_address(view, class, &names, ptr) {
            Some(Ok(accepted)) => return Ok(accepted),
            Some(Err(refusal)) => keep_furthest(&mut furthest, refusal),
            None => {}
        }
        // Every way to get here has kept a refusal; without one there was no candidate at all.
        Err(furthest.unwrap_or(Refusal { stage: Stage::Ptr, reason: Reason::NotConfirmed, check: None }))
    }

    /// The PTR answer: failed, absent, or without a name that can be used. R3 may still stand after the latter two.
    fn check_ptr(&mut self, names: &Names<'_>) -> Result<Option<Refusal>, Refusal> {
        match &names.ptr {
            Ptr::NotAsked => Ok(self.list_unusable(names)),
            Ptr::Open => {
                self.log.check("R2", "ptr", CheckOutcome::Fail, "not answered");
                Err(self.log.refusal(Stage::Ptr, Reason::EvidenceMissing))
            }
            Ptr::Failed(failure) => {
                self.log.check("R9", "ptr", CheckOutcome::Fail, failure.to_string());
                Err(self.log.refusal(Stage::Ptr, Reason::from(&**failure)))
            }
            Ptr::Answered(seen)
                if names.candidates.is_empty() && names.unlisted.is_empty() && names.unusable.is_empty() =>
            {
                let kind = seen
                    .answer
                    .negative
                    .map_or_else(|| "no name".to_owned(), |negative| negative.to_string());
                self.log.check("R2", "ptr", CheckOutcome::Fail, format!("{kind} ({})", seen.status));
                Ok(Some(self.log.refusal(Stage::Ptr, Reason::NoPtr)))
            }
            Ptr::Answered(seen) => {
                let text = format!("{} ({})", listed(&seen.ptr_names(), ToString::to_string), seen.status);
                self.log.check("R2", "ptr", CheckOutcome::Pass, text);
                let mut refusal = self.list_unusable(names);
                if !names.unlisted.is_empty() {
                    self.log.list("R2", "listed", &names.unlisted, ToString::to_string);
                    keep_furthest(&mut refusal, self.log.refusal(Stage::Listed, Reason::NameNotListed));
                }
                Ok(refusal)
            }
        }
    }

    fn list_unusable(&mut self, names: &Names<'_>) -> Option<Refusal> {
        if names.unusable.is_empty() {
            return None;
        }
        self.log.list("R2", "usable", &names.unusable, |(name, why)| format!("{name} ({why})"));
        Some(self.log.refusal(Stage::Usable, Reason::NameUnusable))
    }

    fn confirm(
        &mut self,
        view: &View<'a>,
        name: &crate::name::DnsName,
        unasked: &mut usize,
        denied: &mut usize,
    ) -> Result<ConfirmedName, Refusal> {
        let rr_type = view.address_type();
        match view.confirm(name) {
            Confirmation::Open => {
                *unasked += 1;
                Err(Refusal { stage: Stage::Confirmed, reason: Reason::NotConfirmed, check: None })
            }
            Confirmation::Failed(failure) => {
                self.log.about(name, "R9", "forward", CheckOutcome::Fail, format!("{rr_type}: {failure}"));
                Err(self.log.refusal(Stage::Confirmed, Reason::from(&*failure)))
            }
            Confirmation::Denied(seen) => {
                *denied += 1;
                if *denied <= Log::MOST_DENIED {
                    let kind =
                        seen.answer.negative.map_or_else(|| "other addresses".to_owned(), |n| n.to_string());
                    let text = format!("{rr_type}: {kind} ({})", seen.status);
                    self.log.about(name, "R2", "forward", CheckOutcome::Fail, text);
                }
                // Where it is not told by itself, one before it was, which counts first.
                Err(self.log.refusal(Stage::Confirmed, Reason::NotConfirmed))
            }
            Confirmation::Confirmed(confirmed) => {
                let how = if view.policy.confirm == crate::policy::Confirm::None {
                    "address not asked"
                } else {
                    "has the address"
                };
                self.log.about(
                    name,
                    "R2",
                    "forward",
                    CheckOutcome::Pass,
                    format!("{how} ({})", confirmed.status()),
                );
                Ok(confirmed)
            }
        }
    }

    /// R3 and R8: the address itself, where the certificate has one.
    fn judge_address(
        &mut self,
        view: View<'a>,
        class: Class,
        names: &Names<'_>,
        ptr: DnssecStatus,
    ) -> Option<Result<Accepted, Refusal>> {
        if self.facts.ip.is_empty() {
            return None;
        }
        let Some(base) = view.address_base(names) else {
            let text = "identity.names is set: a peer confirmed by its address alone has no listed name";
            self.log.check("R3", "listed", CheckOutcome::Fail, text);
            return Some(Err(self.log.refusal(Stage::Listed, Reason::NameNotListed)));
        };
        Some(Candidate { decision: self, view, class, base: &base, status: ptr, name: None }.judge())
    }

    /// The path of the class; looked for once, and validated once at most.
    fn path(&mut self, class: Class) -> Result<PathFacts, PathError> {
        let path = match self.path.take() {
            Some(path) => path,
            None => self.find_path(class),
        };
        self.path.insert(path).outcome.clone()
    }

    fn find_path(&self, class: Class) -> Arc<PathVerdict> {
        let request = self.path_request(class);
        let key = request.key();
        let found = self.paths.find(&key).filter(|found| found.answers_key(&key, self.case.now));
        found.unwrap_or_else(|| {
            let made = Arc::new(validate(&request, self.case.now));
            self.paths.keep(&made);
            made
        })
    }

    fn path_request(&self, class: Class) -> PathRequest<'a> {
        path_request(self.case.policy, self.case.chain, self.facts, self.case.trust, class)
    }
}

/// Whether a common name says the same to whoever reads it: a NUL or a line break in it would end it early for some.
fn can_be_passed_on(common_name: &str) -> bool {
    let odd = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
    common_name.len() <= MAX_COMMON_NAME && !common_name.contains(odd)
}

fn rule_of(reason: Reason) -> &'static str {
    reason.rules().first().copied().unwrap_or("R16")
}

fn class_check(reason: Reason) -> &'static str {
    if reason == Reason::NamesMixed { "names-mixed" } else { "class" }
}

fn path_reason(error: &PathError) -> Reason {
    match error {
        PathError::UnknownIssuer => Reason::UnknownIssuer,
        PathError::Expired { .. } => Reason::Expired,
        PathError::NotYetValid { .. } | PathError::NeverValid => Reason::NotYetValid,
        PathError::Revoked => Reason::Revoked,
        PathError::RevocationUnknown | PathError::CrlUnusable => Reason::RevocationUnknown,
        PathError::CrlExpired { .. } => Reason::CrlExpired,
        PathError::KeyUsage { .. } => Reason::KeyUsage,
        PathError::ExtendedKeyUsage => Reason::PathEku,
        PathError::WeakKey { .. } => Reason::WeakKey,
        PathError::Unreadable
        | PathError::NameConstraint
        | PathError::PathLength
        | PathError::NotACa
        | PathError::CaAsLeaf
        | PathError::BadSignature
        | PathError::UnsupportedSignature
        | PathError::CriticalExtension
        | PathError::TooComplex
        | PathError::Distrusted => Reason::PathInvalid,
    }
}
