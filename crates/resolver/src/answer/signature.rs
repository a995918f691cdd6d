//! Checks signatures over RRsets with the keys of a zone (RFC 4035 section 5.3), and keys with DS records (section 5.2).
//!
//! Work is bounded (KeyTrap, CVE-2023-50387): per signature at most two keys are tried, keys that are dear to check with are not used, few
//! checks of one RRset may fail, and a question as a whole has a [`Work`] allowance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, RRSIG};
use hickory_proto::dnssec::{Proof, PublicKey, Verifier};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use revouch_validator::answer::SignatureWindow;
use revouch_validator::timestamp::Timestamp;

use super::algorithms::{is_supported, may_sign};
use super::names::{canonical, label_count, suffix, wildcard_of};
use super::rrset::{RrSet, rrsig, window};

/// Keys with the same tag and algorithm that are tried for one signature.
const MAX_KEYS_PER_TAG: usize = 2;

/// Checks that may fail for one RRset and one zone that signed it: those of keys with one tag, and of a signature that was just replaced.
const MAX_FAILURES_PER_SET: u32 = 3;

/// Checks that may fail for one question. Among honest zones only keys that share a tag make any.
const MAX_FAILURES: u32 = 8;

/// How many signatures one question may have checked, those over the keys on the way included, and how many of them may fail.
///
/// A chain of eleven signed aliases with three denials at its end, in zones five levels deep, takes fewer than 60.
#[derive(Debug)]
pub struct Work {
    checks_left: u32,
    failures_left: u32,
    shared: Option<FailureAllowance>,
}

impl Default for Work {
    fn default() -> Self {
        Self { checks_left: 128, failures_left: MAX_FAILURES, shared: None }
    }
}

impl Work {
    /// How many checks were made.
    #[cfg(test)]
    pub(crate) fn spent(&self) -> u32 {
        Self::default().checks_left - self.checks_left
    }

    /// From now on failed checks are taken from `shared` too.
    pub fn draw_on(&mut self, shared: FailureAllowance) {
        self.shared = Some(shared);
    }

    /// Makes a check, if one may be made. Once too many were made or have failed, nothing more is found valid.
    fn check(&mut self, holds: impl FnOnce() -> bool) -> bool {
        let shared_left = self.shared.as_ref().is_none_or(FailureAllowance::is_left);
        if self.checks_left == 0 || self.failures_left == 0 || !shared_left {
            return false;
        }
        self.checks_left -= 1;
        let held = holds();
        if !held {
            self.failures_left -= 1;
            self.shared.iter().for_each(FailureAllowance::take);
        }
        held
    }
}

/// How many checks may fail for all questions of one purpose. Clones share it.
#[derive(Clone, Debug)]
pub struct FailureAllowance(Arc<AtomicU32>);

impl FailureAllowance {
    /// Allows this many.
    #[must_use]
    pub fn new(failures: u32) -> Self {
        Self(Arc::new(AtomicU32::new(failures)))
    }

