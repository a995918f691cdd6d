//! A point in time, in whole seconds. The clock is always handed in; nothing here reads one.

use std::fmt;

use rustls_pki_types::UnixTime;
use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z, as certificates and RRSIG records count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The earliest point in time.
    pub const MIN: Self = Self(0);
    /// A point in time later than any that a certificate can name.
    pub const MAX: Self = Self(u64::MAX);

    /// This time as the type of the webpki interfaces.
    #[must_use]
    pub fn to_unix_time(self) -> UnixTime {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(self.0))
    }

    /// `seconds` later; the end of time if that is beyond it.
    #[must_use]
    pub fn saturating_add(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

impl From<UnixTime> for Timestamp {
    fn from(time: UnixTime) -> Self {
        Self(time.as_secs())
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC; beyond year 9999 the number of seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0 / 86_400;
        if days > 2_932_896 {
            return write!(f, "@{}", self.0);
        }
        let (year, month, day) = civil_from_days(days);
        let s = self.0 % 86_400;
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", s / 3600, s / 60 % 60, s % 60)
    }
}

/// Days since 1970-01-01 to year, month and day of the Gregorian calendar (years counted from March, eras of 400 years).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_503_599, "2026-11-24T06:59:59Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "@253402300800"),
        ] {
            assert_eq!(Timestamp(seconds).to_string(), text);
        }
    }
}
