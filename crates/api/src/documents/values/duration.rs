//! Durations as the Gateway API writes them (GEP-2257): `2500ms`, `1h30m`.
//!
//! Parsed here and not by a crate: the form is one regular expression, `([0-9]{1,5}(h|m|s|ms)){1,4}`, and the crates at hand
//! (humantime, jiff) take many more forms, which a Kubernetes API server would then refuse.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{BadValue, as_text, bad};

/// A duration: one to four numbers of up to five digits, each with its unit `h`, `m`, `s` or `ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// How old something may become: a [`Span`] that may also be written in days, `90d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age(pub Duration);

impl FromStr for Span {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        parse(text, false)
            .map(Self)
            .ok_or_else(|| bad(text, "a duration such as 2500ms, 10s or 1h30m is wanted"))
    }
}

impl FromStr for Age {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        parse(text, true).map(Self).ok_or_else(|| bad(text, "a duration such as 90d or 12h is wanted"))
    }
}

fn parse(text: &str, days: bool) -> Option<Duration> {
    let (mut rest, mut total, mut parts) = (text, 0_u64, 0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at_checked(letters)?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" if days => 86_400_000,
            _ => return None,
        };
        parts += 1;
        if !(1..=5).contains(&digits) || parts > 4 {
            return None;
        }
        total += number.parse::<u64>().ok()? * milliseconds;
        rest = tail;
    }
    (parts > 0).then(|| Duration::from_millis(total))
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.as_millis();
        if all == 0 {
            return f.write_str("0s");
        }
        let mut rest = all;
        for (unit, milliseconds) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if rest >= milliseconds {
                write!(f, "{}{unit}", rest / milliseconds)?;
                rest %= milliseconds;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if self.0.subsec_millis() == 0 && seconds > 0 && seconds.is_multiple_of(86_400) {
            write!(f, "{}d", seconds / 86_400)
        } else {
            Span(self.0).fmt(f)
        }
    }
}

as_text! { Span Age }
