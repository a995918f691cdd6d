//! Answers without records: NODATA and NXDOMAIN, by NSEC and NSEC3.

use super::*;
use hickory_proto::rr::RecordType as T;

/// NODATA for `owner`, said by the given authority records.
fn nodata(owner: &str, records: Vec<Record>) -> Result<Evaluated, Bogus> {
    response().authority(signed_soa()).authority(records).evaluate(owner, T::A)
}

/// The same as NXDOMAIN.
fn nxdomain(owner: &str, records: Vec<Record>) -> Result<Evaluated, Bogus> {
    response().nxdomain().authority(signed_soa()).authority(records).evaluate(owner, T::A)
}

fn join(sets: impl IntoIterator<Item = Vec<Record>>) -> Vec<Record> {
    sets.into_iter().flatten().collect()
}

#[track_caller]
fn check(result: &Result<Evaluated, Bogus>, expected: &str) {
    assert_eq!(verdict(result), expected, "{result:?}");
}

#[test]
fn nodata_needs_the_nsec_of_the_name_without_the_type() {
    check(
        &nodata("www.signed.test.", secure("www.signed.test.", nsec("x.signed.test.", &[T::AAAA]))),
        "secure",
    );
    check(&nodata("www.signed.test.", vec![]), "bogus");
    for present in [T::A, T::CNAME] {
        check(
            &nodata("www.signed.test.", secure("www.signed.test.", nsec("x.signed.test.", &[present]))),
            "bogus",
        );
    }
    check(
        &nxdomain("www.signed.test.", secure("www.signed.test.", nsec("x.signed.test.", &[T::AAAA]))),
        "bogus",
    );
}

#[test]
fn negative_answers_are_kept_for_the_minimum_of_the_soa() {
    let evaluated =
        nodata("www.signed.test.", secure("www.signed.test.", nsec("x.signed.test.", &[T::AAAA]))).unwrap();
    assert_eq!((evaluated.ttl, evaluated.end), (60, End::Negative(Negation::NoData)));
}

#[test]
fn the_parents_side_of_a_cut_denies_nothing_but_ds() {
    let parent_side = secure("child.signed.test.", nsec("x.signed.test.", &[T::NS]));
    check(&nodata("child.signed.test.", parent_side.clone()), "bogus");
    let message = response().authority(signed_soa()).authority(parent_side);
    check(&message.evaluate("child.signed.test.", T::DS), "secure");
    let child_side = secure(SIGNED, nsec("a.signed.test.", &[T::NS, T::SOA]));
    let message = response().authority(signed_soa()).authority(child_side);
    check(&message.evaluate(SIGNED, T::DS), "bogus");
    check(&message.evaluate(SIGNED, T::A), "secure");
}

#[test]
fn nxdomain_needs_the_name_and_the_wildcard_denied() {
    let name_denied = secure("g.signed.test.", nsec("t.signed.test.", &[T::A]));
    let wildcard_denied = secure(SIGNED, nsec("c.signed.test.", &[T::SOA, T::NS]));
    check(&nxdomain("host.signed.test.", join([name_denied.clone(), wildcard_denied.clone()])), "secure");
    check(&nxdomain("host.signed.test.", name_denied.clone()), "bogus");
    check(&nxdomain("host.signed.test.", wildcard_denied.clone()), "bogus");
    check(&nodata("host.signed.test.", join([name_denied.clone(), wildcard_denied])), "bogus");
    let wildcard = secure("*.signed.test.", nsec("c.signed.test.", &[T::AAAA]));
    check(&nxdomain("host.signed.test.", join([name_denied.clone(), wildcard.clone()])), "bogus");
    check(&nodata("host.signed.test.", join([name_denied.clone(), wildcard])), "secure");
    let wildcard_with_type = secure("*.signed.test.", nsec("c.signed.test.", &[T::A]));
    check(&nodata("host.signed.test.", join([name_denied, wildcard_with_type])), "bogus");
}

