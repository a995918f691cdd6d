//! What the suites of public vectors share: where they are, and how results are held against the committed ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A result per vector: what the suite expects, what we say, and why the two differ.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) expected: String,
    pub(crate) ours: String,
    /// Whether `expected` and `ours` say the same.
    pub(crate) agrees: bool,
}

/// Reads a file of public vectors.
pub(crate) fn vectors(file: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(root().join("tests/data").join(file)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Holds `rows` against the committed table `file` (id, expected, ours, reason; separated by tabs). A row that disagrees needs a
/// reason, and one that agrees needs none.
///
/// # Panics
/// Something differs; the message has the lines that the table should have.
pub(crate) fn hold_against(file: &str, rows: &[Row]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut committed: BTreeMap<&str, &str> = lines.map(|line| line.split_once('\t').unwrap()).collect();
    let mut wrong = Vec::new();
    for Row { id, expected, ours, agrees } in rows {
        let line = committed.remove(id.as_str());
        let fields: Vec<&str> = line.unwrap_or_default().split('\t').collect();
        let reason = fields.get(2).copied().unwrap_or_default();
        let same = fields.first() == Some(&expected.as_str()) && fields.get(1) == Some(&ours.as_str());
        if !same || reason.is_empty() != *agrees {
            wrong.push(format!("{id}\t{expected}\t{ours}\t{}", if *agrees { "" } else { "REASON" }));
        }
    }
    let gone: Vec<&&str> = committed.keys().collect();
    assert!(
        wrong.is_empty() && gone.is_empty(),
        "{} differs; gone from the suite: {gone:?}; the lines should be:\n{}",
        path.display(),
        wrong.join("\n")
    );
}

/// The name of an error's variant, as it stands in JSON.
pub(crate) fn variant(error: &impl serde::Serialize) -> String {
    match serde_json::to_value(error).unwrap() {
        serde_json::Value::String(name) => name,
        serde_json::Value::Object(fields) => fields.keys().next().unwrap().clone(),
        other => panic!("not an enum: {other}"),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
