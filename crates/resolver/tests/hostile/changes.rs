//! Zones that change while answers, keys and delegations are remembered.

use revouch_lab::Sabotage;
use revouch_validator::evidence::AnswerSource;

use super::edits::{Edit, apply};
use super::seasons::{BOGUS, Season};
use super::*;

const A: RecordType = RecordType::A;

/// A universe in which everything may be remembered for as long as we care to.
fn lasting() -> UniverseBuilder {
    universe().ttl(86_400)
}

#[tokio::test]
async fn a_zone_whose_key_was_exchanged_is_bogus_for_a_minute_at_most() {
    for zone in ["nsec.test", "sub.nsec3.test", "test"] {
        let season = Season::new(lasting()).await;
        let (www, mail) = (format!("www.{zone}"), format!("mail.{zone}"));
        let known = if zone == "test" { "www.nsec.test" } else { &www };
        assert_eq!(season.told(known).await, "secure records");
        season.pass(3).await;
        season.scene.universe.replace(|now| now.roll_key(zone).record(&mail, "A 127.0.1.2")).unwrap();
        // What was proven by the old key holds until its TTL is over; what is signed by the new one is not taken for good untested.
        assert_eq!(season.told(known).await, "secure records");
        assert_eq!(season.told(&mail).await, "bogus");
        assert!(season.seconds_until(&mail, "secure records").await <= BOGUS);
    }
}

#[tokio::test]
async fn a_key_that_is_gone_signs_nothing_more_once_the_new_one_is_known() {
    let season = Season::new(lasting()).await;
    let old = season.scene.book.read("mail.nsec.test", A).await;
    assert_eq!(season.told("www.nsec.test").await, "secure records");
    season.scene.universe.replace(|now| now.roll_key("nsec.test")).unwrap();
    assert!(season.seconds_until("a.b.nsec.test", "secure records").await <= BOGUS);
    season.scene.attacker.plot(Arc::new(move |asked, mut genuine| {
        if asked.is("mail.nsec.test", A) {
            apply(&[Edit::Replace(old.clone())], &mut genuine);
        }
        Reply::Message(Box::new(genuine))
    }));
    for _ in 0..20 {
        assert_eq!(season.told("mail.nsec.test").await, "bogus");
        season.pass(20).await;
    }
}

#[tokio::test]
async fn an_anchor_that_was_rolled_makes_everything_bogus_and_both_at_once_nothing() {
    let scene = Scene::of(lasting(), Book::forgetful).await;
    let (old, server) = (scene.universe.trust_anchor(), scene.attacker.server(Protocol::Udp));
    scene.universe.replace(|now| now.roll_key(".")).unwrap();
    let new = scene.universe.trust_anchor();
    for (text, expected) in
        [(old.clone(), "bogus"), (new.clone(), "secure records"), (old + &new, "secure records")]
    {
        let anchors = Arc::new(Anchors::parse(&text).unwrap());
        let config = UpstreamConfig {
            validation: Validation::Validate(anchors),
            ..scene.config(vec![server.clone()])
        };
        let upstream = Upstream::new(config, clock()).unwrap();
        assert_eq!(told(&ask(&upstream, "www.nsec.test", A).await), expected);
    }
}

#[tokio::test]
async fn an_answer_that_turns_bogus_is_so_for_a_minute_at_most_after_it_was_mended() {
    let season = Season::new(lasting().record("turns.nsec.test", "10 A 127.0.1.9")).await;
    for how in [Sabotage::WrongRdata, Sabotage::ExpiredSignature, Sabotage::MissingSignature] {
        season.scene.universe.replace(UniverseBuilder::mend).unwrap();
        assert!(season.seconds_until("turns.nsec.test", "secure records").await <= BOGUS);
        season.scene.universe.replace(|now| now.sabotage("turns.nsec.test", "A", how)).unwrap();
        // No longer than its TTL.
        assert!(season.seconds_until("turns.nsec.test", "bogus").await <= 15, "{how:?}");
    }
}