#[test]
fn the_last_nsec_wraps_to_the_apex_and_to_nothing_else() {
    let wildcard_denied = secure(SIGNED, nsec("c.signed.test.", &[T::SOA]));
    let last = secure("m.signed.test.", nsec(SIGNED, &[T::A]));
    check(&nxdomain("zz.signed.test.", join([last, wildcard_denied.clone()])), "secure");
    // A record that points backwards, but not to the apex, covers nothing.
    let odd = secure("m.signed.test.", nsec("c.signed.test.", &[T::A]));
    check(&nxdomain("zz.signed.test.", join([odd, wildcard_denied])), "bogus");
}

#[test]
fn an_empty_non_terminal_is_nodata_and_never_nxdomain() {
    let ent = secure("c.signed.test.", nsec("a.host.signed.test.", &[T::A]));
    check(&nodata("host.signed.test.", ent.clone()), "secure");
    let wildcard_denied = secure(SIGNED, nsec("c.signed.test.", &[T::SOA]));
    check(&nxdomain("host.signed.test.", join([ent, wildcard_denied])), "bogus");
    // The wildcard may be an empty non-terminal too.
    let name_denied = secure("g.signed.test.", nsec("t.signed.test.", &[T::A]));
    let wildcard_ent = secure(SIGNED, nsec("a.*.signed.test.", &[T::SOA]));
    check(&nodata("host.signed.test.", join([name_denied.clone(), wildcard_ent.clone()])), "secure");
    check(&nxdomain("host.signed.test.", join([name_denied, wildcard_ent])), "bogus");
}

#[test]
fn names_below_a_delegation_or_a_dname_are_not_denied_by_it() {
    let wildcard_denied = secure(SIGNED, nsec("c.signed.test.", &[T::SOA]));
    for hides in [T::NS, T::DNAME] {
        let above = secure("child.signed.test.", nsec("t.signed.test.", &[hides]));
        check(&nxdomain("www.child.signed.test.", join([above, wildcard_denied.clone()])), "bogus");
    }
}

#[test]
fn exactly_one_soa_above_the_name_is_needed() {
    let denial = || secure("www.signed.test.", nsec("x.signed.test.", &[T::AAAA]));
    let evaluate =
        |soas: Vec<Record>| response().authority(soas).authority(denial()).evaluate("www.signed.test.", T::A);
    check(&evaluate(vec![]), "bogus");
    check(&evaluate(join([signed_soa(), proven("test.", [soa(60)], &by("test."))])), "bogus");
    check(&evaluate(proven("other.test.", [soa(60)], &by("other.test."))), "bogus");
    check(&evaluate(signed_soa()), "secure");
}

#[test]
fn an_unproven_soa_leaves_a_claim_about_this_name_at_or_above_that_apex() {
    let evaluated = response().authority(plain("x.test.", soa(60))).evaluate("www.x.test.", T::A).unwrap();
    assert_eq!(evaluated.state, State::Unproven);
    assert_eq!(
        evaluated.claims,
        [Claim { name: name("www.x.test."), at_or_above: name("x.test."), signers: vec![] }]
    );
    // The parent signed it, not the zone itself: that is no proof of an apex.
    let parent_signed = proven("x.test.", [soa(60)], &by("test."));
    check(&response().authority(parent_signed).evaluate("www.x.test.", T::A), "claimed");
}

#[test]
fn denials_of_another_zone_or_time_or_of_both_kinds_prove_nothing() {
    let data = || nsec("x.signed.test.", &[T::AAAA]);
    check(&nodata("www.signed.test.", proven("www.signed.test.", [data()], &by("test."))), "bogus");
    let expired = Signing { until: 1_799_999_999, ..by(SIGNED) };
    check(&nodata("www.signed.test.", proven("www.signed.test.", [data()], &expired)), "bogus");
    let nsec3 = Nsec3s::of(SIGNED).matching("www.signed.test.", &[T::AAAA]);
    check(&nodata("www.signed.test.", join([secure("www.signed.test.", data()), nsec3])), "bogus");
}

