//! Makes the zone files: keys, DS records, signatures, and then the faults.
//!
//! The tools are BIND's (`dnssec-keygen`, `dnssec-dsfromkey`, `dnssec-signzone`, `dnssec-revoke`) and, for the zones that Knot signs while it
//! serves them, its `keymgr`. What is to be wrong is edited into what they made, record by record.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use hickory_proto::dnssec::{DigestType, Verifier};
use hickory_proto::serialize::txt::trust_anchor::{Entry, Parser};

use super::table::{Authority, Denial, DsKind, Fault, Target, Zone};
use super::{BedError, DIRECTORIES};

/// Zones that are worked on at the same time: the tools are short-lived and wait for the disk.
const AT_ONCE: usize = 4;

/// The address of a zone's name server, as text.
pub(super) type AddressOf<'a> = &'a (dyn Fn(Authority) -> String + Sync);

/// The zones as files, and the key by which all is trusted.
pub(super) struct Made {
    /// By zone name.
    pub(super) files: BTreeMap<String, PathBuf>,
    /// The root's key, as a DNSKEY record in presentation format.
    pub(super) anchor: String,
}

/// The keys of one zone.
#[derive(Default)]
struct Keys {
    /// Names of key files, those that sign and are published.
    own: Vec<String>,
    /// The key that is published instead of the zone-signing key.
    swapped: Option<String>,
    /// DS records as they stand in the parent, data only.
    ds: Vec<String>,
}

/// Where things are made.
struct Workshop<'a> {
    directory: &'a Path,
    zones: &'a [Zone],
    keys: BTreeMap<&'a str, Keys>,
    address_of: AddressOf<'a>,
}

/// Makes all zones in `directory`. `knot_config` is the file by which `keymgr` finds Knot's own keys.
pub(super) fn make(
    directory: &Path,
    zones: &[Zone],
    knot_config: &Path,
    address_of: AddressOf<'_>,
) -> Result<Made, BedError> {
    fs::create_dir_all(directory.join("keys"))?;
    let keys = in_parallel(zones, |zone| keys_of(directory, zone, knot_config))?;
    let keys: BTreeMap<&str, Keys> = zones.iter().map(|zone| zone.name.as_str()).zip(keys).collect();
    let workshop = Workshop { directory, zones, keys, address_of };
    let files = in_parallel(zones, |zone| workshop.file_of(zone))?;
    let files = zones.iter().map(|zone| zone.name.clone()).zip(files).collect();
    let root = workshop.keys.get(".").and_then(|keys| keys.own.first());
    let root = root.ok_or_else(|| BedError::new("the table has no signed root"))?;
    Ok(Made { files, anchor: workshop.published(root)? })
}

