//! Denial of existence by NSEC3 records of one zone (RFC 5155 section 8, RFC 6840 section 4.1, RFC 9276 section 3.2).
//!
//! Hashing is bounded: more than [`MAX_ITERATIONS`] are not computed (the zone counts as insecure), and one denial costs at most
//! [`MAX_ROUNDS`] rounds of SHA-1 (CVE-2023-50868). A message has one, and one name to hash for each alias made from a wildcard before it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use hickory_proto::dnssec::Nsec3HashAlgorithm;
use hickory_proto::dnssec::rdata::NSEC3;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RecordType};

use super::Bogus;
use super::denial::{Bitmap, Delegation, Denied, Expansion};
use super::names::{label_count, suffix, wildcard_of};
use crate::answer::Negation;

/// With more iterations a zone is treated as insecure (RFC 9276 section 3.2; the number is that of the validators in use).
pub(crate) const MAX_ITERATIONS: u16 = 150;

/// The most rounds of SHA-1 for one denial: every label of the longest name without iterations, 66 names with the most.
const MAX_ROUNDS: u32 = 10_000;

/// The NSEC3 records of one zone, all with the same salt and iterations.
#[derive(Debug)]
pub(crate) struct Nsec3Chain<'m> {
    zone: &'m Name,
    /// Hash of the owner, and the record.
    records: Vec<(Vec<u8>, &'m NSEC3)>,
    rounds_left: Cell<u32>,
    hashes: RefCell<HashMap<Name, Vec<u8>>>,
}

/// An ancestor that exists, and the record that covers the name one label below it (RFC 5155 section 8.3).
struct Encloser<'m> {
    name: Name,
    covering_next_closer: &'m NSEC3,
}

impl<'m> Nsec3Chain<'m> {
    /// Takes the records of `zone`, each with its owner name. `is_spoilt` says that others stood beside them that were not proven.
    ///
    /// # Errors
    /// Salt or iterations differ (RFC 5155 section 7.1: one message has one chain). They hash more often than is checked, so that all of
    /// the proof is that they are there, and not all of them are the zone's.
    pub(crate) fn new(
        zone: &'m Name,
        records: &[(&'m Name, &'m NSEC3)],
        is_spoilt: bool,
    ) -> Result<Self, Bogus> {
        if let Some((_, first)) = records.first()
            && records.iter().any(|(_, r)| r.salt() != first.salt() || r.iterations() != first.iterations())
        {
            return Err(Bogus("NSEC3 records with different parameters"));
        }
        let records = records.iter().filter_map(|(owner, r)| Some((owner_hash(owner)?, *r))).collect();
        let chain = Self { zone, records, rounds_left: Cell::new(MAX_ROUNDS), hashes: RefCell::default() };
        if is_spoilt && chain.is_too_costly() {
            return Err(Bogus(
                "NSEC3 records without a valid signature, and too many iterations to check the others",
            ));
        }
        Ok(chain)
    }

    /// Whether the zone hashes more often than anyone should have to compute.
    fn is_too_costly(&self) -> bool {
        self.records.first().is_some_and(|(_, r)| r.iterations() > MAX_ITERATIONS)
    }

    /// The hash of `name` by the parameters of this chain.
    fn hash(&self, name: &Name) -> Result<Vec<u8>, Bogus> {
        if let Some(known) = self.hashes.borrow().get(name) {
            return Ok(known.clone());
        }
        let (_, parameters) = self.records.first().ok_or(Bogus("no NSEC3 record"))?;
        let rounds = u32::from(parameters.iterations()) + 1;
        let left =
            self.rounds_left.get().checked_sub(rounds).ok_or(Bogus("NSEC3 proof costs too much to check"))?;
        self.rounds_left.set(left);
        let digest = Nsec3HashAlgorithm::SHA1
            .hash(parameters.salt(), name, parameters.iterations())
            .map_err(|_| Bogus("NSEC3 hash cannot be computed"))?;
        let hash = digest.as_ref().to_vec();
        self.hashes.borrow_mut().insert(name.clone(), hash.clone());
        Ok(hash)
    }

