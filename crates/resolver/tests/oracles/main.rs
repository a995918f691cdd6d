//! Our verdicts beside those of unbound, BIND and delv, over the zones of the test bed on real servers.
//!
//! What is asked: the shapes in `testdata/dns-shapes.txt`, each with the verdict that the RFCs give, and thousands of questions made from the
//! table of zones. Each goes to our resolver behind unbound and BIND, both as validators and as plain recursive servers, and to these validators
//! themselves. Where they all agree there is nothing to say; else `delv` is asked too, and the question must be in
//! `testdata/oracle-differences.tsv`, with the paragraph of an RFC that decides.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod differences;
mod questions;
mod raw;
mod rollover;
mod run;
mod verdict;

use std::collections::BTreeSet;

use revouch_resolver::ValidationMode;
use revouch_testbed::bed::{Bed, Place, Recursive, place};

use differences::{Differences, Said};
use questions::{Asked, Shape};
use run::{All, Way};
use verdict::{Kind, State, Verdict};

#[test]
fn every_verdict_is_that_of_an_oracle() {
    place::run(compare);
}

async fn compare(place: Place) {
    let bed = Bed::start(place).await.unwrap_or_else(|why| panic!("{why}"));
    let shapes = questions::shapes();
    let asked: BTreeSet<Asked> =
        shapes.iter().map(|shape| shape.asked.clone()).chain(questions::generated(bed.zones())).collect();
    let asked: Vec<Asked> = asked.into_iter().collect();
    assert!(asked.len() > 5_000, "only {} questions", asked.len());
    let all = All::ask(&bed, asked).await;
    let mut complaints = String::new();
    all.caches_change_nothing(&mut complaints);
    all.trusting_a_validator_is_to_repeat_it(&mut complaints);
    all.shapes_are_as_the_rfcs_say(&shapes, &mut complaints);
    let by_hand: BTreeSet<&Asked> = shapes.iter().map(|shape| &shape.asked).collect();
    let mut differences = Differences::read();
    all.others_agree_or_are_listed(&bed, &by_hand, &mut differences, &mut complaints).await;
    run::note(&format!("questions met by the list of differences: {}", differences.counts()));
    complaints += &differences.complaints();
    assert!(complaints.is_empty(), "{} complaints:\n{complaints}", complaints.lines().count());
}

impl All {
    /// Cold or warm, every way gives the same verdict.
    fn caches_change_nothing(&self, complaints: &mut String) {
        for (way, which, cold, warm) in &self.warm {
            for (index, ((asked, cold), warm)) in self.asked.iter().zip(cold).zip(warm).enumerate() {
                // What a server withholds once it knows it to be bogus it may not have known at first.
                let withheld = warm.as_ref().is_ok_and(|warm| warm.state == State::Bogus);
                if cold != warm && !(withheld && self.is_withheld(way, index)) {
                    let [cold, warm] = [cold, warm].map(run::tell);
                    *complaints += &format!("{asked} {way}: cold {cold}, {which} {warm}\n");
                }
            }
        }
    }

    /// With `TrustAd` our verdict is the validator's, SERVFAIL being bogus.
    fn trusting_a_validator_is_to_repeat_it(&self, complaints: &mut String) {
        for (index, asked) in self.asked.iter().enumerate() {
            for (way, told) in self.ours(index) {
                if way.mode == ValidationMode::TrustAd {
                    let theirs = self.theirs(way.by, index);
                    if !told.as_ref().is_ok_and(|ours| ours == theirs) {
                        *complaints += &format!("{asked} {way}: {}, it said {theirs}\n", run::tell(told));
                    }
                }
            }
        }
    }

    /// Every way that validates gives the verdict that was written by hand. Behind a validator that refuses to answer there is none.
    fn shapes_are_as_the_rfcs_say(&self, shapes: &[Shape], complaints: &mut String) {
        for shape in shapes {
            let index = self.asked.binary_search(&shape.asked).unwrap();
            for (way, told) in self.ours(index) {
                let right = told.as_ref().is_ok_and(|ours| ours.word() == shape.verdict);
                if way.mode == ValidationMode::Validate && !right && !self.is_withheld(way, index) {
                    let told = run::tell(told);
                    *complaints += &format!("{} {way}: {told}, should be {}\n", shape.asked, shape.verdict);
                }
            }
        }
    }

    /// All our ways agree, with each other and with the oracles; or the question is in the list.
    async fn others_agree_or_are_listed(
        &self,
        bed: &Bed,
        by_hand: &BTreeSet<&Asked>,
        differences: &mut Differences<'_>,
        complaints: &mut String,
    ) {
        let mut open = Vec::new();
        for (index, asked) in self.asked.iter().enumerate() {
            let (unbound, bind) =
                (self.theirs(Recursive::Unbound, index), self.theirs(Recursive::Bind, index));
            let Some(ours) = self.common(index, complaints) else { continue };
            let agreed = unbound == bind && *unbound == ours;
            if !agreed || by_hand.contains(asked) {
                open.push((asked, unbound, bind, ours));
            }
        }
        let questions: Vec<&Asked> = open.iter().map(|(asked, ..)| *asked).collect();
        let delv = run::delv(bed, &questions).await;
        for ((asked, unbound, bind, ours), (delv, text)) in open.into_iter().zip(delv) {
            let known = || [Some(unbound), Some(bind), delv.as_ref()].into_iter().flatten();
            if known().all(|theirs| theirs.agrees(&ours)) {
                continue;
            }
            let details = format!(
                "unbound {unbound}, bind {bind}, ours {ours}; delv: {}",
                text.replace(['\n', '\t'], " ")
            );
            // Better than all others: whatever the list says, that must not be.
            if !known().any(|theirs| theirs.state >= ours.state) {
                *complaints += &format!("{asked}: better than all oracles: {details}\n");
            }
            differences.meet(asked, &Said::new(unbound, bind, delv.as_ref(), &ours), &details);
        }
    }

    /// The verdict of all ways that validate, but for those behind a server that withholds the answer.
    fn common(&self, index: usize, complaints: &mut String) -> Option<Verdict> {
        let mut common: Option<Verdict> = None;
        let mut withheld = None;
        for (way, told) in self.ours(index).filter(|(way, _)| way.mode == ValidationMode::Validate) {
            match (told, &common) {
                (Ok(ours), _) if ours.state == State::Bogus && self.is_withheld(way, index) => {
                    withheld = Some(ours.clone());
                }
                (Ok(ours), None) => common = Some(ours.clone()),
                (Ok(ours), Some(others)) if ours == others => {}
                (told, _) => {
                    let others = common.as_ref().map_or_else(|| "nothing yet".into(), ToString::to_string);
                    let told = run::tell(told);
                    *complaints +=
                        &format!("{} {way}: {told}, the ways before it {others}\n", self.asked[index]);
                    return None;
                }
            }
        }
        common.or(withheld)
    }

    /// Whether the server of this way keeps back what would be needed, so that no more than bogus can be had of it: a validator that says
    /// SERVFAIL; and BIND, which has no NSEC3 record of more than 150 iterations beside a wildcard.
    fn is_withheld(&self, way: &Way, index: usize) -> bool {
        if way.by.validates() {
            return self.theirs(way.by, index).state == State::Bogus;
        }
        let theirs = self.theirs(Recursive::Unbound, index);
        let is_expanded = theirs.state == State::Insecure && matches!(theirs.kind, Some(Kind::Records(_)));
        let costly = self.asked[index].owner.ends_with(".n3-151.test.");
        way.by == Recursive::PlainBind && costly && is_expanded
    }
}
