//! `revouch check` and `revouch explain` over a signed universe: the verdict, the records to publish, the way through a saved record.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{GOOD, Lab, Run, revouch, revouch_with};
use revouch_lab::{LeafBuilder, Purpose};

fn explain(path: &std::path::Path, more: &[&str]) -> Run {
    revouch([&["explain", path.to_str().unwrap()], more].concat())
}

#[test]
fn a_peer_that_dns_vouches_for_is_accepted_with_every_check() {
    let lab = Lab::new();
    let (_, chain) = lab.issue(GOOD);
    let run = lab.check(&chain, "127.0.3.1", &[]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.starts_with("accepted: gw1.example.test\n"), "{}", run.stdout);
    for word in ["ok   R2", "ok   R16", "gw1.example.test CAA: 0 issue \"lab.test\" (secure)", "skip R15"] {
        assert!(run.stdout.contains(word), "{word}: {}", run.stdout);
    }
    assert!(!run.stdout.contains('\x1b'), "colour only on a terminal");

    let run = lab.check(&chain, "127.0.3.1:40000", &["--output", "json"]);
    let json = run.json();
    assert_eq!(run.code, 0);
    assert_eq!(json["outcome"]["accepted"]["identity"]["name"]["name"], GOOD);
    assert_eq!(json["outcome"]["accepted"]["dnssec"], "secure");
    assert_eq!(json["class"], "server");
    assert_eq!((&json["policy"], &json["source"]), (&"federation".into(), &"127.0.3.1".into()));
    assert_eq!((&json["sourcePort"], &json["localPort"]), (&40000.into(), &5269.into()));
    assert!(json["checks"].as_array().unwrap().len() > 8);
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["checks", "class", "localPort", "now", "outcome", "policy", "source", "sourcePort"]);
}

#[test]
fn a_refused_peer_is_told_the_very_records_to_publish() {
    let lab = Lab::new();
    let (gw2, chain2) = lab.issue("gw2.example.test");
    let (_, chain3) = lab.issue("gw3.example.test");
    let (_, chain4) = lab.issue("gw4.example.test");
    let (_, chain5) = lab.issue("gw5.bogus.test");
    let cases: [(&std::path::Path, &str, &str, &[&str]); 5] = [
        (
            &chain4,
            "127.0.3.4",
            "no_ptr",
            &["4.3.0.127.in-addr.arpa. PTR gw4.example.test.", "gw4.example.test. A 127.0.3.4"],
        ),
        (&chain3, "127.0.3.3", "not_confirmed", &["gw3.example.test. A 127.0.3.3"]),
        (
            &chain2,
            "127.0.3.2",
            "tlsa_mismatch",
            &[&format!("_5269._tcp.gw2.example.test. TLSA {}", gw2.tlsa(3, 1, 1).unwrap())],
        ),
        (&chain5, "127.0.3.5", "dns_bogus", &["revouch dns 'gw5.bogus.test' A"]),
        (
            &chain4,
            "127.0.3.1",
            "name_mismatch",
            &["1.3.0.127.in-addr.arpa. PTR gw4.example.test.", "dNSName gw1.example.test"],
        ),
    ];
    for (chain, source, reason, wanted) in cases {
        let run = lab.check(chain, source, &[]);
        assert_eq!(run.code, 1, "{reason}: {}{}", run.stdout, run.stderr);
        assert!(run.stdout.starts_with(&format!("refused: {reason}, alert ")), "{}", run.stdout);
        for text in wanted {
            assert!(run.stdout.contains(text), "{reason}: {text} in {}", run.stdout);
        }
        let json = lab.check(chain, source, &["--output", "json"]).json();
        assert_eq!((&json["outcome"]["refused"], &json["reason"]), (&reason.into(), &reason.into()));
        assert!(
            json["alert"]["number"].is_number() && json["cause"].is_string() && json["remedy"].is_string()
        );
        assert!(json["advice"].as_array().is_some_and(|advice| !advice.is_empty()), "{json}");
    }
}

