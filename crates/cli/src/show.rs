//! Printing for people: marks, colours on a terminal only, a verdict as a tree. And JSON for programs.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write};

use revouch_validator::verdict::{CheckOutcome, Verdict};
use serde::Serialize;

use crate::exit::Failure;

/// Whether colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    colour: bool,
}

/// The colours that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Green,
    Red,
    Yellow,
    Dim,
    Bold,
}

impl Style {
    /// Colours if standard output is a terminal that can show them and `NO_COLOR` is not set.
    #[allow(
        clippy::disallowed_methods,
        reason = "https://no-color.org is the reader's wish, and TERM what the terminal can do: no settings of the program"
    )]
    pub(crate) fn of_stdout() -> Self {
        let (no_colour, term) = (std::env::var_os("NO_COLOR"), std::env::var_os("TERM"));
        Self::of(io::stdout().is_terminal(), no_colour.as_deref(), term.as_deref())
    }

    fn of(is_terminal: bool, no_colour: Option<&OsStr>, term: Option<&OsStr>) -> Self {
        Self { colour: is_terminal && no_colour.is_none() && term.is_none_or(|term| term != "dumb") }
    }

    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Green => "32",
            Colour::Red => "31",
            Colour::Yellow => "33",
            Colour::Dim => "2",
            Colour::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// The first line of a result.
    pub(crate) fn headline(self, yes: bool, text: &str) -> String {
        let colour = if yes { Colour::Green } else { Colour::Red };
        self.paint(colour, text)
    }
}

/// Writes text to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // The reader has seen enough: `revouch ... | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::new(format!("standard output: {error}"))),
    }
}

/// Writes a value as JSON, indented.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(format!("cannot be written as JSON: {error}")))?;
    print(&text)
}

/// Writes a value as JSON on one line.
pub(crate) fn print_json_line(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::new(format!("cannot be written as JSON: {error}")))?;
    print(&text)
}

/// A verdict as a headline and a tree of checks, those of a candidate below it.
pub(crate) fn verdict(verdict: &Verdict, style: Style) -> String {
    let mut out = match (verdict.accepted(), verdict.reason()) {
        (Some(accepted), _) => style.headline(true, &format!("accepted: {}", accepted.identity())),
        (None, Some(reason)) => {
            let alert = reason
                .alert()
                .map_or_else(String::new, |alert| format!(", alert {} ({})", alert.name(), alert.number()));
            style.headline(false, &format!("refused: {reason}{alert}"))
        }
        (None, None) => style.headline(false, "refused"),
    };
    let mut candidate: Option<&str> = None;
    for check in verdict.checks() {
        let own = check.candidate.as_deref();
        if own != candidate {
            if let Some(name) = own {
                out.push_str(&format!("\n  {}", style.paint(Colour::Bold, name)));
            }
            candidate = own;
        }
        let indent = if own.is_some() { "    " } else { "  " };
        let (mark, colour) = match check.outcome {
            CheckOutcome::Pass => ("ok  ", Colour::Green),
            CheckOutcome::Fail => ("FAIL", Colour::Red),
            CheckOutcome::Skipped => ("skip", Colour::Dim),
            CheckOutcome::Advisory => ("info", Colour::Yellow),
        };
        out.push_str(&format!(
            "\n{indent}{} {:5} {:12} {}",
            style.paint(colour, mark),
            check.rule,
            check.check,
            check.seen
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_show_them_and_readers_who_want_them() {
        let style = |is_terminal, no_colour: Option<&str>, term: Option<&str>| {
            Style::of(is_terminal, no_colour.map(OsStr::new), term.map(OsStr::new)).colour
        };
        assert!(style(true, None, None) && style(true, None, Some("xterm-256color")));
        assert!(!style(false, None, Some("xterm")), "no terminal");
        assert!(!style(true, Some("1"), Some("xterm")), "NO_COLOR");
        assert!(!style(true, None, Some("dumb")), "TERM=dumb");
    }
}
