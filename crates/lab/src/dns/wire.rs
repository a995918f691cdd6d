//! DNS messages on the wire, RFC 1035 section 4 and RFC 6891.
//!
//! The encoder is our own for one reason: it compresses however many names an answer has, so that a PTR set of
//! thousands of names fits where the protocol lets it fit.

use std::collections::HashMap;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};

use super::answer::{Answer, Item};

/// The largest message over TCP (its length prefix has 16 bits).
pub(super) const MAX_STREAM: usize = 65_535;
/// The largest message over UDP, whatever the querier says it can take.
pub(super) const MAX_DATAGRAM: usize = 1_232;
const HEADER: usize = 12;
/// Compression pointers have 14 bits.
const MAX_POINTER: u16 = 0x3FFF;
/// An OPT record without options.
const OPT_LENGTH: usize = 11;

/// A question that can be answered.
pub(super) struct Question {
    id: u16,
    recursion_desired: bool,
    checking_disabled: bool,
    pub(super) name: Name,
    pub(super) rtype: RecordType,
    /// The payload size of the querier's OPT record, if there is one.
    edns: Option<u16>,
    pub(super) dnssec_ok: bool,
}

/// What a received message is.
pub(super) enum Received {
    /// A question of class IN.
    Question(Question),
    /// Something else, with the refusal to send.
    Refuse(Vec<u8>),
    /// Not a query at all: no answer.
    Ignore,
}

/// Reads one message.
pub(super) fn read(message: &[u8]) -> Received {
    let Some((&[high, low], flags)) = message.split_first_chunk::<2>() else { return Received::Ignore };
    let id = u16::from_be_bytes([high, low]);
    if message.len() < HEADER || flags.first().is_some_and(|octet| octet & 0x80 != 0) {
        return Received::Ignore;
    }
    let Ok(parsed) = Message::from_vec(message) else {
        return Received::Refuse(bare(id, ResponseCode::FormErr));
    };
    if parsed.metadata.message_type != MessageType::Query || parsed.metadata.op_code != OpCode::Query {
        return Received::Refuse(bare(id, ResponseCode::NotImp));
    }
    let [query] = parsed.queries.as_slice() else {
        return Received::Refuse(bare(id, ResponseCode::FormErr));
    };
    if query.query_class() != DNSClass::IN {
        return Received::Refuse(bare(id, ResponseCode::Refused));
    }
    Received::Question(Question {
        id,
        recursion_desired: parsed.metadata.recursion_desired,
        checking_disabled: parsed.metadata.checking_disabled,
        name: query.name().clone(),
        rtype: query.query_type(),
        edns: parsed.edns.as_ref().map(hickory_proto::op::Edns::max_payload),
        dnssec_ok: parsed.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok),
    })
}

impl Question {
    /// The largest answer that may go back in a datagram.
    pub(super) fn datagram_limit(&self) -> usize {
        self.edns.map_or(512, |size| usize::from(size).clamp(512, MAX_DATAGRAM))
    }

    /// The answer, at most `limit` octets long. What does not fit is left out and TC is set: over UDP all of it, over
    /// TCP only the surplus.
    pub(super) fn encode(&self, answer: &Answer, limit: usize) -> Vec<u8> {
        let room = limit.saturating_sub(if self.edns.is_some() { OPT_LENGTH } else { 0 });
        let mut out = Encoder::new(self);
        let answers = out.section(&answer.answers, room);
        let authorities = if out.truncated { 0 } else { out.section(&answer.authorities, room) };
        if out.truncated && limit <= MAX_DATAGRAM {
            return self.truncated();
        }
        out.finish(answer.code, [answers, authorities], self)
    }

    /// An empty answer with this code.
    pub(super) fn error(&self, code: ResponseCode) -> Vec<u8> {
        Encoder::new(self).finish(code, [0, 0], self)
    }

    /// An empty answer that says "ask again over TCP".
    pub(super) fn truncated(&self) -> Vec<u8> {
        let mut out = Encoder::new(self);
        out.truncated = true;
        out.finish(ResponseCode::NoError, [0, 0], self)
    }

    /// Octets that answer this query's id and are no DNS message.
    pub(super) fn garbage(&self) -> Vec<u8> {
        let mut out = self.id.to_be_bytes().to_vec();
        out.resize(48, 0xFF);
        out
    }
}

/// The wire form of a name, without compression, in lower case.
pub(super) fn name_wire(name: &Name) -> Vec<u8> {
    let mut wire = Vec::with_capacity(name.len() + 1);
    for label in name {
        wire.push(u8::try_from(label.len()).unwrap_or(63));
        wire.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    wire.push(0);
    wire
}

/// A header with nothing behind it, for messages whose question cannot be read.
fn bare(id: u16, code: ResponseCode) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend([0x80, code.low()]);
    out.resize(HEADER, 0);
    out
}