#[test]
fn an_unsigned_zone_is_advised_usage_1_first() {
    let lab = Lab::new();
    lab.policy("require.yaml", "{tlsa: Require}");
    let (gw6, chain) = lab.issue("gw6.plain.test");
    let run = lab.check_with("require.yaml", &chain, "127.0.3.6", &["--output", "json"]);
    let json = run.json();
    assert_eq!((run.code, &json["reason"]), (1, &"tlsa_missing".into()));
    let wanted = format!("_5269._tcp.gw6.plain.test. TLSA {}", gw6.tlsa(1, 1, 1).unwrap());
    assert_eq!(json["advice"][0]["records"][0], wanted);
    assert_eq!(json["advice"][0]["who"], "peer");
}

#[test]
fn a_source_port_that_nothing_names_is_told_as_an_srv_record() {
    let lab = Lab::new();
    lab.policy("ports.yaml", "{sourcePort: Require, services: [_xmpps-server._tcp]}");
    let (_, chain) = lab.issue(GOOD);
    let run = lab.check_with("ports.yaml", &chain, "127.0.3.1:45269", &[]);
    assert_eq!(run.code, 1, "{}{}", run.stdout, run.stderr);
    let wanted = "_xmpps-server._tcp.gw1.example.test. SRV 0 0 45269 gw1.example.test.";
    assert!(run.stdout.contains("source_port_unlisted") && run.stdout.contains(wanted), "{}", run.stdout);
}

#[test]
fn a_saved_record_is_explained_and_decided_again_with_the_same_verdict() {
    let lab = Lab::new();
    let (_, good) = lab.issue(GOOD);
    let (_, bad) = lab.issue("gw2.example.test");
    for (chain, source, code) in [(&good, "127.0.3.1", 0), (&bad, "127.0.3.2", 1)] {
        let record = lab.path("record.json");
        let first =
            lab.check(chain, source, &["--save-evidence", record.to_str().unwrap(), "--output", "json"]);
        assert_eq!(first.code, code, "{}", first.stderr);
        let asked = lab.server.queries().total();

        let explained = explain(&record, &["--output", "json"]);
        assert_eq!(explained.code, code, "{}", explained.stderr);
        let (told, decided) = (explained.json(), first.json());
        assert_eq!(told["kind"], "record");
        assert_eq!(told["verdict"]["outcome"], decided["outcome"]);
        assert_eq!(told["verdict"]["checks"], decided["checks"]);
        assert_eq!(told["advice"], decided["advice"]);
        let words = explain(&record, &[]);
        assert!(
            words.stdout.contains(source) && words.stdout.contains("policy federation"),
            "{}",
            words.stdout
        );

        let again = lab.check(chain, source, &["--evidence", record.to_str().unwrap(), "--output", "json"]);
        assert_eq!(again.json(), decided);
        assert_eq!(again.code, code);
        assert_eq!(lab.server.queries().total(), asked, "nothing was asked again");
    }
}

#[test]
fn another_policy_over_the_same_evidence_decides_anew() {
    let lab = Lab::new();
    lab.policy("require.yaml", "{tlsa: Require}");
    let (_, chain) = lab.issue(GOOD);
    let record = lab.path("record.json");
    let record = record.to_str().unwrap();
    assert_eq!(lab.check(&chain, "127.0.3.1", &["--save-evidence", record]).code, 0);
    let run = lab.check_with("require.yaml", &chain, "127.0.3.1", &["--evidence", record]);
    assert!(run.code == 1 && run.stdout.contains("tlsa_missing"), "{}", run.stdout);
    let run = lab.check(&chain, "127.0.3.2", &["--evidence", record]);
    assert!(run.code == 2 && run.stderr.contains("about 127.0.3.1"), "{}", run.stderr);
}

#[test]
fn without_dns_no_server_is_accepted() {
    let lab = Lab::new();
    let (_, chain) = lab.issue(GOOD);
    let run = lab.check(&chain, "127.0.3.1", &["--no-dns"]);
    assert!(run.code == 1 && run.stdout.starts_with("refused: evidence_missing"), "{}", run.stdout);
    assert_eq!(lab.server.queries().total(), 0);
}

