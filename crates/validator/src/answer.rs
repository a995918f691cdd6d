//! What the DNS said to one question, as it was recorded.
//!
//! An [`Answer`] is never bogus: a bogus answer is a [`DnsFailure`], so that it cannot be mistaken for an absent one (R9).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::DnsName;
use crate::rr::RecordData;
use crate::timestamp::Timestamp;

/// The DNSSEC state of an answer, in the order of R10; a chain has the least of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DnssecStatus {
    /// Proven unsigned, or not validated.
    Insecure,
    /// DNSSEC is not evaluated for this zone (R12, R13). Counts as unsigned wherever a signature is needed.
    Exempt,
    /// Validated up to a trust anchor.
    Secure,
}

impl fmt::Display for DnssecStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Insecure => "insecure",
            Self::Exempt => "exempt",
            Self::Secure => "secure",
        })
    }
}

/// How an answer says that there is no such record (RFC 2308).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Negative {
    /// The name exists, the type does not.
    NoData,
    /// The name does not exist.
    NxDomain,
}

impl fmt::Display for Negative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoData => "nodata",
            Self::NxDomain => "nxdomain",
        })
    }
}

/// One step from an alias to its target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainLink {
    /// The owner of the CNAME, given or synthesised from a DNAME.
    pub owner: DnsName,
    /// Where it points.
    pub target: DnsName,
    /// The state of this link.
    pub status: DnssecStatus,
}

/// The time in which every signature that an answer rests on is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureWindow {
    /// The latest inception.
    pub from: Timestamp,
    /// The earliest expiration.
    pub until: Timestamp,
}

impl SignatureWindow {
    /// Whether `now` is inside, both ends included.
    #[must_use]
    pub fn contains(&self, now: Timestamp) -> bool {
        self.from <= now && now <= self.until
    }

    /// The time in which both windows hold.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }
}

/// One answer, positive or negative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The records of the type asked for, at the end of the chain; none if `negative`.
    pub records: Vec<RecordData>,
    /// The aliases on the way, in order; at most 11.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<ChainLink>,
    /// The least state of the chain's links and of the records, or of their denial.
    pub status: DnssecStatus,
    /// Whether, and how, there is no such record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative: Option<Negative>,
    /// The records were made from a wildcard, as far as signatures show it (always false in unsigned zones).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wildcard: bool,
    /// The least TTL, in seconds, clamped as `dns.md` says. Belongs to the cache, not to the decision.
    pub ttl: u32,
    /// When the signatures hold on which the state rests, those of keys and delegations included, also of those that prove a zone to be
    /// unsigned. `None` where none was checked here (exempt, no trust anchor above, or an upstream's AD bit).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<SignatureWindow>,
}

impl Answer {
    /// The name at the end of the chain, where there is one.
    #[must_use]
    pub fn chain_end(&self) -> Option<&DnsName> {
        self.chain.last().map(|link| &link.target)
    }
}

/// Why there is no answer. None of these ever means that a record is absent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsFailure {
    /// DNSSEC validation failed (R9). The text says at which step; it holds no raw peer-controlled octets.
    Bogus(String),
    /// No answer within the deadline.
    Timeout,
    /// The upstream answered SERVFAIL, or what cannot be an answer. Behind a validating upstream a bogus answer looks like this.
    ServFail,
    /// The upstream refused the question, or cannot be reached at all.
    Refused,
    /// The budget of upstream questions is used up.
    Budget,
    /// Too many gatherings for this source (`evidencePerSource`, `evidencePerNetwork`), or too many questions in flight for its network.
    RateLimited,
    /// The name can only be asked over multicast DNS, which the policy does not allow (R12).
    MulticastRefused,
    /// An alias leads from a zone that is not exempt into one that is (rebinding).
    IntoExemptZone,
}

impl fmt::Display for DnsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bogus(why) => write!(f, "bogus: {}", crate::escape::escape(why)),
            Self::Timeout => f.write_str("no answer in time"),
            Self::ServFail => f.write_str("SERVFAIL"),
            Self::Refused => f.write_str("refused or unreachable"),
            Self::Budget => f.write_str("budget of DNS questions used up"),
            Self::RateLimited => f.write_str("too many look-ups for this source"),
            Self::MulticastRefused => f.write_str("needs multicast DNS, which the policy does not allow"),
            Self::IntoExemptZone => f.write_str("alias into an exempt zone"),
        }
    }
}
