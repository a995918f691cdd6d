//! Points in time on the command line: RFC 3339.

use std::time::{SystemTime, UNIX_EPOCH};

use revouch_validator::timestamp::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Reads `2026-11-24T12:00:00Z`; for clap.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "write a time as 2026-11-24T12:00:00Z".to_owned())?;
    u64::try_from(time.unix_timestamp()).map(Timestamp).map_err(|_| "the time is before 1970".to_owned())
}

/// The time given, or the clock's.
pub(crate) fn or_now(given: Option<Timestamp>) -> Timestamp {
    let clock = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(Timestamp::MIN, |since| Timestamp(since.as_secs()))
    };
    given.unwrap_or_else(clock)
}
