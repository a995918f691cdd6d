//! Answers with records: chains, wildcards, DNAME, signature windows.

use super::*;

fn next_closer_denied() -> Vec<Record> {
    secure("c.signed.test.", nsec("t.signed.test.", &[RecordType::A]))
}

/// `host.signed.test. A`, expanded from `*.signed.test.`
fn expanded(owner: &str) -> Vec<Record> {
    proven(owner, [a(1)], &Signing { labels: Some(2), ..by(SIGNED) })
}

#[test]
fn a_signed_record_is_secure_with_its_ttl_and_window() {
    let evaluated = response()
        .answer(secure("www.signed.test.", a(1)))
        .evaluate("www.signed.test.", RecordType::A)
        .unwrap();
    assert_eq!(
        (evaluated.end, evaluated.state, evaluated.ttl),
        (End::Records(vec![a(1)]), State::Secure, 300)
    );
    let window = evaluated.window.unwrap();
    assert_eq!((window.from.0, window.until.0), (NOW.0 - 1000, NOW.0 + 1000));
    assert!(evaluated.claims.is_empty() && !evaluated.wildcard);
}

#[test]
fn an_unsigned_record_is_only_claimed_to_be_insecure() {
    let evaluated =
        response().answer(plain("www.x.test.", a(1))).evaluate("www.x.test.", RecordType::A).unwrap();
    assert_eq!(evaluated.state, State::Unproven);
    let (name, at_or_above) = (name("www.x.test."), name("www.x.test."));
    assert_eq!(evaluated.claims, [Claim { name, at_or_above, signers: vec![] }]);
}

#[test]
fn a_claim_says_who_signed_and_does_not_hold_for_a_zone_below_the_signer() {
    for signed in [plain("www.signed.test.", a(1)), plain("www.signed.test.", cname("www.x.test."))] {
        let mut signature = secure("www.signed.test.", signed[0].data.clone()).remove(1);
        signature.proof = Proof::Bogus;
        let message = response().answer(signed).answer([signature]).answer(plain("www.x.test.", a(1)));
        let evaluated = message.evaluate("www.signed.test.", RecordType::A).unwrap();
        let claim = &evaluated.claims[0];
        assert_eq!(claim.signers, [name(SIGNED)]);
        assert!(claim.may_be_of(&name("test.")) && claim.may_be_of(&name(SIGNED)));
        assert!(!claim.may_be_of(&name("www.signed.test.")));
    }
}

#[test]
fn what_contradicts_the_records_makes_them_bogus() {
    let records = || response().answer(secure("www.signed.test.", a(1)));
    assert_eq!(records().nxdomain().verdict("www.signed.test."), "bogus");
    assert_eq!(
        records().answer(plain("www.signed.test.", cname("x.test."))).verdict("www.signed.test."),
        "bogus"
    );
    // Behind an alias too; but a CNAME that was asked for is the answer.
    let alias = || response().answer(secure("a.signed.test.", cname("www.signed.test.")));
    let behind = alias().answer(secure("www.signed.test.", a(1))).nxdomain();
    assert_eq!(behind.verdict("a.signed.test."), "bogus");
    assert_eq!(verdict(&alias().nxdomain().evaluate("a.signed.test.", RecordType::CNAME)), "secure");
}

#[test]
fn the_librarys_insecure_proof_is_not_taken_for_one() {
    let mut records = plain("www.x.test.", a(1));
    records[0].proof = Proof::Insecure;
    assert_eq!(response().answer(records).verdict("www.x.test."), "claimed");
}

#[test]
fn one_unproven_record_spoils_its_rrset() {
    let message = response().answer(secure("www.signed.test.", a(1))).answer(plain("www.signed.test.", a(2)));
    assert_eq!(message.verdict("www.signed.test."), "claimed");
}

#[test]
fn a_proof_without_its_signature_counts_for_nothing() {
    let mut records = secure("www.signed.test.", a(1));
    records.truncate(1);
    assert_eq!(response().answer(records.clone()).verdict("www.signed.test."), "claimed");
    // Nor does a signature that did not prove it.
    let mut signature = secure("www.signed.test.", a(1)).remove(1);
    signature.proof = Proof::Bogus;
    records.push(signature);
    assert_eq!(response().answer(records).verdict("www.signed.test."), "claimed");
}

