//! What can be done to a message on its way: small changes, to be combined.

use hickory_proto::dnssec::Nsec3HashAlgorithm;
use hickory_proto::dnssec::rdata::sig::SigInput;
use hickory_proto::dnssec::rdata::{DNSSECRData, NSEC, NSEC3, RRSIG};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, NULL};
use hickory_proto::rr::{RData, Record, SerialNumber};

use super::*;

/// One change to a message.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// Every RRSIG goes.
    StripSignatures,
    /// The RRSIGs over this type go.
    StripSignaturesOf(RecordType),
    /// The records of this type go, and their RRSIGs.
    Strip(RecordType),
    /// NSEC and NSEC3 records go, and their RRSIGs.
    StripDenial,
    ClearAnswers,
    ClearAuthorities,
    /// The answer's n-th record goes.
    DropAnswer(usize),
    /// The authority section's n-th record goes.
    DropAuthority(usize),
    Code(ResponseCode),
    /// AD = 1.
    Authentic,
    /// Records and response code are those of another message.
    Replace(Message),
    /// As [`Replace`](Self::Replace), and what stood at the other's question stands at this one.
    ReplaceAs(Message),
    /// The other message's records as well.
    AddFrom(Message),
    /// The other message's authority section instead of this one's.
    AuthoritiesOf(Message),
    /// Forged data at the name that was asked for, instead of the answer.
    Forge(RData),
    /// Forged data at this name, besides.
    Add(Name, RData),
    /// The first data of every answer to the question's type is changed, its signature stays.
    Spoil,
    /// A forged CNAME, and forged data at its target.
    Alias(Name, RData),
    /// Every signature is changed.
    Tamper(Tampering),
    /// Every NSEC3 record says opt-out.
    OptOut,
    /// Every NSEC and NSEC3 record denies (or admits) these types.
    Bitmap(Vec<RecordType>),
    /// The owner of every NSEC record becomes this.
    DenialAt(Name),
    /// The owner of every SOA record and its signature becomes this.
    SoaAt(Name),
    /// Every record twice.
    Twice,
    /// The other order.
    Reverse,
    /// Answers and authorities change places.
    Swap,
    /// Owner names in capitals.
    UpperCase,
    Ttl(u32),
}

/// A change to a signature's fields or octets.
#[derive(Clone, Debug)]
pub(super) enum Tampering {
    Labels(u8),
    Signer(Name),
    Tag(u16),
    Covers(RecordType),
    OriginalTtl(u32),
    /// Valid for ever.
    Renewed,
    /// The last bit of the signature.
    Bit,
}

/// Applies all in order.
pub(super) fn apply(edits: &[Edit], message: &mut Message) {
    for edit in edits {
        edit.apply(message);
    }
}

impl Edit {
    fn apply(&self, message: &mut Message) {
        let asked = message.queries.first().map(|q| (canonical(q.name()), q.query_type()));
        match self {
            Self::StripSignatures => retain(message, |r| r.record_type() != RecordType::RRSIG),
            Self::StripSignaturesOf(rr_type) => retain(message, |r| covered(r) != Some(*rr_type)),
            Self::Strip(rr_type) => strip(message, &[*rr_type]),
            Self::StripDenial => strip(message, &[RecordType::NSEC, RecordType::NSEC3]),
            Self::ClearAnswers => message.answers.clear(),
            Self::ClearAuthorities => message.authorities.clear(),
            Self::DropAnswer(index) => drop_at(&mut message.answers, *index),
            Self::DropAuthority(index) => drop_at(&mut message.authorities, *index),
            Self::Code(code) => message.metadata.response_code = *code,
            Self::Authentic => message.metadata.authentic_data = true,
            Self::Replace(other) => replace(message, other),
            Self::ReplaceAs(other) => {
                replace(message, other);
                let theirs = other.queries.first().map(|q| canonical(q.name()));
                for record in all(message) {
                    if let (Some(theirs), Some((ours, _))) = (&theirs, &asked)
                        && canonical(&record.name) == *theirs
                    {
                        record.name = ours.clone();
                    }
                }
            }
            Self::AddFrom(other) => {
                message.answers.extend(other.answers.iter().cloned());
                message.authorities.extend(other.authorities.iter().cloned());
            }
            Self::AuthoritiesOf(other) => message.authorities.clone_from(&other.authorities),
            Self::Forge(data) => {
                if let Some((name, _)) = asked {
                    message.answers = vec![Record::from_rdata(name, 300, data.clone())];
                    message.metadata.response_code = ResponseCode::NoError;
                }
            }
            Self::Add(name, data) => {
                message.answers.push(Record::from_rdata(name.clone(), 300, data.clone()));
            }
            Self::Spoil => {
                if let Some(record) = message.answers.iter_mut().find(|r| covered(r).is_none()) {
                    record.data = spoiled(&record.data);
                }
            }
            Self::Alias(target, data) => {
                if let Some((name, _)) = asked {
                    let alias = RData::CNAME(CNAME(target.clone()));
                    message.answers = vec![
                        Record::from_rdata(name, 300, alias),
                        Record::from_rdata(target.clone(), 300, data.clone()),
                    ];
                    message.metadata.response_code = ResponseCode::NoError;
                }
            }
            Self::Tamper(how) => all(message).for_each(|record| tamper(record, how)),
            Self::OptOut => all(message).for_each(|record| rewrite_denial(record, true, None)),
            Self::Bitmap(types) => {
                all(message).for_each(|record| rewrite_denial(record, false, Some(types)));
            }
            Self::DenialAt(name) => rename(message, RecordType::NSEC, name),
            Self::SoaAt(name) => rename(message, RecordType::SOA, name),
            Self::Twice => {
                message.answers.extend(message.answers.clone());
                message.authorities.extend(message.authorities.clone());
            }
            Self::Reverse => {
                message.answers.reverse();
                message.authorities.reverse();
            }
            Self::Swap => std::mem::swap(&mut message.answers, &mut message.authorities),
            Self::UpperCase => all(message).for_each(|record| record.name = upper(&record.name)),
            Self::Ttl(seconds) => all(message).for_each(|record| record.ttl = *seconds),
        }
    }
}

