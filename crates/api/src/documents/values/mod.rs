//! The values that fields take and that have a form of their own: names, addresses, paths, durations, times.
//!
//! Each is parsed where it stands, so that a malformed one is an error with its line and column.

mod address;
mod duration;
mod name;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use revouch_validator::timestamp::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use address::{ServerAddress, SocketAddress};
pub use duration::{Age, Span};
pub use name::{Alpn, ObjectName, ServerIdentity, Zone};

/// Why a text is no such value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValue(pub(crate) String);

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadValue {}

/// Says that `text` is not what was wanted, with the text made safe to print.
pub(crate) fn bad(text: &str, why: impl fmt::Display) -> BadValue {
    BadValue(format!("\"{}\": {why}", revouch_validator::escape::escape(text)))
}

/// Reads and writes a type as the text that it parses from and prints as.
macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::documents::values::parse_text(deserializer)
            }
        }
    )*};
}
pub(crate) use as_text;

/// Reads a text and parses it inside the visitor, where the place of the value is still known.
pub(crate) fn parse_text<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    struct Text<T>(std::marker::PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> serde::de::Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Text(std::marker::PhantomData))
}

/// A value of another crate, parsed inside the visitor, so that an error has the place of the value and not of the list around it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Text<T>(pub T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_text(deserializer).map(Self)
    }
}

/// Reads a field that is there. `null` is not a value: a list with nothing in it must not come to mean a field that was left out.
pub(crate) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A path to a file or socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePath(PathBuf);

impl FilePath {
    /// The path; relative to the document's file as long as that was not resolved.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn resolve(&mut self, base: &Path) {
        self.0 = base.join(&self.0);
    }
}

impl From<&Path> for FilePath {
    fn from(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl FromStr for FilePath {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text.is_empty() || matches!(text, "~" | "null") {
            return Err(BadValue("a path is missing here".into()));
        }
        if text.contains('\0') {
            return Err(bad(text, "a path holds no NUL"));
        }
        Ok(Self(text.into()))
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.display())
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_text(deserializer)
    }
}

/// A point in time as RFC 3339 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl FromStr for Time {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let parsed = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
        let seconds = parsed.ok().and_then(|at| u64::try_from(at.unix_timestamp()).ok());
        seconds
            .map(|seconds| Self(Timestamp(seconds)))
            .ok_or_else(|| bad(text, "a time as RFC 3339 writes it is wanted, 2027-06-30T00:00:00Z"))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

as_text! { Time }

#[cfg(test)]
mod tests;
