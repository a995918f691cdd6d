//! The configuration that the README shows: it must load as it stands there.

use std::path::Path;
use std::sync::Arc;

use revouch_api::compile::compile;
use revouch_api::load::SourceFile;
use revouch_api::parse::parse;
use revouch_validator::timestamp::Timestamp;

/// 2026-11-24T06:59:59Z.
const NOW: Timestamp = Timestamp(1_795_503_599);

#[test]
fn configuration_of_the_readme_loads_without_a_warning_and_lets_in_its_two_names() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(readme).expect("the readme");
    let block =
        text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a YAML block");
    let file = Arc::new(SourceFile { path: "revouch.yaml".into(), text: block.to_owned() });
    let documents = parse(&file).unwrap_or_else(|found| panic!("{found:#?}"));
    let compiled = compile(&documents, NOW).unwrap_or_else(|found| panic!("{found}"));

    assert!(compiled.warnings.is_empty(), "{:#?}", compiled.warnings);
    let [listener] = &*compiled.config.listeners else { panic!("one listener") };
    let policy = listener.routes.first().and_then(|route| route.policy.as_ref()).expect("a policy");
    let names: Vec<String> = policy.policy.names.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(names, ["gw1.partner.example", "gw2.partner.example"]);
}
