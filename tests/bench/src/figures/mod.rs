//! One module for each group of figures.

pub(crate) mod burst;
pub(crate) mod cold;
pub(crate) mod first_byte;
pub(crate) mod handshakes;
pub(crate) mod memory;
pub(crate) mod relay;

use std::net::IpAddr;
use std::time::Duration;

use crate::client::{Peer, visit};
use crate::program::Program;
use crate::stage::{WARM, WARM_NETWORK, address};
use crate::{Bench, Outcome};

/// The address of the peer with warm evidence, one of several in turn.
pub(crate) fn warm(turn: usize) -> IpAddr {
    address(WARM_NETWORK, turn % usize::from(WARM))
}

/// Lets the program see each of the warm addresses once.
pub(crate) async fn warm_up(program: &Program, peer: &Peer) -> Outcome<()> {
    for turn in 0..usize::from(WARM) {
        visit(peer, warm(turn), program.address).await?;
    }
    Ok(())
}

/// Says what is about to be measured.
pub(crate) fn say(bench: &Bench, repetition: usize, what: &str) {
    eprintln!("  {}/{} {what}", repetition + 1, bench.repetitions);
}

/// A time in milliseconds.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A number of things, for arithmetic.
pub(crate) fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::NAN, f64::from)
}
