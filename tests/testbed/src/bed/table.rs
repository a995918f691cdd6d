//! Reads the table of zones.
//!
//! ```text
//! set NAME … end                                   lines that several zones have
//! zone NAME SERVER ALGORITHM[+ALGORITHM] DENIAL [OPTION …]
//! zone NAME SERVER unsigned
//!     use SET
//!     OWNER [TTL] TYPE RDATA                       as in a zone file
//!     many COUNT OWNER TYPE RDATA                  so many records, `%` in the RDATA being the number, `%x` in hexadecimal
//!     ! FAULT
//! ```
//!
//! `SERVER` is `bind`, `knot` or `nsd`, `DENIAL` is `NSEC` or `NSEC3`. Options: `opt-out`, `iterations=N`, `salt=HEX` (of NSEC3);
//! `ttl=N` for all records; `split-keys`, a KSK and a ZSK instead of one key for both; `no-ds`, an island below a signed parent; `by-knot`, signed by
//! the server itself and not by `dnssec-signzone` (which refuses more than 150 iterations). A zone has DS records in its parent if
//! both are signed. The faults are those of [`Fault`].

use std::collections::HashMap;
use std::fmt;

/// The table of the bed.
pub const UNIVERSE: &str = include_str!("universe.zones");

/// A program that serves zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authority {
    /// BIND's `named`.
    Bind,
    /// `knotd`.
    Knot,
    /// `nsd`.
    Nsd,
}

/// How a zone denies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// By NSEC.
    Nsec,
    /// By NSEC3 (RFC 5155).
    Nsec3 {
        /// Additional rounds of hashing.
        iterations: u16,
        /// In hexadecimal, `-` for none.
        salt: String,
        /// Unsigned delegations are left out.
        opt_out: bool,
    },
}

/// What a fault is about: an owner, or all of them; a type, or all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Absolute; `None` for all.
    pub owner: Option<String>,
    /// The type; `None` for all.
    pub rr_type: Option<String>,
}

/// What is wrong with a zone on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `ds KIND`: a DS record of this kind stands in the parent. Only with such lines are there other than good ones.
    Ds(DsKind),
    /// `strip OWNER|all [TYPE]`: without signatures.
    Strip(Target),
    /// `expire OWNER|all [TYPE]`: with signatures that ended a day ago.
    Expire(Target),
    /// `early OWNER|all [TYPE]`: with signatures that hold from tomorrow on.
    Early(Target),
    /// `change OWNER TYPE RDATA`: other data under the signature.
    Change(Target, String),
    /// `drop all TYPE`: neither the records nor their signatures are served.
    Drop(Target),
    /// `swap-zone-key`: the key that signed the records is not among the zone's keys, though these are signed rightly.
    SwapZoneKey,
    /// `revoke`: the key that the DS record leads to has the REVOKE bit (RFC 5011).
    Revoke,
}

/// Kinds of DS records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DsKind {
    /// With SHA-256, as it should be.
    Good,
    /// With SHA-1.
    Sha1,
    /// With SHA-384.
    Sha384,
    /// A digest that is not the key's.
    WrongDigest,
    /// Of a key that the zone does not have.
    OtherKey,
    /// Of a digest type that nobody knows.
    UnknownDigest,
    /// Of an algorithm that nobody knows.
    UnknownAlgorithm,
}

/// One record as the table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Absolute, with the final dot.
    pub owner: String,
    /// The type's mnemonic.
    pub rr_type: String,
    /// Everything behind the owner: TTL if there is one, type, data.
    pub text: String,
}

/// One zone as the table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Absolute, with the final dot.
    pub name: String,
    /// Who serves it.
    pub authority: Authority,
    /// By which algorithms it is signed; none if it is not.
    pub algorithms: Vec<String>,
    /// How it denies, if it is signed.
    pub denial: Denial,
    /// The TTL of records that state none, and of negative answers.
    pub ttl: u32,
    /// It has a KSK and a ZSK.
    pub split_keys: bool,
    /// Its parent has no DS record though it could.
    pub no_ds: bool,
    /// Knot signs it.
    pub by_knot: bool,
    /// What is in it, but for what every zone has.
    pub records: Vec<Record>,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
}

