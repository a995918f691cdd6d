//! What is printed of one question: the JSON object of `docs/cli.md`, and the same for people.

use std::time::Duration;

use revouch_validator::answer::{ChainLink, DnsFailure, DnssecStatus, Negative};
use revouch_validator::escape::escape;
use revouch_validator::evidence::{Observation, Outcome};
use serde::Serialize;

use super::presentation::presentation;
use crate::show::Style;

/// One question with its outcome. The fields and their order are documented: programs read them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) rr_type: String,
    pub(super) status: Status,
    pub(super) negative: Option<Negative>,
    /// In presentation format.
    pub(super) records: Vec<String>,
    pub(super) chain: Vec<ChainLink>,
    pub(super) why: String,
    pub(super) upstream_queries: u32,
    pub(super) elapsed_us: u64,
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Secure,
    Insecure,
    Exempt,
    Bogus,
    /// There is no answer.
    Error,
}

impl Report {
    pub(super) fn of(observation: &Observation) -> Self {
        let rr_type = observation.question.rr_type;
        let mut report = Self {
            name: observation.question.name.to_string(),
            rr_type: rr_type.to_string(),
            status: Status::Error,
            negative: None,
            records: Vec::new(),
            chain: Vec::new(),
            why: String::new(),
            upstream_queries: observation.upstream_queries,
            elapsed_us: observation.elapsed_us,
        };
        match &observation.outcome {
            Outcome::Answer(answer) => {
                (report.status, report.why) = of_answer(answer.status);
                report.negative = answer.negative;
                report.records = answer.records.iter().map(|record| presentation(rr_type, record)).collect();
                report.chain.clone_from(&answer.chain);
            }
            Outcome::Failure(DnsFailure::Bogus(why)) => {
                (report.status, report.why) = (Status::Bogus, escape(why));
            }
            Outcome::Failure(failure) => report.why = failure.to_string(),
        }
        report
    }

    /// For a line that is no question.
    pub(super) fn of_bad_line(name: &[u8], rr_type: &[u8], why: String) -> Self {
        Self {
            name: escape(name),
            rr_type: escape(rr_type),
            status: Status::Error,
            negative: None,
            records: Vec::new(),
            chain: Vec::new(),
            why,
            upstream_queries: 0,
            elapsed_us: 0,
        }
    }

    pub(super) fn told(&self, style: Style) -> String {
        let has_answer = !matches!(self.status, Status::Bogus | Status::Error);
        let negative = self.negative.map_or_else(String::new, |negative| format!(" {negative}"));
        let mut out = style.headline(has_answer, &format!("{}{negative}", self.status.as_str()));
        out.push_str(&format!("  {} {}: {}", self.name, self.rr_type, self.why));
        for link in &self.chain {
            out.push_str(&format!("\n  alias {} -> {} ({})", link.owner, link.target, link.status));
        }
        for record in &self.records {
            out.push_str(&format!("\n  {record}"));
        }
        let time = Duration::from_micros(self.elapsed_us);
        out.push_str(&format!("\n  {} questions sent, {time:.1?}", self.upstream_queries));
        out
    }
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Secure => "secure",
            Self::Insecure => "insecure",
            Self::Exempt => "exempt",
            Self::Bogus => "bogus",
            Self::Error => "error",
        }
    }
}

fn of_answer(status: DnssecStatus) -> (Status, String) {
    let (status, why) = match status {
        DnssecStatus::Secure => (Status::Secure, "validated up to a trust anchor"),
        DnssecStatus::Exempt => (Status::Exempt, "DNSSEC is not evaluated for this zone"),
        DnssecStatus::Insecure => {
            (Status::Insecure, "not signed all the way, or not validated by the server")
        }
    };
    (status, why.to_owned())
}
