//! What is asked: shapes written by hand, with the verdict that the RFCs give, and questions made from the table of zones.

use std::collections::BTreeSet;
use std::fmt;

use revouch_testbed::bed::Zone;
use revouch_validator::name::DnsName;
use revouch_validator::rr::RrType;

const SHAPES: &str = include_str!("../../testdata/dns-shapes.txt");

/// A question, with names as the table writes them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Asked {
    pub(crate) owner: String,
    pub(crate) rr_type: String,
}

impl Asked {
    pub(crate) fn new(owner: &str, rr_type: &str) -> Self {
        Self { owner: owner.to_owned(), rr_type: rr_type.to_owned() }
    }

    pub(crate) fn name(&self) -> DnsName {
        self.owner.parse().unwrap_or_else(|error| panic!("{}: {error}", self.owner))
    }

    pub(crate) fn rr_type(&self) -> RrType {
        self.rr_type.parse().unwrap_or_else(|error| panic!("{}: {error}", self.rr_type))
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.owner, self.rr_type)
    }
}

/// A question whose verdict was written by hand.
pub(crate) struct Shape {
    pub(crate) asked: Asked,
    /// In the words of [`Verdict::word`](super::verdict::Verdict::word).
    pub(crate) verdict: String,
}

/// All that were written by hand.
pub(crate) fn shapes() -> Vec<Shape> {
    let lines = SHAPES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let shape = |line: &str| {
        let [owner, rr_type, verdict @ ..] = &line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("no question: {line}")
        };
        Shape { asked: Asked::new(owner, rr_type), verdict: verdict.join(" ") }
    };
    lines.map(shape).collect()
}

/// The types of which each owner is asked for one more, in turn.
const IN_TURN: [&str; 13] =
    ["AAAA", "TXT", "DS", "NS", "CNAME", "SOA", "SRV", "PTR", "DNSKEY", "MX", "SVCB", "CAA", "HTTPS"];

/// BIND takes 12 s for each answer from there; what is written by hand is enough.
const SLOW: [&str; 2] = ["nsec3-unsigned.test.", "alias2.part.test."];

/// Questions for every zone: its own names and types, what lies between and below them, and what does not exist.
pub(crate) fn generated(zones: &[Zone]) -> Vec<Asked> {
    let mut asked = BTreeSet::new();
    let mut turn = 0;
    for zone in zones {
        for rr_type in ["SOA", "NS", "DNSKEY", "DS", "A", "MX", "TXT"] {
            asked.insert(Asked::new(&zone.name, rr_type));
        }
        for record in &zone.records {
            asked.insert(Asked::new(&record.owner, &record.rr_type.replace("TYPE64", "SVCB")));
        }
        for owner in owners(zone) {
            turn += 1;
            for rr_type in [["A", "TLSA"][turn % 2], IN_TURN[turn % IN_TURN.len()]] {
                asked.insert(Asked::new(&owner, rr_type));
            }
        }
    }
    let dnames: Vec<String> = zones
        .iter()
        .flat_map(|zone| &zone.records)
        .filter(|record| record.rr_type == "DNAME")
        .map(|record| format!(".{}", record.owner))
        .collect();
    // For a CNAME made from a DNAME unbound has SERVFAIL once it is in the cache, and what is written by hand is enough of it.
    let wavers =
        |asked: &Asked| asked.rr_type == "CNAME" && dnames.iter().any(|below| asked.owner.ends_with(below));
    let slow = |asked: &Asked| SLOW.iter().any(|slow| asked.owner.ends_with(slow));
    asked.into_iter().filter(|asked| !slow(asked) && !wavers(asked)).collect()
}

/// The names of a zone that are worth a question.
fn owners(zone: &Zone) -> BTreeSet<String> {
    let mut owners: BTreeSet<String> = ["none", "deep.none", "_8443._tcp.none", "0", "m", "zzz", "ns", "*"]
        .iter()
        .map(|owner| zone.absolute(owner))
        .collect();
    for record in &zone.records {
        owners.insert(record.owner.clone());
        // What lies between it and the zone, empty non-terminals above all.
        let mut above = record.owner.as_str();
        while let Some((_, parent)) = above.split_once('.').filter(|(_, parent)| zone.holds(parent)) {
            owners.insert(parent.to_owned());
            above = parent;
        }
        match record.owner.strip_prefix("*.") {
            Some(parent) => {
                owners.extend(["x", "_443._tcp", "other.deep"].map(|label| format!("{label}.{parent}")));
            }
            None if record.owner != zone.name => {
                owners.insert(format!("below.{}", record.owner));
            }
            None => {}
        }
        if record.rr_type == "DNAME" {
            owners.extend(["www", "a", "none", "x.wild"].map(|label| format!("{label}.{}", record.owner)));
        }
    }
    owners
}

/// Lines of a table: columns between tabs, without comments and empty lines; with their numbers.
pub(crate) fn rows(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let lines =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|(index, line)| (index + 1, line.split('\t').map(str::trim).collect()))
}
