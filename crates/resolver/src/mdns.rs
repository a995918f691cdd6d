//! One question over multicast DNS: the one-shot query of RFC 6762 section 5.1.
//!
//! For `.local` and the reverse zones of link-local addresses only. A response counts if it comes from port 5353 of a host on the same
//! link (section 11), repeats identifier and question (section 6.7), and holds the record that was asked for. Silence is how this protocol
//! says that there is no such record (section 6): it becomes a negative answer that is not kept. Everything is exempt from DNSSEC (R12),
//! so nothing here is ever secure. Bounded in time, interfaces, datagrams and records.

mod link;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use revouch_validator::answer::{Answer, DnsFailure, DnssecStatus, Negative};
use revouch_validator::exemption::is_multicast_name;
use revouch_validator::name::DnsName;
use revouch_validator::rr::RrType;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

pub use self::link::Link;
use crate::answer::canonical;
use crate::convert;
use crate::upstream::QueryBudget;

/// Where multicast DNS is spoken (RFC 6762 section 3).
const GROUP_V4: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);
const GROUP_V6: SocketAddrV6 = SocketAddrV6::new(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb), 5353, 0, 0);

/// How long silence is listened to. Responders wait at most 120 ms (section 6), and the question is sent twice.
const WAIT: Duration = Duration::from_millis(700);

/// The most datagrams that are looked at per socket and question.
const MAX_DATAGRAMS: usize = 64;

/// The largest message (section 17).
const MAX_MESSAGE: usize = 9000;

/// Asks over multicast on the links of this host.
#[derive(Debug, Clone)]
pub struct Multicast {
    links: Vec<Link>,
    group_v4: SocketAddrV4,
    group_v6: SocketAddrV6,
    wait: Duration,
}

/// A question in its forms.
struct Question {
    name: Name,
    rr_type: RecordType,
    id: u16,
    wire: Vec<u8>,
}

impl Multicast {
    /// Asks on the given links, or on all that are up and can do multicast.
    ///
    /// # Errors
    /// The kernel's list of interfaces cannot be read.
    pub fn new(links: Option<Vec<Link>>) -> io::Result<Self> {
        let links = match links {
            Some(links) => links,
            None => Link::all()?,
        };
        Ok(Self { links, group_v4: GROUP_V4, group_v6: GROUP_V6, wait: WAIT })
    }

    /// Asks for the records of `rr_type` at `name`.
    ///
    /// # Errors
    /// [`DnsFailure::Refused`] for a name that does not belong to the link, or if no link can be asked; [`DnsFailure::Timeout`] if the
    /// deadline is too near to listen long enough; [`DnsFailure::Budget`].
    pub async fn ask(
        &self,
        name: &DnsName,
        rr_type: RrType,
        budget: &QueryBudget,
        deadline: Instant,
    ) -> Result<Answer, DnsFailure> {
        if !is_multicast_name(name) {
            return Err(DnsFailure::Refused);
        }
        let question = Question::new(name, rr_type).ok_or(DnsFailure::Refused)?;
        budget.take()?;
        let sockets: Vec<_> = self.links.iter().flat_map(|link| self.sockets(link)).collect();
        if sockets.is_empty() {
            return Err(DnsFailure::Refused);
        }
        let until = Instant::now() + self.wait;
        let mut listening: FuturesUnordered<_> =
            sockets.iter().map(|socket| socket.ask(&question, until)).collect();
        let mut asked = false;
        let first = timeout_at(until.min(deadline), async {
            while let Some(outcome) = listening.next().await {
                match outcome {
                    Ok(Some(found)) => return Some(found),
                    Ok(None) => asked = true,
                    Err(_) => {}
                }
            }
            None
        });
        match first.await {
            Ok(Some((data, ttl))) => positive(&data, ttl),
            Ok(None) if !asked => Err(DnsFailure::Refused),
            _ if deadline < until => Err(DnsFailure::Timeout),
            _ => Ok(silence()),
        }
    }

    /// A socket for each address family that the link has.
    fn sockets(&self, link: &Link) -> Vec<LinkSocket> {
        let group_v6 = SocketAddrV6::new(*self.group_v6.ip(), self.group_v6.port(), 0, link.index());
        let groups = [SocketAddr::from(self.group_v4), SocketAddr::from(group_v6)];
        groups.into_iter().filter_map(|group| LinkSocket::open(link, group).ok()).collect()
    }
}

