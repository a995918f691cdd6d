//! Which records of a message may deny something in a zone, and what their type bit maps mean.

use hickory_proto::dnssec::rdata::{DNSSECRData, NSEC, NSEC3};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType, RecordTypeSet};
use revouch_validator::timestamp::Timestamp;

use super::nsec::NsecChain;
use super::nsec3::Nsec3Chain;
use super::rrset::{RrSet, Signature};
use super::{Bogus, Negation, Tally};

/// A proven negative answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) kind: Negation,
    /// `false` where an unsigned name may stand all the same: opt-out, too many iterations.
    pub(crate) secure: bool,
}

impl Denied {
    pub(crate) fn secure(kind: Negation) -> Self {
        Self { kind, secure: true }
    }
}

/// A wildcard expansion that is not contradicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expansion {
    /// No closer name exists.
    Proven,
    /// An unsigned closer name may exist: the answer is insecure.
    Unsigned,
}

/// What a parent zone says about a zone cut, where there is no DS record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delegation {
    /// An unsigned zone starts here, or may start here or above.
    Insecure,
    /// The name is no zone cut.
    None,
    /// The name does not exist.
    NoSuchName,
}

/// The types that an NSEC or NSEC3 record lists.
#[derive(Clone, Copy)]
pub(crate) struct Bitmap<'m>(&'m RecordTypeSet);

impl<'m> Bitmap<'m> {
    pub(crate) fn of(types: &'m RecordTypeSet) -> Self {
        Self(types)
    }

    fn has(self, rr_type: RecordType) -> bool {
        self.0.contains(rr_type)
    }

    /// The parent's side of a zone cut.
    fn is_delegation(self) -> bool {
        self.has(RecordType::NS) && !self.has(RecordType::SOA)
    }

    /// Whether names below the owner are somebody else's to deny (RFC 6840 section 4.1).
    pub(crate) fn hides_descendants(self) -> bool {
        self.is_delegation() || self.has(RecordType::DNAME)
    }

    /// Whether `rr_type` is absent at the owner, said by the side of a zone cut that may say so.
    pub(crate) fn denies(self, rr_type: RecordType, owner: &Name) -> Result<(), Bogus> {
        if self.has(rr_type) || self.has(RecordType::CNAME) {
            return Err(Bogus("the type is there, as the denial itself says"));
        }
        if rr_type == RecordType::DS {
            // RFC 4035 section 5.2: only the parent can deny a DS record.
            if self.has(RecordType::SOA) && !owner.is_root() {
                return Err(Bogus("DS denied by the child's side of a zone cut"));
            }
        } else if self.is_delegation() {
            return Err(Bogus("denied by the parent's side of a zone cut"));
        }
        Ok(())
    }

    /// What the record at a name says about a zone cut there (RFC 6840 section 4.4: without NS there is none).
    pub(crate) fn delegation(self) -> Result<Delegation, Bogus> {
        if self.has(RecordType::DS) {
            return Err(Bogus("the DS record is there, as its denial itself says"));
        }
        if self.has(RecordType::SOA) {
            return Err(Bogus("DS denied by the child's side of a zone cut"));
        }
        Ok(if self.has(RecordType::NS) { Delegation::Insecure } else { Delegation::None })
    }
}

/// The proven NSEC or NSEC3 records with which `zone` denies.
#[derive(Debug)]
pub(crate) enum Denial<'m> {
    Nsec(NsecChain<'m>),
    Nsec3(Nsec3Chain<'m>),
}

impl<'m> Denial<'m> {
    /// Collects what the authority section of `message` holds, and counts it into `tally`.
    ///
    /// Only records that `zone` itself signed under their own name count; whatever else stands there is as if it were absent.
    ///
    /// # Errors
    /// None is there, or both kinds are, or NSEC3 parameters differ.
    pub(crate) fn of(
        message: &'m Message,
        zone: &'m Name,
        now: Timestamp,
        tally: &mut Tally,
    ) -> Result<Self, Bogus> {
        let section = &message.authorities;
        let mut nsec: Vec<(&Name, &NSEC)> = Vec::new();
        let mut nsec3: Vec<(&Name, &NSEC3)> = Vec::new();
        let mut is_spoilt = false;
        for record in section {
            let Some((set, signature)) = proven(section, record, zone, now) else {
                is_spoilt |= record.record_type() == RecordType::NSEC3 && record.name.base_name() == *zone;
                continue;
            };
            match &record.data {
                RData::DNSSEC(DNSSECRData::NSEC(data)) => nsec.push((&record.name, data)),
                RData::DNSSEC(DNSSECRData::NSEC3(data)) if record.name.base_name() == *zone => {
                    nsec3.push((&record.name, data));
                }
                _ => continue,
            }
            tally.count_ttl(set.ttl());
            tally.count_window(signature.window);
        }
        match (nsec.is_empty(), nsec3.is_empty()) {
            (true, true) => Err(Bogus("no proof of non-existence")),
            (false, false) => Err(Bogus("NSEC and NSEC3 records in one answer")),
            (false, true) => Ok(Self::Nsec(NsecChain { zone, records: nsec })),
            (true, false) => Nsec3Chain::new(zone, &nsec3, is_spoilt).map(Self::Nsec3),
        }
    }

    /// See [`NsecChain::expansion`].
    pub(crate) fn expansion(&self, owner: &Name, labels: u8) -> Result<Expansion, Bogus> {
        match self {
            Self::Nsec(chain) => chain.expansion(owner, labels),
            Self::Nsec3(chain) => chain.expansion(owner, labels),
        }
    }

    /// See [`NsecChain::negative`].
    pub(crate) fn negative(
        &self,
        name: &Name,
        rr_type: RecordType,
        code: ResponseCode,
    ) -> Result<Denied, Bogus> {
        match self {
            Self::Nsec(chain) => chain.negative(name, rr_type, code),
            Self::Nsec3(chain) => chain.negative(name, rr_type, code),
        }
    }

    /// See [`NsecChain::delegation`].
    pub(crate) fn delegation(&self, name: &Name) -> Result<Delegation, Bogus> {
        match self {
            Self::Nsec(chain) => chain.delegation(name),
            Self::Nsec3(chain) => chain.delegation(name),
        }
    }
}

/// The RRset of `record`, if it is a denial record that `zone` signed under its own name, not expanded from a wildcard.
fn proven<'m>(
    section: &'m [Record],
    record: &'m Record,
    zone: &Name,
    now: Timestamp,
) -> Option<(RrSet<'m>, Signature<'m>)> {
    let rr_type = record.record_type();
    if !matches!(rr_type, RecordType::NSEC | RecordType::NSEC3) || !zone.zone_of(&record.name) {
        return None;
    }
    let set = RrSet::find(section, &record.name, rr_type)?;
    let signature = set.signature(section, now)?;
    let own = signature.signer == zone && signature.labels == record.name.num_labels();
    own.then_some((set, signature))
}