#[tokio::test]
async fn a_delegation_that_turns_bogus_is_so_for_a_minute_at_most_after_it_was_mended() {
    let season = Season::new(lasting()).await;
    assert_eq!(season.told("www.nsec.test").await, "secure records");
    season.scene.universe.replace(|now| now.broken_ds("nsec.test", true)).unwrap();
    // Remembered keys hold as long as they may: five minutes.
    let mut passed = 0;
    for number in 0.. {
        let fresh = format!("x{number}.wild.nsec.test");
        if season.told(&fresh).await == "bogus" {
            break;
        }
        season.pass(10).await;
        passed += 10;
    }
    assert!(passed <= 310, "{passed}");
    season.scene.universe.replace(UniverseBuilder::mend).unwrap();
    assert!(season.seconds_until("mail.nsec.test", "secure records").await <= BOGUS);
}

#[tokio::test]
async fn names_that_come_to_be_are_found_after_five_minutes_at_most_and_those_that_go_after_an_hour() {
    let season = Season::new(lasting()).await;
    for owner in ["new.nsec.test", "new.nsec3.test", "new.unsigned.test"] {
        assert!(
            season.told(owner).await.ends_with("NXDOMAIN") || season.told(owner).await.ends_with("nxdomain")
        );
        season.scene.universe.replace(|now| now.record(owner, "A 127.0.1.9")).unwrap();
        let kind = if owner.contains("unsigned") { "insecure records" } else { "secure records" };
        let found = season.seconds_until(owner, kind).await;
        assert!((290..=300).contains(&found), "{owner} {found}");
        season.scene.universe.replace(|now| now.remove(owner, "A")).unwrap();
        let kind = kind.replace("records", "nxdomain");
        let gone = season.seconds_until(owner, &kind).await;
        assert!((3590..=3600).contains(&gone), "{owner} {gone}");
    }
}

#[tokio::test]
async fn a_zone_that_gives_up_signing_is_bogus_for_a_minute_at_most_and_one_that_begins_is_never() {
    let season = Season::new(lasting()).await;
    assert_eq!(season.told("www.nsec.test").await, "secure records");
    season.scene.universe.replace(|now| now.zone("nsec.test", Signing::Unsigned)).unwrap();
    assert_eq!(season.told("mail.nsec.test").await, "bogus");
    assert!(season.seconds_until("mail.nsec.test", "insecure records").await <= BOGUS);
    season.scene.universe.replace(|now| now.zone("nsec.test", Signing::Nsec3)).unwrap();
    let mut passed = 0;
    for number in 0.. {
        match season.told(&format!("x{number}.wild.nsec.test")).await.as_str() {
            "insecure records" => season.pass(10).await,
            "secure records" => break,
            other => panic!("{other}"),
        }
        passed += 10;
    }
    assert!(passed <= 310, "{passed}");
}

#[tokio::test]
async fn a_zone_that_is_cut_off_where_none_was_is_found() {
    for (signing, expected) in [(Signing::Nsec, "secure records"), (Signing::Unsigned, "insecure records")] {
        let season = Season::new(lasting().record("www.later.nsec.test", "A 127.0.1.8")).await;
        assert_eq!(season.told("www.later.nsec.test").await, "secure records");
        season
            .scene
            .universe
            .replace(|now| now.zone("later.nsec.test", signing).record("x.later.nsec.test", "A 127.0.1.9"))
            .unwrap();
        assert!(season.seconds_until("x.later.nsec.test", expected).await <= BOGUS, "{signing:?}");
    }
}

#[tokio::test]
async fn what_may_not_be_remembered_is_asked_for_each_time_and_by_many_at_once_once() {
    let season = Season::new(lasting().record("zero.nsec.test", "0 A 127.0.1.9")).await;
    let count = || season.scene.attacker.seen.count("zero.nsec.test", A);
    for times in 1..4 {
        assert_eq!(season.ask("zero.nsec.test", A).await, ("secure records".into(), AnswerSource::Upstream));
        assert_eq!(count(), times);
    }
    let many = futures_util::future::join_all((0..50).map(|_| season.ask("zero.nsec.test", A))).await;
    assert!(many.iter().all(|(told, _)| told == "secure records"));
    assert_eq!(count(), 4);
    let joined = many.iter().filter(|(_, source)| *source == AnswerSource::Joined).count();
    assert_eq!(joined, 49);
}
