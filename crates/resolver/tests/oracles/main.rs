//! Our verdicts beside those of unbound, BIND and delv, over the zones of the test bed on real servers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod questions;
mod raw;
mod verdict;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use revouch_resolver::anchors::Anchors;
use revouch_resolver::upstream::{Protocol, Server};
use revouch_resolver::{AskOptions, Concurrency, Resolver, ValidationMode};
use revouch_testbed::bed::{Bed, Place, Recursive, place};
use revouch_validator::evidence::Question;
use revouch_validator::exemption::Exemptions;

use questions::Asked;
use verdict::Verdict;

fn resolver(bed: &Bed, by: Recursive, mode: ValidationMode) -> Resolver {
    let server = Server { address: bed.recursive(by), protocol: Protocol::Udp };
    Resolver::builder()
        .servers(vec![server])
        .anchors(Anchors::parse(bed.anchor()).unwrap())
        .mode(mode)
        .patience(Duration::from_secs(20), 1)
        .concurrency(Concurrency { asking: 200, waiting: 100_000 })
        .build()
        .unwrap()
}

async fn ours(resolver: &Resolver, asked: &[Asked]) -> Vec<Result<Verdict, String>> {
    let options = AskOptions { deadline: Duration::from_secs(120), ..AskOptions::default() };
    let exemptions = Exemptions::default();
    let all = asked.iter().map(|asked| {
        let question = Question::new(asked.name(), asked.rr_type());
        let (exemptions, options) = (&exemptions, &options);
        async move { Verdict::ours(&resolver.ask(&question, exemptions, options).await) }
    });
    join_all(all).await
}

async fn theirs(bed: &Bed, by: Recursive, asked: &[Asked]) -> Vec<Verdict> {
    let all = asked.iter().map(|asked| {
        let server = bed.recursive(by);
        async move {
            let t = std::time::Instant::now();
            let v = raw::ask(server, &asked.name(), asked.rr_type()).await;
            if t.elapsed().as_millis() > 500 {
                eprintln!("slow {by:?} {asked:?} {:?} {v}", t.elapsed());
            }
            v
        }
    });
    stream::iter(all).buffered(100).collect().await
}

async fn compare(place: Place) {
    let t = std::time::Instant::now();
    let bed = Arc::new(Bed::start(place).await.unwrap_or_else(|why| panic!("{why}")));
    eprintln!("bed {:?}", t.elapsed());
    let asked = questions::generated(bed.zones());
    let asked: Vec<Asked> =
        asked.into_iter().enumerate().filter(|(i, _)| i % 1 == 0).map(|(_, a)| a).collect();
    eprintln!("{} questions", asked.len());
    let mut ways = BTreeMap::new();
    for by in Recursive::ALL {
        let t = std::time::Instant::now();
        let r = resolver(&bed, by, ValidationMode::Validate);
        ways.insert(by, ours(&r, &asked).await);
        eprintln!("cold {} {:?}", by.name(), t.elapsed());
        let t = std::time::Instant::now();
        let w = ours(&r, &asked).await;
        assert_eq!(w.len(), asked.len());
        eprintln!("warm {} {:?}", by.name(), t.elapsed());
    }
    let t = std::time::Instant::now();
    let unbound = theirs(&bed, Recursive::Unbound, &asked).await;
    eprintln!("raw unbound {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let bind = theirs(&bed, Recursive::Bind, &asked).await;
    eprintln!("raw bind {:?}", t.elapsed());
    let delv = bed.delv(Recursive::PlainUnbound).unwrap();
    let mut out = String::new();
    for (i, q) in asked.iter().enumerate() {
        let all: Vec<&Result<Verdict, String>> = ways.values().map(|v| &v[i]).collect();
        let same = all.iter().all(|v| v.as_ref().is_ok_and(|v| v.agrees(&unbound[i]) && v.agrees(&bind[i])));
        if !same {
            let (said, _) = delv.ask(&q.owner, &q.rr_type).await.unwrap();
            out += &format!(
                "{} {}\tunbound={}\tbind={}\tdelv={:?}",
                q.owner, q.rr_type, unbound[i], bind[i], said
            );
            for (by, v) in &ways {
                match &v[i] {
                    Ok(v) => out += &format!("\t{}={v}", by.name()),
                    Err(e) => out += &format!("\t{}=!{e}", by.name()),
                }
            }
            out += "\n";
        }
    }
    std::fs::write("/tmp/dnsx/diff", out).unwrap();
    std::process::Command::new("cp").arg("-r").arg(bed.directory()).arg("/tmp/dnsx/bed").status().unwrap();
}

#[test]
fn every_verdict_is_that_of_an_oracle() {
    place::run(compare);
}
