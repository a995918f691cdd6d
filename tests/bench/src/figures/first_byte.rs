//! Time to first byte: from the ClientHello to the first octet of the upstream, over a way with a round trip of its own, while the PTR record
//! takes its time. In TLS 1.3 that is two round trips, and what of the evidence does not fit into the one between ServerHello and the
//! peer's certificate.

use std::time::Duration;

use revouch_lab::{Fault, Scope};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::client::{Group, Part, Peer, Peers, Upstream, tcp, tls, visit};
use crate::delay::Delay;
use crate::figures::{milliseconds, say};
use crate::program::{Cores, Kind, Program};
use crate::stage::{LATE, LATE_NETWORKS, address, name, reverse};
use crate::{Bench, Outcome};

const FIGURE: &str = "first byte";
/// Milliseconds that the PTR record takes.
const EVIDENCE: [u64; 4] = [0, 5, 20, 50];
/// Milliseconds of a round trip.
const ROUND_TRIPS: [u64; 2] = [10, 40];

/// Measures.
pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    println!("first-byte: time from the ClientHello to the upstream's first octet");
    let upstream = Upstream::start(Part::Greet).await?;
    let program =
        Program::start(Kind::Revouch, &bench.stage, upstream.address, &bench.binaries, Cores::One).await?;
    let peers = Peers::new(&bench.stage, Group::X25519MlKem768)?;
    let pairs = ROUND_TRIPS.iter().flat_map(|way| EVIDENCE.iter().map(move |evidence| (*way, *evidence)));
    for ((way, evidence), network) in pairs.zip(LATE_NETWORKS) {
        let peer = peers.peer(&bench.stage.identity(&name(&format!("late{network}")))?)?;
        // All but the PTR records is warm.
        visit(&peer, address(network, 0), program.address).await?;
        let late = Scope::suffix(&reverse(network))?.of_type("PTR")?;
        bench.stage.dns.faults().set(late.clone(), Fault::Delay(Duration::from_millis(evidence)));
        let mut samples = Vec::new();
        for repetition in 0..bench.repetitions {
            let number = if evidence == 0 { 0 } else { 1 + repetition % (LATE - 1) };
            let taken = sample(&program, &peer, (network, number), Duration::from_millis(way)).await?;
            say(bench, repetition, &format!("round trip {way} ms, evidence {evidence} ms: {taken:.1} ms"));
            samples.push(taken);
        }
        bench.stage.dns.faults().clear(&late);
        let expected = 2 * way + evidence.saturating_sub(way);
        bench.table.add_with_target(
            FIGURE,
            &format!("round trip {way} ms, evidence {evidence} ms"),
            "ms",
            &samples,
            Some(&format!("{expected} ± 10 %")),
        );
    }
    Ok(())
}

async fn sample(program: &Program, peer: &Peer, from: (u8, usize), way: Duration) -> Outcome<f64> {
    let source = address(from.0, from.1);
    let delay = Delay::start(source, program.address, way).await?;
    let stream = tcp(source, delay.address).await?;
    // Until the relay has its connection to the program.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let started = Instant::now();
    let mut stream = tls(peer, stream).await?;
    stream.read_u8().await?;
    Ok(milliseconds(started.elapsed()))
}
