//! Asks everything of everyone.

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use revouch_resolver::anchors::Anchors;
use revouch_resolver::upstream::{Protocol, Server};
use revouch_resolver::{AskOptions, Concurrency, Resolver, ValidationMode};
use revouch_testbed::bed::{Bed, Recursive};
use revouch_validator::evidence::Question;
use revouch_validator::exemption::Exemptions;

use super::questions::Asked;
use super::raw;
use super::verdict::Verdict;

/// How long a server may take: BIND takes 12 s for some answers that are bogus.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long everything of one way may take: all questions are asked at once, and wait for each other in the resolver.
const ALL: Duration = Duration::from_secs(120);
/// Questions that our resolver sends at the same time; each has a socket.
const ASKING: usize = 200;
/// Questions to an oracle at the same time.
const IN_FLIGHT: usize = 200;
/// Runs of `delv` at the same time.
const RUNS: usize = 4;

/// How our resolver is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) by: Recursive,
    pub(crate) mode: ValidationMode,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} behind {}", self.mode, self.by.name())
    }
}

/// What our resolver found; if it found nothing out, why.
pub(crate) type Told = Result<Verdict, String>;

/// A verdict as text.
pub(crate) fn tell(told: &Told) -> String {
    told.as_ref().map_or_else(Clone::clone, ToString::to_string)
}

/// Every question, and what everyone says to it, in the same order.
pub(crate) struct All {
    pub(crate) asked: Vec<Asked>,
    ours: Vec<(Way, Vec<Told>)>,
    /// Of some ways what was said with cold caches and with warm ones.
    pub(crate) warm: Vec<(Way, &'static str, Vec<Told>, Vec<Told>)>,
    unbound: Vec<Verdict>,
    bind: Vec<Verdict>,
}

impl All {
    /// Asks. The questions are sorted.
    pub(crate) async fn ask(bed: &Bed, asked: Vec<Asked>) -> Self {
        let mut all = Self { asked, ours: vec![], warm: vec![], unbound: vec![], bind: vec![] };
        let started = Instant::now();
        for by in Recursive::ALL {
            let way = Way { by, mode: ValidationMode::Validate };
            let resolver = resolver(bed, way);
            // The server is cold, and so are we; then we are warm; then the server is warm and we are not.
            let cold = ours(&resolver, &all.asked).await;
            let warm = ours(&resolver, &all.asked).await;
            all.warm.push((way, "warm", cold.clone(), warm));
            if by == Recursive::Unbound {
                let again = ours(&self::resolver(bed, way), &all.asked).await;
                all.warm.push((way, "with the server's cache warm", cold.clone(), again));
            }
            all.ours.push((way, cold));
            if by.validates() {
                let way = Way { by, mode: ValidationMode::TrustAd };
                let trusting = self::resolver(bed, way);
                assert_eq!(trusting.probe(PATIENCE).await, [], "{way}");
                all.ours.push((way, ours(&trusting, &all.asked).await));
            }
        }
        all.unbound = theirs(bed, Recursive::Unbound, &all.asked).await;
        all.bind = theirs(bed, Recursive::Bind, &all.asked).await;
        note(&format!(
            "{} questions, each 6 ways and to 2 oracles: {:?}",
            all.asked.len(),
            started.elapsed()
        ));
        all
    }

    /// What our ways found of one question.
    pub(crate) fn ours(&self, index: usize) -> impl Iterator<Item = (&Way, &Told)> {
        self.ours.iter().map(move |(way, told)| (way, &told[index]))
    }

    /// What a validator found of one question.
    pub(crate) fn theirs(&self, by: Recursive, index: usize) -> &Verdict {
        match by {
            Recursive::Unbound => &self.unbound[index],
            Recursive::Bind => &self.bind[index],
            plain => panic!("{} has no verdict", plain.name()),
        }
    }
}

fn resolver(bed: &Bed, way: Way) -> Resolver {
    let server = Server { address: bed.recursive(way.by), protocol: Protocol::Udp };
    let builder = Resolver::builder()
        .servers(vec![server])
        .mode(way.mode)
        .patience(PATIENCE, 2)
        .concurrency(Concurrency { asking: ASKING, ..Concurrency::default() });
    builder.anchors(Anchors::parse(bed.anchor()).unwrap()).build().unwrap()
}

/// All questions at once: the resolver itself bounds how many it sends.
async fn ours(resolver: &Resolver, asked: &[Asked]) -> Vec<Told> {
    let options = AskOptions { deadline: ALL, ..AskOptions::default() };
    let exemptions = Exemptions::default();
    let (options, exemptions) = (&options, &exemptions);
    let all = asked.iter().map(|asked| async move {
        let question = Question::new(asked.name(), asked.rr_type());
        Verdict::ours(&resolver.ask(&question, exemptions, options).await)
    });
    join_all(all).await
}

async fn theirs(bed: &Bed, by: Recursive, asked: &[Asked]) -> Vec<Verdict> {
    let server = bed.recursive(by);
    let all = asked.iter().map(|asked| async move { raw::ask(server, &asked.name(), asked.rr_type()).await });
    stream::iter(all).buffered(IN_FLIGHT).collect().await
}

/// What `delv` says to each, if it tells, and what it printed.
pub(crate) async fn delv(bed: &Bed, asked: &[&Asked]) -> Vec<(Option<Verdict>, String)> {
    let started = Instant::now();
    let delv = bed.delv(Recursive::PlainUnbound).unwrap();
    let delv = &delv;
    let all = asked.iter().map(|asked| async move {
        let (said, text) = delv.ask(&asked.owner, &asked.rr_type).await.unwrap();
        (Verdict::delv(said), text)
    });
    let all = stream::iter(all).buffered(RUNS).collect().await;
    note(&format!("{} questions to delv: {:?}", asked.len(), started.elapsed()));
    all
}

#[allow(clippy::print_stderr, reason = "what took how long is worth knowing")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}
