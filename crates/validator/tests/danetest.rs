//! OpenSSL's DANE vectors: every certificate usage, held against `testdata/danetest.tsv`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod support;

use revouch_validator::chain::Chain;
use revouch_validator::dane::{DaneRefusal, DaneRequest, verify};
use revouch_validator::name::DnsName;
use revouch_validator::path::{Anchors, CrlPolicy, Crls};
use revouch_validator::rr::Tlsa;
use revouch_validator::timestamp::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;
use support::{Row, hold_against, variant, vectors};

/// 2026-01-01; the certificates live until 3015, but for leaves that are never valid.
const NOW: Timestamp = Timestamp(1_767_225_600);

#[test]
fn danetest_results_are_the_committed_ones() {
    let suite = vectors("danetest.json");
    let rows: Vec<Row> =
        suite["vectors"].as_array().unwrap().iter().map(|v| row(v, &suite["trust_anchors"])).collect();
    assert_eq!(rows.len(), 55);
    hold_against("danetest.tsv", &rows);
}

fn row(vector: &Value, anchors: &Value) -> Row {
    let expected = match vector["expected"]["ok"].as_bool().unwrap() {
        true => format!("ok at depth {}", vector["expected"]["match_depth"]),
        false => vector["expected"]["openssl_verify_name"].as_str().unwrap().to_owned(),
    };
    let (ours, agrees) = match judge(vector, anchors) {
        Ok(depth) => (format!("ok at depth {depth}"), expected == format!("ok at depth {depth}")),
        Err(refusal) => {
            let why = match &refusal {
                DaneRefusal::Path(error) => variant(error),
                other => variant(other),
            };
            let same = matches!(
                (expected.as_str(), why.as_str()),
                ("X509_V_ERR_DANE_NO_MATCH", "no_match")
                    | ("X509_V_ERR_HOSTNAME_MISMATCH", "name")
                    | ("X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "unknown_issuer")
            );
            (why, same)
        }
    };
    Row { id: vector["id"].as_str().unwrap().to_owned(), expected, ours, agrees }
}

/// The depth of the certificate that a record matched.
fn judge(vector: &Value, anchors: &Value) -> Result<usize, DaneRefusal> {
    let pem: String =
        vector["chain_pem"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let chain = Chain::from_pem(pem.as_bytes()).unwrap();
    let records: Vec<Tlsa> = vector["tlsa"].as_array().unwrap().iter().map(record).collect();
    let names: Vec<DnsName> = vector["reference_names"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap().parse().unwrap())
        .collect();
    let trusted = anchors[vector["trust_anchors_ref"].as_str().unwrap()].as_array().unwrap();
    let (anchors, rejected) = Anchors::from_der(
        trusted.iter().map(|text| CertificateDer::from_pem_slice(text.as_str().unwrap().as_bytes()).unwrap()),
    );
    assert_eq!(rejected, []);
    let request = DaneRequest {
        chain: &chain,
        records: &records,
        secure: true,
        names: &names,
        // As RFC 7671 section 5.1 has it, whatever the vector's flag says.
        ee_name_check: false,
        anchors: &anchors,
        crls: &Crls::none(),
        crl_policy: CrlPolicy::default(),
    };
    verify(&request, NOW).map(|accepted| accepted.matched.unwrap().depth)
}

fn record(value: &Value) -> Tlsa {
    let number = |field: &str| u8::try_from(value[field].as_u64().unwrap()).unwrap();
    let data = data_encoding::HEXLOWER.decode(value["data_hex"].as_str().unwrap().as_bytes()).unwrap();
    Tlsa { usage: number("usage"), selector: number("selector"), matching: number("matching"), data }
}
