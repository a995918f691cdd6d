//! `revouch dns` against real servers: unbound and BIND in front of the test bed's zones, validating for us or not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use common::{Run, revouch_with};
use revouch_testbed::bed::{Bed, Recursive, place};
use serde_json::Value;

/// Questions, the status of the answer, what is negative about it, and how many records there are.
const EXPECTED: [(&str, &str, &str, Option<&str>, usize); 16] = [
    ("www.p256.test", "A", "secure", None, 1),
    ("_443._tcp.www.p256.test", "TLSA", "secure", None, 1),
    ("none.n3.test", "A", "secure", Some("nxdomain"), 0),
    ("www.rsa256.test", "MX", "secure", Some("nodata"), 0),
    ("_443._tcp.host.wild.test", "TLSA", "secure", None, 1),
    ("www.unsigned.test", "A", "insecure", None, 1),
    ("none.optout.test", "A", "insecure", Some("nxdomain"), 0),
    ("none.n3-151.test", "A", "insecure", Some("nxdomain"), 0),
    ("www.ds-wrong.test", "A", "bogus", None, 0),
    ("www.expired.test", "A", "bogus", None, 0),
    ("none.no-nsec.test", "A", "bogus", None, 0),
    ("c-insecure.alias.test", "A", "insecure", None, 1),
    ("c-bogus.alias.test", "A", "bogus", None, 0),
    ("www.d-secure.alias3.test", "A", "secure", None, 1),
    ("65.2.0.192.in-addr.arpa", "PTR", "secure", None, 1),
    // 300 records, over TCP.
    ("13.2.0.192.in-addr.arpa", "PTR", "secure", None, 300),
];

/// Runs `revouch dns` from where the servers are.
fn dns(bed: &Bed, by: Recursive, args: &[&str]) -> Run {
    let server = bed.recursive(by).to_string();
    let questions: String =
        EXPECTED.iter().map(|(name, rr_type, ..)| format!("{name} {rr_type}\n")).collect();
    let batch = ["dns", "--batch", "-", "--resolver", &server];
    revouch_with(batch.iter().chain(args), &questions)
}

/// What is wrong with the answers. A validator's SERVFAIL is bogus to us in `validate`, and no answer in `trust-ad`.
fn differences(run: &Run, servfail: &str, how: &str) -> String {
    let lines: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), EXPECTED.len(), "{how}: {}", run.stderr);
    let mut wrong = String::new();
    for (line, (name, rr_type, status, negative, records)) in lines.iter().zip(EXPECTED) {
        let status = if status == "bogus" { servfail } else { status };
        let found = (&line["status"], &line["negative"], line["records"].as_array().unwrap().len());
        if found != (&status.into(), &negative.into(), records) {
            wrong += &format!("{how}: {name} {rr_type}: {line}\n");
        }
    }
    wrong
}

#[test]
fn answers_of_real_servers_have_the_states_that_their_zones_have() {
    place::run(|place| async move {
        let bed = Bed::start(place).await.unwrap_or_else(|why| panic!("{why}"));
        let anchor = bed.directory().join("cli.anchor");
        std::fs::write(&anchor, bed.anchor()).unwrap();
        let anchor = anchor.display().to_string();
        let mut wrong = String::new();
        for by in Recursive::ALL {
            // What validates says SERVFAIL where others show what is bogus.
            let servfail = if by.validates() { "error" } else { "bogus" };
            let run = dns(&bed, by, &["--trust-anchor", &anchor]);
            wrong += &differences(&run, servfail, &format!("validating behind {}", by.name()));
            assert_eq!(run.code, if by.validates() { 2 } else { 1 }, "{}", run.stderr);

            let run = dns(&bed, by, &["--mode", "trust-ad"]);
            if by.validates() {
                wrong += &differences(&run, "error", &format!("trusting {}", by.name()));
                assert_eq!(run.code, 2, "{}", run.stderr);
            } else {
                assert!(run.code == 2 && run.stderr.contains("AD bit"), "{}: {}", by.name(), run.stderr);
                assert!(run.stdout.is_empty(), "{}", run.stdout);
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    });
}