impl Zone {
    /// Whether there are signatures.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        !self.algorithms.is_empty()
    }

    /// A name below this zone, made absolute; `@` is the zone itself.
    #[must_use]
    pub fn absolute(&self, owner: &str) -> String {
        match (owner, self.name.as_str()) {
            ("@", name) => name.to_owned(),
            (_, ".") => format!("{owner}."),
            (_, name) => format!("{owner}.{name}"),
        }
    }

    /// Whether a name is this zone's or below it.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.name == "." || name == self.name || name.ends_with(&format!(".{}", self.name))
    }
}

/// A line that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a table.
///
/// # Errors
/// A line that is none of the above.
pub fn parse(text: &str) -> Result<Vec<Zone>, Unreadable> {
    let mut sets: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut open: Option<&str> = None;
    let mut zones: Vec<Zone> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let unreadable = |why: &str| Unreadable(format!("line {}: {why}: {line}", index + 1));
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words.as_slice(), open) {
            ([], _) => {}
            ([first, ..], _) if first.starts_with(';') => {}
            (["end"], Some(_)) => open = None,
            (_, Some(set)) => sets.entry(set).or_default().push(line),
            (["set", name], None) => open = Some(name),
            (["zone", rest @ ..], None) => zones.push(zone(rest).map_err(|why| unreadable(&why))?),
            _ => {
                let zone = zones.last_mut().ok_or_else(|| unreadable("no zone yet"))?;
                let lines = match words.as_slice() {
                    ["use", set] => sets.get(set).cloned().ok_or_else(|| unreadable("no such set"))?,
                    _ => vec![line],
                };
                for line in lines {
                    add(zone, line).map_err(|why| unreadable(&why))?;
                }
            }
        }
    }
    Ok(zones)
}

/// The words of a `zone` line.
fn zone(words: &[&str]) -> Result<Zone, String> {
    let [name, authority, algorithms, rest @ ..] = words else { return Err("too few words".into()) };
    let authority = match *authority {
        "bind" => Authority::Bind,
        "knot" => Authority::Knot,
        "nsd" => Authority::Nsd,
        other => return Err(format!("no such server: {other}")),
    };
    let mut zone = Zone {
        name: (*name).to_owned(),
        authority,
        algorithms: Vec::new(),
        denial: Denial::Nsec,
        ttl: 300,
        split_keys: false,
        no_ds: false,
        by_knot: false,
        records: Vec::new(),
        faults: Vec::new(),
    };
    if *algorithms != "unsigned" {
        zone.algorithms = algorithms.split('+').map(str::to_owned).collect();
    }
    for word in rest {
        option(&mut zone, word)?;
    }
    Ok(zone)
}

fn option(zone: &mut Zone, word: &str) -> Result<(), String> {
    let number = |text: &str| text.parse().map_err(|_| format!("no number: {text}"));
    match (word.split_once('='), word, &mut zone.denial) {
        (_, "NSEC", _) => {}
        (_, "NSEC3", denial) => {
            *denial = Denial::Nsec3 { iterations: 0, salt: "-".into(), opt_out: false };
        }
        (_, "opt-out", Denial::Nsec3 { opt_out, .. }) => *opt_out = true,
        (Some(("iterations", n)), _, Denial::Nsec3 { iterations, .. }) => {
            *iterations = u16::try_from(number(n)?).map_err(|_| "too many iterations")?;
        }
        (Some(("salt", hex)), _, Denial::Nsec3 { salt, .. }) => hex.clone_into(salt),
        (Some(("ttl", n)), _, _) => zone.ttl = number(n)?,
        (_, "split-keys", _) => zone.split_keys = true,
        (_, "no-ds", _) => zone.no_ds = true,
        (_, "by-knot", _) => zone.by_knot = true,
        _ => return Err(format!("no such option: {word}")),
    }
    Ok(())
}

/// One line of a zone.
fn add(zone: &mut Zone, line: &str) -> Result<(), String> {
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match first {
        "!" => {
            let fault = fault(zone, rest.trim())?;
            zone.faults.push(fault);
        }
        "many" => {
            let (count, rest) = rest.trim().split_once(char::is_whitespace).ok_or("too few words")?;
            let (owner, text) = rest.trim().split_once(char::is_whitespace).ok_or("too few words")?;
            for number in 1..=count.parse::<u32>().map_err(|_| format!("no number: {count}"))? {
                let text = text.replace("%x", &format!("{number:02x}")).replace('%', &number.to_string());
                zone.records.push(record(zone, owner, &text)?);
            }
        }
        owner => zone.records.push(record(zone, owner, rest)?),
    }
    Ok(())
}

