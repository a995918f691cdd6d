//! The pages and examples of `docs/`, held against the code: what they show must work and mean what they say.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use revouch_api::compile::{Compiled, compile};
use revouch_api::config::{
    CompiledPolicy, DnsProtocol, MinVersion, PublicTrust, RouteConfig, SendProxy, Upstream,
};
use revouch_api::documents::Kind;
use revouch_api::load::{SourceFile, load};
use revouch_api::parse::parse;
use revouch_validator::policy::{Confirm, Dnssec, ForwardIdentity, Mode, PolicyDraft, TlsaMode};
use revouch_validator::timestamp::Timestamp;

/// 2026-11-24T06:59:59Z.
const NOW: Timestamp = Timestamp(1_795_503_599);

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn example(name: &str) -> Compiled {
    load(&docs().join("examples").join(name), NOW).unwrap_or_else(|e| panic!("{e}")).compiled
}

fn only_route(compiled: &Compiled) -> (&RouteConfig, &CompiledPolicy) {
    let [listener] = &*compiled.config.listeners else { panic!("one listener") };
    let [route] = &*listener.routes else { panic!("one route") };
    (route, route.policy.as_ref().expect("a policy"))
}

fn names(policy: &CompiledPolicy) -> Vec<String> {
    policy.policy.names.iter().flatten().map(ToString::to_string).collect()
}

#[track_caller]
fn no_warning(compiled: &Compiled) {
    assert!(compiled.warnings.is_empty(), "{:#?}", compiled.warnings);
}

#[test]
fn example_1_xmpp_federation_names_its_service_and_nothing_else() {
    let compiled = example("xmpp-federation.yaml");
    no_warning(&compiled);
    let (_, policy) = only_route(&compiled);
    let wanted =
        PolicyDraft { services: vec!["_xmpps-server._tcp".parse().unwrap()], ..PolicyDraft::default() };
    assert_eq!(policy.policy, wanted.build().unwrap());
    assert_eq!(compiled.config.listeners[0].alpn, ["xmpp-server"]);
}

#[test]
fn example_2_an_origin_lets_in_two_names_to_a_unix_socket() {
    let compiled = example("origin-behind-proxies.yaml");
    no_warning(&compiled);
    let (route, policy) = only_route(&compiled);
    assert_eq!(names(policy), ["rp1.example.net", "rp2.example.net"]);
    assert_eq!(route.upstream, Upstream::Unix("/run/app/app.sock".into()));
}

#[test]
fn example_3_smtp_is_the_defaults() {
    let compiled = example("smtp-dane.yaml");
    no_warning(&compiled);
    let (route, policy) = only_route(&compiled);
    assert_eq!(policy.policy, PolicyDraft::default().build().unwrap());
    assert_eq!((policy.policy.tlsa, policy.policy.dnssec), (TlsaMode::Honor, Dnssec::Opportunistic));
    assert_eq!(route.send_proxy, SendProxy::V2);
}

#[test]
fn example_4_a_partner_without_ptr_is_confirmed_forward() {
    let compiled = example("partner-without-ptr.yaml");
    no_warning(&compiled);
    let (route, policy) = only_route(&compiled);
    assert_eq!(
        (policy.policy.confirm, names(policy)),
        (Confirm::Forward, vec!["gw.partner.example".to_owned()])
    );
    assert!(!route.takes(None));
}

#[test]
fn example_5_an_internal_mesh_has_its_own_roots_exemption_and_servers() {
    let compiled = example("internal-mesh.yaml");
    no_warning(&compiled);
    let (_, policy) = only_route(&compiled);
    assert_eq!(policy.trust.public, PublicTrust::None);
    assert_eq!(policy.trust.ca_files, [docs().join("examples/tls/corp.pem")]);
    let exempt: Vec<_> = policy.policy.exemptions.listed.iter().map(|e| e.zone.to_string()).collect();
    assert_eq!(exempt, ["10.in-addr.arpa", "corp.example"]);
    let [found] = &*compiled.config.resolver.overrides else { panic!("one override") };
    assert_eq!(found.zones.iter().map(ToString::to_string).collect::<Vec<_>>(), exempt);
    assert_eq!(found.servers[0].protocol, DnsProtocol::Udp);
}

#[test]
fn example_6_a_trial_is_the_second_example_in_audit_and_says_so() {
    let (trial, origin) = (example("trial.yaml"), example("origin-behind-proxies.yaml"));
    assert_eq!(trial.warnings.len(), 1, "{:?}", trial.warnings);
    assert!(
        trial.warnings[0].to_string().contains("trial.yaml:19:3: warning: PeerPolicy proxies: spec.mode"),
        "{:?}",
        trial.warnings
    );
    let (trial, origin) = (only_route(&trial).1, only_route(&origin).1);
    let draft = PolicyDraft::from(trial.policy.clone());
    assert_eq!(draft.mode, Mode::Audit);
    assert_eq!(PolicyDraft { mode: Mode::Enforce, ..draft }.build().unwrap(), origin.policy);
}