    /// The record that stands at `name`.
    fn at(&self, name: &Name) -> Result<Option<&'m NSEC3>, Bogus> {
        let hash = self.hash(name)?;
        Ok(self.records.iter().find(|(owner, _)| *owner == hash).map(|(_, r)| *r))
    }

    /// A record in whose gap the hash of `name` lies.
    fn covering(&self, name: &Name) -> Result<Option<&'m NSEC3>, Bogus> {
        let hash = self.hash(name)?;
        let covers = |(owner, record): &&(Vec<u8>, &'m NSEC3)| {
            let next = record.next_hashed_owner_name();
            if owner.as_slice() < next {
                owner.as_slice() < hash.as_slice() && hash.as_slice() < next
            } else {
                // The last record of the chain; with a single record, everything but its own hash.
                hash != *owner && (hash.as_slice() > owner.as_slice() || hash.as_slice() < next)
            }
        };
        Ok(self.records.iter().find(covers).map(|(_, r)| *r))
    }

    /// The closest encloser of `name`, which itself does not exist (RFC 5155 section 8.3).
    fn closest_encloser(&self, name: &Name) -> Result<Encloser<'m>, Bogus> {
        for count in (label_count(self.zone)..label_count(name)).rev() {
            let candidate = suffix(name, count);
            let Some(record) = self.at(&candidate)? else { continue };
            if Bitmap::of(record.type_set()).hides_descendants() {
                return Err(Bogus("closest encloser is a delegation or a DNAME"));
            }
            let covering_next_closer = self
                .covering(&suffix(name, count + 1))?
                .ok_or(Bogus("the next closer name is not denied"))?;
            return Ok(Encloser { name: candidate, covering_next_closer });
        }
        Err(Bogus("no closest encloser"))
    }

    /// Whether a wildcard was rightly expanded to `owner` by a signature with `labels` labels (RFC 5155 section 8.8).
    pub(crate) fn expansion(&self, owner: &Name, labels: u8) -> Result<Expansion, Bogus> {
        if self.is_too_costly() {
            return Ok(Expansion::Unsigned);
        }
        let next_closer = suffix(owner, usize::from(labels) + 1);
        match self.covering(&next_closer)? {
            Some(record) if record.opt_out() => Ok(Expansion::Unsigned),
            Some(_) => Ok(Expansion::Proven),
            None => Err(Bogus("wildcard expansion without proof that no closer name exists")),
        }
    }

    /// What the records prove about `name` and `rr_type`, given the response code.
    pub(crate) fn negative(
        &self,
        name: &Name,
        rr_type: RecordType,
        code: ResponseCode,
    ) -> Result<Denied, Bogus> {
        let nxdomain = code == ResponseCode::NXDomain;
        if self.is_too_costly() {
            return Ok(Denied {
                kind: if nxdomain { Negation::NxDomain } else { Negation::NoData },
                secure: false,
            });
        }
        if let Some(record) = self.at(name)? {
            Bitmap::of(record.type_set()).denies(rr_type, name)?;
            return if nxdomain {
                Err(Bogus("NXDOMAIN for a name that exists"))
            } else {
                Ok(Denied::secure(Negation::NoData))
            };
        }
        let encloser = self.closest_encloser(name)?;
        let opt_out = encloser.covering_next_closer.opt_out();
        let wildcard =
            wildcard_of(&encloser.name).ok_or(Bogus("no room for the wildcard of the closest encloser"))?;
        if nxdomain {
            self.covering(&wildcard)?.ok_or(Bogus("the wildcard is not denied"))?;
            return Ok(Denied { kind: Negation::NxDomain, secure: !opt_out });
        }
        if let Some(record) = self.at(&wildcard)? {
            Bitmap::of(record.type_set()).denies(rr_type, &wildcard)?;
            return Ok(Denied { kind: Negation::NoData, secure: !opt_out });
        }
        // An unsigned delegation, or an empty non-terminal above one, may stand in an opt-out span (RFC 5155 section 8.6).
        if opt_out {
            Ok(Denied { kind: Negation::NoData, secure: false })
        } else {
            Err(Bogus("NODATA is not proven"))
        }
    }

    /// What the records say about a zone cut at `name`, where no DS record is (RFC 5155 section 8.9).
    pub(crate) fn delegation(&self, name: &Name) -> Result<Delegation, Bogus> {
        if self.is_too_costly() {
            return Ok(Delegation::Insecure);
        }
        if let Some(record) = self.at(name)? {
            return Bitmap::of(record.type_set()).delegation();
        }
        let encloser = self.closest_encloser(name)?;
        Ok(if encloser.covering_next_closer.opt_out() {
            Delegation::Insecure
        } else {
            Delegation::NoSuchName
        })
    }
}

/// The hash that an NSEC3 owner name holds in its first label.
fn owner_hash(owner: &Name) -> Option<Vec<u8>> {
    data_encoding::BASE32_DNSSEC.decode(owner.iter().next()?).ok()
}