    fn is_left(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    fn take(&self) {
        // Questions that run side by side may overdraw it by one each, and then find nothing left.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    }
}

/// The keys of one zone, proven.
#[derive(Debug, Clone)]
pub struct ZoneKeys {
    zone: Name,
    keys: Vec<(u16, DNSKEY)>,
}

impl ZoneKeys {
    /// Takes from `keys` those with which a zone may sign: zone keys that are not revoked, of supported algorithms.
    fn new(zone: &Name, keys: impl IntoIterator<Item = DNSKEY>) -> Self {
        let usable = keys.into_iter().filter(may_sign);
        let keys = usable.filter_map(|k| Some((k.calculate_key_tag().ok()?, k))).collect();
        Self { zone: zone.clone(), keys }
    }

    /// How many octets the keys take.
    #[must_use]
    pub fn octets(&self) -> usize {
        let size = |key: &DNSKEY| size_of::<(u16, DNSKEY)>() + key.public_key().public_bytes().len();
        self.keys.iter().map(|(_, key)| size(key)).sum()
    }

    /// The zone whose keys these are.
    #[must_use]
    pub fn zone(&self) -> &Name {
        &self.zone
    }

    /// The keys that a signature may mean.
    fn matching(&self, signature: &RRSIG) -> impl Iterator<Item = &DNSKEY> {
        let (tag, algorithm) = (signature.input().key_tag, signature.input().algorithm);
        let fitting = self.keys.iter().filter(move |(t, k)| *t == tag && k.algorithm() == algorithm);
        fitting.map(|(_, k)| k).take(MAX_KEYS_PER_TAG)
    }
}

/// Keys, and for how long they may be kept.
#[derive(Debug, Clone)]
pub struct ProvenKeys {
    /// The keys.
    pub keys: ZoneKeys,
    /// In seconds; bounded by the expiration of the signature.
    pub ttl: u32,
    /// When the signature over the keys holds.
    pub window: SignatureWindow,
}

/// One RRset of a selected message, by the places of its records in their section.
#[derive(Debug, Clone)]
pub struct Place {
    owner: Name,
    rr_type: RecordType,
}

/// The RRsets of a section that could be proven: those with a signature that may apply to them now, each with the zones that signed.
///
/// A zone is named once, and at most three zones per RRset.
#[must_use]
pub fn signed_sets(section: &[Record], now: Timestamp) -> Vec<(Place, Vec<Name>)> {
    let mut sets: Vec<(Place, Vec<Name>)> = Vec::new();
    for record in section {
        let Some(signature) = rrsig(record) else { continue };
        if !may_apply(signature, &record.name, now) {
            continue;
        }
        let rr_type = signature.input().type_covered;
        let signer = canonical(&signature.input().signer_name);
        match sets.iter_mut().find(|(p, _)| p.owner == record.name && p.rr_type == rr_type) {
            Some((_, signers)) if signers.len() < 3 && !signers.contains(&signer) => signers.push(signer),
            Some(_) => {}
            None => sets.push((Place { owner: record.name.clone(), rr_type }, vec![signer])),
        }
    }
    sets
}

/// Whether a signature can be one over the RRset of `owner` and its type at all (RFC 4035 section 5.3.1 and RFC 5155 section 3).
fn may_apply(signature: &RRSIG, owner: &Name, now: Timestamp) -> bool {
    let input = signature.input();
    let labels = owner.num_labels();
    let in_time = input.sig_inception <= input.sig_expiration && window(input, now).contains(now);
    let zone_fits = match input.type_covered {
        RecordType::DS => {
            input.signer_name.zone_of(owner) && label_count(&input.signer_name) < label_count(owner)
        }
        RecordType::SOA | RecordType::DNSKEY => input.signer_name == *owner,
        RecordType::NSEC3 => input.signer_name == owner.base_name(),
        _ => input.signer_name.zone_of(owner),
    };
    let labels_fit = match input.type_covered {
        RecordType::NSEC | RecordType::NSEC3 | RecordType::DS | RecordType::SOA | RecordType::DNSKEY => {
            input.num_labels == labels
        }
        _ => input.num_labels <= labels && usize::from(input.num_labels) >= label_count(&input.signer_name),
    };
    in_time && zone_fits && labels_fit && is_supported(input.algorithm)
}

/// Checks the RRset at `place` with `keys`. If a signature holds, its records and that one signature are marked `Secure`, and
/// their TTL is cut to what was signed (RFC 4035 section 5.3.3). Returns whether one held.
pub fn prove(
    section: &mut [Record],
    place: &Place,
    keys: &ZoneKeys,
    now: Timestamp,
    work: &mut Work,
) -> bool {
    let is_member = |r: &Record| r.name == place.owner && r.record_type() == place.rr_type;
    let Some(rdata) = canonical_rdata(section.iter().filter(|r| is_member(r))) else { return false };
    let mut failures_left = MAX_FAILURES_PER_SET;
    let proven = section.iter().enumerate().find_map(|(index, record)| {
        let signature = rrsig(record)
            .filter(|s| record.name == place.owner && s.input().type_covered == place.rr_type)?;
        let applies =
            may_apply(signature, &place.owner, now) && canonical(&signature.input().signer_name) == keys.zone;
        (applies && holds(signature, &place.owner, &rdata, keys, work, &mut failures_left))
            .then(|| (index, ttl_limit(signature, record, now)))
    });
    let Some((signature_index, limit)) = proven else { return false };
    for (index, record) in section.iter_mut().enumerate() {
        if index == signature_index || is_member(record) {
            record.proof = Proof::Secure;
            record.ttl = record.ttl.min(limit);
        }
    }
    true
}

/// Checks the DNSKEY RRset of `zone` in the answers: it must be signed by one of its keys that `trusted` accepts.
pub fn prove_keys(
    zone: &Name,
    message: &mut Message,
    trusted: impl Fn(&DNSKEY) -> bool,
    now: Timestamp,
    work: &mut Work,
) -> Option<ProvenKeys> {
    let keys: Vec<DNSKEY> =
        message.answers.iter().filter(|r| r.name == *zone).filter_map(dnskey).cloned().collect();
    let entry = ZoneKeys::new(zone, keys.iter().filter(|k| trusted(k)).cloned());
    let place = Place { owner: zone.clone(), rr_type: RecordType::DNSKEY };
    let is_denied = message.metadata.response_code == ResponseCode::NXDomain;
    if is_denied || entry.keys.is_empty() || !prove(&mut message.answers, &place, &entry, now, work) {
        return None;
    }
    let set = RrSet::find(&message.answers, zone, RecordType::DNSKEY)?;
    let window = set.signature(&message.answers, now)?.window;
    Some(ProvenKeys { keys: ZoneKeys::new(zone, keys), ttl: set.ttl(), window })
}

/// Whether one of the DS records is the digest of `key` (RFC 4035 section 5.2). SHA-1 counts only where nothing stronger stands (RFC 4509).
#[must_use]
pub fn is_delegated(zone: &Name, key: &DNSKEY, records: &[DS]) -> bool {
    use hickory_proto::dnssec::DigestType;
    let Ok(tag) = key.calculate_key_tag() else { return false };
    let strong = records.iter().any(|ds| ds.digest_type() != DigestType::SHA1);
    records
        .iter()
        .filter(|ds| !strong || ds.digest_type() != DigestType::SHA1)
        .filter(|ds| ds.key_tag() == tag && ds.algorithm() == key.algorithm())
        .take(MAX_KEYS_PER_TAG)
        .any(|ds| ds.covers(zone, key).unwrap_or(false))
}

/// Whether `signature` was made over the data by a key of `keys`.
fn holds(
    signature: &RRSIG,
    owner: &Name,
    rdata: &[Vec<u8>],
    keys: &ZoneKeys,
    work: &mut Work,
    failures_left: &mut u32,
) -> bool {
    let Some(signed) = signed_data(signature, owner, rdata) else { return false };
    keys.matching(signature).any(|key| {
        let held = *failures_left > 0 && work.check(|| key.verify(&signed, signature.sig()).is_ok());
        *failures_left = failures_left.saturating_sub(u32::from(!held));
        held
    })
}

/// The longest time for which a proven record may be kept (RFC 4035 section 5.3.3), in seconds.
fn ttl_limit(signature: &RRSIG, record: &Record, now: Timestamp) -> u32 {
    let left = window(signature.input(), now).until.0.saturating_sub(now.0);
    record.ttl.min(signature.input().original_ttl).min(u32::try_from(left).unwrap_or(u32::MAX))
}

/// The RDATA of each record in canonical form (RFC 4034 section 6.2), sorted and without duplicates (section 6.3). `None` if there is none.
fn canonical_rdata<'r>(records: impl Iterator<Item = &'r Record>) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for record in records {
        let mut bytes = Vec::new();
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_canonical_form(true);
        encoder.set_name_encoding(NameEncoding::Uncompressed);
        record.data.emit(&mut encoder).ok()?;
        all.push(bytes);
    }
    all.sort_unstable();
    all.dedup();
    (!all.is_empty()).then_some(all)
}

