//! The chain of trust: from the anchors down to the keys of a zone, or to the proof that a zone is unsigned.
//!
//! Keys are sought from below: the DS records of a zone say by their signature who the parent is. That a zone is unsigned is proven from
//! above: at every name on the way from the closest anchor, the parent says whether a zone starts there. What was proven is kept for
//! at most [`MAX_KEPT`] seconds, and never longer than its TTL and its signatures and those above it allow, by the wall clock too;
//! what was not proven is not kept. What is older than [`STEADY`] makes no answer bogus: it is asked for once more before.
//!
//! Recursion goes strictly towards the root, so it ends, and waiting for one another cannot deadlock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hickory_proto::dnssec::Proof;
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, Record, RecordType};
use revouch_validator::answer::{DnsFailure, SignatureWindow};
use revouch_validator::timestamp::Timestamp;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::budget::QueryBudget;
use super::transport::{Transport, Wanted};
use crate::anchors::Anchors;
use crate::answer::delegation::{self, Cut};
use crate::answer::signature::{self, Work, ZoneKeys};
use crate::answer::{Bogus, Claim, is_below, label_count, suffix};
use crate::convert;

/// The longest time for which keys and delegations are kept, in seconds.
const MAX_KEPT: u32 = 300;

/// For how long nothing that was proven is asked for again, in seconds. With the time for which a bogus answer is kept it bounds how long
/// a zone with new keys is refused.
const STEADY: u64 = 20;

/// The most octets of keys or DS records that are kept for one name: some twenty of the longest keys in use.
const MAX_OCTETS: usize = 8192;

/// The most names of which something is kept.
const MAX_FACTS: usize = 16_384;

/// What belongs to one question: its means, and the time at which it is judged.
pub(super) struct Session<'q> {
    pub(super) budget: &'q QueryBudget,
    pub(super) deadline: Instant,
    pub(super) now: Timestamp,
    pub(super) work: Work,
    /// When everything that was used of the chain of trust is valid; `None` if nothing was.
    window: Option<SignatureWindow>,
    /// Something older than [`STEADY`] was used.
    is_stale: bool,
    /// Nothing older than [`STEADY`] may be used.
    renews: bool,
}

impl<'q> Session<'q> {
    pub(super) fn new(budget: &'q QueryBudget, deadline: Instant, now: Timestamp) -> Self {
        let work = Work::default();
        Self { budget, deadline, now, work, window: None, is_stale: false, renews: false }
    }

    /// When everything that was used is valid: what is given and the chain of trust.
    pub(super) fn window_with(&self, other: Option<SignatureWindow>) -> Option<SignatureWindow> {
        match (self.window, other) {
            (Some(one), Some(other)) => Some(one.intersect(other)),
            (one, other) => one.or(other),
        }
    }

    /// Whether another look may find something else, and from then on takes it.
    pub(super) fn looks_again(&mut self) -> bool {
        let again = self.is_stale && !self.renews;
        self.renews |= again;
        again
    }

    /// Forgets what was used so far. The means stay as they are.
    pub(super) fn start_over(&mut self) {
        self.window = None;
    }

    fn count(&mut self, window: SignatureWindow) {
        self.window = self.window_with(Some(window));
    }

    /// The fact, if it may be used.
    fn take<T: Clone>(&mut self, kept: &Kept<T>) -> Option<T> {
        let now = Instant::now();
        let is_old = now.saturating_duration_since(kept.since) >= Duration::from_secs(STEADY);
        if now >= kept.until || !kept.window.contains(self.now) || (is_old && self.renews) {
            return None;
        }
        self.is_stale |= is_old;
        self.count(kept.window);
        Some(kept.fact.clone())
    }
}

/// Proven facts about names, and the way to more of them.
pub(super) struct ChainOfTrust {
    anchors: Arc<Anchors>,
    transport: Transport,
    keys: Facts<Arc<ZoneKeys>>,
    cuts: Facts<Arc<Cut>>,
}

impl ChainOfTrust {
    pub(super) fn new(anchors: Arc<Anchors>, transport: Transport) -> Self {
        Self { anchors, transport, keys: Facts::default(), cuts: Facts::default() }
    }

    /// Marks what can be proven of an answer, and nothing else.
    pub(super) async fn judge(
        &self,
        message: &mut Message,
        session: &mut Session<'_>,
    ) -> Result<(), DnsFailure> {
        for record in message.answers.iter_mut().chain(&mut message.authorities) {
            record.proof = Proof::Indeterminate;
        }
        self.prove(message, None, session).await
    }

