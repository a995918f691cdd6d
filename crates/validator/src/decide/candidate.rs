//! One candidate, judged by itself: its answers, the port, TLSA, the path, the name. Nothing of another candidate is used.

use crate::answer::DnssecStatus;
use crate::dane::{DANE_EE, PKIX_EE, TlsaMatch};
use crate::fcrdns::ConfirmedName;
use crate::path::{PathFacts, PathOrTlsaError, Purpose, validate_with_tlsa};
use crate::policy::{Dnssec, SourcePort, TlsaMode};
use crate::ports::{Base, PortCheck, Stop, TlsaSet};
use crate::reason::Reason;
use crate::verdict::{Accepted, CheckOutcome, Identity};
use crate::view::View;

use super::class::Class;
use super::{Decision, Refusal, Stage, class_check, path_reason, rule_of};

pub(super) struct Candidate<'d, 'a, 'l, 'b> {
    pub(super) decision: &'d mut Decision<'a, 'l>,
    pub(super) view: View<'a>,
    pub(super) class: Class,
    pub(super) base: &'b Base<'b>,
    /// The least state of the PTR and the forward answer.
    pub(super) status: DnssecStatus,
    /// The confirmed name; `None` for the address itself (R3).
    pub(super) name: Option<&'b ConfirmedName>,
}

/// What vouches for the certificate.
struct Vouched {
    tlsa: Option<TlsaMatch>,
    path: Option<PathFacts>,
}

impl Candidate<'_, '_, '_, '_> {
    pub(super) fn judge(mut self) -> Result<Accepted, Refusal> {
        let shown = match self.name {
            Some(confirmed) => confirmed.name().to_string(),
            None => self.decision.case.connection.source().to_string(),
        };
        self.decision.log.begin_candidate(shown);
        let outcome = self.judge_checks();
        self.decision.log.end_candidate();
        outcome
    }

    fn judge_checks(&mut self) -> Result<Accepted, Refusal> {
        let (port, tlsa) = self.answers()?;
        let weakest = self.check_dnssec(&port, &tlsa)?;
        self.check_port(&port)?;
        let ee = self.check_tlsa(&tlsa)?;
        let vouched = self.check_path(ee, &tlsa)?;
        let matched_name = self.check_name(vouched.tlsa)?;
        let identity = match self.name {
            Some(confirmed) => Identity::Name(confirmed.clone()),
            None => Identity::Address(self.decision.case.connection.source()),
        };
        Ok(Accepted {
            identity,
            matched_name,
            tlsa: vouched.tlsa,
            path: vouched.path,
            dnssec: Some(weakest),
            common_name: None,
            is_whole: true,
        })
    }

    /// A bogus or failed answer that the policy uses fails the candidate (R9); one that is not there yet too.
    fn answers(&mut self) -> Result<(PortCheck, TlsaSet), Refusal> {
        let port = self.view.source_port_check(self.base).map_err(|stop| self.stopped(stop))?;
        let tlsa = self.view.tlsa_set(self.base).map_err(|stop| self.stopped(stop))?;
        Ok((port, tlsa))
    }

    fn stopped(&mut self, stop: Stop<'_>) -> Refusal {
        match stop {
            Stop::Failed(failed) => {
                let text = format!("{}: {}", failed.question, failed.failure);
                self.decision.log.check("R9", "answers", CheckOutcome::Fail, text);
                self.decision.log.refusal(Stage::Answers, Reason::from(&*failed.failure))
            }
            Stop::Open(questions) => {
                let first = questions.first().map(ToString::to_string).unwrap_or_default();
                self.decision.log.check(
                    "R9",
                    "answers",
                    CheckOutcome::Fail,
                    format!("{first}: not answered"),
                );
                self.decision.log.refusal(Stage::Answers, Reason::EvidenceMissing)
            }
        }
    }

    /// R10: the least state of every answer that the verdict rests on, the negative ones and the PTR included.
    fn check_dnssec(&mut self, port: &PortCheck, tlsa: &TlsaSet) -> Result<DnssecStatus, Refusal> {
        let weakest = self.status.min(port.weakest).min(tlsa.weakest);
        let required = self.view.policy.dnssec == Dnssec::Required;
        if required && weakest < DnssecStatus::Exempt {
            self.decision.log.check(
                "R10",
                "dnssec",
                CheckOutcome::Fail,
                format!("{weakest}, and DNSSEC is required"),
            );
            return Err(self.decision.log.refusal(Stage::Answers, Reason::DnssecRequired));
        }
        let outcome = if required { CheckOutcome::Pass } else { CheckOutcome::Advisory };
        self.decision.log.check("R10", "dnssec", outcome, weakest.to_string());
        Ok(weakest)
    }

