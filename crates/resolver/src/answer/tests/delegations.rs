//! What the parent says about a zone cut.

use hickory_proto::dnssec::DigestType;
use hickory_proto::dnssec::rdata::DS;
use hickory_proto::rr::RecordType as T;

use super::*;
use crate::answer::delegation::{Cut, judge};

const CHILD: &str = "child.signed.test.";

fn ds(algorithm: u8, digest: u8) -> DS {
    DS::new(1, Algorithm::from_u8(algorithm), DigestType::from(digest), vec![0; 32])
}

fn ds_data(ds: DS) -> RData {
    RData::DNSSEC(DNSSECRData::DS(ds))
}

fn judged(message: &Built, owner: &str) -> Result<Cut, Bogus> {
    judge(&name(owner), &message.0, NOW).map(|j| j.cut)
}

fn denied(records: Vec<Record>) -> Result<Cut, Bogus> {
    judged(&response().authority(records), CHILD)
}

#[test]
fn ds_records_of_the_parent_start_a_signed_zone() {
    let message = response().answer(proven(CHILD, [ds_data(ds(13, 2))], &by(SIGNED)));
    assert_eq!(judged(&message, CHILD), Ok(Cut::Signed(vec![ds(13, 2)])));
    let judged = judge(&name(CHILD), &message.0, NOW).unwrap();
    assert_eq!(judged.ttl, 300);
}

#[test]
fn ds_records_of_anybody_else_prove_nothing() {
    for records in [
        plain(CHILD, ds_data(ds(13, 2))),
        proven(CHILD, [ds_data(ds(13, 2))], &by(CHILD)),
        proven(CHILD, [ds_data(ds(13, 2))], &Signing { labels: Some(2), ..by(SIGNED) }),
    ] {
        assert!(judged(&response().answer(records), CHILD).is_err());
    }
}

#[test]
fn a_zone_of_unknown_algorithms_or_of_sha1_signatures_only_counts_as_unsigned() {
    for (algorithm, digest) in [(99, 2), (13, 99), (5, 2), (7, 2)] {
        let message = response().answer(proven(CHILD, [ds_data(ds(algorithm, digest))], &by(SIGNED)));
        assert_eq!(judged(&message, CHILD), Ok(Cut::Unsigned));
    }
    for other in [99, 5, 7] {
        let mixed = proven(CHILD, [ds_data(ds(other, 2)), ds_data(ds(13, 2))], &by(SIGNED));
        assert_eq!(judged(&response().answer(mixed), CHILD), Ok(Cut::Signed(vec![ds(13, 2)])));
    }
    // SHA-1 as the digest of a key only says which key is meant.
    let digest = proven(CHILD, [ds_data(ds(13, 1))], &by(SIGNED));
    assert_eq!(judged(&response().answer(digest), CHILD), Ok(Cut::Signed(vec![ds(13, 1)])));
}

#[test]
fn an_unsigned_zone_needs_ns_without_ds() {
    assert_eq!(denied(secure(CHILD, nsec("x.signed.test.", &[T::NS]))), Ok(Cut::Unsigned));
    assert_eq!(denied(secure(CHILD, nsec("x.signed.test.", &[T::A]))), Ok(Cut::None));
    assert!(denied(secure(CHILD, nsec("x.signed.test.", &[T::NS, T::DS]))).is_err());
    assert!(denied(secure(CHILD, nsec("x.signed.test.", &[T::NS, T::SOA]))).is_err());
    assert!(denied(plain(CHILD, nsec("x.signed.test.", &[T::NS]))).is_err());
    assert!(denied(vec![]).is_err());
    let nsec3 = Nsec3s::of(SIGNED);
    assert_eq!(denied(nsec3.matching(CHILD, &[T::NS])), Ok(Cut::Unsigned));
    assert_eq!(denied(nsec3.matching(CHILD, &[T::A])), Ok(Cut::None));
}

#[test]
fn a_name_that_does_not_exist_starts_no_zone() {
    assert_eq!(denied(secure("a.signed.test.", nsec("x.signed.test.", &[T::A]))), Ok(Cut::NoSuchName));
    assert_eq!(denied(secure("a.signed.test.", nsec("a.child.signed.test.", &[T::A]))), Ok(Cut::None));
    let nsec3 = Nsec3s::of(SIGNED);
    let records = [nsec3.matching(SIGNED, &[T::SOA, T::NS]), nsec3.covering(CHILD)].concat();
    assert_eq!(denied(records), Ok(Cut::NoSuchName));
}

#[test]
fn in_an_opt_out_span_an_unsigned_zone_may_start() {
    let nsec3 = Nsec3s { opt_out: true, ..Nsec3s::of(SIGNED) };
    let records = [nsec3.matching(SIGNED, &[T::SOA, T::NS]), nsec3.covering(CHILD)].concat();
    assert_eq!(denied(records), Ok(Cut::Unsigned));
    // But not where only the hash of a name below a signed delegation happens to be covered.
    let deep = "www.child.signed.test.";
    let message =
        response().authority(nsec3.covering(deep)).authority(nsec3.matching(CHILD, &[T::NS, T::DS]));
    assert!(judged(&message, deep).is_err());
    assert!(judged(&response().authority(nsec3.covering(deep)), deep).is_err());
}

#[test]
fn nxdomain_with_ds_records_is_a_contradiction() {
    let message = || response().answer(proven(CHILD, [ds_data(ds(13, 2))], &by(SIGNED)));
    assert!(matches!(judged(&message(), CHILD), Ok(Cut::Signed(_))));
    assert!(judged(&message().nxdomain(), CHILD).is_err());
}

#[test]
fn a_denial_by_the_child_itself_does_not_count() {
    let records = proven(CHILD, [nsec("a.child.signed.test.", &[T::NS])], &by(CHILD));
    assert!(denied(records).is_err());
}

#[test]
fn an_alias_is_no_zone_cut() {
    assert_eq!(judged(&response().answer(secure(CHILD, cname("x.test."))), CHILD), Ok(Cut::None));
    assert!(judged(&response().answer(plain(CHILD, cname("x.test."))), CHILD).is_err());
}

#[test]
fn a_delegation_is_kept_no_longer_than_its_signature_holds() {
    let signing = Signing { until: 1_800_000_007, ..by(SIGNED) };
    let message = response().answer(proven(CHILD, [ds_data(ds(13, 2))], &signing));
    assert_eq!(judge(&name(CHILD), &message.0, NOW).unwrap().ttl, 7);
}
