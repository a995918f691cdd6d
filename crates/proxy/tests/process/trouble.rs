//! What goes wrong around a running proxy: DNS servers that are silent or do not validate, descriptors that run out.

use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;

use revouch_lab::{Listen, Signing, Universe};

use crate::setup::{Proxy, Setup, run_until_refused};

#[test]
fn silent_dns_servers_are_told_of_and_do_not_keep_it_from_running() {
    let setup = Setup::new();
    // Bound, and never read.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let config = setup.usual();
    let text = std::fs::read_to_string(&config).unwrap().replace("127.0.0.1:9", &address);
    std::fs::write(&config, text).unwrap();
    let proxy = Proxy::start(&config, &[]);
    let line = proxy.wait_for("DNS servers do not work");
    assert!(line.contains("\"group\":\"nobody\""), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_to_validate_and_do_not_are_refused() {
    let setup = Setup::new();
    // Authoritative: it never sets the AD bit.
    let universe = Universe::builder().zone("example.test", Signing::Nsec).build().unwrap();
    let server = universe.serve(Listen::loopback()).await.unwrap();
    let trusting = format!("servers: [{{address: \"{}\"}}], validation: TrustAd", server.address());
    let good = setup.usual();
    let text = std::fs::read_to_string(&good).unwrap();
    let text = text.replace("servers: [{address: \"127.0.0.1:9\"}]", &trusting);
    let bad = setup.write("bad.yaml", &text);
    tokio::task::spawn_blocking(move || {
        let said = run_until_refused(&bad);
        assert!(said.contains("nobody") && said.contains("without the AD bit"), "{said}");
        // A reload is refused as well.
        let proxy = Proxy::start(&good, &[]);
        std::fs::write(&good, text).unwrap();
        proxy.signal("HUP");
        let line = proxy.wait_for("the configuration in force stays");
        assert!(line.contains("without the AD bit"), "{line}");
        // And so is every one after it: what was refused is not taken for known.
        proxy.signal("HUP");
        proxy.wait_for_metric_at_least("revouch_config_reload_failures_total", 2);
        proxy.wait_for_metric("revouch_config_generation", "1");
        drop(setup);
    })
    .await
    .unwrap();
}

/// A configuration that turns no connection of the tests below away.
fn generous(setup: &Setup) -> PathBuf {
    let listener = setup.listener("api", "127.0.0.1:0");
    let listener = listener
        .replace("  routes:", "  limits: {handshakesPerSource: 1000, handshakeDeadline: 5m}\n  routes:");
    setup.write("revouch.yaml", &(setup.process("") + &listener))
}

#[test]
fn no_more_connections_are_taken_than_there_are_descriptors_for() {
    let setup = Setup::new();
    let proxy = Proxy::start_with_descriptors(&generous(&setup), 200);
    proxy.wait_for("the limit on open files lets 50 in");
    let address = proxy.address("api");
    let in_handshake = || {
        let mut peer = setup.try_connect(address);
        peer.conn.write_tls(&mut peer.sock).unwrap();
        peer
    };
    let held: Vec<_> = (0..50).map(|_| in_handshake()).collect();
    drop(TcpStream::connect(address).unwrap());
    proxy.wait_for("limit_connections");
    proxy.signal("HUP");
    proxy.wait_for("configuration loaded");
    drop(TcpStream::connect(address).unwrap());
    proxy.wait_for_nth("limit_connections", 2);
    // Everything else goes on.
    assert!(proxy.admin("/metrics").contains("revouch_fd_exhaustion_total 0\n"));
    drop(held);
}

#[test]
fn a_log_file_that_hangs_does_not_keep_it_from_ending() {
    let setup = Setup::new();
    let fifo = setup.path("access.log");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Neither side of a FIFO opens without the other.
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || std::fs::File::open(fifo).unwrap()
    });
    let text = setup.process(", log: {file: access.log}") + &setup.listener("api", "127.0.0.1:0");
    let mut proxy = Proxy::start(&setup.write("revouch.yaml", &text), &[]);
    drop(reader.join().unwrap());
    proxy.signal("HUP");
    // The log cannot be opened anew until somebody reads it. What was asked for later is done all the same.
    proxy.signal("TERM");
    assert_eq!(proxy.end().code(), Some(0));
}

#[test]
fn without_descriptors_it_waits_counts_and_goes_on() {
    let setup = Setup::new();
    let proxy = Proxy::start(&generous(&setup), &[]);
    // Not enough any more for the connections below: something has taken what there was room for.
    proxy.limit_descriptors(64);
    let address = proxy.address("api");
    let held: Vec<TcpStream> = (0..80).map(|_| TcpStream::connect(address).unwrap()).collect();
    proxy.wait_for("no connection can be accepted");
    drop(held);
    // The admin listener needs descriptors too.
    proxy.wait_for_metric_at_least("revouch_fd_exhaustion_total", 1);
    drop(setup.connect(address));
}