fn record(zone: &Zone, owner: &str, text: &str) -> Result<Record, String> {
    let mut words = text.split_whitespace().skip_while(|word| word.parse::<u32>().is_ok());
    let rr_type = words.next().ok_or("a record without a type")?.to_owned();
    Ok(Record { owner: zone.absolute(owner), rr_type, text: text.trim().to_owned() })
}

fn fault(zone: &Zone, text: &str) -> Result<Fault, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let target = |words: &[&str]| {
        let owner = words.first().filter(|word| **word != "all").map(|owner| zone.absolute(owner));
        Target { owner, rr_type: words.get(1).map(|word| (*word).to_owned()) }
    };
    Ok(match words.as_slice() {
        ["ds", kind] => Fault::Ds(match *kind {
            "good" => DsKind::Good,
            "sha1" => DsKind::Sha1,
            "sha384" => DsKind::Sha384,
            "wrong-digest" => DsKind::WrongDigest,
            "other-key" => DsKind::OtherKey,
            "unknown-digest" => DsKind::UnknownDigest,
            "unknown-algorithm" => DsKind::UnknownAlgorithm,
            other => return Err(format!("no such DS: {other}")),
        }),
        ["strip", rest @ ..] if (1..=2).contains(&rest.len()) => Fault::Strip(target(rest)),
        ["expire", rest @ ..] if (1..=2).contains(&rest.len()) => Fault::Expire(target(rest)),
        ["early", rest @ ..] if (1..=2).contains(&rest.len()) => Fault::Early(target(rest)),
        ["drop", rest @ ..] if rest.len() == 2 => Fault::Drop(target(rest)),
        ["change", owner, rr_type, data @ ..] if !data.is_empty() => {
            Fault::Change(target(&[owner, rr_type]), data.join(" "))
        }
        ["swap-zone-key"] => Fault::SwapZoneKey,
        ["revoke"] => Fault::Revoke,
        _ => return Err("no such fault".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_universe_is_readable_and_as_large_as_it_says() {
        let zones = parse(UNIVERSE).unwrap();
        assert!(zones.len() > 80, "{}", zones.len());
        for authority in [Authority::Bind, Authority::Knot, Authority::Nsd] {
            assert!(zones.iter().filter(|zone| zone.authority == authority).count() > 20, "{authority:?}");
        }
        let mut names: Vec<&str> = zones.iter().map(|zone| zone.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), zones.len(), "a zone stands there twice");
    }

    #[test]
    fn sets_and_numbered_records_and_faults_are_expanded() {
        let text = "set s\n a A 192.0.2.1\nend\nzone x.test. nsd ED25519 NSEC3 opt-out iterations=3 ttl=0\n use s\n\
                    many 2 b 7 TXT \"%\"\n! strip a A\n! change @ MX 1 c\n! expire all NSEC3";
        let zone = &parse(text).unwrap()[0];
        let records: Vec<String> = zone.records.iter().map(|r| format!("{} {}", r.owner, r.text)).collect();
        assert_eq!(records, ["a.x.test. A 192.0.2.1", "b.x.test. 7 TXT \"1\"", "b.x.test. 7 TXT \"2\""]);
        assert_eq!((zone.ttl, zone.records[1].rr_type.as_str()), (0, "TXT"));
        assert_eq!(zone.denial, Denial::Nsec3 { iterations: 3, salt: "-".into(), opt_out: true });
        let target = |owner: Option<&str>, rr_type: &str| Target {
            owner: owner.map(str::to_owned),
            rr_type: Some(rr_type.to_owned()),
        };
        let expected = [
            Fault::Strip(target(Some("a.x.test."), "A")),
            Fault::Change(target(Some("x.test."), "MX"), "1 c".into()),
            Fault::Expire(target(None, "NSEC3")),
        ];
        assert_eq!(zone.faults, expected);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, wanted) in [
            ("a A 1", "line 1: no zone yet"),
            ("zone x. bind unsigned\n use s", "line 2: no such set"),
            ("zone x. dns unsigned", "line 1: no such server: dns"),
            ("zone x. bind ED25519 opt-out", "line 1: no such option: opt-out"),
            ("zone x. bind unsigned\n! lose a", "line 2: no such fault"),
            ("zone x. bind unsigned\n! ds odd", "line 2: no such DS: odd"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{error}");
        }
    }
}
