//! Path validation: of certificates and lists of which everything is known, what is accepted is a path that holds and what holds is
//! accepted; changed octets are accepted nowhere; other octets do no harm.

use arbitrary::Arbitrary;
use revouch_validator::cert::CertificateFacts;
use revouch_validator::chain::Chain;
use revouch_validator::path::{
    Anchors, CrlChoice, CrlPolicy, Crls, PathError, PathFacts, PathRequest, PathVerdict, Purpose, validate,
};
use revouch_validator::timestamp::Timestamp;
use rustls_pki_types::CertificateDer;

use crate::pool::{Made, POOL};

/// What is validated.
#[derive(Arbitrary, Debug)]
pub struct Input {
    material: Material,
    purpose: u8,
    refuse_unknown: bool,
    allow_expired: bool,
    /// Quarters of a day from the pool's time, and another time at which the verdict must be the same.
    quarters: i8,
    later: u32,
}

#[derive(Arbitrary, Debug)]
enum Material {
    /// From the pool.
    Known(Known),
    /// Octets.
    Octets { chain: Vec<Vec<u8>>, anchors: Vec<Vec<u8>>, crls: Vec<Vec<u8>> },
}

#[derive(Arbitrary, Debug)]
struct Known {
    leaf: u8,
    intermediates: Vec<u8>,
    anchors: Vec<u8>,
    lists: Vec<u8>,
    /// An octet of a certificate of the chain, or of a list, is changed.
    change: Option<Change>,
}

#[derive(Arbitrary, Debug)]
struct Change {
    list: bool,
    which: u8,
    place: u16,
    by: u8,
}

/// Validates.
pub fn run(input: &Input) {
    // Half an hour beside every date of the pool, which may be some seconds off.
    let now = Timestamp(POOL.now.0.saturating_add_signed(i64::from(input.quarters) * 6 * 3600 + 1800));
    let purpose = [Purpose::Server, Purpose::ServerOrAny, Purpose::Client][usize::from(input.purpose) % 3];
    let choice = |refuse| if refuse { CrlChoice::Refuse } else { CrlChoice::Allow };
    let crl_policy =
        CrlPolicy { unknown: choice(input.refuse_unknown), expired: choice(!input.allow_expired) };
    let judge = |chain: Vec<Vec<u8>>, anchors: Vec<Vec<u8>>, crls: Vec<Vec<u8>>| {
        let chain = Chain::new(chain.into_iter().map(CertificateDer::from).collect()).ok()?;
        let facts = CertificateFacts::parse(chain.leaf()).ok()?;
        let (anchors, _) = Anchors::from_der(anchors.into_iter().map(CertificateDer::from));
        let (crls, _) = Crls::from_der(crls);
        let request =
            PathRequest { chain: &chain, facts: &facts, purpose, anchors: &anchors, crls: &crls, crl_policy };
        let verdict = validate(&request, now);
        the_same_in_its_window(&request, &verdict, now, input.later);
        Some(verdict)
    };
    let known = match &input.material {
        Material::Octets { chain, anchors, crls } => {
            judge(chain.clone(), anchors.clone(), crls.clone());
            return;
        }
        Material::Known(known) => known,
    };
    let leaf = POOL.leaf(known.leaf).0;
    let pick = |choices: &[u8]| choices.iter().take(6).map(|choice| POOL.pick(*choice).0).collect::<Vec<_>>();
    let (intermediates, anchors) = (pick(&known.intermediates), pick(&known.anchors));
    let lists: Vec<usize> =
        known.lists.iter().take(6).map(|choice| usize::from(*choice) % POOL.lists.len()).collect();
    let ders = |places: &[usize]| {
        places.iter().map(|place| POOL.certificates[*place].der.to_vec()).collect::<Vec<_>>()
    };
    let mut chain = ders(&[&[leaf][..], &intermediates].concat());
    let mut crls: Vec<Vec<u8>> = lists.iter().map(|place| POOL.lists[*place].der.clone()).collect();
    if let Some(change) = &known.change {
        let which = if change.list { &mut crls } else { &mut chain };
        let count = which.len();
        let Some(octets) = which.get_mut(usize::from(change.which) % count.max(1)) else { return };
        let place = usize::from(change.place) % octets.len();
        octets[place] ^= change.by.max(1);
    }
    let Some(verdict) = judge(chain, ders(&anchors), crls) else { return };
    let truth = Truth { leaf, intermediates, anchors, lists, purpose, crl_policy, now: now.0 };
    if let Ok(path) = &verdict.outcome {
        truth.admits(path);
        let changed = known.change.as_ref().filter(|change| change.list);
        assert!(
            changed.is_some() || truth.is_revoked_or_unknown(path).is_none(),
            "{:?}",
            truth.is_revoked_or_unknown(path)
        );
    } else if known.change.is_none() {
        let given_up = verdict.outcome == Err(PathError::TooComplex) && truth.is_complex();
        assert!(given_up || !truth.has_path(), "a path that holds is refused: {:?}", verdict.outcome);
    }
}

