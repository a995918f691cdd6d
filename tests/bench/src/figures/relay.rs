//! Relaying: TLS towards the peer, plain TCP towards the upstream, TLS_AES_256_GCM_SHA384. Up is from the peer to the upstream.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Group, Part, Peer, Peers, Upstream, drain, fill, tcp, tls};
use crate::figures::{say, warm};
use crate::program::{Cores, Kind, Program};
use crate::stage::name;
use crate::{Bench, Outcome};

const FIGURE: &str = "relay";
const UNIT: &str = "CPU s/GiB";
const GIB: f64 = 1_073_741_824.0;

/// Measures.
pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    println!("relay: CPU time of relaying a GiB");
    let octets = bench.stage.sizes.octets;
    let (sink, source) = (Upstream::start(Part::Drain).await?, Upstream::start(Part::Fill(octets)).await?);
    let peer = Peers::new(&bench.stage, Group::X25519)?.peer(&bench.stage.identity(&name("gw"))?)?;
    let kinds: &[Kind] =
        if bench.smoke { &[Kind::Revouch] } else { &[Kind::Revouch, Kind::HaProxy, Kind::Bare, Kind::Nginx] };
    let mut up: Vec<(Kind, Program, Vec<f64>)> = Vec::new();
    let mut down = Vec::new();
    for kind in kinds {
        let start = async |to| Program::start(*kind, &bench.stage, to, &bench.binaries, Cores::One).await;
        // nginx ends the upstream's direction with the peer's, so that the end of `up` cannot be seen.
        if *kind != Kind::Nginx {
            up.push((*kind, start(sink.address).await?, Vec::new()));
        }
        down.push((*kind, start(source.address).await?, Vec::new()));
    }
    for repetition in 0..bench.repetitions {
        for (kind, program, samples) in &mut up {
            let each = send(program, &peer, octets).await?;
            say(bench, repetition, &format!("up, {}: {each:.3} s/GiB", kind.label()));
            samples.push(each);
        }
        for (kind, program, samples) in &mut down {
            let each = receive(program, &peer, octets).await?;
            say(bench, repetition, &format!("down, {}: {each:.3} s/GiB", kind.label()));
            samples.push(each);
        }
    }
    for (direction, series) in [("up", &up), ("down", &down)] {
        for (kind, _, samples) in series {
            bench.table.add(FIGURE, &format!("{direction}, {}", kind.label()), UNIT, samples);
        }
        if let [(_, _, ours), (_, _, theirs), ..] = series.as_slice() {
            let label = format!("{direction}, revouch-proxy / HAProxy");
            bench.table.ratio(FIGURE, &label, (ours, theirs), Some("≤ 1.0"));
        }
    }
    Ok(())
}

async fn send(program: &Program, peer: &Peer, octets: u64) -> Outcome<f64> {
    let mut stream = tls(peer, tcp(warm(0), program.address).await?).await?;
    let before = program.cpu()?;
    fill(&mut stream, octets).await?;
    stream.shutdown().await?;
    // The upstream has read everything.
    stream.read_u8().await?;
    per_gib(program.cpu()? - before, octets)
}

async fn receive(program: &Program, peer: &Peer, octets: u64) -> Outcome<f64> {
    let before = program.cpu()?;
    let mut stream = tls(peer, tcp(warm(0), program.address).await?).await?;
    let received = drain(&mut stream).await?;
    if received != octets {
        return Err(format!("{received} of {octets} octets came").into());
    }
    per_gib(program.cpu()? - before, octets)
}

#[allow(clippy::cast_precision_loss, reason = "a number of octets, as a part of a GiB")]
fn per_gib(cpu: Duration, octets: u64) -> Outcome<f64> {
    Ok(cpu.as_secs_f64() * GIB / octets as f64)
}
