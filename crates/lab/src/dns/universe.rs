//! A private DNS universe: a signed root and the zones below it, written as text, changeable while it is served.
//!
//! The root (`.`), `test`, `127.in-addr.arpa` and the reverse zone of `::1` are there from the start, signed with
//! NSEC. A name outside every zone but the root does not exist, and the root proves it. Each record goes into the
//! deepest zone that holds its owner; SOA, NS, DS, DNSKEY and the chain of denial are made here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use hickory_proto::rr::{Name, RecordType};

use super::answer::Zones;
use super::faults::lock;
use super::server::{Listen, Server};
use super::text::{dns_name, parse_record, record_type, reverse_name, service_name};
use super::wire::{MAX_STREAM, Received, read};
use super::zone::{HOUR, RrSet, Sabotage, Signing, Zone, ZoneKey, ZonePlan, ZoneRecords};
use crate::LabError;

/// What a universe is to hold. The first mistake is kept and reported when the universe is built.
///
/// Owner names are absolute; the last dot may be left out.
pub struct UniverseBuilder {
    plan: Plan,
    mistake: Option<LabError>,
}

type Owned = BTreeMap<RecordType, (Option<u32>, BTreeSet<Vec<u8>>)>;

#[derive(Clone)]
struct Plan {
    ttl: u32,
    zones: BTreeMap<Name, ZoneSettings>,
    records: BTreeMap<Name, Owned>,
    sabotage: BTreeMap<(Name, RecordType), Sabotage>,
    /// Zones that get a new key at the next build.
    rolled: BTreeSet<Name>,
}

#[derive(Clone, Copy)]
struct ZoneSettings {
    signing: Signing,
    sabotage: Option<Sabotage>,
    broken_ds: bool,
}

impl UniverseBuilder {
    /// The TTL in seconds of records that do not state one, and of negative answers. The default is 60.
    #[must_use]
    pub fn ttl(mut self, seconds: u32) -> Self {
        self.plan.ttl = seconds;
        self
    }

    /// Adds a zone, or says anew how it is signed. Its parent is the deepest zone above it.
    #[must_use]
    pub fn zone(self, origin: &str, signing: Signing) -> Self {
        self.attempt(|plan| {
            plan.zones
                .entry(dns_name(origin)?)
                .and_modify(|zone| zone.signing = signing)
                .or_insert(ZoneSettings { signing, sabotage: None, broken_ds: false });
            Ok(())
        })
    }

    /// Takes a zone away; its records move to the zone above it.
    #[must_use]
    pub fn remove_zone(self, origin: &str) -> Self {
        self.attempt(|plan| {
            plan.zones.remove(&dns_name(origin)?);
            Ok(())
        })
    }

    /// Adds one record: `.record("gw1.example.test", "30 A 127.0.1.1")`. The TTL may be left out.
    #[must_use]
    pub fn record(self, owner: &str, text: &str) -> Self {
        self.attempt(|plan| plan.add(owner, text))
    }

