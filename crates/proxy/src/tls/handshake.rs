//! One handshake, from the ClientHello to an [`Authorized`] connection or a refusal.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use revouch_validator::connection::Connection;
use revouch_validator::policy::Mode;
use revouch_validator::reason::Reason;
use revouch_validator::verdict::{ForwardedIdentity, Verdict};
use rustls::{AlertDescription, Error, HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::gate::Gate;
use super::hello::Hello;
use super::stream::PeerStream;
use super::verifier::{PeerVerifier, Slot};
use super::{PathCache, TlsTemplate};
use crate::events::{Decided, Observer, RouteHandle, TlsFacts};
use crate::runtime::{EvidenceRequest, PolicyRuntime, Route};

type Evidence = Pin<Box<dyn Future<Output = ()> + Send>>;
type Stream = TlsStream<Gate<TcpStream, Evidence>>;

/// A connection whose peer may be relayed: its verdict accepted it or Audit let it through, and it has proven its key.
///
/// Made at the end of a handshake alone; the relay takes it by value.
pub struct Authorized {
    stream: Stream,
    identity: Option<ForwardedIdentity>,
}

impl Authorized {
    /// What the upstream is told of the peer (R4); `None` where nothing is.
    #[must_use]
    pub fn identity(&self) -> Option<&ForwardedIdentity> {
        self.identity.as_ref()
    }

    /// The connection, for the relay. At most `write_buffer` octets are held for a peer that does not take them.
    pub(crate) fn into_stream(self, write_buffer: usize) -> PeerStream {
        let (gate, mut tls) = self.stream.into_inner();
        tls.set_buffer_limit(Some(write_buffer));
        PeerStream::new(gate.into_inner(), tls)
    }
}

/// What a handshake is made with.
pub(crate) struct Admitting<'a> {
    pub(crate) template: &'a TlsTemplate,
    pub(crate) route: Option<&'a Arc<Route>>,
    pub(crate) connection: Connection,
    pub(crate) deadline: Instant,
    pub(crate) paths: &'a Arc<PathCache>,
    pub(crate) observer: &'a Arc<dyn Observer>,
}

/// What came of a handshake besides success or failure.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) verdict: Option<Arc<Verdict>>,
    pub(crate) decided: Option<Decided>,
    pub(crate) evidence: Option<Duration>,
    pub(crate) tls: TlsFacts,
    pub(crate) alpn: Option<Vec<u8>>,
}

/// A peer that is not let in. The alert has been written.
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    pub(crate) alert: Option<AlertDescription>,
    pub(crate) peer_alert: Option<AlertDescription>,
    pub(crate) detail: Option<String>,
    /// The connection, to linger on; absent where there is nothing left to say.
    pub(crate) stream: Option<TcpStream>,
}

/// Makes the handshake. The second value is a reason that Audit passed over.
pub(crate) async fn handshake(
    hello: Hello<TcpStream>,
    admitting: &Admitting<'_>,
    findings: &mut Findings,
) -> Result<(Authorized, Option<Reason>), Refused> {
    let policy = match admitting.route {
        None => return Err(turn_away(hello, admitting, Reason::NoRoute).await),
        Some(route) => match &route.policy {
            None => return Err(turn_away(hello, admitting, Reason::NoPolicy).await),
            Some(policy) => policy,
        },
    };
    let slot = Arc::new(Slot::default());
    let evidence = evidence(policy, admitting, &slot);
    let verifier = PeerVerifier {
        policy: Arc::clone(policy),
        connection: admitting.connection,
        slot: Arc::clone(&slot),
        paths: Arc::clone(admitting.paths),
        observer: Arc::clone(admitting.observer),
        algorithms: admitting.template.provider().signature_verification_algorithms,
    };
    let config = match admitting.template.config(Arc::new(verifier)) {
        Ok(config) => config,
        Err(error) => return Err(broken(&error, hello.io)),
    };
    let gate = Gate::new(hello.io, evidence);
    // What is agreed on is known now, unless the peer has to send another ClientHello; of a handshake that fails, nothing is left.
    let note_tls = |connection: &mut ServerConnection| findings.tls = tls_facts(connection);
    let accept =
        StartHandshake::from_parts(hello.accepted, gate).into_stream_with(Arc::new(config), note_tls);
    let outcome = tokio::time::timeout_at(admitting.deadline, accept.into_fallible()).await;
    note(findings, &slot, admitting);
    match outcome {
        Err(_) => Err(Refused {
            reason: Reason::HandshakeTimeout,
            alert: None,
            peer_alert: None,
            detail: None,
            stream: None,
        }),
        Ok(Err((error, gate))) => Err(refused(&error, gate, &slot)),
        Ok(Ok(stream)) => authorize(stream, policy, &slot, findings),
    }
}

/// Puts the evidence into the slot: at once if it is known, else when it has been gathered, for which there is something to wait for.
fn evidence(policy: &Arc<PolicyRuntime>, admitting: &Admitting<'_>, slot: &Arc<Slot>) -> Evidence {
    if let Some(known) = policy.evidence.known(&admitting.connection) {
        admitting.observer.evidence(&known, Duration::ZERO);
        slot.fill(known, Duration::ZERO);
        return Box::pin(std::future::ready(()));
    }
    let gathering = gather(policy, admitting, slot);
    // A task that panicked leaves the slot empty, which refuses.
    Box::pin(async move { drop(gathering.await) })
}