#[test]
fn signatures_are_looked_at_again_when_they_are_used() {
    let now = u32::try_from(NOW.0).unwrap();
    for (from, until, expected) in [
        (now - 10, now, "secure"),
        (now, now + 10, "secure"),
        (now - 10, now - 1, "claimed"),
        (now + 1, now + 10, "claimed"),
    ] {
        let records = proven("www.signed.test.", [a(1)], &Signing { from, until, ..by(SIGNED) });
        assert_eq!(response().answer(records).verdict("www.signed.test."), expected, "{from} {until}");
    }
}

#[test]
fn a_signature_of_an_unrelated_zone_proves_nothing() {
    let records = proven("www.signed.test.", [a(1)], &by("evil.test."));
    assert_eq!(response().answer(records).verdict("www.signed.test."), "claimed");
}

#[test]
fn a_chain_has_the_least_state_and_ttl_and_the_common_window_of_its_parts() {
    let mut first =
        proven("a.signed.test.", [cname("b.signed.test.")], &Signing { until: 1_800_000_500, ..by(SIGNED) });
    first.iter_mut().for_each(|r| r.ttl = 20);
    let message = response().answer(first).answer(secure("b.signed.test.", a(1)));
    let evaluated = message.evaluate("a.signed.test.", RecordType::A).unwrap();
    assert_eq!((evaluated.ttl, evaluated.window.unwrap().until.0), (20, 1_800_000_500));
    assert_eq!(evaluated.chain.len(), 1);
    assert_eq!(verdict(&Ok(evaluated)), "secure");
    let message =
        response().answer(secure("a.signed.test.", cname("b.x.test."))).answer(plain("b.x.test.", a(1)));
    let evaluated = message.evaluate("a.signed.test.", RecordType::A).unwrap();
    assert_eq!((evaluated.chain[0].state, evaluated.state), (State::Secure, State::Unproven));
    assert_eq!(evaluated.claims.len(), 1);
}

#[test]
fn records_off_the_chain_are_no_answer() {
    let message = response().answer(secure("other.signed.test.", a(1)));
    assert_eq!(message.verdict("www.signed.test."), "bogus");
}

#[test]
fn a_cname_that_was_asked_for_is_the_answer() {
    let message = response().answer(secure("a.signed.test.", cname("b.signed.test.")));
    let evaluated = message.evaluate("a.signed.test.", RecordType::CNAME).unwrap();
    assert!(evaluated.chain.is_empty());
    assert_eq!(evaluated.end, End::Records(vec![cname("b.signed.test.")]));
}

#[test]
fn loops_and_long_chains_and_double_cnames_are_bogus() {
    let link = |i: usize| secure(&format!("n{i}.signed.test."), cname(&format!("n{}.signed.test.", i + 1)));
    let chain = |links: usize| {
        let message = (0..links).fold(response(), |m, i| m.answer(link(i)));
        message.answer(secure(&format!("n{links}.signed.test."), a(1))).verdict("n0.signed.test.")
    };
    assert_eq!((chain(MAX_LINKS), chain(MAX_LINKS + 1)), ("secure", "bogus"));
    let looped = response().answer(link(0)).answer(secure("n1.signed.test.", cname("n0.signed.test.")));
    assert_eq!(looped.verdict("n0.signed.test."), "bogus");
    let to_itself = response().answer(secure("a.signed.test.", cname("a.signed.test.")));
    assert_eq!(to_itself.verdict("a.signed.test."), "bogus");
    let two = proven("a.signed.test.", [cname("b.signed.test."), cname("c.signed.test.")], &by(SIGNED));
    assert_eq!(
        response().answer(two).answer(secure("b.signed.test.", a(1))).verdict("a.signed.test."),
        "bogus"
    );
}

#[test]
fn a_wildcard_needs_proof_that_no_closer_name_exists() {
    let message = response().answer(expanded("host.signed.test."));
    assert_eq!(message.verdict("host.signed.test."), "bogus");
    let message = message.authority(next_closer_denied());
    assert_eq!(message.verdict("host.signed.test."), "secure");
    assert!(message.evaluate("host.signed.test.", RecordType::A).unwrap().wildcard);
}

#[test]
fn a_wildcard_denial_must_be_proven_by_the_zone_that_expanded() {
    let message = response().answer(expanded("host.signed.test."));
    let mut unproven = next_closer_denied();
    unproven.iter_mut().for_each(|r| r.proof = Proof::Bogus);
    assert_eq!(message.clone().authority(unproven).verdict("host.signed.test."), "bogus");
    let foreign = proven("c.signed.test.", [nsec("t.signed.test.", &[])], &by("test."));
    assert_eq!(message.clone().authority(foreign).verdict("host.signed.test."), "bogus");
    // Another zone with costly NSEC3 records must not make the answer insecure.
    let costly = Nsec3s { iterations: 500, ..Nsec3s::of("evil.test.") };
    assert_eq!(
        message.clone().authority(costly.covering("x.evil.test.")).verdict("host.signed.test."),
        "bogus"
    );
    // Nor may a denial itself come from a wildcard.
    let from_wildcard =
        proven("c.signed.test.", [nsec("t.signed.test.", &[])], &Signing { labels: Some(2), ..by(SIGNED) });
    assert_eq!(message.authority(from_wildcard).verdict("host.signed.test."), "bogus");
}

