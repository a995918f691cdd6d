//! What limits hold for: a listener as a whole, whatever its sockets and the number of its configuration.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};

use crate::setup::{PATIENCE, Peer, Proxy, Setup};

/// Whether a connection to this address is closed at once.
fn is_turned_away(address: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    matches!(stream.read(&mut [0]), Ok(0))
}

/// A connection whose ClientHello was answered: it keeps its place.
fn in_handshake(setup: &Setup, address: SocketAddr) -> Peer {
    let mut peer = setup.try_connect(address);
    peer.conn.write_tls(&mut peer.sock).unwrap();
    peer.sock.read_exact(&mut [0; 5]).unwrap();
    peer
}

#[test]
fn of_a_flood_that_is_turned_away_the_access_log_has_few_lines_and_the_number() {
    const FLOOD: u64 = 200;
    let setup = Setup::new();
    let patient = setup
        .listener("api", "127.0.0.1:0")
        .replace("  routes:", "  limits: {handshakeDeadline: 5m}\n  routes:");
    let config = setup.write("revouch.yaml", &(setup.process(", maxConnections: 1") + &patient));
    let mut proxy = Proxy::start(&config, &[]);
    let address = proxy.address("api");
    let held = in_handshake(&setup, address);
    assert!((0..FLOOD).all(|_| is_turned_away(address)));
    let metric = "revouch_handshakes_total{outcome=\"refused\",reason=\"limit_connections\"}";
    proxy.wait_for_metric(metric, &FLOOD.to_string());
    drop(held);
    proxy.signal("TERM");
    assert_eq!(proxy.end().code(), Some(0), "{}", proxy.log());
    proxy.wait_for("\"message\":\"ended\"");
    let log = proxy.log();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .filter(|line| line.contains("limit_connections"))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: u64 = lines.iter().map(|line| line["repeated"].as_u64().unwrap_or(1)).sum();
    assert_eq!(told, FLOOD, "{log}");
    // Two, but for the seconds that it took.
    assert!(lines.len() < 50, "{log}");
}

#[test]
fn handshakes_count_for_all_sockets_of_a_listener_and_over_reloads() {
    let setup = Setup::new();
    let listener = setup.listener("api", "127.0.0.1:0\", \"127.0.0.1:0");
    let limits = "  limits: {handshakesPerSource: 1, handshakeDeadline: 5m}\n  routes:";
    let text = setup.process("") + &listener.replace("  routes:", limits);
    let config = setup.write("revouch.yaml", &text);
    let proxy = Proxy::start(&config, &[]);
    let [first, second] = [1, 2].map(|nth| proxy.nth_address("api", nth));
    let held = in_handshake(&setup, first);
    assert!(is_turned_away(second));
    assert!(proxy.wait_for("limit_source").contains("limits.handshakesPerSource"));
    proxy.signal("HUP");
    proxy.wait_for("configuration loaded");
    assert!(is_turned_away(second));
    proxy.wait_for_nth("limit_source", 2);
    drop(held);
    proxy.wait_for("handshake_failed");
    setup.connect(second);
}