/// Does `work` for each zone, a few at a time, and gives the results in the order of the zones.
fn in_parallel<T: Send>(
    zones: &[Zone],
    work: impl Fn(&Zone) -> Result<T, BedError> + Sync,
) -> Result<Vec<T>, BedError> {
    let work = &work;
    let mut done: Vec<(usize, Result<T, BedError>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|first| {
                let share = zones.iter().enumerate().skip(first).step_by(AT_ONCE);
                scope.spawn(move || share.map(|(index, zone)| (index, work(zone))).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    });
    done.sort_by_key(|(index, _)| *index);
    if done.len() != zones.len() {
        return Err(BedError::new("a thread that made zones died"));
    }
    done.into_iter().map(|(_, result)| result).collect()
}

fn keys_of(directory: &Path, zone: &Zone, knot_config: &Path) -> Result<Keys, BedError> {
    let generate = |algorithm: &str, flags: &[&str]| {
        let size: &[&str] = if algorithm.contains("RSA") { &["-b", "2048"] } else { &[] };
        let arguments = ["-q", "-K", "keys", "-a", algorithm];
        let command = tool("dnssec-keygen", directory, &[&arguments, size, flags, &[&zone.name]].concat());
        command.map(|said| said.trim().to_owned())
    };
    let mut kinds: Vec<DsKind> = zone.faults.iter().filter_map(ds_kind).collect();
    if kinds.is_empty() && zone.is_signed() && !zone.no_ds {
        kinds.push(DsKind::Good);
    }
    if zone.by_knot {
        let config = knot_config.display().to_string();
        let of_zone = ["-c", &config, &zone.name];
        tool(
            "keymgr",
            directory,
            &[&of_zone[..], &["generate", "algorithm=13", "ksk=yes", "zsk=yes"]].concat(),
        )?;
        let said = tool("keymgr", directory, &[&of_zone[..], &["ds"]].concat())?;
        let ds = said.lines().filter_map(|line| line.split_once(" DS ")).map(|(_, data)| data.to_owned());
        return Ok(Keys { ds: ds.filter(|data| data.contains(" 13 2 ")).collect(), ..Keys::default() });
    }
    let mut keys = Keys::default();
    for algorithm in &zone.algorithms {
        keys.own.push(generate(algorithm, &["-f", "KSK"])?);
    }
    let mut delegated = keys.own.clone();
    if zone.faults.contains(&Fault::Revoke)
        && let Some(key) = keys.own.first_mut()
    {
        let said = tool("dnssec-revoke", directory, &["-K", "keys", key])?;
        *key = file_stem(&said);
        delegated.clone_from(&keys.own);
    }
    if zone.split_keys {
        let algorithm = zone.algorithms.first().map_or("ECDSAP256SHA256", String::as_str);
        if zone.faults.contains(&Fault::SwapZoneKey) {
            keys.swapped = Some(generate(algorithm, &[])?);
        }
        keys.own.push(generate(algorithm, &[])?);
    }
    if !kinds.is_empty() && (delegated.is_empty() || kinds.contains(&DsKind::OtherKey)) {
        // A key that only the DS record knows.
        delegated = vec![generate("ECDSAP256SHA256", &["-f", "KSK"])?];
    }
    for kind in kinds {
        for key in &delegated {
            keys.ds.push(ds(directory, key, kind)?);
        }
    }
    Ok(keys)
}

fn ds_kind(fault: &Fault) -> Option<DsKind> {
    if let Fault::Ds(kind) = fault { Some(*kind) } else { None }
}

/// The data of a DS record for a key.
fn ds(directory: &Path, key: &str, kind: DsKind) -> Result<String, BedError> {
    let digest = match kind {
        DsKind::Sha1 => "SHA-1",
        DsKind::Sha384 => "SHA-384",
        _ => "SHA-256",
    };
    let said = tool("dnssec-dsfromkey", directory, &["-a", digest, &format!("keys/{key}.key")])?;
    let Some((_, data)) = said.trim().split_once(" DS ") else {
        // It says nothing about keys that are revoked.
        return ds_of_revoked(&fs::read_to_string(directory.join("keys").join(format!("{key}.key")))?);
    };
    let [tag, algorithm, digest_type, digest] = data.split_whitespace().collect::<Vec<_>>()[..] else {
        return Err(BedError::new(format!("dnssec-dsfromkey said {data}")));
    };
    Ok(match kind {
        DsKind::WrongDigest => {
            let wrong = if digest.starts_with('0') { "1" } else { "0" };
            format!("{tag} {algorithm} {digest_type} {wrong}{}", digest.get(1..).unwrap_or_default())
        }
        DsKind::UnknownDigest => format!("{tag} {algorithm} 200 {digest}"),
        DsKind::UnknownAlgorithm => format!("{tag} 200 {digest_type} {digest}"),
        DsKind::Good | DsKind::Sha1 | DsKind::Sha384 | DsKind::OtherKey => data.to_owned(),
    })
}

/// The data of a DS record with SHA-256 for the key in this file.
fn ds_of_revoked(file: &str) -> Result<String, BedError> {
    let unreadable = |why: String| BedError::new(format!("a revoked key: {why}"));
    let entries = Parser::new(file).parse().map_err(|error| unreadable(error.to_string()))?;
    let Some(Entry::DNSKEY(record)) = entries.first() else { return Err(unreadable("none".into())) };
    let key = record.data();
    let tag = key.calculate_key_tag().map_err(|error| unreadable(error.to_string()))?;
    let digest =
        key.to_digest(record.name(), DigestType::SHA256).map_err(|error| unreadable(error.to_string()))?;
    let digest: String = digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    Ok(format!("{tag} {} 2 {digest}", u8::from(key.algorithm())))
}

impl Workshop<'_> {
    /// Makes one zone; the path of its file.
    fn file_of(&self, zone: &Zone) -> Result<PathBuf, BedError> {
        let stem = format!("zone-{}", zone.name.replace('/', "_"));
        let plain = self.directory.join(&stem);
        fs::write(&plain, self.text_of(zone)?)?;
        if !zone.is_signed() || zone.by_knot {
            return Ok(plain);
        }
        let own: Vec<&str> = self
            .keys
            .get(zone.name.as_str())
            .into_iter()
            .flat_map(|keys| &keys.own)
            .map(String::as_str)
            .collect();
        let mut lines = self.sign(zone, &stem, &own, ["now-3600", "now+604800"])?;
        for fault in &zone.faults {
            match fault {
                Fault::Ds(_) | Fault::Revoke => {}
                Fault::Strip(target) => lines.retain(|line| !line.is_signature_of(target)),
                Fault::Expire(target) => {
                    self.sign_anew(zone, &stem, &own, target, ["now-864000", "now-86400"], &mut lines)?;
                }
                Fault::Early(target) => {
                    self.sign_anew(zone, &stem, &own, target, ["now+86400", "now+864000"], &mut lines)?;
                }
                Fault::Change(target, data) => change(&mut lines, target, data)?,
                Fault::Drop(target) => {
                    lines.retain(|line| !line.is_of(target) && !line.is_signature_of(target));
                }
                Fault::SwapZoneKey => self.swap_zone_key(zone, &stem, &own, &mut lines)?,
            }
        }
        let signed = self.directory.join(format!("{stem}.signed"));
        let head = format!("$ORIGIN {}\n", zone.name);
        fs::write(&signed, lines.iter().fold(head, |text, line| text + &line.text() + "\n"))?;
        Ok(signed)
    }

    /// The zone file before it is signed.
    fn text_of(&self, zone: &Zone) -> Result<String, BedError> {
        let keys = self.keys.get(zone.name.as_str());
        let mut text = format!("$ORIGIN {}\n$TTL {ttl}\n", zone.name, ttl = zone.ttl);
        // Below a DNAME nothing stands, so a zone with one at its apex takes its parent's server.
        let moved = zone.records.iter().any(|record| record.owner == zone.name && record.rr_type == "DNAME");
        let server = match parent(zone, self.zones).filter(|_| moved) {
            Some(parent) => format!("ns.{}", parent.name),
            None => zone.absolute("ns"),
        };
        text += &format!("@ SOA {server} hostmaster 1 3600 600 86400 {}\n@ NS {server}\n", zone.ttl);
        if !moved {
            text += &format!("{server} A {}\n", (self.address_of)(zone.authority));
        }
        for child in
            self.zones.iter().filter(|child| parent(child, self.zones).is_some_and(|p| p.name == zone.name))
        {
            text += &format!("{0} NS ns.{0}\nns.{0} A {1}\n", child.name, (self.address_of)(child.authority));
            let ds = self.keys.get(child.name.as_str()).map(|keys| keys.ds.as_slice()).unwrap_or_default();
            for data in ds.iter().filter(|_| zone.is_signed()) {
                text += &format!("{} DS {data}\n", child.name);
            }
        }
        for record in &zone.records {
            text += &format!("{} {}\n", record.owner, record.text);
        }
        for key in keys.into_iter().flat_map(|keys| &keys.own) {
            text += &format!("{}\n", self.published(key)?);
        }
        Ok(text)
    }

    /// A key's DNSKEY record.
    fn published(&self, key: &str) -> Result<String, BedError> {
        let text = fs::read_to_string(self.directory.join("keys").join(format!("{key}.key")))?;
        let record = text.lines().find(|line| !line.starts_with(';')).map(str::to_owned);
        record.ok_or_else(|| BedError::new(format!("no key in {key}")))
    }

    /// Signs the zone with these keys for this time.
    fn sign(
        &self,
        zone: &Zone,
        stem: &str,
        keys: &[&str],
        [from, until]: [&str; 2],
    ) -> Result<Vec<Line>, BedError> {
        let output = format!("{stem}.made");
        let (iterations, salt, opt_out) = match &zone.denial {
            Denial::Nsec => (String::new(), "", false),
            Denial::Nsec3 { iterations, salt, opt_out } => (iterations.to_string(), salt.as_str(), *opt_out),
        };
        let mut arguments = vec!["-q", "-P", "-O", "full", "-K", "keys", "-o", &zone.name];
        arguments.extend(["-s", from, "-e", until, "-f", &output]);
        if !salt.is_empty() {
            arguments.extend(["-3", salt, "-H", &iterations]);
        }
        arguments.extend(opt_out.then_some("-A"));
        arguments.push(if zone.split_keys { "-x" } else { "-z" });
        arguments.push(stem);
        arguments.extend(keys);
        tool("dnssec-signzone", self.directory, &arguments)?;
        let text = fs::read_to_string(self.directory.join(&output))?;
        Ok(text.lines().filter_map(Line::parse).collect())
    }

    /// Puts signatures for another time in the place of those that a fault is about.
    fn sign_anew(
        &self,
        zone: &Zone,
        stem: &str,
        keys: &[&str],
        target: &Target,
        time: [&str; 2],
        lines: &mut Vec<Line>,
    ) -> Result<(), BedError> {
        let others = self.sign(zone, stem, keys, time)?;
        lines.retain(|line| !line.is_signature_of(target));
        lines.extend(others.into_iter().filter(|line| line.is_signature_of(target)));
        Ok(())
    }

    /// Takes the keys, and the signature over them, from the same zone with another zone-signing key.
    fn swap_zone_key(
        &self,
        zone: &Zone,
        stem: &str,
        own: &[&str],
        lines: &mut Vec<Line>,
    ) -> Result<(), BedError> {
        let swapped = self.keys.get(zone.name.as_str()).and_then(|keys| keys.swapped.as_deref());
        let ([ksk, zsk], Some(swapped)) = (own, swapped) else {
            return Err(BedError::new(format!("{} has no zone key to swap", zone.name)));
        };
        let file = self.directory.join(stem);
        let text = fs::read_to_string(&file)?;
        fs::write(&file, text.replace(&self.published(zsk)?, &self.published(swapped)?))?;
        let others = self.sign(zone, stem, &[ksk, swapped], ["now-3600", "now+604800"])?;
        let keys = Target { owner: Some(zone.name.clone()), rr_type: Some("DNSKEY".into()) };
        let about_keys = |line: &Line| line.is_of(&keys) || line.is_signature_of(&keys);
        lines.retain(|line| !about_keys(line));
        lines.extend(others.into_iter().filter(about_keys));
        Ok(())
    }
}

