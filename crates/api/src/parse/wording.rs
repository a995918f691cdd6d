//! What the parser says, in words that help: which known name is nearest, what to write instead.
//!
//! serde gives unknown fields and words only as text. Its form is held by tests; a text of another form is passed on as it is.

use serde_yaml::Error;

use crate::diagnostic::Position;

/// Fields that exist in a cluster only, or not yet, and what to do instead. A typo's nearest name would mislead here.
const NOT_HERE: &[(&str, &str)] = &[
    ("caRefs", "not supported in files: name the files in `caFiles`"),
    ("crlRefs", "not supported in files: name the files in `crlFiles`"),
    ("namespace", "not supported in files: they have no namespaces"),
];

/// The numbers and what they may be. The parser knows only how many octets they have; a test holds the list to the reference page.
const RANGES: &[(&str, &str)] = &[
    ("handshakesInFlight", "1 to 1000000"),
    ("handshakesPerSource", "1 to 1000000"),
    ("evidencePerSource", "1 to 100000"),
    ("evidencePerNetwork", "1 to 100000"),
    ("maxConnections", "1 to 10000000"),
    ("maxNames", "1 to 64"),
    ("ports", "1 to 65535"),
    ("threads", "0 to 1024"),
];

/// The parser's error as a message and a place.
pub(super) fn explain(error: &Error) -> (String, Option<Position>) {
    let position = error.location().map(|at| Position { line: at.line(), column: at.column() });
    let text = error.to_string();
    let suffix = position.map(|at| format!(" at line {} column {}", at.line, at.column)).unwrap_or_default();
    let text = text.strip_suffix(&suffix).unwrap_or(&text);
    (reword(text), position)
}

/// The path of the field that a message calls a duplicate.
pub(super) fn duplicate(message: &str) -> Option<String> {
    let (path, rest) = split(message, "duplicate field `")?;
    let field = rest.strip_suffix('`')?;
    let path = path.strip_suffix(": ").map(|path| format!("{path}.")).unwrap_or_default();
    Some(format!("{path}{field}"))
}

/// Says that `word` is unknown as a `what`, which known one is nearest, and which there are.
pub(super) fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    let Some((nearest, likeness)) = nearest(word, known) else {
        return format!("unknown {what} `{word}`: nothing can stand here");
    };
    let others = known.join(", ");
    if known.len() == 1 || likeness >= 0.6 {
        let question = if likeness >= 0.6 { "did you mean" } else { "only this is known here:" };
        let mark = if likeness >= 0.6 { "?" } else { "" };
        let list = if known.len() > 1 { format!(" (known here: {others})") } else { String::new() };
        format!("unknown {what} `{word}`: {question} `{nearest}`{mark}{list}")
    } else {
        format!("unknown {what} `{word}`: the nearest is `{nearest}` (known here: {others})")
    }
}

fn reword(text: &str) -> String {
    for what in ["field", "variant"] {
        let Some((path, rest)) = split(text, &format!("unknown {what} `")) else { continue };
        let Some((word, known)) = expected(rest) else { continue };
        if what == "variant" {
            return format!("{path}{}{}", unknown("value", word, &known), about_booleans(word));
        }
        return match NOT_HERE.iter().find(|(field, _)| *field == word) {
            Some((field, why)) => format!("{path}field `{field}` is {why}"),
            None => format!("{path}{}", unknown("field", word, &known)),
        };
    }
    if let Some(number) = no_number(text) {
        return number;
    }
    match split(text, "missing field `") {
        Some((path, rest)) => format!("{path}`{rest} is missing"),
        // The names of our own types tell a reader nothing.
        None => match text.rsplit_once(", expected struct ") {
            Some((before, _)) => format!("{before}, expected a mapping of fields"),
            None => text.to_owned(),
        },
    }
}

/// Says which numbers can stand where something else does, a negative or too large one among them.
fn no_number(text: &str) -> Option<String> {
    let (before, octets) = text.rsplit_once(", expected u")?;
    let most = match octets {
        "8" => u64::from(u8::MAX),
        "16" => u64::from(u16::MAX),
        "32" => u64::from(u32::MAX),
        "64" => u64::MAX,
        _ => return None,
    };
    let (path, found) =
        ["invalid type: ", "invalid value: "].iter().find_map(|marker| split(before, marker))?;
    let found = [" as u128", " as i128"].iter().find_map(|end| found.strip_suffix(end)).unwrap_or(found);
    let field = path.trim_end_matches(": ").rsplit('.').next().unwrap_or_default();
    let field = field.split('[').next().unwrap_or_default();
    let range = RANGES.iter().find(|(known, _)| *known == field);
    let range = range.map_or_else(|| format!("0 to {most}"), |(_, range)| (*range).to_owned());
    Some(format!("{path}{found}, but a whole number from {range} is wanted"))
}

