#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn parse_text(text: &str) -> Result<Vec<SourceDocument>, Vec<Diagnostic>> {
    parse(&Arc::new(SourceFile { path: "conf/a.yaml".into(), text: text.to_owned() }))
}

/// The errors of a text, as they are printed.
fn errors(text: &str) -> Vec<String> {
    let found = parse_text(text).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

/// The only error of a text.
fn error(text: &str) -> String {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:?} in\n{text}");
    errors.into_iter().next().unwrap()
}

fn policy(spec: &str) -> String {
    format!("apiVersion: revouch.dev/v1alpha1\nkind: PeerPolicy\nmetadata: {{name: p}}\nspec:\n{spec}")
}

fn listener(spec: &str) -> String {
    policy(spec).replace("PeerPolicy", "Listener")
}

#[test]
fn an_unknown_field_is_told_with_place_and_nearest_name() {
    let text = listener(
        "  bind: [\"[::]:1\"]\n  routes:\n  - name: a\n    upstream: {unix: s}\n  - nmae: b\n    upstream: {unix: s}\n",
    );
    let said = error(&text);
    assert!(
        said.starts_with(
            "conf/a.yaml:9:5: error: Listener p: spec.routes[1]: unknown field `nmae`: did you mean `name`?"
        ),
        "{said}"
    );
    let said = error(&policy("  identity:\n    nams: [a.example]\n"));
    assert!(
        said.starts_with(
            "conf/a.yaml:6:5: error: PeerPolicy p: spec.identity: unknown field `nams`: did you mean `names`?"
        ),
        "{said}"
    );
    let said = error(&policy("  dns: {dnsec: Required}\n"));
    assert!(said.starts_with("conf/a.yaml:5:9:") && said.contains("did you mean `dnssec`?"), "{said}");
    let said = error("apiVersion: revouch.dev/v1alpha1\nkind: PeerPolicy\nmetadata: {name: p}\nsepc: {}\n");
    assert!(said.starts_with("conf/a.yaml:4:1:") && said.contains("did you mean `spec`?"), "{said}");
    let text = "apiVersion: revouch.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec:\n  defaults:\n    dns:\n      deadlin: 1s\n";
    assert!(error(text).starts_with("conf/a.yaml:7:7: error: MeshConfig default: spec.defaults.dns: unknown field `deadlin`: did you mean `deadline`?"), "{}", error(text));
}

#[test]
fn an_unknown_word_is_told_with_place_and_nearest() {
    let said = error(&policy("  mode: enforce\n"));
    assert!(said.starts_with("conf/a.yaml:5:9: error: PeerPolicy p: spec.mode: unknown value `enforce`: did you mean `Enforce`?"), "{said}");
    for word in ["On", "No", "yes", "true", "\"Off\""] {
        let said = error(&policy(&format!("  mode: {word}\n")));
        assert!(
            said.starts_with("conf/a.yaml:5:9:")
                && said.contains("boolean")
                && said.contains("Enforce, Audit"),
            "{said}"
        );
    }
}

#[test]
fn a_malformed_value_has_its_own_place() {
    for (spec, place, what) in [
        ("  dns: {deadline: 2500}\n", "5:19", "a duration such as 2500ms"),
        ("  dns: {deadline: 2.5s}\n", "5:19", "a duration such as 2500ms"),
        ("  dns:\n    ports: [443, 70000]\n", "6:18", "`70000`, but a whole number from 1 to 65535"),
        ("  dns:\n    maxNames: 300\n", "6:15", "`300`, but a whole number from 1 to 64"),
        ("  dns:\n    maxNames: -1\n", "6:15", "`-1`, but a whole number from 1 to 64"),
        ("  dns:\n    maxNames: 1.5\n", "6:15", "`1.5`, but a whole number from 1 to 64"),
        ("  dns:\n    maxNames: 99999999999999999999\n", "6:15", "9999`, but a whole number from 1 to 64"),
        ("  dns:\n    extraTypes:\n    - HTTPS\n    - BOGUS\n", "8:7", "no RR type"),
        ("  dns:\n    services: [xmpp]\n", "6:16", "_xmpps-server._tcp"),
        ("  identity:\n    names:\n    - a.example\n    - a b.example\n", "8:7", "a b.example"),
        ("  identity:\n    addresses: [192.0.2.1/24]\n", "6:17", "bits are set behind the prefix"),
        ("  identity: {names: gw.example}\n", "5:21", "expected a sequence"),
        ("  trust: {caFiles: [\"\"]}\n", "5:21", "a path is missing"),
        ("  identity: {names: null}\n", "5:21", "expected a sequence"),
        ("  identity: null\n", "5:13", "expected a mapping of fields"),
    ] {
        let said = error(&policy(spec));
        assert!(said.starts_with(&format!("conf/a.yaml:{place}:")) && said.contains(what), "{spec}: {said}");
    }
}

