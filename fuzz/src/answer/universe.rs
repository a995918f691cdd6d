//! The universe: its zones, what is true in it, and how far an attacker can speak for each name.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use hickory_proto::dnssec::rdata::DNSSECRData;
use hickory_proto::op::{DnsRequestOptions, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use revouch_lab::{Sabotage, Signing, Universe};
use revouch_resolver::anchors::Anchors;
use revouch_resolver::convert;
use revouch_validator::answer::Negative;
use revouch_validator::name::DnsName;
use revouch_validator::rr::{RecordData, RrType};
use revouch_validator::timestamp::Timestamp;

use super::library;

/// How far an attacker on the way can speak for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Not at all: its zone is signed, and so are all above.
    Strong,
    /// It can take the signatures away (more than 150 iterations), not put others there.
    Weak,
    /// As it likes, but never as if it were signed: unsigned zones, and what may be an unsigned delegation in an opt-out span.
    Unsigned,
    /// As it likes: the zone's keys are its own.
    Theirs,
    /// The universe itself is wrong here: nothing may be accepted.
    Bogus,
}

/// What stands at a name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fact {
    pub(super) says: Says,
    /// It was made from a wildcard.
    pub(super) wildcard: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Says {
    Records(Vec<RecordData>),
    Alias(DnsName),
    Nothing(Negative),
}

/// Everything, made once.
pub(super) struct World {
    pub(super) universe: Universe,
    pub(super) anchors: Arc<Anchors>,
    pub(super) now: Timestamp,
    zones: Vec<Name>,
    /// Honest answers to all questions, DS and DNSKEY included.
    pub(super) answers: Vec<Message>,
    known: Mutex<HashMap<(Name, RecordType), Option<Message>>>,
}

pub(super) static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// How each zone is signed.
const ZONES: [(&str, Signing); 16] = [
    ("nsec.test", Signing::Nsec),
    ("sub.nsec.test", Signing::Nsec3),
    ("cut.nsec.test", Signing::Unsigned),
    ("nsec3.test", Signing::Nsec3),
    ("sub.nsec3.test", Signing::Nsec),
    ("cut.nsec3.test", Signing::Unsigned),
    ("optout.test", Signing::Nsec3OptOut),
    ("sub.optout.test", Signing::Nsec),
    ("cut.optout.test", Signing::Unsigned),
    ("many.test", Signing::Nsec3Iterations(200)),
    ("plain.test", Signing::Unsigned),
    ("island.plain.test", Signing::Nsec),
    ("broken.test", Signing::Nsec),
    ("evil.test", Signing::Nsec),
    ("evil.nsec.test", Signing::Nsec),
    ("evil.nsec3.test", Signing::Nsec3),
];

/// What every zone holds, `@` standing for its origin.
const RECORDS: &str = "
    @ A 192.0.2.10
    www.@ A 192.0.2.1
    www.@ A 192.0.2.2
    host.@ TLSA 3 1 1 0102030405060708091011121314151617181920212223242526272829303132
    _25._tcp.host.@ TLSA 3 1 1 0102030405060708091011121314151617181920212223242526272829303132
    *._tcp.www.@ TLSA 2 0 1 1112030405060708091011121314151617181920212223242526272829303132
    a.b.ent.@ A 192.0.2.3
    *.wild.@ A 192.0.2.4
    in.wild.@ TXT \"x\"
    alias.@ CNAME www.@
    far.@ CNAME www.nsec3.test
    out.@ CNAME www.plain.test
    none.@ CNAME nothing.@
    *.cn.@ CNAME www.nsec.test
    dn.@ DNAME wild.nsec3.test
    bad.@ A 192.0.2.5
    old.@ A 192.0.2.6
    bare.@ A 192.0.2.7
    1.@ PTR www.nsec.test
    _s._tcp.@ SRV 1 1 25 www.@
";

/// Names below each zone that are asked for.
const NAMES: [&str; 25] = [
    "@",
    "www.@",
    "host.@",
    "_25._tcp.host.@",
    "_1._tcp.www.@",
    "_tcp.www.@",
    "ent.@",
    "b.ent.@",
    "a.b.ent.@",
    "x.b.ent.@",
    "x.wild.@",
    "x.y.wild.@",
    "*.wild.@",
    "in.wild.@",
    "alias.@",
    "far.@",
    "out.@",
    "none.@",
    "x.cn.@",
    "y.dn.@",
    "dn.@",
    "bad.@",
    "old.@",
    "1.@",
    "nothing.@",
];
const TYPES: [RrType; 7] =
    [RrType::A, RrType::TLSA, RrType::CNAME, RrType::PTR, RrType::SRV, RrType::DS, RrType::TXT];
