//! Sends one question to the servers of a group and returns the first usable response, as it came.
//!
//! Promises: every datagram question, repetition and fallback to a stream is paid for from the budget; nothing waits longer than the
//! deadline; the response is one to this question (identifier, question section, over UDP also the random case of the name). UDP falls
//! back to TCP where a response is cut short or looks forged. A response is not yet trusted in any other way. Where the upstream's verdict is
//! wanted, a server counts only after it [has shown](super::proof) that it validates, and its SERVFAIL stands: it may mean bogus.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_net::NetError;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::udp::UdpClientStream;
use hickory_net::xfer::{DnsExchange, DnsHandle, DnsRequestSender, FirstAnswer};
use hickory_proto::op::{DnsRequest, DnsRequestOptions, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use hickory_resolver::config::{ConnectionConfig, ProtocolConfig, ResolverOpts};
use hickory_resolver::{ConnectionProvider, PoolContext, TlsConfig};
use revouch_validator::answer::DnsFailure;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::budget::QueryBudget;
use super::config::{Protocol, Server};
use super::proof::Proofs;
use crate::answer::{Unusable, select};

/// Questions in flight on one stream.
const MAX_IN_FLIGHT: usize = 1024;

/// The EDNS payload size that is offered (RFC 9715: what is not fragmented on any path in use).
const UDP_PAYLOAD: u16 = 1232;

/// What is asked of the upstream besides the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Signatures (DO = 1).
    Signatures,
    /// The upstream's own verdict (AD = 1, RFC 6840 section 5.7), and the signatures, as only they tell what came from a wildcard.
    Verdict,
    /// Neither.
    Plain,
}

/// The servers of one group.
pub(super) struct Transport {
    servers: Vec<Connection>,
    /// The server that answered last.
    preferred: AtomicUsize,
    context: PoolContext,
    /// Owns the tasks that drive the streams; they end with it.
    provider: TokioRuntimeProvider,
    timeout: Duration,
    attempts: u32,
    /// What the servers have shown, if their verdict is wanted.
    proofs: Option<Proofs>,
    /// Answers in the place of all servers.
    #[cfg(fuzzing)]
    forwarder: Option<super::Forwarder>,
}

type Exchange = DnsExchange<TokioRuntimeProvider>;

/// A server, and the stream to it once there is one.
struct Connection {
    server: Server,
    stream: Mutex<Slot>,
}

/// The stream that is open, and how many have been.
#[derive(Default)]
struct Slot {
    number: u64,
    open: Option<Exchange>,
}

impl Transport {
    pub(super) fn new(
        servers: Vec<Server>,
        tls: rustls::ClientConfig,
        timeout: Duration,
        attempts: u32,
    ) -> Self {
        let mut options = ResolverOpts::default();
        options.timeout = timeout;
        options.max_active_requests = MAX_IN_FLIGHT;
        let servers =
            servers.into_iter().map(|server| Connection { server, stream: Mutex::default() }).collect();
        let context = PoolContext::new(options, TlsConfig { config: tls });
        let provider = TokioRuntimeProvider::default();
        Self {
            servers,
            preferred: AtomicUsize::new(0),
            context,
            provider,
            timeout,
            attempts,
            proofs: None,
            #[cfg(fuzzing)]
            forwarder: None,
        }
    }

    /// Has servers show by this name and type that they validate, before their verdict counts.
    pub(super) fn probed_by(mut self, name: Name, rr_type: RecordType) -> Self {
        self.proofs = Some(Proofs::new(name, rr_type, self.servers.len()));
        self
    }

    /// Has every server show that it validates; `true` if all that answer do.
    ///
    /// # Errors
    /// None answers: the failure that says most.
    pub(super) async fn probe(&self, questions: u32, deadline: Instant) -> Result<bool, DnsFailure> {
        let each = (0..self.servers.len()).map(|index| async move {
            let budget = QueryBudget::new(questions);
            let mut shown = Err(DnsFailure::Timeout);
            for _ in 0..self.attempts {
                if shown == Err(DnsFailure::Timeout) {
                    shown = self.probe_one(index, &budget, deadline).await;
                }
            }
            shown
        });
        let all = futures_util::future::join_all(each).await;
        let answering = || all.iter().filter_map(|shown| shown.as_ref().ok());
        if answering().next().is_some() {
            return Ok(answering().all(|shown| *shown));
        }
        let failures = all.into_iter().filter_map(Result::err);
        Err(failures.max_by_key(rank).unwrap_or(DnsFailure::Refused))
    }

    /// Asks one server for what it would set the AD bit for.
    async fn probe_one(
        &self,
        index: usize,
        budget: &QueryBudget,
        deadline: Instant,
    ) -> Result<bool, DnsFailure> {
        let (Some(proofs), Some(connection)) = (&self.proofs, self.servers.get(index)) else {
            return Ok(false);
        };
        let (name, rr_type) = proofs.probe();
        let message = self.ask_one(connection, name, rr_type, Wanted::Verdict, budget, deadline).await?;
        Ok(proofs.note(index, &message))
    }

