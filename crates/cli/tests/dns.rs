//! `revouch dns` over a signed universe: the JSON object, the states, batches in order.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{GOOD, Lab, Run, revouch, revouch_with};
use serde_json::{Value, json};

fn dns(lab: &Lab, args: &[&str]) -> Run {
    let mut all: Vec<String> = vec!["dns".into()];
    all.extend(args.iter().map(|arg| (*arg).to_owned()));
    all.extend(lab.asking());
    revouch(all)
}

fn ask(lab: &Lab, name: &str, rr_type: &str) -> (i32, Value) {
    let run = dns(lab, &[name, rr_type, "--output", "json"]);
    (run.code, run.json())
}

#[test]
fn the_json_object_has_these_fields_in_this_order() {
    let lab = Lab::new();
    let run = dns(&lab, &[GOOD, "A", "--output", "json"]);
    let keys =
        ["name", "type", "status", "negative", "records", "chain", "why", "upstream_queries", "elapsed_us"];
    let places: Vec<usize> =
        keys.iter().map(|key| run.stdout.find(&format!("\"{key}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{}", run.stdout);
    assert_eq!(run.stdout.lines().count(), 1);
    let json = run.json();
    assert_eq!(json.as_object().unwrap().len(), keys.len());
    assert_eq!((&json["name"], &json["type"]), (&GOOD.into(), &"A".into()));
    assert_eq!((&json["status"], &json["negative"]), (&"secure".into(), &Value::Null));
    assert_eq!((&json["records"], &json["chain"]), (&json!(["127.0.3.1"]), &json!([])));
    assert!(json["why"].is_string() && json["upstream_queries"].as_u64().unwrap() > 0);
    assert!(json["elapsed_us"].as_u64().unwrap() > 0);
}

#[test]
fn every_state_has_its_word_and_its_exit_code() {
    let lab = Lab::new();
    for (name, rr_type, code, status, negative) in [
        (GOOD, "AAAA", 0, "secure", json!("nodata")),
        ("none.example.test", "A", 0, "secure", json!("nxdomain")),
        ("gw6.plain.test", "A", 0, "insecure", Value::Null),
        ("gw5.bogus.test", "A", 1, "bogus", Value::Null),
        ("host.local", "A", 2, "error", Value::Null),
    ] {
        let (found, json) = ask(&lab, name, rr_type);
        assert_eq!(
            (found, &json["status"], &json["negative"]),
            (code, &status.into(), &negative),
            "{name}: {json}"
        );
        assert!(!json["why"].as_str().unwrap().is_empty());
    }
    let run = dns(&lab, &["gw5.bogus.test", "A"]);
    assert!(run.code == 1 && run.stdout.starts_with("bogus"), "{}", run.stdout);
    let run = dns(&lab, &["host.local", "A"]);
    assert!(run.stdout.contains("multicast") && run.stderr.contains("host.local A"), "{}", run.stderr);
}

#[test]
fn aliases_are_told_and_records_are_whole() {
    let lab = Lab::new();
    let (_, json) = ask(&lab, "alias.example.test.", "a");
    let link = json!({"owner": "alias.example.test", "target": GOOD, "status": "secure"});
    assert_eq!((&json["chain"], &json["records"]), (&json!([link]), &json!(["127.0.3.1"])));
    let (_, json) = ask(&lab, "_5269._tcp.gw2.example.test", "TYPE52");
    assert_eq!(json["type"], "TLSA");
    assert_eq!(json["records"][0].as_str().unwrap().len(), "3 1 1 ".len() + 64);
    let (_, json) = ask(&lab, GOOD, "CAA");
    assert_eq!(json["records"], json!(["0 issue \"lab.test\""]));
}

#[test]
fn types_that_the_decision_does_not_know_are_told_in_their_own_form() {
    let lab = Lab::new();
    let first = |name: &str, rr_type: &str| {
        let (code, json) = ask(&lab, name, rr_type);
        assert_eq!(code, 0, "{json}");
        json["records"][0].as_str().unwrap().to_owned()
    };
    for (rr_type, words) in [("NS", 1), ("SOA", 7), ("DNSKEY", 4), ("DS", 4)] {
        let record = first("example.test", rr_type);
        assert_eq!(record.split(' ').count(), words, "{record}");
        assert!(!record.starts_with("\\#"), "{record}");
    }
    assert!(first("example.test", "DNSKEY").starts_with("25"), "flags 256 or 257");
    assert_eq!(first("a.b.example.test", "TXT"), "\"two-labels\"");
}

#[test]
fn names_are_read_in_presentation_format() {
    let lab = Lab::new();
    let (code, json) = ask(&lab, "64/26.3.0.127.in-addr.arpa", "PTR");
    assert_eq!((code, &json["records"]), (0, &json!([GOOD])), "{json}");
    assert_eq!(json["name"], "64/26.3.0.127.in-addr.arpa");
    let (code, json) = ask(&lab, r"\103\0871.Example.test", "A");
    assert_eq!((code, &json["name"], &json["records"]), (0, &GOOD.into(), &json!(["127.0.3.1"])), "{json}");
    // One label of three octets, which is another name than a.b.
    let (code, json) = ask(&lab, r"a\.b.example.test", "TXT");
    assert_eq!(
        (code, &json["negative"], &json["name"]),
        (0, &"nxdomain".into(), &r"a\.b.example.test".into())
    );
    assert_eq!(ask(&lab, "a.b.example.test", "TXT").1["records"].as_array().unwrap().len(), 1);
}

#[test]
fn a_batch_is_answered_in_the_order_asked_with_one_cache() {
    let lab = Lab::new();
    let mut input = String::new();
    let mut names = Vec::new();
    for number in 0..150 {
        let (name, rr_type) = match number % 4 {
            0 => (format!("n{number}.example.test"), "A"),
            1 => (GOOD.to_owned(), "TXT"),
            2 => ("gw6.plain.test".to_owned(), "A"),
            _ => ("gw5.bogus.test".to_owned(), "A"),
        };
        input.push_str(&format!("{name} {rr_type}\n"));
        names.push((name, rr_type));
    }
    let mut args: Vec<String> = vec!["dns".into(), "--batch".into(), "-".into()];
    args.extend(lab.asking());
    let run = revouch_with(args, &input);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let lines: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), names.len());
    for (line, (name, rr_type)) in lines.iter().zip(&names) {
        assert_eq!((&line["name"], &line["type"]), (&name.as_str().into(), &(*rr_type).into()));
    }
    // 38 different names, and for all others the cache: not 150 times the two dozen of a cold question.
    assert!(lab.server.queries().total() < 300, "{}", lab.server.queries().total());
}

