//! Which records of a peer's ports and services count, and which TLSA set is the peer's (R8, R11, R15, R17).
//!
//! The same walk serves the plan (what is still to be asked) and the decision (what was found): [`View::spots`] gives the owner
//! names in the fixed order, most specific first; [`View::tlsa_set`] takes the first that exists with a usable record. Absence
//! goes on to the next spot, a failure fails, and absence is never inferred from a failure. A TLSA set with more records than are
//! used fails too: which of them stand first in a message is up to whoever carried it.

use std::borrow::Cow;

use crate::answer::{DnsFailure, DnssecStatus};
use crate::dane::{UsableTlsa, usable};
use crate::evidence::Question;
use crate::name::DnsName;
use crate::policy::{SourcePort, TlsaMode};
use crate::rr::{RecordData, RrType, Tlsa};
use crate::view::{Seen, View};

/// How many ports of SRV and SVCB records are followed for one name.
const MAX_SERVICE_PORTS: usize = 8;

/// Where a peer's port records are looked for: its confirmed name, or the reverse name of its address (R8).
#[derive(Clone, Debug)]
pub(crate) struct Base<'e> {
    pub(crate) name: Cow<'e, DnsName>,
    /// The end of the reverse name's own RFC 2317 CNAME, and the state of that chain.
    pub(crate) alias: Option<(DnsName, DnssecStatus)>,
    /// The least state that usages 2 and 3 can have: that of the forward answer; `Secure` for an address (R11).
    pub(crate) cap: DnssecStatus,
}

/// An owner name to look at, and the least state of what led to it.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    pub(crate) owner: DnsName,
    pub(crate) cap: DnssecStatus,
    /// R15 (b): wildcard expansions do not count here, as `*._tcp` would name every port.
    exact: bool,
}

/// A decisive question that failed.
#[derive(Clone, Debug)]
pub(crate) struct Failed<'e> {
    pub(crate) question: Question,
    pub(crate) failure: Cow<'e, DnsFailure>,
}

/// Why a walk stopped before its end.
#[derive(Clone, Debug)]
pub(crate) enum Stop<'e> {
    /// Questions that must be answered first.
    Open(Vec<Question>),
    /// A question failed.
    Failed(Failed<'e>),
}

/// The peer's TLSA set (R15), or that there is none.
#[derive(Debug)]
pub(crate) struct TlsaSet {
    /// Where it stands; `None` if no spot has a usable record.
    pub(crate) owner: Option<DnsName>,
    pub(crate) usable: UsableTlsa,
    /// Whether usages 2 and 3 count: everything that led here is Secure.
    pub(crate) secure: bool,
    /// Sets that exist without a usable record, as text for the verdict.
    pub(crate) passed_over: Vec<DnsName>,
    /// The least state of every answer that was looked at, negative ones included (R10).
    pub(crate) weakest: DnssecStatus,
}

/// What the port check found (R17).
#[derive(Clone, Debug)]
pub(crate) struct PortCheck {
    /// The owner of a record that names the source port.
    pub(crate) named_by: Option<Question>,
    /// The least state of every answer that was looked at.
    pub(crate) weakest: DnssecStatus,
}

/// The records at the first of several spots that exists.
struct First<'e> {
    found: Option<(Seen<'e>, DnssecStatus)>,
    weakest: DnssecStatus,
}

impl<'e> View<'e> {
    /// Whether SRV and SVCB answers can change the verdict; otherwise they are advice (R7).
    pub(crate) fn services_are_decisive(&self) -> bool {
        !self.policy.services.is_empty()
            && (self.policy.tlsa != TlsaMode::Ignore || self.looks_at_source_port())
    }

    pub(crate) fn looks_at_source_port(&self) -> bool {
        self.policy.source_port != SourcePort::Ignore && self.connection.source_port != 0
    }

    /// Every decisive question of `base` that can be asked now. Empty once the walks can be made to their end, or have failed.
    pub(crate) fn port_questions(&self, base: &Base<'_>) -> Vec<Question> {
        let mut open = match self.source_port_check(base) {
            Ok(_) => Vec::new(),
            Err(Stop::Open(questions)) => questions,
            // The candidate is refused for this before its TLSA set is looked at.
            Err(Stop::Failed(_)) => return Vec::new(),
        };
        if let Err(Stop::Open(questions)) = self.tlsa_set(base) {
            open.extend(questions);
        }
        open.sort();
        open.dedup();
        open
    }

