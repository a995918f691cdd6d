//! Budgets, deadlines, faults of servers, transports, modes.

use super::*;

#[tokio::test]
async fn questions_are_counted_and_kept_keys_cost_nothing() {
    let served = Served::start(zones()).await;
    let upstream = served.upstream();
    let mut spent = Vec::new();
    for owner in ["www.nsec.test", "a.b.nsec.test", "www.unsigned.test", "a.b.unsigned.test"] {
        let budget = QueryBudget::new(64);
        let before = served.lab.queries().total();
        upstream.ask(&name(owner), RrType::A, &budget, soon()).await.unwrap();
        assert_eq!(u64::from(budget.spent()), served.lab.queries().total() - before);
        spent.push(budget.spent());
    }
    // The answer, and DNSKEY and DS of root, test and nsec.test; then the answer; then with one more DS.
    assert_eq!(spent, [6, 1, 2, 1]);
}

#[tokio::test]
async fn a_datagram_is_repeated_by_the_next_attempt_only_and_paid_for() {
    let served = Served::start(zones()).await;
    fault(&served.lab, "www.nsec.test", None, Fault::Silent);
    let config = UpstreamConfig { timeout: Duration::from_millis(800), attempts: 2, ..served.config() };
    for (allowed, sent, expected) in [(64, 2, DnsFailure::Timeout), (1, 1, DnsFailure::Budget)] {
        let upstream = Upstream::new(config.clone(), clock()).unwrap();
        let (budget, before) = (QueryBudget::new(allowed), served.lab.queries().total());
        let result = upstream.ask(&name("www.nsec.test"), RrType::A, &budget, soon()).await;
        assert_eq!((result, budget.spent()), (Err(expected), sent));
        assert_eq!(served.lab.queries().total() - before, u64::from(sent));
    }
}

#[tokio::test]
async fn a_slow_answer_costs_one_question() {
    let served = Served::start(zones()).await;
    fault(&served.lab, "www.unsigned.test", Some("A"), Fault::Delay(Duration::from_millis(700)));
    let upstream = Upstream::new(config(&[&served.lab], Validation::Unchecked), clock()).unwrap();
    let budget = QueryBudget::new(64);
    assert!(upstream.ask(&name("www.unsigned.test"), RrType::A, &budget, soon()).await.is_ok());
    assert_eq!((budget.spent(), served.lab.queries().total()), (1, 1));
}

#[tokio::test]
async fn those_who_ask_at_once_share_the_keys() {
    let served = Served::start(zones()).await;
    let upstream = served.upstream();
    let types = [RrType::A, RrType::AAAA, RrType::TLSA, RrType::CAA, RrType::SRV, RrType::TXT];
    let asked = types.map(|rr_type| ask(&upstream, "www.nsec3.test", rr_type));
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|a| a.as_ref().unwrap().status == DnssecStatus::Secure));
    for (owner, rr_type) in
        [(".", "DNSKEY"), ("test", "DNSKEY"), ("test", "DS"), ("nsec3.test", "DNSKEY"), ("nsec3.test", "DS")]
    {
        assert_eq!(served.lab.queries().count(owner, rr_type), 1, "{owner} {rr_type}");
    }
}

#[tokio::test]
async fn an_exhausted_budget_is_its_own_failure_whatever_it_hits() {
    let served = Served::start(zones()).await;
    for allowed in 0..6 {
        let budget = QueryBudget::new(allowed);
        let result = served.upstream().ask(&name("www.nsec.test"), RrType::A, &budget, soon()).await;
        assert_eq!((result, budget.spent()), (Err(DnsFailure::Budget), allowed));
    }
}

#[tokio::test]
async fn a_failure_on_the_way_to_the_keys_fails_the_question_and_is_not_absence() {
    let served = Served::start(zones()).await;
    for (owner, rr_type, asked) in [
        ("nsec.test", "DNSKEY", "www.nsec.test"),
        ("nsec.test", "DS", "www.nsec.test"),
        ("unsigned.test", "DS", "www.unsigned.test"),
        (".", "DNSKEY", "none.nsec.test"),
    ] {
        served.lab.faults().set(Scope::name(owner).unwrap().of_type(rr_type).unwrap(), Fault::ServFail);
        assert_eq!(
            ask(&served.upstream(), asked, RrType::A).await,
            Err(DnsFailure::ServFail),
            "{owner} {rr_type}"
        );
        served.lab.faults().clear_all();
    }
}

