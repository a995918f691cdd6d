//! TLSA matching: a match is one by digests computed here, a record that cannot be used changes nothing, the order of records neither,
//! and usages 2 and 3 count only where the records are Secure.

use arbitrary::Arbitrary;
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use revouch_validator::cert::{CertificateFacts, Fingerprint};
use revouch_validator::chain::Chain;
use revouch_validator::dane::{
    DaneAccepted, DaneRefusal, DaneRequest, MAX_BARE_KEYS, MAX_USABLE, usable, verify,
};
use revouch_validator::name::DnsName;
use revouch_validator::path::{Anchors, CrlPolicy, Crls};
use revouch_validator::rr::Tlsa;
use rustls_pki_types::CertificateDer;

use crate::pool::{NAME, POOL};

/// A chain and records.
#[derive(Arbitrary, Debug)]
pub struct Input {
    leaf: u8,
    intermediates: Vec<u8>,
    anchors: Vec<u8>,
    records: Vec<Record>,
    secure: bool,
    other_name: bool,
    ee_name_check: bool,
    /// Where a record that cannot be used is put, and what stands in it.
    useless: (u8, [u8; 3], Vec<u8>),
    rotate: u8,
}

#[derive(Arbitrary, Debug)]
struct Record {
    usage: u8,
    selector: u8,
    matching: u8,
    data: Data,
}

#[derive(Arbitrary, Debug)]
enum Data {
    /// What a certificate of the pool matches.
    Of(u8),
    /// The same, with one octet changed.
    Almost(u8, u8, u8),
    /// Anything.
    Octets(Vec<u8>),
}

/// Checks a chain against records.
pub fn run(input: &Input) {
    let leaf = &POOL.leaf(input.leaf).1.der;
    let others = input.intermediates.iter().take(8).map(|choice| POOL.pick(*choice).1.der.clone());
    let certificates: Vec<CertificateDer<'static>> = std::iter::once(leaf.clone()).chain(others).collect();
    let Ok(chain) = Chain::new(certificates) else { return };
    let anchors = input.anchors.iter().take(8).map(|choice| POOL.pick(*choice).1.der.clone());
    let anchors = Anchors::from_der(anchors).0;
    let records: Vec<Tlsa> = input.records.iter().take(24).map(Record::tlsa).collect();
    let names: [DnsName; 1] = [if input.other_name { "other.test" } else { NAME }.parse().unwrap()];
    let check = |records: &[Tlsa], secure: bool| {
        let request = DaneRequest {
            chain: &chain,
            records,
            secure,
            names: &names,
            ee_name_check: input.ee_name_check,
            anchors: &anchors,
            crls: &Crls::none(),
            crl_policy: CrlPolicy::default(),
        };
        verify(&request, POOL.now)
    };
    let verdict = check(&records, input.secure);
    let facts = CertificateFacts::parse(leaf).unwrap();
    if let Ok(accepted) = &verdict {
        matches(accepted, &records, &chain, &anchors, input.secure);
        let named = accepted.name.as_ref().is_some_and(|name| facts.matches_dns(name).is_some());
        let waived = accepted.matched.is_some_and(|matched| matched.usage == 3) && !input.ee_name_check;
        assert!(named || waived, "accepted without its name");
    }
    let sorted = usable(&records, input.secure);
    assert_eq!(sorted.len() + sorted.left_out().len(), records.len());
    assert!(sorted.len() <= MAX_USABLE);
    if sorted.is_empty() {
        assert_eq!(verdict, check(&[], input.secure), "records that cannot be used count");
    } else if let Ok(accepted) = &verdict {
        assert!(accepted.matched.is_some(), "accepted past its records");
    }
    useless(input, &records, &verdict, &check);
    if !input.secure {
        let kept: Vec<Tlsa> = records.iter().filter(|record| record.usage < 2).cloned().collect();
        assert_eq!(outcome(&verdict), outcome(&check(&kept, false)), "usages 2 and 3 count without DNSSEC");
    }
    let bare = records.iter().filter(|r| (r.usage, r.selector, r.matching) == (2, 1, 0)).count();
    if bare <= MAX_BARE_KEYS && !records.is_empty() {
        let mut turned = records.clone();
        turned.rotate_left(usize::from(input.rotate) % records.len());
        assert_eq!(verdict.is_ok(), check(&turned, input.secure).is_ok(), "the order of records counts");
        turned.reverse();
        assert_eq!(verdict.is_ok(), check(&turned, input.secure).is_ok(), "the order of records counts");
    }
}

impl Record {
    fn tlsa(&self) -> Tlsa {
        // Mostly what is known, sometimes anything.
        let known = |value: u8, most: u8| if value < 0xe0 { value % (most + 1) } else { value };
        let (usage, selector, matching) =
            (known(self.usage, 3), known(self.selector, 1), known(self.matching, 2));
        let data = match &self.data {
            Data::Of(choice) => association(*choice, selector, matching),
            Data::Almost(choice, place, change) => {
                let mut data = association(*choice, selector, matching);
                let length = data.len();
                data[usize::from(*place) * 7 % length] ^= (*change).max(1);
                data
            }
            Data::Octets(octets) => octets.clone(),
        };
        Tlsa { usage, selector, matching, data }
    }
}