#[test]
fn a_chain_that_ends_in_nothing_is_denied_where_it_ends() {
    let denial = secure("end.signed.test.", nsec("x.signed.test.", &[T::AAAA]));
    let message = response()
        .answer(secure("www.signed.test.", cname("end.signed.test.")))
        .authority(signed_soa())
        .authority(denial);
    let evaluated = message.evaluate("www.signed.test.", T::A).unwrap();
    assert_eq!((evaluated.chain.len(), evaluated.end.clone()), (1, End::Negative(Negation::NoData)));
    assert_eq!(verdict(&Ok(evaluated)), "secure");
}

#[test]
fn nsec3_nodata_needs_the_record_of_the_name() {
    let nsec3 = Nsec3s::of(SIGNED);
    check(&nodata("www.signed.test.", nsec3.matching("www.signed.test.", &[T::AAAA])), "secure");
    check(&nodata("www.signed.test.", nsec3.matching("www.signed.test.", &[T::A])), "bogus");
    check(&nodata("www.signed.test.", nsec3.matching("www.signed.test.", &[T::NS])), "bogus");
    check(&nxdomain("www.signed.test.", nsec3.matching("www.signed.test.", &[T::AAAA])), "bogus");
    check(&nodata("www.signed.test.", nsec3.matching("other.signed.test.", &[T::AAAA])), "bogus");
}

/// Closest encloser, next closer and wildcard of `a.b.signed.test.`, where nothing below the apex exists.
fn nsec3_nxdomain(nsec3: &Nsec3s) -> [Vec<Record>; 3] {
    [
        nsec3.matching(SIGNED, &[T::SOA, T::NS]),
        nsec3.covering("b.signed.test."),
        nsec3.covering("*.signed.test."),
    ]
}

#[test]
fn nsec3_nxdomain_needs_encloser_next_closer_and_wildcard() {
    let nsec3 = Nsec3s::of(SIGNED);
    let parts = nsec3_nxdomain(&nsec3);
    check(&nxdomain("a.b.signed.test.", join(parts.clone())), "secure");
    for missing in 0..3 {
        let rest = parts.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, set)| set.clone());
        check(&nxdomain("a.b.signed.test.", join(rest)), "bogus");
    }
    let [encloser, next_closer, _] = parts;
    let wildcard = nsec3.matching("*.signed.test.", &[T::AAAA]);
    check(
        &nodata("a.b.signed.test.", join([encloser.clone(), next_closer.clone(), wildcard.clone()])),
        "secure",
    );
    check(&nxdomain("a.b.signed.test.", join([encloser.clone(), next_closer.clone(), wildcard])), "bogus");
    check(&nodata("a.b.signed.test.", join([encloser, next_closer])), "bogus");
}

#[test]
fn nsec3_in_an_opt_out_span_is_insecure() {
    let nsec3 = Nsec3s { opt_out: true, ..Nsec3s::of(SIGNED) };
    let [encloser, next_closer, wildcard] = nsec3_nxdomain(&nsec3);
    check(&nxdomain("a.b.signed.test.", join([encloser.clone(), next_closer.clone(), wildcard])), "insecure");
    check(&nodata("a.b.signed.test.", join([encloser, next_closer])), "insecure");
    // At the name itself the flag does not matter.
    check(&nodata("www.signed.test.", nsec3.matching("www.signed.test.", &[T::AAAA])), "secure");
}

#[test]
fn a_delegation_is_no_closest_encloser() {
    let nsec3 = Nsec3s { opt_out: true, ..Nsec3s::of(SIGNED) };
    for hides in [T::NS, T::DNAME] {
        let sets = [nsec3.matching("b.signed.test.", &[hides]), nsec3.covering("a.b.signed.test.")];
        check(&nodata("a.b.signed.test.", join(sets)), "bogus");
    }
}

