//! A zone and its signatures: RRsets, RRSIGs, NSEC and NSEC3 chains (RFC 4034, RFC 4035 section 2, RFC 5155
//! section 7), and the ways to spoil them on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hickory_proto::dnssec::crypto::EcdsaSigningKey;
use hickory_proto::dnssec::rdata::{NSEC, NSEC3};
use hickory_proto::dnssec::{Algorithm, Nsec3HashAlgorithm, PublicKey, SigningKey, TBS};
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

use super::text::dns_name;
use super::wire::name_wire;
use crate::LabError;

pub(super) const HOUR: u32 = 3_600;

/// How a zone is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signing {
    /// Not at all; the parent proves that there is no DS.
    Unsigned,
    /// Denial of existence by NSEC.
    Nsec,
    /// Denial of existence by NSEC3, no salt, no extra iterations (RFC 9276).
    Nsec3,
    /// NSEC3 with the opt-out flag: unsigned delegations are not in the chain.
    Nsec3OptOut,
    /// NSEC3 with this many extra iterations. Above 150 validators take the zone for insecure.
    Nsec3Iterations(u16),
}

impl Signing {
    fn is_signed(self) -> bool {
        self != Self::Unsigned
    }

    fn nsec3(self) -> Option<Nsec3Parameters> {
        let (opt_out, iterations) = match self {
            Self::Unsigned | Self::Nsec => return None,
            Self::Nsec3 => (false, 0),
            Self::Nsec3OptOut => (true, 0),
            Self::Nsec3Iterations(iterations) => (false, iterations),
        };
        Some(Nsec3Parameters { opt_out, iterations })
    }
}

/// What is spoiled on purpose in one RRset, or in all of a zone's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sabotage {
    /// The data is changed after it was signed: bogus.
    WrongRdata,
    /// The signature's validity ended twenty days ago: bogus.
    ExpiredSignature,
    /// The signature is valid from twenty days on: bogus.
    EarlySignature,
    /// The RRSIG is left out: bogus.
    MissingSignature,
}

/// One RRset: the RDATA in canonical wire form and order, and the RDATA of its RRSIGs.
#[derive(Clone, Debug, Default)]
pub(super) struct RrSet {
    pub(super) ttl: u32,
    pub(super) rdata: Vec<Vec<u8>>,
    pub(super) signatures: Vec<Vec<u8>>,
}

/// The RRsets of one name.
pub(super) type Node = BTreeMap<RecordType, Arc<RrSet>>;

/// What the owners of a zone have: by type, a TTL and the RDATA in canonical form and order.
pub(super) type ZoneRecords = BTreeMap<Name, BTreeMap<RecordType, (u32, BTreeSet<Vec<u8>>)>>;

/// What a zone is made from.
pub(super) struct ZonePlan<'a> {
    pub(super) origin: &'a Name,
    pub(super) signing: Signing,
    pub(super) ttl: u32,
    pub(super) serial: u32,
    pub(super) records: ZoneRecords,
    /// Child zones, each with its DS record if it is signed.
    pub(super) cuts: Vec<(Name, Option<Vec<u8>>)>,
    pub(super) sabotage: BTreeMap<(Name, RecordType), Sabotage>,
    pub(super) sabotage_all: Option<Sabotage>,
    pub(super) key: &'a ZoneKey,
    /// Seconds since 1970: signatures are valid from an hour before to a week after.
    pub(super) now: u32,
}

/// A zone as it is served.
pub(super) struct Zone {
    pub(super) origin: Name,
    pub(super) signed: bool,
    nodes: BTreeMap<Name, Node>,
    /// Every name that exists, empty non-terminals included (RFC 4592 section 2.2.2).
    names: BTreeSet<Name>,
    nsec3: Option<Nsec3Chain>,
}

#[derive(Clone, Copy)]
struct Nsec3Parameters {
    opt_out: bool,
    iterations: u16,
}

struct Nsec3Chain {
    parameters: Nsec3Parameters,
    by_hash: BTreeMap<Vec<u8>, (Name, Arc<RrSet>)>,
}

/// An RRset that proves something, with its owner and type.
pub(super) type Proof = (Name, RecordType, Arc<RrSet>);

impl Zone {
    /// Makes the RRsets, the chain of denial and the signatures.
    pub(super) fn build(plan: &ZonePlan<'_>) -> Result<Self, LabError> {
        let mut zone = Self {
            origin: plan.origin.clone(),
            signed: plan.signing.is_signed(),
            nodes: BTreeMap::new(),
            names: BTreeSet::new(),
            nsec3: None,
        };
        zone.fill(plan)?;
        zone.names = existing_names(&zone.origin, zone.nodes.keys());
        if zone.signed {
            match plan.signing.nsec3() {
                Some(parameters) => zone.add_nsec3(plan, parameters)?,
                None => zone.add_nsec(plan),
            }
            zone.sign(plan)?;
        }
        Ok(zone)
    }