#[test]
fn names_with_nothing_behind_are_an_empty_list_and_not_left_out() {
    let documents = parse_text(&policy("  identity:\n    names:\n")).unwrap();
    let Document::PeerPolicy(object) = &documents[0].document else { panic!("a PeerPolicy") };
    assert_eq!(object.spec.identity.as_ref().unwrap().names, Some(vec![]));
}

#[test]
fn a_field_that_is_there_twice_is_told_at_the_second() {
    let said = error(&policy("  mode: Enforce\n  eku: {any: Reject}\n  mode: Audit\n"));
    assert!(said.starts_with("conf/a.yaml:7:3: error: PeerPolicy p: spec: duplicate field `mode`"), "{said}");
}

#[test]
fn fields_of_clusters_are_not_supported_in_files() {
    let said = error(&policy("  trust:\n    caRefs: [x]\n"));
    assert!(
        said.starts_with("conf/a.yaml:6:5:")
            && said.contains("`caRefs` is not supported in files: name the files in `caFiles`"),
        "{said}"
    );
    let text = policy("  {}\n").replace("{name: p}", "{name: p, namespace: n}");
    assert!(error(&text).contains("`namespace` is not supported in files"), "{}", error(&text));
}

#[test]
fn version_kind_and_name_must_be_right() {
    let whole = policy("  {}\n");
    for (from, to, place, what) in [
        ("apiVersion: revouch.dev/v1alpha1\n", "", "1:1", "apiVersion is missing"),
        (
            "v1alpha1",
            "v1beta1",
            "1:1",
            "apiVersion \"revouch.dev/v1beta1\" is not understood here: write revouch.dev/v1alpha1",
        ),
        ("kind: PeerPolicy\n", "", "1:1", "kind is missing"),
        ("PeerPolicy", "PerPolicy", "1:1", "unknown kind `PerPolicy`: did you mean `PeerPolicy`?"),
        ("metadata: {name: p}\n", "", "1:1", "`metadata` is missing"),
        ("{name: p}", "{}", "3:11", "`name` is missing"),
        ("{name: p}", "{name: P_1}", "3:18", "lower-case letters"),
        ("spec:\n  {}\n", "", "1:1", "`spec` is missing"),
    ] {
        let said = error(&whole.replace(from, to));
        assert!(said.starts_with(&format!("conf/a.yaml:{place}:")) && said.contains(what), "{from}: {said}");
    }
}

#[test]
fn every_document_of_a_file_is_looked_at() {
    let text = [policy("  mode: X\n"), policy("  {}\n"), policy("  eku: {y: 1}\n"), "a: [\n".to_owned()]
        .join("---\n");
    let said = errors(&text);
    let wanted = [
        ("5:9", "unknown value `X`"),
        ("17:9", "unknown field `y`"),
        ("20:1", "did not find expected node content"),
    ];
    assert_eq!(said.len(), wanted.len(), "{said:?}");
    for (said, (place, what)) in said.iter().zip(wanted) {
        assert!(said.starts_with(&format!("conf/a.yaml:{place}:")) && said.contains(what), "{said}");
    }
}

#[test]
fn what_is_no_document_is_an_error() {
    for (text, place) in [
        ("", "1:1"),
        ("# nothing\n", "2:1"),
        ("---\n---\n", "2:1"),
        ("just text\n", "1:1"),
        ("- a\n", "1:1"),
        ("null\n", "1:1"),
    ] {
        let said = errors(text);
        assert!(!said.is_empty(), "{text:?}");
        assert!(said[0].starts_with(&format!("conf/a.yaml:{place}:")), "{text:?}: {said:?}");
    }
    assert!(error(&format!("{}---\n", policy("  {}\n"))).contains("empty document"));
    assert!(error("a: *b\n").contains("unknown anchor"));
    assert!(error(&"---\na: 1\n".repeat(MAX_DOCUMENTS + 1)).contains("more than 1000 documents"));
}

