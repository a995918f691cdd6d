#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use revouch_validator::answer::SignatureWindow;

use super::*;
use crate::testing::{a, name, nothing, records};

fn key(at: &str, rr_type: RrType) -> Key {
    key_of(Target::System, false, at, rr_type)
}

fn key_of(target: Target, exempt: bool, at: &str, rr_type: RrType) -> Key {
    Key { group: Group { target, exempt }, name: name(at), rr_type }
}

struct Time(Instant);

impl Time {
    /// `seconds` after the start, when it was 1000 by the clock.
    fn at(&self, seconds: u64) -> Now {
        Now { monotonic: self.0 + Duration::from_secs(seconds), wall: Timestamp(1000 + seconds) }
    }
}

fn bogus() -> Said {
    Err(DnsFailure::Bogus("why".into()))
}

/// Until when (exclusive) an answer is given out.
fn kept_for(key: &Key, said: Said) -> u64 {
    let (cache, time) = (Cache::new(CacheLimits::default()), Time(Instant::now()));
    let said = Arc::new(said);
    let lasts = cache.keep(key, &said, time.at(0)).as_secs();
    let found = |at| cache.find(key, time.at(at), Duration::ZERO);
    if lasts > 0 {
        assert_eq!(found(0).unwrap().left, Duration::from_secs(lasts));
        assert!(found(lasts - 1).is_some());
    }
    assert!(found(lasts).is_none());
    lasts
}

#[test]
fn ttls_are_clamped_as_the_design_says() {
    let at = |rr_type| key("x.example", rr_type);
    let with = |answer: Answer, ttl| Ok(Answer { ttl, ..answer });
    for (given, kept) in [(0, 0), (1, 1), (3600, 3600), (86_400, 3600)] {
        assert_eq!(kept_for(&at(RrType::A), with(records([a("192.0.2.1")]), given)), kept);
    }
    for (given, kept) in [(0, 0), (1, 1), (300, 300), (3600, 300)] {
        assert_eq!(kept_for(&at(RrType::A), with(nothing(), given)), kept);
    }
    for (given, kept) in [(0, 30), (45, 45), (3600, 60)] {
        assert_eq!(kept_for(&at(RrType::PTR), with(nothing(), given)), kept);
    }
    let link = key_of(Target::Multicast, true, "1.1.254.169.in-addr.arpa", RrType::PTR);
    assert_eq!(kept_for(&link, with(nothing(), 0)), 0);
    assert_eq!(kept_for(&at(RrType::A), bogus()), 30);
    for (failure, kept) in [
        (DnsFailure::Timeout, 5),
        (DnsFailure::ServFail, 1),
        (DnsFailure::Refused, 0),
        (DnsFailure::Budget, 0),
        (DnsFailure::RateLimited, 0),
    ] {
        assert_eq!(kept_for(&at(RrType::A), Err(failure.clone())), kept);
        assert_eq!(kept_for(&link, Err(failure)), 0);
    }
}

#[test]
fn signatures_end_an_answer_before_its_ttl() {
    let window = |from, until| {
        let signatures = Some(SignatureWindow { from: Timestamp(from), until: Timestamp(until) });
        Ok(Answer { signatures, ..records([a("192.0.2.1")]) })
    };
    let at = key("x.example", RrType::A);
    assert_eq!(kept_for(&at, window(0, 1020)), 20);
    assert_eq!(kept_for(&at, window(0, 5000)), 60);
    assert_eq!(kept_for(&at, window(0, 999)), 0);
    assert_eq!(kept_for(&at, window(1001, 5000)), 0);
}

#[test]
fn a_clock_that_jumps_out_of_the_signatures_ends_an_answer() {
    let (cache, time) = (Cache::new(CacheLimits::default()), Time(Instant::now()));
    let at = key("x.example", RrType::A);
    let signatures = Some(SignatureWindow { from: Timestamp(900), until: Timestamp(2000) });
    cache.keep(&at, &Arc::new(Ok(Answer { signatures, ..records([a("192.0.2.1")]) })), time.at(0));
    for (wall, found) in [(899, false), (900, true), (2000, true), (2001, false)] {
        let now = Now { wall: Timestamp(wall), ..time.at(0) };
        assert_eq!(cache.find(&at, now, Duration::ZERO).is_some(), found, "{wall}");
    }
}

