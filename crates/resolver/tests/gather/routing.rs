//! Overrides and exemptions, with a second universe as the upstream of some zones.

use revouch_resolver::{AskOptions, Override, ValidationMode};
use revouch_validator::evidence::{Outcome, Question};
use revouch_validator::exemption::{ExemptZone, Exemptions};
use revouch_validator::rr::RecordData;

use super::*;

/// A public universe, and a private one for `corp.test` that nobody delegates to.
struct Split {
    public: Scene,
    private: Lab,
}

impl Split {
    async fn new(public: UniverseBuilder, private: UniverseBuilder) -> Self {
        let private = private.build().unwrap().serve(Listen::loopback()).await.unwrap();
        let corp = Override {
            name: "corp".into(),
            zones: vec![name("corp.test"), name("2.0.127.in-addr.arpa")],
            servers: vec![server(private.address())],
            validation: ValidationMode::Validate,
            timeout: Duration::from_secs(10),
        };
        Self { public: Scene::with(public, |builder| builder.add_override(corp)).await, private }
    }

    async fn ask(&self, at: &str, rr_type: RrType, exemptions: &Exemptions) -> Observation {
        let options = AskOptions { deadline: Duration::from_secs(30), ..AskOptions::default() };
        self.public.resolver.ask(&Question::new(name(at), rr_type), exemptions, &options).await
    }
}

fn exempt(zone: &str) -> Exemptions {
    Exemptions { listed: vec![ExemptZone { zone: name(zone), not_after: None }], built_in: true }
}

fn private() -> UniverseBuilder {
    Universe::builder()
        .zone("corp.test", Signing::Unsigned)
        .address("h.corp.test", "127.0.2.1".parse().unwrap())
        .record("1.2.0.127.in-addr.arpa", "PTR h.corp.test")
}

fn outcome(seen: &Observation) -> String {
    match &seen.outcome {
        Outcome::Answer(answer) => format!("{} {}", answer.status, answer.records.len()),
        Outcome::Failure(DnsFailure::Bogus(_)) => "bogus".into(),
        Outcome::Failure(failure) => failure.to_string(),
    }
}

#[tokio::test]
async fn r14_an_override_alone_does_not_exempt_its_zones() {
    // The private universe has another root: nothing of it fits the anchors.
    let split = Split::new(Universe::builder(), private()).await;
    let seen = split.ask("h.corp.test", RrType::A, &Exemptions::default()).await;
    assert_eq!((outcome(&seen).as_str(), seen.group.as_str()), ("bogus", "corp"));
    assert_eq!(split.public.lab.queries().total(), 0);
}

#[tokio::test]
async fn r13_an_exempt_zone_is_asked_without_validation_and_never_secure() {
    let split = Split::new(Universe::builder(), private()).await;
    let seen = split.ask("h.corp.test", RrType::A, &exempt("corp.test")).await;
    assert_eq!((outcome(&seen).as_str(), seen.group.as_str()), ("exempt 1", "corp+exempt"));
    assert_eq!((seen.upstream_queries, split.private.queries().total()), (1, 1));
    assert_eq!(split.public.lab.queries().total(), 0);
    let again = split.ask("h.corp.test", RrType::A, &Exemptions::default()).await;
    assert_eq!(outcome(&again), "bogus", "caches of exempt and other groups are separate");
}

#[tokio::test]
async fn r13_a_whole_gathering_in_exempt_zones() {
    let split = Split::new(Universe::builder(), private()).await;
    let policy = policy(|draft| {
        draft.exemptions = exempt("corp.test");
        draft.exemptions.listed.extend(exempt("2.0.127.in-addr.arpa").listed);
    });
    let evidence = split.public.gather(&policy, "127.0.2.1").await;
    assert_eq!(status(&evidence, "1.2.0.127.in-addr.arpa", RrType::PTR), DnssecStatus::Exempt);
    assert_eq!(status(&evidence, "h.corp.test", RrType::A), DnssecStatus::Exempt);
    assert_eq!(split.public.lab.queries().total(), 0);
}

#[tokio::test]
async fn an_alias_into_another_group_is_continued_there_and_into_an_exempt_zone_refused() {
    let public = || {
        Universe::builder()
            .zone("pub.test", Signing::Nsec)
            .record("alias.pub.test", "CNAME h.corp.test")
            .zone("corp.test", Signing::Unsigned)
            .record("h.corp.test", "A 127.0.66.66")
    };
    // What the public servers say of corp.test does not count: the private ones are asked, and nothing of theirs validates.
    let split = Split::new(public(), private()).await;
    assert_eq!(outcome(&split.ask("alias.pub.test", RrType::A, &Exemptions::default()).await), "bogus");
    assert_eq!(split.private.queries().count("h.corp.test", "A"), 2, "what is bogus is asked for once more");

    let seen = split.ask("alias.pub.test", RrType::A, &exempt("corp.test")).await;
    assert_eq!(seen.outcome, Outcome::Failure(DnsFailure::IntoExemptZone));
    assert_eq!(split.private.queries().count("h.corp.test", "A"), 2);

    let seen = split.ask("alias.pub.test", RrType::A, &exempt("test")).await;
    assert_eq!(outcome(&seen), "exempt 1", "from exempt to exempt is allowed");
    let Outcome::Answer(answer) = &seen.outcome else { panic!("{seen:?}") };
    assert_eq!(answer.records, [RecordData::A("127.0.2.1".parse().unwrap())]);
}

#[tokio::test]
async fn r14_an_override_of_the_root_needs_no_system_resolver() {
    let universe = Universe::builder().address("x.test", "127.0.1.1".parse().unwrap()).build().unwrap();
    let lab = universe.serve(Listen::loopback()).await.unwrap();
    let all = Override {
        name: "all".into(),
        zones: vec![DnsName::root()],
        servers: vec![server(lab.address())],
        validation: ValidationMode::Validate,
        timeout: Duration::from_secs(10),
    };
    let builder = || {
        Resolver::builder()
            .resolv_conf("/nonexistent/resolv.conf")
            .anchors(Anchors::parse(&universe.trust_anchor()).unwrap())
    };
    assert!(builder().build().is_err());
    let resolver = builder().add_override(all).build().unwrap();
    assert_eq!(resolver.probe(Duration::from_secs(30)).await, []);
    let question = Question::new(name("x.test"), RrType::A);
    let seen = resolver.ask(&question, &Exemptions::default(), &AskOptions::default()).await;
    assert_eq!((outcome(&seen).as_str(), seen.group.as_str()), ("secure 1", "all"));
}

#[tokio::test]
async fn trust_ad_does_not_start_over_servers_that_do_not_validate() {
    let universe = Universe::builder().build().unwrap();
    let lab = universe.serve(Listen::loopback()).await.unwrap();
    let resolver = Resolver::builder()
        .servers(vec![server(lab.address())])
        .mode(ValidationMode::TrustAd)
        .build()
        .unwrap();
    let failed = resolver.probe(Duration::from_secs(30)).await;
    assert_eq!(failed.len(), 1);
    assert!(failed.iter().all(|(group, _)| group == "system"));
}
