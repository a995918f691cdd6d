//! Time to first byte: from the ClientHello to the first octet of the upstream, over a way with a round trip of its own, while the PTR record
//! takes its time. In TLS 1.3 that is two round trips, and what of the evidence does not fit into the one between ServerHello and the
//! peer's certificate. How long the evidence really took stands in the proxy's log: the timers of the DNS server count whole milliseconds.

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
/// How long the log may take for a line.
const PATIENCE: Duration = Duration::from_secs(10);
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
    // How many connections were let in before.
    let mut earlier = 0;
    let pairs = ROUND_TRIPS.iter().flat_map(|way| EVIDENCE.iter().map(move |evidence| (*way, *evidence)));
    for ((way, evidence), network) in pairs.zip(LATE_NETWORKS) {
        let peer = peers.peer(&bench.stage.identity(&name(&format!("late{network}")))?)?;
        // All but the PTR records is warm.
        visit(&peer, address(network, 0), program.address).await?;
        earlier += 1;
        let late = Scope::suffix(&reverse(network))?.of_type("PTR")?;
        bench.stage.dns.faults().set(late.clone(), Fault::Delay(Duration::from_millis(evidence)));
        let (mut samples, mut expected) = (Vec::new(), Vec::new());
        for repetition in 0..bench.repetitions {
            let number = if evidence == 0 { 0 } else { 1 + repetition % (LATE - 1) };
            let round_trip = Duration::from_millis(way);
            let Sample { taken, evidence: took } =
                sample(&program, &peer, (network, number), round_trip, earlier).await?;
            earlier += 1;
            say(
                bench,
                repetition,
                &format!("round trip {way} ms, evidence {evidence} ms ({took:.1}): {taken:.1} ms"),
            );
            let way = milliseconds(round_trip);
            samples.push(taken);
            expected.push(2.0 * way + (took - way).max(0.0));
        }
        bench.stage.dns.faults().clear(&late);
        let what = format!("round trip {way} ms, evidence {evidence} ms");
        bench.table.add(FIGURE, &what, "ms", &samples);
        bench.table.ratio(
            FIGURE,
            &format!("{what} / 2 RTT + max(0, E − RTT)"),
            (&samples, &expected),
            Some("≤ 1.10"),
        );
    }
    Ok(())
}

/// Both in milliseconds.
struct Sample {
    taken: f64,
    /// How long the evidence took.
    evidence: f64,
}

async fn sample(
    program: &Program,
    peer: &Peer,
    from: (u8, usize),
    way: Duration,
    earlier: usize,
) -> Outcome<Sample> {
    let source = address(from.0, from.1);
    let delay = Delay::start(source, program.address, way).await?;
    let stream = tcp(source, delay.address).await?;
    // Until the relay has its connection to the program.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let started = Instant::now();
    let mut stream = tls(peer, stream).await?;
    stream.read_u8().await?;
    let taken = milliseconds(started.elapsed());
    drop((stream, delay));
    Ok(Sample { taken, evidence: evidence_of(program, earlier).await? })
}

/// The evidence's time of the connection that was let in after so many.
async fn evidence_of(program: &Program, earlier: usize) -> Outcome<f64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = program.log()?;
        if let Some(line) = log.iter().filter(|line| line["outcome"] == "accepted").nth(earlier) {
            return line["evidence_ms"].as_f64().ok_or_else(|| "a line without evidence_ms".into());
        }
        if Instant::now() > deadline {
            return Err("the proxy logs no line".into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
