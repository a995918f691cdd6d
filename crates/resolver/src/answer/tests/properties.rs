//! What holds for every message.

use hickory_proto::rr::RecordType as T;
use proptest::prelude::*;
use proptest::sample::{Index, select as one_of};

use super::*;

/// Messages of which each part is needed, with the name that is asked for.
fn good_messages() -> Vec<(&'static str, Built)> {
    let nsec3 = Nsec3s::of(SIGNED);
    let expansion = proven("host.signed.test.", [a(1)], &Signing { labels: Some(2), ..by(SIGNED) });
    vec![
        ("www.signed.test.", response().answer(secure("www.signed.test.", a(1)))),
        (
            "a.signed.test.",
            response()
                .answer(secure("a.signed.test.", cname("b.signed.test.")))
                .answer(secure("b.signed.test.", a(1))),
        ),
        (
            "x.old.signed.test.",
            response()
                .answer(secure("old.signed.test.", dname("new.signed.test.")))
                .answer(plain("x.old.signed.test.", cname("x.new.signed.test.")))
                .answer(secure("x.new.signed.test.", a(1))),
        ),
        (
            "host.signed.test.",
            response()
                .answer(expansion.clone())
                .authority(secure("c.signed.test.", nsec("t.signed.test.", &[T::A]))),
        ),
        ("host.signed.test.", response().answer(expansion).authority(nsec3.covering("host.signed.test."))),
        (
            "host.signed.test.",
            response()
                .nxdomain()
                .authority(signed_soa())
                .authority(secure("g.signed.test.", nsec("t.signed.test.", &[T::A])))
                .authority(secure(SIGNED, nsec("c.signed.test.", &[T::SOA]))),
        ),
        (
            "a.b.signed.test.",
            response()
                .nxdomain()
                .authority(signed_soa())
                .authority(nsec3.matching(SIGNED, &[T::SOA]))
                .authority(nsec3.covering("b.signed.test."))
                .authority(nsec3.covering("*.signed.test.")),
        ),
        (
            "www.signed.test.",
            response().authority(signed_soa()).authority(nsec3.matching("www.signed.test.", &[T::AAAA])),
        ),
    ]
}

/// One good message.
fn good() -> impl Strategy<Value = (&'static str, Built)> {
    one_of(good_messages())
}

/// A record that nobody proved, at a name that may be any of those in play.
fn garbage() -> impl Strategy<Value = Record> {
    let owners = [
        "signed.test.",
        "www.signed.test.",
        "host.signed.test.",
        "c.signed.test.",
        "*.signed.test.",
        "test.",
        "evil.",
    ];
    let data = prop_oneof![
        Just(a(66)),
        one_of(owners.to_vec()).prop_map(|next| nsec(next, &[T::A, T::NS])),
        Just(RData::NS(hickory_proto::rr::rdata::NS(name("ns.evil.")))),
        Just(cname("evil.")),
    ];
    let costly = (1_u16..1000, any::<bool>()).prop_map(|(iterations, opt_out)| {
        let mut records =
            Nsec3s { iterations, opt_out, ..Nsec3s::of(SIGNED) }.record(&[7; 20], vec![9; 20], &[]);
        records.truncate(1);
        records.remove(0)
    });
    let proofs = one_of(vec![Proof::Bogus, Proof::Insecure, Proof::Indeterminate]);
    let plain = (one_of(owners.to_vec()), data).prop_map(|(owner, data)| record(owner, data));
    (prop_oneof![plain, costly], proofs).prop_map(|(mut record, proof)| {
        record.proof = proof;
        record
    })
}

/// All records of a message, to be taken away one at a time.
fn without(message: &Built, index: usize) -> Built {
    let mut rest = message.clone();
    if index < rest.0.answers.len() {
        rest.0.answers.remove(index);
    } else {
        rest.0.authorities.remove(index - message.0.answers.len());
    }
    rest
}

#[test]
fn the_messages_of_these_tests_are_secure() {
    for (owner, message) in good_messages() {
        assert_eq!(message.verdict(owner), "secure", "{owner} {message:?}");
    }
}

#[test]
fn without_any_one_record_no_answer_is_the_same_and_secure() {
    for (owner, message) in good_messages() {
        let whole = message.evaluate(owner, T::A).unwrap();
        for index in 0..message.0.answers.len() + message.0.authorities.len() {
            let rest = without(&message, index).evaluate(owner, T::A);
            assert_ne!(verdict(&rest), "secure", "{owner} without {index}: {rest:?} was {whole:?}");
        }
    }
}

proptest! {
    #[test]
    fn taking_a_record_away_never_makes_an_answer_secure(
        (owner, message) in good(), spoiled in any::<Index>(), removed in any::<Index>(),
    ) {
        let count = message.0.answers.len() + message.0.authorities.len();
        let spoiled = without(&message, spoiled.index(count));
        prop_assume!(count > 2);
        let rest = without(&spoiled, removed.index(count - 1));
        prop_assert_ne!(rest.verdict(owner), "secure");
    }

    #[test]
    fn unproven_records_in_the_authority_section_never_change_the_verdict(
        (owner, message) in good(), extra in prop::collection::vec((garbage(), any::<Index>()), 1..8),
    ) {
        let before = message.evaluate(owner, T::A);
        let mut with = message;
        for (record, at) in extra {
            let at = at.index(with.0.authorities.len() + 1);
            // Unproven data of a proven RRset spoils it; that is its own test.
            if !with.0.authorities.iter().any(|r| r.name == record.name && r.record_type() == record.record_type()) {
                with.0.authorities.insert(at, record);
            }
        }
        prop_assert_eq!(with.evaluate(owner, T::A), before);
    }

    #[test]
    fn order_does_not_matter((owner, message) in good(), turn in any::<Index>()) {
        let before = message.evaluate(owner, T::A);
        let mut turned = message;
        let sections = [&mut turned.0.answers, &mut turned.0.authorities];
        for section in sections {
            if !section.is_empty() {
                let by = turn.index(section.len());
                section.rotate_left(by);
            }
        }
        prop_assert_eq!(turned.evaluate(owner, T::A), before);
    }

    #[test]
    fn what_no_proof_is_on_is_never_secure((owner, mut message) in good(), proof in one_of(vec![Proof::Bogus, Proof::Insecure])) {
        for record in message.0.answers.iter_mut().chain(&mut message.0.authorities) {
            record.proof = proof;
        }
        prop_assert_ne!(message.verdict(owner), "secure");
        prop_assert_ne!(message.verdict(owner), "insecure");
    }

    #[test]
    fn any_octets_that_parse_are_judged_without_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut framed = vec![0, 1, 0x81, 0x80, 0, 1, 0, 2, 0, 1, 0, 0];
        framed.extend(b"\x01a\x04test\x00\x00\x01\x00\x01");
        framed.extend(octets);
        if let Ok(message) = Message::from_vec(&framed)
            && let Ok(selected) = select(&name("a.test."), T::A, &message)
        {
            let _ = evaluate(&name("a.test."), T::A, &selected, NOW);
        }
    }
}
