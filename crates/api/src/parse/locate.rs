//! Where things stand in a text.
//!
//! The YAML parser tells a place only with an error. So a place is found by reading the document again with a visitor that walks to the
//! wanted field and fails there, on purpose. It is the same parser that read the document, so the two cannot disagree about what
//! stands where; it costs one more pass, and only where something is to be reported.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Deserializer, Error};

use super::{MAX_DOCUMENTS, Problem, wording};
use crate::diagnostic::Position;

/// The documents of a text.
pub(super) struct Outline {
    /// Where each begins, as far as they can be read.
    pub(super) starts: Vec<Position>,
    /// The syntax error behind them.
    pub(super) broken: Option<Problem>,
    /// More than [`MAX_DOCUMENTS`].
    pub(super) too_many: bool,
}

/// Finds the documents of a text. After a syntax error the parser must not be asked again, so every other pass stops where this one did.
pub(super) fn outline(text: &str) -> Outline {
    let mut outline = Outline { starts: Vec::new(), broken: None, too_many: false };
    // The position of a document is that of an error on its first event; a document's own syntax error comes out of the first pass.
    let checks = Deserializer::from_str(text).map(de::Deserialize::deserialize);
    let mut begins = Deserializer::from_str(text);
    for checked in checks {
        let checked: Result<IgnoredAny, Error> = checked;
        if let Err(error) = checked {
            let (message, position) = wording::explain(&error);
            outline.broken = Some(Problem { position, object: None, message });
            break;
        }
        if outline.starts.len() >= MAX_DOCUMENTS {
            outline.too_many = true;
            break;
        }
        let begin = begins.next().and_then(|document| document.deserialize_any(Nothing).err());
        outline.starts.push(begin.as_ref().and_then(position).unwrap_or(Position { line: 1, column: 1 }));
    }
    outline
}

/// Where the key (or list element) of `path` stands in document `index` of a text.
pub(super) fn field(text: &str, index: usize, path: &str) -> Option<Position> {
    find(text, index, path, 0)
}

/// Where the same key stands a second time.
pub(super) fn second(text: &str, index: usize, path: &str) -> Option<Position> {
    find(text, index, path, 1)
}

fn find(text: &str, index: usize, path: &str, passed: usize) -> Option<Position> {
    let steps: Vec<Step<'_>> = steps(path)?;
    let found = Cell::new(false);
    let document = Deserializer::from_str(text).nth(index)?;
    let error = document.deserialize_any(Walk { steps: &steps, passed, found: &found }).err()?;
    if found.get() { position(&error) } else { None }
}

fn position(error: &Error) -> Option<Position> {
    error.location().map(|at| Position { line: at.line(), column: at.column() })
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Key(&'p str),
    Element(usize),
}

/// Takes `spec.routes[1].name` apart. Names of fields hold neither dots nor brackets.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let mut pieces = part.split('[');
        steps.push(Step::Key(pieces.next()?));
        for piece in pieces {
            steps.push(Step::Element(piece.strip_suffix(']')?.parse().ok()?));
        }
    }
    Some(steps)
}

/// Fails at whatever it is given; the error has its place.
struct Nothing;

impl Visitor<'_> for Nothing {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

/// Walks the steps and fails at the end of them.
struct Walk<'s> {
    steps: &'s [Step<'s>],
    /// How often the last key is passed by before it counts.
    passed: usize,
    found: &'s Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.steps.is_empty() {
            self.found.set(true);
            return deserializer.deserialize_any(Nothing);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what holds the field")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Key(wanted), rest)) = self.steps.split_first() else {
            return Err(de::Error::custom("no such field"));
        };
        let mut passed = self.passed;
        loop {
            let stop_here = rest.is_empty() && passed == 0;
            let key = Key { wanted, stop_here, found: self.found };
            match map.next_key_seed(key)? {
                None => return Err(de::Error::custom("no such field")),
                Some(true) if !rest.is_empty() => {
                    return map.next_value_seed(Walk { steps: rest, passed: self.passed, found: self.found });
                }
                Some(hit) => {
                    passed -= usize::from(hit);
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((Step::Element(wanted), rest)) = self.steps.split_first() else {
            return Err(de::Error::custom("no such element"));
        };
        for _ in 0..*wanted {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        seq.next_element_seed(Walk { steps: rest, passed: self.passed, found: self.found })?;
        Err(de::Error::custom("no such element"))
    }
}

/// Says whether a key is the one wanted, and fails at it if it is the last.
struct Key<'s> {
    wanted: &'s str,
    stop_here: bool,
    found: &'s Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<bool, E> {
        let hit = key == self.wanted;
        if hit && self.stop_here {
            self.found.set(true);
            return Err(E::custom("here"));
        }
        Ok(hit)
    }
}