    /// Adds records from lines of `OWNER [TTL] TYPE RDATA`; empty lines and those that start with `;` are skipped.
    #[must_use]
    pub fn records(self, lines: &str) -> Self {
        self.attempt(|plan| {
            for line in lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(';'))
            {
                let (owner, text) = line
                    .split_once(char::is_whitespace)
                    .ok_or_else(|| LabError::Record(line.to_owned(), "only a name".to_owned()))?;
                plan.add(owner, text)?;
            }
            Ok(())
        })
    }

    /// Puts one record in the place of all that the owner has of its type.
    #[must_use]
    pub fn set(self, owner: &str, text: &str) -> Self {
        self.attempt(|plan| {
            let rtype = parse_record(text)?.rtype;
            if let Some(types) = plan.records.get_mut(&dns_name(owner)?) {
                types.remove(&rtype);
            }
            plan.add(owner, text)
        })
    }

    /// Takes the owner's records of one type away.
    #[must_use]
    pub fn remove(self, owner: &str, rtype: &str) -> Self {
        self.attempt(|plan| {
            let owner = dns_name(owner)?;
            if let Some(types) = plan.records.get_mut(&owner) {
                types.remove(&record_type(rtype)?);
                if types.is_empty() {
                    plan.records.remove(&owner);
                }
            }
            Ok(())
        })
    }

    /// An address record and the PTR record that it confirms.
    #[must_use]
    pub fn host(self, name: &str, address: IpAddr) -> Self {
        self.address(name, address).ptr(address, name)
    }

    /// An A or AAAA record.
    #[must_use]
    pub fn address(self, name: &str, address: IpAddr) -> Self {
        let rtype = if address.is_ipv4() { "A" } else { "AAAA" };
        self.record(name, &format!("{rtype} {address}"))
    }

    /// A PTR record at the address's reverse name.
    #[must_use]
    pub fn ptr(self, address: IpAddr, name: &str) -> Self {
        self.record(&reverse_name(address), &format!("PTR {name}"))
    }

    /// A TLSA record at `_<port>._tcp.<name>`: `.tlsa("gw1.example.test", 8443, "3 1 1 abcd…")`.
    #[must_use]
    pub fn tlsa(self, name: &str, port: u16, data: &str) -> Self {
        self.record(&service_name(port, name), &format!("TLSA {data}"))
    }

    /// This many PTR records for one address, with the shortest different names in `zone`.
    ///
    /// One DNS message of 64 KiB holds about 3,600 such records; with more the server sends, over TCP too, what fits,
    /// and sets TC.
    #[must_use]
    pub fn many_ptrs(self, address: IpAddr, zone: &str, count: u32) -> Self {
        self.attempt(|plan| {
            let owner = reverse_name(address);
            (0..count).try_for_each(|number| plan.add(&owner, &format!("PTR {}.{zone}", base36(number))))
        })
    }

    /// Spoils one RRset.
    #[must_use]
    pub fn sabotage(self, owner: &str, rtype: &str, how: Sabotage) -> Self {
        self.attempt(|plan| {
            plan.sabotage.insert((dns_name(owner)?, record_type(rtype)?), how);
            Ok(())
        })
    }

    /// Spoils every RRset of a zone but DNSKEY, DS and the denials. `None` mends it.
    #[must_use]
    pub fn sabotage_zone(self, origin: &str, how: Option<Sabotage>) -> Self {
        self.attempt(|plan| {
            plan.settings(origin)?.sabotage = how;
            Ok(())
        })
    }

    /// Flips a bit in the DS record of a zone: the zone and all below it are bogus.
    #[must_use]
    pub fn broken_ds(self, origin: &str, broken: bool) -> Self {
        self.attempt(|plan| {
            plan.settings(origin)?.broken_ds = broken;
            Ok(())
        })
    }

    /// Gives a zone a new key. A new key of the root makes every trust anchor that was given out void.
    #[must_use]
    pub fn roll_key(self, origin: &str) -> Self {
        self.attempt(|plan| {
            plan.rolled.insert(dns_name(origin)?);
            Ok(())
        })
    }

    /// Takes back everything that [`sabotage`](Self::sabotage), [`sabotage_zone`](Self::sabotage_zone) and
    /// [`broken_ds`](Self::broken_ds) did.
    #[must_use]
    pub fn mend(mut self) -> Self {
        self.plan.sabotage.clear();
        for zone in self.plan.zones.values_mut() {
            zone.sabotage = None;
            zone.broken_ds = false;
        }
        self
    }

    /// Makes keys and signatures (about 50 µs each).
    ///
    /// # Errors
    /// The first text that could not be read, a record that the lab makes itself, or a name that has a CNAME and
    /// something else.
    pub fn build(self) -> Result<Universe, LabError> {
        let mut plan = self.finish()?;
        let mut keys = BTreeMap::new();
        let zones = plan.build(&mut keys)?;
        let inner = Inner { zones: RwLock::new(Arc::new(zones)), source: Mutex::new(Source { plan, keys }) };
        Ok(Universe(Arc::new(inner)))
    }

    fn finish(self) -> Result<Plan, LabError> {
        match self.mistake {
            Some(mistake) => Err(mistake),
            None => Ok(self.plan),
        }
    }

    fn attempt(mut self, step: impl FnOnce(&mut Plan) -> Result<(), LabError>) -> Self {
        if self.mistake.is_none() {
            self.mistake = step(&mut self.plan).err();
        }
        self
    }
}

