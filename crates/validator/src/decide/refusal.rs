//! Of all that was refused on the way, what counts: the candidate that came furthest, and the check at which it ended.

use crate::reason::Reason;

/// How far a candidate came; the checks in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Before there is a candidate: the certificate, its class, the address, the evidence. Ends the decision.
    Peer,
    Ptr,
    Usable,
    Listed,
    Confirmed,
    Answers,
    Port,
    Tlsa,
    Path,
    Name,
}

/// Why a candidate was refused, and how far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) stage: Stage,
    pub(super) reason: Reason,
    /// The place in the log of the failed check; `None` for a name that was not asked, which has none.
    pub(super) check: Option<usize>,
}

/// Keeps the refusal of the candidate that came furthest, the earlier of equals.
pub(super) fn keep_furthest(furthest: &mut Option<Refusal>, refusal: Refusal) {
    if furthest.is_none_or(|kept| refusal.stage > kept.stage) {
        *furthest = Some(refusal);
    }
}
