//! Hand-made messages, one for each way in which an answer can be right or wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod delegations;
mod negatives;
mod positives;
mod properties;
mod selection;
mod signatures;

use hickory_proto::dnssec::rdata::sig::SigInput;
use hickory_proto::dnssec::rdata::{DNSSECRData, NSEC, NSEC3, RRSIG};
use hickory_proto::dnssec::{Algorithm, Nsec3HashAlgorithm, Proof};
use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, NULL, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType, SerialNumber};
use revouch_validator::timestamp::Timestamp;

use super::*;

/// The time of all messages here; signatures hold from 1000 before to 1000 after.
const NOW: Timestamp = Timestamp(1_800_000_000);

const SIGNED: &str = "signed.test.";

fn name(text: &str) -> Name {
    canonical(&Name::from_ascii(text).unwrap())
}

/// A message in the making.
#[derive(Clone, Debug)]
struct Built(Message);

fn response() -> Built {
    Built(Message::response(1, OpCode::Query))
}

impl Built {
    fn nxdomain(mut self) -> Self {
        self.0.metadata.response_code = ResponseCode::NXDomain;
        self
    }

    fn answer(mut self, records: impl IntoIterator<Item = Record>) -> Self {
        self.0.add_answers(records);
        self
    }

    fn authority(mut self, records: impl IntoIterator<Item = Record>) -> Self {
        self.0.add_authorities(records);
        self
    }

    fn question(mut self, owner: &str, rr_type: RecordType) -> Self {
        self.0.add_query(Query::query(name(owner), rr_type));
        self
    }

    fn evaluate(&self, owner: &str, rr_type: RecordType) -> Result<Evaluated, Bogus> {
        evaluate(&name(owner), rr_type, &self.0, NOW)
    }

    /// The state of the answer to the question for A records, as one word.
    fn verdict(&self, owner: &str) -> &'static str {
        verdict(&self.evaluate(owner, RecordType::A))
    }
}

/// The verdict in one word: that of the least part.
fn verdict(result: &Result<Evaluated, Bogus>) -> &'static str {
    let Ok(evaluated) = result else { return "bogus" };
    let states = || evaluated.chain.iter().map(|link| link.state).chain([evaluated.state]);
    if states().any(|s| s == State::Unproven) {
        "claimed"
    } else if states().any(|s| s == State::Insecure) {
        "insecure"
    } else {
        "secure"
    }
}

fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(name(owner), 300, data)
}

/// A record, unsigned.
fn plain(owner: &str, data: RData) -> Vec<Record> {
    vec![record(owner, data)]
}

/// What a signature says.
struct Signing<'s> {
    signer: &'s str,
    labels: Option<u8>,
    from: u32,
    until: u32,
}

fn by(signer: &str) -> Signing<'_> {
    let now = u32::try_from(NOW.0).unwrap();
    Signing { signer, labels: None, from: now - 1000, until: now + 1000 }
}

/// Records of one RRset, proven, with the signature that proved them.
fn proven(owner: &str, data: impl IntoIterator<Item = RData>, signing: &Signing<'_>) -> Vec<Record> {
    let mut records: Vec<Record> = data.into_iter().map(|d| record(owner, d)).collect();
    let rr_type = records[0].record_type();
    let input = SigInput {
        type_covered: rr_type,
        algorithm: Algorithm::ECDSAP256SHA256,
        num_labels: signing.labels.unwrap_or_else(|| name(owner).num_labels()),
        original_ttl: 300,
        sig_expiration: SerialNumber::from(signing.until),
        sig_inception: SerialNumber::from(signing.from),
        key_tag: 1,
        signer_name: name(signing.signer),
    };
    records.push(record(owner, RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, vec![0; 64])))));
    for record in &mut records {
        record.proof = Proof::Secure;
    }
    records
}

/// As [`proven`], with the plain signature of [`SIGNED`].
fn secure(owner: &str, data: RData) -> Vec<Record> {
    proven(owner, [data], &by(SIGNED))
}

fn a(last: u8) -> RData {
    RData::A(A::new(192, 0, 2, last))
}

fn cname(target: &str) -> RData {
    RData::CNAME(CNAME(name(target)))
}

fn dname(target: &str) -> RData {
    let mut wire: Vec<u8> = Vec::new();
    for label in &name(target) {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend_from_slice(label);
    }
    wire.push(0);
    RData::Unknown { code: RecordType::DNAME, rdata: NULL::with(wire) }
}

fn soa(minimum: u32) -> RData {
    RData::SOA(SOA::new(name("ns.test."), name("admin.test."), 1, 3600, 600, 86400, minimum))
}

fn nsec(next: &str, types: &[RecordType]) -> RData {
    RData::DNSSEC(DNSSECRData::NSEC(NSEC::new(name(next), types.iter().copied())))
}

/// The SOA of the signed zone, proven.
fn signed_soa() -> Vec<Record> {
    secure(SIGNED, soa(60))
}

/// NSEC3 records of a zone, made for the names that are to match and to be covered.
struct Nsec3s {
    zone: &'static str,
    iterations: u16,
    opt_out: bool,
}

impl Nsec3s {
    fn of(zone: &'static str) -> Self {
        Self { zone, iterations: 0, opt_out: false }
    }

    fn hash(&self, of: &str) -> Vec<u8> {
        Nsec3HashAlgorithm::SHA1.hash(b"salt", &name(of), self.iterations).unwrap().as_ref().to_vec()
    }

    fn record(&self, hash: &[u8], next: Vec<u8>, types: &[RecordType]) -> Vec<Record> {
        let owner = format!("{}.{}", data_encoding::BASE32_DNSSEC.encode(hash), self.zone);
        let data = NSEC3::new(
            Nsec3HashAlgorithm::SHA1,
            self.opt_out,
            self.iterations,
            b"salt".to_vec(),
            next,
            types.iter().copied(),
        );
        proven(&owner, [RData::DNSSEC(DNSSECRData::NSEC3(data))], &by(self.zone))
    }

    /// The record at `of`, whose gap is as small as can be.
    fn matching(&self, of: &str, types: &[RecordType]) -> Vec<Record> {
        let hash = self.hash(of);
        self.record(&hash, neighbour(&hash, 1), types)
    }

    /// A record in whose gap the hash of `of` lies, and hardly any other.
    fn covering(&self, of: &str) -> Vec<Record> {
        let hash = self.hash(of);
        self.record(&neighbour(&hash, -1), neighbour(&hash, 1), &[RecordType::A])
    }
}

/// The hash one before or after.
fn neighbour(hash: &[u8], step: i8) -> Vec<u8> {
    let mut moved = hash.to_vec();
    for octet in moved.iter_mut().rev() {
        let (next, carried) = if step > 0 { octet.overflowing_add(1) } else { octet.overflowing_sub(1) };
        *octet = next;
        if !carried {
            break;
        }
    }
    moved
}
