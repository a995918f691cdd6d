//! The public x509-limbo suite: path and name validation, each case held against `testdata/limbo.tsv`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod support;

use revouch_validator::cert::CertificateFacts;
use revouch_validator::chain::Chain;
use revouch_validator::path::{Anchors, CrlPolicy, Crls, PathRequest, Purpose, validate};
use revouch_validator::timestamp::Timestamp;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use serde_json::Value;
use support::{Row, hold_against, variant, vectors};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The time of the cases that name none: 2026-01-01.
const DEFAULT_TIME: u64 = 1_767_225_600;

#[test]
fn limbo_results_are_the_committed_ones() {
    let suite = vectors("x509-limbo.json");
    let rows: Vec<Row> = suite["testcases"].as_array().unwrap().iter().map(row).collect();
    assert_eq!(rows.len(), 208);
    hold_against("limbo.tsv", &rows);
}

fn row(case: &Value) -> Row {
    let expected = case["expected_result"].as_str().unwrap().to_ascii_lowercase();
    let result = judge(case);
    let agrees = result.is_ok() == (expected == "success");
    let ours = result.err().map_or("accepted".to_owned(), |why| format!("refused: {why}"));
    Row { id: case["id"].as_str().unwrap().to_owned(), expected, ours, agrees }
}

/// Path, then name, as for a server certificate on an outbound connection (R16).
fn judge(case: &Value) -> Result<(), String> {
    let pem =
        std::iter::once(&case["peer_certificate"]).chain(case["untrusted_intermediates"].as_array().unwrap());
    let chain: String = pem.map(|text| text.as_str().unwrap()).collect();
    let chain = Chain::from_pem(chain.as_bytes()).map_err(|error| format!("{error:?}"))?;
    let facts = CertificateFacts::parse(chain.leaf()).map_err(|error| variant(&error))?;
    let trusted = case["trusted_certs"].as_array().unwrap();
    let (anchors, _) =
        Anchors::from_der(trusted.iter().map(|text| CertificateDer::from_pem_slice(bytes(text)).unwrap()));
    let lists = case["crls"].as_array().unwrap();
    let (crls, rejected) = Crls::from_der(
        lists.iter().map(|text| CertificateRevocationListDer::from_pem_slice(bytes(text)).unwrap().to_vec()),
    );
    if !rejected.is_empty() {
        return Err("crl_rejected".to_owned());
    }
    let now = case["validation_time"].as_str().map_or(DEFAULT_TIME, |text| {
        OffsetDateTime::parse(text, &Rfc3339).unwrap().unix_timestamp().try_into().unwrap()
    });
    let client = case["validation_kind"] == "CLIENT";
    let request = PathRequest {
        chain: &chain,
        facts: &facts,
        purpose: if client { Purpose::Client } else { Purpose::Server },
        anchors: &anchors,
        crls: &crls,
        crl_policy: CrlPolicy::default(),
    };
    validate(&request, Timestamp(now)).outcome.map_err(|error| variant(&error))?;
    let one = std::iter::once(&case["expected_peer_name"]).filter(|name| !name.is_null());
    let mut names = one.chain(case["expected_peer_names"].as_array().unwrap());
    if names.all(|name| presents(&facts, name)) { Ok(()) } else { Err("name".to_owned()) }
}

fn presents(facts: &CertificateFacts, name: &Value) -> bool {
    let value = name["value"].as_str().unwrap();
    match name["kind"].as_str().unwrap() {
        "DNS" => value.parse().is_ok_and(|reference| facts.matches_dns(&reference).is_some()),
        "IP" => facts.matches_ip(value.parse().unwrap()),
        // Mail addresses identify nobody here.
        _ => true,
    }
}

fn bytes(text: &Value) -> &[u8] {
    text.as_str().unwrap().as_bytes()
}