    /// Walks to the peer's TLSA set.
    pub(crate) fn tlsa_set(&self, base: &Base<'_>) -> Result<TlsaSet, Stop<'e>> {
        let mut set = TlsaSet {
            owner: None,
            usable: usable(&[], false),
            secure: false,
            passed_over: Vec::new(),
            weakest: DnssecStatus::Secure,
        };
        if self.policy.tlsa == TlsaMode::Ignore {
            return Ok(set);
        }
        let mut oversized = None;
        let ports = self.each_tlsa(base, &mut |spot, seen, status| {
            set.weakest = set.weakest.min(status);
            let records: Vec<Tlsa> = seen.answer.records.iter().filter_map(tlsa).cloned().collect();
            if records.is_empty() {
                return false;
            }
            let secure = status.min(base.cap) == DnssecStatus::Secure;
            let found = usable(&records, secure);
            if found.is_cut() {
                oversized = Some(Question::new(spot.owner.clone(), RrType::TLSA));
                return true;
            }
            if found.is_empty() {
                set.passed_over.push(spot.owner.clone());
                return false;
            }
            (set.owner, set.usable, set.secure) = (Some(spot.owner.clone()), found, secure);
            true
        })?;
        if let Some(question) = oversized {
            return Err(Stop::Failed(Failed { question, failure: Cow::Owned(DnsFailure::ServFail) }));
        }
        set.weakest = set.weakest.min(ports);
        Ok(set)
    }

    /// Looks for a record that names the source port: (a) an SRV or SVCB record of a service, (b) any record at the port itself.
    pub(crate) fn source_port_check(&self, base: &Base<'_>) -> Result<PortCheck, Stop<'e>> {
        let mut check = PortCheck { named_by: None, weakest: DnssecStatus::Secure };
        if !self.looks_at_source_port() {
            return Ok(check);
        }
        let mut open = Vec::new();
        for service in &self.policy.services {
            for rr_type in [RrType::SRV, RrType::SVCB] {
                let spots = base.spots(|name| service.owner(name));
                if let Some(first) = collect_open(self.first(&spots, rr_type), &mut open)? {
                    check.weakest = check.weakest.min(first.weakest);
                    let named = first.found.iter().any(|(seen, _)| {
                        ports_of(seen, base).any(|(_, port)| port == self.connection.source_port)
                    });
                    if named && check.named_by.is_none() {
                        check.named_by =
                            spots.into_iter().next().map(|spot| Question::new(spot.owner, rr_type));
                    }
                }
            }
        }
        let spots = base.spots(|name| name.port_owner(self.connection.source_port).ok());
        for rr_type in [RrType::SRV, RrType::SVCB, RrType::TLSA] {
            if let Some(first) = collect_open(self.first(&spots, rr_type), &mut open)? {
                check.weakest = check.weakest.min(first.weakest);
                if first.found.is_some_and(|(seen, _)| !seen.answer.wildcard) && check.named_by.is_none() {
                    check.named_by = spots.first().map(|spot| Question::new(spot.owner.clone(), rr_type));
                }
            }
        }
        if open.is_empty() { Ok(check) } else { Err(Stop::Open(open)) }
    }

    /// Calls `take` with each TLSA answer in the order of R15 until it returns true. Gives the least state of the SRV and SVCB
    /// answers that told the ports, or that there are none (R10).
    ///
    /// Questions that are open behind the first open one are collected too, so that they are asked side by side.
    fn each_tlsa(
        &self,
        base: &Base<'_>,
        take: &mut dyn FnMut(&Spot, Seen<'e>, DnssecStatus) -> bool,
    ) -> Result<DnssecStatus, Stop<'e>> {
        let (spots, mut open, weakest) = self.tlsa_spots(base)?;
        for spot in &spots {
            match self.ask(&spot.owner, RrType::TLSA) {
                None => open.push(Question::new(spot.owner.clone(), RrType::TLSA)),
                // Behind an open question nothing is final: only go on collecting.
                Some(_) if !open.is_empty() => {}
                Some(Err(failure)) => {
                    return Err(Stop::Failed(Failed {
                        question: Question::new(spot.owner.clone(), RrType::TLSA),
                        failure,
                    }));
                }
                Some(Ok(seen)) => {
                    let ignored = spot.exact && seen.answer.wildcard;
                    if !ignored && take(spot, seen, seen.status.min(spot.cap)) {
                        return Ok(weakest);
                    }
                }
            }
        }
        if open.is_empty() { Ok(weakest) } else { Err(Stop::Open(open)) }
    }

    /// The owner names of TLSA records in the order of R15, the questions that must be answered to know them all, and the least
    /// state of those that were.
    fn tlsa_spots(&self, base: &Base<'_>) -> Result<(Vec<Spot>, Vec<Question>, DnssecStatus), Stop<'e>> {
        let (mut spots, mut open, mut weakest) = (Vec::new(), Vec::new(), DnssecStatus::Secure);
        for service in &self.policy.services {
            let mut ports: Vec<(bool, u16, u16, DnssecStatus)> = Vec::new();
            for rr_type in [RrType::SRV, RrType::SVCB] {
                let first = self.first(&base.spots(|name| service.owner(name)), rr_type);
                let Some(first) = collect_open(first, &mut open)? else { continue };
                weakest = weakest.min(first.weakest);
                if let Some((seen, status)) = first.found {
                    let own = |port| self.looks_at_source_port() && port == self.connection.source_port;
                    ports.extend(
                        ports_of(&seen, base).map(|(priority, port)| (!own(port), priority, port, status)),
                    );
                }
            }
            ports.sort();
            let mut known = Vec::new();
            for &(_, _, port, _) in &ports {
                if !known.contains(&port) && known.len() < MAX_SERVICE_PORTS {
                    known.push(port);
                    // What a Secure record says is not made less by another that says it too.
                    let same = ports.iter().filter(|other| other.2 == port);
                    let status = same.map(|other| other.3).max().unwrap_or(DnssecStatus::Insecure);
                    spots.extend(
                        base.spots(|name| name.port_owner(port).ok()).into_iter().map(|s| s.least(status)),
                    );
                }
            }
        }
        if self.looks_at_source_port() {
            let own = base.spots(|name| name.port_owner(self.connection.source_port).ok());
            spots.extend(own.into_iter().map(|spot| Spot { exact: true, ..spot }));
        }
        for &port in self.ports().iter() {
            spots.extend(base.spots(|name| name.port_owner(port).ok()));
        }
        Ok((spots, open, weakest))
    }

    /// The first spot with records of a type.
    fn first(&self, spots: &[Spot], rr_type: RrType) -> Result<First<'e>, Stop<'e>> {
        let mut first = First { found: None, weakest: DnssecStatus::Secure };
        for spot in spots {
            let question = || Question::new(spot.owner.clone(), rr_type);
            match self.ask(&spot.owner, rr_type) {
                None => return Err(Stop::Open(vec![question()])),
                Some(Err(failure)) => return Err(Stop::Failed(Failed { question: question(), failure })),
                Some(Ok(seen)) => {
                    let status = seen.status.min(spot.cap);
                    first.weakest = first.weakest.min(status);
                    if !seen.answer.records.is_empty() {
                        first.found = Some((seen, status));
                        break;
                    }
                }
            }
        }
        Ok(first)
    }
}

impl Base<'_> {
    /// The owner names that `of` makes under the base and, for a reverse name, under its alias.
    fn spots(&self, of: impl Fn(&DnsName) -> Option<DnsName>) -> Vec<Spot> {
        let own = of(&self.name).map(|owner| Spot { owner, cap: DnssecStatus::Secure, exact: false });
        let alias = self
            .alias
            .as_ref()
            .and_then(|(name, cap)| of(name).map(|owner| Spot { owner, cap: *cap, exact: false }));
        own.into_iter().chain(alias).collect()
    }

    /// Whether a record's target is the base itself.
    fn is_target(&self, target: &DnsName) -> bool {
        *target == *self.name || self.alias.as_ref().is_some_and(|(alias, _)| alias == target)
    }
}

impl Spot {
    fn least(mut self, status: DnssecStatus) -> Self {
        self.cap = self.cap.min(status);
        self
    }
}

/// The priorities and ports that SRV and SVCB records give for the base itself; records for other targets do not count.
fn ports_of<'a>(seen: &Seen<'a>, base: &'a Base<'_>) -> impl Iterator<Item = (u16, u16)> {
    seen.answer.records.iter().filter_map(move |record| match record {
        RecordData::Srv(srv) if base.is_target(&srv.target) && srv.port != 0 => {
            Some((srv.priority, srv.port))
        }
        RecordData::Svcb(svcb)
            if svcb.priority != 0 && (svcb.target.is_root() || base.is_target(&svcb.target)) =>
        {
            svcb.port.filter(|port| *port != 0).map(|port| (svcb.priority, port))
        }
        _ => None,
    })
}

fn tlsa(record: &RecordData) -> Option<&Tlsa> {
    if let RecordData::Tlsa(tlsa) = record { Some(tlsa) } else { None }
}

/// Takes open questions aside, so that a walk can go on collecting; failures stop it.
fn collect_open<'e, T>(result: Result<T, Stop<'e>>, open: &mut Vec<Question>) -> Result<Option<T>, Stop<'e>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Stop::Open(questions)) => {
            open.extend(questions);
            Ok(None)
        }
        Err(stopped) => Err(stopped),
    }
}
