//! Servers that die and come back.

use super::attacker::Stream;
use super::*;

const A: RecordType = RecordType::A;

fn quick(scene: &Scene, servers: Vec<Server>) -> Upstream {
    let config = UpstreamConfig { timeout: Duration::from_millis(500), attempts: 2, ..scene.config(servers) };
    Upstream::new(config, clock()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_the_one_that_lives_answers_and_is_asked_first_from_then_on() {
    let scene = Scene::new().await;
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let mut pair = [scene.second().await, scene.second().await].map(Some);
        let servers = pair.iter().flatten().map(|attacker| attacker.server(protocol.clone())).collect();
        let upstream = quick(&scene, servers);
        for number in 0..6 {
            // In turns one of them dies and comes back at the same address.
            let (dead, alive) = (number % 2, 1 - number % 2);
            let dying = pair[dead].take().unwrap();
            let address = dying.address;
            dying.die().await;
            for again in 0..2 {
                let owner = format!("x{number}-{again}.wild.nsec.test");
                let before = pair[alive].as_ref().unwrap().seen.questions();
                let started = Instant::now();
                assert_eq!(told(&ask(&upstream, &owner, A).await), "secure records", "{protocol:?} {number}");
                assert!(pair[alive].as_ref().unwrap().seen.questions() > before);
                assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
            }
            pair[dead] = Some(Attacker::start_at(Arc::clone(&scene.book), address).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_are_dead_there_is_no_answer_and_the_first_question_after_their_return_has_one() {
    let scene = Scene::new().await;
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let one = scene.second().await;
        let address = one.address;
        let upstream = quick(&scene, vec![one.server(protocol.clone())]);
        assert_eq!(told(&ask(&upstream, "www.nsec.test", A).await), "secure records");
        one.die().await;
        for number in 0..3 {
            let failed = ask(&upstream, &format!("y{number}.wild.nsec.test"), A).await;
            assert!(matches!(failed, Err(DnsFailure::Timeout | DnsFailure::Refused)), "{failed:?}");
        }
        let one = Attacker::start_at(Arc::clone(&scene.book), address).await;
        assert_eq!(told(&ask(&upstream, "mail.nsec.test", A).await), "secure records", "{protocol:?}");
        assert_eq!(one.seen.questions(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_costs_one_answer_at_most() {
    let scene = Scene::new().await;
    for trick in [
        Stream::Close,
        Stream::RawThenClose(vec![0]),
        Stream::RawThenClose(vec![0, 100, 1, 2, 3]),
        Stream::RawThenClose(vec![0, 0]),
    ] {
        let victim = scene.victim(Protocol::Tcp);
        assert_eq!(told(&ask(&victim, "www.nsec.test", A).await), "secure records");
        let broken = trick.clone();
        scene.attacker.plot(Arc::new(move |_, _| Reply::Stream(broken.clone())));
        let failed = ask(&victim, "mail.nsec.test", A).await;
        assert!(failed.is_err(), "{trick:?} {failed:?}");
        scene.attacker.plot(honest());
        assert_eq!(told(&ask(&victim, "mail.nsec.test", A).await), "secure records", "{trick:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_under_many_questions_is_opened_again_once() {
    let scene = Scene::new().await;
    let victim = scene.victim(Protocol::Tcp);
    assert_eq!(told(&ask(&victim, "www.nsec.test", A).await), "secure records");
    // The first question of the flood breaks the connection under all of them; the next one stands.
    let broken = std::sync::atomic::AtomicBool::new(false);
    scene.attacker.plot(Arc::new(move |_, genuine| {
        if broken.swap(true, std::sync::atomic::Ordering::SeqCst) {
            Reply::Message(Box::new(genuine))
        } else {
            Reply::Stream(Stream::Close)
        }
    }));
    let owners: Vec<String> = (0..100).map(|number| format!("z{number}.wild.nsec.test")).collect();
    let answers = futures_util::future::join_all(owners.iter().map(|owner| ask(&victim, owner, A))).await;
    assert!(answers.iter().all(|answer| told(answer) == "secure records"));
    assert_eq!(scene.attacker.seen.connections.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_waits_in_vain_on_an_old_connection_leaves_the_new_one_alone() {
    let scene = Scene::new().await;
    let victim = scene.victim(Protocol::Tcp);
    assert_eq!(told(&ask(&victim, "www.nsec.test", A).await), "secure records");
    scene.attacker.plot(Arc::new(|asked, genuine| {
        let is_hushed = wire_name("wild.nsec.test").zone_of(&canonical(asked.query().name()));
        if is_hushed { Reply::Silence } else { Reply::Message(Box::new(genuine)) }
    }));
    let in_vain = async |owner: &str, milliseconds| {
        let (budget, until) =
            (QueryBudget::new(BUDGET), Instant::now() + Duration::from_millis(milliseconds));
        assert_eq!(victim.ask(&name(owner), RrType::A, &budget, until).await, Err(DnsFailure::Timeout));
    };
    let connections = || scene.attacker.seen.connections.load(std::sync::atomic::Ordering::SeqCst);
    let others = async {
        in_vain("x.wild.nsec.test", 300).await;
        assert_eq!(told(&ask(&victim, "mail.nsec.test", A).await), "secure records");
        assert_eq!(connections(), 2, "what was silent for so long may be dead");
    };
    tokio::join!(in_vain("y.wild.nsec.test", 2500), others);
    assert_eq!(told(&ask(&victim, "a.b.nsec.test", A).await), "secure records");
    assert_eq!(connections(), 2);
}
