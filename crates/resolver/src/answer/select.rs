//! From a raw response to the few records that can matter, before any of them costs a signature check.
//!
//! Promises of the selected message: it answers exactly the question that was asked, with nothing beside the aliases where it denies; names are canonical; only class IN; no record stands
//! there twice; along the chain at most [`MAX_LINKS`] aliases, of authority records at most [`MAX_DENIALS`] denials, of signatures at
//! most [`MAX_SIGNATURES`] per RRset. Additional records are gone. No proof is on any record.

use std::collections::HashSet;

use hickory_proto::dnssec::Proof;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::chain::MAX_LINKS;
use super::names::{canonical, is_below, label_count};
use super::rrset::rrsig;

/// The most NSEC and NSEC3 records that are looked at. A chain of wildcards with a denial at its end has 14.
const MAX_DENIALS: usize = 32;

/// The most signatures of one RRset that are looked at: two algorithms, two keys each, twice over.
pub(super) const MAX_SIGNATURES: usize = 8;

/// Why a response cannot be an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It is no response to the question that was asked.
    NotTheAnswer,
    /// Cut short, and no way to ask for the whole.
    Truncated,
    /// The upstream reports an error.
    Code(ResponseCode),
}

/// Picks from `raw` what can matter for `rr_type` at `name`, which must be canonical.
///
/// # Errors
/// The message is no answer to this question.
pub fn select(name: &Name, rr_type: RecordType, raw: &Message) -> Result<Message, Unusable> {
    check_header(name, rr_type, raw)?;
    let mut picked = Message::response(raw.metadata.id, OpCode::Query);
    picked.metadata.response_code = raw.metadata.response_code;
    picked.metadata.authentic_data = raw.metadata.authentic_data;
    picked.queries.clone_from(&raw.queries);
    let answers = canonical_records(&raw.answers);
    let chain = along_the_chain(name, rr_type, &answers);
    // Where there is nothing, there is nothing else either.
    if chain.denies && answers.iter().any(|record| chain.is_stray(record)) {
        return Err(Unusable::NotTheAnswer);
    }
    picked.insert_answers(chain.records);
    picked.insert_authorities(denials(&canonical_records(&raw.authorities)));
    Ok(picked)
}

/// The response must repeat the question: transports compare the identifier, not all of them the rest.
fn check_header(name: &Name, rr_type: RecordType, raw: &Message) -> Result<(), Unusable> {
    let [query] = raw.queries.as_slice() else { return Err(Unusable::NotTheAnswer) };
    let same = canonical(query.name()) == *name
        && query.query_type() == rr_type
        && query.query_class() == DNSClass::IN;
    if !same || raw.metadata.message_type != MessageType::Response || raw.metadata.op_code != OpCode::Query {
        return Err(Unusable::NotTheAnswer);
    }
    if raw.metadata.truncation {
        return Err(Unusable::Truncated);
    }
    match raw.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(()),
        code => Err(Unusable::Code(code)),
    }
}

/// The records of class IN, names canonical, each once, proofs removed.
fn canonical_records(section: &[Record]) -> Vec<Record> {
    let mut seen = HashSet::with_capacity(section.len());
    let mut records: Vec<Record> = Vec::with_capacity(section.len());
    for record in section.iter().filter(|r| r.dns_class == DNSClass::IN) {
        let mut record = record.clone();
        record.name = canonical(&record.name);
        record.proof = Proof::Indeterminate;
        lower_case_dname(&mut record);
        if seen.insert((record.name.clone(), record.data.clone())) {
            records.push(record);
        }
    }
    records
}

/// The canonical form of a DNAME has its target in lower case (RFC 4034 section 6.2), which the library does not know.
fn lower_case_dname(record: &mut Record) {
    if let RData::Unknown { code: RecordType::DNAME, rdata } = &mut record.data {
        *rdata = NULL::with(rdata.anything.to_ascii_lowercase());
    }
}