#[test]
fn every_example_is_tested_and_told_of() {
    let readme = fs::read_to_string(docs().join("examples/README.md")).unwrap();
    let this = include_str!("docs.rs");
    let files = fs::read_dir(docs().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for file in files.filter(|file| file.ends_with(".yaml")) {
        assert!(readme.contains(&format!("({file})")), "{file} is not in the README");
        assert!(this.contains(&format!("\"{file}\"")), "{file} is not tested");
    }
}

/// The `yaml` blocks of a page, each under the heading before it.
fn blocks(page: &str) -> Vec<(String, String)> {
    let (mut heading, mut block, mut found) = (String::new(), None::<String>, Vec::new());
    for line in page.lines() {
        match (&mut block, line) {
            (None, "```yaml") => block = Some(String::new()),
            (Some(_), "```") => found.extend(block.take().map(|text| (heading.clone(), text))),
            (Some(text), line) => text.push_str(&format!("{line}\n")),
            (None, line) => {
                if let Some(text) = line.strip_prefix("## ") {
                    text.clone_into(&mut heading);
                }
            }
        }
    }
    found
}

fn compile_text(text: &str) -> Compiled {
    let documents = parse(&Arc::new(SourceFile { path: "page.yaml".into(), text: text.to_owned() }))
        .unwrap_or_else(|e| panic!("{e:?}"));
    compile(&documents, NOW).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

#[test]
fn c3_every_scenario_has_a_configuration_that_works_and_warns_of_nothing() {
    let blocks = blocks(&fs::read_to_string(docs().join("scenarios.md")).unwrap());
    let ids: Vec<_> = blocks.iter().map(|(heading, _)| heading.split(':').next().unwrap()).collect();
    assert_eq!(ids, ["C3.1a", "C3.1b", "C3.2a", "C3.2b", "C3.2c", "C3.2d"]);
    let compiled: Vec<_> = blocks.iter().map(|(_, text)| compile_text(text)).collect();
    compiled.iter().for_each(no_warning);
    let (route, policy) = only_route(&compiled[0]);
    assert_eq!((route.send_proxy, policy.policy.forward_identity), (SendProxy::V2, ForwardIdentity::Always));
    let (route, policy) = only_route(&compiled[1]);
    assert_eq!((route.send_proxy, policy.policy.forward_identity), (SendProxy::None, ForwardIdentity::Never));
    assert_eq!(only_route(&compiled[2]).0.server_names.len(), 2);
    assert_eq!(compiled[3].config.listeners[0].min_version, MinVersion::Tls13);
    assert_eq!(names(only_route(&compiled[4]).1), ["rp1.example.net", "rp2.example.net"]);
    let loopback = blocks[5].1.replace("169.254.77.2", "127.0.0.1");
    let documents = parse(&Arc::new(SourceFile { path: "page.yaml".into(), text: loopback })).unwrap();
    assert!(compile(&documents, NOW).unwrap_err().to_string().contains("C3.2d"));
}

/// Where a field can be looked for: the path of a section, and a document of the kind with something at that path.
fn document(kind: Kind, path: &[&str], innermost: &str) -> String {
    let value = path.iter().rev().fold(innermost.to_owned(), |inner, step| match step.strip_suffix("[]") {
        Some(field) => format!("{{{field}: [{inner}]}}"),
        None => format!("{{{step}: {inner}}}"),
    });
    format!(
        "apiVersion: revouch.dev/v1alpha1\nkind: {}\nmetadata: {{name: a}}\nspec: {value}\n",
        kind.as_str()
    )
}

/// The fields that the parser knows in the section at `path`: it lists them when it meets one that it does not know.
fn known(kind: Kind, path: &[&str]) -> Option<Vec<String>> {
    let text = document(kind, path, "{zzzzzzzz: 0}");
    let error = parse(&Arc::new(SourceFile { path: "a.yaml".into(), text })).err()?.remove(0).message;
    let (_, rest) = error.split_once("unknown field `zzzzzzzz`: ")?;
    match rest.split_once("(known here: ") {
        Some((_, list)) => Some(list.trim_end_matches(')').split(", ").map(str::to_owned).collect()),
        None => Some(vec![rest.split('`').nth(1)?.to_owned()]),
    }
}

/// Every field below `path` as a path of its own, lists with `[]`.
fn walk(kind: Kind, path: &[&str], found: &mut BTreeSet<String>) {
    for field in known(kind, path).unwrap_or_default() {
        let list = format!("{field}[]");
        let deeper =
            [&*field, &*list].into_iter().find(|step| known(kind, &[path, &[*step]].concat()).is_some());
        found.insert([path, &[&*field]].concat().join("."));
        // The defaults of a MeshConfig are a PeerPolicy's.
        if let Some(step) = deeper.filter(|step| *step != "defaults") {
            walk(kind, &[path, &[step]].concat(), found);
        }
    }
}

#[test]
fn the_reference_has_every_field_and_no_other() {
    let page = fs::read_to_string(docs().join("reference/policy.md")).unwrap();
    for kind in Kind::ALL {
        let section =
            page.split("\n## ").find(|section| section.starts_with(kind.as_str())).expect("a section");
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let told: BTreeSet<String> = rows.map(str::to_owned).collect();
        let mut found = BTreeSet::new();
        walk(*kind, &[], &mut found);
        assert!(found.len() >= 4, "{kind:?}: {found:?}");
        for field in &found {
            let within = told.iter().any(|row| row.starts_with(&format!("{field}.")));
            let mentioned = told.contains(field) || within || section.contains(&format!("`{field}`"));
            assert!(mentioned, "{kind:?}: {field} is not in the reference");
        }
        for row in told {
            assert!(found.contains(&row), "{kind:?}: {row} is in the reference and not in the documents");
        }
    }
}

#[test]
fn the_readme_has_a_configuration_that_works() {
    let readme = fs::read_to_string(docs().join("../README.md")).unwrap();
    let blocks = blocks(&readme);
    assert!(!blocks.is_empty());
    for (_, text) in blocks {
        no_warning(&compile_text(&text));
    }
}