    /// Whether the verdict of the server that sent this counts. One that has not shown that it validates gets another chance.
    async fn counts(
        &self,
        index: usize,
        message: &Message,
        budget: &QueryBudget,
        deadline: Instant,
    ) -> Result<bool, DnsFailure> {
        let Some(proofs) = &self.proofs else { return Ok(false) };
        if proofs.note(index, message) {
            return Ok(true);
        }
        let Some(turn) = proofs.turn(index).await else { return Ok(proofs.has_shown(index)) };
        match self.probe_one(index, budget, deadline).await {
            // That says nothing about the server: whoever comes next may find out.
            Err(DnsFailure::Budget) => Err(DnsFailure::Budget),
            shown => {
                turn.end();
                Ok(shown.unwrap_or(false))
            }
        }
    }

    /// Asks a function instead of servers.
    #[cfg(fuzzing)]
    pub(super) fn through(mut self, forwarder: super::Forwarder) -> Self {
        self.forwarder = Some(forwarder);
        self
    }

    /// Asks the servers in turn, the one that answered last first, until one gives a usable answer.
    ///
    /// A server that reports an error is not asked again; one that does not answer is, in the next round. A server whose verdict is wanted and
    /// that reports one is not passed over for the next: that might not validate.
    ///
    /// # Errors
    /// The failure that says most: SERVFAIL or garbage, then silence, then refusal.
    pub(super) async fn ask(
        &self,
        name: &Name,
        rr_type: RecordType,
        wanted: Wanted,
        budget: &QueryBudget,
        deadline: Instant,
    ) -> Result<Message, DnsFailure> {
        let first = self.preferred.load(Ordering::Relaxed);
        self.ask_from(first, name, rr_type, wanted, budget, deadline).await
    }

    /// As [`ask`](Self::ask), the one behind that which answered last first. For this question alone: it may be dead, and others need not find out.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) async fn ask_elsewhere(
        &self,
        name: &Name,
        rr_type: RecordType,
        wanted: Wanted,
        budget: &QueryBudget,
        deadline: Instant,
    ) -> Result<Message, DnsFailure> {
        let next = self.preferred.load(Ordering::Relaxed) + 1;
        self.ask_from(next, name, rr_type, wanted, budget, deadline).await
    }

    async fn ask_from(
        &self,
        first: usize,
        name: &Name,
        rr_type: RecordType,
        wanted: Wanted,
        budget: &QueryBudget,
        deadline: Instant,
    ) -> Result<Message, DnsFailure> {
        #[cfg(fuzzing)]
        if let Some(forwarder) = &self.forwarder {
            budget.take()?;
            let response = forwarder(name, rr_type).ok_or(DnsFailure::Timeout)?;
            return usable(select(name, rr_type, &response));
        }
        let mut order: Vec<usize> =
            (0..self.servers.len()).map(|i| (first + i) % self.servers.len()).collect();
        let mut worst = DnsFailure::Refused;
        for _ in 0..self.attempts {
            let mut silent = Vec::new();
            for index in order {
                let Some(connection) = self.servers.get(index) else { continue };
                let failure = match self.ask_one(connection, name, rr_type, wanted, budget, deadline).await {
                    Ok(message)
                        if wanted == Wanted::Verdict
                            && !self.counts(index, &message, budget, deadline).await? =>
                    {
                        DnsFailure::ServFail
                    }
                    Ok(message) => {
                        self.preferred.store(index, Ordering::Relaxed);
                        return Ok(message);
                    }
                    Err(DnsFailure::Budget) => return Err(DnsFailure::Budget),
                    Err(DnsFailure::ServFail) if wanted == Wanted::Verdict => {
                        return Err(DnsFailure::ServFail);
                    }
                    Err(failure) => failure,
                };
                if failure == DnsFailure::Timeout {
                    silent.push(index);
                }
                if rank(&failure) > rank(&worst) {
                    worst = failure;
                }
            }
            order = silent;
        }
        Err(worst)
    }

    /// Asks one server, over a stream too if the datagram will not do.
    async fn ask_one(
        &self,
        connection: &Connection,
        name: &Name,
        rr_type: RecordType,
        wanted: Wanted,
        budget: &QueryBudget,
        deadline: Instant,
    ) -> Result<Message, DnsFailure> {
        let until = deadline.min(Instant::now() + self.timeout);
        if connection.server.protocol == Protocol::Udp {
            budget.take()?;
            let request = request(name, rr_type, wanted, true);
            let response = timeout_at(until, self.datagram(connection.server.address, request)).await;
            let response = response.map_err(|_| DnsFailure::Timeout)?;
            match response.map(|message| (select(name, rr_type, &message), message)) {
                Ok((Err(Unusable::Truncated), _)) | Err(NetError::QueryCaseMismatch | NetError::Proto(_)) => {
                }
                Ok((selected, _)) => return usable(selected),
                Err(error) => return Err(failure(&error)),
            }
        }
        budget.take()?;
        let until = deadline.min(Instant::now() + self.timeout);
        let request = request(name, rr_type, wanted, false);
        let mut used = 0;
        let response = timeout_at(until, self.stream(connection, request, budget, &mut used)).await;
        let Ok(response) = response else {
            // Whoever asks next opens a new stream; one that is just being opened is left alone.
            if let Ok(mut slot) = connection.stream.try_lock() {
                slot.give_up(used);
            }
            return Err(DnsFailure::Timeout);
        };
        let message = response.map_err(|error| failure(&error))?;
        usable(select(name, rr_type, &message))
    }

    /// One question in a datagram from a port of its own.
    ///
    /// It is sent once. The next attempt repeats it, and is paid for; the library would repeat it by itself after a third of a second, as a
    /// resolver that has to ask others first often needs, and a cold name would cost three times its budget.
    async fn datagram(&self, server: SocketAddr, request: DnsRequest) -> Result<Message, NetError> {
        let builder =
            UdpClientStream::builder(server, self.provider.clone()).with_timeout(Some(self.timeout));
        let mut stream = builder.with_max_retries(1).build();
        Ok(stream.send_message(request).first_answer().await?.into_message())
    }

    /// One question over the stream, which is opened if there is none, and once more, if that is paid for, if the open one was dead.
    /// `used` is the number of the stream that was used last.
    async fn stream(
        &self,
        connection: &Connection,
        request: DnsRequest,
        budget: &QueryBudget,
        used: &mut u64,
    ) -> Result<Message, NetError> {
        let (exchange, reused) = self.connected(connection, used).await?;
        let error = match exchange.send(request.clone()).first_answer().await {
            Ok(response) => return Ok(response.into_message()),
            Err(error) => error,
        };
        connection.stream.lock().await.give_up(*used);
        if !reused || matches!(error, NetError::Timeout) || budget.take().is_err() {
            return Err(error);
        }
        let (exchange, _) = self.connected(connection, used).await?;
        Ok(exchange.send(request).first_answer().await?.into_message())
    }

    /// The open stream, or a new one; says whether it was open.
    async fn connected(&self, connection: &Connection, used: &mut u64) -> Result<(Exchange, bool), NetError> {
        let mut slot = connection.stream.lock().await;
        if let Some(open) = &slot.open {
            *used = slot.number;
            return Ok((open.clone(), true));
        }
        let config = stream_config(&connection.server);
        let connecting =
            self.provider.new_connection(connection.server.address.ip(), &config, &self.context)?;
        let exchange = connecting.await?;
        slot.number += 1;
        slot.open = Some(exchange.clone());
        *used = slot.number;
        Ok((exchange, false))
    }
}