    /// Whether the claim holds: some parent proves that an unsigned zone starts at or above the name.
    ///
    /// # Errors
    /// A delegation on the way cannot be validated, or cannot be asked for.
    pub(super) async fn holds(&self, claim: &Claim, session: &mut Session<'_>) -> Result<bool, DnsFailure> {
        // Nothing can be said about names that no anchor is above (RFC 4035 section 4.3, "indeterminate"): not secure, not bogus.
        let Some(anchor) = self.anchors.closest(&claim.name) else { return Ok(true) };
        if claim.at_or_above != claim.name && is_below(&claim.at_or_above, anchor) {
            // The SOA that was shown names the zone: its parent may say all there is to say in one answer.
            if let Ok(cut) = self.cut(&claim.at_or_above, session).await?
                && matches!(*cut, Cut::Unsigned)
            {
                return Ok(claim.may_be_of(&claim.at_or_above));
            }
        }
        for count in label_count(anchor) + 1..=label_count(&claim.at_or_above) {
            let candidate = suffix(&claim.name, count);
            match self.cut(&candidate, session).await?.as_deref() {
                Ok(Cut::Unsigned) => return Ok(claim.may_be_of(&candidate)),
                Ok(Cut::NoSuchName) => return Ok(false),
                Ok(Cut::Signed(_) | Cut::None) => {}
                Err(Bogus(why)) => return Err(bogus(&candidate, RecordType::DS, why)),
            }
        }
        Ok(false)
    }

    /// The keys of the zone of the closest anchor above `name`: what a first question can show to work.
    pub(super) async fn anchored_keys(&self, session: &mut Session<'_>) -> Result<bool, DnsFailure> {
        let Some(zone) = self.anchors.first_zone() else { return Ok(false) };
        Ok(self.keys_of(zone, session).await?.is_some())
    }

    /// One question and its selected answer.
    pub(super) async fn fetch(
        &self,
        name: &Name,
        rr_type: RecordType,
        session: &Session<'_>,
    ) -> Result<Message, DnsFailure> {
        self.transport.ask(name, rr_type, Wanted::Signatures, session.budget, session.deadline).await
    }

    /// As [`fetch`](Self::fetch), of another server than the one that answered last, if there is one.
    pub(super) async fn fetch_elsewhere(
        &self,
        name: &Name,
        rr_type: RecordType,
        session: &Session<'_>,
    ) -> Result<Message, DnsFailure> {
        let (wanted, budget, deadline) = (Wanted::Signatures, session.budget, session.deadline);
        self.transport.ask_elsewhere(name, rr_type, wanted, budget, deadline).await
    }

    /// Marks every RRset that a trusted zone signed. With `only_above`, only zones strictly above that name are looked at.
    async fn prove(
        &self,
        message: &mut Message,
        only_above: Option<&Name>,
        session: &mut Session<'_>,
    ) -> Result<(), DnsFailure> {
        self.prove_section(&mut message.answers, only_above, session).await?;
        self.prove_section(&mut message.authorities, only_above, session).await
    }

    async fn prove_section(
        &self,
        section: &mut [Record],
        only_above: Option<&Name>,
        session: &mut Session<'_>,
    ) -> Result<(), DnsFailure> {
        for (place, signers) in signature::signed_sets(section, session.now) {
            for signer in signers.iter().filter(|s| only_above.is_none_or(|name| is_below(name, s))) {
                let Some(keys) = self.keys_of(signer, session).await? else { continue };
                if signature::prove(section, &place, &keys, session.now, &mut session.work) {
                    break;
                }
            }
            // Checks are the dearest work there is: whoever else is ready has a turn in between.
            yield_now().await;
        }
        Ok(())
    }

