//! From raw responses to what can matter.

use hickory_proto::op::MessageType;
use hickory_proto::rr::{DNSClass, RecordType as T};

use super::*;

fn selected(message: &Built, owner: &str) -> Result<Message, Unusable> {
    select(&name(owner), T::A, &message.0)
}

#[test]
fn a_response_must_repeat_the_question() {
    assert!(selected(&response().question("www.test.", T::A), "www.test.").is_ok());
    assert!(selected(&response().question("WWW.Test.", T::A), "www.test.").is_ok());
    for other in [
        response(),
        response().question("other.test.", T::A),
        response().question("www.test.", T::AAAA),
        response().question("www.test.", T::A).question("www.test.", T::A),
    ] {
        assert_eq!(selected(&other, "www.test."), Err(Unusable::NotTheAnswer));
    }
    let mut query = response().question("www.test.", T::A);
    query.0.metadata.message_type = MessageType::Query;
    assert_eq!(selected(&query, "www.test."), Err(Unusable::NotTheAnswer));
    let mut chaos = response().question("www.test.", T::A);
    chaos.0.queries[0].query_class = DNSClass::CH;
    assert_eq!(selected(&chaos, "www.test."), Err(Unusable::NotTheAnswer));
}

#[test]
fn errors_and_cut_responses_are_no_answers() {
    let mut message = response().question("www.test.", T::A);
    message.0.metadata.truncation = true;
    assert_eq!(selected(&message, "www.test."), Err(Unusable::Truncated));
    message.0.metadata.truncation = false;
    message.0.metadata.response_code = ResponseCode::ServFail;
    assert_eq!(selected(&message, "www.test."), Err(Unusable::Code(ResponseCode::ServFail)));
}

#[test]
fn only_what_lies_on_the_chain_stays_and_nothing_keeps_a_proof() {
    let mut chaos = record("www.test.", a(9));
    chaos.dns_class = DNSClass::CH;
    let message = response()
        .question("www.test.", T::A)
        .answer(secure("www.test.", cname("End.Test.")))
        .answer(secure("END.test.", a(1)))
        .answer(secure("elsewhere.test.", a(2)))
        .answer([chaos])
        .authority(secure("test.", soa(60)))
        .authority(plain("test.", a(3)));
    let selected = selected(&message, "www.test.").unwrap();
    let owners: Vec<String> =
        selected.answers.iter().map(|r| format!("{} {}", r.name, r.record_type())).collect();
    assert_eq!(owners, ["www.test. CNAME", "www.test. RRSIG", "end.test. A", "end.test. RRSIG"]);
    assert_eq!(selected.authorities.len(), 2);
    let all = selected.answers.iter().chain(&selected.authorities);
    assert!(all.into_iter().all(|r| r.proof == Proof::Indeterminate));
}

#[test]
fn records_are_kept_once() {
    let message = response()
        .question("www.test.", T::A)
        .answer(plain("www.test.", a(1)))
        .answer(plain("WWW.test.", a(1)));
    assert_eq!(selected(&message, "www.test.").unwrap().answers.len(), 1);
}

#[test]
fn a_cname_beside_the_records_stays_to_be_seen() {
    let message = response()
        .question("www.test.", T::A)
        .answer(plain("www.test.", a(1)))
        .answer(plain("www.test.", cname("x.test.")));
    assert_eq!(selected(&message, "www.test.").unwrap().answers.len(), 2);
}

#[test]
fn where_there_is_nothing_there_is_nothing_else() {
    let nothing = || response().question("www.test.", T::A).authority(secure("test.", soa(60)));
    let alias = || nothing().answer(secure("www.test.", cname("end.test.")));
    assert!(selected(&nothing(), "www.test.").is_ok() && selected(&alias(), "www.test.").is_ok());
    for stray in [plain("x.test.", a(1)), plain("www.test.", soa(1)), plain("end.test.", soa(1))] {
        for denied in [nothing(), alias()] {
            assert_eq!(selected(&denied.answer(stray.clone()), "www.test."), Err(Unusable::NotTheAnswer));
        }
        assert!(selected(&alias().answer(plain("end.test.", a(1))).answer(stray), "www.test.").is_ok());
    }
}

#[test]
fn dnames_and_an_alias_to_their_owner_are_followed() {
    let message = response()
        .question("x.old.test.", T::A)
        .answer(secure("old.test.", dname("test.")))
        .answer(plain("x.old.test.", cname("old.test.")))
        .answer(secure("old.test.", a(1)));
    assert_eq!(selected(&message, "x.old.test.").unwrap().answers.len(), 5);
}

#[test]
fn a_flood_of_signatures_denials_and_aliases_is_cut() {
    let mut message = response().question("n0.test.", T::A);
    for i in 0..100_u8 {
        message = message.answer(plain(&format!("n{i}.test."), cname(&format!("n{}.test.", i + 1))));
        let signing = Signing { labels: Some(i), ..by("test.") };
        message = message.answer(proven("n0.test.", [cname("n1.test.")], &signing).split_off(1));
        message = message.authority(secure(&format!("d{i}.test."), nsec("x.test.", &[T::A])));
    }
    let selected = selected(&message, "n0.test.").unwrap();
    let of = |section: &[Record], rr_type| section.iter().filter(|r| r.record_type() == rr_type).count();
    assert_eq!((of(&selected.answers, T::CNAME), of(&selected.answers, T::RRSIG)), (MAX_LINKS + 1, 8));
    assert_eq!(of(&selected.authorities, T::NSEC), 32);
}
