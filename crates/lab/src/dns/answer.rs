//! What a zone says to a question, with the proof: RFC 1034 section 4.3.2, RFC 4035 section 3.1, RFC 5155 section 7.2,
//! RFC 6672 (DNAME). Aliases are followed from zone to zone, as a recursive server's answer would.

use std::collections::BTreeMap;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RecordType};

use super::wire::name_wire;
use super::zone::{Proof, RrSet, Zone};

/// Links of a CNAME or DNAME chain that are followed; a longer one, or a loop, ends in SERVFAIL.
const MAX_LINKS: usize = 12;

/// An RRset in a section, with or without its signatures.
pub(super) struct Item {
    pub(super) owner: Name,
    pub(super) rtype: RecordType,
    pub(super) set: Arc<RrSet>,
    pub(super) signed: bool,
}

/// The sections of an answer.
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    pub(super) answers: Vec<Item>,
    pub(super) authorities: Vec<Item>,
}

/// All zones, by origin.
pub(super) struct Zones(pub(super) BTreeMap<Name, Zone>);

impl Zones {
    /// The answer to a question of class IN.
    pub(super) fn answer(&self, name: &Name, rtype: RecordType, dnssec_ok: bool) -> Answer {
        let mut answer = Answer { code: ResponseCode::NoError, answers: Vec::new(), authorities: Vec::new() };
        if matches!(rtype, RecordType::ANY | RecordType::AXFR | RecordType::IXFR | RecordType::RRSIG) {
            answer.code = ResponseCode::NotImp;
            return answer;
        }
        let mut current = name.to_lowercase();
        for _ in 0..MAX_LINKS {
            let Some(zone) = self.zone_for(&current, rtype) else {
                answer.code = ResponseCode::Refused;
                return answer;
            };
            let mut lookup = Lookup { zone, proofs: dnssec_ok && zone.signed, answer: &mut answer };
            match lookup.run(&current, rtype) {
                Some(target) => current = target,
                None => return answer,
            }
        }
        answer.code = ResponseCode::ServFail;
        answer
    }

    /// The zone that holds a name: the deepest; for DS the one above the cut.
    fn zone_for(&self, name: &Name, rtype: RecordType) -> Option<&Zone> {
        let mut candidate = name.clone();
        if rtype == RecordType::DS && !name.is_root() {
            candidate = candidate.base_name();
        }
        loop {
            if let Some(zone) = self.0.get(&candidate) {
                return Some(zone);
            }
            if candidate.is_root() {
                return None;
            }
            candidate = candidate.base_name();
        }
    }
}

struct Lookup<'a> {
    zone: &'a Zone,
    /// Signatures and denials are wanted and there are some.
    proofs: bool,
    answer: &'a mut Answer,
}

