//! Key rollovers on real servers, as RFC 6781 section 4.1 wants them and botched, while everyone remembers what there was before.
//!
//! At each stage the same questions go to us behind all four recursive servers and to the two validators: right after the change, when everybody still holds
//! what was there before; when the recursive servers have forgotten it and we have not; and when we have too. Time passes for us alone, by both clocks;
//! for the recursive servers it is a start with nothing in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use revouch_resolver::anchors::Anchors;
use revouch_resolver::upstream::{Clock, Protocol, Server};
use revouch_resolver::{AskOptions, Resolver};
use revouch_testbed::bed::{Bed, Key, Place, Recursive, Role, Stage, place};
use revouch_validator::evidence::Question;
use revouch_validator::exemption::Exemptions;
use revouch_validator::name::DnsName;
use revouch_validator::rr::RrType;
use revouch_validator::timestamp::Timestamp;

use super::raw;
use super::verdict::{State, Verdict};

const ZONE: &str = "roll.";

/// Names in the zone, more than are asked for. Each is there by itself: what a wildcard makes the validators make by themselves of what they remember.
const NAMES: u32 = 200;

/// A root and one zone that is rolled.
fn table() -> String {
    let zones = "zone . bind ECDSAP256SHA256 NSEC ttl=120\nzone roll. bind ECDSAP256SHA256 NSEC split-keys ttl=120\nwww A 192.0.2.10\n";
    (1..=NAMES).fold(zones.into(), |table, number| format!("{table}h{number} A 192.0.2.{number}\n"))
}

/// The TTL of everything, and a second.
const LIFE: u64 = 121;

/// For how long a key that no longer fits may make others bogus, in seconds (`docs/known-gaps.md`).
const BOGUS: u64 = 60;

#[test]
fn rollovers_are_survived_and_botched_ones_seen_by_us_as_by_the_oracles() {
    place::run_alone(|place| async move {
        let mut world = World::start(place).await;
        world.pre_published_zone_key().await;
        world.double_signatures().await;
        world.double_ds().await;
        world.zone_key_exchanged_at_once().await;
        world.keys_replaced_and_ds_left().await;
    });
}

/// The servers, the clock, and us behind each of them, if we are to remember anything.
struct World {
    bed: Bed,
    passed: Arc<AtomicU64>,
    ours: Vec<(Recursive, Resolver)>,
    /// Names asked for so far.
    names: u32,
}

impl World {
    async fn start(place: Place) -> Self {
        let bed = Bed::of(place, &table()).await.unwrap_or_else(|why| panic!("{why}"));
        Self { bed, passed: Arc::default(), ours: vec![], names: 0 }
    }

    /// A zone with new keys, and everyone who knows of it.
    async fn begin(&mut self, ksk: &Key, zsk: &Key) {
        self.stage(&[ksk, zsk], &[ksk, zsk], &[ksk]).await;
        self.forget().await;
        self.ours = Recursive::ALL.map(|by| (by, self.resolver(by))).into();
        self.all_are(State::Secure, "at the start").await;
    }

    fn keys(&self) -> (Key, Key) {
        (self.bed.make_key(ZONE, Role::Ksk).unwrap(), self.bed.make_key(ZONE, Role::Zsk).unwrap())
    }

