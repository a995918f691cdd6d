//! Collecting what is found, each at the place of the field that it is about.

use std::fmt::Display;

use crate::diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Severity};
use crate::documents::Kind;
use crate::parse::SourceDocument;

/// What was found so far. Each kind of finding is bounded: to place one costs a pass over its file.
pub(super) struct Report<'d> {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// Where a field of a policy stands that the policy itself leaves out.
    mesh: Option<&'d SourceDocument>,
}

impl<'d> Report<'d> {
    pub(super) fn new() -> Self {
        Self { errors: Vec::new(), warnings: Vec::new(), mesh: None }
    }

    /// From now on, fields that a policy leaves out are looked for in this `MeshConfig`.
    pub(super) fn look_into(&mut self, mesh: &'d SourceDocument) {
        self.mesh = Some(mesh);
    }

    /// The configuration cannot be used: `message` is about the field `path` of `document`, or about it as a whole if that is empty.
    pub(super) fn error(&mut self, document: &SourceDocument, path: &str, message: impl Display) {
        self.push(Severity::Error, document, path, &message);
    }

    /// It can be used, and is unwise.
    pub(super) fn warn(&mut self, document: &SourceDocument, path: &str, message: impl Display) {
        self.push(Severity::Warning, document, path, &message);
    }

    /// The value, or an error that it is missing.
    pub(super) fn required<'v, T>(
        &mut self,
        document: &SourceDocument,
        path: &str,
        value: Option<&'v T>,
    ) -> Option<&'v T> {
        if value.is_none() {
            self.error(document, path, "is missing");
        }
        value
    }

    /// An error unless a list has `least` to `most` entries.
    pub(super) fn bounded(
        &mut self,
        document: &SourceDocument,
        path: &str,
        length: usize,
        least: usize,
        most: usize,
    ) {
        if length < least {
            self.error(document, path, "is empty: at least one entry is wanted");
        } else if length > most {
            self.error(document, path, format_args!("has {length} entries: at most {most} are possible"));
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Everything that was found, and whether there is an error.
    pub(super) fn into_found(self) -> (Vec<Diagnostic>, bool) {
        let failed = !self.errors.is_empty();
        (self.errors.into_iter().chain(self.warnings).collect(), failed)
    }

    fn push(&mut self, severity: Severity, document: &SourceDocument, path: &str, message: &dyn Display) {
        let found = if severity == Severity::Error { &mut self.errors } else { &mut self.warnings };
        if found.len() >= MAX_DIAGNOSTICS {
            return;
        }
        let inherited =
            self.mesh.filter(|_| document.document.kind() == Kind::PeerPolicy && !path.is_empty());
        let inherited = inherited
            .filter(|_| document.field(path).is_none())
            .and_then(|mesh| mesh.field(&path.replacen("spec.", "spec.defaults.", 1)));
        let origin = if inherited.is_some() { " (set by the defaults of the MeshConfig)" } else { "" };
        let place = match inherited {
            Some(place) => place,
            None if path.is_empty() => document.place(),
            None => document.nearest(path),
        };
        let colon = if path.is_empty() { "" } else { ": " };
        found.push(Diagnostic {
            severity,
            place,
            object: Some(document.object()),
            message: format!("{path}{colon}{message}{origin}"),
        });
    }
}