/// The RRsets that the walk from a name can meet, with their signatures.
struct Chain {
    records: Vec<Record>,
    /// The owners of the aliases.
    met: Vec<Name>,
    /// There is neither a record nor an alias at its end.
    denies: bool,
}

impl Chain {
    /// Whether the record belongs to another question.
    fn is_stray(&self, record: &Record) -> bool {
        let is_one_alias_more = record.record_type() == RecordType::CNAME && self.met.contains(&record.name);
        rrsig(record).is_none() && !is_one_alias_more && !self.records.contains(record)
    }
}

fn along_the_chain(start: &Name, rr_type: RecordType, answers: &[Record]) -> Chain {
    let mut picked = Vec::new();
    let mut denies = false;
    let mut met: Vec<Name> = Vec::new();
    let mut name = start.clone();
    while met.len() <= MAX_LINKS && !met.contains(&name) {
        if pick(answers, &name, rr_type, usize::MAX, &mut picked) {
            if rr_type == RecordType::CNAME {
                pick_dname(answers, &name, &mut picked);
            } else {
                // One that stands beside the records is kept as a contradiction.
                pick(answers, &name, RecordType::CNAME, 1, &mut picked);
            }
            break;
        }
        // Two of a kind are enough to see that there is more than one.
        if !pick(answers, &name, RecordType::CNAME, 2, &mut picked) {
            denies = true;
            break;
        }
        pick_dname(answers, &name, &mut picked);
        let cname = picked.iter().find(|r| r.name == name && r.record_type() == RecordType::CNAME);
        let Some(RData::CNAME(target)) = cname.map(|r| &r.data) else { break };
        met.push(std::mem::replace(&mut name, canonical(&target.0)));
    }
    Chain { records: picked, met, denies }
}

/// Appends the DNAME closest above `name`, from which its CNAME may have been made.
fn pick_dname(answers: &[Record], name: &Name, picked: &mut Vec<Record>) {
    let dname = answers.iter().filter(|r| r.record_type() == RecordType::DNAME && is_below(name, &r.name));
    if let Some(closest) = dname.max_by_key(|r| label_count(&r.name))
        && !picked.iter().any(|r| r.record_type() == RecordType::DNAME && r.name == closest.name)
    {
        pick(answers, &closest.name, RecordType::DNAME, 2, picked);
    }
}

/// The SOA records (two, if there is more than one) and the denials, with their signatures; of a referral one NS record, to tell it by.
fn denials(authorities: &[Record]) -> Vec<Record> {
    let mut picked = Vec::new();
    let soas = authorities.iter().filter(|r| r.record_type() == RecordType::SOA).take(2);
    let nsecs = authorities
        .iter()
        .filter(|r| matches!(r.record_type(), RecordType::NSEC | RecordType::NSEC3))
        .take(MAX_DENIALS);
    for record in soas.chain(nsecs) {
        if !picked.iter().any(|r: &Record| r.name == record.name && r.record_type() == record.record_type()) {
            pick(authorities, &record.name, record.record_type(), 2, &mut picked);
        }
    }
    picked.extend(authorities.iter().find(|r| r.record_type() == RecordType::NS).cloned());
    picked
}

/// Appends the RRset of `owner` and `rr_type`, at most `most` records of it, and its signatures. Says whether there was one.
fn pick(
    section: &[Record],
    owner: &Name,
    rr_type: RecordType,
    most: usize,
    picked: &mut Vec<Record>,
) -> bool {
    let before = picked.len();
    picked.extend(
        section.iter().filter(|r| r.record_type() == rr_type && r.name == *owner).take(most).cloned(),
    );
    if picked.len() == before {
        return false;
    }
    let signatures = section
        .iter()
        .filter(|r| r.name == *owner && rrsig(r).is_some_and(|s| s.input().type_covered == rr_type));
    picked.extend(signatures.take(MAX_SIGNATURES).cloned());
    true
}
