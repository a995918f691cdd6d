//! Handshakes over loopback between this module and a real TLS peer, with evidence that comes when the test says so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use revouch_lab::{CertificateAuthority, Identity, KeyKind};
use revouch_validator::answer::{Answer, DnssecStatus, Negative};
use revouch_validator::cert::MAX_NAMES;
use revouch_validator::connection::Connection;
use revouch_validator::evidence::{AnswerSource, Evidence, Observation, Outcome, Question};
use revouch_validator::name::DnsName;
use revouch_validator::path::{Anchors, Crls};
use revouch_validator::policy::{Mode, PolicyDraft, TlsaMode};
use revouch_validator::reason::Reason;
use revouch_validator::rr::RrType;
use revouch_validator::trust::TrustStore;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, WebPkiSupportedAlgorithms};
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion, version,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::{
    Admitting, Authorized, Findings, MinVersion, PathCache, Refused, TlsTemplate, handshake, read_hello,
};
use crate::events::{CacheResult, ConnectionEnd, Direction, Observer};
use crate::runtime::{
    EvidenceRequest, EvidenceSource, Gathering, Loopback, PolicyRuntime, Route, UpstreamAddress,
};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(20);

/// When the evidence comes.
#[derive(Clone)]
enum Dns {
    /// At once.
    Ready,
    /// Once it is told to.
    When(Arc<Notify>),
    /// Never: the task that gathers panics.
    Panics,
    /// At once, for another address.
    OfAnother,
}

impl EvidenceSource for Dns {
    fn gather(&self, request: EvidenceRequest) -> Gathering {
        let dns = self.clone();
        Box::pin(async move {
            let source = match &dns {
                Self::Panics => panic!("as the test wants it"),
                Self::OfAnother => IpAddr::from([192, 0, 2, 1]),
                Self::Ready | Self::When(_) => request.connection.source(),
            };
            if let Self::When(told) = dns {
                told.notified().await;
            }
            Arc::new(no_ptr(source))
        })
    }

    fn known(&self, _: &Connection) -> Option<Arc<Evidence>> {
        None
    }
}

