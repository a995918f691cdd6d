//! What happens to connections, told to whoever counts and logs it.
//!
//! Promises: every accepted connection gives exactly one [`Observer::opened`] and exactly one [`Observer::ended`], whatever becomes
//! of it, a panic or the end of the process's runtime included. Texts in a [`ConnectionEnd`] may be peer-controlled and are raw:
//! who writes them escapes them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use revouch_validator::chain::Chain;
use revouch_validator::evidence::{AnswerSource, Evidence};
use revouch_validator::policy::Mode;
use revouch_validator::reason::Reason;
use revouch_validator::timestamp::Timestamp;
use revouch_validator::verdict::Verdict;
use rustls::AlertDescription;

pub use crate::metrics::{CacheResult, Direction};
use crate::runtime::Route;

/// Is told what happens. Every method is called on a thread of the runtime and must not block.
pub trait Observer: Send + Sync {
    /// A connection was accepted by a listening socket.
    fn opened(&self, listener: &str);

    /// The evidence of a connection stands, `after` its gathering began.
    fn evidence(&self, evidence: &Evidence, after: Duration);

    /// The cache of path verdicts was asked.
    fn path_cache(&self, result: CacheResult);

    /// Bytes were relayed, TLS not counted.
    fn bytes(&self, direction: Direction, bytes: u64);

    /// How many refused connections linger so that the peer can read its alert: one more, or one less.
    fn lingering(&self, more: bool);

    /// A connection could not be accepted; `fd_exhausted` if for want of file descriptors.
    fn accept_failed(&self, fd_exhausted: bool);

    /// A connection is over.
    fn ended(&self, end: &ConnectionEnd);
}

/// Everything that is known of a connection when it is over.
#[derive(Clone, Debug)]
pub struct ConnectionEnd {
    /// The listener's name.
    pub listener: Arc<str>,
    /// The number of the configuration under which it was accepted.
    pub generation: u64,
    /// Where the peer came from, canonical.
    pub source: SocketAddr,
    /// Where it came to, canonical.
    pub local: SocketAddr,
    /// When it was accepted.
    pub started: SystemTime,
    /// When it was over.
    pub ended: SystemTime,
    /// How long it lasted.
    pub lasted: Duration,
    /// The server name of the ClientHello. Peer-controlled.
    pub server_name: Option<String>,
    /// The application protocol that was agreed on.
    pub alpn: Option<Vec<u8>>,
    /// The name of the route that it took.
    pub route: Option<Arc<str>>,
    /// The name of the policy that it was judged by.
    pub policy: Option<Arc<str>>,
    /// What came of the handshake.
    pub outcome: Outcome,
    /// The decision, if one was made. Unless the outcome is `Accepted` or `Audited`, the peer has not proven that it holds the
    /// certificate's key, so that what stands here is a claim. Of who was accepted only the outcome is kept, without the checks.
    pub verdict: Option<Arc<Verdict>>,
    /// What the decision was made from, for a record that can be replayed; a replay tells the advice (R7) too, which the verdict leaves out. Not kept
    /// for who was accepted: a connection may live for months, and would hold a whole configuration and all that the peer sent.
    pub decided: Option<Decided>,
    /// The mode of the policy, where a decision was made.
    pub mode: Option<Mode>,
    /// Whether a DNS server had to be asked for the evidence, where there was any.
    pub asked_upstream: Option<bool>,
    /// How long the handshake took, until it succeeded or failed.
    pub handshake: Duration,
    /// How long the gathering of the evidence took; absent where none was made, or it was not over.
    pub evidence: Option<Duration>,
    /// What TLS was agreed on, as far as the handshake came.
    pub tls: TlsFacts,
    /// The alert that was sent to the peer, where it is known.
    pub alert: Option<AlertDescription>,
    /// The alert that the peer sent.
    pub peer_alert: Option<AlertDescription>,
    /// More about a failure, in words. May hold peer-controlled text.
    pub detail: Option<String>,
    /// Where it was, or would have been, relayed to.
    pub upstream: Option<String>,
    /// Bytes from the peer to the upstream.
    pub bytes_in: u64,
    /// Bytes from the upstream to the peer.
    pub bytes_out: u64,
    /// How it ended.
    pub close: Close,
}