#[test]
fn a_line_that_is_no_question_keeps_its_place() {
    let lab = Lab::new();
    let file = lab.path("batch");
    let text = b"; comment\n\nbad..name A\ngw1.example.test A\ngw1.example.test\na.test NOTYPE\na.test RRSIG\n\xe4\xff.test \xfc\n";
    std::fs::write(&file, text).unwrap();
    let run = dns(&lab, &["--batch", file.to_str().unwrap()]);
    let lines: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let states: Vec<&str> = lines.iter().map(|line| line["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["error", "secure", "error", "error", "error", "error"]);
    for (line, wanted) in [
        (0, "line 3: a label is empty"),
        (2, "line 5: a NAME and a TYPE"),
        (3, "line 6: no RR type"),
        (4, "line 7: RRSIG cannot be asked for"),
        (5, "line 8: only printable ASCII is allowed"),
    ] {
        assert!(lines[line]["why"].as_str().unwrap().starts_with(wanted), "{}", lines[line]);
    }
    assert!(run.code == 2 && run.stderr.contains("5 of 6 questions"), "{}", run.stderr);
    // The very octets that stood there.
    assert_eq!((&lines[5]["name"], &lines[5]["type"]), (&"\\228\\255.test".into(), &"\\252".into()));
}

#[test]
fn what_cannot_be_asked_is_exit_code_2_with_a_way_out() {
    let lab = Lab::new();
    let anchor = lab.write("anchor", "hello");
    for (args, wanted) in [
        (vec!["dns"], "<NAME>"),
        (vec!["dns", "a..b", "A"], "a label is empty"),
        (vec!["dns", "a.test", "NOTYPE"], "no RR type"),
        (vec!["dns", "a.test", "RRSIG"], "RRSIG cannot be asked for"),
        (vec!["dns", "a.test", "TYPE255"], "TYPE255 cannot be asked for"),
        (vec!["dns", "a.test", "A", "--resolver", "ns.example"], "write an address as"),
        (
            vec!["dns", "a.test", "A", "--trust-anchor", anchor.to_str().unwrap()],
            "no trust anchor in the file",
        ),
        (vec!["dns", "a.test", "A", "--trust-anchor", "/nonexistent/file"], "/nonexistent/file"),
        (vec!["dns", "--batch", "/nonexistent/file", "--resolver", "127.0.0.1"], "/nonexistent/file"),
        (vec!["dns", "a.test", "A", "--mode", "trust-ad", "--resolver", "192.0.2.53"], "loopback"),
        (vec!["dns", "a.test", "A", "--mode", "trust-ad", "--trust-anchor", "x"], "no use with"),
    ] {
        let run = revouch(&args);
        assert!(run.code == 2 && run.stdout.is_empty(), "{args:?}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(wanted), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn a_server_that_does_not_validate_is_not_trusted() {
    let lab = Lab::new();
    let server = lab.server.address().to_string();
    let run = revouch(["dns", GOOD, "A", "--mode", "trust-ad", "--resolver", &server]);
    assert!(run.code == 2 && run.stderr.contains("AD bit"), "{}", run.stderr);
}