/// Owners whose A records are spoiled.
const SPOILED: [(&str, Sabotage); 3] = [
    ("bad", Sabotage::WrongRdata),
    ("old", Sabotage::ExpiredSignature),
    ("bare", Sabotage::MissingSignature),
];

/// All questions.
pub(super) static QUESTIONS: LazyLock<Vec<(DnsName, RrType)>> = LazyLock::new(|| {
    let mut questions = Vec::new();
    for (zone, _) in ZONES {
        for name in NAMES {
            let name: DnsName = name.replace('@', zone).parse().unwrap();
            // Mostly what names have; the other types of each are rarer.
            let often = [RrType::A; 4].into_iter().chain(TYPES);
            questions.extend(often.map(|rr_type| (name.clone(), rr_type)));
        }
    }
    questions
});

/// All names that an attack may use.
pub(super) static OWNERS: LazyLock<Vec<Name>> = LazyLock::new(|| {
    let mut owners: Vec<Name> = QUESTIONS.iter().map(|(name, _)| library(name)).collect();
    owners.dedup();
    owners.extend([Name::root(), library(&"test".parse().unwrap())]);
    owners
});

/// Records by their order, as sets are compared.
pub(super) fn sorted(records: &[RecordData]) -> Vec<RecordData> {
    let mut records = records.to_vec();
    records.sort_by_key(|record| format!("{record:?}"));
    records
}

impl World {
    fn new() -> Self {
        let mut builder = Universe::builder();
        for (zone, signing) in ZONES {
            builder = builder.zone(zone, signing).records(&RECORDS.replace('@', zone));
            for (owner, how) in SPOILED.iter().filter(|_| !zone.starts_with("evil.")) {
                builder = builder.sabotage(&format!("{owner}.{zone}"), "A", *how);
            }
        }
        let universe = builder.broken_ds("broken.test", true).build().unwrap();
        let anchors = Arc::new(Anchors::parse(&universe.trust_anchor()).unwrap());
        let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = Timestamp(age.map_or(0, |age| age.as_secs()));
        let mut world =
            Self { universe, anchors, now, zones: Vec::new(), answers: Vec::new(), known: Mutex::default() };
        let zones = ZONES.iter().map(|(zone, _)| *zone).chain([".", "test"]);
        world.zones = zones.clone().map(|zone| library(&zone.parse().unwrap())).collect();
        let keys = zones
            .flat_map(|zone| [(zone.parse().unwrap(), RrType::DS), (zone.parse().unwrap(), RrType::DNSKEY)]);
        let questions: Vec<(DnsName, RrType)> = QUESTIONS.iter().cloned().chain(keys).collect();
        world.answers = questions
            .iter()
            .filter_map(|(name, rr_type)| world.honest(&library(name), RecordType::from(rr_type.0)))
            .collect();
        world
    }

    /// What an honest server says.
    pub(super) fn honest(&self, name: &Name, rr_type: RecordType) -> Option<Message> {
        let key = (name.clone(), rr_type);
        if let Some(known) = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let response = self.look_up(name, rr_type);
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() > 20_000 {
            known.clear();
        }
        known.insert(key, response.clone());
        response
    }