#[test]
fn roots_crls_and_time_can_be_others_than_those_of_the_policy() {
    let lab = Lab::new();
    let (identity, chain) = lab.issue(GOOD);
    let strangers =
        lab.write("strangers.pem", &revouch_lab::CertificateAuthority::people().unwrap().root_pem());
    let run = lab.check(&chain, "127.0.3.1", &["--roots", strangers.to_str().unwrap()]);
    assert!(run.code == 1 && run.stdout.contains("unknown_issuer"), "{}", run.stdout);

    let crl = lab.write("ca.crl", &lab.ca.crl().revoke(&identity).issue().unwrap().pem());
    let run = lab.check(&chain, "127.0.3.1", &["--crl", crl.to_str().unwrap()]);
    assert!(run.code == 1 && run.stdout.contains("refused: revoked"), "{}", run.stdout);

    let record = lab.path("record.json");
    assert_eq!(lab.check(&chain, "127.0.3.1", &["--save-evidence", record.to_str().unwrap()]).code, 0);
    let far = ["--evidence", record.to_str().unwrap(), "--at", "2060-01-01T00:00:00Z"];
    let run = lab.check(&chain, "127.0.3.1", &far);
    assert_eq!(run.code, 1, "{}", run.stdout);
    std::fs::remove_file(lab.path("roots.pem")).unwrap();
    let own = lab.write("own.pem", &lab.ca.root_pem());
    assert_eq!(lab.check(&chain, "127.0.3.1", &["--roots", own.to_str().unwrap()]).code, 0);
}

#[test]
fn a_person_is_accepted_by_path_alone() {
    let lab = Lab::new();
    let people = revouch_lab::CertificateAuthority::people().unwrap();
    lab.write("people.pem", &people.root_pem());
    let text = std::fs::read_to_string(lab.path("policy.yaml")).unwrap()
        + "  eku: {clientAuth: Accept}\n  clientAuth: {trust: {caFiles: [people.pem]}}\n";
    lab.write("people.yaml", &text);
    let alice = people.leaf().purposes(&[Purpose::ClientAuth]).common_name("Alice").issue().unwrap();
    let (chain, _) = alice.write(lab.dir.path(), "alice").unwrap();
    let run = lab.check_with("people.yaml", &chain, "127.0.3.77", &["--no-dns"]);
    assert!(run.code == 0 && run.stdout.starts_with("accepted: CN=Alice"), "{}{}", run.stdout, run.stderr);
}

#[test]
fn what_cannot_be_checked_is_exit_code_2_with_a_way_out() {
    let lab = Lab::new();
    let (_, chain) = lab.issue(GOOD);
    let chain = chain.as_path();
    let two = std::fs::read_to_string(lab.path("policy.yaml")).unwrap();
    let second =
        two.replace("name: xmpp", "name: other").replace("federation", "second").replace(":5269", ":5270");
    lab.write("two.yaml", &format!("{two}---\n{second}"));
    let (_, alone) = two.split_once("---\n").unwrap();
    lab.write("alone.yaml", alone);
    lab.write("broken.yaml", &two.replace("targetRefs", "targetRef"));
    let gone = lab.path("gone.pem");
    let gone = gone.as_path();
    let text = lab.write("text.pem", "hello");
    let cases: [(&str, &std::path::Path, &str, &[&str], &str); 10] = [
        ("two.yaml", chain, "127.0.3.1", &[], "--policy-name: federation, second"),
        ("two.yaml", chain, "127.0.3.1", &["--policy-name", "third"], "there is no PeerPolicy of this name"),
        ("alone.yaml", chain, "127.0.3.1", &[], "--local-port"),
        ("broken.yaml", chain, "127.0.3.1", &[], "targetRefs"),
        ("gone.yaml", chain, "127.0.3.1", &[], "gone.yaml"),
        ("policy.yaml", gone, "127.0.3.1", &[], "gone.pem"),
        ("policy.yaml", &text, "127.0.3.1", &[], "there is no certificate"),
        ("policy.yaml", chain, "example", &[], "write an address as"),
        ("policy.yaml", chain, "127.0.3.1", &["--at", "tomorrow"], "2026-11-24T12:00:00Z"),
        (
            "policy.yaml",
            chain,
            "127.0.3.1",
            &["--save-evidence", "-"],
            "--save-evidence needs the name of a file",
        ),
    ];
    for (policy, chain, source, more, wanted) in cases {
        let run = lab.check_with(policy, chain, source, more);
        assert_eq!(run.code, 2, "{wanted}: {}", run.stdout);
        assert!(run.stdout.is_empty() && run.stderr.contains(wanted), "{wanted}: {}", run.stderr);
    }
    // With the line that names the file.
    lab.write("untrusting.yaml", &two.replace("roots.pem", "gone-too.pem"));
    let run = lab.check_with("untrusting.yaml", chain, "127.0.3.1", &[]);
    let line = two.lines().position(|line| line.contains("trust:")).unwrap() + 1;
    let wanted = format!("untrusting.yaml:{line}:");
    assert!(
        run.code == 2 && run.stderr.contains(&wanted) && run.stderr.contains("gone-too.pem"),
        "{}",
        run.stderr
    );
    let port = ["--policy-name", "second", "--output", "json"];
    assert_eq!(lab.check_with("two.yaml", chain, "127.0.3.1", &port).json()["localPort"], 5270);
    let port = ["--local-port", "7", "--output", "json"];
    assert_eq!(lab.check_with("alone.yaml", chain, "127.0.3.1", &port).json()["localPort"], 7);
}

