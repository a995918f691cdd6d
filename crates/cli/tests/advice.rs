//! What `revouch check` and `revouch explain` tell of a refusal: who must change what, of a record and of the proxy's own lines.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use common::{GOOD, Lab, Run, revouch, revouch_with};
use revouch_proxy::events::{Close, ConnectionEnd, Decided, Outcome, RouteHandle, TlsFacts};
use revouch_proxy::observe::line;
use revouch_proxy::runtime::{Route, UpstreamAddress};
use revouch_validator::record::Record;
use serde_json::Value;

/// What each piece of advice says, behind who it is for.
fn advice(run: &Run) -> Vec<String> {
    let json = run.json();
    let told = json["advice"].as_array().map(Vec::as_slice).unwrap_or_default();
    let one =
        |advice: &Value| format!("{}: {}", advice["who"].as_str().unwrap(), advice["what"].as_str().unwrap());
    told.iter().map(one).collect()
}

/// The line that the proxy writes of this decision.
fn line_of(record: &Path) -> String {
    let record = Record::from_json(&std::fs::read(record).unwrap()).unwrap();
    let verdict = record.replay();
    let route = Arc::new(Route {
        name: "all".into(),
        server_names: Vec::new(),
        policy: None,
        upstream: UpstreamAddress::Unix("app.sock".into()),
        send_proxy: false,
    });
    let end = ConnectionEnd {
        listener: "xmpp".into(),
        generation: 1,
        source: (record.connection.source(), 40_000).into(),
        local: "127.0.0.1:5269".parse().unwrap(),
        started: UNIX_EPOCH,
        ended: UNIX_EPOCH,
        lasted: Duration::ZERO,
        server_name: None,
        alpn: None,
        route: None,
        policy: None,
        outcome: Outcome::Refused(verdict.reason().unwrap()),
        verdict: Some(Arc::new(verdict)),
        decided: Some(Decided {
            chain: record.chain,
            evidence: record.evidence.map(Arc::new),
            now: record.now,
            route: RouteHandle(route),
        }),
        mode: None,
        asked_upstream: None,
        handshake: Duration::ZERO,
        evidence: None,
        tls: TlsFacts::default(),
        alert: None,
        peer_alert: None,
        detail: None,
        upstream: None,
        bytes_in: 0,
        bytes_out: 0,
        close: Close::Refused,
    };
    line(&end).json()
}

#[test]
fn a_line_of_the_proxy_is_explained_without_placeholders() {
    let lab = Lab::new();
    let (gw2, chain2) = lab.issue("gw2.example.test");
    let (_, chain3) = lab.issue("gw3.example.test");
    let (_, chain4) = lab.issue("gw4.example.test");
    let (_, chain5) = lab.issue("gw5.bogus.test");
    let (gw6, chain6) = lab.issue("gw6.plain.test");
    lab.policy("require.yaml", "{tlsa: Require}");
    let tlsa2 = format!("_5269._tcp.gw2.example.test. TLSA {}", gw2.tlsa(3, 1, 1).unwrap());
    let tlsa6 = format!("_5269._tcp.gw6.plain.test. TLSA {}", gw6.tlsa(1, 1, 1).unwrap());
    let cases: [(&str, &Path, &str, &str, &[&str]); 7] = [
        (
            "policy.yaml",
            &chain2,
            "127.0.3.2",
            "tlsa_mismatch",
            &["failed  tlsa of gw2.example.test: no TLSA", &tlsa2],
        ),
        (
            "policy.yaml",
            &chain3,
            "127.0.3.3",
            "not_confirmed",
            &["gw3.example.test. A 127.0.3.3", "PTR record names gw3"],
        ),
        ("policy.yaml", &chain4, "127.0.3.4", "no_ptr", &["4.3.0.127.in-addr.arpa. PTR gw4.example.test."]),
        (
            "policy.yaml",
            &chain5,
            "127.0.3.5",
            "dns_bogus",
            &["revouch dns 'gw5.bogus.test' A", "of gw5.bogus.test: A: bogus"],
        ),
        (
            "policy.yaml",
            &chain4,
            "127.0.3.1",
            "name_mismatch",
            &["dNSName gw1.example.test", "dns:gw4.example.test"],
        ),
        ("require.yaml", &chain6, "127.0.3.6", "tlsa_missing", &[&tlsa6]),
        ("policy.yaml", &chain4, "0.0.0.0", "address_not_allowed", &["no peer connects from 0.0.0.0"]),
    ];
    for (policy, chain, source, reason, wanted) in cases {
        let record = lab.path("record.json");
        let run = lab.check_with(policy, chain, source, &["--save-evidence", record.to_str().unwrap()]);
        assert!(run.code == 1 && run.stdout.contains(reason), "{reason}: {}{}", run.stdout, run.stderr);
        let run = revouch_with(["explain", "-"], &line_of(&record));
        assert!(run.stdout.starts_with(&format!("refused: {reason}\n")), "{}", run.stdout);
        for text in wanted {
            assert!(run.stdout.contains(text), "{reason}: {text} in {}", run.stdout);
        }
        assert!(!run.stdout.contains('<'), "{}", run.stdout);
    }
}