    /// One of the honest answers that have much in common with that to this question.
    pub(super) fn related(&self, name: &Name, rr_type: RecordType, choice: u8) -> Option<&Message> {
        let below = |zone: &Name, name: &Name| {
            name.iter().take(name.iter().len() - zone.iter().len()).map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        let zone_of = |name: &Name| {
            self.zones.iter().filter(|zone| zone.zone_of(name)).max_by_key(|zone| zone.iter().len())
        };
        let zone = zone_of(name)?;
        let first = below(zone, name);
        let fits = |message: &&Message| {
            let Some(query) = message.queries.first() else { return false };
            let same_type = query.query_type() == rr_type;
            query.name() == name
                || (same_type
                    && zone_of(query.name())
                        .is_some_and(|other| other == zone || below(other, query.name()) == first))
        };
        let related: Vec<&Message> = self.answers.iter().filter(fits).collect();
        related.get(usize::from(choice) % related.len().max(1)).copied()
    }

    fn look_up(&self, name: &Name, rr_type: RecordType) -> Option<Message> {
        let mut options = DnsRequestOptions::default();
        options.use_edns = true;
        options.edns_set_dnssec_ok = true;
        let request = hickory_proto::op::DnsRequest::from_query(Query::query(name.clone(), rr_type), options);
        let response = self.universe.respond(&request.to_vec().ok()?)?;
        Message::from_vec(&response)
            .ok()
            .filter(|message| message.metadata.message_type == MessageType::Response)
    }

    /// What is true of a name, aliases not followed; nothing where the universe has no answer.
    pub(super) fn fact(&self, name: &DnsName, rr_type: RrType) -> Option<Fact> {
        let (owner, rr_type) = (library(name), RecordType::from(rr_type.0));
        let message = self.honest(&owner, rr_type)?;
        let of = |wanted: RecordType| {
            let here = |r: &&Record| r.name == owner && r.record_type() == wanted;
            message.answers.iter().filter(here).map(|r| r.data.clone()).collect::<Vec<_>>()
        };
        let wildcard = message.answers.iter().any(|record| match &record.data {
            RData::DNSSEC(DNSSECRData::RRSIG(signature)) => {
                record.name == owner && signature.input().num_labels < owner.num_labels()
            }
            _ => false,
        });
        let data = of(rr_type);
        if !data.is_empty() {
            return Some(Fact { says: Says::Records(sorted(&convert::records(&data)?)), wildcard });
        }
        if let [RData::CNAME(target)] = of(RecordType::CNAME).as_slice() {
            return Some(Fact { says: Says::Alias(convert::dns_name(&target.0.to_lowercase())?), wildcard });
        }
        let kind = match message.metadata.response_code {
            ResponseCode::NoError => Negative::NoData,
            ResponseCode::NXDomain => Negative::NxDomain,
            _ => return None,
        };
        Some(Fact { says: Says::Nothing(kind), wildcard: false })
    }

    /// How far an attacker can speak for a name.
    pub(super) fn level(&self, name: &DnsName, rr_type: RrType) -> Level {
        let above = |zone: &&(&str, Signing)| {
            let zone: DnsName = zone.0.parse().unwrap();
            name.is_at_or_below(&zone) && !(rr_type == RrType::DS && *name == zone)
        };
        let mut zones: Vec<&(&str, Signing)> = ZONES.iter().filter(above).collect();
        zones.sort_by_key(|(zone, _)| zone.len());
        for (zone, signing) in &zones {
            if zone.starts_with("evil.") {
                return Level::Theirs;
            }
            if *zone == "broken.test" {
                return Level::Bogus;
            }
            if *signing == Signing::Unsigned {
                return Level::Unsigned;
            }
        }
        let Some((zone, signing)) = zones.last() else { return Level::Strong };
        let spoiled = SPOILED.iter().any(|(owner, _)| *name == format!("{owner}.{zone}").parse().unwrap());
        if spoiled && rr_type == RrType::A {
            return if matches!(signing, Signing::Nsec3Iterations(_)) { Level::Weak } else { Level::Bogus };
        }
        match signing {
            Signing::Nsec3Iterations(_) => Level::Weak,
            Signing::Nsec3OptOut if !exists(name, zone) => Level::Unsigned,
            _ => Level::Strong,
        }
    }
}

/// Whether records have a signature that does not hold. Even in a weak zone they are bogus as long as it is with them: they say themselves that
/// they are not of an unsigned zone.
pub(super) fn has_bad_signature(name: &DnsName, rr_type: RrType) -> bool {
    let of_zone = |zone: &str| {
        let named = |owner: &str| *name == format!("{owner}.{zone}").parse().unwrap();
        SPOILED.iter().any(|(owner, how)| *how != Sabotage::MissingSignature && named(owner))
    };
    rr_type == RrType::A && ZONES.iter().any(|(zone, _)| of_zone(zone))
}

/// Whether a signed name of the zone is this one or lies below it, or whether the zone's DNAME speaks for it.
fn exists(name: &DnsName, zone: &str) -> bool {
    if name.is_at_or_below(&format!("dn.{zone}").parse().unwrap()) {
        return true;
    }
    let owners = RECORDS.lines().filter_map(|line| line.split_whitespace().next());
    let owners = owners.map(|owner| owner.replace('@', zone)).chain([format!("sub.{zone}")]);
    owners.map(|owner| owner.parse::<DnsName>().unwrap()).any(|owner| owner.is_at_or_below(name))
}