    pub(super) fn exists(&self, name: &Name) -> bool {
        self.names.contains(name)
    }

    pub(super) fn get(&self, name: &Name, rtype: RecordType) -> Option<&Arc<RrSet>> {
        self.nodes.get(name)?.get(&rtype)
    }

    pub(super) fn uses_nsec3(&self) -> bool {
        self.nsec3.is_some()
    }

    /// The NSEC or NSEC3 record of exactly this name.
    pub(super) fn matching(&self, name: &Name) -> Option<Proof> {
        match &self.nsec3 {
            Some(chain) => {
                let (owner, set) = chain.by_hash.get(&chain.parameters.hash(name)?)?;
                Some((owner.clone(), RecordType::NSEC3, Arc::clone(set)))
            }
            None => Some((name.clone(), RecordType::NSEC, Arc::clone(self.get(name, RecordType::NSEC)?))),
        }
    }

    /// The NSEC or NSEC3 record whose span this name falls into.
    pub(super) fn covering(&self, name: &Name) -> Option<Proof> {
        if let Some(chain) = &self.nsec3 {
            let hash = chain.parameters.hash(name)?;
            let before = chain.by_hash.range(..=hash).next_back();
            let (_, (owner, set)) = before.or_else(|| chain.by_hash.last_key_value())?;
            return Some((owner.clone(), RecordType::NSEC3, Arc::clone(set)));
        }
        let has_nsec = |(owner, node): (&Name, &Node)| {
            Some((owner.clone(), RecordType::NSEC, Arc::clone(node.get(&RecordType::NSEC)?)))
        };
        let before = self.nodes.range(..=name).rev().find_map(has_nsec);
        before.or_else(|| self.nodes.iter().rev().find_map(has_nsec))
    }

    /// The longest existing ancestor of a name, and the name one label longer (RFC 5155 section 1.3).
    pub(super) fn closest_encloser(&self, name: &Name) -> (Name, Name) {
        let mut next_closer = name.clone();
        let mut encloser = name.base_name();
        while !self.names.contains(&encloser) && !encloser.is_root() {
            next_closer = encloser;
            encloser = next_closer.base_name();
        }
        (encloser, next_closer)
    }

    fn fill(&mut self, plan: &ZonePlan<'_>) -> Result<(), LabError> {
        let nowhere = name_wire(&dns_name("ns.invalid")?);
        let rrset = |ttl: u32, rdata: Vec<Vec<u8>>| Arc::new(RrSet { ttl, rdata, signatures: Vec::new() });
        for (name, types) in &plan.records {
            let node = self.nodes.entry(name.clone()).or_default();
            for (rtype, (ttl, rdata)) in types {
                node.insert(*rtype, rrset(*ttl, rdata.iter().cloned().collect()));
            }
        }
        for (cut, ds) in &plan.cuts {
            let node = self.nodes.entry(cut.clone()).or_default();
            node.insert(RecordType::NS, rrset(plan.ttl, vec![nowhere.clone()]));
            if let Some(ds) = ds {
                node.insert(RecordType::DS, rrset(plan.ttl, vec![ds.clone()]));
            }
        }
        let apex = self.nodes.entry(plan.origin.clone()).or_default();
        let mut soa = nowhere.clone();
        soa.extend(&nowhere);
        for number in [plan.serial, 3600, 600, 86_400, plan.ttl] {
            soa.extend(number.to_be_bytes());
        }
        apex.insert(RecordType::SOA, rrset(plan.ttl, vec![soa]));
        apex.insert(RecordType::NS, rrset(plan.ttl, vec![nowhere]));
        if self.signed {
            apex.insert(RecordType::DNSKEY, rrset(plan.ttl, vec![plan.key.dnskey.clone()]));
            if let Some(parameters) = plan.signing.nsec3() {
                let [high, low] = parameters.iterations.to_be_bytes();
                apex.insert(RecordType::NSEC3PARAM, rrset(plan.ttl, vec![vec![1, 0, high, low, 0]]));
            }
        }
        Ok(())
    }

