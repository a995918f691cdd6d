//! Denial of existence by NSEC records of one zone (RFC 4035 section 5.4, RFC 6840 sections 4.1 and 4.4).
//!
//! Every record here was proven and signed by the zone that it speaks for; the rules below are about what it says, not whether it is true.

use hickory_proto::dnssec::rdata::NSEC;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RecordType};

use super::Bogus;
use super::denial::{Bitmap, Delegation, Denied, Expansion};
use super::names::{common_ancestor, is_below, suffix, wildcard_of};
use crate::answer::Negation;

/// The NSEC records of one zone, with their owners.
#[derive(Debug)]
pub(crate) struct NsecChain<'m> {
    pub(crate) zone: &'m Name,
    pub(crate) records: Vec<(&'m Name, &'m NSEC)>,
}

impl<'m> NsecChain<'m> {
    /// The record that stands at `name`.
    fn at(&self, name: &Name) -> Option<&'m NSEC> {
        self.records.iter().find(|(owner, _)| *owner == name).map(|(_, nsec)| *nsec)
    }

    /// A record in whose gap `name` lies. A delegation or a DNAME says nothing about the names below it (RFC 6840 section 4.1).
    fn covering(&self, name: &Name) -> Option<(&'m Name, &'m NSEC)> {
        self.records.iter().copied().find(|(owner, nsec)| {
            let next = nsec.next_domain_name();
            let last = next == self.zone;
            let hidden = Bitmap::of(nsec.type_set()).hides_descendants() && owner.zone_of(name);
            !hidden && *owner < name && (last || (*owner < next && name < next))
        })
    }

    /// Whether a wildcard was rightly expanded to `owner` by a signature with `labels` labels: the next closer name must not exist.
    pub(crate) fn expansion(&self, owner: &Name, labels: u8) -> Result<Expansion, Bogus> {
        let next_closer = suffix(owner, usize::from(labels) + 1);
        let (_, nsec) = self
            .covering(&next_closer)
            .ok_or(Bogus("wildcard expansion without proof that no closer name exists"))?;
        if is_below(nsec.next_domain_name(), &next_closer) {
            return Err(Bogus("wildcard expansion where an empty non-terminal exists"));
        }
        Ok(Expansion::Proven)
    }

    /// What the records prove about `name` and `rr_type`, given the response code.
    pub(crate) fn negative(
        &self,
        name: &Name,
        rr_type: RecordType,
        code: ResponseCode,
    ) -> Result<Denied, Bogus> {
        let nxdomain = code == ResponseCode::NXDomain;
        if let Some(nsec) = self.at(name) {
            Bitmap::of(nsec.type_set()).denies(rr_type, name)?;
            return if nxdomain {
                Err(Bogus("NXDOMAIN for a name that exists"))
            } else {
                Ok(Denied::secure(Negation::NoData))
            };
        }
        let (owner, nsec) = self.covering(name).ok_or(Bogus("no NSEC record matches or covers the name"))?;
        let next = nsec.next_domain_name();
        if is_below(next, name) {
            return if nxdomain {
                Err(Bogus("NXDOMAIN for an empty non-terminal"))
            } else {
                Ok(Denied::secure(Negation::NoData))
            };
        }
        let (a, b) = (common_ancestor(name, owner), common_ancestor(name, next));
        let encloser = if is_below(&b, &a) { b } else { a };
        if !self.zone.zone_of(&encloser) {
            return Err(Bogus("closest encloser outside of the zone"));
        }
        let wildcard =
            wildcard_of(&encloser).ok_or(Bogus("no room for the wildcard of the closest encloser"))?;
        self.wildcard_denied(&wildcard, rr_type, nxdomain)
    }

    /// The second half of a negative answer: the wildcard that could have matched does not exist (NXDOMAIN), or has no such type.
    fn wildcard_denied(&self, wildcard: &Name, rr_type: RecordType, nxdomain: bool) -> Result<Denied, Bogus> {
        if let Some(nsec) = self.at(wildcard) {
            if nxdomain {
                return Err(Bogus("NXDOMAIN where a wildcard exists"));
            }
            Bitmap::of(nsec.type_set()).denies(rr_type, wildcard)?;
            return Ok(Denied::secure(Negation::NoData));
        }
        let (_, nsec) = self.covering(wildcard).ok_or(Bogus("the wildcard is not denied"))?;
        match (is_below(nsec.next_domain_name(), wildcard), nxdomain) {
            (true, false) => Ok(Denied::secure(Negation::NoData)),
            (false, true) => Ok(Denied::secure(Negation::NxDomain)),
            (true, true) => Err(Bogus("NXDOMAIN where a wildcard exists")),
            (false, false) => Err(Bogus("NODATA for a name that does not exist")),
        }
    }

    /// What the records say about a zone cut at `name`, where no DS record is.
    pub(crate) fn delegation(&self, name: &Name) -> Result<Delegation, Bogus> {
        if let Some(nsec) = self.at(name) {
            return Bitmap::of(nsec.type_set()).delegation();
        }
        let (_, nsec) = self.covering(name).ok_or(Bogus("no NSEC record matches or covers the name"))?;
        Ok(if is_below(nsec.next_domain_name(), name) { Delegation::None } else { Delegation::NoSuchName })
    }
}
