//! Resident memory: of the process before the first connection, and of each of many that are open and idle behind their first octet.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::client::{Group, Part, Peers, Upstream, greeted};
use crate::figures::{count, say, warm};
use crate::program::{Cores, Kind, Program};
use crate::stage::name;
use crate::{Bench, Outcome};

const FIGURE: &str = "memory";
/// Handshakes at a time.
const AT_ONCE: usize = 8;
/// What is given back after a rest has been given back by then.
const REST: Duration = Duration::from_secs(3);
const KIB: f64 = 1024.0;

/// Measures.
pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    let idle = bench.stage.sizes.idle;
    println!("memory: the empty process, and {idle} idle connections");
    let kinds: &[Kind] =
        if bench.smoke { &[Kind::Revouch] } else { &[Kind::Revouch, Kind::Bare, Kind::HaProxy, Kind::Nginx] };
    let mut series: Vec<(Kind, Vec<f64>, Vec<f64>)> =
        kinds.iter().map(|kind| (*kind, Vec::new(), Vec::new())).collect();
    for repetition in 0..bench.repetitions {
        for (kind, empty, each) in &mut series {
            let (before, after) = sample(bench, *kind, idle).await?;
            let connection = (after - before) / count(idle) / KIB;
            say(
                bench,
                repetition,
                &format!("{}: {:.0} KiB, {connection:.1} KiB each", kind.label(), before / KIB),
            );
            empty.push(before / KIB / KIB);
            each.push(connection);
        }
    }
    for (kind, empty, _) in &series {
        bench.table.add(FIGURE, &format!("empty process, {}", kind.label()), "MiB", empty);
    }
    for (kind, _, each) in &series {
        let target = (*kind == Kind::Revouch).then_some("≤ 20");
        let label = format!("idle connection, {}", kind.label());
        bench.table.add_with_target(FIGURE, &label, "KiB", each, target);
    }
    Ok(())
}

/// Resident octets before the first connection, and with all of them.
#[allow(clippy::cast_precision_loss, reason = "a number of octets, below 2^53")]
async fn sample(bench: &Bench, kind: Kind, idle: usize) -> Outcome<(f64, f64)> {
    let upstream = Upstream::start(Part::Greet).await?;
    let program = Program::start(kind, &bench.stage, upstream.address, &bench.binaries, Cores::One).await?;
    let peers = Peers::new(&bench.stage, Group::X25519)?;
    let peer = peers.peer(&bench.stage.identity(&name("gw"))?)?;
    let before = program.resident()?;
    let connecting = (0..idle).map(|number| greeted(&peer, warm(number), program.address));
    let mut open = Vec::new();
    let mut connections = stream::iter(connecting).buffer_unordered(AT_ONCE);
    while let Some(connection) = connections.next().await {
        open.push(Box::new(connection?));
    }
    tokio::time::sleep(REST).await;
    let after = program.resident()?;
    drop(open);
    Ok((before as f64, after as f64))
}
