//! `revouch chain` and `revouch dane`: no DNS, no policy; one answer each. And what all subcommands have in common.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;

use common::{Run, revouch};
use revouch_lab::{CertificateAuthority, Identity, LeafBuilder, Purpose};
use tempfile::TempDir;

struct Files {
    dir: TempDir,
    ca: CertificateAuthority,
    identity: Identity,
}

impl Files {
    fn new() -> Self {
        let ca = CertificateAuthority::servers().unwrap();
        let identity = ca.leaf().dns("gw1.example.test").ip("192.0.2.1".parse().unwrap()).issue().unwrap();
        let files = Self { dir: tempfile::tempdir().unwrap(), ca, identity };
        files.write("chain.pem", &files.identity.chain_pem());
        files.write("roots.pem", &files.ca.root_pem());
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn run(&self, subcommand: &str, args: &[&str]) -> Run {
        let chain = self.dir.path().join("chain.pem");
        let mut all = vec![subcommand, "--chain", chain.to_str().unwrap()];
        let roots = self.dir.path().join("roots.pem");
        let roots = roots.to_str().unwrap();
        for arg in args {
            all.push(if *arg == "ROOTS" { roots } else { arg });
        }
        revouch(all)
    }
}

#[test]
fn a_chain_is_valid_for_its_names_and_for_no_other() {
    let files = Files::new();
    for (args, code, wanted) in [
        (vec![], 0, "valid\n  path: 2 certificates to "),
        (vec!["--name", "gw1.example.test"], 0, "name: gw1.example.test"),
        (vec!["--name", "192.0.2.1"], 0, "name: 192.0.2.1"),
        (
            vec!["--name", "gw2.example.test"],
            1,
            "no dNSName of the certificate is valid for gw2.example.test",
        ),
        (vec!["--name", "192.0.2.2"], 1, "no iPAddress of the certificate is 192.0.2.2"),
        (vec!["--purpose", "client"], 1, "purpose"),
        (vec!["--at", "2050-01-01T00:00:00Z"], 1, "expired"),
        (vec!["--at", "1990-01-01T00:00:00Z"], 1, "not valid before"),
    ] {
        let run = files.run("chain", &[&["--roots", "ROOTS"], args.as_slice()].concat());
        assert_eq!(run.code, code, "{args:?}: {}{}", run.stdout, run.stderr);
        assert!(run.stdout.contains(wanted), "{args:?}: {}", run.stdout);
    }
    let json =
        files.run("chain", &["--roots", "ROOTS", "--name", "gw1.example.test", "--output", "json"]).json();
    assert_eq!((&json["outcome"], &json["matchedName"]), (&"valid".into(), &"gw1.example.test".into()));
    assert_eq!(json["path"]["certificates"].as_array().unwrap().len(), 2);
    let json = files.run("chain", &["--roots", "ROOTS", "--name", "x.test", "--output", "json"]).json();
    assert_eq!(json["outcome"], "invalid");
    assert!(json["why"].is_string());
}

#[test]
fn a_revoked_chain_is_invalid() {
    let files = Files::new();
    files.write("ca.crl", &files.ca.crl().revoke(&files.identity).issue().unwrap().pem());
    let crl = files.dir.path().join("ca.crl");
    let run = files.run("chain", &["--roots", "ROOTS", "--crl", crl.to_str().unwrap()]);
    assert!(run.code == 1 && run.stdout.contains("a certificate is revoked"), "{}", run.stdout);
}

#[test]
fn a_clientauth_chain_is_valid_for_clients() {
    let people = CertificateAuthority::people().unwrap();
    let files = Files::new();
    let alice = people.leaf().purposes(&[Purpose::ClientAuth]).common_name("Alice").issue().unwrap();
    files.write("chain.pem", &alice.chain_pem());
    files.write("roots.pem", &people.root_pem());
    assert_eq!(files.run("chain", &["--roots", "ROOTS", "--purpose", "client"]).code, 0);
    assert_eq!(files.run("chain", &["--roots", "ROOTS"]).code, 1);
}

#[test]
fn tlsa_records_of_each_usage_match_or_not() {
    let files = Files::new();
    let other = LeafBuilder::self_signed().dns("gw1.example.test").issue().unwrap();
    let (good, bad) = (files.identity.tlsa(3, 1, 1).unwrap(), other.tlsa(3, 1, 1).unwrap());
    let (anchor, pkix) = (files.ca.tlsa(2, 0, 2).unwrap(), files.identity.tlsa(1, 0, 1).unwrap());
    let name = ["--name", "gw1.example.test"];
    for (tlsa, more, code, wanted) in [
        (vec![&good], vec![], 0, "record 0 matches (3 1 1 at depth 0)"),
        (vec![&bad], vec![], 1, "mismatch"),
        (vec![&bad, &good], vec![], 0, "record 1 matches"),
        (vec![&anchor], vec![], 0, "record 0 matches (2 0 2 at depth 1)"),
        (vec![&pkix], vec!["--roots", "ROOTS"], 0, "record 0 matches (1 0 1 at depth 0)"),
        (vec![&pkix], vec![], 1, "no trusted issuer"),
        (
            vec![&good],
            vec!["--insecure-zone"],
            1,
            "record 0 is not used: usages 2 and 3 count only in a signed zone",
        ),
        (vec![&good], vec!["--insecure-zone", "--roots", "ROOTS"], 0, "no record can be used"),
        (vec![&good], vec!["--at", "2050-01-01T00:00:00Z"], 0, "matches"),
    ] {
        let mut args: Vec<&str> = tlsa.iter().flat_map(|text| ["--tlsa", text.as_str()]).collect();
        args.extend(name);
        args.extend(&more);
        let run = files.run("dane", &args);
        assert_eq!(run.code, code, "{args:?}: {}{}", run.stdout, run.stderr);
        assert!(run.stdout.contains(wanted), "{args:?}: {}", run.stdout);
    }
}

#[test]
fn dane_ee_asks_for_the_name_only_where_told_to() {
    let files = Files::new();
    let good = files.identity.tlsa(3, 1, 1).unwrap();
    let other = ["--tlsa", &good, "--name", "elsewhere.test"];
    assert_eq!(files.run("dane", &other).code, 0);
    assert_eq!(files.run("dane", &[&other[..], &["--dane-ee-name-check"]].concat()).code, 1);
    let both =
        [&other[..], &["--name", "gw1.example.test", "--dane-ee-name-check", "--output", "json"]].concat();
    let run = files.run("dane", &both);
    let json = run.json();
    assert_eq!((run.code, &json["outcome"], &json["name"]), (0, &"ok".into(), &"gw1.example.test".into()));
    assert_eq!(json["matched"]["usage"], 3);
    assert_eq!(json["leftOut"], serde_json::json!([]));
}

#[test]
fn what_is_documented_as_null_is_null_on_a_mismatch_too() {
    let files = Files::new();
    let other = LeafBuilder::self_signed().dns("gw1.example.test").issue().unwrap();
    let (good, bad) = (files.identity.tlsa(3, 1, 1).unwrap(), other.tlsa(3, 1, 1).unwrap());
    for (tlsa, code) in [(&bad, 1), (&good, 0)] {
        let run = files.run("dane", &["--tlsa", tlsa, "--name", "gw1.example.test", "--output", "json"]);
        let json = run.json();
        let object = json.as_object().unwrap();
        assert_eq!(run.code, code);
        for key in ["matched", "path", "name"] {
            assert!(object.contains_key(key), "{key}: {json}");
        }
        assert_eq!((json["matched"].is_null(), object.contains_key("why")), (code == 1, code == 1), "{json}");
        assert!(json["path"].is_null() && json["name"].is_null());
    }
}

#[test]
fn bad_arguments_are_exit_code_2() {
    let files = Files::new();
    files.write("text.pem", "hello");
    let text = files.dir.path().join("text.pem");
    let text = text.to_str().unwrap();
    let name = ["--name", "gw1.example.test"];
    for (run, wanted) in [
        (files.run("chain", &[]), "--roots"),
        (files.run("chain", &["--roots", text]), "no certificate in this file"),
        (files.run("chain", &["--roots", "ROOTS", "--name", "a..b"]), "a label is empty"),
        (files.run("chain", &["--roots", "ROOTS", "--crl", text]), "no CRL in this file"),
        (files.run("dane", &[&["--tlsa", "3 1"], &name[..]].concat()), "matching type must be a number"),
        (files.run("dane", &[&["--tlsa", "3 1 1 xyz"], &name[..]].concat()), "hexadecimal"),
        (files.run("dane", &["--tlsa", "3 1 1 00"]), "--name"),
        (
            revouch(["dane", "--chain", text, "--tlsa", "3 1 1 00", "--name", "a.test"]),
            "there is no certificate",
        ),
        (revouch(["chain", "--chain", "/nonexistent", "--roots", text]), "/nonexistent"),
        (revouch(["nonsense"]), "unrecognized subcommand"),
        (revouch([] as [&str; 0]), "Usage"),
    ] {
        assert_eq!(run.code, 2, "{wanted}: {}", run.stdout);
        assert!(run.stdout.is_empty() && run.stderr.contains(wanted), "{wanted}: {}", run.stderr);
    }
}

#[test]
fn help_of_each_subcommand_teaches_by_an_example() {
    for subcommand in ["check", "explain", "dns", "dane", "chain", "demo"] {
        let run = revouch([subcommand, "--help"]);
        assert_eq!(run.code, 0);
        assert!(
            run.stdout.contains("Example") && run.stdout.contains(&format!("revouch {subcommand} ")),
            "{}",
            run.stdout
        );
    }
    let version = revouch(["--version"]);
    assert!(version.code == 0 && version.stdout.starts_with("revouch "), "{}", version.stdout);
}

#[test]
fn every_option_of_every_subcommand_is_documented() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md")).unwrap();
    for subcommand in ["check", "explain", "dns", "dane", "chain", "demo"] {
        let help = revouch([subcommand, "--help"]).stdout;
        let options = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        for option in
            options.filter_map(|word| word.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next())
        {
            assert!(page.contains(&format!("--{option}")), "{subcommand} --{option}");
        }
    }
}
