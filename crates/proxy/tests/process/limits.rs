//! What limits hold for: a listener as a whole, whatever its sockets and the number of its configuration.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};

use crate::setup::{PATIENCE, Proxy, Setup};

/// Whether a connection to this address is closed at once.
fn is_turned_away(address: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    matches!(stream.read(&mut [0]), Ok(0))
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
    let mut held = setup.try_connect(first);
    held.conn.write_tls(&mut held.sock).unwrap();
    // Its ClientHello is answered: it keeps its place.
    held.sock.read_exact(&mut [0; 5]).unwrap();
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
