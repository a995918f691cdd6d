#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;

use prometheus::TextEncoder;
use prometheus::proto::LabelPair;

use super::*;

const DOCUMENT: &str = include_str!("../../../../docs/operations.md");

fn text(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

/// Name → (type, labels) of the rows of the table under "## Metrics".
fn documented() -> BTreeMap<String, (String, String)> {
    let section = DOCUMENT.split("\n## ").find(|section| section.starts_with("Metrics\n")).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        (cells[1].trim_matches('`').to_owned(), (cells[2].to_owned(), cells[3].replace('`', "")))
    })
    .collect()
}

#[test]
fn the_documented_table_and_the_registry_are_the_same() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    metrics.certificates([("api".to_owned(), 0, Timestamp(1))]);
    let mut registered = BTreeMap::new();
    for family in registry.gather() {
        let labels: Vec<&str> = family.get_metric()[0].get_label().iter().map(LabelPair::name).collect();
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        registered.insert(family.name().to_owned(), (kind, labels.join(", ")));
    }
    assert_eq!(documented(), registered);
}

#[test]
fn every_reason_has_a_series_from_the_start() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let before = text(&registry);
    for reason in Reason::ALL {
        for outcome in ["refused", "audited"] {
            let line = format!("revouch_handshakes_total{{outcome=\"{outcome}\",reason=\"{reason}\"}} 0");
            assert!(before.contains(&line), "{line}");
        }
    }
    assert!(before.contains("revouch_handshakes_total{outcome=\"accepted\",reason=\"none\"} 0"));
    for (index, reason) in Reason::ALL.iter().enumerate() {
        for _ in 0..=index {
            metrics.handshake_refused(*reason);
        }
        let line = format!("{{outcome=\"refused\",reason=\"{reason}\"}} {}\n", index + 1);
        assert!(text(&registry).contains(&line), "{line}");
    }
}

#[test]
fn labels_count_what_they_say() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    metrics.bytes(Direction::In, 3);
    metrics.bytes(Direction::Out, 5);
    metrics.path_cache(CacheResult::Miss);
    metrics.dns_question(AnswerSource::Upstream, &Outcome::Failure(DnsFailure::IntoExemptZone));
    metrics.dns_question(AnswerSource::Cache, &Outcome::Failure(DnsFailure::Timeout));
    metrics.evidence(EvidenceSource::Upstream, Duration::from_millis(3));
    metrics.handshake_audited(Reason::NoPtr);
    let text = text(&registry);
    for line in [
        "revouch_bytes_total{direction=\"in\"} 3",
        "revouch_bytes_total{direction=\"out\"} 5",
        "revouch_path_cache_lookups_total{result=\"miss\"} 1",
        "revouch_path_cache_lookups_total{result=\"hit\"} 0",
        "revouch_dns_queries_total{result=\"into_exempt_zone\"} 1",
        "revouch_dns_queries_total{result=\"timeout\"} 0",
        "revouch_evidence_seconds_count{source=\"upstream\"} 1",
        "revouch_evidence_seconds_count{source=\"cache\"} 0",
        "revouch_handshakes_total{outcome=\"audited\",reason=\"no_ptr\"} 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_certificate_that_is_gone_has_no_expiry() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    metrics.certificates([("a".to_owned(), 0, Timestamp(10)), ("b".to_owned(), 1, Timestamp(20))]);
    metrics.certificates([("b".to_owned(), 1, Timestamp(30))]);
    let text = text(&registry);
    assert!(text.contains("revouch_certificate_expiry_seconds{index=\"1\",listener=\"b\"} 30"), "{text}");
    assert!(!text.contains("listener=\"a\""), "{text}");
}

#[test]
fn a_failed_reload_keeps_generation_and_time() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    metrics.config_loaded(1, Timestamp(1000));
    metrics.config_failed();
    let text = text(&registry);
    for line in [
        "revouch_config_generation 1\n",
        "revouch_config_last_reload_successful 0\n",
        "revouch_config_last_reload_success_timestamp_seconds 1000\n",
        "revouch_config_reload_failures_total 1\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn the_process_is_measured() {
    let registry = Registry::new();
    let _metrics = Metrics::new(&registry).unwrap();
    let value = |name: &str| -> f64 {
        let text = text(&registry);
        text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap().parse().unwrap()
    };
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_max_fds") >= value("process_open_fds"));
    assert!(value("process_cpu_seconds_total") > 0.0);
    assert!(value("process_start_time_seconds") > 1.6e9);
}
