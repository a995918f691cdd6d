//! Starts the test bed and runs a command beside it, or else a shell; the bed ends with it.
//!
//! ```text
//! cargo run -p revouch-testbed --example bed
//! cargo run -p revouch-testbed --example bed -- dig -p 5301 @127.0.0.1 www.p256.test +dnssec
//! ```
#![allow(clippy::print_stdout, reason = "it is there to tell")]

use std::process::{Command, ExitCode};

use revouch_testbed::bed::{Authority, Bed, BedError, Recursive, place};

fn main() -> ExitCode {
    let command: Vec<String> = std::env::args().skip(1).collect();
    let ran = place::run(|place| async move {
        let bed = Bed::start(place).await?;
        if command.is_empty() {
            tell(&bed);
        }
        // Started from a thread that is where the servers are.
        let mut words = command.iter();
        let mut child = Command::new(words.next().map_or("sh", String::as_str));
        Ok::<bool, BedError>(child.args(words).status()?.success())
    });
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn tell(bed: &Bed) {
    println!("files: {}", bed.directory().display());
    println!("trust anchor: {}", bed.anchor());
    for authority in [Authority::Bind, Authority::Knot, Authority::Nsd] {
        println!("{authority:?}: {}", bed.authority(authority));
    }
    for recursive in Recursive::ALL {
        println!("{}: {}", recursive.name(), bed.recursive(recursive));
    }
    println!("{} zones. The shell that follows is where they are; the bed ends with it.", bed.zones().len());
}
