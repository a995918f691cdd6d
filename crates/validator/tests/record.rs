//! Records that are read from a file: what `docs/record.md` says of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::*;
use revouch_validator::answer::{ChainLink, DnssecStatus};
use revouch_validator::decide::Case;
use revouch_validator::exemption::ExemptZone;
use revouch_validator::record::{MAX_RECORD, Record};
use revouch_validator::rr::{Caa, RecordData, RrType};
use serde_json::{Value, json};

/// A record in which everything that a record can hold stands.
fn full() -> Value {
    let policy = policy(|draft| {
        draft.services = vec!["_xmpps-server._tcp".parse().unwrap()];
        draft.extra_types = vec![RrType::AAAA, RrType::CNAME, RrType::HTTPS, RrType::TXT];
        draft.exemptions.listed.push(ExemptZone { zone: name("corp.test"), not_after: Some(NOW) });
    });
    let chain = server(&["gw1.example.test"]).chain();
    let service = "_xmpps-server._tcp.gw1.example.test";
    let mut dns = secure()
        .tlsa("_5269._tcp.gw1.example.test", &[tlsa_of(&chain, 1, 1, 1)])
        .srv(service, &[(10, 5269, "gw1.example.test")])
        .svcb(service, &[(1, None, ".")])
        .signed_until("gw1.example.test", RrType::A, NOW)
        .records("gw1.example.test", RrType::AAAA, vec![RecordData::Aaaa("2001:db8::1".parse().unwrap())])
        .records("gw1.example.test", RrType::CNAME, vec![RecordData::Cname(name("gw1.other.test"))])
        .records("gw1.example.test", RrType::TXT, vec![RecordData::Other(vec![1, b'x'])])
        .records(
            "gw1.example.test",
            RrType::CAA,
            vec![RecordData::Caa(Caa { flags: 0, tag: "issue".to_owned(), value: b"ca.test".to_vec() })],
        )
        .bogus("gw1.example.test", RrType::CERT);
    dns.change("gw1.example.test", RrType::TXT, |answer| answer.wildcard = true);
    dns.change("gw1.example.test", RrType::A, |answer| {
        let (owner, target) = (name("gw1.example.test"), name("gw1.other.test"));
        answer.chain = vec![ChainLink { owner, target, status: DnssecStatus::Secure }];
    });
    let (connection, trust) = (connection(), trust());
    let (evidence, _) = dns.gather(&policy, &connection);
    let case = Case {
        policy: &policy,
        chain: &chain,
        connection: &connection,
        evidence: Some(&evidence),
        trust: &trust,
        now: NOW,
    };
    serde_json::from_str(&Record::of(&case, Some("p")).to_json().unwrap()).unwrap()
}

fn read(record: &Value) -> Result<Record, String> {
    Record::from_json(record.to_string().as_bytes()).map_err(|error| error.to_string())
}

/// The places of all objects below `value` that are not mere wrappers of a variant.
fn objects(value: &Value, at: &str, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            places.push(at.to_owned());
            for (key, value) in map {
                objects(value, &format!("{at}/{key}"), places);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                objects(value, &format!("{at}/{index}"), places);
            }
        }
        _ => {}
    }
}

#[test]
fn an_unknown_field_is_refused_wherever_it_stands() {
    let record = full();
    assert!(read(&record).unwrap().replay().is_accepted());
    let mut places = Vec::new();
    objects(&record, "", &mut places);
    assert!(places.len() > 20, "{places:?}");
    for place in places {
        let mut changed = record.clone();
        changed.pointer_mut(&place).unwrap()["notBefore"] = json!(1);
        assert!(read(&changed).is_err(), "{place}");
    }
}

#[test]
fn an_observation_has_one_outcome() {
    let mut record = full();
    let observation = &mut record["evidence"]["observations"][0];
    assert!(observation["answer"].is_object());
    observation["failure"] = json!("timeout");
    assert!(read(&record).unwrap_err().contains("either an answer or a failure"));
    let observation = record["evidence"]["observations"][0].as_object_mut().unwrap();
    observation.remove("answer");
    assert!(read(&record).is_ok());
    record["evidence"]["observations"][0].as_object_mut().unwrap().remove("failure");
    assert!(read(&record).is_err());
}

#[test]
fn a_question_stands_once_and_the_size_is_bounded() {
    let mut record = full();
    let observations = record["evidence"]["observations"].as_array_mut().unwrap();
    let twice = observations[0].clone();
    observations.push(twice);
    assert!(read(&record).unwrap_err().contains("twice"));
    assert!(Record::from_json(&vec![b' '; MAX_RECORD + 1]).unwrap_err().to_string().contains("16 MiB"));
    let mut other = full();
    other["version"] = json!("revouch.dev/record/v2");
    assert!(read(&other).is_err());
}

/// Every key of every object below `value`.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                found.insert(key.clone());
                keys(value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

#[test]
fn every_key_of_a_record_is_on_its_page() {
    let page = include_str!("../../../docs/record.md");
    let mut found = BTreeSet::new();
    keys(&full(), &mut found);
    // The record is full: the keys that are mostly left out, and every kind of record.
    for key in [
        "notAfter",
        "negative",
        "wildcard",
        "signatures",
        "chain",
        "failure",
        "bogus",
        "A",
        "Aaaa",
        "Ptr",
        "Cname",
        "Tlsa",
        "Srv",
        "Svcb",
        "Caa",
        "Other",
    ] {
        assert!(found.contains(key), "{key}: {found:?}");
    }
    for key in found {
        assert!(page.contains(&format!("`{key}`")) || page.contains(&format!("{{\"{key}\": ")), "{key}");
    }
}

#[test]
fn every_key_of_the_policy_is_in_its_table_and_the_other_way_about() {
    let page = include_str!("../../../docs/record.md");
    let table = page.split("\n## ").find(|section| section.starts_with("The policy\n")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let documented: BTreeSet<String> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split(','))
        .map(|key| key.trim().trim_matches('`').to_owned())
        .collect();
    let written: BTreeSet<String> = full()["policy"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(written, documented);
}
