//! Full mutual handshakes: TLS 1.3, P-256, warm evidence. One is a whole life of a connection: TCP, handshake, a connection to the upstream, one
//! octet from there, and an end in good order; every program does all of that.

use std::cell::Cell;
use std::time::Duration;

use crate::client::{Group, Part, Peer, Peers, Upstream, visit};
use crate::figures::{count, milliseconds, say, warm, warm_up};
use crate::program::{Cores, Kind, Program};
use crate::stage::name;
use crate::{Bench, Outcome};

/// Handshakes at a time.
const AT_ONCE: usize = 8;
const FIGURE: &str = "handshake";
const UNIT: &str = "CPU ms";

/// One line of the table, while it is measured.
struct Subject<'p> {
    label: &'static str,
    program: usize,
    peers: &'p [Peer],
    handshakes: usize,
    samples: Vec<f64>,
}

/// Measures.
pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    println!("handshakes: CPU time of a connection with a full mutual handshake");
    let upstream = Upstream::start(Part::Greet).await?;
    let identities = bench.stage.identities(&name("gw"))?;
    let make = |group| -> Outcome<Vec<Peer>> {
        let peers = Peers::new(&bench.stage, group)?;
        identities.iter().map(|identity| peers.peer(identity)).collect()
    };
    let (classic, hybrid) = (make(Group::X25519)?, make(Group::X25519MlKem768)?);
    let kinds: &[Kind] = if bench.smoke {
        &[Kind::Bare, Kind::Revouch]
    } else {
        &[Kind::Bare, Kind::Revouch, Kind::HaProxy, Kind::Nginx]
    };
    let mut programs = Vec::new();
    for kind in kinds {
        let program =
            Program::start(*kind, &bench.stage, upstream.address, &bench.binaries, Cores::One).await?;
        if let Some(peer) = classic.first() {
            warm_up(&program, peer).await?;
        }
        programs.push(program);
    }
    let sizes = bench.stage.sizes;
    let one = classic.get(..1).unwrap_or_default();
    let hybrid_one = hybrid.get(..1).unwrap_or_default();
    let subject = |label, program, peers, handshakes| Subject {
        label,
        program,
        peers,
        handshakes,
        samples: Vec::new(),
    };
    let few = sizes.handshakes / 3;
    let mut subjects = vec![
        subject("bare tokio-rustls, X25519", 0, &classic[..], sizes.handshakes),
        // All of the certificates, so that the path cache has none of them when it comes again.
        subject("revouch-proxy, path not cached, X25519", 1, &classic[..], sizes.leaves),
        subject("revouch-proxy, path cached, X25519", 1, one, sizes.handshakes),
        subject("bare tokio-rustls, X25519MLKEM768", 0, &hybrid[..], sizes.handshakes),
        subject("revouch-proxy, path not cached, X25519MLKEM768", 1, &hybrid[..], sizes.leaves),
        subject("revouch-proxy, path cached, X25519MLKEM768", 1, hybrid_one, sizes.handshakes),
    ];
    if !bench.smoke {
        subjects.push(subject("HAProxy, X25519", 2, &classic[..], few));
        subjects.push(subject("nginx, X25519", 3, &classic[..], few));
    }
    for repetition in 0..bench.repetitions {
        for subject in &mut subjects {
            let Some(program) = programs.get(subject.program) else { continue };
            let each = sample(program, subject.peers, subject.handshakes).await?;
            say(bench, repetition, &format!("{}: {each:.3} ms", subject.label));
            subject.samples.push(each);
        }
    }
    add(bench, &subjects);
    Ok(())
}

fn add(bench: &mut Bench, subjects: &[Subject<'_>]) {
    for subject in subjects {
        bench.table.add(FIGURE, subject.label, UNIT, &subject.samples);
    }
    let samples = |number: usize| subjects.get(number).map_or(&[][..], |subject| &subject.samples);
    let ratios: &[(&str, usize, usize, Option<&str>)] = &[
        ("not cached / bare, X25519", 1, 0, Some("≤ 1.10")),
        ("cached / bare, X25519", 2, 0, Some("≤ 0.85")),
        ("not cached / bare, X25519MLKEM768", 4, 3, Some("≤ 1.10")),
        ("cached / bare, X25519MLKEM768", 5, 3, Some("≤ 0.85")),
        ("not cached / HAProxy, X25519", 1, 6, Some("≤ 0.40")),
        ("cached / HAProxy, X25519", 2, 6, Some("≤ 0.40")),
        ("not cached / nginx, X25519", 1, 7, None),
    ];
    for (label, one, other, target) in ratios {
        if *other < subjects.len() {
            bench.table.ratio(FIGURE, label, (samples(*one), samples(*other)), *target);
        }
    }
}

/// Processor time of one handshake, in milliseconds.
async fn sample(program: &Program, peers: &[Peer], handshakes: usize) -> Outcome<f64> {
    let next = Cell::new(0);
    let before = program.cpu()?;
    let one = async || -> Outcome<()> {
        loop {
            let turn = next.get();
            if turn >= handshakes {
                return Ok(());
            }
            next.set(turn + 1);
            if let Some(peer) = peers.get(turn % peers.len()) {
                visit(peer, warm(turn), program.address).await?;
            }
        }
    };
    futures_util::future::try_join_all((0..AT_ONCE).map(|_| Box::pin(one()))).await?;
    // What a program does behind the end of a connection belongs to it.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(milliseconds(program.cpu()? - before) / count(handshakes))
}