#[test]
fn without_dns_the_peer_is_not_blamed() {
    let lab = Lab::new();
    let (_, chain) = lab.issue(GOOD);
    let record = lab.path("record.json");
    let save = ["--no-dns", "--save-evidence", record.to_str().unwrap()];
    for run in [lab.check(&chain, "127.0.3.1", &save), revouch(["explain", record.to_str().unwrap()])] {
        assert!(
            run.code == 1 && run.stdout.contains("Nothing was asked of the DNS (--no-dns)"),
            "{}",
            run.stdout
        );
        assert!(!run.stdout.contains("ClientHello"), "{}", run.stdout);
    }
    // And over a record that was made for another policy.
    assert_eq!(lab.check(&chain, "127.0.3.1", &["--save-evidence", record.to_str().unwrap()]).code, 0);
    lab.policy("ports.yaml", "{ports: [99]}");
    let run = lab.check_with("ports.yaml", &chain, "127.0.3.1", &["--evidence", record.to_str().unwrap()]);
    assert!(run.code == 1 && run.stdout.contains("evidence_missing"), "{}", run.stdout);
    let wanted = "without --evidence: the record lacks _99._tcp.gw1.example.test TLSA";
    assert!(run.stdout.contains(wanted) && !run.stdout.contains("ClientHello"), "{}", run.stdout);
}

#[test]
fn a_resolver_that_does_not_answer_is_looked_after_here() {
    let lab = Lab::new();
    let (_, chain) = lab.issue(GOOD);
    // Nothing listens there: a socket that is bound and never read, so that no other program may take the port.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    lab.policy("short.yaml", "{deadline: 300ms}");
    let args = ["check", "--policy", lab.path("short.yaml").to_str().unwrap(), "--source", "127.0.3.1"]
        .map(str::to_owned);
    let more =
        ["--chain", chain.to_str().unwrap(), "--resolver", &address, "--output", "json"].map(str::to_owned);
    let run = revouch(args.iter().chain(&more));
    let reason = run.json()["reason"].as_str().unwrap().to_owned();
    assert!(run.code == 1 && ["dns_timeout", "dns_refused"].contains(&&*reason), "{}", run.stdout);
    let advice = advice(&run);
    assert_eq!(advice.len(), 1, "{advice:?}");
    let wanted = format!("revouch dns '1.3.0.127.in-addr.arpa' PTR --resolver {address})");
    assert!(advice[0].starts_with("here: ") && advice[0].contains(&wanted), "{advice:?}");
}

#[test]
fn a_question_that_failed_alone_is_told_to_both_and_advice_is_not_told() {
    let lab = Lab::new();
    let (_, chain) = lab.issue(GOOD);
    let record = lab.path("record.json");
    assert_eq!(lab.check(&chain, "127.0.3.1", &["--save-evidence", record.to_str().unwrap()]).code, 0);
    let mut json: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    let mut failed = Vec::new();
    for observation in json["evidence"]["observations"].as_array_mut().unwrap() {
        // TLSA decides, CAA and CERT advise.
        let rr_type = observation["type"].as_str().unwrap().to_owned();
        if ["TLSA", "CAA", "CERT"].contains(&&*rr_type) {
            observation.as_object_mut().unwrap().remove("answer");
            observation["failure"] = "timeout".into();
            failed.push(rr_type);
        }
    }
    assert!(
        ["TLSA", "CAA", "CERT"].iter().all(|wanted| failed.iter().any(|found| found == wanted)),
        "{failed:?}"
    );
    std::fs::write(&record, json.to_string()).unwrap();
    let run = revouch(["explain", record.to_str().unwrap(), "--output", "json"]);
    assert_eq!(run.json()["reason"], "dns_timeout", "{}", run.stdout);
    let advice = advice(&run);
    assert_eq!(advice.len(), 2, "{advice:?}");
    let owner = format!("_5269._tcp.{GOOD}");
    assert_eq!(advice[0], format!("peer: see that the zone's servers answer {owner} TLSA"));
    let wanted = format!("revouch dns '{owner}' TLSA");
    assert!(advice[1].starts_with("here: ") && advice[1].contains(&wanted), "{advice:?}");
}