#[test]
fn a_wildcard_over_an_empty_non_terminal_is_bogus() {
    let message = response().answer(expanded("a.host.signed.test."));
    let ent = secure("c.signed.test.", nsec("b.host.signed.test.", &[RecordType::A]));
    assert_eq!(message.authority(ent).verdict("a.host.signed.test."), "bogus");
}

#[test]
fn a_delegation_does_not_deny_names_below_it() {
    let message = response().answer(expanded("a.child.signed.test."));
    let parent_side = secure("child.signed.test.", nsec("t.signed.test.", &[RecordType::NS, RecordType::DS]));
    assert_eq!(message.authority(parent_side).verdict("a.child.signed.test."), "bogus");
}

#[test]
fn a_wildcard_in_an_opt_out_span_or_behind_costly_hashes_is_insecure() {
    let message = response().answer(expanded("host.signed.test."));
    let plain = Nsec3s::of(SIGNED);
    assert_eq!(
        message.clone().authority(plain.covering("host.signed.test.")).verdict("host.signed.test."),
        "secure"
    );
    let opt_out = Nsec3s { opt_out: true, ..Nsec3s::of(SIGNED) };
    assert_eq!(
        message.clone().authority(opt_out.covering("host.signed.test.")).verdict("host.signed.test."),
        "insecure"
    );
    for (iterations, expected) in [(150, "secure"), (151, "insecure")] {
        let nsec3 = Nsec3s { iterations, ..Nsec3s::of(SIGNED) };
        let message = message.clone().authority(nsec3.covering("host.signed.test."));
        assert_eq!(message.verdict("host.signed.test."), expected, "{iterations}");
    }
    assert_eq!(message.authority(plain.covering("other.signed.test.")).verdict("host.signed.test."), "bogus");
}

#[test]
fn a_wildcard_name_asked_for_itself_is_no_expansion() {
    let evaluated =
        response().answer(secure("*.signed.test.", a(1))).evaluate("*.signed.test.", RecordType::A).unwrap();
    assert_eq!((evaluated.state, evaluated.wildcard), (State::Secure, false));
}

#[test]
fn a_cname_made_from_a_proven_dname_is_secure_only_if_it_is_exactly_that() {
    let dname = secure("old.signed.test.", dname("new.signed.test."));
    let with = |target: &str, dname: Vec<Record>| {
        let message = response().answer(dname).answer(plain("x.old.signed.test.", cname(target)));
        message.answer(secure(target, a(1))).verdict("x.old.signed.test.")
    };
    assert_eq!(with("x.new.signed.test.", dname.clone()), "secure");
    assert_eq!(with("y.new.signed.test.", dname.clone()), "bogus");
    let mut unproven = dname;
    unproven.iter_mut().for_each(|r| r.proof = Proof::Bogus);
    assert_eq!(with("x.new.signed.test.", unproven), "claimed");
    assert_eq!(with("x.new.signed.test.", vec![]), "claimed");
}

#[test]
fn a_cname_that_was_asked_for_may_be_made_from_a_dname_too() {
    let owner = "x.old.signed.test.";
    let with = |target: &str, dname: Vec<Record>| {
        let raw =
            response().question(owner, RecordType::CNAME).answer(plain(owner, cname(target))).answer(dname).0;
        // As on the way from the wire, but for the proofs, which selection takes away.
        let mut selected = select(&name(owner), RecordType::CNAME, &raw).unwrap();
        for record in &mut selected.answers {
            let same = |r: &&Record| r.name == record.name && r.data == record.data;
            record.proof = raw.answers.iter().find(same).unwrap().proof;
        }
        verdict(&evaluate(&name(owner), RecordType::CNAME, &selected, NOW))
    };
    let proven = secure("old.signed.test.", dname("new.signed.test."));
    assert_eq!(with("x.new.signed.test.", proven.clone()), "secure");
    assert_eq!(with("y.new.signed.test.", proven), "bogus");
    assert_eq!(with("x.new.signed.test.", plain("old.signed.test.", dname("new.signed.test."))), "claimed");
    assert_eq!(with("x.new.signed.test.", vec![]), "claimed");
}