impl Question {
    fn new(name: &DnsName, rr_type: RrType) -> Option<Self> {
        let name = convert::name(name)?;
        let rr_type = RecordType::from(rr_type.0);
        let mut message = Message::query();
        message.metadata.recursion_desired = false;
        message.add_query(Query::query(name.clone(), rr_type));
        let wire = message.to_vec().ok()?;
        Some(Self { name, rr_type, id: message.metadata.id, wire })
    }

    /// The data that a datagram holds for this question, with the least TTL.
    fn answered_by(&self, datagram: &[u8]) -> Option<(Vec<RData>, u32)> {
        let message = Message::from_vec(datagram).ok()?;
        let header = &message.metadata;
        if header.message_type != MessageType::Response
            || header.op_code != OpCode::Query
            || header.response_code != ResponseCode::NoError
            || header.id != self.id
        {
            return None;
        }
        if !message.queries.iter().any(|q| canonical(q.name()) == self.name && q.query_type() == self.rr_type)
        {
            return None;
        }
        let fits = |r: &&hickory_proto::rr::Record| {
            r.dns_class == DNSClass::IN && r.record_type() == self.rr_type && canonical(&r.name) == self.name
        };
        let ttl = message.answers.iter().filter(fits).map(|r| r.ttl).min()?;
        Some((message.answers.iter().filter(fits).map(|r| r.data.clone()).collect(), ttl))
    }
}

/// Whether `datagram` answers the question of this name and type, whatever its identifier is.
#[cfg(fuzzing)]
#[must_use]
pub fn answers(name: &DnsName, rr_type: RrType, datagram: &[u8]) -> bool {
    let Some(mut question) = Question::new(name, rr_type) else { return false };
    if let Some((id, _)) = datagram.split_first_chunk() {
        question.id = u16::from_be_bytes(*id);
    }
    question.answered_by(datagram).is_some_and(|(data, ttl)| positive(&data, ttl).is_ok())
}

/// A socket on one link, in one address family.
struct LinkSocket {
    socket: UdpSocket,
    group: SocketAddr,
    link: Link,
}

impl LinkSocket {
    /// Binds an ephemeral port to the link; what is sent has hop limit 255 (section 11).
    fn open(link: &Link, group: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind_device(Some(link.name().as_bytes()))?;
        let any: SocketAddr = match group {
            SocketAddr::V4(_) => {
                socket.set_multicast_ttl_v4(255)?;
                (Ipv4Addr::UNSPECIFIED, 0).into()
            }
            SocketAddr::V6(_) => {
                socket.set_only_v6(true)?;
                socket.set_multicast_hops_v6(255)?;
                socket.set_multicast_if_v6(link.index())?;
                (Ipv6Addr::UNSPECIFIED, 0).into()
            }
        };
        socket.set_nonblocking(true)?;
        socket.bind(&any.into())?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, group, link: link.clone() })
    }

    /// Sends the question, once more after a third of the time, and listens until `until`. `None` is silence.
    async fn ask(&self, question: &Question, until: Instant) -> io::Result<Option<(Vec<RData>, u32)>> {
        self.socket.send_to(&question.wire, self.group).await?;
        let again = Instant::now() + until.saturating_duration_since(Instant::now()) / 3;
        if let Ok(found) = timeout_at(again, self.listen(question)).await {
            return Ok(found);
        }
        self.socket.send_to(&question.wire, self.group).await?;
        Ok(timeout_at(until, self.listen(question)).await.ok().flatten())
    }

    /// Waits for a response that counts, at most for [`MAX_DATAGRAMS`].
    async fn listen(&self, question: &Question) -> Option<(Vec<RData>, u32)> {
        let mut buffer = vec![0; MAX_MESSAGE];
        for _ in 0..MAX_DATAGRAMS {
            let (length, from) = self.socket.recv_from(&mut buffer).await.ok()?;
            if from.port() != self.group.port() || !self.link.has_neighbour(from.ip()) {
                continue;
            }
            if let Some(found) = buffer.get(..length).and_then(|datagram| question.answered_by(datagram)) {
                return Some(found);
            }
        }
        None
    }
}

/// The records are there.
fn positive(data: &[RData], ttl: u32) -> Result<Answer, DnsFailure> {
    let records = convert::records(data).ok_or(DnsFailure::ServFail)?;
    // Section 6.7: what a one-shot query learns is kept for ten seconds at most.
    Ok(Answer { records, ttl: ttl.min(10), negative: None, ..silence() })
}

/// Nobody has such a record.
fn silence() -> Answer {
    Answer {
        records: Vec::new(),
        chain: Vec::new(),
        status: DnssecStatus::Exempt,
        negative: Some(Negative::NxDomain),
        wildcard: false,
        ttl: 0,
        signatures: None,
    }
}

#[cfg(test)]
mod tests;
