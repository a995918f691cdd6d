//! The way of one inbound connection: admission, ClientHello, route, evidence and handshake, upstream, relay, end.
//!
//! Promises: one deadline from the accepted connection to the end of the handshake, and an earlier one to the end of the ClientHello;
//! nothing is sent to an upstream before the peer is authorized; while an accepted peer is relayed, nothing of its configuration and
//! nothing of what was decided is held but its outcome; exactly one [`ConnectionEnd`] for each, even if the task is dropped or panics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use revouch_validator::connection::Connection;
use revouch_validator::name::DnsName;
use revouch_validator::reason::Reason;
use revouch_validator::verdict::ForwardedIdentity;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::admission::{ConnectionPermit, HandshakePermit, Limit, ListenerPermits};
use crate::events::{Close, ConnectionEnd, Decided, Observer, Outcome, TlsFacts};
use crate::listener::Shared;
use crate::proxy_protocol::Header;
use crate::relay::{Moved, Relayed, relay};
use crate::runtime::{ListenerRuntime, Loopback, Route};
use crate::tls::{Admitting, Authorized, Findings, Refused, handshake, linger, read_hello};
use crate::upstream::{Untold, Upstream};

/// A connection that was accepted by a socket.
pub(crate) struct Arrival {
    pub(crate) stream: TcpStream,
    pub(crate) source: SocketAddr,
    pub(crate) listener: Arc<ListenerRuntime>,
}

/// A connection that was admitted: nothing was read from it yet.
pub(crate) struct Admitted {
    stream: TcpStream,
    listener: Arc<ListenerRuntime>,
    places: Places,
    report: Report,
}

/// What an admitted connection holds.
struct Places {
    connection: ConnectionPermit,
    of_listener: ListenerPermits,
}

/// Tells of the end when it is dropped.
struct Report {
    end: ConnectionEnd,
    moved: Arc<Moved>,
    started: Instant,
    observer: Arc<dyn Observer>,
}

impl Report {
    /// An accepted peer's line needs to know who it is. How that was found out is told of who was refused or audited.
    fn forget_what_was_decided(&mut self) {
        if self.end.outcome == Outcome::Accepted {
            self.end.decided = None;
            self.end.verdict = self.end.verdict.take().map(|verdict| Arc::new(verdict.without_checks()));
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.end.ended = SystemTime::now();
        self.end.lasted = self.started.elapsed();
        (self.end.bytes_in, self.end.bytes_out) = (self.moved.inbound(), self.moved.outbound());
        self.observer.ended(&self.end);
    }
}

/// Takes the connection's places, in the order of arrival. `None`: there was none; the connection is closed and has been told of.
pub(crate) fn admit(arrival: Arrival, shared: &Shared) -> Option<Admitted> {
    let Arrival { stream, source, listener } = arrival;
    shared.observer.opened(&listener.name);
    let mut report = report(&stream, source, &listener, shared);
    let places = shared.connections.admit().and_then(|connection| {
        let of_listener = shared.listeners.admit(&listener, source.ip())?;
        Ok(Places { connection, of_listener })
    });
    match places {
        Ok(places) => Some(Admitted { stream, listener, places, report }),
        Err(limit) => {
            report.end.outcome = Outcome::Refused(limit.reason());
            report.end.detail = Some(limit.detail().to_owned());
            None
        }
    }
}

/// Serves an admitted connection to its end.
pub(crate) async fn serve(admitted: Admitted, shared: Arc<Shared>) {
    let Admitted { stream, listener, places, mut report } = admitted;
    let served = Box::pin(authorize_and_relay(stream, places, listener, &shared, &mut report));
    let cut = shared.cut.run_until_cancelled(served).await.is_none();
    // Who was refused and only lingered is not cut.
    if cut && !matches!(report.end.outcome, Outcome::Refused(_)) {
        report.end.close = Close::Drained;
    }
}

fn report(stream: &TcpStream, source: SocketAddr, listener: &ListenerRuntime, shared: &Shared) -> Report {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let now = SystemTime::now();
    let end = ConnectionEnd {
        listener: Arc::clone(&listener.name),
        generation: listener.generation,
        source: canonical(source),
        local: stream.local_addr().map_or(SocketAddr::from(([0, 0, 0, 0], 0)), canonical),
        started: now,
        ended: now,
        lasted: std::time::Duration::ZERO,
        server_name: None,
        alpn: None,
        route: None,
        policy: None,
        outcome: Outcome::Unfinished,
        verdict: None,
        decided: None,
        mode: None,
        asked_upstream: None,
        handshake: std::time::Duration::ZERO,
        evidence: None,
        tls: TlsFacts::default(),
        alert: None,
        peer_alert: None,
        detail: None,
        upstream: None,
        bytes_in: 0,
        bytes_out: 0,
        close: Close::Refused,
    };
    Report { end, moved: Arc::default(), started: Instant::now(), observer: Arc::clone(&shared.observer) }
}

/// TLS, then the relay.
async fn authorize_and_relay(
    stream: TcpStream,
    places: Places,
    listener: Arc<ListenerRuntime>,
    shared: &Shared,
    report: &mut Report,
) {
    let Places { connection, of_listener: ListenerPermits { connection: of_source, mut handshake } } = places;
    // In memory of its own, and the relay too: a connection that lasts does not keep what its handshake took.
    let outcome = Box::pin(authorize(stream, &mut handshake, &listener, shared, report)).await;
    report.end.handshake = report.started.elapsed();
    drop(handshake);
    match outcome {
        Ok((authorized, audited, route)) => {
            report.end.outcome = audited.map_or(Outcome::Accepted, Outcome::Audited);
            report.end.close = Close::Lost;
            report.forget_what_was_decided();
            let idle = listener.deadlines.idle;
            let reached = Box::pin(reach(authorized.identity().cloned(), &route, &listener, report)).await;
            // The configuration may be replaced long before the connection ends: from here on nothing of it is held.
            drop((route, listener));
            let Relayed { close, detail, linger } = match reached {
                Ok(upstream) => {
                    Box::pin(relay(authorized, upstream, idle, &report.moved, &*shared.observer)).await
                }
                Err(close) => Relayed { close, detail: None, linger: None },
            };
            report.end.close = close;
            report.end.detail = detail.or_else(|| report.end.detail.take());
            if let Some(stream) = linger {
                linger_on(stream, shared).await;
            }
        }
        Err(refused) => {
            report.end.outcome = Outcome::Refused(refused.reason);
            (report.end.alert, report.end.peer_alert) = (refused.alert, refused.peer_alert);
            report.end.detail = refused.detail;
            // Nobody whom the listener could serve has to wait for who only reads an alert.
            drop((connection, of_source));
            let place = shared.lingering.admit(report.end.source.ip());
            if let (Some(stream), Some(_place)) = (refused.stream, place) {
                linger_on(stream, shared).await;
            }
        }
    }
}

async fn linger_on(stream: TcpStream, shared: &Shared) {
    shared.observer.lingering(true);
    let _less = Less(&shared.observer);
    linger(stream).await;
}

/// One lingering connection less, whatever ends it.
struct Less<'a>(&'a Arc<dyn Observer>);