    /// R17.
    fn check_port(&mut self, port: &PortCheck) -> Result<(), Refusal> {
        let source_port = self.decision.case.connection.source_port;
        match (self.view.policy.source_port, &port.named_by) {
            (SourcePort::Ignore, _) => Ok(()),
            (_, Some(question)) => {
                let text = format!("port {source_port} is named by {question}");
                self.decision.log.check("R17", "source-port", CheckOutcome::Pass, text);
                Ok(())
            }
            (SourcePort::Prefer, None) => {
                let text = format!("no record names port {source_port}");
                self.decision.log.check("R15", "source-port", CheckOutcome::Advisory, text);
                Ok(())
            }
            (SourcePort::Require, None) => {
                let text = format!("no SRV, SVCB or TLSA record names port {source_port}");
                self.decision.log.check("R17", "source-port", CheckOutcome::Fail, text);
                Err(self.decision.log.refusal(Stage::Port, Reason::SourcePortUnlisted))
            }
        }
    }

    /// R11. Gives the DANE-EE(3) match, if there is one; whether records of other usages match shows in the path.
    fn check_tlsa(&mut self, tlsa: &TlsaSet) -> Result<Option<TlsaMatch>, Refusal> {
        self.log_tlsa_set(tlsa);
        // A clientAuth certificate is never judged by DANE (R1): its anchors are its own.
        let empty = tlsa.usable.is_empty() || self.class.purpose == Purpose::Client;
        if empty && self.view.policy.tlsa == TlsaMode::Require {
            self.decision.log.check(
                "R11",
                "tlsa",
                CheckOutcome::Fail,
                "no usable TLSA record, and one is required",
            );
            return Err(self.decision.log.refusal(Stage::Tlsa, Reason::TlsaMissing));
        }
        let matched = if empty {
            None
        } else {
            tlsa.usable.match_end_entity(self.decision.case.chain.leaf(), self.decision.facts)
        };
        if let Some(matched) = matched {
            self.decision.log.check("R11", "tlsa", CheckOutcome::Pass, format!("matches {matched}"));
            if let Some(reason) = self.class.unless_dane_ee {
                let text = format!("{reason} is waived by DANE-EE");
                self.decision.log.check(rule_of(reason), class_check(reason), CheckOutcome::Skipped, text);
            }
        } else if !empty && !tlsa.usable.needs_path() {
            return Err(self.tlsa_mismatch());
        } else if let Some(reason) = self.class.unless_dane_ee {
            let text = self.decision.class_seen();
            self.decision.log.check(rule_of(reason), class_check(reason), CheckOutcome::Fail, text);
            return Err(self.decision.log.refusal(Stage::Tlsa, reason));
        }
        Ok(matched)
    }

    fn log_tlsa_set(&mut self, tlsa: &TlsaSet) {
        let log = &mut self.decision.log;
        for owner in &tlsa.passed_over {
            log.check("R11", "tlsa", CheckOutcome::Skipped, format!("{owner} has no usable record"));
        }
        match &tlsa.owner {
            _ if self.view.policy.tlsa == TlsaMode::Ignore => {}
            Some(owner) => {
                let state = if tlsa.secure { "secure" } else { "not secure: only usages 0 and 1 count" };
                let (used, left_out) = (tlsa.usable.len(), tlsa.usable.left_out().len());
                let text = format!("{used} usable records at {owner} ({state}), {left_out} left out");
                log.check("R15", "tlsa-set", CheckOutcome::Pass, text);
            }
            None => log.check("R15", "tlsa-set", CheckOutcome::Skipped, "no usable TLSA record"),
        }
    }

    fn tlsa_mismatch(&mut self) -> Refusal {
        self.decision.log.check(
            "R11",
            "tlsa",
            CheckOutcome::Fail,
            "no TLSA record matches the certificate or its path",
        );
        self.decision.log.refusal(Stage::Tlsa, Reason::TlsaMismatch)
    }