#[test]
fn bombs_are_refused() {
    let mut bomb = "a: &a [x, x]\n".to_owned();
    for (name, of) in ("bcdefghijklmnopqrstuvwxyz").chars().zip("abcdefghijklmnopqrstuvwxyz".chars()) {
        bomb.push_str(&format!("{name}: &{name} [*{of}, *{of}, *{of}, *{of}, *{of}, *{of}]\n"));
    }
    assert!(!errors(&policy(&bomb.replace("\n", "\n  "))).is_empty());
    assert!(!errors(&policy(&format!("  identity: {}\n", "[".repeat(5000)))).is_empty());
    assert!(!errors(&policy(&format!("  identity: {}{}\n", "{a: ".repeat(300), "}".repeat(300)))).is_empty());
}

#[test]
fn paths_are_relative_to_the_file_that_names_them() {
    let text = listener(
        "  tls: {certificates: [{certFile: tls.crt, keyFile: /etc/k}]}\n  routes: [{upstream: {unix: s}}]\n",
    );
    let documents = parse_text(&text).unwrap();
    let Document::Listener(object) = &documents[0].document else { panic!("a Listener") };
    let pair = &object.spec.tls.as_ref().unwrap().certificates.as_ref().unwrap()[0];
    assert_eq!(pair.cert_file.as_ref().unwrap().as_path(), Path::new("conf/tls.crt"));
    assert_eq!(pair.key_file.as_ref().unwrap().as_path(), Path::new("/etc/k"));
    let route = &object.spec.routes.as_ref().unwrap()[0];
    assert_eq!(route.upstream.as_ref().unwrap().unix.as_ref().unwrap().as_path(), Path::new("conf/s"));
}

#[test]
fn fields_are_found_where_they_stand() {
    let text = format!(
        "{}---\n{}",
        policy("  {}\n"),
        listener("  routes:\n  - name: a\n  - name: b\n    upstream:\n      unix: s\n")
    );
    let documents = parse_text(&text).unwrap();
    let at = |path: &str| documents[1].nearest(path).position.map(|p| (p.line, p.column)).unwrap();
    assert_eq!(at("spec.routes[1].upstream.unix"), (15, 7));
    assert_eq!(at("spec.routes[1]"), (13, 5));
    assert_eq!(at("spec.routes[1].upstream.address"), (14, 5));
    assert_eq!(at("spec.limits.handshakeDeadline"), (10, 1));
    assert_eq!(at("nothing"), (7, 1));
    assert_eq!(documents[1].field("spec.routes[2]"), None);
}

/// Pieces that make YAML of which some is nearly a document.
fn yamlish() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "apiVersion: revouch.dev/v1alpha1\n",
        "kind: PeerPolicy\n",
        "kind: Listener\n",
        "metadata: {name: a}\n",
        "spec:\n",
        "  identity:\n",
        "    names: [a.example, \"*.b.example\"]\n",
        "  dns: {deadline: 1s}\n",
        "  routes:\n",
        "  - name: x\n",
        "---\n",
        "...\n",
        "- ",
        "? ",
        ": ",
        "&a ",
        "*a",
        "!!null ",
        "!Enforce ",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "|\n",
        ">-\n",
        "\t",
        " ",
        "\n",
        "#",
        "%YAML 1.1\n",
        "<<: *a\n",
        "null",
        "~",
        "\u{feff}",
        "\u{85}",
        "\\",
        "\u{0}",
        "@",
    ]);
    let pieces = pieces.prop_map(str::to_owned);
    prop::collection::vec(prop_oneof![9 => pieces, 1 => "\\PC{0,6}"], 0..40)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn parsing_never_panics_and_always_tells_where(text in yamlish()) {
        match parse_text(&text) {
            Ok(documents) => for document in documents {
                prop_assert!(document.nearest("spec.identity.names[0]").position.is_some());
            },
            Err(errors) => for error in errors {
                prop_assert!(error.to_string().starts_with("conf/a.yaml"));
            },
        }
    }

    #[test]
    fn any_text_is_parsed_without_panic(text in "\\PC*") {
        let _ = parse_text(&text);
    }
}
