//! What a live connection holds of the configuration under which it was accepted: nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::net::IpAddr;
use std::sync::{Mutex, Weak};
use std::time::Duration;

use revouch_lab::CertificateAuthority;
use revouch_testbed::{Backend, Peer, eventually};
use revouch_validator::answer::{Answer, DnssecStatus, Negative};
use revouch_validator::evidence::{AnswerSource, Evidence, Observation, Outcome as DnsOutcome, Question};
use revouch_validator::path::{Anchors, Crls};
use revouch_validator::policy::{Mode, PolicyDraft, TlsaMode};
use revouch_validator::rr::RrType;
use revouch_validator::trust::TrustStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::events::{CacheResult, Direction};
use crate::listener;
use crate::runtime::{
    Deadlines, EvidenceRequest, EvidenceSource, Gathering, HandshakeLimits, PolicyRuntime, UpstreamAddress,
};
use crate::tls::{MinVersion, TlsTemplate};

const PATIENCE: Duration = Duration::from_secs(20);

/// The address has no name. Keeps a handle on what it said, and on whom it was asked by.
#[derive(Default)]
struct Dns {
    said: Mutex<Weak<Evidence>>,
}

impl EvidenceSource for Arc<Dns> {
    fn gather(&self, request: EvidenceRequest) -> Gathering {
        let mut evidence = Evidence::new(request.connection.source());
        evidence.insert(Observation {
            question: Question::new(DnsName::reverse(request.connection.source()), RrType::PTR),
            outcome: DnsOutcome::Answer(Answer {
                records: Vec::new(),
                chain: Vec::new(),
                status: DnssecStatus::Insecure,
                negative: Some(Negative::NxDomain),
                wildcard: false,
                ttl: 0,
                signatures: None,
            }),
            group: "system".to_owned(),
            source: AnswerSource::Upstream,
            upstream_queries: 1,
            elapsed_us: 0,
        });
        let evidence = Arc::new(evidence);
        *self.said.lock().unwrap() = Arc::downgrade(&evidence);
        Box::pin(async move { evidence })
    }

    fn known(&self, _: &Connection) -> Option<Arc<Evidence>> {
        None
    }
}

struct Nobody;

impl Observer for Nobody {
    fn opened(&self, _: &str) {}
    fn evidence(&self, _: &Evidence, _: Duration) {}
    fn path_cache(&self, _: CacheResult) {}
    fn bytes(&self, _: Direction, _: u64) {}
    fn lingering(&self, _: bool) {}
    fn accept_failed(&self, _: bool) {}
    fn ended(&self, _: &ConnectionEnd) {}
}

/// One load of a configuration.
fn load(ca: &CertificateAuthority, dns: &Arc<Dns>, mode: Mode, upstream: SocketAddr) -> Arc<ListenerRuntime> {
    let draft = PolicyDraft { mode, tlsa: TlsaMode::Ignore, ..PolicyDraft::default() };
    let (server, client) = (Anchors::from_der([ca.root()]).0, Anchors::none());
    let policy = PolicyRuntime {
        name: "peers".into(),
        policy: draft.build().unwrap(),
        trust: TrustStore { server, client, crls: Crls::none() },
        evidence: Arc::new(Arc::clone(dns)),
        loopback: Loopback::Allow,
    };
    let provider = Arc::new(default_provider());
    let own = ca.leaf().dns("acceptor.example").issue().unwrap();
    let key = CertifiedKey::from_der(own.chain(), own.key(), &provider).unwrap();
    Arc::new(ListenerRuntime {
        name: "api".into(),
        generation: 1,
        tls: TlsTemplate::new(provider, vec![Arc::new(key)], MinVersion::Tls12, Vec::new()),
        limits: HandshakeLimits::default(),
        connections_per_source: 10,
        deadlines: Deadlines::default(),
        routes: vec![Arc::new(Route {
            name: "all".into(),
            server_names: Vec::new(),
            policy: Some(Arc::new(policy)),
            upstream: UpstreamAddress::Tcp(upstream),
            send_proxy: false,
        })],
    })
}

/// Whether anybody still holds the load, its route and policy, or what the DNS said.
struct Held {
    listener: Weak<ListenerRuntime>,
    route: Weak<Route>,
    policy: Weak<PolicyRuntime>,
    evidence: Weak<Evidence>,
}

impl Held {
    fn counts(&self) -> [usize; 4] {
        [
            self.listener.strong_count(),
            self.route.strong_count(),
            self.policy.strong_count(),
            self.evidence.strong_count(),
        ]
    }
}

#[tokio::test]
async fn an_accepted_connection_outlives_its_configuration_and_holds_nothing_of_it() {
    let ca = CertificateAuthority::servers().unwrap();
    let backend = Backend::tcp().await.unwrap();
    let dns = Arc::new(Dns::default());
    let load = |mode| load(&ca, &dns, mode, backend.address().unwrap());
    let first = load(Mode::Enforce);
    let [route] = first.routes.as_slice() else { panic!("one route") };
    let (listener, route, policy) =
        (Arc::downgrade(&first), Arc::downgrade(route), Arc::downgrade(route.policy.as_ref().unwrap()));
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (current, watching) = watch::channel(first);
    let (stop, shared) = (CancellationToken::new(), Arc::new(Shared::new(Arc::new(Nobody), 10, 10)));
    let running = tokio::spawn(listener::run(socket, watching, stop.clone(), shared));

    let source = IpAddr::from([127, 0, 0, 1]);
    let identity = ca.leaf().ip(source).issue().unwrap();
    let peer = Peer::from(source).identity(&identity).server_name("acceptor.example");
    let mut connected = peer.connect(address).await.unwrap();
    let mut echo = [0; 5];
    connected.stream.write_all(b"hello").await.unwrap();
    connected.stream.read_exact(&mut echo).await.unwrap();
    let evidence = dns.said.lock().unwrap().clone();
    let held = Held { listener, route, policy, evidence };
    assert_eq!(held.counts(), [1, 1, 1, 0], "no more than the current load, which has one owner");

    current.send_replace(load(Mode::Audit));
    assert!(eventually(PATIENCE, || held.counts() == [0; 4]).await, "{:?}", held.counts());
    connected.stream.write_all(b"still").await.unwrap();
    connected.stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"still");
    stop.cancel();
    running.await.unwrap();
}