/// Starts to gather at once, and puts the evidence into the slot.
fn gather(policy: &Arc<PolicyRuntime>, admitting: &Admitting<'_>, slot: &Arc<Slot>) -> AbortOnDropHandle<()> {
    // The policy's `dns.deadline` is kept by who gathers, so that each question is told by itself what it missed.
    let request = EvidenceRequest {
        policy: Arc::clone(policy),
        connection: admitting.connection,
        deadline: admitting.deadline,
    };
    let gathering = policy.evidence.gather(request);
    let (slot, observer) = (Arc::clone(slot), Arc::clone(admitting.observer));
    AbortOnDropHandle::new(tokio::spawn(async move {
        let started = Instant::now();
        let evidence = gathering.await;
        let took = started.elapsed();
        observer.evidence(&evidence, took);
        slot.fill(evidence, took);
    }))
}

/// Answers with access_denied (49).
async fn turn_away(hello: Hello<TcpStream>, admitting: &Admitting<'_>, reason: Reason) -> Refused {
    let config = match admitting.template.refusing() {
        Ok(config) => Arc::<ServerConfig>::new(config),
        Err(error) => return Refused { reason, ..broken(&error, hello.io) },
    };
    let accept = StartHandshake::from_parts(hello.accepted, hello.io).into_stream(config).into_fallible();
    let stream = match tokio::time::timeout_at(admitting.deadline, accept).await {
        Ok(Err((_, stream))) => Some(stream),
        Ok(Ok(_)) | Err(_) => None,
    };
    let alert = stream.is_some().then_some(AlertDescription::AccessDenied);
    Refused { reason, alert, peer_alert: None, detail: None, stream }
}

fn broken(error: &Error, stream: TcpStream) -> Refused {
    let detail = Some(format!("own TLS settings: {error}"));
    Refused { reason: Reason::HandshakeFailed, alert: None, peer_alert: None, detail, stream: Some(stream) }
}

/// Why a handshake failed: the decision's reason, if it came that far and refused.
fn refused(error: &io::Error, gate: Gate<TcpStream, Evidence>, slot: &Slot) -> Refused {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let decided = slot.decision.get().and_then(|decision| decision.verdict.reason());
    let peer_alert = match tls {
        Some(Error::AlertReceived(alert)) => Some(*alert),
        _ => None,
    };
    let reason = if slot.signature.get() == Some(&false) {
        Reason::BadSignature
    } else if matches!(tls, Some(Error::NoCertificatesPresented)) {
        Reason::NoCertificate
    } else if matches!(tls, Some(Error::InvalidCertificate(_))) {
        decided.unwrap_or(Reason::HandshakeFailed)
    } else {
        Reason::HandshakeFailed
    };
    let alert = match reason.alert() {
        Some(alert) => Some(AlertDescription::from(alert.number())),
        None => gate.alert(),
    };
    Refused { reason, alert, peer_alert, detail: Some(error.to_string()), stream: Some(gate.into_inner()) }
}

/// The one place where an [`Authorized`] is made.
fn authorize(
    mut stream: Stream,
    policy: &PolicyRuntime,
    slot: &Slot,
    findings: &mut Findings,
) -> Result<(Authorized, Option<Reason>), Refused> {
    let (gate, connection) = stream.get_mut();
    gate.handshake_is_over();
    findings.tls = tls_facts(connection);
    findings.alpn = connection.alpn_protocol().map(<[u8]>::to_vec);
    let not_resumed = connection.handshake_kind().is_some_and(|kind| kind != HandshakeKind::Resumed);
    let proven = slot.signature.get() == Some(&true);
    // The TLS library has asked the verifier for all of this; nobody is let in because it forgot to.
    match slot.decision.get() {
        Some(decision) if not_resumed && proven && may_enter(&decision.verdict, policy) => {
            let identity = decision.verdict.forwarded_identity(&policy.policy);
            Ok((Authorized { stream, identity }, decision.verdict.reason()))
        }
        _ => Err(Refused {
            reason: Reason::HandshakeFailed,
            alert: None,
            peer_alert: None,
            detail: Some("the handshake ended without proof and decision".to_owned()),
            stream: None,
        }),
    }
}

/// Whether the verdict lets the peer in: it accepts, or Audit passes over its refusal.
fn may_enter(verdict: &Verdict, policy: &PolicyRuntime) -> bool {
    verdict.is_accepted() || policy.policy.mode == Mode::Audit
}

fn tls_facts(connection: &ServerConnection) -> TlsFacts {
    TlsFacts {
        version: connection.protocol_version().and_then(version_word),
        group: connection.negotiated_key_exchange_group().and_then(|group| group.name().as_str()),
        cipher: connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()),
    }
}

/// The version as OpenSSL writes it, which is what upstreams expect in a PROXY header.
fn version_word(version: ProtocolVersion) -> Option<&'static str> {
    match version {
        ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
        ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
        _ => None,
    }
}

/// What the slot holds, for the log.
fn note(findings: &mut Findings, slot: &Slot, admitting: &Admitting<'_>) {
    findings.evidence = slot.took.get().copied();
    let Some(decision) = slot.decision.get() else { return };
    findings.verdict = Some(Arc::clone(&decision.verdict));
    findings.decided = decision.chain.clone().zip(admitting.route).map(|(chain, route)| Decided {
        chain,
        evidence: decision.evidence.clone(),
        now: decision.now,
        route: RouteHandle(Arc::clone(route)),
    });
}