#[test]
fn groups_names_and_types_do_not_mix() {
    let (cache, time) = (Cache::new(CacheLimits::default()), Time(Instant::now()));
    let kept = key("x.example", RrType::A);
    cache.keep(&kept, &Arc::new(Ok(nothing())), time.at(0));
    for other in [
        key("y.example", RrType::A),
        key("x.example", RrType::AAAA),
        key_of(Target::System, true, "x.example", RrType::A),
        key_of(Target::Override(0), false, "x.example", RrType::A),
    ] {
        assert!(cache.find(&other, time.at(0), Duration::ZERO).is_none(), "{other:?}");
    }
    assert!(cache.find(&kept, time.at(0), Duration::ZERO).is_some());
}

#[test]
fn what_must_last_longer_than_it_does_is_not_found() {
    let (cache, time) = (Cache::new(CacheLimits::default()), Time(Instant::now()));
    let at = key("x.example", RrType::A);
    cache.keep(&at, &Arc::new(Ok(records([]))), time.at(0));
    assert!(cache.find(&at, time.at(50), Duration::from_secs(10)).is_some());
    assert!(cache.find(&at, time.at(51), Duration::from_secs(10)).is_none());
    assert!(cache.find(&at, time.at(51), Duration::ZERO).is_some());
}

#[test]
fn a_new_answer_that_may_not_be_kept_ends_the_old_one_and_a_failure_does_not() {
    let (cache, time) = (Cache::new(CacheLimits::default()), Time(Instant::now()));
    let at = key("x.example", RrType::A);
    cache.keep(&at, &Arc::new(Ok(records([]))), time.at(0));
    cache.keep(&at, &Arc::new(Err(DnsFailure::ServFail)), time.at(1));
    assert!(cache.find(&at, time.at(1), Duration::ZERO).is_some());
    cache.keep(&at, &Arc::new(Ok(Answer { ttl: 0, ..records([]) })), time.at(1));
    assert!(cache.find(&at, time.at(1), Duration::ZERO).is_none());
}

#[test]
fn what_is_used_outlives_a_flood_of_what_is_not() {
    let cache = Cache::new(CacheLimits { entries: 100, octets: 1 << 20 });
    let time = Time(Instant::now());
    let used = key("used.example", RrType::A);
    cache.keep(&used, &Arc::new(Ok(nothing())), time.at(0));
    for n in 0..1000 {
        cache.keep(&key(&format!("h{n}.example"), RrType::A), &Arc::new(Ok(nothing())), time.at(0));
        assert!(cache.find(&used, time.at(0), Duration::ZERO).is_some(), "{n}");
    }
}

#[test]
fn one_answer_cannot_take_the_whole_cache() {
    let cache = Cache::new(CacheLimits { entries: 100, octets: 64 << 10 });
    let time = Time(Instant::now());
    let at = key("x.example", RrType::PTR);
    let many = (0..1000).map(|n| RecordData::Ptr(name(&format!("h{n}.example"))));
    cache.keep(&at, &Arc::new(Ok(records(many))), time.at(0));
    assert!(cache.find(&at, time.at(0), Duration::ZERO).is_none());
}

proptest! {
    /// Against a map without bounds: what is found is what was last said, never expired; the bounds hold.
    #[test]
    fn the_cache_says_only_what_was_last_said_and_stays_within_bounds(
        steps in prop::collection::vec((0_usize..12, 0_u32..90, 0_u64..20, prop::bool::ANY), 1..200),
        entries in 1_usize..8,
    ) {
        let cache = Cache::new(CacheLimits { entries, octets: 1 << 16 });
        let time = Time(Instant::now());
        let mut model: HashMap<usize, (u32, u64)> = HashMap::new();
        let mut seconds = 0;
        for (index, ttl, pause, asks) in steps {
            seconds += pause;
            let now = time.at(seconds);
            let key = key(&format!("h{index}.example"), RrType::A);
            if asks {
                let found = cache.find(&key, now, Duration::ZERO);
                if let Some(found) = found {
                    let (ttl, until) = model[&index];
                    prop_assert!(seconds < until);
                    prop_assert_eq!(found.left, Duration::from_secs(until - seconds));
                    prop_assert_eq!(found.said.as_ref().as_ref().unwrap().ttl, ttl);
                }
            } else {
                cache.keep(&key, &Arc::new(Ok(Answer { ttl, ..records([]) })), now);
                model.insert(index, (ttl, seconds + u64::from(ttl)));
            }
            let kept = cache.kept.lock().unwrap();
            prop_assert!(kept.entries.len() <= entries);
            prop_assert_eq!(kept.entries.len(), kept.order.len());
            prop_assert_eq!(kept.octets, kept.entries.values().map(|e| e.octets).sum::<usize>());
        }
    }
}