#[tokio::test]
async fn faults_of_the_server_have_their_own_failures() {
    let served = Served::start(zones()).await;
    let quick = |timeout| UpstreamConfig { timeout: Duration::from_millis(timeout), ..served.config() };
    for (kind, expected) in [
        (Fault::ServFail, Err(DnsFailure::ServFail)),
        (Fault::Refuse, Err(DnsFailure::Refused)),
        // Octets that are no response to the question are passed over, as a forger might have sent them.
        (Fault::Garbage, Err(DnsFailure::Timeout)),
        (Fault::Silent, Err(DnsFailure::Timeout)),
        (Fault::TruncateAndStall, Err(DnsFailure::Timeout)),
    ] {
        fault(&served.lab, "www.nsec.test", None, kind);
        let upstream = Upstream::new(quick(300), clock()).unwrap();
        assert_eq!(ask(&upstream, "www.nsec.test", RrType::A).await, expected, "{kind:?}");
    }
    for kind in [Fault::Truncate, Fault::Delay(Duration::from_millis(50))] {
        fault(&served.lab, "www.nsec.test", None, kind);
        assert_eq!(
            told(&ask(&served.upstream(), "www.nsec.test", RrType::A).await),
            "secure records",
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn the_deadline_ends_everything() {
    let served = Served::start(zones()).await;
    fault(&served.lab, "nsec.test", Some("DNSKEY"), Fault::Silent);
    let started = Instant::now();
    let deadline = started + Duration::from_millis(200);
    let result =
        served.upstream().ask(&name("www.nsec.test"), RrType::A, &QueryBudget::new(64), deadline).await;
    assert_eq!(result, Err(DnsFailure::Timeout));
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn another_server_answers_for_one_that_fails() {
    let universe = zones().build().unwrap();
    let (bad, good) = (
        universe.serve(Listen::loopback()).await.unwrap(),
        universe.serve(Listen::loopback()).await.unwrap(),
    );
    let anchors = Arc::new(Anchors::parse(&universe.trust_anchor()).unwrap());
    for kind in [Fault::ServFail, Fault::Refuse, Fault::Silent, Fault::Garbage] {
        fault(&bad, ".", None, kind);
        let config = UpstreamConfig {
            timeout: Duration::from_millis(400),
            ..config(&[&bad, &good], Validation::Validate(Arc::clone(&anchors)))
        };
        let upstream = Upstream::new(config, clock()).unwrap();
        assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "secure records", "{kind:?}");
        // The one that answered is asked first from then on.
        let before = bad.queries().total();
        assert_eq!(told(&ask(&upstream, "a.b.nsec.test", RrType::A).await), "secure records");
        assert_eq!(bad.queries().total(), before);
    }
}

#[tokio::test]
async fn nobody_listening_is_refused_where_it_can_be_told() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    for (protocol, expected) in [(Protocol::Udp, DnsFailure::Timeout), (Protocol::Tcp, DnsFailure::Refused)] {
        let config = UpstreamConfig {
            servers: vec![Server { address, protocol }],
            timeout: Duration::from_millis(100),
            ..config(&[], Validation::Unchecked)
        };
        let upstream = Upstream::new(config, clock()).unwrap();
        assert_eq!(ask(&upstream, "www.test", RrType::A).await, Err(expected));
    }
}

#[tokio::test]
async fn what_is_no_data_cannot_be_asked_for() {
    let served = Served::start(zones()).await;
    for number in [0, 41, 46, 47, 50, 250, 251, 252, 255] {
        assert_eq!(
            ask(&served.upstream(), "www.nsec.test", RrType(number)).await,
            Err(DnsFailure::Refused),
            "{number}"
        );
    }
    assert_eq!(served.lab.queries().total(), 0);
}

#[tokio::test]
async fn dot_and_doh_authenticate_the_server() {
    let ca = CertificateAuthority::servers().unwrap();
    let identity = ca.leaf().dns("dns.test").ip("127.0.0.1".parse().unwrap()).issue().unwrap();
    let universe = zones().build().unwrap();
    let lab =
        universe.serve(Listen::loopback().dot(&identity).unwrap().doh(&identity).unwrap()).await.unwrap();
    let anchors = Arc::new(Anchors::parse(&universe.trust_anchor()).unwrap());
    let tls = |server_name: &str| Server {
        address: lab.dot_address().unwrap(),
        protocol: Protocol::Tls { server_name: server_name.into() },
    };
    let https = |server_name: &str| Server {
        address: lab.doh_address().unwrap(),
        protocol: Protocol::Https { server_name: server_name.into(), path: "/dns-query".into() },
    };
    let asked = |server: Server, tls_roots: Arc<RootCertStore>| {
        let config = UpstreamConfig {
            servers: vec![server],
            tls_roots,
            ..config(&[], Validation::Validate(Arc::clone(&anchors)))
        };
        let upstream = Upstream::new(config, clock()).unwrap();
        async move {
            let first = told(&ask(&upstream, "www.nsec.test", RrType::A).await);
            (first, told(&ask(&upstream, "none.nsec3.test", RrType::A).await))
        }
    };
    let secure = ("secure records".to_owned(), "secure nxdomain".to_owned());
    for server in [tls("dns.test"), tls("127.0.0.1"), https("dns.test")] {
        assert_eq!(asked(server.clone(), roots(&ca)).await, secure, "{server:?}");
    }
    let other = CertificateAuthority::servers().unwrap();
    for (server, roots) in [
        (tls("other.test"), roots(&ca)),
        (https("other.test"), roots(&ca)),
        (tls("dns.test"), roots(&other)),
        (https("dns.test"), roots(&other)),
    ] {
        let (first, second) = asked(server.clone(), roots).await;
        assert!(!first.contains("records") && !second.contains("nxdomain"), "{server:?}: {first}, {second}");
    }
}

#[tokio::test]
async fn configurations_that_cannot_work_or_be_trusted_are_refused() {
    let outside = Server { address: "192.0.2.53:53".parse().unwrap(), protocol: Protocol::Udp };
    let tls = Server { protocol: Protocol::Tls { server_name: "dns.test".into() }, ..outside.clone() };
    let odd = Server { protocol: Protocol::Tls { server_name: "no name".into() }, ..outside.clone() };
    let refused = |servers: Vec<Server>, validation, tls_roots| {
        let config = UpstreamConfig { servers, tls_roots, ..config(&[], validation) };
        Upstream::new(config, clock()).err().unwrap()
    };
    let none = || Arc::new(RootCertStore::empty());
    assert_eq!(refused(vec![], Validation::Unchecked, none()), UpstreamError::NoServer);
    assert_eq!(
        refused(vec![outside.clone(); 17], Validation::Unchecked, none()),
        UpstreamError::TooManyServers(17)
    );
    assert_eq!(
        refused(vec![outside.clone()], Validation::trust_ad(), none()),
        UpstreamError::UntrustedPath(outside.address)
    );
    assert_eq!(
        refused(vec![tls.clone()], Validation::Unchecked, none()),
        UpstreamError::NoTlsRoots(tls.address)
    );
    assert_eq!(
        refused(vec![odd], Validation::Unchecked, none()),
        UpstreamError::BadServerName("no name".into())
    );
    let ca = CertificateAuthority::servers().unwrap();
    let config =
        UpstreamConfig { servers: vec![tls], tls_roots: roots(&ca), ..config(&[], Validation::trust_ad()) };
    assert!(Upstream::new(config, clock()).is_ok());
}

#[tokio::test]
async fn without_validation_nothing_is_secure_and_nothing_is_bogus() {
    let served = Served::start(zones()).await;
    let upstream = Upstream::new(config(&[&served.lab], Validation::Unchecked), clock()).unwrap();
    for owner in ["www.nsec.test", "www.broken.test", "www.expired.test", "www.unsigned.test"] {
        assert_eq!(told(&ask(&upstream, owner, RrType::A).await), "insecure records", "{owner}");
    }
    let none = ask(&upstream, "none.nsec.test", RrType::A).await.unwrap();
    assert_eq!((none.negative, none.signatures), (Some(Negative::NxDomain), None));
    fault(&served.lab, ".", None, Fault::ServFail);
    assert_eq!(ask(&upstream, "www.nsec.test", RrType::A).await, Err(DnsFailure::ServFail));
}

#[tokio::test]
async fn trust_ad_refuses_to_start_where_ad_never_comes() {
    let served = Served::start(zones()).await;
    let upstream = Upstream::new(config(&[&served.lab], Validation::trust_ad()), clock()).unwrap();
    assert_eq!(upstream.probe(soon()).await, Err(UpstreamError::NoAdBit));
    assert_eq!(ask(&upstream, "www.nsec.test", RrType::A).await, Err(DnsFailure::ServFail));
    fault(&served.lab, ".", None, Fault::ServFail);
    assert_eq!(upstream.probe(soon()).await, Err(UpstreamError::ProbeFailed(DnsFailure::ServFail)));
}

#[tokio::test]
async fn a_stream_that_stalls_is_not_used_again() {
    let served = Served::start(zones()).await;
    fault(&served.lab, "www.nsec.test", None, Fault::TruncateAndStall);
    let upstream =
        Upstream::new(UpstreamConfig { timeout: Duration::from_millis(300), ..served.config() }, clock())
            .unwrap();
    assert_eq!(ask(&upstream, "www.nsec.test", RrType::A).await, Err(DnsFailure::Timeout));
    fault(&served.lab, "www.nsec.test", None, Fault::Truncate);
    assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "secure records");
}
