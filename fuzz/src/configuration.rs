//! Documents: any text gives a configuration or errors with their places; what is told back of a configuration compiles to it.

use std::fmt::Write as _;
use std::sync::Arc;

use revouch_api::compile::{Compiled, compile, compile_alone};
use revouch_api::diagnostic::{Diagnostic, MAX_DIAGNOSTICS};
use revouch_api::effective::{Effective, EffectiveRoute};
use revouch_api::load::{MAX_FILE, SourceFile};
use revouch_api::parse::{SourceDocument, parse};
use serde_json::{Value, json};

use crate::NOW;

const VERSION: &str = revouch_api::documents::API_VERSION;

/// Reads a file.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert!(u64::try_from(text.len()).unwrap() <= MAX_FILE);
    let documents = match documents(text) {
        Ok(documents) => documents,
        Err(errors) => {
            assert!(!errors.is_empty());
            return told(text, &errors);
        }
    };
    for document in &documents {
        let place = document.place().position.unwrap();
        assert!((1..=lines(text)).contains(&place.line) && place.column >= 1, "{place:?}");
        let _ = document.nearest("spec.routes[0].upstream.address");
    }
    if let Ok(alone) = compile_alone(&documents, None, NOW) {
        assert!(alone.warnings.iter().all(|warning| !warning.is_error()));
    }
    match compile(&documents, NOW) {
        Ok(compiled) => {
            told(text, &compiled.warnings);
            assert!(compiled.warnings.iter().all(|warning| !warning.is_error()));
            whole(&documents, &compiled);
        }
        Err(found) => {
            assert!(found.errors().next().is_some(), "refused without an error");
            told(text, &found.0);
        }
    }
}

fn documents(text: &str) -> Result<Vec<SourceDocument>, Vec<Diagnostic>> {
    parse(&Arc::new(SourceFile { path: "fuzz.yaml".into(), text: text.to_owned() }))
}

/// How many lines the text has at most, by all that YAML takes for a line break (1.1, section 4.2), and one behind the last.
fn lines(text: &str) -> usize {
    text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() + 1
}

/// Every finding can be shown, on one line, and points into the text.
fn told(text: &str, findings: &[Diagnostic]) {
    assert!(findings.len() <= MAX_DIAGNOSTICS + 1);
    let lines = lines(text);
    for finding in findings {
        let shown = finding.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(shown.starts_with("fuzz.yaml") && !finding.message.is_empty());
        if let Some(position) = finding.place.position {
            assert!((1..=lines).contains(&position.line) && position.column >= 1, "{position:?}: {shown}");
        }
    }
}

/// A configuration does not depend on the order of its documents, and what is told of it compiles to the same.
fn whole(documents: &[SourceDocument], compiled: &Compiled) {
    let mut reversed = documents.to_vec();
    reversed.reverse();
    let again = compile(&reversed, NOW).expect("the order of documents does not matter").config;
    assert_eq!(again, compiled.config);
    let effective = Effective::from(&compiled.config);
    let text = rebuilt(&effective);
    let documents = self::documents(&text).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    let rebuilt = compile(&documents, NOW).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    let mut rebuilt = rebuilt.config;
    // Those that cover no route are not told.
    rebuilt.resolver.exempt_zones.clone_from(&compiled.config.resolver.exempt_zones);
    assert_eq!(rebuilt, compiled.config, "{text}");
}

/// Documents that say what `effective` says.
fn rebuilt(effective: &Effective) -> String {
    let mut all = vec![
        object("ProxyConfig", "default", &json!(effective.proxy)),
        object("MeshConfig", "default", &json!({"dns": effective.dns})),
    ];
    all.extend(
        effective.resolver_overrides.iter().map(|o| object("ResolverOverride", &o.name, &json!(o.spec))),
    );
    let mut policies: Vec<(&str, Value)> = Vec::new();
    for listener in &effective.listeners {
        let routes: Vec<Value> = listener.routes.iter().map(route).collect();
        let spec = json!({
            "bind": listener.bind, "tls": listener.tls, "limits": listener.limits, "routes": routes,
        });
        all.push(object("Listener", &listener.name, &spec));
        for route in &listener.routes {
            let Some(policy) = &route.policy else { continue };
            let target = json!({"kind": "Listener", "name": listener.name, "sectionName": route.name});
            for zone in &policy.exempt_zones {
                let mut spec =
                    json!({"zones": [zone.zone], "reason": "told", "targetRefs": [target.clone()]});
                if let Some(until) = &zone.not_after {
                    spec["notAfter"] = json!(until);
                }
                all.push(object("DnssecExemption", &format!("e{}", all.len()), &spec));
            }
            match policies.iter_mut().find(|(name, _)| *name == policy.name) {
                Some((_, spec)) => spec["targetRefs"].as_array_mut().unwrap().push(target),
                None => {
                    let mut spec = json!(policy.spec);
                    spec["targetRefs"] = json!([target]);
                    policies.push((&policy.name, spec));
                }
            }
        }
    }
    all.extend(policies.iter().map(|(name, spec)| object("PeerPolicy", name, spec)));
    all.join("---\n")
}

fn route(route: &EffectiveRoute) -> Value {
    let mut told = json!({"name": route.name, "upstream": route.upstream});
    if !route.server_names.is_empty() {
        told["serverNames"] = json!(route.server_names);
    }
    told
}

fn object(kind: &str, name: &str, spec: &Value) -> String {
    let mut text = String::new();
    let object =
        json!({"apiVersion": VERSION, "kind": kind, "metadata": {"name": name}, "spec": without_nulls(spec)});
    writeln!(text, "{}", serde_yaml::to_string(&object).unwrap().trim_end()).unwrap();
    text
}

/// What is null was left out.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}
