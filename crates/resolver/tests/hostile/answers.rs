//! Answers that were changed on the way, by hand: each attack on every kind of signed zone, over UDP and over TCP.

use std::fmt;

use super::edits::{Edit, apply};
use super::judges::{Standing, delv, falsehood, unbound};
use super::tables::{aged, cutting, denying, forging, harmless, replaying, stripping, tampering};
use super::*;

/// What is done to which answers, and the question by which it shall work.
#[derive(Clone)]
pub(super) struct Attack {
    pub(super) what: String,
    pub(super) owner: String,
    pub(super) rr_type: RecordType,
    /// The questions whose answers are changed, and how.
    pub(super) on: Vec<(Name, RecordType, Vec<Edit>)>,
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} {}", self.what, self.owner, self.rr_type)
    }
}

impl Attack {
    /// On the answer to the question itself.
    pub(super) fn direct(what: &str, owner: &str, rr_type: RecordType, edits: Vec<Edit>) -> Self {
        let on = vec![(wire_name(owner), rr_type, edits)];
        Self { what: what.to_owned(), owner: owner.to_owned(), rr_type, on }
    }

    /// And on another answer.
    pub(super) fn and(mut self, owner: &str, rr_type: RecordType, edits: Vec<Edit>) -> Self {
        self.on.push((wire_name(owner), rr_type, edits));
        self
    }

    pub(super) fn plot(&self) -> Plot {
        let on = self.on.clone();
        Arc::new(move |asked, mut genuine| {
            for (owner, rr_type, edits) in &on {
                if canonical(asked.query().name()) == *owner && asked.query().query_type() == *rr_type {
                    apply(edits, &mut genuine);
                }
            }
            Reply::Message(Box::new(genuine))
        })
    }
}

/// The signed zones below which every attack is tried, each with its parent.
const SIGNED: [(&str, &str); 6] = [
    ("nsec.test", "test"),
    ("nsec3.test", "test"),
    ("optout.test", "test"),
    ("sub.nsec.test", "nsec.test"),
    ("sub.nsec3.test", "nsec3.test"),
    ("signed.optout.test", "optout.test"),
];

/// Runs the attacks, in turns over UDP and over TCP; returns what went wrong.
pub(super) async fn run(scene: &Scene, attacks: &[Attack]) -> Vec<String> {
    let mut wrong = Vec::new();
    let honest_view = scene.direct();
    for (attack, protocol) in attacks.iter().zip([Protocol::Udp, Protocol::Tcp].into_iter().cycle()) {
        let truth = ask(&honest_view, &attack.owner, attack.rr_type).await;
        scene.attacker.plot(attack.plot());
        let before = scene.attacker.seen.questions();
        let victim = scene.victim(protocol);
        let ours = ask(&victim, &attack.owner, attack.rr_type).await;
        let sent = scene.attacker.seen.questions() - before;
        if sent > u64::from(BUDGET) {
            wrong.push(format!("{attack}: {sent} questions"));
        }
        if let Some(falsehood) = falsehood(&attack.owner, &ours, &truth) {
            wrong.push(format!("{attack}: {falsehood}"));
        }
        wrong.extend(better(scene, attack, &ours).await);
        scene.attacker.plot(honest());
        // Whatever was believed of keys and delegations meanwhile, it leads to the truth.
        let afterwards = ask(&victim, &attack.owner, attack.rr_type).await;
        let is_the_truth = afterwards.is_err() && truth.is_err() || told(&afterwards) == told(&truth);
        if !is_the_truth || falsehood(&attack.owner, &afterwards, &truth).is_some() {
            wrong.push(format!("{attack}, and afterwards {afterwards:?}, but the truth is {truth:?}"));
        }
    }
    wrong
}

/// Whether we think better of what the attack left than both others do.
async fn better(scene: &Scene, attack: &Attack, ours: &Result<Answer, DnsFailure>) -> Option<String> {
    let standing = Standing::of(ours);
    // Who takes it for a failure cannot be better than anyone.
    if standing == Standing::Failure {
        return None;
    }
    let theirs = unbound(scene, &attack.owner, attack.rr_type).await;
    if standing <= Standing::of(&theirs) {
        return None;
    }
    let (delv, said) = delv(scene, &attack.owner, attack.rr_type).await;
    (standing > delv)
        .then(|| format!("{attack}: {ours:?}, but unbound {} and delv {delv:?}: {said}", told(&theirs)))
}

pub(super) fn nothing_wrong(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs attacks on every signed zone, all at once, each with a scene of its own.
async fn on_every_zone<F: Future<Output = Vec<Attack>>>(
    attacks: impl Fn(Arc<Book>, &'static str, &'static str) -> F,
) {
    let runs = SIGNED.map(|(zone, parent)| {
        let attacks = &attacks;
        async move {
            let scene = Scene::new().await;
            let attacks = attacks(Arc::clone(&scene.book), zone, parent).await;
            run(&scene, &attacks).await
        }
    });
    nothing_wrong(&futures_util::future::join_all(runs).await.concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripped_forged_and_tampered_answers_are_never_better_than_elsewhere() {
    on_every_zone(|_, zone, _| async move { [stripping(zone), forging(zone), tampering(zone)].concat() })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_nothing_does_not_make_an_answer_better_than_elsewhere() {
    on_every_zone(|_, zone, _| async move { harmless(zone) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_records_and_mixed_chains_are_never_better_than_elsewhere() {
    on_every_zone(|book, zone, parent| async move {
        let replayed = [replaying(&book, zone, parent).await, denying(&book, zone, parent).await];
        [replayed.concat(), cutting(&book, zone, parent).await].concat()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_of_another_time_are_never_used() {
    let runs = SIGNED.map(|(zone, _)| async move {
        let (scene, attacks) = aged(zone).await;
        run(&scene, &attacks).await
    });
    nothing_wrong(&futures_util::future::join_all(runs).await.concat());
}
