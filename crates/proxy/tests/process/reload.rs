//! SIGHUP and changed files: the whole new configuration, or the old one.

use std::fs;
use std::net::TcpStream;

use crate::setup::{Proxy, Setup, exchange, wait_until};

const GENERATION: &str = "revouch_config_generation";
const FAILURES: &str = "revouch_config_reload_failures_total";

#[test]
fn a_good_configuration_is_put_in_force_and_live_connections_stay() {
    let setup = Setup::new();
    let config = setup.usual();
    let proxy = Proxy::start(&config, &[]);
    let api = proxy.address("api");
    let mut peer = setup.connect(api);
    let second = setup.listener("second", "127.0.0.1:0");
    fs::write(&config, setup.process("") + &setup.listener("api", "127.0.0.1:0") + &second).unwrap();
    proxy.signal("HUP");
    proxy.wait_for_metric(GENERATION, "2");
    let second = proxy.address("second");
    drop(setup.connect(second));
    // The socket of the listener whose address is the same was kept.
    drop(setup.connect(api));
    exchange(&mut peer, b"still here");

    fs::write(&config, setup.process("") + &setup.listener("second", "127.0.0.1:0")).unwrap();
    proxy.signal("HUP");
    proxy.wait_for_metric(GENERATION, "3");
    wait_until("the listener that is gone is closed", || TcpStream::connect(api).is_err());
    drop(setup.connect(second));
    exchange(&mut peer, b"and still here");
}

#[test]
fn a_bad_configuration_leaves_the_running_one_and_says_why() {
    let setup = Setup::new();
    let config = setup.usual();
    let proxy = Proxy::start(&config, &[]);
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, good.replace("routes:", "roots:")).unwrap();
    proxy.signal("HUP");
    proxy.wait_for_metric(FAILURES, "1");
    let line = proxy.wait_for("the configuration in force stays");
    assert!(line.contains("roots") && line.contains("revouch.yaml"), "{line}");
    proxy.wait_for_metric("revouch_config_last_reload_successful", "0");
    proxy.wait_for_metric(GENERATION, "1");
    drop(setup.connect(proxy.address("api")));
    fs::write(&config, good).unwrap();
    proxy.signal("HUP");
    proxy.wait_for_metric(GENERATION, "2");
    proxy.wait_for_metric("revouch_config_last_reload_successful", "1");
}

#[test]
fn the_log_file_is_opened_anew_even_if_the_configuration_is_bad() {
    let setup = Setup::new();
    let text = setup.process(", log: {file: access.log}") + &setup.listener("api", "127.0.0.1:0");
    let config = setup.write("revouch.yaml", &text);
    let proxy = Proxy::start(&config, &[]);
    let (log, rotated) = (setup.path("access.log"), setup.path("access.log.1"));
    fs::rename(&log, &rotated).unwrap();
    fs::write(&config, text.replace("routes:", "roots:")).unwrap();
    proxy.signal("HUP");
    wait_until("the log file is there again", || log.exists());
    drop(setup.connect(proxy.address("api")));
    wait_until("the line is in the new file", || {
        fs::read_to_string(&log).unwrap().contains("\"listener\":\"api\"")
    });
    assert_eq!(fs::read_to_string(&rotated).unwrap(), "");
}

#[test]
fn a_port_in_use_fails_the_reload_as_a_whole() {
    let setup = Setup::new();
    let config = setup.usual();
    let proxy = Proxy::start(&config, &[]);
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = setup.listener("taken", &holder.local_addr().unwrap().to_string());
    let free = setup.listener("free", "127.0.0.1:0");
    fs::write(&config, setup.process("") + &free + &taken).unwrap();
    proxy.signal("HUP");
    proxy.wait_for_metric(FAILURES, "1");
    proxy.wait_for("listener taken: cannot listen on");
    drop(setup.connect(proxy.address("api")));
    assert!(!proxy.log().contains("\"purpose\":\"listener free\""), "{}", proxy.log());
}

#[test]
fn a_renewed_certificate_is_served_without_a_signal() {
    let setup = Setup::new();
    let proxy = Proxy::start(&setup.usual(), &[]);
    let api = proxy.address("api");
    drop(setup.connect(api));
    setup.certificate("tls");
    // The peer trusts the new certificate only.
    proxy.wait_for_metric(GENERATION, "2");
    drop(setup.connect(api));
}

#[test]
fn a_log_file_that_was_moved_away_is_opened_anew_on_sighup() {
    let setup = Setup::new();
    let log = setup.path("access.log");
    let proxy = Proxy::start(&setup.usual(), &["--log-file", log.to_str().unwrap()]);
    let api = proxy.address("api");
    let lines = |name: &str| fs::read_to_string(setup.path(name)).unwrap_or_default().lines().count();
    drop(setup.connect(api));
    wait_until("the first line", || lines("access.log") == 1);
    fs::rename(&log, setup.path("access.log.1")).unwrap();
    proxy.signal("HUP");
    proxy.wait_for_metric(GENERATION, "2");
    drop(setup.connect(api));
    wait_until("the second line", || lines("access.log") == 1);
    assert_eq!(lines("access.log.1"), 1);
}
