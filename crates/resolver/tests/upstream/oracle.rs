//! A validating resolver in wide use, over the same universe: the states must be the same.

use revouch_testbed::Unbound;

use super::*;

/// Owner names below each zone, and the types that are asked for at each.
const OWNERS: [&str; 12] = [
    "",
    "www",
    "alias",
    "a.b",
    "b",
    "wild",
    "x.wild",
    "*.wild",
    "deep.x.wild",
    "none",
    "deep.none",
    "_8443._tcp.none",
];
const TYPES: [RrType; 8] = [
    RrType::A,
    RrType::TLSA,
    RrType::TXT,
    RrType::CNAME,
    RrType::NS,
    RrType::DS,
    RrType::SOA,
    RrType::DNSKEY,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_state_is_that_of_unbound() {
    let served = Served::start(zones()).await;
    // Without unbound this fails and says what to install (`cargo xtask setup`): an oracle that is not asked proves nothing.
    let unbound = Unbound::start(&served.universe, &served.lab).await.unwrap_or_else(|why| panic!("{why}"));
    let server = Server { address: unbound.address(), protocol: Protocol::Udp };
    let config =
        UpstreamConfig { servers: vec![server], timeout: Duration::from_secs(10), ..served.config() };
    // Unbound's own verdict; and ours, with unbound between us and the universe.
    let theirs = UpstreamConfig { validation: Validation::trust_ad(), ..config.clone() };
    let theirs = Upstream::new(theirs, clock()).unwrap();
    assert_eq!(theirs.probe(soon()).await, Ok(()));
    let (direct, behind) = (served.upstream(), Upstream::new(config, clock()).unwrap());
    let mut differences = Vec::new();
    for zone in ZONES.map(|(zone, _)| zone) {
        for owner in OWNERS.map(|owner| format!("{owner}.{zone}")) {
            let owner = owner.trim_start_matches('.');
            for rr_type in TYPES {
                // Behind a validating resolver bogus is SERVFAIL.
                let state = |result: &Result<_, _>| told(result).replace("SERVFAIL", "bogus");
                let expected = state(&ask(&theirs, owner, rr_type).await);
                for (way, upstream) in [("direct", &direct), ("behind", &behind)] {
                    let ours = ask(upstream, owner, rr_type).await;
                    if state(&ours) != expected {
                        differences
                            .push(format!("{way} {owner} {rr_type}: unbound {expected}, but {ours:?}"));
                    }
                }
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
