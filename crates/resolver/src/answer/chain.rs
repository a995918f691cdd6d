//! The walk along the aliases of an answer, to the records or to the proof that there are none.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use revouch_validator::timestamp::Timestamp;

use super::denial::{Denial, Expansion};
use super::names::{canonical, is_below, label_count, substitute};
use super::rrset::{RrSet, Signature, rrsig};
use super::select::MAX_SIGNATURES;
use super::{Bogus, Claim, End, Evaluated, Link, Negation, State, Tally, Trust};

/// The most aliases that are followed in one answer.
pub const MAX_LINKS: usize = 11;

/// The state of the walk.
pub(crate) struct Walk<'m> {
    trust: Trust,
    rr_type: RecordType,
    message: &'m Message,
    now: Timestamp,
    links: Vec<Link>,
    /// One of the links was made from a wildcard.
    expanded: bool,
    claims: Vec<Claim>,
    tally: Tally,
}

/// One RRset, judged.
struct Judged {
    state: State,
    wildcard: bool,
}

impl<'m> Walk<'m> {
    pub(crate) fn new(trust: Trust, rr_type: RecordType, message: &'m Message, now: Timestamp) -> Self {
        Self {
            trust,
            rr_type,
            message,
            now,
            links: Vec::new(),
            expanded: false,
            claims: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Walks from `start`.
    pub(crate) fn run(mut self, start: &Name) -> Result<Evaluated, Bogus> {
        let mut name = start.clone();
        loop {
            if let Some(set) = RrSet::find(&self.message.answers, &name, self.rr_type) {
                self.is_consistent(&name)?;
                return self.positive(&set);
            }
            match self.alias(&name)? {
                Some(target) => name = target,
                None => return self.negative(&name),
            }
        }
    }

    /// Records at the end of the chain contradict an NXDOMAIN (RFC 2308 section 2.1), and a CNAME beside them (RFC 2181 section 10.1).
    /// Who asks for a CNAME may be told what becomes of its target (RFC 6672 section 3.2).
    fn is_consistent(&self, name: &Name) -> Result<(), Bogus> {
        if self.rr_type == RecordType::CNAME {
            return Ok(());
        }
        if self.message.metadata.response_code == ResponseCode::NXDomain {
            return Err(Bogus("NXDOMAIN with the records that were asked for"));
        }
        match RrSet::find(&self.message.answers, name, RecordType::CNAME) {
            Some(_) => Err(Bogus("a CNAME beside the records that were asked for")),
            None => Ok(()),
        }
    }

    /// The records are there.
    fn positive(mut self, set: &RrSet<'m>) -> Result<Evaluated, Bogus> {
        let mut judged = self.judge(set)?;
        if let (RecordType::CNAME, State::Unproven, [record]) =
            (self.rr_type, judged.state, set.records.as_slice())
            && let RData::CNAME(target) = &record.data
        {
            judged.state = self.made_from_dname(set.owner, &canonical(&target.0))?;
        }
        if judged.state == State::Unproven {
            self.claim_owner(set);
        }
        self.tally.count_ttl(set.ttl());
        let records = set.records.iter().map(|r| r.data.clone()).collect();
        let wildcard = judged.wildcard || self.expanded;
        Ok(self.finish(End::Records(records), judged.state, wildcard))
    }

    /// Follows the CNAME at `name`, if there is one.
    fn alias(&mut self, name: &Name) -> Result<Option<Name>, Bogus> {
        if self.rr_type == RecordType::CNAME {
            return Ok(None);
        }
        let Some(set) = RrSet::find(&self.message.answers, name, RecordType::CNAME) else { return Ok(None) };
        let [record] = set.records.as_slice() else { return Err(Bogus("more than one CNAME at one name")) };
        let RData::CNAME(target) = &record.data else { return Err(Bogus("a CNAME without a target")) };
        let target = canonical(&target.0);
        if self.links.len() == MAX_LINKS {
            return Err(Bogus("too many aliases"));
        }
        if target == *name || self.links.iter().any(|link| link.owner == target) {
            return Err(Bogus("a loop of aliases"));
        }
        let state = self.link_state(&set, &target)?;
        if state == State::Unproven {
            self.claim_owner(&set);
        }
        self.tally.count_ttl(set.ttl());
        self.links.push(Link { owner: name.clone(), target: target.clone(), state });
        Ok(Some(target))
    }

    /// The state of a CNAME: its own, or that of the DNAME from which it was made.
    fn link_state(&mut self, set: &RrSet<'m>, target: &Name) -> Result<State, Bogus> {
        let Judged { state: own, wildcard } = self.judge(set)?;
        self.expanded |= wildcard;
        if own == State::Unproven { self.made_from_dname(set.owner, target) } else { Ok(own) }
    }

    /// The state of an unsigned CNAME: that of the DNAME from which it was made (RFC 6672 section 5.3.1).
    fn made_from_dname(&mut self, owner: &Name, target: &Name) -> Result<State, Bogus> {
        let Some(dname) = self.dname_above(owner) else { return Ok(State::Unproven) };
        let state = self.judge_exact(&dname)?;
        if state != State::Secure {
            return Ok(State::Unproven);
        }
        let [record] = dname.records.as_slice() else { return Err(Bogus("more than one DNAME at one name")) };
        let to = dname_target(record).ok_or(Bogus("a DNAME without a target"))?;
        if substitute(owner, dname.owner, &to).as_ref() != Some(target) {
            return Err(Bogus("the CNAME is not what the DNAME makes of the name"));
        }
        self.tally.count_ttl(dname.ttl());
        Ok(State::Secure)
    }

    /// The DNAME closest above `name`.
    fn dname_above(&self, name: &Name) -> Option<RrSet<'m>> {
        let answers = &self.message.answers;
        let above =
            answers.iter().filter(|r| r.record_type() == RecordType::DNAME && is_below(name, &r.name));
        let closest = above.max_by_key(|r| label_count(&r.name))?;
        RrSet::find(answers, &closest.name, RecordType::DNAME)
    }

    /// Judges an RRset of the answer section, which may come from a wildcard.
    fn judge(&mut self, set: &RrSet<'m>) -> Result<Judged, Bogus> {
        if let Some(state) = self.given_state() {
            return Ok(Judged { state, wildcard: self.is_shown_expanded(set)? });
        }
        let Some(signature) = set.signature(&self.message.answers, self.now) else {
            return Ok(Judged { state: State::Unproven, wildcard: false });
        };
        if signature.labels == set.owner.num_labels() {
            self.tally.count_window(signature.window);
            return Ok(Judged { state: State::Secure, wildcard: false });
        }
        let state = self.expansion(set.owner, &signature)?;
        self.tally.count_window(signature.window);
        Ok(Judged { state, wildcard: true })
    }

    /// Judges an RRset that must not come from a wildcard (RFC 6672 section 3.3 leaves wildcard DNAMEs undefined).
    fn judge_exact(&mut self, set: &RrSet<'m>) -> Result<State, Bogus> {
        let judged = self.judge(set)?;
        if judged.wildcard { Err(Bogus("a DNAME made from a wildcard")) } else { Ok(judged.state) }
    }

    /// The state of every part, where it does not come from proofs.
    fn given_state(&self) -> Option<State> {
        match self.trust {
            Trust::Proofs => None,
            Trust::Sender(state) => Some(state),
            Trust::Nobody => Some(State::Insecure),
        }
    }

    /// Whether an RRset was made from a wildcard, by the signatures that came with it. The sender has checked them; as any of them may be the
    /// one that held, they must agree.
    fn is_shown_expanded(&self, set: &RrSet<'m>) -> Result<bool, Bogus> {
        if self.trust == Trust::Nobody {
            return Ok(false);
        }
        let covering = self.message.answers.iter().filter(|r| r.name == *set.owner).filter_map(rrsig);
        let labels: Vec<u8> = covering
            .filter(|s| s.input().type_covered == set.rr_type)
            .map(|s| s.input().num_labels)
            .collect();
        let made_from_dname = || set.rr_type == RecordType::CNAME && self.dname_above(set.owner).is_some();
        if labels.is_empty() && self.trust == Trust::Sender(State::Secure) && !made_from_dname() {
            return Err(Bogus("said to be secure, and no signature to see a wildcard by"));
        }
        let fewer = labels.iter().filter(|labels| **labels < set.owner.num_labels()).count();
        if labels.len() >= MAX_SIGNATURES || (fewer > 0 && fewer < labels.len()) {
            return Err(Bogus("signatures that do not tell whether there is a wildcard"));
        }
        Ok(fewer > 0)
    }

    /// Whether the wildcard was rightly used for `owner` (RFC 4035 section 5.3.4, RFC 5155 section 8.8).
    fn expansion(&mut self, owner: &Name, signature: &Signature<'m>) -> Result<State, Bogus> {
        let denial = Denial::of(self.message, signature.signer, self.now, &mut self.tally)?;
        Ok(match denial.expansion(owner, signature.labels)? {
            Expansion::Proven => State::Secure,
            Expansion::Unsigned => State::Insecure,
        })
    }

    /// There is no record at `name`, the end of the chain: who says so?
    fn negative(mut self, name: &Name) -> Result<Evaluated, Bogus> {
        let code = self.message.metadata.response_code;
        let kind = if code == ResponseCode::NXDomain { Negation::NxDomain } else { Negation::NoData };
        let authorities = &self.message.authorities;
        if self.trust == Trust::Nobody && authorities.is_empty() {
            return Ok(Evaluated { ttl: 0, ..self.finish(End::Negative(kind), State::Insecure, false) });
        }
        let soas: Vec<&Record> = authorities.iter().filter(|r| r.record_type() == RecordType::SOA).collect();
        let [soa] = soas.as_slice() else { return Err(Bogus("a negative answer without exactly one SOA")) };
        // A zone has no say about the DS records at its own apex.
        if !soa.name.zone_of(&self.subject(name)) {
            return Err(Bogus("the SOA of another zone"));
        }
        let RData::SOA(data) = &soa.data else { return Err(Bogus("an SOA without data")) };
        // RFC 2308 section 5.
        self.tally.count_ttl(soa.ttl.min(data.minimum));
        if let Some(state) = self.given_state() {
            return Ok(self.finish(End::Negative(kind), state, false));
        }
        if !self.is_apex_proven(&soa.name) {
            let at_or_above = soa.name.clone();
            self.claims.push(Claim { name: self.subject(name), at_or_above, signers: Vec::new() });
            return Ok(self.finish(End::Negative(kind), State::Unproven, false));
        }
        let denied = Denial::of(self.message, &soa.name, self.now, &mut self.tally)?.negative(
            name,
            self.rr_type,
            code,
        )?;
        let state = if denied.secure { State::Secure } else { State::Insecure };
        Ok(self.finish(End::Negative(denied.kind), state, false))
    }

    /// Whether the zone `apex` itself signed the SOA that was shown.
    fn is_apex_proven(&mut self, apex: &Name) -> bool {
        let authorities = &self.message.authorities;
        let signature = RrSet::find(authorities, apex, RecordType::SOA)
            .and_then(|set| set.signature(authorities, self.now));
        let Some(signature) = signature.filter(|s| s.signer == apex && s.labels == apex.num_labels()) else {
            return false;
        };
        self.tally.count_window(signature.window);
        true
    }

    /// Claims that an unproven RRset lies in an unsigned zone.
    fn claim_owner(&mut self, set: &RrSet<'m>) {
        let name = self.subject(set.owner);
        let signers = set.signers(&self.message.answers);
        self.claims.push(Claim { at_or_above: name.clone(), name, signers });
    }

    /// The name whose zone is meant: DS records belong to the parent's side of a zone cut.
    fn subject(&self, name: &Name) -> Name {
        if self.rr_type == RecordType::DS { name.base_name() } else { name.clone() }
    }

    fn finish(self, end: End, state: State, wildcard: bool) -> Evaluated {
        Evaluated {
            chain: self.links,
            end,
            state,
            wildcard,
            claims: self.claims,
            ttl: self.tally.ttl.unwrap_or(0),
            window: self.tally.window,
        }
    }
}

/// The target of a DNAME, which the library does not parse.
fn dname_target(record: &Record) -> Option<Name> {
    let RData::Unknown { rdata, .. } = &record.data else { return None };
    let mut decoder = BinDecoder::new(&rdata.anything);
    let target = Name::read(&mut decoder).ok()?;
    decoder.is_empty().then(|| canonical(&target))
}