    fn resolver(&self, by: Recursive) -> Resolver {
        let passed = Arc::clone(&self.passed);
        let clock: Clock = Arc::new(move || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            Timestamp(now + passed.load(Ordering::SeqCst))
        });
        let server = Server { address: self.bed.recursive(by), protocol: Protocol::Udp };
        let builder = Resolver::builder().servers(vec![server]).patience(Duration::from_secs(20), 1);
        builder.clock(clock).anchors(Anchors::parse(self.bed.anchor()).unwrap()).build().unwrap()
    }

    async fn stage(&mut self, published: &[&Key], signing: &[&Key], delegated: &[&Key]) {
        let stage = Stage { published, signing, delegated };
        self.bed.roll(ZONE, ".", &stage).await.unwrap_or_else(|why| panic!("{why}"));
    }

    /// The recursive servers start anew.
    async fn forget(&mut self) {
        for by in Recursive::ALL {
            self.bed.restart(by).await.unwrap_or_else(|why| panic!("{why}"));
        }
    }

    /// Time passes for us.
    async fn pass(&self, seconds: u64) {
        self.passed.fetch_add(seconds, Ordering::SeqCst);
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    }

    /// A name that nobody has asked for yet.
    fn fresh(&mut self) -> DnsName {
        self.names += 1;
        assert!(self.names <= NAMES, "more names are needed");
        format!("h{}.{ZONE}", self.names).parse().unwrap()
    }

    async fn oracles(&self, name: &DnsName) -> [State; 2] {
        let [unbound, bind] =
            [Recursive::Unbound, Recursive::Bind].map(|by| raw::ask(self.bed.recursive(by), name, RrType::A));
        [unbound.await.state, bind.await.state]
    }

    /// What everybody says to a fresh name: those of us who remember and, behind the same servers, those who do not. Never better than both oracles.
    async fn told(&mut self, when: &str) -> (Vec<State>, [State; 2]) {
        let name = self.fresh();
        self.told_of(&name, when).await
    }

    async fn told_of(&self, name: &DnsName, when: &str) -> (Vec<State>, [State; 2]) {
        let mut told = Vec::new();
        for (by, held) in &self.ours {
            for (what, state) in
                [("held", ask(held, name).await), ("cold", ask(&self.resolver(*by), name).await)]
            {
                told.push((format!("{what} behind {}", by.name()), state));
            }
        }
        let oracles = self.oracles(name).await;
        for (who, state) in &told {
            assert!(
                oracles.iter().any(|o| o >= state),
                "{when}: {who} {state:?}, unbound and BIND {oracles:?}"
            );
        }
        super::run::note(&format!("{when}: unbound and BIND {oracles:?}, ours {told:?}"));
        (told.into_iter().map(|(_, state)| state).collect(), oracles)
    }

    async fn all_are(&mut self, state: State, when: &str) {
        let (told, oracles) = self.told(when).await;
        assert!(told.iter().chain(&oracles).all(|said| *said == state), "{when}: {told:?}, {oracles:?}");
        let www: DnsName = format!("www.{ZONE}").parse().unwrap();
        for (by, held) in &self.ours {
            assert_eq!(ask(held, &www).await, state, "{when}, www behind {}", by.name());
        }
    }

    /// A stage of a rollover that is done as it should be: there is no moment at which anything is bogus.
    async fn step(&mut self, what: &str, published: &[&Key], signing: &[&Key], delegated: &[&Key]) {
        self.stage(published, signing, delegated).await;
        self.all_are(State::Secure, &format!("{what}, all remember")).await;
        self.forget().await;
        self.all_are(State::Secure, &format!("{what}, we remember")).await;
        self.pass(LIFE).await;
        self.all_are(State::Secure, &format!("{what}, nobody remembers")).await;
    }

    /// RFC 6781 section 4.1.1.1.
    async fn pre_published_zone_key(&mut self) {
        let ((ksk, old), (_, new)) = (self.keys(), self.keys());
        self.begin(&ksk, &old).await;
        self.step("new key published", &[&ksk, &old, &new], &[&ksk, &old], &[&ksk]).await;
        self.step("new key signs", &[&ksk, &old, &new], &[&ksk, &new], &[&ksk]).await;
        self.step("old key gone", &[&ksk, &new], &[&ksk, &new], &[&ksk]).await;
    }

    /// RFC 6781 section 4.1.1.2.
    async fn double_signatures(&mut self) {
        let ((ksk, old), (_, new)) = (self.keys(), self.keys());
        self.begin(&ksk, &old).await;
        self.step("both sign", &[&ksk, &old, &new], &[&ksk, &old, &new], &[&ksk]).await;
        self.step("old one gone", &[&ksk, &new], &[&ksk, &new], &[&ksk]).await;
    }

    /// RFC 6781 section 4.1.2 (double-DS).
    async fn double_ds(&mut self) {
        let ((old, zsk), (new, _)) = (self.keys(), self.keys());
        self.begin(&old, &zsk).await;
        self.step("two DS", &[&old, &zsk], &[&old, &zsk], &[&old, &new]).await;
        self.step("new KSK", &[&new, &zsk], &[&new, &zsk], &[&old, &new]).await;
        self.step("one DS", &[&new, &zsk], &[&new, &zsk], &[&new]).await;
    }

    /// Neither published nor signing beforehand: who remembers the old key is bogus, and for no more than a minute.
    async fn zone_key_exchanged_at_once(&mut self) {
        let ((ksk, old), (_, new)) = (self.keys(), self.keys());
        self.begin(&ksk, &old).await;
        self.stage(&[&ksk, &new], &[&ksk, &new], &[&ksk]).await;
        self.told("exchanged at once, all remember").await;
        self.forget().await;
        let name = self.fresh();
        let (told, oracles) = self.told_of(&name, "exchanged at once, we remember").await;
        assert_eq!(oracles, [State::Secure; 2]);
        assert!(told.iter().step_by(2).all(|held| *held == State::Bogus), "forgotten: {told:?}");
        self.secure_within_a_minute("exchanged at once", &name).await;
    }

    /// Everything signed by new keys, the DS record left: bogus to all, but for what was proven before and may still be remembered.
    async fn keys_replaced_and_ds_left(&mut self) {
        let ((ksk, old), (new_ksk, new)) = (self.keys(), self.keys());
        self.begin(&ksk, &old).await;
        self.stage(&[&new_ksk, &new], &[&new_ksk, &new], &[&ksk]).await;
        self.told("botched, all remember").await;
        self.forget().await;
        let (told, oracles) = self.told("botched, we remember").await;
        assert!(told.iter().chain(&oracles).all(|state| *state == State::Bogus), "{told:?}, {oracles:?}");
        self.pass(LIFE).await;
        self.all_are(State::Bogus, "botched, nobody remembers").await;
        let name = self.fresh();
        self.told_of(&name, "botched, and remembered as such").await;
        self.stage(&[&new_ksk, &new], &[&new_ksk, &new], &[&new_ksk]).await;
        self.forget().await;
        self.secure_within_a_minute("mended", &name).await;
    }

    /// The oracles are secure at once; we, when a minute has passed at the latest, even of a name that was found bogus.
    async fn secure_within_a_minute(&mut self, when: &str, known: &DnsName) {
        for passed in (0..).step_by(10) {
            let when = format!("{when}, {passed} s later");
            let (mut told, oracles) = self.told(&when).await;
            assert_eq!(oracles, [State::Secure; 2], "{when}");
            told.extend(self.told_of(known, &when).await.0);
            // Those who knew nothing (every second) have nothing to get over.
            assert!(told.iter().skip(1).step_by(2).all(|cold| *cold == State::Secure), "{when}: {told:?}");
            if told.iter().all(|state| *state == State::Secure) {
                return;
            }
            assert!(passed < BOGUS, "{when}: {told:?}");
            self.pass(10).await;
        }
    }
}

async fn ask(resolver: &Resolver, name: &DnsName) -> State {
    let options = AskOptions { deadline: Duration::from_secs(30), ..AskOptions::default() };
    let question = Question::new(name.clone(), RrType::A);
    let told = Verdict::ours(&resolver.ask(&question, &Exemptions::default(), &options).await);
    told.unwrap_or_else(|why| panic!("{name}: {why}")).state
}
