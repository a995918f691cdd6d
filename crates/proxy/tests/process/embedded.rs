//! The proxy inside another program, as `revouch demo` runs it.

use std::fs;
use std::net::TcpStream;

use revouch_proxy::run::{BindError, Ended, Options, Overrides, Proxy, Running, StartError};

use crate::setup::{Setup, exchange, wait_until};

fn start(setup: &Setup) -> Running {
    Proxy::start(Options { config: setup.usual(), overrides: overrides(setup) }).unwrap()
}

fn overrides(setup: &Setup) -> Overrides {
    Overrides { log_file: Some(setup.path("access.log")), ..Overrides::default() }
}

#[test]
fn it_tells_its_addresses_and_drains() {
    let setup = Setup::new();
    let running = start(&setup);
    let addresses = running.local_addrs();
    assert_eq!(addresses.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["api"]);
    assert!(TcpStream::connect(running.metrics_addr()).is_ok());
    drop(setup.connect(addresses[0].1));
    assert_eq!(running.drain(), Ended::Drained);
    assert!(TcpStream::connect(addresses[0].1).is_err());
    let log = fs::read_to_string(setup.path("access.log")).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
}

#[test]
fn two_run_beside_each_other() {
    let (one, other) = (Setup::new(), Setup::new());
    let (first, second) = (start(&one), start(&other));
    let mut peer = other.connect(second.local_addrs()[0].1);
    assert_eq!(first.drain(), Ended::Drained);
    exchange(&mut peer, b"still here");
}

#[test]
fn a_reload_tells_the_generation_or_why_not() {
    let setup = Setup::new();
    let running = start(&setup);
    let both =
        setup.process("") + &setup.listener("api", "127.0.0.1:0") + &setup.listener("more", "127.0.0.1:0");
    setup.write("revouch.yaml", &both);
    assert_eq!(running.reload(), Ok(2));
    assert_eq!(running.local_addrs().len(), 2);
    setup.write("revouch.yaml", &both.replace("routes:", "roots:"));
    let why = running.reload().unwrap_err();
    assert!(why.contains("did you mean `routes`"), "{why}");
    assert_eq!(running.local_addrs().len(), 2);
}

#[test]
fn dropped_it_ends_at_once_and_writes_its_log() {
    let setup = Setup::new();
    let running = start(&setup);
    let address = running.local_addrs()[0].1;
    let _peer = setup.connect(address);
    drop(running);
    wait_until("the socket is closed", || TcpStream::connect(address).is_err());
    let log = fs::read_to_string(setup.path("access.log")).unwrap();
    assert!(log.contains("\"close\":\"drained\""), "{log}");
}

#[test]
fn an_address_in_use_is_an_error_of_its_own() {
    let setup = Setup::new();
    let running = start(&setup);
    let taken = running.local_addrs()[0].1;
    let config = setup.write("other.yaml", &(setup.process("") + &setup.listener("api", &taken.to_string())));
    match Proxy::start(Options { config, overrides: overrides(&setup) }).err() {
        Some(StartError::Bind(BindError { address, .. })) => assert_eq!(address, taken),
        other => panic!("{other:?}"),
    }
}
