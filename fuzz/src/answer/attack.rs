//! What a forwarder on the way can do to a response.

use arbitrary::Arbitrary;
use hickory_proto::dnssec::rdata::{DNSSECRData, NSEC, NSEC3, RRSIG};
use hickory_proto::dnssec::{Algorithm, Nsec3HashAlgorithm};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, NS, NULL, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType, SerialNumber};
use hickory_proto::serialize::binary::{BinDecodable, BinEncodable, BinEncoder, NameEncoding};

use super::universe::{OWNERS, WORLD};

/// Something that is done to some of the responses on the way to one answer.
#[derive(Arbitrary, Clone, Debug)]
pub struct Attack {
    when: When,
    what: What,
}

#[derive(Arbitrary, Clone, Debug)]
enum When {
    Always,
    First,
    /// Only at this upstream question.
    Turn(u8),
    /// Only at DS, or at DNSKEY questions.
    Type(bool),
}

#[derive(Arbitrary, Clone, Debug)]
enum What {
    /// The answer to another question.
    Replace(u16),
    /// The answer to a question of the same name, or of the same zone and type, or of the same name and type in another zone.
    Confuse(u8),
    /// The same, and what stands there first now stands at the name that was asked for.
    Graft(u8),
    /// An alias leads elsewhere.
    Redirect(u16),
    /// Besides, the records of the answer to another question.
    Merge(u16),
    /// One record is lost.
    Drop(Part, u8),
    /// All records of a type are lost.
    Strip(Part, Kind),
    /// A record, with all of its owner or alone, goes to the other section.
    Move(Part, u8, bool),
    /// A record and all others of its owner get another owner; that of the question if there is none.
    Rename(Part, u8, Option<u16>),
    Code(u8),
    Flags(bool, bool),
    /// A record without a signature.
    Forge(Part, Forged),
    /// A record with a signature of a zone that is the attacker's, the owner being whatever it likes.
    Usurp(Part, Forged, u8),
    /// A signature is altered.
    Alter(Part, u8, Field, u32),
    /// The lifetime of a record is altered.
    Ttl(Part, u8, u32),
    /// An octet of the message is altered.
    Octet(u16, u8),
    Silence,
}

/// A section: the answers, or the authorities.
type Part = bool;

#[derive(Arbitrary, Clone, Debug)]
enum Kind {
    Rrsig,
    Nsec,
    Soa,
    Cname,
    Ns,
    A,
}

#[derive(Arbitrary, Clone, Debug)]
enum Field {
    Labels,
    Signer,
    Expiration,
    Inception,
    Tag,
    Algorithm,
    OriginalTtl,
    Covered,
    Octet,
}

#[derive(Arbitrary, Clone, Debug)]
struct Forged {
    /// That of the question if there is none.
    owner: Option<u16>,
    other: u16,
    data: ForgedData,
}

#[derive(Arbitrary, Clone, Debug)]
enum ForgedData {
    A,
    Cname,
    Dname,
    Ns,
    Soa,
    Tlsa,
    Ds,
    Nsec(u8),
    Nsec3 { opt_out: bool, iterations: bool, from: u8, types: u8 },
}

/// The zones of which the attacker has the keys.
const OWN: [&str; 3] = ["evil.test", "evil.nsec.test", "evil.nsec3.test"];

impl Attack {
    pub(super) fn strikes(&self, turn: usize, rr_type: RecordType) -> bool {
        match self.when {
            When::Always => true,
            When::First => turn == 0,
            When::Turn(at) => turn == usize::from(at % 12),
            When::Type(ds) => rr_type == if ds { RecordType::DS } else { RecordType::DNSKEY },
        }
    }

