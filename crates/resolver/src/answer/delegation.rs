//! What a parent zone says about a zone cut: is there a signed zone, an unsigned one, or none at all?
//!
//! A pure function of the answer to a DS question, as [`evaluate`](super::evaluate) is of any other.

use hickory_proto::dnssec::rdata::{DNSSECRData, DS};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use revouch_validator::answer::SignatureWindow;
use revouch_validator::timestamp::Timestamp;

use super::algorithms::is_usable;
use super::denial::{self, Denial};
use super::rrset::RrSet;
use super::{Bogus, Tally};

/// What stands at a name, said by the parent zone and proven by its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// A signed zone starts here; these DS records lead to its keys. All of them are of supported algorithms.
    Signed(Vec<DS>),
    /// An unsigned zone starts here, or may start here or above (opt-out), or one whose algorithms nobody here can check.
    Unsigned,
    /// No zone starts here.
    None,
    /// The name does not exist, and so no zone starts here or below.
    NoSuchName,
}

impl Cut {
    /// How many octets the DS records take.
    #[must_use]
    pub fn octets(&self) -> usize {
        let Self::Signed(records) = self else { return 0 };
        records.iter().map(|ds| size_of::<DS>() + ds.digest().len()).sum()
    }
}

/// A judged delegation, and for how long it may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// What stands there.
    pub cut: Cut,
    /// In seconds; bounded by the expiration of the signatures.
    pub ttl: u32,
    /// When the signatures hold that prove it.
    pub window: SignatureWindow,
}

/// Judges the answer to the DS question for `name`, which must not be the root.
///
/// # Errors
/// The message proves nothing about it.
pub fn judge(name: &Name, message: &Message, now: Timestamp) -> Result<Judged, Bogus> {
    let mut tally = Tally::default();
    let cut = if let Some(set) = RrSet::find(&message.answers, name, RecordType::DS) {
        if message.metadata.response_code == ResponseCode::NXDomain {
            return Err(Bogus("NXDOMAIN with DS records"));
        }
        signed(&set, message, now, &mut tally)?
    } else if let Some(set) = RrSet::find(&message.answers, name, RecordType::CNAME) {
        alias(&set, message, now, &mut tally)?
    } else {
        absent(name, message, now, &mut tally)?
    };
    let window = tally.window.ok_or(Bogus("a delegation without a signature"))?;
    let lifetime = window.until.0.saturating_sub(now.0);
    let ttl = tally.ttl.unwrap_or(0).min(u32::try_from(lifetime).unwrap_or(u32::MAX));
    Ok(Judged { cut, ttl, window })
}

/// There are DS records. Only the parent can have signed them.
fn signed(set: &RrSet<'_>, message: &Message, now: Timestamp, tally: &mut Tally) -> Result<Cut, Bogus> {
    let signature =
        set.signature(&message.answers, now).ok_or(Bogus("DS records without a valid signature"))?;
    if signature.signer == set.owner || signature.labels != set.owner.num_labels() {
        return Err(Bogus("DS records that the parent did not sign"));
    }
    tally.count_ttl(set.ttl());
    tally.count_window(signature.window);
    let supported: Vec<DS> =
        set.records.iter().filter_map(|r| ds(r)).filter(|ds| is_usable(ds)).cloned().collect();
    // RFC 4035 section 5.2: a zone that nobody here can check is as if unsigned.
    Ok(if supported.is_empty() { Cut::Unsigned } else { Cut::Signed(supported) })
}

/// A name with a CNAME is no zone cut (RFC 2181 section 10.1).
fn alias(set: &RrSet<'_>, message: &Message, now: Timestamp, tally: &mut Tally) -> Result<Cut, Bogus> {
    let signature =
        set.signature(&message.answers, now).ok_or(Bogus("an alias without a valid signature"))?;
    if signature.labels != set.owner.num_labels() {
        return Err(Bogus("an alias from a wildcard where a zone cut is looked for"));
    }
    tally.count_ttl(set.ttl());
    tally.count_window(signature.window);
    Ok(Cut::None)
}

/// There is no DS record. The zone that denies it is the one whose SOA is shown, or that signed the denial.
fn absent(name: &Name, message: &Message, now: Timestamp, tally: &mut Tally) -> Result<Cut, Bogus> {
    let zone = denying_zone(name, message, now).ok_or(Bogus("no proof that there is no DS record"))?;
    let denial = Denial::of(message, zone, now, tally)?;
    Ok(match denial.delegation(name)? {
        denial::Delegation::Insecure => Cut::Unsigned,
        denial::Delegation::None => Cut::None,
        denial::Delegation::NoSuchName => Cut::NoSuchName,
    })
}

/// The closest zone above `name` that signed a denial in `message`.
fn denying_zone<'m>(name: &Name, message: &'m Message, now: Timestamp) -> Option<&'m Name> {
    let section = &message.authorities;
    section
        .iter()
        .filter(|r| matches!(r.record_type(), RecordType::NSEC | RecordType::NSEC3))
        .filter_map(|r| RrSet::find(section, &r.name, r.record_type())?.signature(section, now))
        .map(|signature| signature.signer)
        .filter(|signer| super::is_below(name, signer))
        .max_by_key(|signer| super::label_count(signer))
}

/// The DS data of a record.
fn ds(record: &Record) -> Option<&DS> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::DS(ds)) => Some(ds),
        _ => None,
    }
}
