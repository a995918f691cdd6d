//! DNS messages as they come off the wire: whatever they hold, what is made of them is bounded, and is not Secure without a signature.
//!
//! The first octets choose the question; the rest is the message. The structured target for the same code is `answer`.

use hickory_proto::dnssec::Proof;
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use revouch_resolver::answer::signature::{ProvenKeys, Work, prove, prove_keys, signed_sets};
use revouch_resolver::answer::{self, Evaluated, MAX_LINKS, State, Trust, delegation};
use revouch_resolver::{convert, mdns};
use revouch_validator::answer::DnssecStatus;
use revouch_validator::name::DnsName;
use revouch_validator::rr::RrType;

use crate::NOW;

const TYPES: [RecordType; 8] = [
    RecordType::A,
    RecordType::PTR,
    RecordType::TLSA,
    RecordType::SRV,
    RecordType::SVCB,
    RecordType::CNAME,
    RecordType::DS,
    RecordType::DNSKEY,
];

/// Reads a message.
pub fn run(data: &[u8]) {
    let Some((&[choice, marks], wire)) = data.split_first_chunk::<2>() else { return };
    if marks & 0x80 != 0 {
        multicast(choice, wire);
    }
    let Ok(mut raw) = Message::from_vec(wire) else { return };
    let rr_type = TYPES[usize::from(choice % 8)];
    // The question that is answered is not to be found by chance: it is put there.
    let name = raw.queries.first().map_or_else(Name::root, |query| answer::canonical(query.name()));
    if choice & 0x80 != 0
        && let Some(query) = raw.queries.first_mut()
    {
        query.set_query_type(rr_type);
    }
    let Ok(mut message) = answer::select(&name, rr_type, &raw) else { return };
    let records = message.answers.len() + message.authorities.len();
    assert!(records <= raw.answers.len() + raw.authorities.len(), "records out of nothing");
    assert!(message.all_sections().all(|record| record.proof == Proof::Indeterminate));
    for trust in [Trust::Proofs, Trust::Nobody, Trust::Sender(State::Insecure), Trust::Sender(State::Secure)]
    {
        let evaluated = answer::evaluate_trusting(trust, &name, rr_type, &message, NOW);
        let least = if trust == Trust::Sender(State::Secure) { State::Secure } else { State::Insecure };
        if let Ok(evaluated) = evaluated {
            holds(&evaluated, least);
        }
    }
    keys(&name, &message);
    // Proofs as a validator would put them there, were the signatures good.
    for (index, record) in message.answers.iter_mut().chain(&mut message.authorities).enumerate() {
        if marks & 1 << (index % 7) != 0 {
            record.proof = Proof::Secure;
        }
    }
    if let Ok(evaluated) = answer::evaluate(&name, rr_type, &message, NOW) {
        holds(&evaluated, State::Secure);
    }
    if !name.is_root() {
        let _ = delegation::judge(&name, &message, NOW);
    }
}

fn holds(evaluated: &Evaluated, best: State) {
    assert!(evaluated.chain.len() <= MAX_LINKS);
    let unproven = evaluated.chain.iter().map(|link| link.state).chain([evaluated.state]);
    let unproven = unproven.filter(|state| *state == State::Unproven).count();
    assert_eq!(unproven, evaluated.claims.len(), "what is not proven has to be claimed");
    let Ok(answer) = convert::answer(evaluated, NOW) else { return };
    assert!(best == State::Secure || answer.status != DnssecStatus::Secure);
    assert_eq!(answer.records.is_empty(), answer.negative.is_some());
    let json = serde_json::to_string(&answer).unwrap();
    assert_eq!(serde_json::from_str::<revouch_validator::answer::Answer>(&json).unwrap(), answer);
}

/// Keys that sign themselves, and what they sign: checked within the allowance, never with a proof where nothing was signed.
fn keys(name: &Name, message: &Message) {
    let mut message = message.clone();
    let mut work = Work::default();
    let Some(ProvenKeys { keys, .. }) = prove_keys(name, &mut message, |_| true, NOW, &mut work) else {
        return;
    };
    for (place, signers) in signed_sets(&message.authorities.clone(), NOW) {
        assert!(signers.len() <= 3);
        prove(&mut message.authorities, &place, &keys, NOW, &mut work);
    }
}

fn multicast(choice: u8, wire: &[u8]) {
    let name: DnsName = ["host.local", "1.254.169.in-addr.arpa"][usize::from(choice & 1)].parse().unwrap();
    let _ = mdns::answers(&name, [RrType::A, RrType::PTR][usize::from(choice >> 1 & 1)], wire);
}