impl Drop for Less<'_> {
    fn drop(&mut self) {
        self.0.lingering(false);
    }
}

/// The ClientHello, the route, the handshake.
async fn authorize(
    stream: TcpStream,
    in_flight: &mut HandshakePermit,
    listener: &ListenerRuntime,
    shared: &Shared,
    report: &mut Report,
) -> Result<(Authorized, Option<Reason>, Arc<Route>), Refused> {
    let deadline = report.started + listener.deadlines.handshake;
    let failed = |reason, detail, stream| Refused { reason, alert: None, peer_alert: None, detail, stream };
    let gave_way = |limit: Limit| failed(limit.reason(), Some(limit.detail().to_owned()), None);
    let hello_deadline = report.started + listener.deadlines.hello.min(listener.deadlines.handshake);
    let hello = tokio::select! {
        limit = in_flight.given_away() => return Err(gave_way(limit)),
        read = timeout_at(hello_deadline, read_hello(stream)) => match read {
            Err(_) => return Err(failed(Reason::HandshakeTimeout, Some("no ClientHello".to_owned()), None)),
            Ok(Err(error)) => return Err(failed(Reason::HandshakeFailed, Some(error.to_string()), None)),
            Ok(Ok(hello)) => hello,
        },
    };
    in_flight.keep().map_err(gave_way)?;
    report.end.server_name = hello.server_name();
    let server_name = report.end.server_name.as_deref().and_then(|name| name.parse::<DnsName>().ok());
    let route = listener.route(server_name.as_ref()).cloned();
    report.end.route = route.as_ref().map(|route| Arc::clone(&route.name));
    report.end.policy =
        route.as_ref().and_then(|route| route.policy.as_ref()).map(|policy| Arc::clone(&policy.name));
    report.end.upstream = route.as_ref().map(|route| route.upstream.to_string());
    let admitting = Admitting {
        template: &listener.tls,
        route: route.as_ref(),
        connection: Connection::new(report.end.source, report.end.local.port()),
        deadline,
        paths: &shared.paths,
        observer: &shared.observer,
    };
    let mut findings = Findings::default();
    let outcome = handshake(hello, &admitting, &mut findings).await;
    let Findings { verdict, decided, evidence, tls, alpn } = findings;
    report.end.mode = decided.as_ref().and_then(Decided::mode);
    report.end.asked_upstream = decided.as_ref().and_then(Decided::asked_upstream);
    (report.end.verdict, report.end.decided, report.end.evidence) = (verdict, decided, evidence);
    (report.end.tls, report.end.alpn) = (tls, alpn);
    match (outcome, route) {
        (Ok((authorized, audited)), Some(route)) => Ok((authorized, audited, route)),
        (Err(refused), _) => Err(refused),
        // `handshake` authorizes nobody without a route.
        (Ok(_), None) => Err(failed(Reason::NoRoute, None, None)),
    }
}

/// Connects to the upstream, in time, and says why where it cannot.
async fn reach(
    identity: Option<ForwardedIdentity>,
    route: &Route,
    listener: &ListenerRuntime,
    report: &mut Report,
) -> Result<Untold, Close> {
    let forbidden = route.policy.as_ref().is_some_and(|policy| policy.loopback == Loopback::Forbid);
    if forbidden && route.upstream.is_loopback() {
        return Err(Close::UpstreamForbidden);
    }
    match timeout(listener.deadlines.connect, connect(identity, route, report)).await {
        Err(_) => Err(Close::UpstreamTimeout),
        Ok(Err(error)) => {
            report.end.detail = Some(error.to_string());
            Err(Close::UpstreamUnreachable)
        }
        Ok(Ok(upstream)) => Ok(upstream),
    }
}

async fn connect(
    identity: Option<ForwardedIdentity>,
    route: &Route,
    report: &Report,
) -> std::io::Result<Untold> {
    let mut upstream = Untold::from(Upstream::connect(&route.upstream).await?);
    if route.send_proxy {
        let header = Header {
            source: report.end.source,
            destination: report.end.local,
            alpn: report.end.alpn.as_deref(),
            server_name: report.end.server_name.as_deref(),
            tls_version: report.end.tls.version,
            identity: identity.as_ref(),
        };
        upstream.write_all(&header.encode()).await?;
    }
    Ok(upstream)
}

#[cfg(test)]
mod tests;
