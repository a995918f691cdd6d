//! Messages that are made to cost: the largest that fit, with records by the thousand, and names that hash for long.
//!
//! How much work one question can cause is counted where it is done (`answer::signature`, `answer::nsec3`: at most 128 signatures, 10,000
//! rounds of SHA-1 for each message); here whole questions end as they must.

use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, RRSIG};
use hickory_proto::dnssec::{Algorithm, PublicKeyBuf};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A as Address, CNAME};
use hickory_proto::rr::{RData, Record};

use super::edits::{covered, forged_address};
use super::wire::{Manner, endure_all, message};
use super::*;

const A: RecordType = RecordType::A;

/// How many records of 60 octets and more fill a message of 64 KiB.
const MANY: usize = 600;

fn add_many(message: &mut Message, make: impl Fn(usize, &Record) -> Option<Record>) {
    for section in [&mut message.answers, &mut message.authorities] {
        let originals = section.clone();
        for number in 0..MANY / originals.len().max(1) {
            section.extend(originals.iter().filter_map(|record| make(number, record)));
        }
    }
}

/// The same signature with other octets at its end.
fn resigned(number: usize, record: &Record) -> Option<Record> {
    let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data else { return None };
    let mut octets = signature.sig().to_vec();
    octets[..2].copy_from_slice(&u16::try_from(number + 1).unwrap().to_be_bytes());
    let data = RRSIG::from_sig(signature.input().clone(), octets);
    Some(Record::from_rdata(record.name.clone(), record.ttl, RData::DNSSEC(DNSSECRData::RRSIG(data))))
}

/// Another key with the same tag: the tag is a sum of 16-bit words.
fn colliding(number: usize, record: &Record) -> Option<Record> {
    let RData::DNSSEC(DNSSECRData::DNSKEY(key)) = &record.data else { return None };
    let mut octets = hickory_proto::dnssec::PublicKey::public_bytes(key.public_key()).to_vec();
    let first = u16::from_be_bytes([octets[0], octets[1]]);
    let second = u16::from_be_bytes([octets[2], octets[3]]);
    let step = u16::try_from(number + 1).unwrap().min(first).min(u16::MAX - second);
    octets[..2].copy_from_slice(&(first - step).to_be_bytes());
    octets[2..4].copy_from_slice(&(second + step).to_be_bytes());
    let made = DNSKEY::with_flags(257, PublicKeyBuf::new(octets, Algorithm::ECDSAP256SHA256));
    (made.calculate_key_tag().unwrap() == key.calculate_key_tag().unwrap()).then(|| {
        Record::from_rdata(record.name.clone(), record.ttl, RData::DNSSEC(DNSSECRData::DNSKEY(made)))
    })
}

fn alias(owner: &str, target: &str) -> Record {
    Record::from_rdata(wire_name(owner), 300, RData::CNAME(CNAME(wire_name(target))))
}

fn loads() -> Vec<Manner> {
    vec![
        message("signatures by the hundred after the good one", |m| add_many(m, resigned)),
        message("signatures by the hundred before the good one", |m| {
            add_many(m, resigned);
            m.answers.reverse();
            m.authorities.reverse();
        }),
        message("keys of one tag by the hundred", |m| add_many(m, colliding)),
        message("keys and signatures by the hundred", |m| {
            add_many(m, colliding);
            m.answers.truncate(300);
            m.answers.reverse();
            add_many(m, resigned);
            m.answers.reverse();
        }),
        message("addresses by the thousand", |m| {
            let owner = m.queries[0].name().clone();
            m.answers.extend((0..4000_u16).map(|number| {
                let [high, low] = number.to_be_bytes();
                Record::from_rdata(owner.clone(), 300, RData::A(Address::new(127, 6, high, low)))
            }));
        }),
        message("aliases by the hundred", |m| {
            let first = m.queries[0].name().to_string();
            m.answers = vec![alias(&first, "n0.unsigned.test")];
            for number in 0..MANY {
                m.answers.push(alias(
                    &format!("n{number}.unsigned.test"),
                    &format!("n{}.unsigned.test", number + 1),
                ));
            }
        }),
        message("an alias to itself", |m| {
            let owner = m.queries[0].name().to_string();
            m.answers = vec![alias(&owner, &owner)];
        }),
        message("aliases in a circle", |m| {
            let owner = m.queries[0].name().to_string();
            m.answers = vec![alias(&owner, "n0.unsigned.test"), alias("n0.unsigned.test", &owner)];
        }),
        message("signers by the hundred", |m| {
            add_many(m, |number, record| {
                let mut made = resigned(number, record)?;
                let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &made.data else { return None };
                let mut input = signature.input().clone();
                input.signer_name = wire_name(["test", "nsec.test", "."][number % 3]);
                input.key_tag = input.key_tag.wrapping_add(u16::try_from(number).unwrap());
                made.data =
                    RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, signature.sig().to_vec())));
                Some(made)
            });
            m.answers.reverse();
        }),
        message("denials by the hundred", |m| {
            m.answers.clear();
            m.metadata.response_code = ResponseCode::NXDomain;
            add_many(m, |number, record| {
                let is_denial = matches!(
                    covered(record).unwrap_or(record.record_type()),
                    RecordType::NSEC | RecordType::NSEC3
                );
                let mut made = record.clone();
                made.name = wire_name(&format!("n{number}.nsec.test"));
                is_denial.then_some(made)
            });
        }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_too_large_to_be_judged_in_time() {
    endure_all(&loads(), Protocol::Tcp).await;
}

/// Forged aliases in a zone where anything may be forged: eleven are followed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_aliases_eleven_are_followed() {
    let scene = Scene::new().await;
    for (count, expected) in [(11, "insecure records"), (12, "bogus"), (60, "bogus")] {
        scene.attacker.plot(Arc::new(move |asked, mut genuine| {
            if asked.is("www.unsigned.test", A) {
                let at = |number| format!("n{number}.unsigned.test");
                genuine.answers = vec![alias("www.unsigned.test", &at(1))];
                genuine.answers.extend((1..count).map(|number| alias(&at(number), &at(number + 1))));
                genuine.answers.push(Record::from_rdata(wire_name(&at(count)), 300, forged_address()));
            }
            Reply::Message(Box::new(genuine))
        }));
        assert_eq!(
            told(&ask(&scene.victim(Protocol::Udp), "www.unsigned.test", A).await),
            expected,
            "{count}"
        );
    }
}

/// Denials with as many iterations as are computed at all, for names with ever more labels.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_hash_for_too_long_are_bogus() {
    let scene = Scene::of(universe().zone("cheap.test", Signing::Nsec3Iterations(150)), Book::new).await;
    for (labels, expected) in [
        (1, "secure nxdomain"),
        (34, "secure nxdomain"),
        (60, "secure nxdomain"),
        (70, "bogus"),
        (110, "bogus"),
    ] {
        let owner = format!("{}cheap.test", "x.".repeat(labels));
        assert_eq!(told(&ask(&scene.victim(Protocol::Udp), &owner, A).await), expected, "{labels}");
    }
}
