//! `docs/reasons.md` and [`Reason`] say the same.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use revouch_validator::reason::Reason;

#[test]
fn the_documentation_lists_every_reason_with_its_rules_and_alert_in_order() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reasons.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    for (reason, row) in Reason::ALL.iter().zip(&rows) {
        let [name, rules, alert, cause, remedy] = row[..] else { panic!("{row:?}") };
        assert_eq!(name.trim_matches('`'), reason.as_str());
        assert_eq!(rules, reason.rules().join(", "), "{reason}");
        let expected = reason.alert().map_or("none".to_owned(), |a| format!("{} ({})", a.name(), a.number()));
        assert_eq!(alert, expected, "{reason}");
        assert!(cause.len() > 20 && remedy.len() > 10, "{reason}");
    }
    assert_eq!(rows.len(), Reason::ALL.len());
}
