//! What an answer means: a pure function of the message, the proofs on its records and the time.
//!
//! [`evaluate`] takes a message whose records carry a [`Proof`](hickory_proto::dnssec::Proof): `Secure` on the records of an RRset
//! and on the one RRSIG that proved it, anything else on all others. Of the proof only that one value counts. What is not
//! `Secure` is never taken for insecure by itself: it becomes a [`Claim`], and the answer stands only if somebody else proves, from
//! the parents' side, that the zone in question is unsigned. The library's own verdict on answers is not used (it differs from
//! that of the validators in use: see `docs/decisions`).
//!
//! The rules are those of RFC 4035 section 5, RFC 5155 section 8, RFC 6672 section 5.3, RFC 6840 section 4 and RFC 9276 section 3.2.

mod algorithms;
mod chain;
mod denial;
mod names;
mod nsec;
mod nsec3;
mod rrset;
mod select;

pub mod delegation;
pub mod signature;

#[cfg(test)]
mod tests;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData, RecordType};
use revouch_validator::answer::SignatureWindow;
use revouch_validator::timestamp::Timestamp;

pub use self::chain::MAX_LINKS;
pub use self::names::canonical;
pub use self::select::{Unusable, select};

pub(crate) use self::algorithms::may_sign;
pub(crate) use self::names::{is_below, label_count, suffix};

/// Why an answer is bogus: a fixed text, so that nothing of the message gets into logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bogus(pub &'static str);

/// The state of one part of an answer, as far as the message itself shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Proven by signatures up to a trust anchor.
    Secure,
    /// Proven that it may be unsigned (opt-out, more than 150 iterations).
    Insecure,
    /// Not proven. Insecure if a [`Claim`] for it holds, else bogus.
    Unproven,
}

/// That a name lies in an unsigned zone. Only the parents' signatures can prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The name.
    pub name: Name,
    /// The unsigned zone must start at or above this ancestor of `name`: the owner of the SOA that was shown.
    pub at_or_above: Name,
    /// The zones that signed the records in question, by their own account. The signatures prove nothing, but none of them may
    /// come from a zone above the unsigned one: such records say themselves that they are not of it.
    pub signers: Vec<Name>,
}

impl Claim {
    /// Whether the records may belong to an unsigned zone that starts at `cut`.
    #[must_use]
    pub fn may_be_of(&self, cut: &Name) -> bool {
        self.signers.iter().all(|signer| cut.zone_of(signer))
    }
}

/// One alias on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The owner of the CNAME.
    pub owner: Name,
    /// Where it points.
    pub target: Name,
    /// The state of the link.
    pub state: State,
}

/// How there is no such record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Negation {
    /// The name exists, the type does not.
    NoData,
    /// The name does not exist.
    NxDomain,
}

/// What stands at the end of the chain.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// The records of the type that was asked for; at least one.
    Records(Vec<RData>),
    /// None.
    Negative(Negation),
}

/// What a message says, if its claims hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The aliases, in order; at most [`MAX_LINKS`].
    pub chain: Vec<Link>,
    /// What stands at the end.
    pub end: End,
    /// The state of the end, or of its denial.
    pub state: State,
    /// The records at the end, or an alias that led to them, were made from a wildcard.
    pub wildcard: bool,
    /// What must be proven for every part that is [`State::Unproven`].
    pub claims: Vec<Claim>,
    /// The least TTL of what was used, in seconds.
    pub ttl: u32,
    /// When every signature that was used is valid; `None` if none was.
    pub window: Option<SignatureWindow>,
}

/// How far a message is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// By the proofs on its records.
    Proofs,
    /// As a whole, by whoever sent it: every part gets the state that its AD bit says, and no denial is asked for. The signatures, which
    /// the sender has checked, only tell what was made from a wildcard.
    Sender(State),
    /// Not at all, as in exempt zones: every part is insecure, and a negative answer needs no SOA, which servers of private zones leave
    /// out. It must not be a referral, and is not kept.
    Nobody,
}

/// Says what `message` answers to the question for `rr_type` at `name` (class IN), at the time `now`.
///
/// The name must be [`canonical`], the message what [`select`] returned.
///
/// # Errors
/// The message contradicts itself or proves too little: it is bogus whatever its claims are.
pub fn evaluate(
    name: &Name,
    rr_type: RecordType,
    message: &Message,
    now: Timestamp,
) -> Result<Evaluated, Bogus> {
    evaluate_trusting(Trust::Proofs, name, rr_type, message, now)
}

/// As [`evaluate`], for messages that are trusted otherwise than by the proofs on their records.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_trusting(
    trust: Trust,
    name: &Name,
    rr_type: RecordType,
    message: &Message,
    now: Timestamp,
) -> Result<Evaluated, Bogus> {
    chain::Walk::new(trust, rr_type, message, now).run(name)
}

/// What counts over all used parts: the least TTL and the common validity of the signatures.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    ttl: Option<u32>,
    window: Option<SignatureWindow>,
}

impl Tally {
    fn count_ttl(&mut self, ttl: u32) {
        self.ttl = Some(self.ttl.map_or(ttl, |least| least.min(ttl)));
    }

    fn count_window(&mut self, window: SignatureWindow) {
        self.window = Some(self.window.map_or(window, |common| common.intersect(window)));
    }
}
