//! A hostile forwarder between us and the resolver, and a world that changes while we look.
//!
//! The promise that is tested (`dns.md` sections 1 and 2): under the same attack never a verdict that is better than that of the
//! validators in use; nothing but the true records is ever secure; nothing false is insecure in a zone that is signed; every
//! question ends within its deadline and its budget, and with it what it opened.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod answers;
mod attacker;
mod book;
mod changes;
mod clocks;
mod deaths;
mod edits;
mod failures;
mod generated;
mod judges;
mod loads;
mod peers;
mod recursive;
mod seasons;
mod secured;
mod tables;
mod tls;
mod wire;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_proto::rr::{Name, RecordType};
use revouch_lab::{Listen, Server as Lab, Signing, Universe, UniverseBuilder};
use revouch_resolver::anchors::Anchors;
use revouch_resolver::answer::canonical;
use revouch_resolver::upstream::{
    Clock, Protocol, QueryBudget, Server, Upstream, UpstreamConfig, Validation,
};
use revouch_testbed::Unbound;
use revouch_validator::answer::{Answer, DnsFailure, DnssecStatus};
use revouch_validator::name::DnsName;
use revouch_validator::rr::RrType;
use revouch_validator::timestamp::Timestamp;
use rustls::RootCertStore;
use tokio::time::Instant;

use self::attacker::{Asked, Attacker, Plot, Reply, framed, honest};
use self::book::Book;

/// What one question may send in these tests: less than any budget of a gathering (`dns.md` section 2.9).
const BUDGET: u32 = 48;

/// Zones that lean on one another in every way that a chain of trust can be bent.
const ZONES: [(&str, Signing); 13] = [
    ("nsec.test", Signing::Nsec),
    ("sub.nsec.test", Signing::Nsec3),
    ("plain.nsec.test", Signing::Unsigned),
    ("nsec3.test", Signing::Nsec3),
    ("sub.nsec3.test", Signing::Nsec),
    ("plain.nsec3.test", Signing::Unsigned),
    ("optout.test", Signing::Nsec3OptOut),
    ("signed.optout.test", Signing::Nsec),
    ("plain.optout.test", Signing::Unsigned),
    ("costly.test", Signing::Nsec3Iterations(151)),
    ("unsigned.test", Signing::Unsigned),
    ("island.unsigned.test", Signing::Nsec),
    ("other.test", Signing::Nsec),
];

/// The zones with much the same records in each.
fn universe() -> UniverseBuilder {
    ZONES.into_iter().fold(Universe::builder(), |builder, (zone, signing)| {
        [
            ("www", "A 127.0.1.1"),
            ("www", "TXT \"genuine\""),
            ("mail", "A 127.0.1.2"),
            ("_8443._tcp.www", "TLSA 3 1 1 0101010101010101010101010101010101010101010101010101010101010101"),
            (
                "_8443._tcp.mail",
                "TLSA 3 1 1 0202020202020202020202020202020202020202020202020202020202020202",
            ),
            ("*.wild", "A 127.0.1.3"),
            ("real.wild", "A 127.0.1.4"),
            ("a.b", "A 127.0.1.5"),
            ("ptr", "PTR www.nsec.test"),
            ("old", "DNAME other.test"),
        ]
        .into_iter()
        .fold(builder.zone(zone, signing), |b, (owner, text)| b.record(&format!("{owner}.{zone}"), text))
        .record(&format!("alias.{zone}"), &format!("CNAME www.{zone}"))
        .record(&format!("out.{zone}"), "CNAME www.unsigned.test")
    })
}

fn clock() -> Clock {
    Arc::new(|| Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()))
}

/// A universe, and somebody before it.
struct Scene {
    universe: Universe,
    lab: Lab,
    book: Arc<Book>,
    attacker: Attacker,
    /// Behind the attacker, once it is asked.
    unbound: tokio::sync::OnceCell<Unbound>,
}

impl Scene {
    /// With a universe that stays as it is.
    async fn new() -> Self {
        Self::of(universe(), Book::new).await
    }

    async fn of(builder: UniverseBuilder, book: impl Fn(std::net::SocketAddr) -> Book) -> Self {
        let universe = builder.build().unwrap();
        let lab = universe.serve(Listen::loopback()).await.unwrap();
        let book = book(lab.address());
        Self::over(universe, lab, book).await
    }

    async fn over(universe: Universe, lab: Lab, book: Book) -> Self {
        let book = Arc::new(book);
        let attacker = Attacker::start(Arc::clone(&book)).await;
        Self { universe, lab, book, attacker, unbound: tokio::sync::OnceCell::new() }
    }

    fn anchors(&self) -> Arc<Anchors> {
        Arc::new(Anchors::parse(&self.universe.trust_anchor()).unwrap())
    }

    fn config(&self, servers: Vec<Server>) -> UpstreamConfig {
        UpstreamConfig {
            servers,
            validation: Validation::Validate(self.anchors()),
            timeout: Duration::from_secs(5),
            attempts: 1,
            tls_roots: secured::roots(),
        }
    }

    /// Us, with the attacker as our only way out, knowing nothing yet.
    fn victim(&self, protocol: Protocol) -> Upstream {
        Upstream::new(self.config(vec![self.attacker.server(protocol)]), clock()).unwrap()
    }

    /// Another way out beside the attacker's.
    async fn second(&self) -> Attacker {
        Attacker::start(Arc::clone(&self.book)).await
    }

    /// Us, with nobody on the way.
    fn direct(&self) -> Upstream {
        let server = Server { address: self.lab.address(), protocol: Protocol::Udp };
        Upstream::new(self.config(vec![server]), clock()).unwrap()
    }
}

fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

/// The library's form of a name that is written without its last dot.
fn wire_name(text: &str) -> Name {
    Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

async fn ask(upstream: &Upstream, owner: &str, rr_type: RecordType) -> Result<Answer, DnsFailure> {
    upstream.ask(&name(owner), RrType(rr_type.into()), &QueryBudget::new(BUDGET), soon()).await
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