    fn add_nsec(&mut self, plan: &ZonePlan<'_>) {
        let owners: Vec<Name> = self.nodes.keys().cloned().collect();
        let following = owners.iter().skip(1).chain(owners.first());
        for (owner, next) in owners.iter().zip(following) {
            let Some(node) = self.nodes.get_mut(owner) else { continue };
            let nsec = NSEC::new_cover_self(next.clone(), node.keys().copied());
            let rdata = nsec.to_bytes().unwrap_or_default();
            let set = RrSet { ttl: plan.ttl, rdata: vec![rdata], signatures: Vec::new() };
            node.insert(RecordType::NSEC, Arc::new(set));
        }
    }

    fn add_nsec3(&mut self, plan: &ZonePlan<'_>, parameters: Nsec3Parameters) -> Result<(), LabError> {
        let mut spans: BTreeMap<Vec<u8>, Vec<RecordType>> = BTreeMap::new();
        for name in &self.names {
            let mut types: Vec<RecordType> =
                self.nodes.get(name).map(|node| node.keys().copied().collect()).unwrap_or_default();
            let unsigned_cut = types == [RecordType::NS];
            if unsigned_cut && parameters.opt_out {
                continue;
            }
            if !types.is_empty() && !unsigned_cut {
                types.push(RecordType::RRSIG);
            }
            let hash = parameters.hash(name).ok_or_else(|| LabError::Signing("NSEC3 hash".to_owned()))?;
            spans.insert(hash, types);
        }
        let hashes: Vec<Vec<u8>> = spans.keys().cloned().collect();
        let following = hashes.iter().skip(1).chain(hashes.first());
        let mut by_hash = BTreeMap::new();
        for ((hash, types), next) in spans.into_iter().zip(following) {
            let label = data_encoding::BASE32_DNSSEC.encode(&hash);
            let owner =
                self.origin.prepend_label(label.as_bytes()).map_err(|e| LabError::Signing(e.to_string()))?;
            let nsec3 = NSEC3::new(
                Nsec3HashAlgorithm::SHA1,
                parameters.opt_out,
                parameters.iterations,
                Vec::new(),
                next.clone(),
                types,
            );
            let rdata = nsec3.to_bytes().map_err(|error| LabError::Signing(error.to_string()))?;
            let mut set = RrSet { ttl: plan.ttl, rdata: vec![rdata], signatures: Vec::new() };
            set.signatures = plan.signatures(&owner, RecordType::NSEC3, &set, None)?;
            by_hash.insert(hash, (owner, Arc::new(set)));
        }
        self.nsec3 = Some(Nsec3Chain { parameters, by_hash });
        Ok(())
    }

    fn sign(&mut self, plan: &ZonePlan<'_>) -> Result<(), LabError> {
        for (owner, node) in &mut self.nodes {
            let is_cut = *owner != self.origin && node.contains_key(&RecordType::NS);
            for (rtype, set) in node.iter_mut() {
                if is_cut && *rtype == RecordType::NS {
                    continue;
                }
                let sabotage = plan.sabotage_of(owner, *rtype);
                let mut signed = RrSet::clone(set);
                signed.signatures = plan.signatures(owner, *rtype, &signed, sabotage)?;
                if sabotage == Some(Sabotage::WrongRdata) {
                    spoil(*rtype, &mut signed.rdata);
                }
                *set = Arc::new(signed);
            }
        }
        Ok(())
    }
}

impl ZonePlan<'_> {
    fn sabotage_of(&self, owner: &Name, rtype: RecordType) -> Option<Sabotage> {
        let exact = self.sabotage.get(&(owner.clone(), rtype)).copied();
        // A whole zone is spoiled in what it says, not in what leads to its children or proves that it is signed.
        let spares = matches!(rtype, RecordType::DNSKEY | RecordType::DS | RecordType::NSEC);
        exact.or(if spares { None } else { self.sabotage_all })
    }

    fn signatures(
        &self,
        owner: &Name,
        rtype: RecordType,
        set: &RrSet,
        sabotage: Option<Sabotage>,
    ) -> Result<Vec<Vec<u8>>, LabError> {
        const DAY: u32 = 24 * HOUR;
        let now = self.now;
        let validity = match sabotage {
            Some(Sabotage::MissingSignature) => return Ok(Vec::new()),
            Some(Sabotage::ExpiredSignature) => [now.wrapping_sub(30 * DAY), now.wrapping_sub(20 * DAY)],
            Some(Sabotage::EarlySignature) => [now.wrapping_add(20 * DAY), now.wrapping_add(30 * DAY)],
            Some(Sabotage::WrongRdata) | None => [now.wrapping_sub(HOUR), now.wrapping_add(7 * DAY)],
        };
        Ok(vec![self.key.sign(self.origin, owner, rtype, set, validity)?])
    }
}