struct Encoder {
    out: Vec<u8>,
    /// Where each suffix (in lower case) was written.
    seen: HashMap<Vec<u8>, u16>,
    truncated: bool,
}

impl Encoder {
    fn new(question: &Question) -> Self {
        let mut encoder = Self { out: vec![0; HEADER], seen: HashMap::new(), truncated: false };
        let start = encoder.out.len();
        encoder.name(&name_wire(&question.name));
        // The question goes back in the querier's own letter case, which some queriers check.
        let labels = question.name.iter().flat_map(|label| std::iter::once(&0).chain(label.iter()));
        for (octet, original) in encoder.out.iter_mut().skip(start).zip(labels) {
            if octet.is_ascii_lowercase() && original.is_ascii_uppercase() {
                *octet = *original;
            }
        }
        encoder.out.extend(u16::from(question.rtype).to_be_bytes());
        encoder.out.extend([0, 1]);
        encoder
    }

    /// Writes whole records while they fit and gives their number.
    fn section(&mut self, items: &[Item], room: usize) -> u16 {
        let mut count = 0_u16;
        for item in items {
            let owner = name_wire(&item.owner);
            let sets = [(u16::from(item.rtype), &item.set.rdata), (46, &item.set.signatures)];
            for (rtype, rdatas) in sets.iter().take(if item.signed { 2 } else { 1 }) {
                for rdata in *rdatas {
                    let before = self.out.len();
                    self.record(&owner, *rtype, item.set.ttl, rdata);
                    if self.out.len() > room {
                        self.out.truncate(before);
                        self.truncated = true;
                        return count;
                    }
                    count = count.saturating_add(1);
                }
            }
        }
        count
    }

    fn record(&mut self, owner: &[u8], rtype: u16, ttl: u32, rdata: &[u8]) {
        self.name(owner);
        self.out.extend(rtype.to_be_bytes());
        self.out.extend([0, 1]);
        self.out.extend(ttl.to_be_bytes());
        let length_at = self.out.len();
        self.out.extend([0, 0]);
        // RFC 3597 section 4: names are compressed in the types of RFC 1035 alone.
        if matches!(RecordType::from(rtype), RecordType::PTR | RecordType::CNAME | RecordType::NS) {
            self.name(rdata);
        } else {
            self.out.extend(rdata);
        }
        let length = u16::try_from(self.out.len() - length_at - 2).unwrap_or(u16::MAX);
        for (place, octet) in self.out.iter_mut().skip(length_at).zip(length.to_be_bytes()) {
            *place = octet;
        }
    }

    fn name(&mut self, wire: &[u8]) {
        let mut rest = wire;
        while let Some((&length, tail)) = rest.split_first() {
            if length == 0 {
                break;
            }
            if let Some(pointer) = self.seen.get(rest) {
                self.out.extend((0xC000 | pointer).to_be_bytes());
                return;
            }
            if let Ok(offset @ 0..=MAX_POINTER) = u16::try_from(self.out.len()) {
                self.seen.insert(rest.to_vec(), offset);
            }
            let (label, next) = tail.split_at_checked(usize::from(length)).unwrap_or((tail, &[]));
            self.out.push(length);
            self.out.extend(label);
            rest = next;
        }
        self.out.push(0);
    }

    fn finish(
        mut self,
        code: ResponseCode,
        [answers, authorities]: [u16; 2],
        question: &Question,
    ) -> Vec<u8> {
        if question.edns.is_some() {
            let flags = if question.dnssec_ok { 0x80 } else { 0 };
            let [high, low] = 1232_u16.to_be_bytes();
            self.out.extend([0, 0, 41, high, low, 0, 0, flags, 0, 0, 0]);
        }
        let [id_high, id_low] = question.id.to_be_bytes();
        let qr_aa = 0x84 | if self.truncated { 2 } else { 0 } | u8::from(question.recursion_desired);
        let ra = 0x80 | if question.checking_disabled { 0x10 } else { 0 } | code.low();
        let [an_high, an_low] = answers.to_be_bytes();
        let [ns_high, ns_low] = authorities.to_be_bytes();
        let ar = u8::from(question.edns.is_some());
        let header = [id_high, id_low, qr_aa, ra, 0, 1, an_high, an_low, ns_high, ns_low, 0, ar];
        for (place, octet) in self.out.iter_mut().zip(header) {
            *place = octet;
        }
        self.out
    }
}