    /// The response after the attack; none for silence.
    pub(super) fn apply(&self, asked: &Name, rr_type: RecordType, mut message: Message) -> Option<Message> {
        let other = |choice: u16| &WORLD.answers[usize::from(choice) % WORLD.answers.len()];
        match &self.what {
            What::Replace(choice) => {
                take(&mut message, Some(other(*choice)));
            }
            What::Confuse(choice) => take(&mut message, WORLD.related(asked, rr_type, *choice)),
            What::Graft(choice) => {
                take(&mut message, WORLD.related(asked, rr_type, *choice));
                let Some(owner) = owner_of(&message.answers, 0) else { return Some(message) };
                message.answers.iter_mut().filter(|r| r.name == owner).for_each(|r| r.name = asked.clone());
            }
            What::Redirect(choice) => {
                let other = name(*choice);
                let aliases = message.answers.iter_mut().filter(|r| r.record_type() == RecordType::CNAME);
                aliases.for_each(|record| record.data = RData::CNAME(CNAME(other.clone())));
            }
            What::Merge(choice) => {
                let other = other(*choice);
                message.answers.extend(other.answers.iter().cloned());
                message.authorities.extend(other.authorities.iter().cloned());
            }
            What::Drop(part, index) => {
                let section = section(&mut message, *part);
                if !section.is_empty() {
                    section.remove(usize::from(*index) % section.len());
                }
            }
            What::Strip(part, kind) => {
                let types: &[RecordType] = match kind {
                    Kind::Rrsig => &[RecordType::RRSIG],
                    Kind::Nsec => &[RecordType::NSEC, RecordType::NSEC3],
                    Kind::Soa => &[RecordType::SOA],
                    Kind::Cname => &[RecordType::CNAME],
                    Kind::Ns => &[RecordType::NS],
                    Kind::A => &[RecordType::A],
                };
                section(&mut message, *part).retain(|record| !types.contains(&record.record_type()));
            }
            What::Move(part, index, alone) => {
                let from = section(&mut message, *part);
                let Some(owner) = owner_of(from, *index) else { return Some(message) };
                let moved: Vec<Record> = if *alone {
                    let place = usize::from(*index) % from.len();
                    vec![from.remove(place)]
                } else {
                    from.extract_if(.., |record| record.name == owner).collect()
                };
                section(&mut message, !part).extend(moved);
            }
            What::Rename(part, index, to) => {
                let section = section(&mut message, *part);
                let Some(owner) = owner_of(section, *index) else { return Some(message) };
                let to = to.map_or_else(|| asked.clone(), name);
                section.iter_mut().filter(|r| r.name == owner).for_each(|r| r.name = to.clone());
            }
            What::Code(code) => {
                let codes = [
                    ResponseCode::NoError,
                    ResponseCode::NXDomain,
                    ResponseCode::ServFail,
                    ResponseCode::YXDomain,
                ];
                message.metadata.response_code = codes[usize::from(code % 4)];
            }
            What::Flags(authentic, truncated) => {
                message.metadata.authentic_data = *authentic;
                message.metadata.truncation = *truncated;
            }
            What::Forge(part, forged) => section(&mut message, *part).push(forged.record(asked)),
            What::Usurp(part, forged, signer) => {
                let record = forged.record(asked);
                let signature = sign(&record, OWN[usize::from(*signer) % OWN.len()]);
                let section = section(&mut message, *part);
                // One's own records instead of those that stand there, which would not fit the signature.
                section.retain(|r| r.name != record.name || r.record_type() != record.record_type());
                section.extend([Some(record), signature].into_iter().flatten());
            }
            What::Alter(part, index, field, value) => {
                alter(section(&mut message, *part), *index, field, *value)
            }
            What::Ttl(part, index, ttl) => {
                let section = section(&mut message, *part);
                let place = usize::from(*index) % section.len().max(1);
                section.iter_mut().skip(place).take(1).for_each(|record| record.ttl = *ttl);
            }
            What::Octet(place, by) => {
                let mut wire = message.to_vec().ok()?;
                let place = usize::from(*place) % wire.len();
                wire[place] ^= (*by).max(1);
                message = Message::from_vec(&wire).ok()?;
            }
            What::Silence => return None,
        }
        Some(message)
    }
}

/// Puts the records of another message into this one.
fn take(message: &mut Message, other: Option<&Message>) {
    let Some(other) = other else { return };
    message.metadata.response_code = other.metadata.response_code;
    message.answers.clone_from(&other.answers);
    message.authorities.clone_from(&other.authorities);
}

fn section(message: &mut Message, answers: Part) -> &mut Vec<Record> {
    if answers { &mut message.answers } else { &mut message.authorities }
}

fn owner_of(section: &[Record], index: u8) -> Option<Name> {
    section.get(usize::from(index) % section.len().max(1)).map(|record| record.name.clone())
}

fn name(choice: u16) -> Name {
    OWNERS[usize::from(choice) % OWNERS.len()].clone()
}