impl Slot {
    /// Forgets the stream of this number. A newer one, which somebody else has opened since, is left alone.
    fn give_up(&mut self, number: u64) {
        if self.number == number {
            self.open = None;
        }
    }
}

/// How to open a stream to a server. A UDP server is spoken to over TCP.
fn stream_config(server: &Server) -> ConnectionConfig {
    let protocol = match &server.protocol {
        Protocol::Udp | Protocol::Tcp => ProtocolConfig::Tcp,
        Protocol::Tls { server_name } => ProtocolConfig::Tls { server_name: Arc::from(server_name.as_str()) },
        Protocol::Https { server_name, path } => ProtocolConfig::Https {
            server_name: Arc::from(server_name.as_str()),
            path: Arc::from(path.as_str()),
        },
    };
    let mut config = ConnectionConfig::new(protocol);
    config.port = server.address.port();
    config
}

/// The question as a message: recursion desired, CD clear.
fn request(name: &Name, rr_type: RecordType, wanted: Wanted, randomize_case: bool) -> DnsRequest {
    let mut options = DnsRequestOptions::default();
    options.use_edns = true;
    options.edns_payload_len = UDP_PAYLOAD;
    options.edns_set_dnssec_ok = wanted != Wanted::Plain;
    options.recursion_desired = true;
    options.case_randomization = randomize_case;
    let mut request = DnsRequest::from_query(Query::query(name.clone(), rr_type), options);
    request.metadata.checking_disabled = false;
    request.metadata.authentic_data = wanted == Wanted::Verdict;
    request
}

/// A selected message, or the failure that it means.
fn usable(selected: Result<Message, Unusable>) -> Result<Message, DnsFailure> {
    selected.map_err(|unusable| match unusable {
        Unusable::Code(ResponseCode::Refused | ResponseCode::NotAuth) => DnsFailure::Refused,
        Unusable::Code(_) | Unusable::NotTheAnswer | Unusable::Truncated => DnsFailure::ServFail,
    })
}

/// What an error of the transport means.
fn failure(error: &NetError) -> DnsFailure {
    match error {
        NetError::Timeout => DnsFailure::Timeout,
        NetError::Io(_) | NetError::NoConnections | NetError::Busy | NetError::RustlsError(_) => {
            DnsFailure::Refused
        }
        _ => DnsFailure::ServFail,
    }
}

/// How much a failure says about the question.
fn rank(failure: &DnsFailure) -> u8 {
    match failure {
        DnsFailure::ServFail => 2,
        DnsFailure::Timeout => 1,
        _ => 0,
    }
}
