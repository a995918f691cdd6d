//! What came of a decision: accepted or refused, and every check that was made on the way.
//!
//! An accepting [`Verdict`] is made by [`crate::decide::decide`] alone; refusals can be made by anyone ([`Verdict::refusal`]).

use std::net::IpAddr;

use serde::Serialize;

use crate::answer::DnssecStatus;
use crate::dane::TlsaMatch;
use crate::fcrdns::ConfirmedName;
use crate::path::PathFacts;
use crate::policy::{ForwardIdentity, Policy};
use crate::reason::Reason;

/// The outcome of a decision and how it was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    outcome: Outcome,
    /// What the certificate was taken for; absent if the class was refused or never reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<PeerClass>,
    checks: Vec<Check>,
    /// The place of the check that refused.
    #[serde(skip)]
    decisive: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    Accepted(Box<Accepted>),
    Refused(Reason),
}

/// What a peer's certificate was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerClass {
    /// serverAuth: a server.
    Server,
    /// clientAuth with a device's name (R1).
    Device,
    /// clientAuth without one: a natural or legal person (R1).
    Person,
}

impl PeerClass {
    /// The word as it stands in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Device => "device",
            Self::Person => "person",
        }
    }
}

/// Who an accepted peer is, and what that rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Who the peer is.
    pub(crate) identity: Identity,
    /// The dNSName or iPAddress of the certificate that matched; absent for persons and where DANE-EE(3) waived names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) matched_name: Option<String>,
    /// The TLSA record that matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tlsa: Option<TlsaMatch>,
    /// The path that was found; absent under DANE-EE(3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathFacts>,
    /// The least DNSSEC state of what the verdict rests on; absent for persons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dnssec: Option<DnssecStatus>,
    /// The subject's first common name, without control characters and of 256 octets at most; for persons only.
    #[serde(skip)]
    pub(crate) common_name: Option<String>,
    /// The identity as text is that of nobody else: of a person's subject nothing was cut or replaced.
    #[serde(skip)]
    pub(crate) is_whole: bool,
}

impl Accepted {
    /// Who the peer is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The name of the certificate that matched, if one had to.
    #[must_use]
    pub fn matched_name(&self) -> Option<&str> {
        self.matched_name.as_deref()
    }

    /// The TLSA record that matched, if there was one.
    #[must_use]
    pub fn tlsa(&self) -> Option<TlsaMatch> {
        self.tlsa
    }

    /// The path that was found, if one was needed.
    #[must_use]
    pub fn path(&self) -> Option<&PathFacts> {
        self.path.as_ref()
    }

    /// The least DNSSEC state of what the verdict rests on; `None` for persons.
    #[must_use]
    pub fn dnssec(&self) -> Option<DnssecStatus> {
        self.dnssec
    }
}

/// Who a peer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Identity {
    /// The host of this name (R2).
    Name(ConfirmedName),
    /// The host at this address (R3).
    Address(IpAddr),
    /// A natural or legal person (R1): the subject, printable and bounded.
    Person(String),
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(confirmed) => write!(f, "{}", confirmed.name()),
            Self::Address(address) => write!(f, "{address}"),
            Self::Person(subject) => f.write_str(subject),
        }
    }
}

/// What the upstream is told of the peer (R4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedIdentity {
    /// The verified peer name: the confirmed name, the confirmed address, or a person's subject.
    pub verified_name: String,
    /// For the CN TLV: the confirmed name or address; for a person the subject's first common name, if it has one
    /// without control characters and of 256 octets at most.
    pub common_name: Option<String>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The rule that it comes from.
    pub rule: &'static str,
    /// What was checked: a closed list of words, see `docs/verdict.md`.
    pub check: &'static str,
    /// How it ended.
    pub outcome: CheckOutcome,
    /// The candidate name or address that it was made for, if for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,
    /// What was seen. Peer-controlled text in it is escaped and bounded.
    pub seen: String,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcome {
    /// It holds.
    Pass,
    /// It does not hold, and what it was made for is refused.
    Fail,
    /// It was not made, and why.
    Skipped,
    /// It is told for information and can refuse nobody.
    Advisory,
}

impl Verdict {
    /// A refusal that needs no decision: no route, no policy, a limit, no certificate.
    #[must_use]
    pub fn refusal(reason: Reason) -> Self {
        Self { outcome: Outcome::Refused(reason), class: None, checks: Vec::new(), decisive: None }
    }

    pub(crate) fn new(
        outcome: Result<Accepted, (Reason, Option<usize>)>,
        class: Option<PeerClass>,
        checks: Vec<Check>,
    ) -> Self {
        let (outcome, decisive) = match outcome {
            Ok(accepted) => (Outcome::Accepted(Box::new(accepted)), None),
            Err((reason, decisive)) => (Outcome::Refused(reason), decisive),
        };
        Self { outcome, class, checks, decisive }
    }

    /// Whether the peer is accepted.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.accepted().is_some()
    }

    /// Who the peer is, if it is accepted.
    #[must_use]
    pub fn accepted(&self) -> Option<&Accepted> {
        match &self.outcome {
            Outcome::Accepted(accepted) => Some(accepted),
            Outcome::Refused(_) => None,
        }
    }

    /// Why the peer is refused; `None` if it is accepted.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match &self.outcome {
            Outcome::Accepted(_) => None,
            Outcome::Refused(reason) => Some(*reason),
        }
    }

    /// What the certificate was taken for, as far as that was decided.
    #[must_use]
    pub fn class(&self) -> Option<PeerClass> {
        self.class
    }

    /// Every check, in the order in which they were made.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The failed check that gave the reason: that of the candidate that came furthest. `None` if the peer is accepted, if no
    /// decision was made, or if all that can be said is that a name was never asked.
    #[must_use]
    pub fn decisive(&self) -> Option<&Check> {
        self.checks.get(self.decisive?)
    }

    /// The outcome alone, for who keeps it for long.
    #[must_use]
    pub fn without_checks(&self) -> Self {
        Self { outcome: self.outcome.clone(), class: self.class, checks: Vec::new(), decisive: None }
    }

    /// What may be passed on to the upstream under `policy` (R4); `None` where nothing is. A refused peer, let through by Audit,
    /// has no identity. A person whose subject cannot be told whole has none either: another's could look the same.
    #[must_use]
    pub fn forwarded_identity(&self, policy: &Policy) -> Option<ForwardedIdentity> {
        let accepted = self.accepted().filter(|accepted| accepted.is_whole)?;
        let passed = match policy.forward_identity {
            ForwardIdentity::Never => false,
            ForwardIdentity::ClientAuthOnly => {
                matches!(self.class, Some(PeerClass::Person | PeerClass::Device))
            }
            ForwardIdentity::Always => true,
        };
        let verified_name = accepted.identity.to_string();
        let common_name = match accepted.identity {
            Identity::Person(_) => accepted.common_name.clone(),
            Identity::Name(_) | Identity::Address(_) => Some(verified_name.clone()),
        };
        passed.then_some(ForwardedIdentity { verified_name, common_name })
    }
}