impl Nsec3Parameters {
    fn hash(self, name: &Name) -> Option<Vec<u8>> {
        let digest = Nsec3HashAlgorithm::SHA1.hash(&[], name, self.iterations).ok()?;
        Some(digest.as_ref().to_vec())
    }
}

/// The one key of a zone (ECDSA P-256, algorithm 13), used for the DNSKEY set and for all else.
pub(super) struct ZoneKey {
    signer: EcdsaSigningKey,
    dnskey: Vec<u8>,
    tag: u16,
}

impl ZoneKey {
    pub(super) fn generate() -> Result<Self, LabError> {
        let wrong = |error: hickory_proto::dnssec::DnsSecError| LabError::Signing(error.to_string());
        let pkcs8 = EcdsaSigningKey::generate_pkcs8(Algorithm::ECDSAP256SHA256).map_err(wrong)?;
        let signer = EcdsaSigningKey::from_pkcs8(&pkcs8, Algorithm::ECDSAP256SHA256).map_err(wrong)?;
        let public = signer.to_public_key().map_err(wrong)?;
        let mut dnskey = vec![1, 1, 3, 13];
        dnskey.extend(public.public_bytes());
        let tag = key_tag(&dnskey);
        Ok(Self { signer, dnskey, tag })
    }

    /// The RDATA in presentation format.
    pub(super) fn dnskey_text(&self) -> String {
        let key = self.dnskey.get(4..).unwrap_or_default();
        format!("257 3 13 {}", data_encoding::BASE64.encode(key))
    }

    /// The RDATA of the DS record at the parent, SHA-256; `broken` flips a bit of the digest.
    pub(super) fn ds(&self, origin: &Name, broken: bool) -> Vec<u8> {
        let mut hashed = name_wire(origin);
        hashed.extend(&self.dnskey);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &hashed);
        let mut ds = self.tag.to_be_bytes().to_vec();
        ds.extend([13, 2]);
        ds.extend(digest.as_ref());
        if broken && let Some(last) = ds.last_mut() {
            *last ^= 1;
        }
        ds
    }

    /// The RDATA of an RRSIG, RFC 4034 section 3.
    pub(super) fn sign(
        &self,
        origin: &Name,
        owner: &Name,
        rtype: RecordType,
        set: &RrSet,
        [inception, expiration]: [u32; 2],
    ) -> Result<Vec<u8>, LabError> {
        let rtype = u16::from(rtype).to_be_bytes();
        let mut rrsig = rtype.to_vec();
        rrsig.extend([13, owner.num_labels()]);
        rrsig.extend(set.ttl.to_be_bytes());
        rrsig.extend(expiration.to_be_bytes());
        rrsig.extend(inception.to_be_bytes());
        rrsig.extend(self.tag.to_be_bytes());
        rrsig.extend(name_wire(origin));
        let owner = name_wire(owner);
        let mut signed = rrsig.clone();
        for rdata in &set.rdata {
            signed.extend(&owner);
            signed.extend(rtype);
            signed.extend([0, 1]);
            signed.extend(set.ttl.to_be_bytes());
            signed.extend(u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
            signed.extend(rdata);
        }
        let signature = self
            .signer
            .sign(&TBS::from(signed.as_slice()))
            .map_err(|error| LabError::Signing(error.to_string()))?;
        rrsig.extend(signature);
        Ok(rrsig)
    }
}

/// RFC 4034 appendix B.
fn key_tag(dnskey: &[u8]) -> u16 {
    let sum: u32 = dnskey
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => u32::from(u16::from_be_bytes([high, low])),
            [high] => u32::from(high) << 8,
            _ => 0,
        })
        .sum();
    u16::try_from((sum + (sum >> 16)) & 0xFFFF).unwrap_or_default()
}

fn existing_names<'a>(origin: &Name, owners: impl Iterator<Item = &'a Name>) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    for owner in owners {
        let mut name = owner.clone();
        while names.insert(name.clone()) && name != *origin && !name.is_root() {
            name = name.base_name();
        }
    }
    names
}

/// Changes the first record so that it still reads as one of its type.
fn spoil(rtype: RecordType, rdata: &mut [Vec<u8>]) {
    let Some(first) = rdata.first_mut() else { return };
    let position = match rtype {
        // The first letter of the name.
        RecordType::PTR | RecordType::CNAME | RecordType::DNAME | RecordType::NS | RecordType::SOA => 1,
        // The port, the preference or the priority.
        RecordType::SRV => 5,
        RecordType::MX | RecordType::SVCB | RecordType::HTTPS => 1,
        _ => first.len().saturating_sub(1),
    };
    if let Some(octet) = first.get_mut(position) {
        *octet ^= 1;
    }
}
