//! `docs/verdict.md` and the code of the decision know the same checks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The checks in the table of the page, each with its rules.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let page = include_str!("../../../docs/verdict.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let rules = cells[2].split(',').map(|rule| rule.trim().to_owned()).collect();
        (cells[1].trim_matches('`').to_owned(), rules)
    })
    .collect()
}

/// The source of the decision, without its comments.
fn source() -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/decide");
    let files =
        std::fs::read_dir(dir).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let lines: Vec<String> = files
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    lines.join("\n")
}

/// Each rule id that stands as a literal, with the literal behind it: `"R2", "ptr"`.
fn pairs(source: &str) -> Vec<(String, String)> {
    let literals: Vec<&str> = source.split('"').collect();
    let behind_a_comma = |between: &str| between.trim() == ",";
    // The odd pieces are inside quotes.
    let inside = (1..literals.len().saturating_sub(2)).step_by(2);
    inside
        .filter(|at| {
            let digits = literals[*at].strip_prefix('R').unwrap_or_default();
            !digits.is_empty()
                && digits.bytes().all(|b| b.is_ascii_digit())
                && behind_a_comma(literals[at + 1])
        })
        .map(|at| (literals[at].to_owned(), literals[at + 2].to_owned()))
        .collect()
}

#[test]
fn every_check_that_the_decision_makes_is_documented_and_the_other_way_about() {
    let (documented, source) = (documented(), source());
    let found = pairs(&source);
    assert!(found.len() > 25, "{found:?}");
    for (rule, check) in &found {
        let rules = documented.get(check);
        assert!(rules.is_some_and(|rules| rules.contains(rule)), "{rule} {check}: {rules:?}");
    }
    let mut made: BTreeSet<String> = found.into_iter().map(|(_, check)| check).collect();
    // The two whose rule is that of the reason, by `class_check`.
    let by_reason = source.split("fn class_check").nth(1).unwrap().split('}').collect::<String>();
    for check in ["names-mixed", "class"] {
        assert!(by_reason.contains(&format!("\"{check}\"")), "{by_reason}");
        made.insert(check.to_owned());
    }
    assert_eq!(made, documented.keys().cloned().collect());
}
