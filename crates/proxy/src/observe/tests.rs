#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Registry, TextEncoder};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, SanType,
};
use revouch_api::config::LogFormat;
use revouch_validator::answer::{Answer, DnssecStatus};
use revouch_validator::chain::Chain;
use revouch_validator::connection::Connection;
use revouch_validator::decide::{Case, decide};
use revouch_validator::evidence::{AnswerSource, Outcome as Observed, Question};
use revouch_validator::name::DnsName;
use revouch_validator::path::Anchors;
use revouch_validator::policy::{ClassChoice, PolicyDraft};
use revouch_validator::rr::{RecordData, RrType};
use revouch_validator::timestamp::Timestamp;
use revouch_validator::trust::TrustStore;
use serde_json::Value;

use super::*;
use crate::events::{Close, Decided, RouteHandle, TlsFacts};
use crate::lines::{Destination, Lines};
use crate::runtime::{Route, UpstreamAddress};

const DOCUMENT: &str = include_str!("../../../../docs/operations.md");

fn end(outcome: Outcome) -> ConnectionEnd {
    ConnectionEnd {
        listener: "api".into(),
        generation: 3,
        source: "192.0.2.7:4711".parse().unwrap(),
        local: "192.0.2.1:8443".parse().unwrap(),
        started: UNIX_EPOCH,
        ended: SystemTime::UNIX_EPOCH + Duration::from_secs(1),
        lasted: Duration::from_secs(1),
        server_name: Some("a\n\"b".to_owned()),
        alpn: Some(b"h2\x00".to_vec()),
        route: Some("partners".into()),
        policy: Some("partner-api".into()),
        outcome,
        verdict: Some(Arc::new(Verdict::refusal(Reason::NoPtr))),
        decided: None,
        mode: Some(Mode::Enforce),
        asked_upstream: Some(true),
        handshake: Duration::from_millis(12),
        evidence: Some(Duration::from_micros(3100)),
        tls: TlsFacts {
            version: Some("TLSv1.3"),
            group: Some("X25519MLKEM768"),
            cipher: Some("TLS13_AES_128_GCM_SHA256"),
        },
        alert: Some(AlertDescription::AccessDenied),
        peer_alert: Some(AlertDescription::UnknownCA),
        detail: Some("x\u{202e}".to_owned()),
        upstream: Some("10.20.0.5:8080".to_owned()),
        bytes_in: 5,
        bytes_out: 6,
        close: Close::Refused,
    }
}

/// The end of a connection from `source` that was refused.
pub(crate) fn refused(source: SocketAddr, reason: Reason) -> ConnectionEnd {
    ConnectionEnd { source, ..end(Outcome::Refused(reason)) }
}

fn json(end: &ConnectionEnd) -> Value {
    serde_json::from_str(&line(end).json()).unwrap()
}

/// The names in the table under "### Access log".
fn documented() -> BTreeSet<String> {
    let section = DOCUMENT.split("\n### ").find(|section| section.starts_with("Access log\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        row.split('|').nth(1).unwrap().split(',').map(|name| name.trim().trim_matches('`').to_owned())
    })
    .collect()
}

