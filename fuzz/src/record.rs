//! Records of decisions: any JSON is refused or replayed without harm, the same each time, also after it was written out and read
//! again; and an accepted peer is one that its record vouches for.
//!
//! The input is a record, or (its first octet is not `{`) a list of changes to one of the records that are built in.

use std::sync::LazyLock;

use revouch_validator::answer::DnssecStatus;
use revouch_validator::cert::CertificateFacts;
use revouch_validator::evidence::Evidence;
use revouch_validator::policy::{BothEku, ClassChoice, Confirm, Dnssec, TlsaMode, UnmarkedEku};
use revouch_validator::record::{MAX_RECORD, Record};
use revouch_validator::rr::{RecordData, RrType};
use revouch_validator::verdict::{Identity, PeerClass, Verdict};
use serde_json::Value;

/// Records that were made by the tests of the validator.
const BASES: [&str; 4] = [
    include_str!("../records/full.json"),
    include_str!("../records/address.json"),
    include_str!("../records/person.json"),
    include_str!("../records/dane.json"),
];

/// Every value of every base, to be put elsewhere.
static VALUES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut values =
        vec![Value::Null, Value::Bool(true), Value::Bool(false), 0.into(), "".into(), u64::MAX.into()];
    for base in BASES {
        gather(&serde_json::from_str(base).unwrap(), &mut values);
    }
    let words = "Audit Accept Reject AsServerAuth AsClientAuth Forward None Required Require Ignore Prefer Allow Refuse Always Never secure \
                 insecure exempt timeout servfail nodata nxdomain local corp.test . *.example.test 0.0.0.0/0 ::1";
    values.extend(words.split_whitespace().map(Value::from));
    values
});

/// Reads and replays a record.
pub fn run(data: &[u8]) {
    if data.first() == Some(&b'{') {
        assert!(data.len() <= MAX_RECORD);
        if let Ok(record) = Record::from_json(data) {
            replay(&record);
        }
        if let Ok(evidence) = serde_json::from_slice::<Evidence>(data) {
            let text = serde_json::to_vec(&evidence).unwrap();
            assert_eq!(serde_json::from_slice::<Evidence>(&text).unwrap(), evidence);
        }
        return;
    }
    let Some((base, changes)) = data.split_first() else { return };
    let mut record: Value = serde_json::from_str(BASES[usize::from(*base) % BASES.len()]).unwrap();
    for change in changes.chunks_exact(6).take(12) {
        apply(&mut record, change);
    }
    if let Ok(record) = Record::from_json(record.to_string().as_bytes()) {
        replay(&record);
    }
}

fn gather(value: &Value, values: &mut Vec<Value>) {
    if !values.contains(value) && value.to_string().len() < 4096 {
        values.push(value.clone());
    }
    match value {
        Value::Object(map) => map.values().for_each(|value| gather(value, values)),
        Value::Array(list) => list.iter().for_each(|value| gather(value, values)),
        _ => {}
    }
}

fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), found))
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, value)| places(value, &format!("{at}/{i}"), found))
        }
        _ => {}
    }
    found.push(at.to_owned());
}

/// One change: a kind, a place, a value.
fn apply(record: &mut Value, change: &[u8]) {
    let number = |high: u8, low: u8| usize::from(u16::from_be_bytes([high, low]));
    let mut found = Vec::new();
    places(record, "", &mut found);
    let place = found[number(change[1], change[2]) % found.len()].clone();
    let value = VALUES[number(change[3], change[4]) % VALUES.len()].clone();
    let Some(target) = record.pointer_mut(&place) else { return };
    match (change[0] % 5, target) {
        (0, target) => *target = value,
        (1, Value::Array(list)) => list.insert(usize::from(change[5]) % (list.len() + 1), value),
        (2, Value::Array(list)) if !list.is_empty() => drop(list.remove(usize::from(change[5]) % list.len())),
        (2, Value::Object(map)) if !map.is_empty() => {
            let key = map.keys().nth(usize::from(change[5]) % map.len()).unwrap().clone();
            map.remove(&key);
        }
        (3, Value::Number(number)) => {
            let step = i64::from(change[5].cast_signed()) * if change[3] & 1 == 0 { 1 } else { 3600 };
            *number = number.as_u64().unwrap_or(0).saturating_add_signed(step).into();
        }
        (4, Value::String(text)) => {
            // Names and base64 alike: one character becomes another of the text.
            let mut octets = text.clone().into_bytes();
            if octets.is_ascii() && !octets.is_empty() {
                let length = octets.len();
                octets[number(change[3], change[5]) % length] = octets[usize::from(change[4]) % length];
                *text = String::from_utf8(octets).unwrap();
            }
        }
        _ => {}
    }
}

fn replay(record: &Record) {
    let verdict = record.replay();
    assert_eq!(record.replay(), verdict, "a replay differs from another");
    let text = record.to_json().unwrap();
    let again = Record::from_json(text.as_bytes()).expect("what was written can be read");
    assert_eq!(again.to_json().unwrap(), text);
    assert_eq!(again.replay(), verdict, "a replay of what was written differs");
    let told = serde_json::to_string(&verdict).unwrap();
    assert!(told.bytes().all(|byte| byte >= 0x20), "{told}");
    assert_eq!(verdict.is_accepted(), verdict.reason().is_none());
    if verdict.is_accepted() {
        vouched(record, &verdict);
    }
    let forwarded = verdict.forwarded_identity(&record.policy);
    assert!(forwarded.is_none() || verdict.is_accepted());
}