    /// R16, or what DANE puts in its place.
    fn check_path(&mut self, ee: Option<TlsaMatch>, tlsa: &TlsaSet) -> Result<Vouched, Refusal> {
        if ee.is_some() {
            if let Some(why) = self.decision.facts.key.weak() {
                self.decision.log.check("R16", "path", CheckOutcome::Fail, why.to_string());
                return Err(self.decision.log.refusal(Stage::Path, Reason::WeakKey));
            }
            self.decision.log.check("R16", "path", CheckOutcome::Skipped, "DANE-EE vouches for the key");
            return Ok(Vouched { tlsa: ee, path: None });
        }
        let found = if tlsa.usable.is_empty() || self.class.purpose == Purpose::Client {
            self.decision.path(self.class).map(|path| (path, None)).map_err(PathOrTlsaError::Path)
        } else {
            self.path_with_tlsa(tlsa)
        };
        match found {
            Ok((path, matched)) => {
                if let Some(matched) = matched {
                    self.decision.log.check("R11", "tlsa", CheckOutcome::Pass, format!("matches {matched}"));
                }
                let end = if path.anchor.subject.is_empty() {
                    "a key in a TLSA record"
                } else {
                    &path.anchor.subject
                };
                self.decision.log.check("R16", "path", CheckOutcome::Pass, format!("to {end}"));
                Ok(Vouched { tlsa: matched, path: Some(path) })
            }
            Err(PathOrTlsaError::NoMatch) => Err(self.tlsa_mismatch()),
            Err(PathOrTlsaError::Path(error)) => {
                self.decision.log.check("R16", "path", CheckOutcome::Fail, error.to_string());
                Err(self.decision.log.refusal(Stage::Path, path_reason(&error)))
            }
        }
    }

    /// Where only the leaf can match (usage 1), the path is the same with or without TLSA, and a cached one serves.
    fn path_with_tlsa(&mut self, tlsa: &TlsaSet) -> Result<(PathFacts, Option<TlsaMatch>), PathOrTlsaError> {
        let only_leaf = [0, 1, 2, 3]
            .into_iter()
            .all(|usage| !tlsa.usable.has(usage) || usage == PKIX_EE || usage == DANE_EE);
        if only_leaf {
            let facts = self.decision.facts;
            let leaf = self.decision.case.chain.leaf();
            let matched = tlsa
                .usable
                .match_certificate(PKIX_EE, leaf, &facts.spki, 0)
                .ok_or(PathOrTlsaError::NoMatch)?;
            let path = self.decision.path(self.class).map_err(PathOrTlsaError::Path)?;
            return Ok((path, Some(matched)));
        }
        let request = self.decision.path_request(self.class);
        validate_with_tlsa(&request, self.decision.case.now, &tlsa.usable)
            .map(|(path, matched)| (path, Some(matched)))
    }

    /// R2 or R3: the certificate is valid for the name, or for the address. DANE-EE waives the name, never the address.
    fn check_name(&mut self, tlsa: Option<TlsaMatch>) -> Result<Option<String>, Refusal> {
        let facts = self.decision.facts;
        let Some(confirmed) = self.name else {
            let source = self.decision.case.connection.source();
            if facts.matches_ip(source) {
                self.decision.log.check("R3", "name", CheckOutcome::Pass, format!("iPAddress {source}"));
                return Ok(Some(source.to_string()));
            }
            let text = format!("no iPAddress of the certificate is {source}");
            self.decision.log.check("R3", "name", CheckOutcome::Fail, text);
            return Err(self.decision.log.refusal(Stage::Name, Reason::AddressMismatch));
        };
        let matched = facts.matches_dns(confirmed.name()).map(crate::escape::escape);
        let waived = tlsa.is_some_and(|matched| matched.usage == DANE_EE);
        match matched {
            Some(name) => {
                self.decision.log.check("R2", "name", CheckOutcome::Pass, format!("dNSName {name}"));
                Ok(Some(name))
            }
            None if waived => {
                self.decision.log.check("R2", "name", CheckOutcome::Skipped, "DANE-EE waives the name");
                Ok(None)
            }
            None => {
                let text =
                    format!("none of {} dNSName entries is valid for {}", facts.dns.len(), confirmed.name());
                self.decision.log.check("R2", "name", CheckOutcome::Fail, text);
                Err(self.decision.log.refusal(Stage::Name, Reason::NameMismatch))
            }
        }
    }
}
