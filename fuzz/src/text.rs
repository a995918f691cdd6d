//! Texts from files and logs: access-log lines, resolv.conf, trust anchors, names and types, PEM. The first octet says which.

use revouch_resolver::anchors::Anchors;
use revouch_resolver::resolv_conf::{self, MAX_NAMESERVERS};
use revouch_validator::chain::{Chain, MAX_CERTIFICATES, MAX_OCTETS};
use revouch_validator::escape::{MAX_ESCAPED, escape};
use revouch_validator::name::{DnsName, NameError};
use revouch_validator::policy::{AddressPrefix, NamePattern, Service};
use revouch_validator::rr::RrType;

use crate::logline::LogLine;

/// Reads a text.
pub fn run(data: &[u8]) {
    let Some((which, octets)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(octets);
    match which % 8 {
        0 => log_line(&text),
        1 => resolv_conf(&text),
        2 => anchors(&text),
        3 => name_of_text(&text),
        4 => name_of_labels(octets),
        5 => small(&text),
        6 => escaped(octets),
        _ => pem(octets),
    }
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

fn log_line(text: &str) {
    let Some(line) = LogLine::parse(text) else { return };
    assert!(line.fields().len() <= 64);
    for (name, value) in line.fields() {
        assert!(is_printable(name) && is_printable(value), "{name:?}={value:?}");
        assert!(name.len() <= 1024 && value.len() <= 1024);
    }
    assert!(line.source().is_some() && line.get("outcome").is_some());
    let _ = (line.reason(), line.source_port(), line.local_port(), line.is_accepted());
    // What was read is printable and stays what it is when it is read again.
    let json = serde_json::to_string(line.fields()).unwrap();
    assert_eq!(LogLine::parse(&json).as_ref(), Some(&line));
}

fn resolv_conf(text: &str) {
    match resolv_conf::parse(text) {
        Ok(servers) => {
            assert!((1..=MAX_NAMESERVERS).contains(&servers.len()));
            assert!(servers.iter().all(|server| server.port() == 53));
            let named = |line: &str| line.split_whitespace().next() == Some("nameserver");
            assert!(text.lines().filter(|line| named(line)).count() >= servers.len());
        }
        Err(error) => assert!(is_printable(&error.to_string()), "{error}"),
    }
}

fn anchors(text: &str) {
    match Anchors::parse(text) {
        Ok(anchors) => {
            let zone = anchors.first_zone().expect("a file without anchors is refused");
            assert!(!anchors.is_empty() && anchors.is_anchored(zone) && anchors.closest(zone) == Some(zone));
            assert!(text.to_ascii_uppercase().contains("DNSKEY"));
        }
        Err(error) => assert!(is_printable(&error.to_string()), "{error}"),
    }
}

fn name_of_text(text: &str) {
    match text.parse::<DnsName>() {
        Ok(name) => name_holds(&name),
        Err(error) => {
            assert_eq!(error == NameError::NotAscii && is_printable(text) && !text.contains(' '), false)
        }
    }
}

/// Octets as labels, each behind its length.
fn name_of_labels(octets: &[u8]) {
    let mut labels: Vec<&[u8]> = Vec::new();
    let mut rest = octets;
    while let Some((length, tail)) = rest.split_first() {
        let (label, behind) = tail.split_at(usize::from(*length % 70).min(tail.len()));
        labels.push(label);
        rest = behind;
    }
    let Ok(name) = DnsName::from_labels(&labels) else {
        let octets: usize = labels.iter().map(|label| label.len() + 1).sum();
        assert!(octets > 254 || labels.iter().any(|label| label.is_empty() || label.len() > 63));
        return;
    };
    assert!(name.labels().zip(&labels).all(|(kept, given)| kept.eq_ignore_ascii_case(given)));
    assert_eq!(name.label_count(), labels.len());
    name_holds(&name);
}

fn name_holds(name: &DnsName) {
    let text = name.to_string();
    assert!(is_printable(&text) && !text.contains(' '), "{text:?}");
    assert_eq!(text.parse::<DnsName>().as_ref(), Ok(name));
    assert_eq!(
        format!("{text}.").parse::<DnsName>().is_ok(),
        text != "." || name.is_root() && "..".parse::<DnsName>().is_ok()
    );
    let wire: usize = name.labels().map(|label| label.len() + 1).sum();
    assert!(wire <= 254 && name.labels().all(|label| (1..=63).contains(&label.len())));
    assert!(name.is_at_or_below(name) && name.is_at_or_below(&DnsName::root()));
    if let Some(parent) = name.parent() {
        assert!(name.is_child_of(&parent) && name.is_at_or_below(&parent) && !parent.is_at_or_below(name));
        let first = name.labels().next().unwrap();
        assert_eq!(parent.child(first).as_ref(), Ok(name));
    }
    let reversed: Vec<&[u8]> = name.labels().rev().collect();
    assert!(reversed.iter().rev().copied().eq(name.labels()));
    if let Some(other) = revouch_resolver::convert::name(name) {
        assert_eq!(revouch_resolver::convert::dns_name(&other).as_ref(), Some(name));
    }
}

/// What stands in policies, and comes back in records.
fn small(text: &str) {
    if let Ok(found) = text.parse::<RrType>() {
        assert_eq!(found.to_string().parse(), Ok(found));
    }
    if let Ok(found) = text.parse::<NamePattern>() {
        assert_eq!(found.to_string().parse(), Ok(found));
    }
    if let Ok(found) = text.parse::<AddressPrefix>() {
        assert_eq!(found.to_string().parse(), Ok(found));
    }
    if let Ok(found) = text.parse::<Service>() {
        assert_eq!(found.to_string().parse(), Ok(found));
    }
}

fn escaped(octets: &[u8]) {
    let text = escape(octets);
    assert!(is_printable(&text) && text.len() <= MAX_ESCAPED + 8);
}

fn pem(octets: &[u8]) {
    let Ok(chain) = Chain::from_pem(octets) else { return };
    let sizes: usize = chain.certificates().iter().map(|certificate| certificate.len()).sum();
    assert!((1..=MAX_CERTIFICATES).contains(&chain.certificates().len()) && sizes <= MAX_OCTETS);
    let json = serde_json::to_string(&chain).unwrap();
    assert_eq!(serde_json::from_str::<Chain>(&json).unwrap(), chain);
}