/// Splits a message into the path before, which ends in `: ` or is empty, and what follows `marker`. A path holds only names of fields
/// that were known, so the first place is the right one.
fn split<'t>(text: &'t str, marker: &str) -> Option<(&'t str, &'t str)> {
    let at = text.find(marker)?;
    let (path, rest) = (text.get(..at)?, text.get(at + marker.len()..)?);
    (path.is_empty() || path.ends_with(": ")).then_some((path, rest))
}

/// Splits what follows the marker into the word and the known ones. The word may hold anything, the known ones only letters: the last
/// `expected` is the parser's own.
fn expected(rest: &str) -> Option<(&str, Vec<&str>)> {
    if let Some((word, _)) = rest.rsplit_once("`, there are no ") {
        return Some((word, Vec::new()));
    }
    let (word, known) = rest.rsplit_once("`, expected ")?;
    Some((word, known.split('`').skip(1).step_by(2).collect()))
}

/// YAML 1.1 readers take these words for booleans; here they are just not among the values.
fn about_booleans(word: &str) -> &'static str {
    let lower = word.to_ascii_lowercase();
    if matches!(lower.as_str(), "on" | "off" | "yes" | "no" | "y" | "n" | "true" | "false") {
        ". Some YAML readers take this word for a boolean: no field here has such a value"
    } else {
        ""
    }
}

fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<(&'k str, f64)> {
    // The measure takes time in the product of both lengths.
    let word: String = word.chars().take(64).collect::<String>().to_ascii_lowercase();
    let likeness = |name: &str| {
        let name = name.to_ascii_lowercase();
        let edits = strsim::normalized_damerau_levenshtein(&word, &name);
        // A name of which only a part was written is nearer than the number of edits tells.
        let part = word.len() >= 3 && (name.starts_with(&word) || name.ends_with(&word));
        if part { edits.max(0.75) } else { edits }
    };
    known.iter().map(|name| (*name, likeness(name))).max_by(|a, b| a.1.total_cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_told() {
        let known = ["name", "serverNames", "upstream"];
        let said = |word: &str| {
            reword(&format!(
                "spec.routes[1]: unknown field `{word}`, expected one of `name`, `serverNames`, `upstream`"
            ))
        };
        assert!(
            said("nmae").starts_with("spec.routes[1]: unknown field `nmae`: did you mean `name`?"),
            "{}",
            said("nmae")
        );
        assert!(said("SERVERNAMES").contains("did you mean `serverNames`?"));
        assert!(said("server").contains("did you mean `serverNames`?"), "{}", said("server"));
        assert!(said("zzz").contains("known here: name, serverNames, upstream"), "{}", said("zzz"));
        assert!(unknown("field", &"x".repeat(100_000), &known).contains("known here"));
    }

    #[test]
    fn a_field_may_be_called_anything() {
        let nasty = "`, expected `x";
        let said = reword(&format!("unknown field `{nasty}`, expected `a` or `b`"));
        assert!(
            said.starts_with("unknown field ``, expected `x`:") && said.contains("known here: a, b"),
            "{said}"
        );
        assert_eq!(duplicate("spec: duplicate field `mode`").as_deref(), Some("spec.mode"));
        assert_eq!(duplicate("duplicate field `kind`").as_deref(), Some("kind"));
    }

    #[test]
    fn numbers_are_told_with_their_range() {
        for (text, expected) in [
            (
                "spec.dns.maxNames: invalid type: integer `-1`, expected u8",
                "spec.dns.maxNames: integer `-1`, but a whole number from 1 to 64 is wanted",
            ),
            (
                "spec.dns.ports[0]: invalid value: integer `70000`, expected u16",
                "spec.dns.ports[0]: integer `70000`, but a whole number from 1 to 65535 is wanted",
            ),
            (
                "spec.threads: invalid type: integer `99999999999999999999` as u128, expected u32",
                "spec.threads: integer `99999999999999999999`, but a whole number from 0 to 1024 is wanted",
            ),
            (
                "spec.other: invalid type: string \", expected u8\", expected u32",
                "spec.other: string \", expected u8\", but a whole number from 0 to 4294967295 is wanted",
            ),
            ("x: invalid type: map, expected unit", "x: invalid type: map, expected unit"),
        ] {
            assert_eq!(reword(text), expected);
        }
    }

    #[test]
    fn the_ranges_are_those_of_the_reference_page() {
        let page = include_str!("../../../../docs/reference/policy.md");
        for (field, range) in RANGES {
            let is_of_field = |row: &&str| {
                let name = row.split('|').nth(1).unwrap_or_default().trim().trim_matches('`');
                name.rsplit('.').next() == Some(field)
            };
            let row = page.lines().find(is_of_field).unwrap_or_default();
            assert!(row.contains(range), "{field}: {row}");
        }
    }

    #[test]
    fn booleans_of_other_readers_are_pointed_out() {
        let said = reword("spec.mode: unknown variant `On`, expected `Enforce` or `Audit`");
        assert!(said.contains("unknown value `On`") && said.contains("boolean"), "{said}");
    }
}