#[test]
fn nsec3_with_more_than_150_iterations_is_insecure_and_not_computed() {
    for (iterations, expected) in [(150, "secure"), (151, "insecure"), (u16::MAX, "insecure")] {
        let mut nsec3 = Nsec3s { iterations, ..Nsec3s::of(SIGNED) };
        if iterations == u16::MAX {
            // Any owner will do, as nobody hashes.
            nsec3.iterations = 0;
            let mut sets = nsec3.matching("www.signed.test.", &[T::AAAA]);
            nsec3.iterations = iterations;
            let hash = [0; 20];
            sets.splice(.., nsec3.record(&hash, vec![1; 20], &[T::AAAA]));
            check(&nodata("www.signed.test.", sets), expected);
        } else {
            check(&nodata("www.signed.test.", nsec3.matching("www.signed.test.", &[T::AAAA])), expected);
        }
    }
}

#[test]
fn costly_nsec3_records_count_only_if_all_are_proven() {
    let costly = Nsec3s { iterations: 151, ..Nsec3s::of(SIGNED) };
    let mut spoilt = costly.covering("x.signed.test.");
    spoilt.truncate(1);
    spoilt[0].proof = Proof::Bogus;
    let proven = || costly.matching(SIGNED, &[T::SOA]);
    check(&nxdomain("www.signed.test.", join([proven()])), "insecure");
    check(&nxdomain("www.signed.test.", join([proven(), spoilt])), "bogus");
}

#[test]
fn nsec3_records_of_different_parameters_are_bogus() {
    let sets = [
        Nsec3s::of(SIGNED).matching("www.signed.test.", &[T::AAAA]),
        Nsec3s { iterations: 1, ..Nsec3s::of(SIGNED) }.matching("x.signed.test.", &[T::AAAA]),
    ];
    check(&nodata("www.signed.test.", join(sets)), "bogus");
}

#[test]
fn the_soa_of_a_zone_says_nothing_about_ds_records_at_its_apex() {
    let shown = |apex: &str| response().authority(plain(apex, soa(60)));
    let ask =
        |message: &Built, trust| evaluate_trusting(trust, &name("cut.signed.test."), T::DS, &message.0, NOW);
    for trust in [Trust::Proofs, Trust::Nobody, Trust::Sender(State::Secure)] {
        assert_eq!(ask(&shown("cut.signed.test."), trust), Err(Bogus("the SOA of another zone")));
    }
    // That of the parent, unsigned, claims that the parent is.
    let claims = ask(&shown(SIGNED), Trust::Proofs).unwrap().claims;
    assert_eq!(claims, [Claim { name: name(SIGNED), at_or_above: name(SIGNED), signers: vec![] }]);
}

#[test]
fn hashing_for_one_message_is_bounded() {
    let deep = format!("{}signed.test.", "a.".repeat(100));
    let nsec3 = |iterations| Nsec3s { iterations, ..Nsec3s::of(SIGNED) };
    let sets = |n: &Nsec3s| {
        join([n.matching(SIGNED, &[T::SOA]), n.covering("a.signed.test."), n.covering("*.signed.test.")])
    };
    check(&nxdomain(&deep, sets(&nsec3(0))), "secure");
    let result = nxdomain(&deep, sets(&nsec3(150)));
    assert_eq!(result, Err(Bogus("NSEC3 proof costs too much to check")));
}

#[test]
fn a_sender_that_is_trusted_must_show_the_soa_and_nobody_need_not() {
    let asked =
        |trust, message: &Built| evaluate_trusting(trust, &name("www.x.test."), T::A, &message.0, NOW);
    let empty = response().nxdomain();
    assert!(asked(Trust::Sender(State::Secure), &empty).is_err());
    let with_soa = empty.clone().authority(plain("x.test.", soa(60)));
    assert_eq!(asked(Trust::Sender(State::Secure), &with_soa).unwrap().state, State::Secure);
    let unchecked = asked(Trust::Nobody, &empty).unwrap();
    assert_eq!(
        (unchecked.end, unchecked.state, unchecked.ttl),
        (End::Negative(Negation::NxDomain), State::Insecure, 0)
    );
    let referral =
        response().authority(plain("test.", RData::NS(hickory_proto::rr::rdata::NS(name("ns.test.")))));
    assert!(asked(Trust::Nobody, &referral).is_err());
}
