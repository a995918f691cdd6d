//! The test bed stands up, in a namespace and on loopback, its zones are right and wrong as its table says, and it leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use revouch_testbed::bed::{Bed, DelvSaid, Place, Recursive, place};
use revouch_testbed::eventually;

/// One zone of each kind, and what `delv` says of it.
const EXPECTED: [(&str, DelvSaid); 8] = [
    ("www.p256.test.", DelvSaid::Secure),
    ("www.n3-151.test.", DelvSaid::Secure),
    ("www.signed.optout.test.", DelvSaid::Secure),
    ("www.unsigned.test.", DelvSaid::Insecure),
    ("www.island.test.", DelvSaid::Insecure),
    ("www.ds-wrong.test.", DelvSaid::Failed),
    ("www.no-zsk.test.", DelvSaid::Failed),
    ("www.expired.test.", DelvSaid::Failed),
];

async fn stands(place: Place) -> PathBuf {
    let mut bed = Bed::start(place).await.unwrap_or_else(|why| panic!("{why}"));
    for recursive in [Recursive::PlainUnbound, Recursive::PlainBind] {
        let delv = bed.delv(recursive).unwrap();
        for (name, expected) in EXPECTED {
            let (said, text) = delv.ask(name, "A").await.unwrap();
            assert_eq!(said, expected, "{name} by way of {}: {text}", recursive.name());
        }
    }
    for recursive in Recursive::ALL {
        bed.restart(recursive).await.unwrap_or_else(|why| panic!("{why}"));
    }
    bed.directory().to_owned()
}

/// Every server has the directory on its command line.
async fn is_gone(directory: PathBuf) {
    assert!(!directory.exists());
    let wanted = directory.display().to_string();
    let ended = eventually(Duration::from_secs(10), || {
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let mut lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        !lines.any(|line| String::from_utf8_lossy(&line).contains(&wanted))
    });
    assert!(ended.await, "a server of {wanted} still runs");
}

#[tokio::test]
async fn in_a_namespace_all_servers_answer_and_are_gone_afterwards() {
    is_gone(place::run(stands)).await;
}

#[tokio::test]
async fn on_loopback_all_servers_answer_and_are_gone_afterwards() {
    is_gone(place::run_on_loopback(stands)).await;
}
