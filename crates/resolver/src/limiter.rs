//! How often a source may cause DNS questions (`dns.md` section 2.9).
//!
//! Promises: of gatherings that send at least one question upstream, each source address gets `per_source` and each /24 or /64
//! `per_network`, as token buckets; one that is refused by either costs the other nothing. The tables are bounded: what is forgotten
//! first is what has not been seen for longest, and a forgotten bucket is a full one, so that forgetting never refuses anybody.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::lanes::{Lanes, Place};

/// The most buckets of one kind.
const MAX_BUCKETS: usize = 65_536;

/// A token bucket's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many tokens come back in a second.
    pub per_second: NonZeroU32,
    /// How many there are at most, and at first.
    pub burst: NonZeroU32,
}

/// `evidencePerSource` and `evidencePerNetwork` of a listener's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceLimits {
    /// For one source address. Default 20 a second, burst 200.
    pub per_source: Rate,
    /// For one IPv4 /24 or IPv6 /64. Default 100 a second, burst 1000.
    pub per_network: Rate,
}

impl Rate {
    /// `per_second` tokens a second and `burst` at first; each at least 1.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second: at_least_one(per_second), burst: at_least_one(burst) }
    }
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

impl Default for EvidenceLimits {
    fn default() -> Self {
        Self { per_source: Rate::new(20, 200), per_network: Rate::new(100, 1000) }
    }
}

/// The buckets of all sources, and what each network has in flight. Clones share them.
#[derive(Clone, Debug)]
pub struct Limiter {
    buckets: Arc<Mutex<Buckets>>,
    lanes: Lanes,
}

#[derive(Debug)]
struct Buckets {
    /// Time is counted from here, in nanoseconds.
    start: Instant,
    sources: Table<IpAddr>,
    networks: Table<IpAddr>,
}

impl Limiter {
    /// With every bucket full.
    #[must_use]
    pub fn new(limits: EvidenceLimits) -> Self {
        Self::bounded(limits, MAX_BUCKETS)
    }

    fn bounded(limits: EvidenceLimits, most: usize) -> Self {
        let buckets = Buckets {
            start: Instant::now(),
            sources: Table::new(limits.per_source, most),
            networks: Table::new(limits.per_network, most),
        };
        Self { buckets: Arc::new(Mutex::new(buckets)), lanes: Lanes::default() }
    }

    /// Takes a token of the source and one of its network; `false`, and none taken, if either has none.
    #[must_use]
    pub fn allow(&self, source: IpAddr, now: Instant) -> bool {
        let source = source.to_canonical();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now.saturating_duration_since(buckets.start).as_nanos();
        let network = network(source);
        let allowed = buckets.sources.has_token(&source, now) && buckets.networks.has_token(&network, now);
        if allowed {
            buckets.sources.take(source, now);
            buckets.networks.take(network, now);
        } else {
            buckets.sources.remember(source, now);
            buckets.networks.remember(network, now);
        }
        allowed
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new(EvidenceLimits::default())
    }
}

/// What one gathering pays: once, when it sends its first question upstream. Each question needs a [`Place`] besides.
#[derive(Debug)]
pub(crate) struct Toll {
    limiter: Option<(Limiter, IpAddr)>,
    paid: OnceLock<bool>,
}

impl Toll {
    pub(crate) fn new(limiter: &Limiter, source: IpAddr) -> Self {
        Self { limiter: Some((limiter.clone(), source)), paid: OnceLock::new() }
    }

    /// For questions that no peer caused.
    pub(crate) fn free() -> Self {
        Self { limiter: None, paid: OnceLock::new() }
    }

    /// Whether a question may be sent. The first call decides for all.
    pub(crate) fn pay(&self) -> bool {
        let allow = |(limiter, source): &(Limiter, IpAddr)| limiter.allow(*source, Instant::now());
        *self.paid.get_or_init(|| self.limiter.as_ref().is_none_or(allow))
    }

    /// The place for one question that is to be sent, if the source's network has one left.
    pub(crate) fn place_now(&self) -> Option<Place> {
        match &self.limiter {
            Some((limiter, source)) => limiter.lanes.place_now(*source),
            None => Some(Place::free()),
        }
    }

    /// As [`place_now`](Self::place_now), once there is one.
    pub(crate) async fn place(&self) -> Place {
        match &self.limiter {
            Some((limiter, source)) => limiter.lanes.place(*source).await,
            None => Place::free(),
        }
    }

    /// Whether a question was sent.
    pub(crate) fn is_paid(&self) -> bool {
        self.paid.get().copied().unwrap_or(false)
    }
}

/// The /24 or /64 of an address.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & (u128::MAX << 64))),
    }
}

/// Buckets of one size. Each is the time at which it will be full again, in nanoseconds.
#[derive(Debug)]
struct Table<K> {
    /// How long one token takes to come back.
    token: u128,
    /// How long all of them take.
    whole: u128,
    young: HashMap<K, u128>,
    /// What was young when `young` was last full.
    old: HashMap<K, u128>,
    most: usize,
}

impl<K: Hash + Eq> Table<K> {
    fn new(rate: Rate, most: usize) -> Self {
        let token = Duration::from_secs(1).as_nanos() / u128::from(rate.per_second.get());
        let whole = token * u128::from(rate.burst.get());
        Self { token, whole, young: HashMap::new(), old: HashMap::new(), most: (most / 2).max(1) }
    }