#[test]
fn every_field_that_is_written_is_documented_and_the_other_way_about() {
    // Every name stands in this module's source as the first argument of what adds a field, but for two pairs.
    let source = include_str!("../observe.rs");
    let written: BTreeSet<String> = source
        .split("line.")
        .filter_map(|call| {
            call.split_once("(\"")
                .filter(|(method, _)| method.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        })
        .filter_map(|(_, rest)| rest.split('"').next())
        .chain(["time", "source", "source_port", "class", "claimed_class", "identity", "claimed_identity"])
        .map(str::to_owned)
        .collect();
    assert_eq!(written, documented());
    for name in json(&end(Outcome::Refused(Reason::NoPtr))).as_object().unwrap().keys() {
        assert!(written.contains(name), "{name}");
    }
}

#[test]
fn the_line_tells_what_became_of_the_connection() {
    let line = json(&end(Outcome::Refused(Reason::NoPtr)));
    for (name, value) in [
        ("listener", "api"),
        ("route", "partners"),
        ("policy", "partner-api"),
        ("sni", "a\\010\\\"b"),
        ("source", "192.0.2.7"),
        ("outcome", "refused"),
        ("reason", "no_ptr"),
        ("alert", "access_denied"),
        ("peer_alert", "unknown_ca"),
        ("alpn", "h2\\000"),
        ("detail", "x\\226\\128\\174"),
        ("tls_group", "X25519MLKEM768"),
        ("close", "refused"),
    ] {
        assert_eq!(line[name], value, "{name}");
    }
    assert_eq!(line["evidence_ms"], 3.1);
    assert_eq!(line["source_port"], 4711);
    assert_eq!(line["generation"], 3);
}

#[test]
fn an_identity_is_claimed_until_the_handshake_has_proven_it() {
    let verdict = accepting();
    for (outcome, proven) in [
        (Outcome::Accepted, true),
        (Outcome::Refused(Reason::BadSignature), false),
        (Outcome::Refused(Reason::HandshakeTimeout), false),
        (Outcome::Unfinished, false),
    ] {
        let line = json(&ConnectionEnd { verdict: Some(Arc::clone(&verdict)), ..end(outcome) });
        let (there, absent) =
            if proven { ("identity", "claimed_identity") } else { ("claimed_identity", "identity") };
        assert_eq!(line[there], "CN=Ann \\226\\128\\174Example", "{outcome:?}");
        assert!(line.get(absent).is_none(), "{outcome:?}");
        let class = if proven { "class" } else { "claimed_class" };
        assert_eq!(line[class], "person", "{outcome:?}");
    }
}

#[test]
fn a_refused_line_names_the_check_the_candidate_what_was_seen_and_the_certificate() {
    let names: Vec<String> = (0..20).map(|n| format!("gw{n}.example.test")).collect();
    let chain = server_chain(&names);
    let spki = Fingerprint::of(&CertificateFacts::parse(chain.leaf()).unwrap().spki).to_string();
    for outcome in [Outcome::Refused(Reason::NotConfirmed), Outcome::Audited(Reason::NotConfirmed)] {
        let line = json(&unconfirmed(&chain, outcome));
        assert_eq!((&line["check"], &line["candidate"]), (&"forward".into(), &"gw1.example.test".into()));
        assert_eq!(line["seen"], "A: other addresses (secure)");
        let told: Vec<&str> = line["cert_names"].as_str().unwrap().split(',').collect();
        assert_eq!(
            (told.len(), told[0], told[7], told[8]),
            (9, "dns:gw0.example.test", "dns:gw7.example.test", "+12")
        );
        assert_eq!(line["spki_sha256"], spki.as_str());
    }
    // The handshake failed for another reason: the check that refused is not that of the line.
    let line = json(&unconfirmed(&chain, Outcome::Refused(Reason::HandshakeTimeout)));
    assert!(line.get("check").is_none() && line.get("seen").is_none(), "{line}");
    assert_eq!(line["spki_sha256"], spki.as_str());
    for outcome in [Outcome::Accepted, Outcome::Unfinished] {
        let line = json(&unconfirmed(&chain, outcome));
        assert!(line.get("check").is_none() && line.get("cert_names").is_none(), "{line}");
    }
}

#[test]
fn names_of_a_certificate_are_escaped_and_bounded() {
    let long = format!("{}.example.test", "x\"".repeat(400));
    for (names, expected) in [
        (
            vec!["a,ip:192.0.2.9".to_owned(), "b\"\n\\c".to_owned()],
            "dns:a\\044ip:192.0.2.9,dns:b\\\"\\010\\\\c",
        ),
        (vec!["a.test".to_owned(), long.clone(), "b.test".to_owned()], "dns:a.test,+2"),
        (vec![long], "+1"),
    ] {
        let line = json(&unconfirmed(&server_chain(&names), Outcome::Refused(Reason::NotConfirmed)));
        assert_eq!(line["cert_names"], expected);
    }
}

#[test]
fn one_end_is_one_line_and_one_count() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let destination = Destination::File(path.clone());
    let (lines, writer) = Lines::start(&destination, metrics.log_dropped().clone()).unwrap();
    let telemetry = Telemetry::new(metrics, AccessLog::new(lines, LogFormat::Json));
    let ends = [
        end(Outcome::Accepted),
        end(Outcome::Audited(Reason::NoPtr)),
        end(Outcome::Refused(Reason::LimitSource)),
        ConnectionEnd { close: Close::UpstreamUnreachable, ..end(Outcome::Accepted) },
        ConnectionEnd { close: Close::Lost, ..end(Outcome::Unfinished) },
    ];
    for end in &ends {
        telemetry.opened("api");
        telemetry.ended(end);
    }
    drop(telemetry);
    writer.finish();
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text.lines().count(), ends.len());
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in [
        "revouch_handshakes_total{outcome=\"accepted\",reason=\"none\"} 2",
        "revouch_handshakes_total{outcome=\"audited\",reason=\"no_ptr\"} 1",
        "revouch_handshakes_total{outcome=\"refused\",reason=\"limit_source\"} 1",
        "revouch_handshake_seconds_count 3",
        "revouch_connections_total 5",
        "revouch_connections_active 0",
        "revouch_upstream_connect_failures_total 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_flood_that_limits_turn_away_is_counted_each_and_told_in_two_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let destination = Destination::File(path.clone());
    let (lines, writer) = Lines::start(&destination, metrics.log_dropped().clone()).unwrap();
    let telemetry = Telemetry::new(metrics, AccessLog::new(lines, LogFormat::Json));
    for n in 0..=99 {
        telemetry.ended(&refused(SocketAddr::from(([192, 0, 2, n], 4711)), Reason::LimitSource));
        telemetry.ended(&refused(SocketAddr::from(([192, 0, 2, n], 4711)), Reason::NoPtr));
    }
    telemetry.tell_rest();
    drop(telemetry);
    writer.finish();
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |reason: &str| lines.iter().filter(|line| line["reason"] == reason).collect::<Vec<_>>();
    assert_eq!(of("no_ptr").len(), 100);
    let [first, rest] = of("limit_source")[..] else { panic!("{text}") };
    assert_eq!((&first["source"], first.get("repeated")), (&Value::from("192.0.2.0"), None));
    assert_eq!((&rest["source"], &rest["repeated"]), (&Value::from("192.0.2.99"), &Value::from(99)));
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for reason in ["limit_source", "no_ptr"] {
        let series = format!("revouch_handshakes_total{{outcome=\"refused\",reason=\"{reason}\"}} 100\n");
        assert!(text.contains(&series), "{text}");
    }
}