#[test]
fn log_lines_of_both_forms_are_told_with_what_the_peer_must_publish() {
    let json = r#"{"time":"2026-11-24T06:59:59.042Z","listener":"xmpp","policy":"federation","source":"192.0.2.7","source_port":4711,"local":"198.51.100.1:5269","outcome":"refused","reason":"no_ptr","alert":"access_denied"}"#;
    let text = "time=2026-11-24T06:59:59.042Z listener=xmpp policy=federation source=192.0.2.8 source_port=4712 local=198.51.100.1:5269 outcome=accepted identity=gw1.example.test class=server";
    let run = revouch_with(["explain", "-"], &format!("{json}\n{text}\n"));
    assert_eq!(run.code, 1, "{}", run.stderr);
    for wanted in [
        "refused: no_ptr",
        "has no PTR record",
        "7.2.0.192.in-addr.arpa. PTR ",
        " A 192.0.2.7",
        "accepted: gw1.example.test",
    ] {
        assert!(run.stdout.contains(wanted), "{wanted}: {}", run.stdout);
    }
    let run = revouch_with(["explain", "-", "--output", "json"], text);
    assert_eq!((run.code, &run.json()["kind"]), (0, &"access-log".into()));
    assert_eq!(run.json()["connections"][0]["fields"]["source"], "192.0.2.8");
}

#[test]
fn every_reason_of_a_log_line_is_explained() {
    for reason in revouch_validator::reason::Reason::ALL {
        let line =
            format!("source=192.0.2.7 source_port=1 local=198.51.100.1:5269 outcome=refused reason={reason}");
        let run = revouch_with(["explain", "-", "--output", "json"], &line);
        let told = &run.json()["connections"][0];
        assert!(run.code == 1 && told["reason"] == reason.as_str(), "{}", run.stderr);
        assert!(
            told["cause"].as_str().unwrap().len() > 10 && told["remedy"].as_str().unwrap().len() > 10,
            "{told}"
        );
    }
}

#[test]
fn what_is_no_record_and_no_log_line_is_refused() {
    let lab = Lab::new();
    for (name, text, wanted) in [
        ("empty", "", "nothing in it"),
        ("text", "hello\n", "line 1: neither a record"),
        ("json", "{\"a\":1}\n", "neither a record"),
        ("version", "{\"version\":\"revouch.dev/record/v9\"}", "no record"),
        ("half", "{\"version\":\"revouch.dev/record/v1\"}", "no record"),
    ] {
        let run = explain(&lab.write(name, text), &[]);
        assert!(
            run.code == 2 && run.stdout.is_empty() && run.stderr.contains(wanted),
            "{name}: {}",
            run.stderr
        );
    }
    assert_eq!(explain(&lab.path("gone"), &[]).code, 2);
}

#[test]
fn text_of_the_peer_never_reaches_the_terminal_raw() {
    let lab = Lab::new();
    let hostile = LeafBuilder::self_signed().common_name("a\u{1b}[2Jb\u{202e}").dns(GOOD).issue().unwrap();
    let (chain, _) = hostile.write(lab.dir.path(), "hostile").unwrap();
    let record = lab.path("record.json");
    let run = lab.check(&chain, "127.0.3.1", &["--save-evidence", record.to_str().unwrap()]);
    for text in [run.stdout, explain(&record, &[]).stdout, explain(&record, &["--output", "json"]).stdout] {
        assert!(text.bytes().all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte)), "{text}");
    }
}
