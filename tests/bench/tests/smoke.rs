//! What measures still runs: tiny, once, beside nothing. No figure is looked at.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::Command;

#[test]
fn every_figure_can_be_taken() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("table.json");
    let output = Command::new(env!("CARGO_BIN_EXE_revouch-bench"))
        .args(["--smoke", "--repetitions", "1", "handshakes", "burst", "relay", "cold"])
        .args(["--proxy", env!("CARGO_BIN_EXE_revouch-bench-proxy"), "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let table: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let rows = table["rows"].as_array().unwrap();
    for figure in ["handshake", "burst", "relay", "cold evidence"] {
        assert!(rows.iter().any(|row| row["figure"] == figure), "{figure}: {table}");
    }
}