    /// The proven keys of `zone`; `None` if there is no chain of trust to it, for whatever reason.
    fn keys_of<'a>(
        &'a self,
        zone: &'a Name,
        session: &'a mut Session<'_>,
    ) -> BoxFuture<'a, Result<Option<Arc<ZoneKeys>>, DnsFailure>> {
        Box::pin(async move {
            let _turn = match self.keys.known_or_turn(zone, session).await {
                Ok(keys) => return Ok(Some(keys)),
                Err(turn) => turn,
            };
            let before = session.window.take();
            let keys = self.seek_keys(zone, session).await;
            session.window = session.window_with(before);
            keys
        })
    }

    /// Asks for the keys of `zone`, and proves them. The session's window must be empty; afterwards it is that of the keys.
    async fn seek_keys(
        &self,
        zone: &Name,
        session: &mut Session<'_>,
    ) -> Result<Option<Arc<ZoneKeys>>, DnsFailure> {
        let anchored = self.anchors.is_anchored(zone);
        let cut = if anchored || zone.is_root() { None } else { Some(self.cut(zone, session).await?) };
        let delegated = match cut.as_ref().map(|c| c.as_deref()) {
            Some(Ok(Cut::Signed(records))) => records.as_slice(),
            None if anchored => &[],
            _ => return Ok(None),
        };
        let mut message = self.fetch(zone, RecordType::DNSKEY, session).await?;
        let trusted =
            |key: &_| self.anchors.contains(zone, key) || signature::is_delegated(zone, key, delegated);
        let proven = signature::prove_keys(zone, &mut message, trusted, session.now, &mut session.work);
        let Some(proven) = proven else { return Ok(None) };
        session.count(proven.window);
        let keys = Arc::new(proven.keys);
        self.keys.keep(zone, Arc::clone(&keys), keys.octets(), proven.ttl, session);
        Ok(Some(keys))
    }

    /// What the parent of `name` says about a zone cut there; the inner error if it is not proven.
    fn cut<'a>(
        &'a self,
        name: &'a Name,
        session: &'a mut Session<'_>,
    ) -> BoxFuture<'a, Result<Result<Arc<Cut>, Bogus>, DnsFailure>> {
        Box::pin(async move {
            let _turn = match self.cuts.known_or_turn(name, session).await {
                Ok(cut) => return Ok(Ok(cut)),
                Err(turn) => turn,
            };
            let before = session.window.take();
            let cut = self.seek_cut(name, session).await;
            session.window = session.window_with(before);
            cut
        })
    }

    /// Asks the parent, and proves what it says. The session's window must be empty; afterwards it is that of what was said.
    async fn seek_cut(
        &self,
        name: &Name,
        session: &mut Session<'_>,
    ) -> Result<Result<Arc<Cut>, Bogus>, DnsFailure> {
        let mut message = self.fetch(name, RecordType::DS, session).await?;
        self.prove(&mut message, Some(name), session).await?;
        Ok(delegation::judge(name, &message, session.now).map(|judged| {
            session.count(judged.window);
            let cut = Arc::new(judged.cut);
            self.cuts.keep(name, Arc::clone(&cut), cut.octets(), judged.ttl, session);
            cut
        }))
    }
}

/// The failure that says what is bogus.
pub(super) fn bogus(name: &Name, rr_type: RecordType, why: &str) -> DnsFailure {
    let name = convert::dns_name(name).map(|n| n.to_string()).unwrap_or_default();
    DnsFailure::Bogus(format!("{name} {}: {why}", convert::rr_type(rr_type)))
}

/// Facts about names, each until it expires; those who seek the same one wait for the first.
struct Facts<T> {
    known: Mutex<HashMap<Name, Kept<T>>>,
    turns: Mutex<HashMap<Name, Arc<tokio::sync::Mutex<()>>>>,
}

/// A fact, and when it may be used.
struct Kept<T> {
    since: Instant,
    until: Instant,
    /// When all signatures are valid on which it stands.
    window: SignatureWindow,
    fact: T,
}

impl<T> Default for Facts<T> {
    fn default() -> Self {
        Self { known: Mutex::default(), turns: Mutex::default() }
    }
}

impl<T: Clone> Facts<T> {
    /// What is known about `name`, or else the turn to find out.
    async fn known_or_turn(&self, name: &Name, session: &mut Session<'_>) -> Result<T, Turn<'_, T>> {
        if let Some(known) = self.known(name, session) {
            return Ok(known);
        }
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(name.clone()).or_default())
        };
        let guard = Turn {
            facts: self,
            name: name.clone(),
            held: Some(Arc::clone(&turn).lock_owned().await),
            turn: Some(turn),
        };
        self.known(name, session).ok_or(guard)
    }

    fn known(&self, name: &Name, session: &mut Session<'_>) -> Option<T> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(name).and_then(|kept| session.take(kept))
    }

    /// Keeps a fact for `ttl` seconds, at most [`MAX_KEPT`], unless it is too large. If there is no room, what has expired makes it, else
    /// deep names, else everything.
    fn keep(&self, name: &Name, fact: T, octets: usize, ttl: u32, session: &Session<'_>) {
        let Some(window) = session.window.filter(|_| octets <= MAX_OCTETS) else { return };
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_FACTS {
            known.retain(|_, kept| now < kept.until);
        }
        if known.len() >= MAX_FACTS {
            // A flood of deep names must not cost what everybody needs.
            known.retain(|name, _| label_count(name) <= 2);
        }
        if known.len() >= MAX_FACTS {
            known.clear();
        }
        let until = now + Duration::from_secs(ttl.min(MAX_KEPT).into());
        known.insert(name.clone(), Kept { since: now, until, window, fact });
    }
}

