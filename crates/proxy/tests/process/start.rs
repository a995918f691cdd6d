//! Starting, `--check`, and every way in which it cannot start.

use std::net::TcpListener;

use crate::setup::{Proxy, Setup, run, run_until_refused};

fn refused(setup: &Setup, text: &str) -> String {
    run_until_refused(&setup.write("revouch.yaml", text))
}

#[test]
fn version_and_help_teach() {
    let config = Setup::new().usual();
    let version = run(&["--version"], &config);
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        format!("revouch-proxy {}\n", env!("CARGO_PKG_VERSION"))
    );
    let help = String::from_utf8(run(&["--help"], &config).stdout).unwrap();
    for word in ["kind: PeerPolicy", "kill -HUP", "--check", "--max-connections"] {
        assert!(help.contains(word), "{word}\n{help}");
    }
}

#[test]
fn a_file_that_a_document_names_is_told_with_the_line_that_names_it() {
    let setup = Setup::new();
    let text = setup.process("") + &setup.listener("api", "127.0.0.1:0");
    for (text, line, what) in [
        (text.replace("tls.crt", "gone.crt"), "  tls:", "Listener api: "),
        (text.replace("  mode: Audit", "  trust: {caFiles: [gone.pem]}"), "  trust:", "PeerPolicy api: "),
    ] {
        let number = text.lines().position(|each| each.starts_with(line)).unwrap() + 1;
        let config = setup.write("revouch.yaml", &text);
        let checked = String::from_utf8(run(&["--check"], &config).stderr).unwrap();
        for said in [checked, run_until_refused(&config)] {
            let wanted = format!("{}:{number}:", config.display());
            assert!(
                said.contains(&wanted) && said.contains(what) && said.contains("gone."),
                "{wanted}: {said}"
            );
        }
    }
}

#[test]
fn check_prints_the_effective_configuration_and_warnings() {
    let setup = Setup::new();
    let output = run(&["--check", "--threads", "3"], &setup.usual());
    let (said, shown) =
        (String::from_utf8(output.stderr).unwrap(), String::from_utf8(output.stdout).unwrap());
    assert_eq!(output.status.code(), Some(0), "{said}");
    for word in ["public roots: Bundled", "Audit", "127.0.0.1:0"] {
        assert!(shown.contains(word), "{word}\n{shown}");
    }
    assert!(shown.contains("threads: 3"), "{shown}");
    // The upstream is on loopback (C3.2d).
    assert!(said.contains("loopback"), "{said}");
}

#[test]
fn check_calls_an_expired_certificate_an_error_and_a_start_warns() {
    let setup = Setup::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["api.example.net".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    setup.write("tls.crt", &params.self_signed(&key).unwrap().pem());
    setup.write("tls.key", &key.serialize_pem());
    let config = setup.usual();
    let output = run(&["--check"], &config);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("tls.crt: the certificate expired at 2021-01-01T00:00:00Z"), "{said}");
    let proxy = Proxy::start(&config, &[]);
    proxy.wait_for("the certificate expired at 2021-01-01T00:00:00Z");
}

#[test]
fn what_check_calls_good_can_start_and_what_cannot_is_told_by_both() {
    let setup = Setup::new();
    let listener = setup.listener("api", "127.0.0.1:0");
    let logging = |file: &str| setup.process(&format!(", log: {{file: {file}}}")) + &listener;
    setup.write("a-file", "");
    for (file, what) in
        [("gone/access.log", "No such file"), ("a-file/access.log", "directory"), (".", "directory")]
    {
        let config = setup.write("revouch.yaml", &logging(file));
        let checked = run(&["--check"], &config);
        let said = String::from_utf8(checked.stderr).unwrap();
        assert_eq!(checked.status.code(), Some(2), "{said}");
        assert!(said.contains("log file") && said.contains(file) && said.contains(what), "{said}");
        assert!(run_until_refused(&config).contains("log file"));
    }
    let config = setup.write("revouch.yaml", &logging("access.log"));
    assert_eq!(run(&["--check"], &config).status.code(), Some(0));
    assert!(!setup.path("access.log").exists(), "--check writes nothing");
    drop(Proxy::start(&config, &[]));
    assert_eq!(run(&["--check"], &config).status.code(), Some(0));
}

#[test]
fn an_unreadable_configuration_is_named() {
    let setup = Setup::new();
    let output = run(&[], &setup.path("missing.yaml"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("missing.yaml") && said.contains("No such file"), "{said}");
}

#[test]
fn a_misspelt_field_is_named_with_file_line_and_the_nearest_name() {
    let setup = Setup::new();
    let text = setup.listener("api", "127.0.0.1:0").replace("routes:", "roots:");
    let said = refused(&setup, &text);
    for word in ["revouch.yaml:8:3", "`roots`", "`routes`"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn a_key_that_does_not_fit_names_both_files() {
    let setup = Setup::new();
    setup.certificate("other");
    let text = setup.listener("api", "127.0.0.1:0").replace("tls.key", "other.key");
    let said = refused(&setup, &text);
    assert!(said.contains("other.key does not fit") && said.contains("tls.crt"), "{said}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let setup = Setup::new();
    let said = refused(&setup, &setup.listener("api", "127.0.0.1:0").replace("tls.crt", "gone.crt"));
    assert!(said.contains("gone.crt") && said.contains("No such file"), "{said}");
}

#[test]
fn a_port_in_use_is_named_with_a_remedy() {
    let setup = Setup::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    let listener = refused(&setup, &(setup.process("") + &setup.listener("api", &address.to_string())));
    assert!(listener.contains(&format!("listener api: cannot listen on {address}")), "{listener}");
    let process = setup.process("").replace("127.0.0.1:0", &address.to_string());
    let metrics = refused(&setup, &(process + &setup.listener("api", "127.0.0.1:0")));
    assert!(metrics.contains(&format!("metrics: cannot listen on {address}")), "{metrics}");
    assert!(metrics.contains("Another process has this port"), "{metrics}");
}

#[test]
fn it_says_that_it_is_ready_and_alive() {
    let proxy = Proxy::start(&Setup::new().usual(), &[]);
    assert!(proxy.admin("/readyz").starts_with("HTTP/1.1 200"));
    assert!(proxy.admin("/livez").starts_with("HTTP/1.1 200"));
    proxy.wait_for_metric("revouch_config_generation", "1");
    assert!(
        proxy.admin("/metrics").contains("revouch_certificate_expiry_seconds{index=\"0\",listener=\"api\"}")
    );
}