/// A verdict that accepts a person (R1): the one kind that needs no evidence.
fn accepting() -> Arc<Verdict> {
    let issuer = {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Ann \u{202e}Example");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let leaf = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    let draft =
        PolicyDraft { client_auth: ClassChoice::Accept, has_client_trust: true, ..PolicyDraft::default() };
    let case = Case {
        policy: &draft.build().unwrap(),
        chain: &Chain::new(vec![leaf.der().clone()]).unwrap(),
        connection: &Connection::new("192.0.2.7:4711".parse().unwrap(), 8443),
        evidence: None,
        trust: &TrustStore { client: Anchors::from_der([issuer.der().clone()]).0, ..TrustStore::none() },
        now: Timestamp(1_795_503_599),
    };
    let verdict = decide(&case);
    assert!(verdict.is_accepted(), "{verdict:?}");
    Arc::new(verdict)
}

/// A chain of one certificate with these dNSName entries, whatever stands in them.
fn server_chain(names: &[String]) -> Chain {
    let mut params = CertificateParams::default();
    params.subject_alt_names =
        names.iter().map(|name| SanType::DnsName(name.as_str().try_into().unwrap())).collect();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    Chain::new(vec![leaf.der().clone()]).unwrap()
}

/// The end of a connection whose PTR names `gw1.example.test`, which has another address.
fn unconfirmed(chain: &Chain, outcome: Outcome) -> ConnectionEnd {
    let connection = Connection::new("192.0.2.7:4711".parse().unwrap(), 8443);
    let name: DnsName = "gw1.example.test".parse().unwrap();
    let mut evidence = Evidence::new(connection.source());
    for (owner, rr_type, data) in [
        (DnsName::reverse(connection.source()), RrType::PTR, RecordData::Ptr(name.clone())),
        (name, RrType::A, RecordData::A("192.0.2.99".parse().unwrap())),
    ] {
        evidence.insert(Observation {
            question: Question::new(owner, rr_type),
            outcome: Observed::Answer(Answer {
                records: vec![data],
                chain: Vec::new(),
                status: DnssecStatus::Secure,
                negative: None,
                wildcard: false,
                ttl: 0,
                signatures: None,
            }),
            group: "system".to_owned(),
            source: AnswerSource::Upstream,
            upstream_queries: 1,
            elapsed_us: 0,
        });
    }
    let now = Timestamp(1_795_503_599);
    let verdict = decide(&Case {
        policy: &PolicyDraft::default().build().unwrap(),
        chain,
        connection: &connection,
        evidence: Some(&evidence),
        trust: &TrustStore::none(),
        now,
    });
    assert_eq!(verdict.reason(), Some(Reason::NotConfirmed), "{verdict:?}");
    let route = Route {
        name: "partners".into(),
        server_names: Vec::new(),
        policy: None,
        upstream: UpstreamAddress::Unix("app.sock".into()),
        send_proxy: false,
    };
    let route = RouteHandle(Arc::new(route));
    let decided = Decided { chain: chain.clone(), evidence: Some(Arc::new(evidence)), now, route };
    ConnectionEnd { verdict: Some(Arc::new(verdict)), decided: Some(decided), ..end(outcome) }
}