fn all(message: &mut Message) -> impl Iterator<Item = &mut Record> {
    message.answers.iter_mut().chain(&mut message.authorities)
}

fn retain(message: &mut Message, keep: impl Fn(&Record) -> bool) {
    message.answers.retain(&keep);
    message.authorities.retain(&keep);
}

fn strip(message: &mut Message, types: &[RecordType]) {
    retain(message, |r| !types.contains(&covered(r).unwrap_or(r.record_type())));
}

fn drop_at(section: &mut Vec<Record>, index: usize) {
    if !section.is_empty() {
        section.remove(index % section.len());
    }
}

fn replace(message: &mut Message, other: &Message) {
    message.answers.clone_from(&other.answers);
    message.authorities.clone_from(&other.authorities);
    message.metadata.response_code = other.metadata.response_code;
}

/// What a signature covers; `None` for everything else.
pub(super) fn covered(record: &Record) -> Option<RecordType> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some(signature.input().type_covered),
        _ => None,
    }
}

fn rename(message: &mut Message, rr_type: RecordType, name: &Name) {
    for record in all(message) {
        if covered(record).unwrap_or(record.record_type()) == rr_type {
            record.name = name.clone();
        }
    }
}

fn upper(name: &Name) -> Name {
    let mut made = Name::from_labels(name.iter().map(<[u8]>::to_ascii_uppercase)).unwrap();
    made.set_fqdn(true);
    made
}

/// Other data of the same type, if a forger would know any.
fn spoiled(data: &RData) -> RData {
    match data {
        RData::A(_) => forged_address(),
        RData::CNAME(_) => RData::CNAME(CNAME(wire_name("www.unsigned.test"))),
        RData::PTR(_) => RData::PTR(hickory_proto::rr::rdata::PTR(wire_name("forged.unsigned.test"))),
        RData::TLSA(tlsa) => {
            let mut tlsa = tlsa.clone();
            tlsa.cert_data = vec![0x66; tlsa.cert_data.len()];
            RData::TLSA(tlsa)
        }
        other => other.clone(),
    }
}

/// An address that stands nowhere in the universe.
pub(super) fn forged_address() -> RData {
    RData::A(A::new(127, 6, 6, 6))
}

/// A DNAME, which the library knows as octets only.
pub(super) fn dname(target: &str) -> RData {
    let octets = wire_name(target).iter().fold(Vec::new(), |mut octets, label| {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend(label);
        octets
    });
    RData::Unknown { code: RecordType::DNAME, rdata: NULL::with([octets, vec![0]].concat()) }
}

fn tamper(record: &mut Record, how: &Tampering) {
    let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data else { return };
    let (mut input, mut octets): (SigInput, Vec<u8>) = (signature.input().clone(), signature.sig().to_vec());
    match how {
        Tampering::Labels(labels) => input.num_labels = *labels,
        Tampering::Signer(signer) => input.signer_name = signer.clone(),
        Tampering::Tag(tag) => input.key_tag = *tag,
        Tampering::Covers(rr_type) => input.type_covered = *rr_type,
        Tampering::OriginalTtl(ttl) => input.original_ttl = *ttl,
        Tampering::Renewed => {
            let now = input.sig_inception.get();
            input.sig_inception = SerialNumber::new(now.wrapping_sub(86_400 * 60));
            input.sig_expiration = SerialNumber::new(now.wrapping_add(86_400 * 60));
        }
        Tampering::Bit => {
            if let Some(last) = octets.last_mut() {
                *last ^= 1;
            }
        }
    }
    record.data = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, octets)));
}

fn rewrite_denial(record: &mut Record, opt_out: bool, types: Option<&[RecordType]>) {
    let made = match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC3(old)) => {
            let kept: Vec<RecordType> = types.map_or_else(|| old.type_bit_maps().collect(), <[_]>::to_vec);
            DNSSECRData::NSEC3(NSEC3::new(
                Nsec3HashAlgorithm::SHA1,
                opt_out || old.opt_out(),
                old.iterations(),
                old.salt().to_vec(),
                old.next_hashed_owner_name().to_vec(),
                kept,
            ))
        }
        RData::DNSSEC(DNSSECRData::NSEC(old)) => {
            let Some(types) = types else { return };
            DNSSECRData::NSEC(NSEC::new(old.next_domain_name().clone(), types.iter().copied()))
        }
        _ => return,
    };
    record.data = RData::DNSSEC(made);
}