/// What a decision was made from, besides policy and trust, which the route has.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The certificates that the peer sent.
    pub chain: Chain,
    /// What the DNS said; `None` if that was not there yet.
    pub evidence: Option<Arc<Evidence>>,
    /// The time that the decision went by.
    pub now: Timestamp,
    /// The route, and with it policy and trust.
    pub route: RouteHandle,
}

impl Decided {
    /// The mode of the policy.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        self.route.0.policy.as_ref().map(|policy| policy.policy.mode)
    }

    /// As [`asked_upstream`], of the evidence, if there was any.
    #[must_use]
    pub fn asked_upstream(&self) -> Option<bool> {
        self.evidence.as_deref().map(asked_upstream)
    }
}

/// Whether anything had to be waited for from an upstream: asked for this evidence, or for another with which it waited.
#[must_use]
pub fn asked_upstream(evidence: &Evidence) -> bool {
    evidence.iter().any(|o| matches!(o.source, AnswerSource::Upstream | AnswerSource::Joined))
}

/// A route that prints as its name.
#[derive(Clone)]
pub struct RouteHandle(pub Arc<Route>);

impl std::fmt::Debug for RouteHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.name.fmt(f)
    }
}

/// What came of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The verdict accepted, and the peer has proven its key.
    Accepted,
    /// The verdict refused for this reason, `mode: Audit` let the peer in, and it has proven its key.
    Audited(Reason),
    /// The peer was not let in.
    Refused(Reason),
    /// The process ended before it was known.
    Unfinished,
}

/// What TLS was agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: Option<&'static str>,
    /// The key exchange group, as IANA lists it: `X25519MLKEM768`.
    pub group: Option<&'static str>,
    /// The cipher suite, as rustls names it: `TLS13_AES_128_GCM_SHA256`.
    pub cipher: Option<&'static str>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The peer was not let in; the outcome says why.
    Refused,
    /// Both sides have said all that they had to say.
    Finished,
    /// The peer broke off: a reset, or an end without `close_notify`.
    PeerAborted,
    /// The peer broke the rules of TLS after the handshake.
    PeerProtocol,
    /// The upstream broke off.
    UpstreamAborted,
    /// The upstream could not be reached, or did not take the PROXY header.
    UpstreamUnreachable,
    /// The upstream was not connected in time.
    UpstreamTimeout,
    /// The upstream is on the loopback interface and the policy forbids that (C3.2d).
    UpstreamForbidden,
    /// Nothing was sent in either direction for too long.
    Idle,
    /// The process was told to end and the time for that was over.
    Drained,
    /// The task of the connection was given up: a bug, or the end of the process.
    Lost,
}

impl Close {
    /// Every way to end.
    pub const ALL: &[Self] = &[
        Self::Refused,
        Self::Finished,
        Self::PeerAborted,
        Self::PeerProtocol,
        Self::UpstreamAborted,
        Self::UpstreamUnreachable,
        Self::UpstreamTimeout,
        Self::UpstreamForbidden,
        Self::Idle,
        Self::Drained,
        Self::Lost,
    ];

    /// The word as it stands in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Finished => "finished",
            Self::PeerAborted => "peer_aborted",
            Self::PeerProtocol => "peer_protocol",
            Self::UpstreamAborted => "upstream_aborted",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamForbidden => "upstream_forbidden",
            Self::Idle => "idle",
            Self::Drained => "drained",
            Self::Lost => "lost",
        }
    }

    /// Whether the peer was admitted and its upstream is what failed.
    #[must_use]
    pub const fn is_upstream_failure(self) -> bool {
        matches!(self, Self::UpstreamUnreachable | Self::UpstreamTimeout | Self::UpstreamForbidden)
    }
}