    fn has_token(&self, key: &K, now: u128) -> bool {
        self.full_at(key, now) + self.token <= now + self.whole
    }

    fn take(&mut self, key: K, now: u128) {
        let full_at = self.full_at(&key, now) + self.token;
        self.store(key, full_at, now);
    }

    /// Makes a bucket that is in use one of the last to be forgotten.
    fn remember(&mut self, key: K, now: u128) {
        if let Some(full_at) = self.old.get(&key).copied() {
            self.store(key, full_at, now);
        }
    }

    fn store(&mut self, key: K, full_at: u128, now: u128) {
        self.old.remove(&key);
        if self.young.len() >= self.most && !self.young.contains_key(&key) {
            self.young.retain(|_, full_at| *full_at > now);
        }
        if self.young.len() >= self.most && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, full_at);
    }

    fn full_at(&self, key: &K, now: u128) -> u128 {
        self.young.get(key).or_else(|| self.old.get(key)).copied().unwrap_or(now).max(now)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of `tries` are allowed at one moment.
    fn allowed(limiter: &Limiter, source: &str, now: Instant, tries: usize) -> usize {
        (0..tries).filter(|_| limiter.allow(ip(source), now)).count()
    }

    #[test]
    fn a_source_has_its_burst_and_then_its_rate() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        assert_eq!(allowed(&limiter, "192.0.2.1", now, 500), 200);
        assert_eq!(allowed(&limiter, "::ffff:192.0.2.1", now, 1), 0);
        assert_eq!(allowed(&limiter, "192.0.2.1", now + Duration::from_secs(1), 500), 20);
        assert_eq!(allowed(&limiter, "192.0.2.1", now + Duration::from_secs(3600), 500), 200);
    }

    #[test]
    fn a_network_has_its_burst_over_all_its_sources() {
        for prefix in ["192.0.2.", "2001:db8::"] {
            let (limiter, now) = (Limiter::default(), Instant::now());
            let total: usize = (1..=9).map(|n| allowed(&limiter, &format!("{prefix}{n}"), now, 200)).sum();
            assert_eq!(total, 1000, "{prefix}");
        }
        let (limiter, now) = (Limiter::default(), Instant::now());
        let other = ["192.0.2.1", "192.0.3.1", "2001:db8::1", "2001:db8:0:1::1"];
        assert_eq!(other.map(|source| allowed(&limiter, source, now, 500)), [200; 4]);
    }

    #[test]
    fn a_refusal_by_the_network_costs_the_source_nothing() {
        let limits = EvidenceLimits { per_source: Rate::new(1, 2), per_network: Rate::new(1, 2) };
        let (limiter, now) = (Limiter::new(limits), Instant::now());
        assert_eq!(allowed(&limiter, "192.0.2.1", now, 2), 2);
        assert_eq!(allowed(&limiter, "192.0.2.2", now, 9), 0);
        assert_eq!(allowed(&limiter, "192.0.2.2", now + Duration::from_secs(2), 9), 2);
    }

    #[test]
    fn the_tables_are_bounded_and_busy_sources_are_remembered() {
        let limits = EvidenceLimits { per_source: Rate::new(1, 4), per_network: Rate::new(100, 1000) };
        let (limiter, now) = (Limiter::bounded(limits, 64), Instant::now());
        for n in 0..5000_u32 {
            assert!(limiter.allow(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n * 256)), now));
            if n % 16 == 0 {
                let expected = n < 64;
                assert_eq!(limiter.allow(ip("192.0.2.1"), now), expected, "{n}");
            }
            if let Ok(buckets) = limiter.buckets.lock() {
                assert!(buckets.sources.young.len() + buckets.sources.old.len() <= 64);
                assert!(buckets.networks.young.len() + buckets.networks.old.len() <= 64);
            }
        }
    }

    #[test]
    fn a_gathering_pays_once() {
        let limiter =
            Limiter::new(EvidenceLimits { per_source: Rate::new(1, 1), per_network: Rate::new(1, 1) });
        let toll = Toll::new(&limiter, ip("192.0.2.1"));
        assert!(!toll.is_paid());
        assert!(toll.pay() && toll.pay() && toll.is_paid());
        let next = Toll::new(&limiter, ip("192.0.2.1"));
        assert!(!next.pay() && !next.is_paid());
        assert!(Toll::free().pay());
    }

    proptest! {
        /// Against a bucket that counts tokens, in steps of milliseconds with rates that divide them.
        #[test]
        fn a_bucket_is_a_token_bucket(
            rate in prop::sample::select(vec![1_u32, 2, 5, 10, 20, 100, 1000]),
            burst in 1_u32..50,
            steps in prop::collection::vec((0_u64..3000, 1_u32..20), 1..40),
        ) {
            let mut table = Table::new(Rate::new(rate, burst), 8);
            let (mut now_ms, mut thousandths) = (0_u64, u64::from(burst) * 1000);
            for (pause, tries) in steps {
                now_ms += pause;
                thousandths = (thousandths + pause * u64::from(rate)).min(u64::from(burst) * 1000);
                for _ in 0..tries {
                    let now = u128::from(now_ms) * 1_000_000;
                    let has = table.has_token(&(), now);
                    prop_assert_eq!(has, thousandths >= 1000);
                    if has {
                        table.take((), now);
                        thousandths -= 1000;
                    }
                }
            }
        }
    }
}