impl Forged {
    fn record(&self, asked: &Name) -> Record {
        let owner = self.owner.map_or_else(|| asked.clone(), name);
        let other = name(self.other);
        let (owner, data) = match &self.data {
            ForgedData::A => (owner, RData::A(A::new(6, 6, 6, 6))),
            ForgedData::Cname => (owner, RData::CNAME(CNAME(other))),
            ForgedData::Dname => (owner, unknown(RecordType::DNAME, wire(&other))),
            ForgedData::Ns => (owner, RData::NS(NS(other))),
            ForgedData::Soa => (owner, RData::SOA(SOA::new(other.clone(), other, 1, 3600, 600, 86_400, 60))),
            ForgedData::Tlsa => (owner, unknown(RecordType::TLSA, [&[3, 1, 1][..], &[6; 32]].concat())),
            // Those of another zone's key.
            ForgedData::Ds => {
                let keys = WORLD
                    .answers
                    .iter()
                    .flat_map(|m| &m.answers)
                    .filter(|r| r.record_type() == RecordType::DS);
                let keys: Vec<&Record> = keys.collect();
                (owner, keys[usize::from(self.other) % keys.len()].data.clone())
            }
            ForgedData::Nsec(types) => {
                let data = NSEC::new(other, bitmap(*types));
                (owner, RData::DNSSEC(DNSSECRData::NSEC(data)))
            }
            ForgedData::Nsec3 { opt_out, iterations, from, types } => {
                let iterations = if *iterations { 200 } else { 0 };
                // Below a zone of the list, over all hashes from the one of the other name on.
                let zone = owner;
                let hash = Nsec3HashAlgorithm::SHA1.hash(&[], &other, iterations).unwrap();
                let (mut first, mut next) = (hash.as_ref().to_vec(), hash.as_ref().to_vec());
                first[19] = first[19].wrapping_sub(*from);
                next[0] = next[0].wrapping_add(1);
                let label = data_encoding::BASE32_DNSSEC.encode(&first);
                let owner = zone.prepend_label(label.as_bytes()).unwrap_or(zone);
                let data =
                    NSEC3::new(Nsec3HashAlgorithm::SHA1, *opt_out, iterations, vec![], next, bitmap(*types));
                (owner, RData::DNSSEC(DNSSECRData::NSEC3(data)))
            }
        };
        Record::from_rdata(owner, 60, data)
    }
}

fn bitmap(types: u8) -> Vec<RecordType> {
    let all = [
        RecordType::A,
        RecordType::NS,
        RecordType::SOA,
        RecordType::CNAME,
        RecordType::DNAME,
        RecordType::DS,
        RecordType::TLSA,
        RecordType::RRSIG,
    ];
    all.into_iter().enumerate().filter(|(bit, _)| types & 1 << bit != 0).map(|(_, rr_type)| rr_type).collect()
}

fn unknown(code: RecordType, rdata: Vec<u8>) -> RData {
    RData::Unknown { code, rdata: NULL::with(rdata) }
}

/// A name or data in canonical form, uncompressed.
fn wire(value: &impl BinEncodable) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_canonical_form(true);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    value.emit(&mut encoder).unwrap();
    octets
}

/// The signature of a zone that is the attacker's over one record.
fn sign(record: &Record, zone: &str) -> Option<Record> {
    let rr_type = record.record_type();
    let rdata = WORLD
        .universe
        .signature(zone, &record.name.to_ascii(), rr_type, record.ttl, vec![wire(&record.data)])
        .ok()?;
    let mut octets = wire(&record.name);
    octets.extend([0, 46, 0, 1]);
    octets.extend(record.ttl.to_be_bytes());
    octets.extend(u16::try_from(rdata.len()).ok()?.to_be_bytes());
    octets.extend(rdata);
    Record::from_bytes(&octets).ok()
}

/// Alters one of the signatures of a section.
fn alter(section: &mut [Record], index: u8, field: &Field, value: u32) {
    let signed = |r: &&mut Record| r.record_type() == RecordType::RRSIG;
    let count = section.iter().filter(|r| r.record_type() == RecordType::RRSIG).count();
    let Some(record) = section.iter_mut().filter(signed).nth(usize::from(index) % count.max(1)) else {
        return;
    };
    let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data else { return };
    let (mut input, mut octets) = (signature.input().clone(), signature.sig().to_vec());
    let [.., low] = value.to_be_bytes();
    match field {
        Field::Labels => input.num_labels = low % 8,
        Field::Signer => input.signer_name = OWNERS[usize::try_from(value).unwrap() % OWNERS.len()].clone(),
        Field::Expiration => input.sig_expiration = SerialNumber::from(value),
        Field::Inception => input.sig_inception = SerialNumber::from(value),
        Field::Tag => input.key_tag ^= u16::from(low),
        Field::Algorithm => input.algorithm = Algorithm::from_u8(low),
        Field::OriginalTtl => input.original_ttl = value,
        Field::Covered => input.type_covered = RecordType::from(u16::from(low)),
        Field::Octet => {
            let place = usize::try_from(value >> 8).unwrap() % octets.len().max(1);
            octets.iter_mut().skip(place).take(1).for_each(|octet| *octet ^= low.max(1));
        }
    }
    record.data = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, octets)));
}
