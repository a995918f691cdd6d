//! Many peers at once, each of an address of its own whose PTR record takes 50 ms, on two threads. Load and program share both cores here.

use std::sync::Arc;
use std::time::Duration;

use revouch_lab::{Fault, Scope};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Group, Part, Peer, Peers, Upstream, greeted, visit};
use crate::figures::{count, say};
use crate::program::{Cores, Kind, Program};
use crate::stage::{CROWD, CROWD_NETWORK, crowd, groups, name, reverse};
use crate::{Bench, Outcome};

const FIGURE: &str = "burst";
const LATE: Duration = Duration::from_millis(50);

/// Measures.
pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    let many = bench.stage.sizes.peers;
    println!("burst: {many} handshakes at once, evidence takes 50 ms, two threads");
    let upstream = Upstream::start(Part::Greet).await?;
    let makers = Peers::new(&bench.stage, Group::X25519MlKem768)?;
    let mut peers = Vec::new();
    for group in 0..groups(many) {
        peers.push(makers.peer(&bench.stage.identity(&name(&format!("crowd{group}")))?)?);
    }
    let late = Scope::suffix(&reverse(CROWD_NETWORK))?.of_type("PTR")?;
    let (mut times, mut threads) = (Vec::new(), Vec::new());
    for repetition in 0..bench.repetitions {
        let program =
            Program::start(Kind::Revouch, &bench.stage, upstream.address, &bench.binaries, Cores::Two)
                .await?;
        for (group, peer) in peers.iter().enumerate() {
            visit(peer, crowd(group, 0), program.address).await?;
        }
        bench.stage.dns.faults().set(late.clone(), Fault::Delay(LATE));
        let before = program.threads()?;
        let (taken, most) = sample(&program, &peers, many).await?;
        bench.stage.dns.faults().clear(&late);
        say(bench, repetition, &format!("{taken:.3} s, threads {before} before and {most} at most"));
        times.push(taken);
        threads.push(count(most) - count(before));
    }
    let label = format!("{many} handshakes, evidence 50 ms, 2 threads");
    bench.table.add_with_target(FIGURE, &label, "s", &times, Some("≤ 1.5"));
    bench.table.add_with_target(FIGURE, "threads more than before", "threads", &threads, Some("0"));
    Ok(())
}

/// The time until the last has its octet, in seconds, and the most threads that were seen.
async fn sample(program: &Program, peers: &[Peer], many: usize) -> Outcome<(f64, usize)> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..many {
        let (group, member) = (number / (CROWD - 1), 1 + number % (CROWD - 1));
        let Some(peer) = peers.get(group).map(Arc::clone) else { continue };
        let to = program.address;
        tasks.spawn(Box::pin(async move { greeted(&peer, crowd(group, member), to).await.map(Box::new) }));
    }
    let mut most = program.threads()?;
    let mut open = Vec::new();
    while let Some(done) = tasks.join_next().await {
        open.push(done??);
        most = most.max(program.threads()?);
    }
    let taken = started.elapsed().as_secs_f64();
    drop(open);
    Ok((taken, most))
}
