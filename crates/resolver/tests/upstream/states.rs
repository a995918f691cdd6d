//! What an answer's state is.

use super::*;

#[tokio::test]
async fn every_kind_of_zone_gets_its_state() {
    let served = Served::start(zones()).await;
    let upstream = served.upstream();
    let mut wrong = Vec::new();
    for (zone, state, absent) in [
        ("nsec.test", "secure", "secure"),
        ("nsec3.test", "secure", "secure"),
        ("optout.test", "secure", "insecure"),
        ("signed.optout.test", "secure", "secure"),
        ("plain.optout.test", "insecure", "insecure"),
        ("costly.test", "secure", "insecure"),
        ("cheap.test", "secure", "secure"),
        ("unsigned.test", "insecure", "insecure"),
        ("below.unsigned.test", "insecure", "insecure"),
        ("broken.test", "bogus", "bogus"),
        ("expired.test", "bogus", "bogus"),
        ("early.test", "bogus", "bogus"),
        ("stripped.test", "bogus", "bogus"),
    ] {
        let wild = if absent == "insecure" { "insecure" } else { state };
        let nodata = if zone == "costly.test" { "insecure" } else { state };
        for (owner, rr_type, state, kind) in [
            ("www", RrType::A, state, "records"),
            ("alias", RrType::A, state, "records"),
            ("WWW", RrType::TXT, state, "records"),
            ("x.wild", RrType::A, wild, "records"),
            ("www", RrType::TLSA, nodata, "nodata"),
            ("alias", RrType::TLSA, nodata, "nodata"),
            ("b", RrType::A, nodata, "nodata"),
            ("none", RrType::A, absent, "nxdomain"),
            ("deep.none", RrType::A, absent, "nxdomain"),
            ("_8443._tcp.none", RrType::TLSA, absent, "nxdomain"),
        ] {
            let owner = format!("{owner}.{zone}");
            let result = ask(&upstream, &owner, rr_type).await;
            let expected = if state == "bogus" { "bogus".to_owned() } else { format!("{state} {kind}") };
            if told(&result) != expected {
                wrong.push(format!("{owner} {rr_type}: {expected}, but got {result:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn records_of_every_type_come_as_they_are() {
    let builder = Universe::builder().zone("data.test", Signing::Nsec3);
    let owner = "x.data.test";
    let builder = [
        "AAAA 2001:db8::1",
        "TLSA 3 1 1 0102",
        "SRV 1 2 443 Host.Data.test",
        "SVCB 1 svc.data.test alpn=h2 port=8443",
        "HTTPS 0 other.test",
        "CAA 128 issue \"ca.test\"",
        "MX 10 Mail.data.test",
        "TXT \"t\"",
    ]
    .into_iter()
    .fold(builder, |b, text| b.record(owner, text));
    let served = Served::start(builder.record("4/26.data.test", "PTR Www.Data.test")).await;
    let upstream = served.upstream();
    let mut shown = Vec::new();
    for rr_type in [RrType::AAAA, RrType::TLSA, RrType::SRV, RrType::SVCB, RrType::HTTPS, RrType::CAA] {
        let answer = ask(&upstream, owner, rr_type).await.unwrap();
        assert_eq!(answer.status, DnssecStatus::Secure);
        shown.push(answer.records[0].to_string());
    }
    assert_eq!(
        shown,
        [
            "2001:db8::1",
            "3 1 1 0102",
            "1 2 443 host.data.test",
            "1 svc.data.test port=8443",
            "0 other.test",
            "128 issue \"ca.test\""
        ]
    );
    let mx = ask(&upstream, owner, RrType::MX).await.unwrap();
    assert_eq!(mx.records, [RecordData::Other(b"\x00\x0a\x04mail\x04data\x04test\x00".to_vec())]);
    let ptr = ask(&upstream, "4/26.data.test", RrType::PTR).await.unwrap();
    assert_eq!(ptr.records, [RecordData::Ptr(name("www.data.test"))]);
}

#[tokio::test]
async fn an_answer_says_how_long_it_and_its_signatures_hold() {
    let served = Served::start(
        zones().record("short.nsec.test", "7 A 127.0.1.9").record("long.nsec.test", "90000 A 127.0.1.9"),
    )
    .await;
    let upstream = served.upstream();
    let short = ask(&upstream, "short.nsec.test", RrType::A).await.unwrap();
    let now = clock()();
    assert!(short.signatures.unwrap().contains(now));
    assert_eq!(short.ttl, 7);
    assert_eq!(ask(&upstream, "long.nsec.test", RrType::A).await.unwrap().ttl, 3600);
    // That a zone is unsigned is signed too.
    assert!(ask(&upstream, "www.unsigned.test", RrType::A).await.unwrap().signatures.unwrap().contains(now));
    assert!(ask(&upstream, "x.wild.nsec.test", RrType::A).await.unwrap().wildcard);
    let chain = ask(&upstream, "alias.nsec.test", RrType::A).await.unwrap();
    assert_eq!(chain.chain_end(), Some(&name("www.nsec.test")));
}

#[tokio::test]
async fn a_clock_outside_of_the_signatures_makes_everything_bogus() {
    let served = Served::start(zones()).await;
    let late: Clock = Arc::new(|| clock()().saturating_add(40 * 86_400));
    let upstream = Upstream::new(served.config(), late).unwrap();
    assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "bogus");
    assert_eq!(told(&ask(&upstream, "www.unsigned.test", RrType::A).await), "bogus");
}

#[tokio::test]
async fn other_anchors_make_everything_bogus() {
    let served = Served::start(zones()).await;
    for anchors in [Arc::new(Anchors::iana()), Served::start(zones()).await.anchors()] {
        let upstream = Upstream::new(config(&[&served.lab], Validation::Validate(anchors)), clock()).unwrap();
        assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "bogus");
        let probe = upstream.probe(soon()).await;
        assert!(matches!(probe, Err(UpstreamError::ProbeFailed(DnsFailure::Bogus(_)))), "{probe:?}");
    }
    assert_eq!(served.upstream().probe(soon()).await, Ok(()));
}

#[tokio::test]
async fn an_anchor_below_the_root_is_an_island_of_security() {
    let served = Served::start(
        zones()
            .zone("plain.below.unsigned.test", Signing::Unsigned)
            .record("www.plain.below.unsigned.test", "A 127.0.1.1")
            .record("bad.below.unsigned.test", "A 127.0.1.1")
            .sabotage("bad.below.unsigned.test", "A", Sabotage::MissingSignature),
    )
    .await;
    // The island's own key, as its zone shows it.
    let plain = Upstream::new(config(&[&served.lab], Validation::Unchecked), clock()).unwrap();
    let key = ask(&plain, "below.unsigned.test", RrType::DNSKEY).await.unwrap();
    let RecordData::Other(rdata) = &key.records[0] else { panic!("{key:?}") };
    let text = format!(
        "below.unsigned.test. IN DNSKEY {} {} {} {}",
        u16::from_be_bytes([rdata[0], rdata[1]]),
        rdata[2],
        rdata[3],
        data_encoding::BASE64.encode(&rdata[4..])
    );
    let anchors = |text: &str| Validation::Validate(Arc::new(Anchors::parse(text).unwrap()));
    let root = served.universe.trust_anchor();
    for text in [format!("{root}{text}\n"), text.clone()] {
        let upstream = Upstream::new(config(&[&served.lab], anchors(&text)), clock()).unwrap();
        assert_eq!(told(&ask(&upstream, "www.below.unsigned.test", RrType::A).await), "secure records");
        assert_eq!(told(&ask(&upstream, "bad.below.unsigned.test", RrType::A).await), "bogus");
        assert_eq!(
            told(&ask(&upstream, "www.plain.below.unsigned.test", RrType::A).await),
            "insecure records"
        );
        assert_eq!(told(&ask(&upstream, "www.unsigned.test", RrType::A).await), "insecure records");
    }
    // Without the root's anchor, names outside of the island are neither secure nor bogus.
    let upstream = Upstream::new(config(&[&served.lab], anchors(&text)), clock()).unwrap();
    assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "insecure records");
}

#[tokio::test]
async fn a_key_that_was_changed_is_noticed_and_mended_zones_recover() {
    let served = Served::start(zones().ttl(0)).await;
    let upstream = served.upstream();
    assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "secure records");
    served.universe.replace(|now| now.roll_key("nsec.test").broken_ds("nsec.test", true)).unwrap();
    assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "bogus");
    served.universe.replace(UniverseBuilder::mend).unwrap();
    assert_eq!(told(&ask(&upstream, "www.nsec.test", RrType::A).await), "secure records");
}

#[tokio::test]
async fn thousands_of_ptr_records_are_an_answer_and_more_than_a_message_holds_are_none() {
    let address = "127.0.9.9".parse().unwrap();
    for (count, expected) in [(3_000, "secure records"), (10_000, "SERVFAIL")] {
        let served = Served::start(Universe::builder().many_ptrs(address, "test", count)).await;
        let upstream = served.upstream();
        let result =
            upstream.ask(&DnsName::reverse(address), RrType::PTR, &QueryBudget::new(64), soon()).await;
        assert_eq!(told(&result), expected);
        if let Ok(answer) = result {
            assert_eq!(answer.records.len(), 3_000);
        }
    }
}
