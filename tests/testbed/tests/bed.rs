//! The test bed stands up, in a namespace and on loopback, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use revouch_testbed::bed::{Bed, DelvSaid, Place, Recursive, place};

async fn stands(place: Place) {
    let started = std::time::Instant::now();
    let bed = Bed::start(place).await.unwrap_or_else(|why| panic!("{why}"));
    eprintln!("bed took {:?} in {}", started.elapsed(), bed.directory().display());
    for recursive in Recursive::ALL {
        let delv = bed.delv(recursive).unwrap();
        for (name, expected) in [
            ("www.p256.test.", DelvSaid::Secure),
            ("www.unsigned.test.", DelvSaid::Insecure),
            ("www.ds-wrong.test.", DelvSaid::Failed),
        ] {
            let (said, text) = delv.ask(name, "A").await.unwrap();
            assert_eq!(said, expected, "{name} by way of {}: {text}", recursive.name());
        }
    }
}

#[test]
fn in_a_namespace_all_servers_answer_for_all_zones() {
    place::run(stands);
}

#[test]
fn on_loopback_all_servers_answer_for_all_zones() {
    place::run_on_loopback(stands);
}
