//! `TrustAd` with groups in which not every server validates, answers, or has shown yet what it does.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::attacks::{OnPath, validator, wire_name};
use super::*;

/// A group of these servers whose AD bit is trusted.
fn trusting(addresses: &[SocketAddr]) -> Upstream {
    let servers = addresses.iter().map(|address| Server { address: *address, protocol: Protocol::Udp });
    let config = UpstreamConfig {
        servers: servers.collect(),
        timeout: Duration::from_secs(2),
        ..config(&[], Validation::trust_ad())
    };
    Upstream::new(config, clock()).unwrap()
}

#[tokio::test]
async fn a_bogus_answer_is_not_insecure_because_the_next_server_does_not_validate() {
    let served = Served::start(zones()).await;
    let first = validator(&served).await;
    let group = trusting(&[first.address, served.lab.address()]);
    assert_eq!(group.probe(soon()).await, Err(UpstreamError::NoAdBit));
    for (owner, expected) in [
        ("www.nsec.test", "secure records"),
        ("www.unsigned.test", "insecure records"),
        ("www.broken.test", "SERVFAIL"),
    ] {
        assert_eq!(told(&ask(&group, owner, RrType::A).await), expected, "{owner}");
    }
    // Nor if both validate: what one found bogus the other may not have looked at yet.
    let second = OnPath::start(&served.lab, |message| message.metadata.authentic_data = true).await;
    let group = trusting(&[first.address, second.address]);
    assert_eq!(group.probe(soon()).await, Ok(()));
    assert_eq!(told(&ask(&group, "www.broken.test", RrType::A).await), "SERVFAIL");
}

#[tokio::test]
async fn a_server_that_does_not_validate_is_passed_over() {
    let served = Served::start(zones()).await;
    let second = validator(&served).await;
    let group = trusting(&[served.lab.address(), second.address]);
    for (owner, expected) in [
        ("www.unsigned.test", "insecure records"),
        ("www.broken.test", "SERVFAIL"),
        ("www.nsec.test", "secure records"),
    ] {
        assert_eq!(told(&ask(&group, owner, RrType::A).await), expected, "{owner}");
    }
}

#[tokio::test]
async fn nothing_a_server_says_counts_before_its_first_ad_bit_and_then_all_of_it() {
    let served = Served::start(zones()).await;
    let validates = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&validates);
    let server = OnPath::start(&served.lab, move |message| {
        let is_signed = !wire_name("unsigned.test").zone_of(message.queries[0].name());
        message.metadata.authentic_data = is_signed && switch.load(Ordering::SeqCst);
    })
    .await;
    let group = trusting(&[server.address]);
    for owner in ["www.unsigned.test", "none.unsigned.test", "www.nsec.test", "www.broken.test"] {
        assert_eq!(told(&ask(&group, owner, RrType::A).await), "SERVFAIL", "{owner}");
    }
    validates.store(true, Ordering::SeqCst);
    // No answer about this zone will ever have the bit: the server is probed again by itself.
    let deadline = Instant::now() + Duration::from_secs(20);
    while told(&ask(&group, "www.unsigned.test", RrType::A).await) != "insecure records" {
        assert!(Instant::now() < deadline, "never probed again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // An answer with the bit does as well as a probe.
    let group = trusting(&[server.address]);
    assert_eq!(told(&ask(&group, "www.nsec.test", RrType::A).await), "secure records");
    validates.store(false, Ordering::SeqCst);
    assert_eq!(told(&ask(&group, "www.unsigned.test", RrType::A).await), "insecure records");
}

#[tokio::test]
async fn a_server_that_is_silent_does_not_spoil_the_probe_and_has_shown_nothing() {
    let served = Served::start(zones()).await;
    let first = validator(&served).await;
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().unwrap();
    let group = trusting(&[silent, first.address]);
    assert_eq!(group.probe(soon()).await, Ok(()));
    let alone = trusting(&[silent]);
    assert!(matches!(alone.probe(soon()).await, Err(UpstreamError::ProbeFailed(_))));
}

#[tokio::test]
async fn a_probe_of_its_own_is_paid_for_like_any_question() {
    let served = Served::start(zones()).await;
    let first = validator(&served).await;
    let group = trusting(&[first.address]);
    let asked = |questions| {
        let (group, budget) = (&group, QueryBudget::new(questions));
        async move {
            let told = told(&group.ask(&name("www.unsigned.test"), RrType::A, &budget, soon()).await);
            (told, budget.spent())
        }
    };
    let poor = (DnsFailure::Budget.to_string(), 1);
    assert_eq!(asked(1).await, poor);
    // That it could not be paid for is not held against the server.
    assert_eq!(asked(2).await, ("insecure records".to_owned(), 2));
    assert_eq!(asked(1).await, ("insecure records".to_owned(), 1));
}

#[tokio::test]
async fn r15_wildcards_are_seen_behind_a_validator_too() {
    let served = Served::start(zones().record("*.other.nsec.test", "CNAME www.nsec.test")).await;
    let server = validator(&served).await;
    let group = trusting(&[server.address]);
    let direct = served.upstream();
    for (owner, expected) in [
        ("x.wild.nsec.test", true),
        ("x.wild.nsec3.test", true),
        ("x.other.nsec.test", true),
        ("*.wild.nsec.test", false),
        ("www.nsec.test", false),
        ("alias.nsec.test", false),
    ] {
        for upstream in [&direct, &group] {
            let answer = ask(upstream, owner, RrType::A).await.unwrap();
            assert_eq!((answer.status, answer.wildcard), (DnssecStatus::Secure, expected), "{owner}");
        }
    }
}
