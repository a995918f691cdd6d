//! Key rollovers: a zone that BIND serves, signed anew with other keys and other DS records, stage by stage.
//!
//! What a stage publishes, signs with and delegates to is said one by one, so that a rollover can be done as RFC 6781 section 4.1 wants it, or
//! botched.

use std::fs;

use super::sign::tool;
use super::table::Authority;
use super::{Bed, BedError, address, authorities, wait_for};

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The keys: DS records lead to it.
    Ksk,
    /// Everything else.
    Zsk,
}

/// A key of a zone, as BIND's tools keep it.
#[derive(Clone, Debug)]
pub struct Key {
    stem: String,
    record: String,
}

/// What a zone is like for a while.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// The keys in the zone's DNSKEY RRset.
    pub published: &'a [&'a Key],
    /// Those of them that sign. KSKs sign the keys, ZSKs all else.
    pub signing: &'a [&'a Key],
    /// The keys that DS records in the parent lead to.
    pub delegated: &'a [&'a Key],
}

impl Bed {
    /// Makes a key (ECDSAP256SHA256) for a zone. It is not used yet.
    ///
    /// # Errors
    /// The tool is not there, or fails.
    pub fn make_key(&self, zone: &str, role: Role) -> Result<Key, BedError> {
        let flags: &[&str] = if role == Role::Ksk { &["-f", "KSK"] } else { &[] };
        let arguments = [&["-q", "-K", "keys", "-a", "ECDSAP256SHA256"], flags, &[zone]].concat();
        let said = tool("dnssec-keygen", self.directory(), &arguments)?;
        self.key(said.trim())
    }

    /// Signs `zone`, which has a KSK and a ZSK, and `parent`, which has one key, anew for this stage, and starts BIND anew, which serves
    /// both. The recursive servers keep what they know.
    ///
    /// # Errors
    /// A tool fails, or the server does not start.
    pub async fn roll(&mut self, zone: &str, parent: &str, stage: &Stage<'_>) -> Result<(), BedError> {
        let ds_of = |key: &&Key| {
            let file = format!("keys/{}.key", key.stem);
            tool("dnssec-dsfromkey", self.directory(), &["-a", "SHA-256", &file])
        };
        let ds = stage.delegated.iter().map(ds_of).collect::<Result<String, _>>()?;
        let published: String = stage.published.iter().map(|key| key.record.clone() + "\n").collect();
        self.sign_with(zone, " DNSKEY ", &published, "-x", stage.signing)?;
        self.sign_with(parent, &format!("{zone} DS "), &ds, "-z", &[&self.only_key(parent)?])?;
        let address = address(&self.place, Authority::Bind);
        // The old one must be gone before the new one can have its port.
        self.authorities.remove(&Authority::Bind);
        let zones = authorities::share(Authority::Bind, &self.zones, &self.files);
        let plan = authorities::Plan { directory: self.directory.path(), address, zones };
        let process = authorities::start(Authority::Bind, &plan)?;
        for zone in [zone, parent] {
            wait_for(address, zone, Some(&process)).await?;
        }
        self.authorities.insert(Authority::Bind, process);
        Ok(())
    }

    fn key(&self, stem: &str) -> Result<Key, BedError> {
        let text = fs::read_to_string(self.directory().join(format!("keys/{stem}.key")))?;
        let record = text.lines().find(|line| !line.starts_with(';'));
        let record = record.ok_or_else(|| BedError::new(format!("no key in {stem}")))?.to_owned();
        Ok(Key { stem: stem.to_owned(), record })
    }

    /// The key of a zone that has only one.
    fn only_key(&self, zone: &str) -> Result<Key, BedError> {
        let start = format!("K{zone}+");
        for file in fs::read_dir(self.directory().join("keys"))? {
            let file = file?.file_name().to_string_lossy().into_owned();
            if let Some(stem) = file.strip_suffix(".key").filter(|stem| stem.starts_with(&start)) {
                return self.key(stem);
            }
        }
        Err(BedError::new(format!("{zone} has no key")))
    }

    /// Puts `records` in the place of the lines of the zone that hold `replaced`, and signs it with these keys.
    fn sign_with(
        &self,
        zone: &str,
        replaced: &str,
        records: &str,
        how: &str,
        keys: &[&Key],
    ) -> Result<(), BedError> {
        let signed = self.files.get(zone).ok_or_else(|| BedError::new(format!("no zone {zone}")))?;
        let plain = signed.with_extension("");
        let text = fs::read_to_string(&plain)?;
        let kept = text.lines().filter(|line| !line.contains(replaced)).map(|line| format!("{line}\n"));
        fs::write(&plain, kept.collect::<String>() + records)?;
        let (plain, signed) = (plain.display().to_string(), signed.display().to_string());
        let mut arguments = vec!["-q", "-P", "-O", "full", "-K", "keys", "-o", zone, "-f", &signed];
        arguments.extend(["-s", "now-3600", "-e", "now+604800", how, &plain]);
        arguments.extend(keys.iter().map(|key| key.stem.as_str()));
        tool("dnssec-signzone", self.directory(), &arguments).map(drop)
    }
}