/// What was signed (RFC 4035 section 5.3.2).
fn signed_data(signature: &RRSIG, owner: &Name, rdata: &[Vec<u8>]) -> Option<Vec<u8>> {
    let input = signature.input();
    let mut signed = Vec::new();
    let mut encoder = BinEncoder::new(&mut signed);
    encoder.set_canonical_form(true);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    input.emit(&mut encoder).ok()?;
    let mut head = Vec::new();
    let mut encoder = BinEncoder::new(&mut head);
    encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
    signed_owner(owner, input.num_labels)?.emit(&mut encoder).ok()?;
    input.type_covered.emit(&mut encoder).ok()?;
    hickory_proto::rr::DNSClass::IN.emit(&mut encoder).ok()?;
    encoder.emit_u32(input.original_ttl).ok()?;
    for data in rdata {
        signed.extend_from_slice(&head);
        signed.extend_from_slice(&u16::try_from(data.len()).ok()?.to_be_bytes());
        signed.extend_from_slice(data);
    }
    Some(signed)
}

/// The owner name as it was signed: the wildcard, if the signature has fewer labels than the owner.
fn signed_owner(owner: &Name, labels: u8) -> Option<Name> {
    if labels == owner.num_labels() {
        Some(owner.clone())
    } else {
        wildcard_of(&suffix(owner, usize::from(labels)))
    }
}

/// The key in a record.
fn dnskey(record: &Record) -> Option<&DNSKEY> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::DNSKEY(key)) => Some(key),
        _ => None,
    }
}
