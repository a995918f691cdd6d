#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod warnings;
mod whole;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use revouch_validator::policy::{Dnssec, Mode, TlsaMode};

use super::*;
use crate::config::{
    DnsProtocol, LogFormat, LogLevel, Loopback, MinVersion, PublicTrust, SendProxy, Upstream, Validation,
};
use crate::load::SourceFile;
use crate::parse::parse;

/// 2026-11-24T06:59:59Z.
const NOW: Timestamp = Timestamp(1_795_503_599);

const LISTENER: &str = "\
kind: Listener
metadata: {name: api}
spec:
  bind: [\"[::]:8443\"]
  tls: {certificates: [{certFile: tls.crt, keyFile: tls.key}]}
  limits: {handshakeDeadline: 10s}
  routes:
  - {name: partners, serverNames: [api.example.net], upstream: {address: \"10.20.0.5:8080\", sendProxy: V2}}
  - {name: rest, upstream: {unix: /run/app.sock}}
";

fn policy(spec: &str) -> String {
    format!(
        "kind: PeerPolicy\nmetadata: {{name: p}}\nspec:\n  targetRefs: [{{kind: Listener, name: api}}]\n{spec}"
    )
}

fn sources(files: &[(&str, String)]) -> Vec<SourceDocument> {
    let read = |(path, text): &(&str, String)| {
        parse(&Arc::new(SourceFile { path: path.into(), text: text.clone() }))
            .unwrap_or_else(|e| panic!("{e:?}\n{text}"))
    };
    files.iter().flat_map(read).collect()
}

/// Each document with its version, one file.
fn text(documents: &[String]) -> String {
    let with_version = |document: &String| format!("apiVersion: revouch.dev/v1alpha1\n{document}");
    documents.iter().map(with_version).collect::<Vec<_>>().join("---\n")
}

/// Documents, each in a file of its own: `0.yaml`, `1.yaml`, …; line 1 is the apiVersion.
fn compile_files(documents: &[String]) -> Result<Compiled, Diagnostics> {
    let names: Vec<String> = (0..documents.len()).map(|index| format!("{index}.yaml")).collect();
    let files: Vec<_> = names
        .iter()
        .zip(documents)
        .map(|(name, document)| (name.as_str(), text(std::slice::from_ref(document))))
        .collect();
    compile(&sources(&files), NOW)
}

fn compiled(documents: &[String]) -> Compiled {
    compile_files(documents).unwrap_or_else(|e| panic!("{e}"))
}

fn errors(documents: &[String]) -> Vec<String> {
    let found = compile_files(documents).err().map(|d| d.0).unwrap_or_default();
    found.iter().filter(|d| d.is_error()).map(ToString::to_string).collect()
}

fn warnings(documents: &[String]) -> Vec<String> {
    compiled(documents).warnings.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refused(documents: &[String], place: &str, what: &str) {
    let errors = errors(documents);
    let hit = errors.iter().any(|e| e.starts_with(&format!("{place}:")) && e.contains(what));
    assert!(hit && errors.len() == 1, "{place} {what:?} wanted, but: {errors:#?}");
}

#[track_caller]
fn warned(documents: &[String], place: &str, what: &str) {
    let warnings = warnings(documents);
    let hit = warnings.iter().any(|e| e.starts_with(&format!("{place}:")) && e.contains(what));
    assert!(hit, "{place} {what:?} wanted, but: {warnings:#?}");
}

fn exemption(spec: &str) -> String {
    format!("kind: DnssecExemption\nmetadata: {{name: corp}}\nspec:\n{spec}")
}

fn resolver(spec: &str) -> String {
    format!("kind: ResolverOverride\nmetadata: {{name: corp-dns}}\nspec:\n{spec}")
}

fn mesh(spec: &str) -> String {
    format!("kind: MeshConfig\nmetadata: {{name: default}}\nspec:\n{spec}")
}

#[test]
fn the_listener_of_the_reference_compiles_to_what_it_says() {
    let config = compiled(&[LISTENER.into(), policy("")]).config;
    let listener = config.listener("api").unwrap();
    assert_eq!(listener.bind, ["[::]:8443".parse::<SocketAddr>().unwrap()]);
    assert_eq!(listener.certificates[0].cert_file, PathBuf::from("tls.crt"));
    assert_eq!((listener.min_version, &*listener.alpn), (MinVersion::Tls12, &[][..]));
    assert_eq!(listener.limits, crate::config::Limits::default());
    let name = |text: &str| text.parse().unwrap();
    assert_eq!(listener.route(Some(&name("api.example.net"))).unwrap().name, "partners");
    assert_eq!(listener.route(Some(&name("other.example"))).unwrap().name, "rest");
    assert_eq!(listener.route(None).unwrap().name, "rest");
    let [partners, rest] = &*listener.routes else { panic!("two routes") };
    assert_eq!(partners.upstream, Upstream::Tcp("10.20.0.5:8080".parse().unwrap()));
    assert_eq!((partners.send_proxy, rest.send_proxy), (SendProxy::V2, SendProxy::None));
    assert_eq!(rest.upstream, Upstream::Unix("/run/app.sock".into()));
    assert!(Arc::ptr_eq(partners.policy.as_ref().unwrap(), rest.policy.as_ref().unwrap()));
    assert_eq!(config.policies().len(), 1);
    assert_eq!(config.process, crate::config::ProcessConfig::default());
}

#[test]
fn what_a_policy_leaves_out_is_the_documented_default() {
    let config = compiled(&[LISTENER.into(), policy("")]).config;
    let policy = Arc::clone(config.policies()[0]);
    assert_eq!(policy.policy, PolicyDraftDefault::build());
    assert_eq!(policy.trust.public, PublicTrust::Bundled);
    assert_eq!(policy.loopback, Loopback::Warn);
    assert!(policy.client_ca_files.is_empty() && policy.trust.ca_files.is_empty());
}

/// The validator's own defaults, which are those of the reference.
struct PolicyDraftDefault;

impl PolicyDraftDefault {
    fn build() -> revouch_validator::policy::Policy {
        revouch_validator::policy::PolicyDraft::default().build().unwrap()
    }
}

#[test]
fn contradictions_of_a_policy_are_refused_at_their_place() {
    for (spec, place, what) in [
        ("  identity: {names: []}\n", "1.yaml:6:14", "identity.names is empty"),
        ("  identity:\n    names:\n", "1.yaml:7:5", "identity.names is empty"),
        ("  identity: {addresses: []}\n", "1.yaml:6:14", "identity.addresses is empty"),
        ("  identity: {confirm: Forward}\n", "1.yaml:6:14", "needs identity.names"),
        ("  identity: {confirm: None}\n", "1.yaml:6:14", "needs identity.names"),
        (
            "  identity:\n    confirm: Forward\n    names:\n    - a.example\n    - \"*.b.example\"\n",
            "1.yaml:10:7",
            "a wildcard cannot be resolved",
        ),
        ("  eku: {serverAuth: Reject}\n", "1.yaml:6:9", "both Reject"),
        ("  eku: {both: AsClientAuth}\n", "1.yaml:6:9", "where that class is Reject"),
        (
            "  eku: {serverAuth: Reject, clientAuth: Accept, any: AsServerAuth}\n  clientAuth: {trust: {caFiles: [c]}}\n",
            "1.yaml:6:49",
            "where that class is Reject",
        ),
        (
            "  eku: {serverAuth: Reject, clientAuth: Accept, absent: AsServerAuth}\n  clientAuth: {trust: {caFiles: [c]}}\n",
            "1.yaml:6:49",
            "where that class is Reject",
        ),
        ("  eku: {clientAuth: Accept}\n", "1.yaml:6:9", "needs clientAuth.trust"),
        ("  trust: {public: None}\n", "1.yaml:6:11", "trusts nobody"),
        ("  dns: {deadline: 0s}\n", "1.yaml:6:9", "between 1ms and 60s"),
        ("  dns: {deadline: 99999h}\n", "1.yaml:6:9", "between 1ms and 60s"),
        ("  dns: {deadline: 10s}\n", "1.yaml:6:9", "not below the handshakeDeadline of Listener api, 10s"),
        ("  dns: {maxNames: 0}\n", "1.yaml:6:9", "between 1 and 64"),
        ("  dns: {ports: []}\n", "1.yaml:6:9", "leave it out"),
        ("  dns: {ports: [443, 0]}\n", "1.yaml:6:22", "from 1 to 65535"),
        ("  dns: {ports: [1, 2, 3, 4, 5, 6, 7, 8, 9]}\n", "1.yaml:6:9", "too long"),
        ("  onDnsChange: Close\n", "1.yaml:6:3", "not supported"),
    ] {
        refused(&[LISTENER.into(), policy(spec)], place, what);
    }
    assert!(
        errors(&[LISTENER.into(), policy("  trust: {public: None}\n  dns: {tlsa: Require}\n")]).is_empty()
    );
    assert!(errors(&[LISTENER.into(), policy("  trust: {public: None, caFiles: [a]}\n")]).is_empty());
    assert!(errors(&[LISTENER.into(), policy("  dns: {deadline: 9999ms}\n")]).is_empty());
}

#[test]
fn all_contradictions_are_told_at_once() {
    let spec = "  identity: {names: []}\n  eku: {serverAuth: Reject}\n  trust: {public: None}\n  dns: {maxNames: 99}\n";
    let listener = LISTENER.replace("10.20.0.5:8080", "0.0.0.0:1").replace("10s", "1ms");
    assert_eq!(errors(&[listener, policy(spec)]).len(), 7);
}

#[test]
fn targets_must_exist_and_be_listeners() {
    let with = |target: &str| policy("").replace("{kind: Listener, name: api}", target);
    for (target, place, what) in [
        ("{kind: Listener, name: apo}", "1.yaml:5:33", "there is no Listener apo: did you mean api?"),
        ("{name: apo}", "1.yaml:5:17", "there is no Listener apo"),
        (
            "{kind: Listener, name: api, sectionName: partner}",
            "1.yaml:5:44",
            "no route partner: did you mean partners?",
        ),
        (
            "{kind: Service, name: api}",
            "1.yaml:5:17",
            "Service is not supported in files: they know only Listener",
        ),
        ("{kind: Namespace}", "1.yaml:5:17", "Namespace is not supported in files"),
        ("{kind: Listener}", "1.yaml:5:16", "name: is missing"),
        ("", "1.yaml:5:3", "is empty"),
    ] {
        refused(&[LISTENER.into(), with(target)], place, what);
    }
    refused(
        &[LISTENER.into(), policy("").replace("  targetRefs: [{kind: Listener, name: api}]\n", "  {}\n")],
        "1.yaml:4:1",
        "targetRefs: is missing",
    );
}

#[test]
fn two_policies_for_the_same_route_are_refused() {
    let other = policy("").replace("name: p}", "name: q}");
    refused(
        &[LISTENER.into(), policy(""), other.clone()],
        "2.yaml:5:16",
        "PeerPolicy p at 1.yaml:1:1 has this target already",
    );
    let section = |name: &str, mode: &str| {
        policy(mode)
            .replace("name: p}", &format!("name: {name}}}"))
            .replace("name: api}", "name: api, sectionName: rest}")
    };
    refused(&[LISTENER.into(), section("a", ""), section("b", "")], "2.yaml:5:16", "has this target already");
    let config = compiled(&[LISTENER.into(), policy("  mode: Audit\n"), section("a", "")]).config;
    let names: Vec<_> =
        config.listeners[0].routes.iter().map(|r| r.policy.as_ref().unwrap().name.clone()).collect();
    assert_eq!(names, ["p", "a"], "the section's policy wins, and whole");
    assert_eq!(config.listeners[0].routes[1].policy.as_ref().unwrap().policy.mode, Mode::Enforce);
    let twice = policy("").replace("[{kind: Listener, name: api}]", "[{name: api}, {name: api}]");
    refused(&[LISTENER.into(), twice], "1.yaml:5:29", "has this target already");
}

#[test]
fn each_object_is_there_once() {
    refused(
        &[LISTENER.into(), LISTENER.into(), policy("")],
        "1.yaml:3:12",
        "this Listener is there already, at 0.yaml:1:1",
    );
    let process = |name: &str| format!("kind: ProxyConfig\nmetadata: {{name: {name}}}\nspec: {{}}\n");
    refused(
        &[LISTENER.into(), policy(""), process("a"), process("b")],
        "3.yaml:3:12",
        "only one ProxyConfig",
    );
    refused(
        &[LISTENER.into(), policy(""), mesh("  {}\n").replace("default", "other")],
        "2.yaml:3:12",
        "called default",
    );
    refused(&[policy("")], "0.yaml:5:33", "there is no Listener api");
    refused(
        &["kind: ProxyConfig\nmetadata: {name: a}\nspec: {}\n".into()],
        "0.yaml:1:1",
        "no Listener among",
    );
}

#[test]
fn addresses_that_leave_each_other_alone_may_have_the_same_port() {
    for bind in [
        "[\"[::]:8443\", \"0.0.0.0:8443\"]",
        "[\"[::1]:8443\", \"127.0.0.1:8443\"]",
        "[\"127.0.0.1:8443\", \"127.0.0.2:8443\"]",
        "[\"0.0.0.0:8443\", \"[::1]:8443\"]",
        "[\"[::]:0\", \"127.0.0.1:0\"]",
    ] {
        let listener = LISTENER.replace("[\"[::]:8443\"]", bind);
        assert_eq!(compiled(&[listener, policy("")]).config.listener("api").unwrap().bind.len(), 2, "{bind}");
    }
}

#[test]
fn contradictions_of_a_listener_are_refused_at_their_place() {
    for (from, to, place, what) in [
        ("  bind: [\"[::]:8443\"]\n", "", "0.yaml:4:1", "spec.bind: is missing"),
        ("[\"[::]:8443\"]", "[]", "0.yaml:5:3", "is empty"),
        ("[\"[::]:8443\"]", "[\"[::]:8443\", \"[::]:8443\"]", "0.yaml:5:23", "taken by Listener api"),
        ("[\"[::]:8443\"]", "[\"[::]:8443\", \"127.0.0.1:8443\"]", "0.yaml:5:23", "taken by Listener api"),
        ("[\"[::]:8443\"]", "[\"[::1]:8443\", \"[::]:8443\"]", "0.yaml:5:24", "taken by Listener api"),
        ("[\"[::]:8443\"]", "[\"0.0.0.0:8443\", \"127.0.0.1:8443\"]", "0.yaml:5:26", "taken by Listener api"),
        ("[\"[::]:8443\"]", "[\"[::]:15020\"]", "0.yaml:5:10", "taken by the ProxyConfig's metrics.bind"),
        (
            "[\"[::]:8443\"]",
            "[\"127.0.0.1:15020\"]",
            "0.yaml:5:10",
            "taken by the ProxyConfig's metrics.bind",
        ),
        (
            "{certificates: [{certFile: tls.crt, keyFile: tls.key}]}",
            "{}",
            "0.yaml:6:3",
            "certificates: is missing",
        ),
        ("[{certFile: tls.crt, keyFile: tls.key}]", "[]", "0.yaml:6:9", "is empty"),
        (", keyFile: tls.key", "", "0.yaml:6:24", "keyFile: is missing"),
        ("handshakeDeadline: 10s", "handshakeDeadline: 6m", "0.yaml:7:12", "between 10ms and 5m"),
        ("handshakeDeadline: 10s", "handshakesInFlight: 0", "0.yaml:7:12", "between 1 and"),
        ("handshakeDeadline: 10s", "evidencePerSource: 0", "0.yaml:7:12", "between 1 and"),
        ("name: rest, ", "", "0.yaml:10:5", "name: is missing"),
        ("name: rest", "name: partners", "0.yaml:10:6", "routes[0] has the name partners already"),
        (", upstream: {unix: /run/app.sock}", "", "0.yaml:10:5", "upstream: is missing"),
        ("{unix: /run/app.sock}", "{}", "0.yaml:10:18", "address or unix is missing"),
        ("{unix: /run/app.sock}", "{unix: a, address: \"192.0.2.1:1\"}", "0.yaml:10:18", "not both"),
        ("10.20.0.5:8080", "0.0.0.0:8080", "0.yaml:9:65", "nothing to connect to"),
        ("10.20.0.5:8080", "10.20.0.5:0", "0.yaml:9:65", "nothing to connect to"),
        ("[api.example.net]", "[]", "0.yaml:9:22", "would take nobody"),
    ] {
        assert!(LISTENER.contains(from), "{from}");
        refused(&[LISTENER.replace(from, to), policy("")], place, what);
    }
    let long = LISTENER.replace("/run/app.sock", &format!("/{}", "a".repeat(107)));
    refused(&[long, policy("")], "0.yaml:10:29", "longer than a socket's");
}

#[test]
fn defaults_of_the_mesh_fill_field_by_field_and_constraints_tighten() {
    let defaults = "  defaults:\n    mode: Audit\n    dns: {dnssec: Required, deadline: 1s}\n    trust: {caFiles: [corp.pem]}\n";
    let own = policy("  dns: {tlsa: Require, deadline: 2s}\n  trust: {public: None}\n");
    let config = compiled(&[LISTENER.into(), own.clone(), mesh(defaults)]).config;
    let policy_of = |config: &Config| (*config.policies()[0].policy).clone();
    let filled = policy_of(&config);
    assert_eq!((filled.dnssec, filled.tlsa), (Dnssec::Required, TlsaMode::Require));
    assert_eq!((filled.deadline_ms, filled.mode), (2000, Mode::Audit));
    assert_eq!(config.policies()[0].trust.public, PublicTrust::None);
    assert_eq!(config.policies()[0].trust.ca_files, [PathBuf::from("corp.pem")]);

    let constrained = mesh(&format!("{defaults}  constraints: {{mode: Enforce}}\n"));
    let files = [LISTENER.into(), own, constrained];
    assert_eq!(policy_of(&compiled(&files).config).mode, Mode::Enforce);
    warned(&files, "2.yaml:6:5", "Audit is overridden");
}

#[test]
fn what_a_default_breaks_is_told_at_the_default() {
    let documents =
        [LISTENER.into(), policy(""), mesh("  defaults:\n    identity:\n      confirm: Forward\n")];
    refused(&documents, "2.yaml:7:7", "(set by the defaults of the MeshConfig)");
    let targets = mesh("  defaults:\n    targetRefs: [{name: api}]\n");
    refused(&[LISTENER.into(), policy(""), targets], "2.yaml:6:5", "each PeerPolicy names its own targets");
    let namespaces = mesh("  constraints: {exemptions: {namespaces: [platform]}}\n");
    refused(&[LISTENER.into(), policy(""), namespaces], "2.yaml:5:30", "not supported in files");
}

#[test]
fn r13_exemptions_cover_their_targets_and_end() {
    let all = exemption(
        "  zones: [Corp.example, 168.192.in-addr.arpa]\n  reason: split horizon\n  notAfter: \"2027-06-30T00:00:00Z\"\n  targetRefs: []\n",
    );
    let config = compiled(&[LISTENER.into(), policy(""), all.clone()]).config;
    let listed = |config: &Config, route: usize| {
        let policy = config.listeners[0].routes[route].policy.clone().unwrap();
        policy.policy.exemptions.listed.iter().map(|e| e.zone.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&config, 0), ["168.192.in-addr.arpa", "corp.example"]);
    assert_eq!(config.resolver.exempt_zones.len(), 2);
    let one = all.replace("targetRefs: []", "targetRefs: [{name: api, sectionName: rest}]");
    let config = compiled(&[LISTENER.into(), policy(""), one.clone()]).config;
    assert_eq!((listed(&config, 0).len(), listed(&config, 1).len()), (0, 2));
    assert_eq!(config.policies().len(), 2);

    refused(&[LISTENER.into(), policy(""), one.replace("rest", "rst")], "2.yaml:8:28", "did you mean rest?");
    refused(
        &[LISTENER.into(), policy(""), one.replace("{name: api, sectionName: rest}", "{kind: Namespace}")],
        "2.yaml:8:17",
        "only Listener",
    );
    refused(
        &[LISTENER.into(), policy(""), exemption("  zones: [a.example]\n")],
        "2.yaml:4:1",
        "reason: is missing",
    );
    refused(
        &[LISTENER.into(), policy(""), exemption("  zones: [a.example]\n  reason: \" \"\n")],
        "2.yaml:6:3",
        "is empty",
    );
    refused(&[LISTENER.into(), policy(""), exemption("  reason: x\n")], "2.yaml:4:1", "zones: is missing");
    refused(
        &[LISTENER.into(), policy(""), exemption("  zones: []\n  reason: x\n")],
        "2.yaml:5:3",
        "is empty",
    );
    warned(
        &[LISTENER.into(), policy(""), all.replace("2027", "2025")],
        "2.yaml:7:3",
        "expired at 2025-06-30T00:00:00Z",
    );
    warned(
        &[LISTENER.into(), policy(""), exemption("  zones: [\".\"]\n  reason: x\n")],
        "2.yaml:5:11",
        "every name there is",
    );
    warned(
        &[LISTENER.into(), policy(""), exemption("  zones: [a.example]\n  reason: x\n")],
        "2.yaml:4:1",
        "never ends",
    );
}

#[test]
fn the_mesh_limits_how_long_exemptions_last_and_the_built_in_list() {
    let limit = mesh(
        "  constraints: {exemptions: {maxAge: 90d}}\n  dns: {trustAnchorFile: root.key, builtinExemptZones: Disabled}\n",
    );
    let with = |not_after: &str| {
        let exemption = exemption(&format!("  zones: [a.example]\n  reason: x\n{not_after}"));
        [LISTENER.into(), policy(""), exemption, limit.clone()]
    };
    refused(
        &with("  notAfter: \"2027-06-30T00:00:00Z\"\n"),
        "2.yaml:7:3",
        "at most 2027-02-22T06:59:59Z now",
    );
    refused(&with(""), "2.yaml:4:1", "wants an end");
    let config = compiled(&with("  notAfter: \"2027-02-01T00:00:00Z\"\n")).config;
    assert_eq!(config.resolver.trust_anchor_file, Some("root.key".into()));
    assert!(!config.resolver.builtin_exempt_zones && !config.policies()[0].policy.exemptions.built_in);
}

#[test]
fn r14_overrides_name_their_servers() {
    let spec = "  zones: [corp.example, \".\"]\n  servers:\n  - {address: 10.0.0.53}\n  - {address: \"[2001:db8::1]:5353\", protocol: Tcp}\n  - {address: 192.0.2.1, protocol: Tls}\n  - {address: 192.0.2.2, protocol: Https, serverName: dns.example, path: /q}\n";
    let config = compiled(&[LISTENER.into(), policy(""), resolver(spec)]).config;
    let [found] = &*config.resolver.overrides else { panic!("one override") };
    let servers: Vec<_> = found.servers.iter().map(|s| (s.address.to_string(), s.protocol.clone())).collect();
    assert_eq!(servers[0], ("10.0.0.53:53".into(), DnsProtocol::Udp));
    assert_eq!(servers[1], ("[2001:db8::1]:5353".into(), DnsProtocol::Tcp));
    assert_eq!(servers[2], ("192.0.2.1:853".into(), DnsProtocol::Tls { server_name: "192.0.2.1".into() }));
    assert_eq!(
        servers[3],
        ("192.0.2.2:443".into(), DnsProtocol::Https { server_name: "dns.example".into(), path: "/q".into() })
    );
    assert_eq!((found.validation, found.timeout), (Validation::Validate, Duration::from_secs(1)));
    assert_eq!(found.zones.iter().map(ToString::to_string).collect::<Vec<_>>(), [".", "corp.example"]);
}

#[test]
fn contradictions_of_an_override_are_refused_at_their_place() {
    let with =
        |server: &str, more: &str| resolver(&format!("  zones: [a.example]\n  servers: [{server}]\n{more}"));
    for (document, place, what) in [
        (with("{address: 10.0.0.53, protocol: Quic}", ""), "2.yaml:6:34", "Quic is not supported"),
        (with("{address: 10.0.0.53, serverName: a.example}", ""), "2.yaml:6:34", "has no effect"),
        (with("{address: 10.0.0.53, protocol: Tls, path: /x}", ""), "2.yaml:6:49", "has no effect"),
        (with("{address: 10.0.0.53, protocol: Https, path: x}", ""), "2.yaml:6:51", "a path such as"),
        (with("{protocol: Udp}", ""), "2.yaml:6:13", "address: is missing"),
        (with("{address: 0.0.0.0}", ""), "2.yaml:6:14", "nothing to send a question to"),
        (with("", ""), "2.yaml:6:3", "is empty"),
        (with("{address: 10.0.0.53}", "  validation: TrustAd\n"), "2.yaml:6:13", "could forge its AD bit"),
        (with("{address: 10.0.0.53}", "  timeout: 0s\n"), "2.yaml:7:3", "between 1ms and 60s"),
        (resolver("  servers: [{address: 10.0.0.53}]\n"), "2.yaml:4:1", "zones: is missing"),
        (resolver("  zones: [a.example]\n"), "2.yaml:4:1", "servers: is missing"),
        (
            resolver("  zones: [a.example, A.example.]\n  servers: [{address: 10.0.0.53}]\n"),
            "2.yaml:5:22",
            "in ResolverOverride corp-dns already",
        ),
    ] {
        refused(&[LISTENER.into(), policy(""), document], place, what);
    }
    for server in [
        "{address: 127.0.0.1}",
        "{address: \"::1\"}",
        "{address: 192.0.2.1, protocol: Tls}",
        "{address: 192.0.2.1, protocol: Https}",
    ] {
        let document = with(server, "  validation: TrustAd\n");
        assert!(errors(&[LISTENER.into(), policy(""), document]).is_empty(), "{server}");
    }
}

#[test]
fn the_process_is_as_its_document_says() {
    let process = |spec: &str| format!("kind: ProxyConfig\nmetadata: {{name: default}}\nspec: {spec}\n");
    let whole = "{metrics: {bind: \"127.0.0.1:1\"}, log: {format: Text, level: debug, file: a.log}, threads: 2, drain: 1m30s, maxConnections: 5}";
    let config = compiled(&[LISTENER.into(), policy(""), process(whole)]).config.process;
    assert_eq!(config.metrics.port(), 1);
    assert_eq!((config.log_format, config.log_level), (LogFormat::Text, LogLevel::Debug));
    assert_eq!((config.log_file, config.threads), (Some("a.log".into()), 2));
    assert_eq!((config.drain, config.max_connections), (Duration::from_secs(90), 5));
    let null = "{log: {file: null}}";
    assert_eq!(compiled(&[LISTENER.into(), policy(""), process(null)]).config.process.log_file, None);
    for (spec, place, what) in [
        ("{threads: 1025}", "2.yaml:4:8", "at most 1024"),
        ("{drain: 25h}", "2.yaml:4:8", "at most 24h"),
        ("{maxConnections: 0}", "2.yaml:4:8", "between 1 and"),
    ] {
        refused(&[LISTENER.into(), policy(""), process(spec)], place, what);
    }
}