/// The right to find out about a name, given up when dropped.
struct Turn<'f, T> {
    facts: &'f Facts<T>,
    name: Name,
    held: Option<tokio::sync::OwnedMutexGuard<()>>,
    turn: Option<Arc<tokio::sync::Mutex<()>>>,
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.held.take();
        self.turn.take();
        let mut turns = self.facts.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.get(&self.name).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            turns.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    const NOW: Timestamp = Timestamp(1000);

    fn budget() -> QueryBudget {
        QueryBudget::new(0)
    }

    /// One who proved something that holds from 900 to 1100.
    fn session(budget: &QueryBudget) -> Session<'_> {
        let window = Some(SignatureWindow { from: Timestamp(900), until: Timestamp(1100) });
        Session { window, ..fresh(budget) }
    }

    fn fresh(budget: &QueryBudget) -> Session<'_> {
        Session::new(budget, Instant::now(), NOW)
    }

    fn keep<T: Clone>(facts: &Facts<T>, owner: &str, fact: T, ttl: u32) {
        facts.keep(&name(owner), fact, 1, ttl, &session(&budget()));
    }

    fn known<T: Clone>(facts: &Facts<T>, owner: &str) -> Option<T> {
        facts.known(&name(owner), &mut fresh(&budget()))
    }

    #[tokio::test(start_paused = true)]
    async fn facts_expire_by_their_ttl_and_after_five_minutes_at_most() {
        let facts = Facts::default();
        for (owner, ttl, known_for) in [("a.", 10, 10), ("b.", 86_400, 300), ("c.", 0, 0)] {
            keep(&facts, owner, 1, ttl);
            let kept = Instant::now();
            while known(&facts, owner).is_some() {
                tokio::time::advance(Duration::from_secs(1)).await;
            }
            assert_eq!(kept.elapsed().as_secs(), known_for, "{owner}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn facts_are_used_only_while_their_signatures_hold_by_the_wall_clock() {
        let facts = Facts::default();
        keep(&facts, "a.", 1, 300);
        for (wall, expected) in [(899, None), (900, Some(1)), (1100, Some(1)), (1101, None), (1000, Some(1))]
        {
            let budget = budget();
            let mut session = Session { now: Timestamp(wall), ..fresh(&budget) };
            assert_eq!(facts.known(&name("a."), &mut session), expected, "{wall}");
            assert_eq!(session.window.is_some(), expected.is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_look_passes_over_what_is_not_new() {
        let (facts, budget) = (Facts::default(), budget());
        keep(&facts, "a.", 1, 300);
        let mut session = fresh(&budget);
        assert_eq!(facts.known(&name("a."), &mut session), Some(1));
        assert!(!session.looks_again());
        tokio::time::advance(Duration::from_secs(STEADY)).await;
        assert_eq!(facts.known(&name("a."), &mut session), Some(1));
        assert!(session.looks_again());
        assert_eq!(facts.known(&name("a."), &mut session), None);
        assert!(!session.looks_again(), "once is enough");
        assert_eq!(known(&facts, "a."), Some(1), "others go on with it until there is better");
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let (facts, budget) = (Facts::default(), budget());
        for (octets, expected) in [(MAX_OCTETS + 1, None), (MAX_OCTETS, Some(1))] {
            facts.keep(&name("a."), 1, octets, 300, &session(&budget));
            assert_eq!(known(&facts, "a."), expected);
        }
    }

    #[tokio::test]
    async fn a_flood_of_deep_names_is_bounded_and_leaves_the_top() {
        let facts = Facts::default();
        keep(&facts, "com.", 0, 300);
        for i in 0..2 * MAX_FACTS {
            keep(&facts, &format!("x{i}.deep.example.com."), i, 300);
        }
        assert!(facts.known.lock().unwrap().len() <= MAX_FACTS);
        assert_eq!(known(&facts, "com."), Some(0));
    }

    #[tokio::test]
    async fn those_who_seek_the_same_wait_for_the_first_and_go_on_if_it_gives_up() {
        let (facts, budget) = (Facts::default(), budget());
        let a = name("a.");
        let (mut one, mut two, mut three) = (fresh(&budget), fresh(&budget), fresh(&budget));
        let first = facts.known_or_turn(&a, &mut one).await.err().unwrap();
        let second = async {
            match facts.known_or_turn(&a, &mut two).await {
                Ok(known) => known,
                Err(_turn) => {
                    keep(&facts, "a.", 7, 60);
                    0
                }
            }
        };
        let third = async { facts.known_or_turn(&a, &mut three).await.ok() };
        let release = async { drop(first) };
        let (second, third, ()) = tokio::join!(second, third, release);
        assert_eq!((second, third), (0, Some(7)));
        assert!(facts.turns.lock().unwrap().is_empty());
    }
}