/// The zone that a zone is delegated from.
fn parent<'z>(zone: &Zone, zones: &'z [Zone]) -> Option<&'z Zone> {
    let above = zones.iter().filter(|other| other.name != zone.name && other.holds(&zone.name));
    above.max_by_key(|other| other.name.len())
}

/// One record of a signed zone.
struct Line {
    owner: String,
    ttl: String,
    rr_type: String,
    data: String,
}

impl Line {
    /// `None` for what is no record. The signer writes every record in full on a line of its own.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let owner = words.next().filter(|word| !word.starts_with(';'))?.to_owned();
        let (ttl, _class) = (words.next()?.to_owned(), words.next()?);
        let rr_type = words.next()?.to_owned();
        Some(Self { owner, ttl, rr_type, data: words.collect::<Vec<_>>().join(" ") })
    }

    fn text(&self) -> String {
        format!("{} {} IN {} {}", self.owner, self.ttl, self.rr_type, self.data)
    }

    fn is_of(&self, target: &Target) -> bool {
        self.has_owner(target) && target.rr_type.as_ref().is_none_or(|rr_type| *rr_type == self.rr_type)
    }

    fn is_signature_of(&self, target: &Target) -> bool {
        let covered = self.data.split(' ').next();
        let fits = target.rr_type.as_deref().is_none_or(|rr_type| covered == Some(rr_type));
        self.rr_type == "RRSIG" && self.has_owner(target) && fits
    }

    fn has_owner(&self, target: &Target) -> bool {
        target.owner.as_ref().is_none_or(|owner| owner.eq_ignore_ascii_case(&self.owner))
    }
}

