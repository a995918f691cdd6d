//! One group of DNS servers, asked one question at a time: transport, budget, deadline and DNSSEC state.
//!
//! Promises: an [`Answer`] is never bogus, and never says "absent" because something failed; its state is at most what
//! [`Validation`] allows (with `Unchecked` nothing is ever secure); every question that goes out is paid for, those for DS and DNSKEY records
//! included; nothing outlasts the deadline. There is no cache of answers here, only one of proven keys and delegations.

mod budget;
mod config;
mod proof;
mod transport;
mod trust;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use revouch_validator::answer::{Answer, DnsFailure};
use revouch_validator::name::DnsName;
use revouch_validator::rr::RrType;
use tokio::time::{Instant, timeout_at};

pub use self::budget::QueryBudget;
pub use self::config::{Clock, MAX_SERVERS, Protocol, Server, UpstreamConfig, UpstreamError, Validation};
use self::transport::{Transport, Wanted};
use self::trust::{ChainOfTrust, Session, bogus};
use crate::answer::{self, State, Trust};
use crate::convert;

/// How many questions a probe may send, to each server whose AD bit is to be seen.
const PROBE_BUDGET: u32 = 8;

/// What stands between this process and the servers when it is fuzzed: a function that gives the response to a question.
#[cfg(fuzzing)]
pub type Forwarder = Box<dyn Fn(&Name, RecordType) -> Option<Message> + Send + Sync>;

/// A group of servers that answer for the same zones.
pub struct Upstream {
    mode: Mode,
    clock: Clock,
}

/// Who validates, with what that takes.
enum Mode {
    Validate(Box<ChainOfTrust>),
    TrustAd(Transport),
    Unchecked(Transport),
}

impl Upstream {
    /// Prepares the group. Nothing is sent yet.
    ///
    /// # Errors
    /// The configuration cannot work, or would trust the AD bit of a server that anyone on the way can speak for.
    pub fn new(config: UpstreamConfig, clock: Clock) -> Result<Self, UpstreamError> {
        config.check()?;
        let tls = tls_settings(&config)?;
        let transport = Transport::new(config.servers, tls, config.timeout, config.attempts.max(1));
        let mode = match config.validation {
            Validation::Validate(anchors) if anchors.is_empty() => return Err(UpstreamError::NoAnchor),
            Validation::Validate(anchors) => Mode::Validate(Box::new(ChainOfTrust::new(anchors, transport))),
            Validation::TrustAd { probe: (name, rr_type) } => {
                let name = convert::name(&name).ok_or(UpstreamError::ProbeFailed(DnsFailure::Refused))?;
                Mode::TrustAd(transport.probed_by(name, RecordType::from(rr_type.0)))
            }
            Validation::Unchecked => Mode::Unchecked(transport),
        };
        Ok(Self { mode, clock })
    }

    /// A validating group whose only server is a function, behind everything that is done with a response.
    #[cfg(fuzzing)]
    #[must_use]
    pub fn through(
        forwarder: Forwarder,
        anchors: std::sync::Arc<crate::anchors::Anchors>,
        clock: Clock,
    ) -> Self {
        use std::sync::{Arc, LazyLock};
        static TLS: LazyLock<rustls::ClientConfig> = LazyLock::new(|| {
            let config = UpstreamConfig::validating(
                Vec::new(),
                Arc::new(crate::anchors::Anchors::iana()),
                Arc::new(rustls::RootCertStore::empty()),
            );
            tls_settings(&config).unwrap_or_else(|error| unreachable!("{error}"))
        });
        let transport = Transport::new(Vec::new(), TLS.clone(), std::time::Duration::from_secs(1), 1);
        let chain = ChainOfTrust::new(anchors, transport.through(forwarder));
        Self { mode: Mode::Validate(Box::new(chain)), clock }
    }

    /// Asks for the records of `rr_type` at `name`.
    ///
    /// # Errors
    /// See [`DnsFailure`]. Of its variants, those that a policy or a limit causes do not come from here, except
    /// [`DnsFailure::Budget`]. A question for a type that is no data (`ANY`, `AXFR`, `RRSIG`, `NSEC` …) is refused.
    pub async fn ask(
        &self,
        name: &DnsName,
        rr_type: RrType,
        budget: &QueryBudget,
        deadline: Instant,
    ) -> Result<Answer, DnsFailure> {
        if !can_be_asked(rr_type) {
            return Err(DnsFailure::Refused);
        }
        let rr_type = RecordType::from(rr_type.0);
        let name = convert::name(name).ok_or(DnsFailure::Refused)?;
        let asked = self.ask_name(&name, rr_type, budget, deadline);
        timeout_at(deadline, asked).await.unwrap_or(Err(DnsFailure::Timeout))
    }

