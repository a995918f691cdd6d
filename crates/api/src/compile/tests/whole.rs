//! What holds for a configuration as a whole: its parts alone, its order, and what is told back of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use revouch_validator::policy::Confirm;

use super::*;
use crate::effective::Effective;

#[test]
fn a_policy_can_be_compiled_without_its_listener() {
    let documents = |texts: &[String]| sources(&[("a.yaml", text(texts))]);
    let other = policy("").replace("name: p}", "name: q}");
    let covering =
        exemption("  zones: [a.example]\n  reason: x\n  targetRefs: [{name: api, sectionName: s}]\n");
    let elsewhere = covering
        .replace("name: corp", "name: x")
        .replace("name: api", "name: b")
        .replace("a.example", "b.example");
    let alone =
        compile_alone(&documents(&[policy("  mode: Audit\n"), covering, elsewhere]), None, NOW).unwrap();
    assert_eq!(alone.policy.policy.mode, Mode::Audit);
    let zones: Vec<_> = alone.policy.policy.exemptions.listed.iter().map(|e| e.zone.to_string()).collect();
    assert_eq!(zones, ["a.example"]);
    assert!(alone.warnings.iter().any(|w| w.to_string().contains("Audit")));
    let fail = |texts: &[String], name: Option<&str>| {
        compile_alone(&documents(texts), name, NOW).unwrap_err().to_string()
    };
    let both = [policy(""), other];
    assert_eq!(compile_alone(&documents(&both), Some("q"), NOW).unwrap().policy.name, "q");
    assert!(fail(&both, None).contains("which PeerPolicy is meant? There are p, q"));
    assert!(fail(&both, Some("r")).contains("no PeerPolicy of this name, only p, q"));
    assert!(fail(&[LISTENER.into()], None).contains("there is no PeerPolicy"));
    assert!(fail(&[policy("  eku: {serverAuth: Reject}\n")], None).contains("both Reject"));
}

#[test]
fn files_and_their_order_do_not_matter() {
    let other = LISTENER.replace("name: api", "name: b").replace("8443", "9443");
    let documents = [
        LISTENER.to_owned(),
        other,
        policy("  identity: {names: [b.example, a.example]}\n"),
        policy("").replace("name: p}", "name: q}").replace("name: api", "name: b"),
        exemption("  zones: [corp.example]\n  reason: x\n"),
        resolver("  zones: [corp.example]\n  servers: [{address: 10.0.0.1}]\n"),
        resolver("  zones: [b.example]\n  servers: [{address: 10.0.0.1}]\n").replace("corp-dns", "a"),
        mesh("  defaults: {dns: {tlsa: Require}}\n"),
    ];
    let many = compiled(&documents).config;
    let one = compile(&sources(&[("all.yaml", text(&documents))]), NOW).unwrap().config;
    let mut reversed = documents;
    reversed.reverse();
    assert_eq!(many, one);
    assert_eq!(many, compiled(&reversed).config);
}

#[test]
fn the_effective_configuration_tells_every_field() {
    let config =
        compiled(&[LISTENER.into(), policy(""), exemption("  zones: [a.example]\n  reason: x\n")]).config;
    let yaml = serde_yaml::to_string(&Effective::from(&config)).unwrap();
    for line in [
        "deadline: 2500ms",
        "drain: 30s",
        "bind: 127.0.0.1:15020",
        "minVersion: '1.2'",
        "handshakesInFlight: 1000",
        "mixed: RejectOtherTypes",
        "forwardIdentity: ClientAuthOnly",
        "loopback: Warn",
        "onDnsChange: Keep",
        "zone: a.example",
        "builtinExemptZones: Enabled",
        "public: Bundled",
        "evidencePerNetwork: 100",
    ] {
        let wanted = line.replace("2500ms", "2s500ms");
        assert!(yaml.contains(&wanted), "{wanted}:\n{yaml}");
    }
}

/// Specs of policies that compile, made of lines that go together.
fn specs() -> impl Strategy<Value = String> {
    let pick = |lines: &'static [&'static str]| prop::sample::select(lines);
    (
        pick(&["", "  mode: Audit\n"]),
        pick(&[
            "",
            "  eku: {both: AsServerAuth, absent: AsServerAuth}\n",
            "  eku: {clientAuth: Accept}\n  clientAuth: {subjects: Any, trust: {caFiles: [c.pem]}}\n",
        ]),
        pick(&[
            "",
            "  identity: {names: [a.example, \"*.b.example\"], addresses: [192.0.2.0/24]}\n",
            "  identity: {confirm: Forward, names: [a.example]}\n",
        ]),
        pick(&[
            "",
            "  dns: {dnssec: Required, ports: [25], extraTypes: [HTTPS, TYPE99], deadline: 1s5ms}\n",
            "  dns: {services: [_a._tcp], caa: Ignore, maxNames: 3}\n",
        ]),
        pick(&[
            "",
            "  trust: {public: None, caFiles: [a.pem], crlFiles: [b.crl], crlUnknown: Refuse}\n",
            "  trust: {public: Platform}\n",
        ]),
        pick(&[
            "",
            "  forwardIdentity: Always\n",
            "  upstream: {loopback: Allow}\n",
            "  deviceNames: {mixed: Reject}\n",
        ]),
    )
        .prop_map(|(a, b, c, d, e, f)| [a, b, c, d, e, f].concat())
}

proptest! {
    #[test]
    fn the_effective_policy_compiles_to_itself(spec in specs()) {
        let config = compiled(&[LISTENER.into(), policy(&spec)]).config;
        let effective = Effective::from(&config);
        let told = effective.listeners[0].routes[0].policy.as_ref().unwrap();
        let json = serde_yaml::to_string(&told.spec).unwrap().replace('\n', "\n  ");
        let again = compiled(&[LISTENER.into(), policy(&format!("  {}\n", json.trim_end()))]).config;
        prop_assert_eq!(again, config);
    }
}

#[test]
fn confirm_stays_what_it_was() {
    let forward = policy("  identity: {confirm: Forward, names: [gw.partner.example]}\n");
    let config = compiled(&[LISTENER.into(), forward]).config;
    assert_eq!(config.policies()[0].policy.confirm, Confirm::Forward);
}