/// The outcome is the same wherever the verdict says that it is.
fn the_same_in_its_window(request: &PathRequest<'_>, verdict: &PathVerdict, now: Timestamp, later: u32) {
    assert!(verdict.valid_from <= now && now <= verdict.valid_until && verdict.answers(request, now));
    let room = verdict.valid_until.0 - verdict.valid_from.0;
    let at = Timestamp(verdict.valid_from.0 + u64::from(later) % (room + 1));
    for at in [at, verdict.valid_from, verdict.valid_until] {
        // Before 1970 and after 9999 nothing is said.
        if at.0 < 1 << 40 {
            assert_eq!(validate(request, at).outcome, verdict.outcome, "at {at:?} and at {now:?}");
        }
    }
}

/// What is true of a request over the pool.
struct Truth {
    leaf: usize,
    intermediates: Vec<usize>,
    anchors: Vec<usize>,
    lists: Vec<usize>,
    purpose: Purpose,
    crl_policy: CrlPolicy,
    now: u64,
}

impl Truth {
    fn fits(&self, made: &Made) -> bool {
        let fits = made.purposes.is_none_or(|(server, client)| match self.purpose {
            Purpose::Server | Purpose::ServerOrAny => server,
            Purpose::Client => client,
        });
        fits && (made.valid.0..=made.valid.1).contains(&self.now)
    }

    /// Every certificate of the path is what it should be.
    fn admits(&self, path: &PathFacts) {
        let places: Vec<usize> = path
            .certificates
            .iter()
            .map(|fingerprint| {
                POOL.place_of(*fingerprint).expect("a certificate with changed octets is accepted")
            })
            .collect();
        let anchor = POOL.place_of(path.anchor.fingerprint.unwrap()).unwrap();
        assert_eq!(places[0], self.leaf);
        assert!(self.anchors.contains(&anchor), "an anchor that is none");
        for (place, above) in places.iter().zip(places.iter().skip(1).chain([&anchor])) {
            assert_eq!(POOL.certificates[*place].issuer, *above, "{place} was not issued by {above}");
            assert!(self.fits(&POOL.certificates[*place]), "{place} does not fit");
        }
        assert!(POOL.certificates[self.leaf].signs && POOL.certificates[self.leaf].readable);
        for place in &places[1..] {
            assert!(POOL.certificates[*place].ca && self.intermediates.contains(place));
        }
    }

    /// Why revocation refuses the path, if it does.
    fn is_revoked_or_unknown(&self, path: &PathFacts) -> Option<String> {
        let places = path.certificates.iter().map(|fingerprint| POOL.place_of(*fingerprint).unwrap());
        places.filter_map(|place| self.status(place)).next()
    }

    fn status(&self, place: usize) -> Option<String> {
        if self.lists.is_empty() {
            return (self.crl_policy.unknown == CrlChoice::Refuse).then(|| "no list at all".to_owned());
        }
        let made = &POOL.certificates[place];
        let own = self.lists.iter().map(|list| &POOL.lists[*list]).filter(|list| list.issuer == made.issuer);
        let Some(newest) = own.max_by_key(|list| list.updates.0) else {
            return (self.crl_policy.unknown == CrlChoice::Refuse).then(|| format!("{place} has no list"));
        };
        if newest.revoked.contains(&made.serial) {
            return Some(format!("{place} is revoked"));
        }
        let stale = self.now > newest.updates.1 && self.crl_policy.expired == CrlChoice::Refuse;
        stale.then(|| format!("the list of {place} is stale"))
    }

    /// Whether there are more issuers of one name than are tried. Only the leaves of the pool have a name in common.
    fn is_complex(&self) -> bool {
        let leaves: std::collections::BTreeSet<_> =
            self.intermediates.iter().filter(|place| **place >= POOL.leaves).collect();
        leaves.len() > 3
    }

    /// Whether there is a path that nothing speaks against.
    fn has_path(&self) -> bool {
        let leaf = &POOL.certificates[self.leaf];
        leaf.signs && leaf.readable && self.leads_up(self.leaf, 0)
    }

    fn leads_up(&self, place: usize, depth: usize) -> bool {
        let made = &POOL.certificates[place];
        if depth > 4 || !self.fits(made) || self.status(place).is_some() {
            return false;
        }
        let above = made.issuer;
        self.anchors.contains(&above)
            || (above != place && self.intermediates.contains(&above) && self.leads_up(above, depth + 1))
    }
}
