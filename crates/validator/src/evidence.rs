//! Everything that was asked of the DNS for one connection, and what came back.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::answer::{Answer, DnsFailure};
use crate::name::DnsName;
use crate::rr::RrType;

/// By how many the room for observations grows.
const MORE: usize = 4;

/// One question: an owner name and a type. The class is always IN.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Question {
    /// The owner name.
    pub name: DnsName,
    /// The type.
    #[serde(rename = "type")]
    pub rr_type: RrType,
}

impl Question {
    /// Asks for `rr_type` at `name`.
    #[must_use]
    pub fn new(name: DnsName, rr_type: RrType) -> Self {
        Self { name, rr_type }
    }

    /// As [`Ord`], without a question made for it.
    fn compare(&self, name: &DnsName, rr_type: RrType) -> Ordering {
        self.name.cmp(name).then_with(|| self.rr_type.cmp(&rr_type))
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.rr_type)
    }
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerSource {
    /// This gathering asked an upstream.
    Upstream,
    /// It stood in the cache.
    Cache,
    /// Another gathering had asked already; this one waited with it.
    Joined,
    /// Nothing was asked: a limit, a deadline or the policy stood before it.
    NotAsked,
}

/// One question with its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ObservationForm")]
pub struct Observation {
    /// What was asked.
    #[serde(flatten)]
    pub question: Question,
    /// What came back.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The upstream group that was asked: `system`, the name of a `ResolverOverride`, `multicast`; with `+exempt` for an exempt zone.
    pub group: String,
    /// Where the answer came from.
    pub source: AnswerSource,
    /// Questions that were sent upstream for it, those for DS and DNSKEY included.
    #[serde(default)]
    pub upstream_queries: u32,
    /// Time until the answer stood, in microseconds.
    #[serde(default)]
    pub elapsed_us: u64,
}

/// An observation as it is read: a field that is not known, or both outcomes at once, is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ObservationForm {
    name: DnsName,
    #[serde(rename = "type")]
    rr_type: RrType,
    answer: Option<Answer>,
    failure: Option<DnsFailure>,
    group: String,
    source: AnswerSource,
    #[serde(default)]
    upstream_queries: u32,
    #[serde(default)]
    elapsed_us: u64,
}

impl TryFrom<ObservationForm> for Observation {
    type Error = &'static str;

    fn try_from(form: ObservationForm) -> Result<Self, &'static str> {
        let outcome = match (form.answer, form.failure) {
            (Some(answer), None) => Outcome::Answer(answer),
            (None, Some(failure)) => Outcome::Failure(failure),
            _ => return Err("an observation has either an answer or a failure"),
        };
        Ok(Self {
            question: Question::new(form.name, form.rr_type),
            outcome,
            group: form.group,
            source: form.source,
            upstream_queries: form.upstream_queries,
            elapsed_us: form.elapsed_us,
        })
    }
}

/// The outcome of one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// An answer, positive or negative.
    Answer(Answer),
    /// None.
    Failure(DnsFailure),
}

impl Outcome {
    /// As a `Result`, for `?`.
    ///
    /// # Errors
    /// The failure.
    pub fn as_result(&self) -> Result<&Answer, &DnsFailure> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::Failure(failure) => Err(failure),
        }
    }
}

/// What was recorded for one source address. Immutable once the decision is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The source address, canonical (an IPv4-mapped IPv6 address as IPv4).
    source: IpAddr,
    /// In the order of their questions, each asked once. A connection keeps them as long as it lasts: a list takes a fraction of the memory of
    /// a tree.
    #[serde(deserialize_with = "each_once")]
    observations: Vec<Observation>,
}

impl Evidence {
    /// Nothing asked yet. `source` is made canonical.
    #[must_use]
    pub fn new(source: IpAddr) -> Self {
        Self { source: source.to_canonical(), observations: Vec::new() }
    }

    /// The address that this evidence is about, canonical.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// Records an observation. The first outcome of a question stays: a second one is dropped.
    pub fn insert(&mut self, observation: Observation) {
        if let Err(place) = self.find(&observation.question.name, observation.question.rr_type) {
            if self.observations.len() == self.observations.capacity() {
                self.observations.reserve_exact(MORE);
            }
            self.observations.insert(place, observation);
        }
    }

    /// The place of a question's observation, or where it belongs.
    fn find(&self, name: &DnsName, rr_type: RrType) -> Result<usize, usize> {
        self.observations.binary_search_by(|other| other.question.compare(name, rr_type))
    }

    /// What was observed for a question; `None` if it was not asked or has not come back.
    #[must_use]
    pub fn get(&self, name: &DnsName, rr_type: RrType) -> Option<&Observation> {
        self.find(name, rr_type).ok().and_then(|place| self.observations.get(place))
    }

    /// The outcome of a question; `None` if it was not asked or has not come back.
    #[must_use]
    pub fn outcome(&self, name: &DnsName, rr_type: RrType) -> Option<Result<&Answer, &DnsFailure>> {
        self.get(name, rr_type).map(|o| o.outcome.as_result())
    }

    /// Every observation, by name and type.
    pub fn iter(&self) -> impl Iterator<Item = &Observation> {
        self.observations.iter()
    }

    /// How many questions stand here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.observations.len()
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.observations.is_empty()
    }
}

/// A list as it is read, in any order; a question that stands there twice is an error.
fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Observation>, D::Error> {
    let mut list = Vec::<Observation>::deserialize(deserializer)?;
    list.sort_by(|one, other| one.question.cmp(&other.question));
    let twice = |pair: &[Observation]| match pair {
        [one, other] if one.question == other.question => Some(one.question.to_string()),
        _ => None,
    };
    match list.windows(2).find_map(twice) {
        Some(question) => Err(serde::de::Error::custom(format_args!("{question} stands here twice"))),
        None => Ok(list),
    }
}
