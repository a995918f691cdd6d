//! Questions to a signed universe of its own, over real sockets: every state, every transport, every way to fail or to be lied to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod attacks;
mod oracle;
mod states;
mod transports;
mod trusting;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use revouch_lab::{
    CertificateAuthority, Fault, Listen, Sabotage, Scope, Server as Lab, Signing, Universe, UniverseBuilder,
};
use revouch_resolver::anchors::Anchors;
use revouch_resolver::upstream::{
    Clock, Protocol, QueryBudget, Server, Upstream, UpstreamConfig, UpstreamError, Validation,
};
use revouch_validator::answer::{Answer, DnsFailure, DnssecStatus, Negative};
use revouch_validator::name::DnsName;
use revouch_validator::rr::{RecordData, RrType};
use revouch_validator::timestamp::Timestamp;
use rustls::RootCertStore;
use tokio::time::Instant;

/// Zones of every kind, below the signed `test`.
const ZONES: [(&str, Signing); 13] = [
    ("nsec.test", Signing::Nsec),
    ("nsec3.test", Signing::Nsec3),
    ("optout.test", Signing::Nsec3OptOut),
    ("plain.optout.test", Signing::Unsigned),
    ("signed.optout.test", Signing::Nsec),
    ("costly.test", Signing::Nsec3Iterations(151)),
    ("cheap.test", Signing::Nsec3Iterations(150)),
    ("unsigned.test", Signing::Unsigned),
    ("below.unsigned.test", Signing::Nsec),
    ("broken.test", Signing::Nsec),
    ("expired.test", Signing::Nsec),
    ("early.test", Signing::Nsec3),
    ("stripped.test", Signing::Nsec),
];

/// A universe with these zones, and much the same records in each.
fn zones() -> UniverseBuilder {
    let builder = ZONES.into_iter().fold(Universe::builder(), |b, (zone, signing)| {
        let b = b.zone(zone, signing);
        let b = b.record(&format!("www.{zone}"), "A 127.0.1.1").record(&format!("www.{zone}"), "TXT \"x\"");
        let b =
            b.record(&format!("*.wild.{zone}"), "A 127.0.1.2").record(&format!("a.b.{zone}"), "A 127.0.1.3");
        b.record(&format!("alias.{zone}"), &format!("CNAME www.{zone}"))
    });
    builder
        .broken_ds("broken.test", true)
        .sabotage_zone("expired.test", Some(Sabotage::ExpiredSignature))
        .sabotage_zone("early.test", Some(Sabotage::EarlySignature))
        .sabotage_zone("stripped.test", Some(Sabotage::MissingSignature))
        .record("wrong.nsec.test", "A 127.0.1.4")
        .sabotage("wrong.nsec.test", "A", Sabotage::WrongRdata)
}

fn clock() -> Clock {
    Arc::new(|| Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()))
}

/// A universe that is served.
struct Served {
    universe: Universe,
    lab: Lab,
}

impl Served {
    async fn start(builder: UniverseBuilder) -> Self {
        let universe = builder.build().unwrap();
        let lab = universe.serve(Listen::loopback()).await.unwrap();
        Self { universe, lab }
    }

    fn anchors(&self) -> Arc<Anchors> {
        Arc::new(Anchors::parse(&self.universe.trust_anchor()).unwrap())
    }

    fn config(&self) -> UpstreamConfig {
        config(&[&self.lab], Validation::Validate(self.anchors()))
    }

    fn upstream(&self) -> Upstream {
        Upstream::new(self.config(), clock()).unwrap()
    }
}

fn config(labs: &[&Lab], validation: Validation) -> UpstreamConfig {
    let servers = labs.iter().map(|lab| Server { address: lab.address(), protocol: Protocol::Udp }).collect();
    UpstreamConfig {
        servers,
        validation,
        timeout: Duration::from_secs(5),
        attempts: 1,
        tls_roots: Arc::new(RootCertStore::empty()),
    }
}

fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

async fn ask(upstream: &Upstream, owner: &str, rr_type: RrType) -> Result<Answer, DnsFailure> {
    upstream.ask(&name(owner), rr_type, &QueryBudget::new(64), soon()).await
}

/// The answer in two words.
fn told(result: &Result<Answer, DnsFailure>) -> String {
    match result {
        Ok(answer) => {
            let kind = answer.negative.map_or("records".into(), |n| n.to_string());
            format!("{} {kind}", answer.status)
        }
        Err(DnsFailure::Bogus(_)) => "bogus".into(),
        Err(other) => other.to_string(),
    }
}

/// A single fault for every question, or for those of one name and type.
fn fault(lab: &Lab, owner: &str, rr_type: Option<&str>, fault: Fault) {
    let mut scope = Scope::suffix(owner).unwrap();
    if let Some(rr_type) = rr_type {
        scope = scope.of_type(rr_type).unwrap();
    }
    lab.faults().set(scope, fault);
}

/// The roots of a CA, as DoT and DoH need them.
fn roots(ca: &CertificateAuthority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.root()).unwrap();
    Arc::new(roots)
}
