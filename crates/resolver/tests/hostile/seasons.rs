//! Time that passes at will, by both clocks, and a resolver with its caches that lives through it.

use std::sync::atomic::{AtomicI64, Ordering};

use revouch_resolver::{AskOptions, Builder, Resolver};
use revouch_validator::evidence::{AnswerSource, Outcome, Question};
use revouch_validator::exemption::Exemptions;

use super::*;

/// The longest time for which something bogus is remembered, or something that was rolled makes others bogus, in seconds.
pub(super) const BOGUS: u64 = 60;

/// A scene, a clock, and a resolver that asks through the attacker.
pub(super) struct Season {
    pub(super) scene: Scene,
    pub(super) resolver: Resolver,
    wall: Arc<AtomicI64>,
}

impl Season {
    pub(super) async fn new(builder: UniverseBuilder) -> Self {
        Self::with(builder, |builder| builder).await
    }

    pub(super) async fn with(builder: UniverseBuilder, change: impl FnOnce(Builder) -> Builder) -> Self {
        let scene = Scene::of(builder, Book::forgetful).await;
        let wall = Arc::new(AtomicI64::new(0));
        let made = Resolver::builder()
            .servers(vec![scene.attacker.server(Protocol::Udp)])
            .anchors(Anchors::parse(&scene.universe.trust_anchor()).unwrap())
            .patience(Duration::from_secs(5), 1)
            .clock(shifted(&wall));
        Self { resolver: change(made).build().unwrap(), scene, wall }
    }

    /// Lets time pass by both clocks. Needs a runtime of one thread.
    pub(super) async fn pass(&self, seconds: u64) {
        self.set_wall(self.wall.load(Ordering::SeqCst) + i64::try_from(seconds).unwrap());
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    }

    /// Sets the wall clock alone, in seconds from the true time.
    pub(super) fn set_wall(&self, seconds: i64) {
        self.wall.store(seconds, Ordering::SeqCst);
    }

    /// The answer in two words, and where it came from.
    pub(super) async fn ask(&self, owner: &str, rr_type: RecordType) -> (String, AnswerSource) {
        let question = Question::new(name(owner), RrType(rr_type.into()));
        let options =
            AskOptions { deadline: Duration::from_secs(30), budget: BUDGET, ..AskOptions::default() };
        let seen = self.resolver.ask(&question, &Exemptions::default(), &options).await;
        let result = match seen.outcome {
            Outcome::Answer(answer) => Ok(answer),
            Outcome::Failure(failure) => Err(failure),
        };
        (told(&result), seen.source)
    }

    pub(super) async fn told(&self, owner: &str) -> String {
        self.ask(owner, RecordType::A).await.0
    }

    /// Asks every five seconds until this is said; returns how many seconds that took.
    pub(super) async fn seconds_until(&self, owner: &str, wanted: &str) -> u64 {
        for seconds in (0..4000).step_by(5) {
            let told = self.told(owner).await;
            if told == wanted {
                return seconds;
            }
            self.pass(5).await;
        }
        panic!("{owner} is never {wanted}");
    }
}

fn shifted(wall: &Arc<AtomicI64>) -> Clock {
    let (wall, clock) = (Arc::clone(wall), clock());
    Arc::new(move || Timestamp(clock().0.saturating_add_signed(wall.load(Ordering::SeqCst))))
}
