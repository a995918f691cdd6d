//! A decision as a file: everything that it depended on, so that it can be told, and made again.
//!
//! Promises: [`Record::replay`] of a record gives the verdict that was given when it was made. The JSON form is described in
//! `docs/record.md`; a record of another version is refused, never guessed at.

use serde::{Deserialize, Serialize};

use crate::chain::Chain;
use crate::connection::Connection;
use crate::decide::{Case, decide};
use crate::evidence::Evidence;
use crate::policy::Policy;
use crate::timestamp::Timestamp;
use crate::trust::TrustStore;
use crate::verdict::Verdict;

/// The largest record that is read, in octets: two chains' worth of certificates, a PTR answer of 10,000 names and every public root fit.
pub const MAX_RECORD: usize = 16 * 1024 * 1024;

/// What the `version` of a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordVersion {
    /// The first and only one.
    #[serde(rename = "revouch.dev/record/v1")]
    V1,
}

/// One decision's inputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// The form of the record.
    pub version: RecordVersion,
    /// The policy's name, for display only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_name: Option<String>,
    /// The policy, exemptions included.
    pub policy: Policy,
    /// What the peer sent.
    pub chain: Chain,
    /// Where it came from.
    pub connection: Connection,
    /// What the DNS said; absent if it was not there when the decision was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// The anchors and CRLs that were used.
    pub trust: TrustStore,
    /// The time of the decision, in seconds since 1970.
    pub now: Timestamp,
}

impl Record {
    /// Takes down a case. The cached path is left out: the verdict is the same without it.
    #[must_use]
    pub fn of(case: &Case<'_>, policy_name: Option<&str>) -> Self {
        Self {
            version: RecordVersion::V1,
            policy_name: policy_name.map(str::to_owned),
            policy: case.policy.clone(),
            chain: case.chain.clone(),
            connection: *case.connection,
            evidence: case.evidence.cloned(),
            trust: case.trust.clone(),
            now: case.now,
        }
    }

    /// The case that was decided.
    #[must_use]
    pub fn case(&self) -> Case<'_> {
        Case {
            policy: &self.policy,
            chain: &self.chain,
            connection: &self.connection,
            evidence: self.evidence.as_ref(),
            trust: &self.trust,
            now: self.now,
        }
    }

    /// Decides again.
    #[must_use]
    pub fn replay(&self) -> Verdict {
        decide(&self.case())
    }

    /// Reads a record.
    ///
    /// # Errors
    /// The text is longer than [`MAX_RECORD`], or is no record of a known version.
    pub fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        if text.len() > MAX_RECORD {
            return Err(serde::de::Error::custom("the record is longer than 16 MiB"));
        }
        serde_json::from_slice(text)
    }

    /// Writes the record, indented, for people to look at.
    ///
    /// # Errors
    /// None that a record can cause.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }
}
