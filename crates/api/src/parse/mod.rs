//! From the text of a file to documents, each with its origin.
//!
//! Promises: nothing in a file is passed over. An unknown field, kind, version or word, a duplicate key, an empty document or a
//! syntax error is an error with line and column. Every document is looked at, so that all errors of a file are told at once; what
//! stands behind a syntax error cannot be.
//!
//! Three passes over the same text, in lock-step (the parser gives a place only with an error, so that tagged enums and flattened
//! structs, which buffer, would lose it): where the documents begin and how many can be read; `apiVersion` and `kind` of each; and the
//! concrete type of that kind.

mod head;
mod locate;
mod wording;

use std::path::Path;
use std::sync::Arc;

use serde_yaml::Deserializer;

use crate::diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Place, Position, Severity};
use crate::documents::Document;
use crate::load::SourceFile;
use head::Head;

/// The most documents of one file.
pub const MAX_DOCUMENTS: usize = 1000;

/// A document and where it came from.
#[derive(Clone, Debug)]
pub struct SourceDocument {
    /// The document; the paths in it are relative to where the proxy runs, no longer to its file.
    pub document: Document,
    /// The file.
    file: Arc<SourceFile>,
    /// Which document of the file, from 0.
    index: usize,
    /// Where it begins.
    position: Position,
}

/// Parses every document of a file.
///
/// # Errors
/// Every document that cannot be parsed, and a syntax error.
pub fn parse(file: &Arc<SourceFile>) -> Result<Vec<SourceDocument>, Vec<Diagnostic>> {
    let outline = locate::outline(&file.text);
    let mut errors = Vec::new();
    if outline.too_many {
        let message = format!("more than {MAX_DOCUMENTS} documents in one file");
        return Err(vec![Diagnostic::about_file(&file.path, message)]);
    }
    let starts = &outline.starts;
    // The starts come first: where they end, the parser is not asked for more.
    let texts = starts.iter().zip(Deserializer::from_str(&file.text)).zip(Deserializer::from_str(&file.text));
    let mut documents = Vec::new();
    for (index, ((position, head), body)) in texts.enumerate() {
        let head = head::read(head, *position);
        let read = head.and_then(|head| read_body(&head, body, *position, file, index));
        match read {
            Ok(document) => {
                documents.push(SourceDocument {
                    document,
                    file: Arc::clone(file),
                    index,
                    position: *position,
                });
            }
            Err(problem) => errors.push(problem.at(file)),
        }
        if errors.len() >= MAX_DIAGNOSTICS {
            break;
        }
    }
    errors.extend(outline.broken.map(|problem| problem.at(file)));
    if errors.is_empty() { Ok(documents) } else { Err(errors) }
}

/// What is wrong, before the file is known.
struct Problem {
    position: Option<Position>,
    object: Option<String>,
    message: String,
}

impl Problem {
    fn at(self, file: &SourceFile) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            place: Place { file: file.path.clone(), position: self.position },
            object: self.object,
            message: self.message,
        }
    }
}

fn read_body(
    head: &Head,
    body: Deserializer<'_>,
    start: Position,
    file: &SourceFile,
    index: usize,
) -> Result<Document, Problem> {
    match head.kind.deserialize(body) {
        Ok(mut document) => {
            document.resolve_paths(file.path.parent().unwrap_or(Path::new("")));
            Ok(document)
        }
        Err(error) => {
            let (message, position) = wording::explain(&error);
            let duplicate = wording::duplicate(&message);
            let second = duplicate.and_then(|path| locate::second(&file.text, index, &path));
            Err(Problem {
                position: second.or(position).or(Some(start)),
                object: Some(head.object()),
                message,
            })
        }
    }
}

impl SourceDocument {
    /// Its kind and name, as errors speak of it.
    #[must_use]
    pub fn object(&self) -> String {
        format!("{} {}", self.document.kind().as_str(), self.document.name())
    }

    /// Where it begins.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { file: self.file.path.clone(), position: Some(self.position) }
    }

    /// Where the field of this path (`spec.routes[1].name`) stands; `None` if it was left out.
    #[must_use]
    pub fn field(&self, path: &str) -> Option<Place> {
        let position = locate::field(&self.file.text, self.index, path)?;
        Some(Place { file: self.file.path.clone(), position: Some(position) })
    }

    /// Where the field stands, or else the innermost section around it that is there.
    #[must_use]
    pub fn nearest(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(place) = self.field(path) {
                return place;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = path.get(..end).unwrap_or_default(),
                None => return self.place(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
