//! `revouch demo`: every peer is treated as the rules say, by the real proxy, and nothing is left behind.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use common::revouch;

#[test]
fn every_peer_is_treated_as_the_rules_say() {
    let run = revouch(["demo", "--once"]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("19 of 19 peers as the rules say"), "{}", run.stdout);
}

#[test]
fn the_cast_is_told_as_json() {
    let run = revouch(["demo", "--once", "--output", "json"]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    let rows = run.json();
    let rows = rows.as_array().unwrap();
    assert!(rows.len() >= 12);
    for row in rows {
        let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["asExpected", "expected", "peer", "seen", "source", "verdict"]);
        assert_eq!(row["asExpected"], true, "{row}");
        assert_eq!(row["verdict"], row["expected"]);
    }
    let refusals = rows.iter().filter(|row| row["verdict"].as_str().unwrap().starts_with("refused"));
    assert!(refusals.count() >= 10);
}

#[test]
fn the_stage_stays_up_until_it_is_interrupted_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_revouch"))
        .arg("demo")
        .env("TMPDIR", dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let hint = lines.by_ref().map(Result::unwrap).find(|line| line.contains("openssl s_client")).unwrap();
    assert!(hint.contains("-bind 127.0.2.1") && hint.contains("-cert ") && hint.contains("-key "), "{hint}");
    lines.by_ref().map(Result::unwrap).find(|line| line.contains("Ctrl-C")).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