#[test]
fn another_time_over_live_answers_is_not_blamed_on_the_zones() {
    let lab = Lab::new();
    let (_, chain) = lab.issue(GOOD);
    let at = ["--at", "2020-06-01T00:00:00Z", "--output", "json"];
    let run = lab.check(&chain, "127.0.3.1", &at);
    assert_eq!((run.code, &run.json()["reason"]), (1, &"dns_bogus".into()), "{}", run.stdout);
    let told = advice(&run);
    assert!(told.len() == 1 && told[0].starts_with("here: the answers are of now"), "{told:?}");
    assert!(told[0].contains("--evidence"), "{told:?}");
    // A zone that is bogus now is told as ever.
    let (_, chain) = lab.issue("gw5.bogus.test");
    let told = advice(&lab.check(&chain, "127.0.3.5", &["--output", "json"]));
    assert!(told.len() == 1 && told[0].starts_with("peer: mend the signatures"), "{told:?}");
    let server = lab.server.address().to_string();
    assert!(
        told[0].contains("revouch dns 'gw5.bogus.test' A --resolver ") && told[0].contains(&server),
        "{told:?}"
    );
}

#[test]
fn an_address_that_can_be_no_peers_is_not_to_be_added() {
    let lab = Lab::new();
    let (_, chain) = lab.issue(GOOD);
    for source in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1"] {
        let run = lab.check(&chain, source, &["--output", "json"]);
        assert_eq!(run.json()["reason"], "address_not_allowed");
        let told = advice(&run);
        assert!(told.len() == 1 && told[0].starts_with("here: no peer connects from"), "{told:?}");
    }
    let text = std::fs::read_to_string(lab.path("policy.yaml")).unwrap()
        + "  identity: {addresses: [192.0.2.0/24]}\n";
    lab.write("listed.yaml", &text);
    let told = advice(&lab.check_with("listed.yaml", &chain, "127.0.3.1", &["--output", "json"]));
    assert_eq!(told, ["here: if this peer is meant, add 127.0.3.1 to identity.addresses"]);
}

#[test]
fn a_policy_that_looks_at_the_port_wants_to_know_it() {
    let lab = Lab::new();
    lab.policy("ports.yaml", "{sourcePort: Require}");
    let (_, chain) = lab.issue(GOOD);
    let run = lab.check_with("ports.yaml", &chain, "127.0.3.1", &[]);
    assert!(run.code == 2 && run.stdout.is_empty(), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("say the port: --source IP:PORT"), "{}", run.stderr);
    assert_eq!(lab.check_with("ports.yaml", &chain, "127.0.3.1:5269", &[]).code, 1);
    lab.policy("ports.yaml", "{sourcePort: Prefer}");
    assert_eq!(lab.check_with("ports.yaml", &chain, "127.0.3.1", &[]).code, 0);
}

#[test]
fn paths_and_crls_are_told_with_what_was_seen() {
    let lab = Lab::new();
    let (_, chain) = lab.issue(GOOD);
    let odd = lab.ca.leaf().dns(GOOD).extension(&[1, 2, 3, 4], vec![5, 0], true).issue().unwrap();
    let (odd, _) = odd.write(lab.dir.path(), "odd").unwrap();
    let strict = std::fs::read_to_string(lab.path("policy.yaml"))
        .unwrap()
        .replace("caFiles", "crlUnknown: Refuse, caFiles");
    lab.write("strict.yaml", &strict);
    let long_ago = |seconds| time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    let stale = lab.ca.crl().this_update(long_ago(1_590_000_000)).next_update(long_ago(1_600_000_000));
    let stale = stale.issue().unwrap();
    let crl = lab.write("stale.crl", &stale.pem());
    let crl = ["--crl", crl.to_str().unwrap()];
    let ca = "the current CRL of O=Revouch Lab, CN=Lab Servers Intermediate";
    for (policy, chain, more, reason, wanted) in [
        (
            "strict.yaml",
            &chain,
            &[][..],
            "revocation_unknown",
            &[&*format!("here: put into trust.crlFiles {ca}")][..],
        ),
        (
            "policy.yaml",
            &chain,
            &crl[..],
            "crl_expired",
            &[&*format!("here: fetch {ca}"), "the next one was due at 2020-"][..],
        ),
        (
            "policy.yaml",
            &odd,
            &[][..],
            "path_invalid",
            &[
                "peer: present a chain",
                "a critical extension is not understood",
                "here: ",
                "revouch chain --chain",
            ],
        ),
    ] {
        let run = lab.check_with(policy, chain, "127.0.3.1", &[more, &["--output", "json"]].concat());
        assert_eq!(run.json()["reason"], reason, "{}", run.stdout);
        let told = advice(&run).join("\n");
        assert!(wanted.iter().all(|text| told.contains(text)), "{reason}: {told}");
    }
}