    /// Finds out whether the group can do what it is there for: with `TrustAd`, whether the AD bit comes for a name that is signed, from
    /// every server that answers (of one that does not, nothing counts until it has set it); with `Validate`, whether the keys of the anchored zone can be had and fit the anchors.
    ///
    /// # Errors
    /// It cannot, or does not answer.
    pub async fn probe(&self, deadline: Instant) -> Result<(), UpstreamError> {
        let budget = QueryBudget::new(PROBE_BUDGET);
        match &self.mode {
            Mode::TrustAd(transport) => match transport.probe(PROBE_BUDGET, deadline).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(UpstreamError::NoAdBit),
                Err(failure) => Err(UpstreamError::ProbeFailed(failure)),
            },
            Mode::Validate(chain) => {
                let mut session = self.session(&budget, deadline);
                let found = timeout_at(deadline, chain.anchored_keys(&mut session)).await;
                match found.unwrap_or(Err(DnsFailure::Timeout)) {
                    Ok(true) => Ok(()),
                    Ok(false) => {
                        let why = "the keys of the anchored zone do not fit the trust anchors".to_owned();
                        Err(UpstreamError::ProbeFailed(DnsFailure::Bogus(why)))
                    }
                    Err(failure) => Err(UpstreamError::ProbeFailed(failure)),
                }
            }
            Mode::Unchecked(_) => Ok(()),
        }
    }

    async fn ask_name(
        &self,
        name: &Name,
        rr_type: RecordType,
        budget: &QueryBudget,
        deadline: Instant,
    ) -> Result<Answer, DnsFailure> {
        match &self.mode {
            Mode::Validate(chain) => {
                let mut session = self.session(budget, deadline);
                session.work.draw_on(budget.failures());
                validated(chain, name, rr_type, &mut session).await
            }
            Mode::TrustAd(transport) => {
                let message = transport.ask(name, rr_type, Wanted::Verdict, budget, deadline).await?;
                let state = if message.metadata.authentic_data { State::Secure } else { State::Insecure };
                self.unvalidated(name, rr_type, &message, Trust::Sender(state))
            }
            Mode::Unchecked(transport) => {
                let message = transport.ask(name, rr_type, Wanted::Plain, budget, deadline).await?;
                self.unvalidated(name, rr_type, &message, Trust::Nobody)
            }
        }
    }

    /// Reads a message whose state somebody else decided. One that contradicts itself is no answer.
    fn unvalidated(
        &self,
        name: &Name,
        rr_type: RecordType,
        message: &Message,
        trust: Trust,
    ) -> Result<Answer, DnsFailure> {
        let now = (self.clock)();
        let evaluated = answer::evaluate_trusting(trust, name, rr_type, message, now);
        convert::answer(&evaluated.map_err(|_| DnsFailure::ServFail)?, now)
    }

    fn session<'q>(&self, budget: &'q QueryBudget, deadline: Instant) -> Session<'q> {
        Session::new(budget, deadline, (self.clock)())
    }
}

/// Asks, proves, evaluates, and proves what is claimed to be unsigned.
///
/// What is bogus is looked at once more. First by new keys and delegations, if it was judged by some that have been kept for a while: the zone may
/// have changed them. Then anew from its question on, asked of another server if there is one: for a moment a cache may hold records without their
/// signatures, or a delegation beside keys that have gone. Only what is proven the second time overrules the first; what was not proven is
/// kept nowhere, so that all of it is asked for again, and paid for.
async fn validated(
    chain: &ChainOfTrust,
    name: &Name,
    rr_type: RecordType,
    session: &mut Session<'_>,
) -> Result<Answer, DnsFailure> {
    let mut message = chain.fetch(name, rr_type, session).await?;
    let mut first = judged(chain, name, rr_type, &mut message, session).await;
    if is_bogus(&first) && session.looks_again() {
        first = judged(chain, name, rr_type, &mut message, session).await;
    }
    if !is_bogus(&first) {
        return first;
    }
    session.start_over();
    let again = async {
        let mut message = chain.fetch_elsewhere(name, rr_type, session).await?;
        judged(chain, name, rr_type, &mut message, session).await
    };
    again.await.or(first)
}

fn is_bogus(judged: &Result<Answer, DnsFailure>) -> bool {
    matches!(judged, Err(DnsFailure::Bogus(_)))
}

/// What a message is by the chain of trust.
async fn judged(
    chain: &ChainOfTrust,
    name: &Name,
    rr_type: RecordType,
    message: &mut Message,
    session: &mut Session<'_>,
) -> Result<Answer, DnsFailure> {
    chain.judge(message, session).await?;
    let mut evaluated =
        answer::evaluate(name, rr_type, message, session.now).map_err(|why| bogus(name, rr_type, why.0))?;
    for claim in &evaluated.claims {
        if !chain.holds(claim, session).await? {
            let why = if claim.signers.is_empty() {
                "no signature, and the zone is not proven to be unsigned"
            } else {
                "no valid signature, and the zone is not proven to be unsigned"
            };
            return Err(bogus(&claim.name, rr_type, why));
        }
    }
    evaluated.window = session.window_with(evaluated.window);
    convert::answer(&evaluated, session.now)
}

/// Whether records of this type can be asked for (RFC 6895 section 3.1); signatures and denials come with others only.
#[must_use]
pub fn can_be_asked(rr_type: RrType) -> bool {
    !matches!(rr_type.0, 0 | 41 | 46 | 47 | 50 | 128..=255)
}

/// TLS to the servers, with the one crypto provider.
fn tls_settings(config: &UpstreamConfig) -> Result<rustls::ClientConfig, UpstreamError> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| UpstreamError::Tls(error.to_string()))?;
    Ok(builder.with_root_certificates(config.tls_roots.clone()).with_no_client_auth())
}
