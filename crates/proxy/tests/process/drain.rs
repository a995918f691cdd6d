//! SIGTERM: no new connections, live ones go on, exit code 0.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::setup::{PATIENCE, Proxy, Setup, exchange, wait_until};

#[test]
fn a_live_connection_outlives_sigterm_and_its_end_is_the_end() {
    let setup = Setup::new();
    let mut proxy = Proxy::start(&setup.usual(), &[]);
    let address = proxy.address("api");
    let mut peer = setup.connect(address);
    proxy.signal("TERM");
    wait_until("the listening socket is closed", || TcpStream::connect(address).is_err());
    let ready = proxy.admin("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.ends_with("draining\n"), "{ready}");
    exchange(&mut peer, b"still here");
    assert!(proxy.is_running());
    drop(peer);
    assert_eq!(proxy.end().code(), Some(0), "{}", proxy.log());
    // The line of the last connection is written before the end.
    let line = proxy.wait_for("\"bytes_in\":15");
    assert!(line.contains("\"outcome\":\"audited\""), "{line}");
}

#[test]
fn without_connections_it_ends_at_once() {
    let mut proxy = Proxy::start(&Setup::new().usual_with(", drain: 1h"), &[]);
    proxy.signal("INT");
    assert_eq!(proxy.end().code(), Some(0), "{}", proxy.log());
}

#[test]
fn a_connection_that_does_not_end_is_cut_when_the_drain_is_over() {
    let setup = Setup::new();
    let mut proxy = Proxy::start(&setup.usual(), &["--drain", "200ms"]);
    let mut peer = setup.connect(proxy.address("api"));
    proxy.signal("TERM");
    assert_eq!(proxy.end().code(), Some(0), "{}", proxy.log());
    let mut rest = Vec::new();
    // Closed or reset: it is over either way.
    let _ = peer.read_to_end(&mut rest);
    assert!(rest.is_empty());
    proxy.wait_for("drain is over");
    proxy.wait_for("\"close\":\"drained\"");
}

#[test]
fn the_upstream_of_a_connection_that_is_cut_sees_a_reset_and_not_an_end() {
    let mut setup = Setup::new();
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    setup.upstream = upstream.local_addr().unwrap();
    let mut proxy = Proxy::start(&setup.usual(), &["--drain", "200ms"]);
    let mut peer = setup.try_connect(proxy.address("api"));
    peer.write_all(b"half a message").unwrap();
    peer.flush().unwrap();
    let (mut near, _) = upstream.accept().unwrap();
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    near.read_exact(&mut [0; 14]).unwrap();
    proxy.signal("TERM");
    let end = near.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(end, Err(ErrorKind::ConnectionReset), "{}", proxy.log());
    assert_eq!(proxy.end().code(), Some(0), "{}", proxy.log());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let setup = Setup::new();
    let mut proxy = Proxy::start(&setup.usual_with(", drain: 1h"), &[]);
    let peer = setup.connect(proxy.address("api"));
    proxy.signal("TERM");
    proxy.wait_for("draining");
    assert!(proxy.is_running());
    proxy.signal("TERM");
    assert!(!proxy.end().success(), "{}", proxy.log());
    drop(peer);
}