/// Puts other data under the signature of an RRset.
fn change(lines: &mut Vec<Line>, target: &Target, data: &str) -> Result<(), BedError> {
    let place = lines.iter().position(|line| line.is_of(target));
    let place = place.ok_or_else(|| BedError::new(format!("nothing to change at {target:?}")))?;
    let mut changed = lines.remove(place);
    lines.retain(|line| !line.is_of(target));
    data.clone_into(&mut changed.data);
    lines.push(changed);
    Ok(())
}

/// Runs a tool and gives what it said on standard output.
pub(super) fn tool(program: &str, directory: &Path, arguments: &[&str]) -> Result<String, BedError> {
    let paths = DIRECTORIES.iter().map(|place| Command::new(format!("{place}{program}")));
    let mut outputs = paths.map(|mut command| command.args(arguments).current_dir(directory).output());
    let is_there =
        |output: &io::Result<_>| !matches!(output, Err(error) if error.kind() == io::ErrorKind::NotFound);
    let output = outputs.find(is_there).ok_or_else(|| BedError::not_installed(program))??;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(BedError::new(format!("{program} {}: {}", arguments.join(" "), said.trim())))
    }
}

/// The name of a file without its directory.
fn file_stem(path: &str) -> String {
    let path = path.trim();
    path.rsplit_once('/').map_or(path, |(_, name)| name).to_owned()
}