/// A universe that can be served, any number of times at once, and changed while it is. Clones are the same universe.
#[derive(Clone)]
pub struct Universe(Arc<Inner>);

struct Inner {
    zones: RwLock<Arc<Zones>>,
    source: Mutex<Source>,
}

struct Source {
    plan: Plan,
    keys: BTreeMap<Name, Arc<ZoneKey>>,
}

impl Universe {
    /// An empty universe: the zones that are always there.
    #[must_use]
    pub fn builder() -> UniverseBuilder {
        let plan = Plan {
            ttl: 60,
            zones: BTreeMap::new(),
            records: BTreeMap::new(),
            sabotage: BTreeMap::new(),
            rolled: BTreeSet::new(),
        };
        let loopback6 = reverse_name(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST));
        let mut builder = UniverseBuilder { plan, mistake: None };
        for origin in [".", "test", "127.in-addr.arpa", &loopback6] {
            builder = builder.zone(origin, Signing::Nsec);
        }
        builder
    }

    /// Changes the universe: `universe.replace(|now| now.set("gw1.example.test", "A 127.0.1.9"))?`. Keys stay, all
    /// else is signed again; questions see the old universe until the new one is whole.
    ///
    /// # Errors
    /// As [`UniverseBuilder::build`]; the universe stays as it was.
    pub fn replace(&self, change: impl FnOnce(UniverseBuilder) -> UniverseBuilder) -> Result<(), LabError> {
        let mut source = lock(&self.0.source);
        let mut plan = change(UniverseBuilder { plan: source.plan.clone(), mistake: None }).finish()?;
        let mut keys = source.keys.clone();
        let zones = plan.build(&mut keys)?;
        *source = Source { plan, keys };
        *self.0.zones.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(zones);
        Ok(())
    }

    /// The root's key as a line of a trust anchor file: `. 300 IN DNSKEY 257 3 13 …`, with the line's end.
    #[must_use]
    pub fn trust_anchor(&self) -> String {
        let source = lock(&self.0.source);
        let key = source.keys.get(&Name::root()).map(|key| key.dnskey_text()).unwrap_or_default();
        format!(". 300 IN DNSKEY {key}\n")
    }

    /// Writes [`trust_anchor`](Self::trust_anchor) to a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_trust_anchor(&self, path: &Path) -> Result<(), LabError> {
        Ok(std::fs::write(path, self.trust_anchor())?)
    }

    /// Serves the universe until the [`Server`] is dropped.
    ///
    /// # Errors
    /// A socket cannot be bound.
    pub async fn serve(&self, listen: Listen) -> Result<Server, LabError> {
        Server::start(self.clone(), listen).await
    }

    /// The answer to one message, as it would come over TCP; `None` where there would be silence.
    #[must_use]
    pub fn respond(&self, message: &[u8]) -> Option<Vec<u8>> {
        match read(message) {
            Received::Question(question) => {
                let answer = self.zones().answer(&question.name, question.rtype, question.dnssec_ok);
                Some(question.encode(&answer, MAX_STREAM))
            }
            Received::Refuse(refusal) => Some(refusal),
            Received::Ignore => None,
        }
    }

    /// The RDATA of an RRSIG by the key of `zone` over any RRset, of that zone or not: what the holder of the key can make. The
    /// RDATA must be in canonical form and order.
    ///
    /// # Errors
    /// There is no such zone, or a name cannot be read.
    pub fn signature(
        &self,
        zone: &str,
        owner: &str,
        rtype: RecordType,
        ttl: u32,
        rdata: Vec<Vec<u8>>,
    ) -> Result<Vec<u8>, LabError> {
        let (origin, owner) = (dns_name(zone)?, dns_name(owner)?);
        let key = lock(&self.0.source).keys.get(&origin).cloned();
        let key = key.ok_or_else(|| LabError::Zone(zone.to_owned(), "there is no such zone"))?;
        let now = now();
        let set = RrSet { ttl, rdata, signatures: Vec::new() };
        key.sign(&origin, &owner, rtype, &set, [now.wrapping_sub(HOUR), now.wrapping_add(HOUR)])
    }

    pub(super) fn zones(&self) -> Arc<Zones> {
        Arc::clone(&self.0.zones.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The time in DNSSEC's numbers of 32 bits, which wrap (RFC 4034 section 3.1.5).
fn now() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    u32::try_from(now & u64::from(u32::MAX)).unwrap_or_default()
}

impl Plan {
    fn add(&mut self, owner: &str, text: &str) -> Result<(), LabError> {
        let name = dns_name(owner)?;
        let record = parse_record(text)?;
        let made_here = [
            RecordType::SOA,
            RecordType::NS,
            RecordType::DS,
            RecordType::DNSKEY,
            RecordType::RRSIG,
            RecordType::NSEC,
            RecordType::NSEC3,
            RecordType::NSEC3PARAM,
        ];
        if made_here.contains(&record.rtype) {
            return Err(LabError::Record(text.to_owned(), "made by the lab itself".to_owned()));
        }
        let set = self.records.entry(name).or_default().entry(record.rtype).or_default();
        set.0 = record.ttl.or(set.0);
        set.1.insert(record.rdata);
        Ok(())
    }

    fn settings(&mut self, origin: &str) -> Result<&mut ZoneSettings, LabError> {
        let name = dns_name(origin)?;
        self.zones.get_mut(&name).ok_or_else(|| LabError::Zone(origin.to_owned(), "there is no such zone"))
    }

    fn build(&mut self, keys: &mut BTreeMap<Name, Arc<ZoneKey>>) -> Result<Zones, LabError> {
        for (owner, types) in &self.records {
            if types.contains_key(&RecordType::CNAME) && (types.len() > 1 || self.zones.contains_key(owner)) {
                return Err(LabError::Record(owner.to_ascii(), "CNAME and other data".to_owned()));
            }
        }
        for rolled in std::mem::take(&mut self.rolled) {
            keys.remove(&rolled);
        }
        for origin in self.zones.keys() {
            if !keys.contains_key(origin) {
                keys.insert(origin.clone(), Arc::new(ZoneKey::generate()?));
            }
        }
        let now = now();
        let mut zones = BTreeMap::new();
        for (origin, settings) in &self.zones {
            let Some(key) = keys.get(origin) else { continue };
            let zone = Zone::build(&ZonePlan {
                origin,
                signing: settings.signing,
                ttl: self.ttl,
                serial: now,
                records: self.records_of(origin),
                cuts: self.cuts_of(origin, keys),
                sabotage: self.sabotage.clone(),
                sabotage_all: settings.sabotage,
                key,
                now,
            })?;
            zones.insert(origin.clone(), zone);
        }
        Ok(Zones(zones))
    }

    fn records_of(&self, origin: &Name) -> ZoneRecords {
        let here = self.records.iter().filter(|(owner, _)| self.deepest(owner) == Some(origin));
        here.map(|(owner, types)| {
            let types =
                types.iter().map(|(rtype, (ttl, rdata))| (*rtype, (ttl.unwrap_or(self.ttl), rdata.clone())));
            (owner.clone(), types.collect())
        })
        .collect()
    }

    fn cuts_of(&self, origin: &Name, keys: &BTreeMap<Name, Arc<ZoneKey>>) -> Vec<(Name, Option<Vec<u8>>)> {
        let children = self
            .zones
            .iter()
            .filter(|(child, _)| !child.is_root() && self.deepest(&child.base_name()) == Some(origin));
        children
            .map(|(child, settings)| {
                let key = keys.get(child).filter(|_| settings.signing != Signing::Unsigned);
                (child.clone(), key.map(|key| key.ds(child, settings.broken_ds)))
            })
            .collect()
    }

    /// The zone that holds a name.
    fn deepest(&self, name: &Name) -> Option<&Name> {
        let mut candidate = name.clone();
        loop {
            if let Some((origin, _)) = self.zones.get_key_value(&candidate) {
                return Some(origin);
            }
            if candidate.is_root() {
                return None;
            }
            candidate = candidate.base_name();
        }
    }
}

fn base36(mut number: u32) -> String {
    let mut digits = String::new();
    loop {
        digits.push(char::from_digit(number % 36, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits;
        }
    }
}