#[test]
fn a_dname_from_a_wildcard_is_bogus() {
    let expanded =
        proven("old.signed.test.", [dname("new.signed.test.")], &Signing { labels: Some(2), ..by(SIGNED) });
    let message =
        response().answer(expanded).answer(plain("x.old.signed.test.", cname("x.new.signed.test.")));
    let denied = secure("c.signed.test.", nsec("t.signed.test.", &[RecordType::A]));
    let message = message.answer(secure("x.new.signed.test.", a(1))).authority(denied);
    assert_eq!(message.verdict("x.old.signed.test."), "bogus");
}

#[test]
fn a_sender_that_is_trusted_decides_the_state_of_every_part() {
    let message = response()
        .answer(proven("a.x.test.", [cname("b.x.test.")], &by("x.test.")))
        .answer(proven("b.x.test.", [a(1)], &by("x.test.")))
        .0;
    for state in [State::Secure, State::Insecure] {
        let evaluated =
            evaluate_trusting(Trust::Sender(state), &name("a.x.test."), RecordType::A, &message, NOW)
                .unwrap();
        assert_eq!((evaluated.chain[0].state, evaluated.state, evaluated.window), (state, state, None));
    }
    // The chain is walked all the same.
    let off_chain = response().answer(proven("c.x.test.", [a(1)], &by("x.test."))).0;
    let result =
        evaluate_trusting(Trust::Sender(State::Secure), &name("a.x.test."), RecordType::A, &off_chain, NOW);
    assert!(result.is_err());
}

/// Records with a signature for each number of labels.
fn signed_with(owner: &str, data: &RData, labels: &[u8]) -> Vec<Record> {
    let signatures = labels.iter().flat_map(|labels| {
        proven(owner, [data.clone()], &Signing { labels: Some(*labels), ..by(SIGNED) }).split_off(1)
    });
    plain(owner, data.clone()).into_iter().chain(signatures).collect()
}

fn said_by_the_sender(state: State, message: &Built) -> Result<bool, Bogus> {
    let question = name("a.signed.test.");
    evaluate_trusting(Trust::Sender(state), &question, RecordType::A, &message.0, NOW).map(|e| e.wildcard)
}

#[test]
fn r15_what_a_trusted_sender_made_from_a_wildcard_is_seen_by_its_signatures() {
    for state in [State::Secure, State::Insecure] {
        for (labels, expected) in [
            (&[3][..], Ok(false)),
            (&[2], Ok(true)),
            (&[2, 2], Ok(true)),
            (&[3, 3], Ok(false)),
            // Any of them may be the one that the sender found good.
            (&[2, 3], Err(())),
            (&[3, 2], Err(())),
            (&[3; 8], Err(())),
        ] {
            let message = response().answer(signed_with("a.signed.test.", &a(1), labels));
            let wildcard = said_by_the_sender(state, &message).map_err(|_| ());
            assert_eq!(wildcard, expected, "{state:?} {labels:?}");
            let message = response()
                .answer(signed_with("a.signed.test.", &cname("b.signed.test."), labels))
                .answer(signed_with("b.signed.test.", &a(1), &[3]));
            let wildcard = said_by_the_sender(state, &message).map_err(|_| ());
            assert_eq!(wildcard, expected, "an alias, {state:?} {labels:?}");
        }
    }
    // A signature over something else says nothing.
    let other = signed_with("a.signed.test.", &cname("x.test."), &[2]).split_off(1);
    let message = response().answer(signed_with("a.signed.test.", &a(1), &[3])).answer(other);
    assert_eq!(said_by_the_sender(State::Secure, &message), Ok(false));
}

#[test]
fn r15_secure_without_a_signature_is_no_answer_of_a_trusted_sender() {
    let bare = response().answer(plain("a.signed.test.", a(1)));
    assert!(said_by_the_sender(State::Secure, &bare).is_err());
    assert_eq!(said_by_the_sender(State::Insecure, &bare), Ok(false));
    // What a DNAME makes is not signed, its target is.
    let made = response()
        .answer(secure("signed.test.", dname("new.test.")))
        .answer(plain("a.signed.test.", cname("a.new.test.")));
    let whole = made.clone().answer(proven("a.new.test.", [a(1)], &by("new.test.")));
    assert_eq!(said_by_the_sender(State::Secure, &whole), Ok(false));
    let unsigned = made.answer(plain("a.new.test.", a(1)));
    assert!(said_by_the_sender(State::Secure, &unsigned).is_err());
}
