//! What is legal and unwise.

#![allow(clippy::indexing_slicing, reason = "tests")]

use super::*;

#[test]
fn what_is_unwise_is_warned_about_at_its_place() {
    let named = "  identity: {names: [a.example]}\n";
    assert!(warnings(&[LISTENER.into(), policy(named)]).is_empty());
    warned(&[LISTENER.into(), policy("")], "0.yaml:9:5", "open to every server that DNS vouches for");
    for federation in [
        "  dns: {services: [_xmpps-server._tcp]}\n",
        "  dns: {ports: [25]}\n",
        "  identity: {addresses: [192.0.2.0/24]}\n",
    ] {
        assert!(warnings(&[LISTENER.into(), policy(federation)]).is_empty(), "{federation}");
    }
    assert!(warnings(&[LISTENER.replace("8443", "25"), policy("")]).is_empty());
    for (spec, place, what) in [
        ("  mode: Audit\n", "1.yaml:6:3", "Audit lets in"),
        ("  identity: {confirm: None, names: [a.example]}\n", "1.yaml:6:14", "from any address"),
        ("  dns: {tlsa: Ignore}\n", "1.yaml:6:9", "R11"),
        ("  trust: {crlUnknown: Refuse}\n", "1.yaml:6:11", "without crlFiles"),
        ("  clientAuth: {subjects: Device}\n", "1.yaml:6:3", "has no effect"),
        ("  identity: {names: [\"*.example\"]}\n", "1.yaml:6:22", "top-level domain"),
        ("  forwardIdentity: Always\n", "0.yaml:10:18", "without sendProxy: V2"),
    ] {
        warned(&[LISTENER.into(), policy(spec)], place, what);
    }
    warned(&[LISTENER.into()], "0.yaml:9:5", "no PeerPolicy: it refuses every peer (no_policy)");
    let no_route = LISTENER.split("  routes").next().unwrap().to_owned();
    warned(std::slice::from_ref(&no_route), "0.yaml:4:1", "there is no route");
    warned(&[no_route, policy(named)], "1.yaml:5:3", "holds for no route");
    let limits = LISTENER.replace("handshakeDeadline: 10s", "handshakesInFlight: 5, handshakesPerSource: 6");
    warned(&[limits, policy(named)], "0.yaml:7:35", "one source could take all");
}

#[test]
fn routes_that_are_never_reached_are_warned_about() {
    let named = policy("  identity: {names: [a.example]}\n");
    let with = |names: &str| {
        LISTENER.replace(
            "  - {name: rest, ",
            &format!("  - {{name: more, serverNames: {names}, upstream: {{unix: s}}}}\n  - {{name: rest, "),
        )
    };
    warned(
        &[with("[b.example, api.example.net]"), named.clone()],
        "0.yaml:10:43",
        "route partners before it takes it",
    );
    let wildcard = with("[x.example]").replace("[api.example.net]", "[\"*.example\"]");
    warned(&[wildcard, named.clone()], "0.yaml:10:32", "x.example never gets here");
    warned(&[with("[b.example, B.example]"), named.clone()], "0.yaml:10:43", "there twice");
    let all = LISTENER.replace("serverNames: [api.example.net], ", "");
    warned(&[all, named.clone()], "0.yaml:10:5", "route partners before it takes every server name");
    assert!(warnings(&[with("[b.example]"), named]).is_empty());
}

#[test]
fn c3_2d_a_loopback_upstream_is_warned_about_forbidden_or_allowed() {
    for address in ["127.0.0.1:8080", "127.9.9.9:8080", "[::1]:8080", "[::ffff:127.0.0.1]:8080"] {
        let listener = LISTENER.replace("10.20.0.5:8080", address);
        warned(&[listener.clone(), policy("")], "0.yaml:9:65", "C3.2d");
        refused(
            &[listener.clone(), policy("  upstream: {loopback: Forbid}\n")],
            "0.yaml:9:65",
            "loopback: Forbid",
        );
        let warnings = warnings(&[listener, policy("  upstream: {loopback: Allow}\n")]);
        assert!(!warnings.iter().any(|w| w.contains("C3.2d")), "{warnings:?}");
    }
}