impl Lookup<'_> {
    /// Adds what this zone has to say; gives the target of an alias that is to be followed.
    fn run(&mut self, name: &Name, rtype: RecordType) -> Option<Name> {
        if let Some(target) = self.dname_above(name) {
            return target;
        }
        if self.zone.exists(name) {
            return self.node(name, name, rtype, None);
        }
        let (encloser, next_closer) = self.zone.closest_encloser(name);
        let Ok(wildcard) = encloser.prepend_label(b"*".as_slice()) else {
            self.answer.code = ResponseCode::ServFail;
            return None;
        };
        if self.zone.exists(&wildcard) {
            return self.node(name, &wildcard, rtype, Some((&encloser, &next_closer)));
        }
        self.answer.code = ResponseCode::NXDomain;
        self.soa();
        if self.zone.uses_nsec3() {
            self.prove([
                self.zone.matching(&encloser),
                self.zone.covering(&next_closer),
                self.zone.covering(&wildcard),
            ]);
        } else {
            self.prove([self.zone.covering(name), self.zone.covering(&wildcard)]);
        }
        None
    }

    /// The RRset at `source`, which is the name itself or the wildcard that stands for it.
    fn node(
        &mut self,
        name: &Name,
        source: &Name,
        rtype: RecordType,
        expanded: Option<(&Name, &Name)>,
    ) -> Option<Name> {
        let found = [rtype, RecordType::CNAME]
            .into_iter()
            .find_map(|wanted| Some((wanted, Arc::clone(self.zone.get(source, wanted)?))));
        let Some((found_type, set)) = found else {
            self.no_data(name, source, rtype, expanded);
            return None;
        };
        let target = (found_type == RecordType::CNAME && rtype != RecordType::CNAME)
            .then(|| set.rdata.first().and_then(|rdata| name_from_wire(rdata)));
        self.push_answer(name, found_type, set);
        if let Some((_, next_closer)) = expanded {
            let denied = if self.zone.uses_nsec3() { next_closer } else { name };
            self.prove([self.zone.covering(denied)]);
        }
        target.flatten()
    }

    fn no_data(&mut self, name: &Name, source: &Name, rtype: RecordType, expanded: Option<(&Name, &Name)>) {
        self.soa();
        match expanded {
            Some((encloser, next_closer)) if self.zone.uses_nsec3() => self.prove([
                self.zone.matching(encloser),
                self.zone.covering(next_closer),
                self.zone.matching(source),
            ]),
            Some(_) => self.prove([self.zone.matching(source), self.zone.covering(name)]),
            None => match self.zone.matching(name) {
                Some(proof) => self.prove([Some(proof)]),
                // An unsigned delegation inside an opt-out span (RFC 5155 section 7.2.4).
                None if self.zone.uses_nsec3() && rtype == RecordType::DS => {
                    let (encloser, next_closer) = self.zone.closest_encloser(name);
                    self.prove([self.zone.matching(&encloser), self.zone.covering(&next_closer)]);
                }
                // An empty non-terminal has no NSEC of its own.
                None => self.prove([self.zone.covering(name)]),
            },
        }
    }

    /// `Some` if a DNAME stands above the name: then the alias's target, if it can be made (RFC 6672 section 2.2).
    fn dname_above(&mut self, name: &Name) -> Option<Option<Name>> {
        let mut owner = name.clone();
        let set = loop {
            if owner == self.zone.origin || owner.is_root() {
                return None;
            }
            owner = owner.base_name();
            if let Some(set) = self.zone.get(&owner, RecordType::DNAME) {
                break Arc::clone(set);
            }
        };
        let target = set.rdata.first().and_then(|rdata| name_from_wire(rdata));
        let ttl = set.ttl;
        let kept = name.iter().count().saturating_sub(owner.iter().count());
        self.push_answer(&owner, RecordType::DNAME, set);
        let synthesis = target
            .and_then(|target| Name::from_labels(name.iter().take(kept).chain(target.iter())).ok())
            .filter(|synthesis| name_wire(synthesis).len() <= 255);
        match &synthesis {
            Some(synthesis) => {
                let cname = RrSet { ttl, rdata: vec![name_wire(synthesis)], signatures: Vec::new() };
                self.push_answer(name, RecordType::CNAME, Arc::new(cname));
            }
            None => self.answer.code = ResponseCode::YXDomain,
        }
        Some(synthesis)
    }

    fn push_answer(&mut self, owner: &Name, rtype: RecordType, set: Arc<RrSet>) {
        self.answer.answers.push(Item { owner: owner.clone(), rtype, set, signed: self.proofs });
    }

    fn soa(&mut self) {
        if let Some(set) = self.zone.get(&self.zone.origin, RecordType::SOA) {
            let (owner, set) = (self.zone.origin.clone(), Arc::clone(set));
            self.answer.authorities.push(Item { owner, rtype: RecordType::SOA, set, signed: self.proofs });
        }
    }

    fn prove<const N: usize>(&mut self, proofs: [Option<Proof>; N]) {
        if !self.proofs {
            return;
        }
        for (owner, rtype, set) in proofs.into_iter().flatten() {
            let known = |item: &Item| item.rtype == rtype && item.owner == owner;
            if !self.answer.authorities.iter().any(known) {
                self.answer.authorities.push(Item { owner, rtype, set, signed: true });
            }
        }
    }
}

/// A name from uncompressed RDATA of ours.
fn name_from_wire(mut wire: &[u8]) -> Option<Name> {
    let mut labels = Vec::new();
    while let Some((&length, rest)) = wire.split_first() {
        if length == 0 {
            break;
        }
        let (label, next) = rest.split_at_checked(usize::from(length))?;
        labels.push(label);
        wire = next;
    }
    Name::from_labels(labels).ok()
}
