//! Cause and remedy of each reason, in the words of `docs/reasons.md`: the page is built in, so that there is one source.

use revouch_validator::reason::Reason;

use crate::advice::Incomplete;

const PAGE: &str = include_str!("../../../docs/reasons.md");

/// What the page says of one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remedy {
    pub(crate) cause: &'static str,
    pub(crate) remedy: &'static str,
}

/// Looks a reason up. A test holds that every reason has its line, so that the empty texts are never seen.
pub(crate) fn of(reason: Reason) -> Remedy {
    PAGE.lines().find_map(|line| row(line, reason)).unwrap_or(Remedy { cause: "", remedy: "" })
}

/// `evidence_missing` of a decision by hand, where no peer was too quick: the answers are not there because of how it was made.
pub(crate) fn of_incomplete(incomplete: Incomplete) -> Remedy {
    match incomplete {
        Incomplete::NothingAsked => Remedy {
            cause: "Nothing was asked of the DNS (--no-dns), and without it only a person is accepted.",
            remedy: "Decide with the answers of the DNS.",
        },
        Incomplete::OfAnother => Remedy {
            cause: "The recorded answers do not hold what this policy wants to know.",
            remedy: "Decide with answers that were gathered for this policy.",
        },
    }
}

/// Reads `| name | rules | alert | cause | remedy |` if it is about this reason.
fn row(line: &'static str, reason: Reason) -> Option<Remedy> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let mut cells = inner.split('|').map(str::trim);
    let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
    if name != reason.as_str() {
        return None;
    }
    let (_rules, _alert, cause, remedy) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
    cells.next().is_none().then_some(Remedy { cause, remedy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_cause_and_a_remedy() {
        for reason in Reason::ALL {
            let found = of(*reason);
            assert!(found.cause.len() > 10 && found.remedy.len() > 10, "{reason}: {found:?}");
        }
    }

    #[test]
    fn the_line_is_that_of_the_reason() {
        assert!(of(Reason::NoPtr).cause.contains("no PTR record"));
        assert!(of(Reason::Revoked).remedy.contains("new key"));
    }
}
