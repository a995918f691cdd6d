//! What failures cost: silence and SERVFAIL are remembered for a moment; a refusal is asked for again by the next peer, and by nobody
//! meanwhile.

use futures_util::future::join_all;
use hickory_proto::op::ResponseCode;
use revouch_resolver::Resolver;
use revouch_validator::connection::Connection;
use revouch_validator::policy::{Policy, PolicyDraft};

use super::*;

const REVERSE: &str = "1.1.0.127.in-addr.arpa";

/// As it is by default: a second for each server, two attempts, 2.5 s for all.
fn resolver(scene: &Scene) -> Resolver {
    Resolver::builder()
        .servers(vec![scene.attacker.server(Protocol::Udp)])
        .anchors(Anchors::parse(&scene.universe.trust_anchor()).unwrap())
        .build()
        .unwrap()
}

fn policy() -> Policy {
    PolicyDraft::default().build().unwrap()
}

async fn scene() -> Scene {
    let builder = universe().host("gw.nsec.test", "127.0.1.1".parse().unwrap());
    Scene::of(builder, Book::new).await
}

/// Gathers for a peer; says whether there was a usable PTR answer.
async fn is_known(resolver: &Resolver, policy: &Policy) -> bool {
    let connection = Connection::new("127.0.1.1:40000".parse().unwrap(), 8443);
    let evidence = resolver.gather(policy, &connection).await;
    evidence.get(&name(REVERSE), RrType::PTR).is_some_and(|seen| seen.outcome.as_result().is_ok())
}

fn is_reverse(asked: &Asked) -> bool {
    asked.is(REVERSE, RecordType::PTR)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_come_while_a_server_is_silent_share_its_silence() {
    let (scene, policy) = (scene().await, policy());
    let resolver = resolver(&scene);
    scene.attacker.plot(Arc::new(|asked, genuine| {
        if is_reverse(asked) { Reply::Silence } else { Reply::Message(Box::new(genuine)) }
    }));
    let known = join_all((0..150).map(|_| is_known(&resolver, &policy))).await;
    assert!(!known.contains(&true));
    // Two attempts, and what one that had joined has time for when they are over.
    let sent = scene.attacker.seen.count(REVERSE, RecordType::PTR);
    assert!((2..=3).contains(&sent), "{sent}");
    scene.attacker.plot(honest());
    becomes_known(&resolver, &policy).await;
}

/// Waits until a failure is forgotten: 5 s at most.
async fn becomes_known(resolver: &Resolver, policy: &Policy) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_known(resolver, policy).await {
        assert!(Instant::now() < deadline, "the failure is never forgotten");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_is_asked_once_by_all_that_come_at_once_and_by_each_that_comes_later() {
    let (scene, policy) = (scene().await, policy());
    let asked = || scene.attacker.seen.count(REVERSE, RecordType::PTR);
    for code in [ResponseCode::ServFail, ResponseCode::Refused] {
        let resolver = resolver(&scene);
        scene.attacker.plot(Arc::new(move |asked, mut genuine| {
            if !is_reverse(asked) {
                return Reply::Message(Box::new(genuine));
            }
            genuine.metadata.response_code = code;
            Reply::Late(Box::new(genuine))
        }));
        let before = asked();
        let known = join_all((0..50).map(|_| is_known(&resolver, &policy))).await;
        assert!(!known.contains(&true));
        assert_eq!(asked() - before, 1, "{code}");
        for times in 2..6 {
            assert!(!is_known(&resolver, &policy).await);
            let sent = asked() - before;
            // SERVFAIL is remembered for a second, a refusal is not.
            assert!(
                if code == ResponseCode::Refused { sent == times } else { sent <= times },
                "{code}: {sent}"
            );
        }
        scene.attacker.plot(honest());
        becomes_known(&resolver, &policy).await;
    }
}