/// What must stand in a record whose peer is accepted, looked up without the decision's help.
fn vouched(record: &Record, verdict: &Verdict) {
    let policy = &record.policy;
    let accepted = verdict.accepted().unwrap();
    let facts = CertificateFacts::parse(record.chain.leaf()).expect("a leaf that cannot be read is accepted");
    assert!(facts.key.weak().is_none(), "a weak key");
    let source = record.connection.source();
    if let Some(prefixes) = &policy.addresses {
        assert!(prefixes.iter().any(|prefix| prefix.contains(source)), "{source} is not listed");
    }
    let by_leaf = accepted.tlsa().is_some_and(|tlsa| tlsa.usage == 3);
    if !by_leaf {
        let at = record.now.0;
        assert!((facts.not_before.0..=facts.not_after.0).contains(&at), "out of its dates");
        assert!(accepted.path().is_some(), "no path");
    }
    let [server, client, any] = [facts.eku.server_auth(), facts.eku.client_auth(), facts.eku.any()];
    assert!(policy.both != BothEku::Reject || !(server && client), "both purposes");
    match verdict.class() {
        Some(PeerClass::Server) => {
            assert_eq!(policy.server_auth, ClassChoice::Accept);
            let marked = server || policy.both == BothEku::AsServerAuth && client;
            let unmarked = (facts.eku.is_absent() && policy.absent == UnmarkedEku::AsServerAuth)
                || (any && policy.any == UnmarkedEku::AsServerAuth);
            assert!(marked || unmarked || by_leaf, "{:?} is taken for a server", facts.eku);
        }
        Some(PeerClass::Device | PeerClass::Person) => {
            assert!(
                policy.client_auth == ClassChoice::Accept && client,
                "{:?} is taken for a client",
                facts.eku
            );
        }
        None => panic!("accepted without a class"),
    }
    if let Some(matched) = accepted.tlsa() {
        let sets = record
            .evidence
            .iter()
            .flat_map(Evidence::iter)
            .filter(|asked| asked.question.rr_type == RrType::TLSA);
        let stands = sets.filter_map(|asked| asked.outcome.as_result().ok()).any(|answer| {
            let secure = answer.status == DnssecStatus::Secure || matched.usage < 2;
            let in_time = answer.signatures.is_none_or(|window| window.contains(record.now));
            let same = |data: &RecordData| match data {
                RecordData::Tlsa(tlsa) => {
                    (tlsa.usage, tlsa.selector, tlsa.matching)
                        == (matched.usage, matched.selector, matched.matching)
                }
                _ => false,
            };
            secure && in_time && answer.records.iter().any(same)
        });
        assert!(stands, "{matched} stands in no TLSA set that counts");
    }
    let Identity::Name(name) = accepted.identity() else {
        assert!(
            policy.names.is_none() || verdict.class() == Some(PeerClass::Person),
            "no name, though names are listed"
        );
        if let Identity::Address(address) = accepted.identity() {
            assert_eq!(*address, source);
            assert!(facts.matches_ip(source), "{source} is not in the certificate");
        }
        return;
    };
    let name = name.name();
    let evidence = record.evidence.as_ref().expect("a name without evidence");
    if policy.confirm == Confirm::ReverseDns {
        let reverse = revouch_validator::name::DnsName::reverse(source);
        let pointers =
            evidence.outcome(&reverse, RrType::PTR).expect("PTR was not asked").expect("PTR failed");
        assert!(pointers.records.contains(&RecordData::Ptr(name.clone())), "{name} is not a PTR of {source}");
    }
    if policy.confirm != Confirm::None {
        let (rr_type, address) = match source {
            std::net::IpAddr::V4(v4) => (RrType::A, RecordData::A(v4)),
            std::net::IpAddr::V6(v6) => (RrType::AAAA, RecordData::Aaaa(v6)),
        };
        let forward =
            evidence.outcome(name, rr_type).expect("forward was not asked").expect("forward failed");
        assert!(forward.records.contains(&address), "{name} is not at {source}");
        assert!(
            forward.signatures.is_none_or(|window| window.contains(record.now)),
            "a signature is out of its time"
        );
        if policy.dnssec == Dnssec::Required {
            assert_ne!(forward.status, DnssecStatus::Insecure);
        }
        assert!(!by_leaf || forward.status == DnssecStatus::Secure, "usage 3 over an unsigned name");
    }
    if let Some(listed) = &policy.names {
        assert!(listed.iter().any(|pattern| pattern.matches(name)), "{name} is not listed");
    }
    if !by_leaf {
        assert!(facts.matches_dns(name).is_some(), "{name} is not in the certificate");
    }
    assert!(
        policy.tlsa != TlsaMode::Require || accepted.tlsa().is_some(),
        "without the TLSA record that is required"
    );
    assert!(policy.tlsa != TlsaMode::Ignore || accepted.tlsa().is_none());
}