/// What an address certificate needs: the answer that there is no PTR record (R8).
fn no_ptr(source: IpAddr) -> Evidence {
    let mut evidence = Evidence::new(source);
    evidence.insert(Observation {
        question: Question::new(DnsName::reverse(source), RrType::PTR),
        outcome: Outcome::Answer(Answer {
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
    evidence
}

/// Remembers what the path cache was asked.
#[derive(Default)]
struct Watching {
    cache: Mutex<Vec<CacheResult>>,
}

impl Observer for Watching {
    fn opened(&self, _: &str) {}
    fn evidence(&self, _: &Evidence, _: Duration) {}
    fn path_cache(&self, result: CacheResult) {
        self.cache.lock().unwrap().push(result);
    }
    fn bytes(&self, _: Direction, _: u64) {}
    fn lingering(&self, _: bool) {}
    fn accept_failed(&self, _: bool) {}
    fn ended(&self, _: &ConnectionEnd) {}
}

/// An acceptor and what it trusts.
struct Stage {
    ca: CertificateAuthority,
    route: Arc<Route>,
    template: TlsTemplate,
    socket: TcpListener,
    paths: Arc<PathCache>,
    watching: Arc<Watching>,
    deadline: Duration,
}

type Ending = Result<(Authorized, Option<Reason>), Refused>;

impl Stage {
    async fn new(dns: Dns) -> Self {
        Self::with(dns, Mode::Enforce, default_provider()).await
    }

    async fn with(dns: Dns, mode: Mode, provider: CryptoProvider) -> Self {
        let ca = CertificateAuthority::servers().unwrap();
        let draft = PolicyDraft { mode, tlsa: TlsaMode::Ignore, ..PolicyDraft::default() };
        let trust = TrustStore {
            server: Anchors::from_der([ca.root()]).0,
            client: Anchors::none(),
            crls: Crls::none(),
        };
        let policy = PolicyRuntime {
            name: "peers".into(),
            policy: draft.build().unwrap(),
            trust,
            evidence: Arc::new(dns),
            loopback: Loopback::Allow,
        };
        let route = Route {
            name: "all".into(),
            server_names: Vec::new(),
            policy: Some(Arc::new(policy)),
            upstream: UpstreamAddress::Unix("/nowhere".into()),
            send_proxy: false,
        };
        let provider = Arc::new(provider);
        let own = ca.leaf().dns("acceptor.example").issue().unwrap();
        let key = CertifiedKey::from_der(own.chain(), own.key(), &provider).unwrap();
        Self {
            template: TlsTemplate::new(provider, vec![Arc::new(key)], MinVersion::Tls12, Vec::new()),
            ca,
            route: Arc::new(route),
            socket: TcpListener::bind((LOCAL, 0)).await.unwrap(),
            paths: Arc::default(),
            watching: Arc::default(),
            deadline: PATIENCE,
        }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// A certificate for the peer's address (R3).
    fn good(&self) -> Identity {
        self.ca.leaf().ip(LOCAL).issue().unwrap()
    }

    /// Accepts one connection and makes its handshake.
    async fn accept(&self, findings: &mut Findings) -> Ending {
        let (stream, source) = self.socket.accept().await.unwrap();
        let observer: Arc<dyn Observer> = Arc::clone(&self.watching) as _;
        let admitting = Admitting {
            template: &self.template,
            route: Some(&self.route),
            connection: Connection::new(source, self.address().port()),
            deadline: Instant::now() + self.deadline,
            paths: &self.paths,
            observer: &observer,
        };
        let Ok(hello) = read_hello(stream).await else { panic!("no ClientHello") };
        handshake(hello, &admitting, findings).await
    }

    fn client(&self, identity: &Identity, peer: &PeerTls) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.root()).unwrap();
        let provider = CryptoProvider {
            kx_groups: peer.groups.clone(),
            signature_verification_algorithms: peer.algorithms,
            ..default_provider()
        };
        // Whether the two belong together is not asked here.
        let key = provider.key_provider.load_private_key(identity.key()).unwrap();
        let own = SingleCertAndKey::from(CertifiedKey::new(identity.chain(), key));
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[peer.version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(own));
        TlsConnector::from(Arc::new(config))
    }

    /// Connects a peer and gives the flights that it has sent so far as they are sent; reads until the end of the connection.
    async fn peer(&self, identity: &Identity, peer: &PeerTls, flights: Arc<Flights>) -> io::Result<Vec<u8>> {
        let stream = Counting { stream: TcpStream::connect(self.address()).await.unwrap(), flights };
        let name = ServerName::try_from("acceptor.example").unwrap();
        let mut stream = self.client(identity, peer).connect(name, stream).await?;
        let mut octets = Vec::new();
        stream.read_to_end(&mut octets).await?;
        Ok(octets)
    }

    /// Both sides of one handshake; an authorized connection is dropped at once.
    async fn meet(&self, identity: &Identity, peer: &PeerTls) -> (Result<Option<Reason>, Refused>, Findings) {
        let mut findings = Findings::default();
        let accepting = async {
            let ended = self.accept(&mut findings).await;
            ended.map(|(authorized, audited)| {
                drop(authorized);
                audited
            })
        };
        let (ended, _) = tokio::join!(accepting, self.peer(identity, peer, Arc::default()));
        (ended, findings)
    }
}

/// What the peer speaks.
struct PeerTls {
    version: &'static SupportedProtocolVersion,
    groups: Vec<&'static dyn SupportedKxGroup>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// A peer that knows ECDSA on P-256 and nothing else.
static P256_ONLY: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[webpki::aws_lc_rs::ECDSA_P256_SHA256],
    mapping: &[(SignatureScheme::ECDSA_NISTP256_SHA256, &[webpki::aws_lc_rs::ECDSA_P256_SHA256])],
};

impl PeerTls {
    fn of(version: &'static SupportedProtocolVersion) -> Self {
        let provider = default_provider();
        let algorithms = provider.signature_verification_algorithms;
        Self { version, groups: provider.kx_groups, algorithms }
    }

    fn both() -> [Self; 2] {
        [Self::of(&version::TLS13), Self::of(&version::TLS12)]
    }
}

/// Counts what the peer has sent between two reads: its flights.
#[derive(Default)]
struct Flights {
    sent: AtomicUsize,
    more: Notify,
}

impl Flights {
    async fn reach(&self, count: usize) {
        while self.sent.load(Ordering::Acquire) < count {
            self.more.notified().await;
        }
    }
}

struct Counting {
    stream: TcpStream,
    flights: Arc<Flights>,
}

impl AsyncRead for Counting {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    /// The TLS library flushes once behind each flight.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.flights.sent.fetch_add(1, Ordering::AcqRel);
        this.flights.more.notify_one();
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// The evidence is let go only when the peer's last flight, its certificate included, has been sent: whoever decides before, decides
/// without evidence and refuses.
async fn waits_for_evidence(stage: &Stage, told: &Notify, peer: &PeerTls, flights: usize) -> Findings {
    let (identity, sent, mut findings) = (stage.good(), Arc::<Flights>::default(), Findings::default());
    let accepting = async { stage.accept(&mut findings).await.map(drop) };
    let release = async {
        sent.reach(flights).await;
        // Time for a gate that does not hold to show it: nothing is waited for.
        tokio::time::sleep(Duration::from_millis(50)).await;
        told.notify_one();
    };
    let meeting = async { tokio::join!(accepting, release, stage.peer(&identity, peer, Arc::clone(&sent))) };
    let met = tokio::time::timeout(PATIENCE, meeting).await;
    let (ended, (), _) = met.expect("the peer's last flight is never sent");
    assert!(ended.is_ok(), "{:?}", ended.err().map(|refused| refused.reason));
    findings
}

#[tokio::test]
async fn the_decision_waits_for_the_evidence_behind_the_gate() {
    let told = Arc::new(Notify::new());
    let stage = Stage::new(Dns::When(Arc::clone(&told))).await;
    for peer in PeerTls::both() {
        let findings = waits_for_evidence(&stage, &told, &peer, 2).await;
        assert!(findings.decided.unwrap().evidence.is_some());
        assert!(findings.evidence.is_some());
    }
}

#[tokio::test]
async fn a_hello_retry_request_does_not_close_the_gate_and_the_second_hello_passes() {
    let told = Arc::new(Notify::new());
    let provider = CryptoProvider { kx_groups: vec![kx_group::SECP256R1], ..default_provider() };
    let stage = Stage::with(Dns::When(Arc::clone(&told)), Mode::Enforce, provider).await;
    let groups = vec![kx_group::X25519, kx_group::SECP256R1];
    let peer = PeerTls { groups, ..PeerTls::of(&version::TLS13) };
    // ClientHello, second ClientHello, certificate: if the gate closed at the retry request, the third flight would never be sent.
    let findings = waits_for_evidence(&stage, &told, &peer, 3).await;
    assert_eq!(findings.tls.group, Some("secp256r1"));
}

#[tokio::test]
async fn post_quantum_key_exchange_comes_first_and_is_told() {
    let stage = Stage::new(Dns::Ready).await;
    let (ended, findings) = stage.meet(&stage.good(), &PeerTls::of(&version::TLS13)).await;
    assert!(matches!(ended, Ok(None)));
    assert_eq!((findings.tls.version, findings.tls.group), (Some("TLSv1.3"), Some("X25519MLKEM768")));
    let (_, findings) = stage.meet(&stage.good(), &PeerTls::of(&version::TLS12)).await;
    assert_eq!(findings.tls.version, Some("TLSv1.2"));
}

#[tokio::test]
async fn the_certificate_shown_is_one_for_the_name_that_the_peer_can_check() {
    let stage = Stage::new(Dns::Ready).await;
    let key = |name: &str, kind| {
        let own = stage.ca.leaf().key(kind).dns(name).issue().unwrap();
        Arc::new(CertifiedKey::from_der(own.chain(), own.key(), &default_provider()).unwrap())
    };
    let certificates = [
        key("other.example", KeyKind::P256),
        key("acceptor.example", KeyKind::Ed25519),
        key("acceptor.example", KeyKind::P256),
    ];
    let provider = Arc::new(default_provider());
    let template = TlsTemplate::new(provider, certificates.to_vec(), MinVersion::Tls12, Vec::new());
    let stage = Stage { template, ..stage };
    let all = default_provider().signature_verification_algorithms;
    for (algorithms, shown) in [(all, 1), (P256_ONLY, 2)] {
        let peer = PeerTls { algorithms, ..PeerTls::of(&version::TLS13) };
        let connecting = async {
            let stream = TcpStream::connect(stage.address()).await.unwrap();
            let name = ServerName::try_from("acceptor.example").unwrap();
            let stream = stage.client(&stage.good(), &peer).connect(name, stream).await.unwrap();
            stream.get_ref().1.peer_certificates().unwrap().to_vec()
        };
        let mut findings = Findings::default();
        let accepting = async { stage.accept(&mut findings).await.map(drop) };
        let (ended, seen) = tokio::join!(accepting, connecting);
        assert!(ended.is_ok());
        assert_eq!(seen, certificates[shown].cert);
    }
}

#[tokio::test]
async fn without_evidence_of_this_address_the_peer_is_refused() {
    for dns in [Dns::Panics, Dns::OfAnother] {
        let stage = Stage::new(dns).await;
        for peer in PeerTls::both() {
            let (ended, findings) = stage.meet(&stage.good(), &peer).await;
            let refused = ended.err().unwrap();
            assert_eq!(refused.reason, Reason::EvidenceMissing);
            assert_eq!(refused.alert, Some(AlertDescription::CertificateUnknown));
            assert!(refused.stream.is_some(), "nothing is left to linger on");
            // What was agreed on is told of a handshake that failed, too.
            assert!(findings.tls.version.is_some());
        }
    }
}

#[tokio::test]
async fn evidence_that_never_comes_ends_at_the_deadline() {
    let mut stage = Stage::new(Dns::When(Arc::default())).await;
    stage.deadline = Duration::from_millis(300);
    let (ended, _) = stage.meet(&stage.good(), &PeerTls::of(&version::TLS13)).await;
    let refused = ended.err().unwrap();
    assert_eq!((refused.reason, refused.alert), (Reason::HandshakeTimeout, None));
}

#[tokio::test]
async fn a_signature_by_another_key_is_refused_even_under_audit() {
    for mode in [Mode::Enforce, Mode::Audit] {
        let stage = Stage::with(Dns::Ready, mode, default_provider()).await;
        // The certificate of one, the key of another.
        let stolen = stage.good().with_leaf(stage.good().leaf());
        for peer in PeerTls::both() {
            let (ended, findings) = stage.meet(&stolen, &peer).await;
            let refused = ended.err().unwrap();
            assert_eq!(refused.reason, Reason::BadSignature);
            assert_eq!(refused.alert, Some(AlertDescription::DecryptError));
            assert!(findings.verdict.unwrap().is_accepted(), "the certificate itself is good");
        }
    }
}

#[tokio::test]
async fn audit_lets_a_refused_peer_pass_with_the_reason_and_without_identity() {
    let stage = Stage::with(Dns::Ready, Mode::Audit, default_provider()).await;
    let wrong = stage.ca.leaf().ip(IpAddr::from([192, 0, 2, 1])).issue().unwrap();
    // More names than are read here; webpki reads them.
    let many = (0..=MAX_NAMES).fold(stage.ca.leaf(), |leaf, name| leaf.dns(&format!("n{name}.example")));
    let unreadable = many.issue().unwrap();
    for peer in PeerTls::both() {
        let (ended, _) = stage.meet(&wrong, &peer).await;
        assert!(matches!(ended, Ok(Some(Reason::AddressMismatch))));
        let (ended, _) = stage.meet(&unreadable, &peer).await;
        assert!(matches!(ended, Ok(Some(Reason::CertificateUnreadable))));
    }
    let (ended, _) =
        stage.meet(&stage.good().with_leaf(unreadable.leaf()), &PeerTls::of(&version::TLS13)).await;
    assert_eq!(ended.err().unwrap().reason, Reason::BadSignature);
}

#[tokio::test]
async fn a_path_is_validated_once_and_not_at_all_for_who_is_refused_before() {
    let stage = Stage::new(Dns::Ready).await;
    let good = stage.good();
    for _ in 0..2 {
        assert!(stage.meet(&good, &PeerTls::of(&version::TLS13)).await.0.is_ok());
    }
    assert_eq!(*stage.watching.cache.lock().unwrap(), [CacheResult::Miss, CacheResult::Hit]);
    let stage = Stage::new(Dns::OfAnother).await;
    assert!(stage.meet(&stage.good(), &PeerTls::of(&version::TLS13)).await.0.is_err());
    assert_eq!(*stage.watching.cache.lock().unwrap(), []);
}

#[tokio::test]
async fn no_names_of_anchors_are_sent_and_a_certificate_is_demanded() {
    use rustls::client::ResolvesClientCert;

    #[derive(Debug, Default)]
    struct Asked(Mutex<Option<usize>>);

    impl ResolvesClientCert for Asked {
        fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            *self.0.lock().unwrap() = Some(hints.len());
            None
        }

        fn has_certs(&self) -> bool {
            true
        }
    }

    let stage = Stage::new(Dns::Ready).await;
    for version in [&version::TLS13, &version::TLS12] {
        let asked = Arc::new(Asked::default());
        let mut roots = RootCertStore::empty();
        roots.add(stage.ca.root()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::clone(&asked) as _);
        let peer = async {
            let stream = TcpStream::connect(stage.address()).await.unwrap();
            let name = ServerName::try_from("acceptor.example").unwrap();
            let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
            stream.read_u8().await
        };
        let mut findings = Findings::default();
        let accepting = async { stage.accept(&mut findings).await.map(drop) };
        let (ended, seen) = tokio::join!(accepting, peer);
        assert_eq!(ended.err().unwrap().reason, Reason::NoCertificate);
        assert_eq!(*asked.0.lock().unwrap(), Some(0));
        let error = seen.unwrap_err();
        let alert = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        assert_eq!(alert, Some(&rustls::Error::AlertReceived(AlertDescription::CertificateRequired)));
    }
}