/// What a certificate of the pool matches.
fn association(choice: u8, selector: u8, matching: u8) -> Vec<u8> {
    let made = POOL.pick(choice).1;
    digested(if selector == 1 { &made.spki } else { &made.der }, matching)
}

fn digested(octets: &[u8], matching: u8) -> Vec<u8> {
    match matching {
        1 => digest(&SHA256, octets).as_ref().to_vec(),
        2 => digest(&SHA512, octets).as_ref().to_vec(),
        _ => octets.to_vec(),
    }
}

/// A match is one by what stands in the certificate at that depth of the path.
fn matches(accepted: &DaneAccepted, records: &[Tlsa], chain: &Chain, anchors: &Anchors, secure: bool) {
    let Some(matched) = accepted.matched else { return };
    let record = &records[matched.index];
    assert_eq!(
        (record.usage, record.selector, record.matching),
        (matched.usage, matched.selector, matched.matching)
    );
    assert!(record.usage <= 3 && record.selector <= 1 && record.matching <= 2);
    assert!(secure || record.usage < 2, "usage {} without DNSSEC", record.usage);
    assert_eq!(record.usage % 2 == 1, matched.depth == 0, "usages 1 and 3 are about the leaf");
    let (der, spki) = if matched.depth == 0 {
        let leaf = CertificateFacts::parse(chain.leaf()).unwrap();
        (chain.leaf().to_vec(), leaf.spki)
    } else {
        let path = accepted.path.as_ref().expect("a certificate above the leaf is one of a path");
        let at = path.certificates.get(matched.depth).copied().or_else(|| {
            assert_eq!(matched.depth, path.certificates.len());
            path.anchor.fingerprint
        });
        let Some(at) = at else {
            // A bare key: it must be the one that the last certificate was signed with.
            assert_eq!((record.usage, record.selector, record.matching), (2, 1, 0));
            let last = POOL.place_of(*path.certificates.last().unwrap()).unwrap();
            assert_eq!(POOL.certificates[POOL.certificates[last].issuer].spki, record.data);
            return;
        };
        match POOL.place_of(at).map(|place| &POOL.certificates[place]) {
            Some(made) => (made.der.to_vec(), made.spki.clone()),
            None => {
                // An anchor that stands in a record and nowhere else. It may be another record that matches it, by its key.
                assert!(record.usage == 2 && path.anchor.fingerprint == Some(at));
                let in_full = |r: &&Tlsa| (r.usage | 2, r.selector, r.matching) == (2, 0, 0);
                let stands = records.iter().filter(in_full).find(|r| at == Fingerprint::of(&r.data));
                let der = stands.expect("an anchor from nowhere").data.clone();
                let spki = CertificateFacts::parse(&der).unwrap().spki;
                (der, spki)
            }
        }
    };
    assert_eq!(digested(if record.selector == 1 { &spki } else { &der }, record.matching), record.data);
    if record.usage < 2 {
        let anchor = accepted.path.as_ref().and_then(|path| path.anchor.fingerprint).unwrap();
        assert!(
            anchors
                .certificates()
                .iter()
                .any(|own| POOL.place_of(anchor).is_some_and(|at| POOL.certificates[at].der == *own))
        );
    }
}

/// A record that cannot be used, wherever it stands, changes neither outcome nor match.
fn useless(
    input: &Input,
    records: &[Tlsa],
    verdict: &Result<DaneAccepted, DaneRefusal>,
    check: &dyn Fn(&[Tlsa], bool) -> Result<DaneAccepted, DaneRefusal>,
) {
    let (place, [usage, selector, matching], data) = &input.useless;
    // Were it used, it would match.
    let right =
        |selector: u8, matching: u8| association(data.first().copied().unwrap_or(0), selector, matching % 3);
    let record = match place % 4 {
        0 => Tlsa {
            usage: (*usage).max(4),
            selector: *selector % 2,
            matching: *matching % 3,
            data: right(selector % 2, *matching),
        },
        1 => Tlsa {
            usage: usage % 4,
            selector: (*selector).max(2),
            matching: matching % 3,
            data: right(*selector % 2, *matching),
        },
        2 => Tlsa {
            usage: usage % 4,
            selector: selector % 2,
            matching: (*matching).max(3),
            data: right(selector % 2, *matching),
        },
        _ => {
            let matching = 1 + matching % 2;
            let wrong = if data.len() == 32 * usize::from(matching) { &data[1..] } else { &data[..] };
            Tlsa { usage: usage % 4, selector: selector % 2, matching, data: wrong.to_vec() }
        }
    };
    let place = usize::from(*place / 4) % (records.len() + 1);
    let mut more = records.to_vec();
    more.insert(place, record);
    let mut other = check(&more, input.secure);
    if let Ok(DaneAccepted { matched: Some(matched), .. }) = &mut other {
        matched.index -= usize::from(matched.index > place);
    }
    assert_eq!(&other, verdict, "a record that cannot be used counts");
}

/// What does not depend on places in the set.
fn outcome(
    verdict: &Result<DaneAccepted, DaneRefusal>,
) -> Result<(Option<(u8, u8, u8, usize)>, Option<DnsName>), DaneRefusal> {
    let verdict = verdict.clone()?;
    Ok((verdict.matched.map(|m| (m.usage, m.selector, m.matching, m.depth)), verdict.name))
}
