//! What is wrong, or unwise, with documents: where, in which object, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, and somebody should look at it.
    Warning,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Line and column, both from 1; `None` where it is the file as a whole.
    pub position: Option<Position>,
}

/// A line and a column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// The object, `PeerPolicy api`, if it is known.
    pub object: Option<String>,
    /// What is wrong and what to do. Begins with the path of the field, where it is about one.
    pub message: String,
}

/// Why documents cannot be used: every error that was found, in the order of files and lines, and the warnings beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

/// The most findings that are kept; configurations with more are not read to the end of the list anyway.
pub const MAX_DIAGNOSTICS: usize = 100;

impl Diagnostic {
    /// Whether it keeps the configuration from being used.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// An error about a file as a whole.
    pub(crate) fn about_file(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place: Place { file: file.into(), position: None },
            object: None,
            message: message.into(),
        }
    }
}

impl Diagnostics {
    /// Those that are errors.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter().filter(|d| d.is_error())
    }
}

/// Orders by place, drops repetitions, and cuts off what nobody would read; errors are never cut for warnings.
pub(crate) fn tidy(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.sort_by(|a, b| (a.severity, &a.place, &a.message).cmp(&(b.severity, &b.place, &b.message)));
    found.dedup();
    found.truncate(MAX_DIAGNOSTICS);
    found
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.file.to_string_lossy()))?;
        match self.position {
            Some(Position { line, column }) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_error() { "error" } else { "warning" };
        write!(f, "{}: {word}: ", self.place)?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        f.write_str(&printable(&self.message))
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Text of a document made safe for a terminal and a log: control and bidirectional characters escaped, at most 2000 characters.
fn printable(text: &str) -> String {
    const MOST: usize = 2000;
    let mut out = String::with_capacity(text.len().min(MOST));
    for (count, c) in text.chars().enumerate() {
        if count >= MOST {
            out.push_str("...");
            break;
        }
        let steers = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || steers {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_document_says_cannot_steer_a_terminal_or_forge_a_line() {
        let diagnostic = Diagnostic::about_file("a\nb.yaml", "x\u{1b}[2J\u{202e}ü");
        assert_eq!(diagnostic.to_string(), "a\\u{a}b.yaml: error: x\\u{1b}[2J\\u{202e}ü");
        assert!(Diagnostic::about_file("a", "x".repeat(10_000)).to_string().len() < 2100);
    }
}
