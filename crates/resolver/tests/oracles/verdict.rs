//! Verdicts that can be compared, ours and others'.

use std::fmt;

use revouch_testbed::bed::DelvSaid;
use revouch_validator::answer::{DnsFailure, DnssecStatus, Negative};
use revouch_validator::evidence::{Observation, Outcome};
use revouch_validator::rr::RecordData;

/// The DNSSEC state of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Bogus,
    Insecure,
    Secure,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The records, sorted.
    Records(Vec<String>),
    NoData,
    NxDomain,
}

/// A verdict. Bogus ones have no kind; of a program that does not tell it, it is not known.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) state: State,
    pub(crate) kind: Option<Kind>,
    /// Why it is bogus, if ours is. Whoever reads a complaint wants it; it makes no verdict another one.
    why: Option<DnsFailure>,
}

impl PartialEq for Verdict {
    fn eq(&self, other: &Self) -> bool {
        (self.state, &self.kind) == (other.state, &other.kind)
    }
}

impl Eq for Verdict {}

impl Verdict {
    /// Records of this state, or their absence.
    pub(crate) fn new(state: State, kind: Option<Kind>) -> Self {
        Self { state, kind, why: None }
    }

    /// Neither records nor their absence.
    pub(crate) fn bogus() -> Self {
        Self::new(State::Bogus, None)
    }

    /// What our resolver found. `Err` where it found nothing out: out of time, out of budget.
    pub(crate) fn ours(observation: &Observation) -> Result<Self, String> {
        match &observation.outcome {
            Outcome::Answer(answer) => {
                let state = match answer.status {
                    DnssecStatus::Secure => State::Secure,
                    DnssecStatus::Insecure => State::Insecure,
                    DnssecStatus::Exempt => return Err("exempt".into()),
                };
                let kind = match answer.negative {
                    None => Kind::Records(shown(&answer.records)),
                    Some(Negative::NoData) => Kind::NoData,
                    Some(Negative::NxDomain) => Kind::NxDomain,
                };
                Ok(Self::new(state, Some(kind)))
            }
            // Behind a validating resolver what is bogus is SERVFAIL.
            Outcome::Failure(why @ (DnsFailure::Bogus(_) | DnsFailure::ServFail)) => {
                Ok(Self { why: Some(why.clone()), ..Self::bogus() })
            }
            Outcome::Failure(other) => Err(other.to_string()),
        }
    }

    /// What `delv` found, if it told.
    pub(crate) fn delv(said: DelvSaid) -> Option<Self> {
        let state = match said {
            DelvSaid::Secure => State::Secure,
            DelvSaid::Insecure => State::Insecure,
            DelvSaid::Failed => State::Bogus,
            DelvSaid::Silent => return None,
        };
        Some(Self::new(state, None))
    }

    /// Whether both say the same, as far as they say it.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        let same_kind = match (&self.kind, &other.kind) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        self.state == other.state && same_kind
    }

    /// As it stands in tables: `secure`, `insecure nxdomain`, `bogus`; records are left out.
    pub(crate) fn word(&self) -> String {
        let kind = match &self.kind {
            Some(Kind::Records(_)) => " records",
            Some(Kind::NoData) => " nodata",
            Some(Kind::NxDomain) => " nxdomain",
            None => "",
        };
        format!("{}{kind}", self.state_word())
    }

    /// The state alone.
    pub(crate) fn state_word(&self) -> String {
        format!("{:?}", self.state).to_lowercase()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word())?;
        if let Some(Kind::Records(records)) = &self.kind {
            let shown: Vec<&str> = records.iter().take(3).map(String::as_str).collect();
            write!(f, " [{} of {}]", shown.join(", "), records.len())?;
        }
        if let Some(why) = &self.why {
            write!(f, " ({why})")?;
        }
        Ok(())
    }
}

/// Records as text, in an order that does not depend on that in the message.
pub(crate) fn shown(records: &[RecordData]) -> Vec<String> {
    let mut shown: Vec<String> = records.iter().map(|record| format!("{record:?}")).collect();
    shown.sort_unstable();
    shown
}
