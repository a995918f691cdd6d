#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::cert::CertificateFacts;
use crate::cert::testing::{Entity, NOW, ca, leaf, server_ca};
use crate::chain::Chain;
use crate::dane::usable;
use crate::path::{Anchors, CrlPolicy, Crls, PathError, PathRequest, Purpose, validate, validate_with_tlsa};
use crate::rr::Tlsa;

/// Validates a chain to `anchors`.
fn outcome(anchors: &Anchors, chain: &[&[u8]]) -> Result<usize, PathError> {
    let certificates = chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let chain = Chain::new(certificates).unwrap();
    let facts = CertificateFacts::parse(chain.leaf()).unwrap();
    let request = PathRequest {
        chain: &chain,
        facts: &facts,
        purpose: Purpose::Server,
        anchors,
        crls: &Crls::none(),
        crl_policy: CrlPolicy::default(),
    };
    validate(&request, NOW).outcome.map(|path| path.certificates.len())
}

fn kept(anchors: &Anchors) -> usize {
    let kept = anchors.signatures().0.lock().unwrap();
    assert_eq!(kept.digests.len(), kept.order.len());
    kept.order.len()
}

fn anchors(root: &Entity) -> Anchors {
    Anchors::from_der([root.der.clone()]).0
}

#[test]
fn the_signature_over_a_ca_is_kept_once_and_a_leafs_never() {
    let root = Entity::self_signed(ca("root"));
    let issuing = root.issue(server_ca("issuing"));
    let anchors = anchors(&root);
    for _ in 0..3 {
        let leaf = issuing.issue(leaf(&["a.example"]));
        assert_eq!(outcome(&anchors, &[&leaf.der, &issuing.der]), Ok(2));
        assert_eq!(kept(&anchors), 1);
    }
    // Directly below the anchor.
    assert_eq!(outcome(&anchors, &[&root.issue(leaf(&["a.example"])).der]), Ok(1));
    assert_eq!(kept(&anchors), 1);
}

/// Whatever is changed, the signature that is kept is not over it.
#[test]
fn nothing_that_differs_in_an_octet_passes_for_what_is_kept() {
    let root = Entity::self_signed(ca("root"));
    let issuing = root.issue(server_ca("issuing"));
    let leaf = issuing.issue(leaf(&["a.example"]));
    let anchors = anchors(&root);
    assert_eq!(outcome(&anchors, &[&leaf.der, &issuing.der]), Ok(2));
    for place in 0..issuing.der.len() {
        let mut changed = issuing.der.to_vec();
        changed[place] ^= 1;
        assert!(outcome(&anchors, &[&leaf.der, &changed]).is_err(), "octet {place}");
    }
    // The same request by a CA of the same name with another key.
    let other = Entity::self_signed(ca("root"));
    assert_eq!(outcome(&self::anchors(&other), &[&leaf.der, &issuing.der]), Err(PathError::BadSignature));
    assert_eq!(outcome(&anchors, &[&leaf.der, &issuing.der]), Ok(2));
}

/// What no path to an anchor needed is not kept: anyone can sign what they like with keys of their own.
#[test]
fn who_has_no_path_leaves_nothing_behind() {
    let (root, stranger) = (Entity::self_signed(ca("root")), Entity::self_signed(ca("stranger")));
    let anchors = anchors(&root);
    let theirs = stranger.issue(server_ca("theirs"));
    let their_leaf = theirs.issue(leaf(&["a.example"]));
    assert_eq!(
        outcome(&anchors, &[&their_leaf.der, &theirs.der, &stranger.der]),
        Err(PathError::UnknownIssuer)
    );
    assert_eq!(kept(&anchors), 0);
}

/// Another CA of the same name is tried first: the root has signed it, and it has not signed the leaf.
#[test]
fn what_is_found_valid_beside_the_path_is_not_kept() {
    let root = Entity::self_signed(ca("root"));
    let (issuing, sibling) = (root.issue(server_ca("issuing")), root.issue(server_ca("issuing")));
    let anchors = anchors(&root);
    let good = issuing.issue(leaf(&["a.example"]));
    assert_eq!(outcome(&anchors, &[&good.der, &sibling.der, &issuing.der]), Ok(2));
    assert_eq!(kept(&anchors), 1);
}

/// Whoever can publish TLSA records can make a CA of their own the anchor.
#[test]
fn what_leads_to_an_anchor_of_a_tlsa_record_is_not_kept() {
    let (root, stranger) = (Entity::self_signed(ca("root")), Entity::self_signed(ca("stranger")));
    let theirs = stranger.issue(server_ca("theirs"));
    let their_leaf = theirs.issue(leaf(&["a.example"]));
    let anchors = anchors(&root);
    let chain = Chain::new(vec![their_leaf.der, theirs.der, stranger.der.clone()]).unwrap();
    let record = Tlsa { usage: 2, selector: 0, matching: 0, data: stranger.der.to_vec() };
    let request = PathRequest {
        chain: &chain,
        facts: chain.leaf_facts().unwrap(),
        purpose: Purpose::Server,
        anchors: &anchors,
        crls: &Crls::none(),
        crl_policy: CrlPolicy::default(),
    };
    let (path, _) = validate_with_tlsa(&request, NOW, &usable(&[record], true)).unwrap();
    assert_eq!(path.certificates.len(), 2);
    assert_eq!(kept(&anchors), 0);
}

/// Two anchors of one name: the path leads to the one that signed, also when its signature is known.
#[test]
fn a_signature_is_kept_for_the_key_that_made_it() {
    let root = Entity::self_signed(ca("root"));
    // It comes first in the set.
    let earlier = |other: &Entity| Fingerprint::of(&other.der) < Fingerprint::of(&root.der);
    let other = std::iter::repeat_with(|| Entity::self_signed(ca("root"))).find(earlier).unwrap();
    let issuing = root.issue(server_ca("issuing"));
    let anchors = Anchors::from_der([root.der.clone(), other.der]).0;
    for _ in 0..2 {
        let chain = Chain::new(vec![issuing.issue(leaf(&["a.example"])).der, issuing.der.clone()]).unwrap();
        let request = PathRequest {
            chain: &chain,
            facts: chain.leaf_facts().unwrap(),
            purpose: Purpose::Server,
            anchors: &anchors,
            crls: &Crls::none(),
            crl_policy: CrlPolicy::default(),
        };
        let path = validate(&request, NOW).outcome.unwrap();
        assert_eq!(path.anchor.fingerprint, Some(Fingerprint::of(&root.der)));
    }
}

#[test]
fn the_oldest_makes_room() {
    let signatures = Signatures::default();
    let digest = |number: usize| Fingerprint::of(&number.to_be_bytes());
    for number in 0..=MAX_KEPT {
        signatures.keep(digest(number));
        signatures.keep(digest(number));
    }
    assert!(
        !signatures.holds(&digest(0)) && signatures.holds(&digest(1)) && signatures.holds(&digest(MAX_KEPT))
    );
    let kept = signatures.0.lock().unwrap();
    assert_eq!((kept.digests.len(), kept.order.len()), (MAX_KEPT, MAX_KEPT));
}
