//! Cold evidence: how many questions go upstream, and how long it takes, for peers that were never seen. The DNS server is near and answers at once:
//! the time is the proxy's own, with the signatures that it checks.

use std::net::IpAddr;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::client::{Group, Part, Peer, Peers, Upstream, tcp, tls};
use crate::figures::{count, milliseconds, say};
use crate::program::{Cores, Kind, Program};
use crate::stage::{NAMELESS_NETWORK, PROVIDER_NETWORK, PROVIDER_ZONE, address};
use crate::{Bench, Outcome};

const FIGURE: &str = "cold evidence";
/// Peers at a time.
const AT_ONCE: usize = 50;

#[derive(Default)]
struct Series {
    questions: Vec<f64>,
    times: Vec<f64>,
}

/// Measures.
pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    let many = bench.stage.sizes.peers;
    println!("cold: evidence of one new peer, of {many} of one provider, of {many} without PTR record");
    let upstream = Upstream::start(Part::Greet).await?;
    let peers = Peers::new(&bench.stage, Group::X25519)?;
    let peer = peers.peer(&bench.stage.identity(&format!("*.{PROVIDER_ZONE}"))?)?;
    let [mut one, mut provider, mut nameless] = [(); 3].map(|()| Series::default());
    for repetition in 0..bench.repetitions {
        let program =
            Program::start(Kind::Revouch, &bench.stage, upstream.address, &bench.binaries, Cores::One)
                .await?;
        let of = |network| move |number| address(network, number);
        sample(bench, &program, &peer, &mut one, (0..1).map(of(PROVIDER_NETWORK))).await?;
        let others = (1..=many).map(of(PROVIDER_NETWORK));
        sample(bench, &program, &peer, &mut provider, others).await?;
        let last = sample(bench, &program, &peer, &mut nameless, (1..=many).map(of(NAMELESS_NETWORK)));
        last.await?;
        check(&program, many)?;
        say(bench, repetition, &format!("one: {}", shown(&one)));
        say(bench, repetition, &format!("provider: {}", shown(&provider)));
        say(bench, repetition, &format!("without PTR: {}", shown(&nameless)));
    }
    let labels =
        ["one new peer".to_owned(), format!("{many} of one provider"), format!("{many} without PTR record")];
    for (label, series) in labels.iter().zip([&one, &provider, &nameless]) {
        bench.table.add(FIGURE, label, "questions", &series.questions);
        bench.table.add(FIGURE, label, "ms for all", &series.times);
    }
    Ok(())
}

fn shown(series: &Series) -> String {
    let last = |values: &[f64]| values.last().copied().unwrap_or(f64::NAN);
    format!("{:.0} questions, {:.1} ms", last(&series.questions), last(&series.times))
}

/// Lets each of these addresses come once.
async fn sample(
    bench: &Bench,
    program: &Program,
    peer: &Peer,
    series: &mut Series,
    sources: impl Iterator<Item = IpAddr>,
) -> Outcome<()> {
    let queries = bench.stage.dns.queries();
    let (before, started) = (queries.total(), Instant::now());
    let mut coming =
        stream::iter(sources.map(|source| Box::pin(come(peer, source, program)))).buffer_unordered(AT_ONCE);
    while let Some(come) = coming.next().await {
        come?;
    }
    series.times.push(milliseconds(started.elapsed()));
    // Advice goes on behind the verdict.
    let mut asked = queries.total();
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        if queries.total() == asked {
            break;
        }
        asked = queries.total();
    }
    series.questions.push(count(usize::try_from(asked - before)?));
    Ok(())
}

/// Comes, and goes as soon as there is the upstream's octet or a refusal.
async fn come(peer: &Peer, source: IpAddr, program: &Program) -> Outcome<()> {
    let mut stream = tls(peer, tcp(source, program.address).await?).await?;
    // What is wrong shows in the log: see `check`.
    drop(stream.read_u8().await);
    Ok(())
}

/// Those of the provider were accepted, the others refused for want of a PTR record.
fn check(program: &Program, many: usize) -> Outcome<()> {
    let log = program.log()?;
    let counted = |field: &str, wanted: &str| {
        log.iter().filter(|line| line.get(field).and_then(serde_json::Value::as_str) == Some(wanted)).count()
    };
    let (accepted, refused) = (counted("outcome", "accepted"), counted("reason", "no_ptr"));
    if accepted < many || refused < many {
        return Err(format!("{accepted} accepted and {refused} refused of twice {many}").into());
    }
    Ok(())
}
