//! The evidence as a policy reads it at one moment: states lowered where the policy says so, signatures held against the clock.

use std::borrow::Cow;

use crate::answer::{Answer, DnsFailure, DnssecStatus};
use crate::connection::Connection;
use crate::evidence::Evidence;
use crate::name::DnsName;
use crate::policy::Policy;
use crate::rr::RrType;
use crate::timestamp::Timestamp;

/// What `plan` and `decide` read. Nothing else looks into the evidence.
#[derive(Clone, Copy)]
pub(crate) struct View<'e> {
    pub(crate) policy: &'e Policy,
    pub(crate) connection: &'e Connection,
    pub(crate) evidence: &'e Evidence,
    pub(crate) now: Timestamp,
}

/// An answer with the state that this policy gives it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'e> {
    pub(crate) answer: &'e Answer,
    pub(crate) status: DnssecStatus,
}

/// The outcome of one question.
pub(crate) type Asked<'e> = Result<Seen<'e>, Cow<'e, DnsFailure>>;

impl<'e> View<'e> {
    /// What came back for a question; `None` if nothing has.
    ///
    /// - An answer for an exempt name is at most `Exempt` (R13: it counts as unsigned), and `Exempt` without an exemption of
    ///   this policy is `Insecure`.
    /// - An answer whose signatures do not hold at `now` is bogus (R9), whatever it was when it was recorded.
    /// - An alias from a name that is not exempt to one that is fails (`dns.md` section 2.10), as the exemptions of this policy may
    ///   not be those under which the answer was recorded.
    pub(crate) fn ask(&self, name: &DnsName, rr_type: RrType) -> Option<Asked<'e>> {
        Some(match self.evidence.outcome(name, rr_type)? {
            Err(failure) => Err(Cow::Borrowed(failure)),
            Ok(answer) if answer.signatures.is_some_and(|window| !window.contains(self.now)) => Err(
                Cow::Owned(DnsFailure::Bogus("a signature does not hold at the time of the decision".into())),
            ),
            Ok(answer) if self.leads_into_exempt_zone(name, answer) => {
                Err(Cow::Owned(DnsFailure::IntoExemptZone))
            }
            Ok(answer) => Ok(Seen { answer, status: self.status(name, answer) }),
        })
    }

    fn leads_into_exempt_zone(&self, name: &DnsName, answer: &Answer) -> bool {
        let exempt = |name| self.policy.exemptions.exempts(name, self.now).is_some();
        let mut before = answer.chain.is_empty() || exempt(name);
        answer.chain.iter().any(|link| {
            let here = exempt(&link.target);
            let enters = here && !before;
            before = here;
            enters
        })
    }

    fn status(&self, name: &DnsName, answer: &Answer) -> DnssecStatus {
        match (answer.status, self.policy.exemptions.exempts(name, self.now)) {
            (status, Some(_)) => status.min(DnssecStatus::Exempt),
            (DnssecStatus::Exempt, None) => DnssecStatus::Insecure,
            (status, None) => status,
        }
    }

    /// The type that holds addresses of the source's family.
    pub(crate) fn address_type(&self) -> RrType {
        if self.connection.source().is_ipv4() { RrType::A } else { RrType::AAAA }
    }

    /// The ports of R15 (c): the policy's, or the listener's own.
    pub(crate) fn ports(&self) -> Cow<'e, [u16]> {
        match &self.policy.ports {
            Some(ports) => Cow::Borrowed(ports.as_slice()),
            None if self.connection.local_port == 0 => Cow::Owned(Vec::new()),
            None => Cow::Owned(vec![self.connection.local_port]),
        }
    }
}
