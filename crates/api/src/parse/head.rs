//! What comes first of a document: whether it is one, of which version, and of which kind.

use revouch_validator::escape::escape;
use serde::Deserialize;
use serde_yaml::Deserializer;

use super::{Problem, wording};
use crate::diagnostic::Position;
use crate::documents::{API_VERSION, Kind};

/// The kind of a document, and the name it may have.
pub(super) struct Head {
    pub(super) kind: Kind,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    metadata: Option<RawMetadata>,
}

/// Only for naming the object in an error: whatever is wrong here is told by the pass that reads the whole.
#[derive(Deserialize)]
struct RawMetadata {
    #[serde(default)]
    name: Option<String>,
}

impl Head {
    /// Kind and name, as far as they are known.
    pub(super) fn object(&self) -> String {
        match &self.name {
            Some(name) => format!("{} {}", self.kind.as_str(), escape(name)),
            None => self.kind.as_str().to_owned(),
        }
    }
}

pub(super) fn read(document: Deserializer<'_>, start: Position) -> Result<Head, Problem> {
    let fail = |message: String| Problem { position: Some(start), object: None, message };
    let raw = Option::<Raw>::deserialize(document).map_err(|error| {
        let (message, position) = wording::explain(&error);
        Problem { position: position.or(Some(start)), object: None, message }
    })?;
    let raw =
        raw.ok_or_else(|| fail("an empty document: nothing stands here (leave out the `---`)".into()))?;
    match raw.api_version.as_deref() {
        Some(API_VERSION) => {}
        Some(other) => {
            return Err(fail(format!(
                "apiVersion \"{}\" is not understood here: write {API_VERSION}",
                escape(other)
            )));
        }
        None => return Err(fail(format!("apiVersion is missing: write `apiVersion: {API_VERSION}`"))),
    }
    let known = || Kind::ALL.iter().map(|kind| kind.as_str());
    let word = raw
        .kind
        .ok_or_else(|| fail(format!("kind is missing: one of {}", known().collect::<Vec<_>>().join(", "))))?;
    let kind = Kind::ALL.iter().find(|kind| kind.as_str() == word);
    let kind =
        kind.ok_or_else(|| fail(wording::unknown("kind", &escape(&word), &known().collect::<Vec<_>>())))?;
    Ok(Head { kind: *kind, name: raw.metadata.and_then(|metadata| metadata.name) })
}
