//! What else the DNS says of a peer (R7, R8): reported, and never a reason to refuse.

use crate::fcrdns::Confirmation;
use crate::name::DnsName;
use crate::verdict::{Accepted, CheckOutcome, Identity};
use crate::view::View;

use super::log::Log;

/// How many names are reported on.
const MOST_NAMES: usize = 4;
/// How many records of an answer are told.
const MOST_RECORDS: usize = 8;

/// Adds what the advisory answers say: of the identity, if the peer was accepted, else of the candidates.
pub(super) fn report(log: &mut Log, view: &View<'_>, accepted: Option<&Accepted>) {
    let names = match accepted.map(Accepted::identity) {
        Some(Identity::Name(confirmed)) => vec![confirmed.name().clone()],
        Some(Identity::Address(address)) => vec![DnsName::reverse(*address)],
        Some(Identity::Person(_)) => vec![],
        None => {
            let names = view.names().candidates;
            let confirmed =
                names.into_iter().filter(|name| matches!(view.confirm(name), Confirmation::Confirmed(_)));
            confirmed.take(MOST_NAMES).collect()
        }
    };
    for name in names {
        for question in view.advisory_questions(&name) {
            let (outcome, seen) = match view.ask(&question.name, question.rr_type) {
                None => (CheckOutcome::Skipped, "no answer when the decision was made".to_owned()),
                Some(Err(failure)) => (CheckOutcome::Advisory, failure.to_string()),
                Some(Ok(seen)) => (CheckOutcome::Advisory, told(seen)),
            };
            log.about(&name, "R7", "advice", outcome, format!("{question}: {seen}"));
        }
    }
}

fn told(seen: crate::view::Seen<'_>) -> String {
    let records = &seen.answer.records;
    if records.is_empty() {
        let kind = seen.answer.negative.map_or_else(|| "none".to_owned(), |negative| negative.to_string());
        return format!("{kind} ({})", seen.status);
    }
    let shown = records.iter().take(MOST_RECORDS).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let more = records.len().saturating_sub(MOST_RECORDS);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{shown}{rest} ({})", seen.status)
}
