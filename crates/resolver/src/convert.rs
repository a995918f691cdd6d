//! Between the types of the DNS library and those that the decision knows.
//!
//! Names go over label by label, so that every octet survives (RFC 2317 has labels like `64/26`), in lower case. Of one RRset at most
//! [`MAX_RECORDS`] addresses are kept, of PTR records [`MAX_PTR_RECORDS`]: each stands by itself, and one that is missing lets nobody in. Of any
//! other type an RRset of more records is no answer, as which of them come first is up to whoever carried the message.

use hickory_proto::rr::rdata::svcb::{SVCB, SvcParamValue};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use revouch_validator::answer::{Answer, ChainLink, DnsFailure, DnssecStatus, Negative};
use revouch_validator::name::DnsName;
use revouch_validator::rr::{Caa, RecordData, RrType, Srv, Svcb, Tlsa};
use revouch_validator::timestamp::Timestamp;

use crate::answer::{End, Evaluated, Negation, State, canonical};

/// The most records of one RRset that are kept, if they are addresses, or taken at all.
pub const MAX_RECORDS: usize = 256;

/// The most PTR records that are kept. More than fit into one message of ordinary names.
pub const MAX_PTR_RECORDS: usize = 10_000;

/// The longest time for which a positive answer may be used, in seconds.
const MAX_POSITIVE_TTL: u32 = 3600;

/// The longest time for which a negative answer may be used, in seconds.
const MAX_NEGATIVE_TTL: u32 = 300;

/// The library's form of a name, canonical. `None` is not to be expected: both sides have the same limits.
#[must_use]
pub fn name(name: &DnsName) -> Option<Name> {
    Name::from_labels(name.labels()).ok().map(|made| canonical(&made))
}

/// The decision's form of a name. `None` is not to be expected either.
#[must_use]
pub fn dns_name(name: &Name) -> Option<DnsName> {
    DnsName::from_labels(name.iter()).ok()
}

/// The decision's form of a type.
#[must_use]
pub fn rr_type(rr_type: RecordType) -> RrType {
    RrType(u16::from(rr_type))
}

/// The answer that an evaluated message is, all of its claims having been proven.
///
/// # Errors
/// A record that cannot be represented, or too many: [`DnsFailure::ServFail`].
pub fn answer(evaluated: &Evaluated, now: Timestamp) -> Result<Answer, DnsFailure> {
    let chain: Option<Vec<ChainLink>> = evaluated
        .chain
        .iter()
        .map(|link| {
            Some(ChainLink {
                owner: dns_name(&link.owner)?,
                target: dns_name(&link.target)?,
                status: status(link.state),
            })
        })
        .collect();
    let chain = chain.ok_or(DnsFailure::ServFail)?;
    let (negative, most, data) = match &evaluated.end {
        End::Records(data) => (None, MAX_POSITIVE_TTL, data.as_slice()),
        End::Negative(Negation::NoData) => (Some(Negative::NoData), MAX_NEGATIVE_TTL, &[][..]),
        End::Negative(Negation::NxDomain) => (Some(Negative::NxDomain), MAX_NEGATIVE_TTL, &[][..]),
    };
    let signed_for = evaluated.window.map_or(u64::MAX, |window| window.until.0.saturating_sub(now.0));
    Ok(Answer {
        records: records(data).ok_or(DnsFailure::ServFail)?,
        status: chain.iter().map(|link| link.status).fold(status(evaluated.state), DnssecStatus::min),
        chain,
        negative,
        wildcard: evaluated.wildcard,
        ttl: evaluated.ttl.min(most).min(u32::try_from(signed_for).unwrap_or(u32::MAX)),
        signatures: evaluated.window,
    })
}

/// The data of an RRset, bounded. `None` for what cannot be represented, or must not be cut.
#[must_use]
pub fn records(data: &[RData]) -> Option<Vec<RecordData>> {
    let most = match data.first() {
        Some(RData::PTR(_)) => MAX_PTR_RECORDS,
        Some(RData::A(_) | RData::AAAA(_)) => MAX_RECORDS,
        _ if data.len() > MAX_RECORDS => return None,
        _ => MAX_RECORDS,
    };
    data.iter().take(most).map(record).collect()
}

/// What is not secure counts as insecure here: a claim that did not hold never gets this far.
fn status(state: State) -> DnssecStatus {
    match state {
        State::Secure => DnssecStatus::Secure,
        State::Insecure | State::Unproven => DnssecStatus::Insecure,
    }
}

/// The data of one record.
fn record(data: &RData) -> Option<RecordData> {
    Some(match data {
        RData::A(address) => RecordData::A(address.0),
        RData::AAAA(address) => RecordData::Aaaa(address.0),
        RData::PTR(target) => RecordData::Ptr(dns_name(&target.0)?),
        RData::CNAME(target) => RecordData::Cname(dns_name(&target.0)?),
        RData::TLSA(tlsa) => RecordData::Tlsa(Tlsa {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        }),
        RData::SRV(srv) => RecordData::Srv(Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: dns_name(&srv.target)?,
        }),
        RData::SVCB(svcb) => RecordData::Svcb(service_binding(svcb)?),
        RData::HTTPS(https) => RecordData::Svcb(service_binding(&https.0)?),
        RData::CAA(caa) => {
            RecordData::Caa(Caa { flags: caa.flags(), tag: caa.tag.clone(), value: caa.value.clone() })
        }
        other => RecordData::Other(wire_form(other)?),
    })
}

/// What counts of an SVCB or HTTPS record.
fn service_binding(svcb: &SVCB) -> Option<Svcb> {
    let port = svcb.svc_params.iter().find_map(|(_, value)| match value {
        SvcParamValue::Port(port) => Some(*port),
        _ => None,
    });
    Some(Svcb { priority: svcb.svc_priority, target: dns_name(&svcb.target_name)?, port })
}

/// RDATA in canonical wire form (RFC 4034 section 6.2): servers that compress repeat the random case of the question in it.
fn wire_form(data: &RData) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_canonical_form(true);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use hickory_proto::rr::rdata::{A, PTR, SRV, TLSA, TXT};
    use proptest::prelude::*;
    use revouch_validator::answer::SignatureWindow;

    use super::*;
    use crate::answer::{Link, canonical};

    fn evaluated(end: End, state: State, ttl: u32) -> Evaluated {
        Evaluated { chain: vec![], end, state, wildcard: false, claims: vec![], ttl, window: None }
    }

    fn one() -> End {
        End::Records(vec![RData::A(A::new(192, 0, 2, 1))])
    }

    #[test]
    fn ttls_are_clamped_to_an_hour_to_five_minutes_and_to_the_signatures() {
        let now = Timestamp(1000);
        let ttl = |evaluated: &Evaluated| answer(evaluated, now).unwrap().ttl;
        assert_eq!(ttl(&evaluated(one(), State::Secure, 86_400)), 3600);
        assert_eq!(ttl(&evaluated(End::Negative(Negation::NxDomain), State::Secure, 86_400)), 300);
        assert_eq!(ttl(&evaluated(one(), State::Secure, 0)), 0);
        let window = Some(SignatureWindow { from: Timestamp(0), until: Timestamp(1009) });
        assert_eq!(ttl(&Evaluated { window, ..evaluated(one(), State::Secure, 86_400) }), 9);
    }

    #[test]
    fn an_answer_has_the_least_state_of_its_links_and_its_end() {
        let link = |state| Link { owner: Name::root(), target: Name::root(), state };
        for (first, end, expected) in [
            (State::Secure, State::Secure, DnssecStatus::Secure),
            (State::Unproven, State::Secure, DnssecStatus::Insecure),
            (State::Secure, State::Insecure, DnssecStatus::Insecure),
        ] {
            let evaluated =
                Evaluated { chain: vec![link(State::Secure), link(first)], ..evaluated(one(), end, 1) };
            assert_eq!(answer(&evaluated, Timestamp(0)).unwrap().status, expected);
        }
    }

    #[test]
    fn names_within_other_data_are_lower_case() {
        let exchange = Name::from_ascii("mAiL.eXample.").unwrap();
        let mx = hickory_proto::rr::rdata::MX::new(10, exchange);
        let expected = RecordData::Other(b"\x00\x0a\x04mail\x07example\x00".to_vec());
        assert_eq!(record(&RData::MX(mx)), Some(expected));
    }

    #[test]
    fn sets_of_addresses_are_cut_and_those_of_names_later() {
        let addresses: Vec<RData> =
            (0..300_u16).map(|i| RData::A(A::new(10, 0, (i >> 8) as u8, (i & 255) as u8))).collect();
        assert_eq!(records(&addresses).unwrap().len(), MAX_RECORDS);
        let ptr = RData::PTR(PTR(Name::from_ascii("a.test.").unwrap()));
        assert_eq!(records(&vec![ptr; MAX_PTR_RECORDS + 1]).unwrap().len(), MAX_PTR_RECORDS);
    }

    #[test]
    fn any_other_set_that_is_too_large_is_no_answer() {
        let tlsa = RData::TLSA(TLSA::new(3.into(), 1.into(), 1.into(), vec![0; 32]));
        let srv = RData::SRV(SRV::new(0, 0, 443, Name::root()));
        for data in [RData::TXT(TXT::new(vec!["x".into()])), tlsa, srv] {
            let set = End::Records(vec![data.clone(); MAX_RECORDS]);
            assert_eq!(
                answer(&evaluated(set, State::Secure, 1), Timestamp(0)).unwrap().records.len(),
                MAX_RECORDS
            );
            let set = End::Records(vec![data; MAX_RECORDS + 1]);
            assert_eq!(answer(&evaluated(set, State::Secure, 1), Timestamp(0)), Err(DnsFailure::ServFail));
        }
    }

    proptest! {
        #[test]
        fn names_survive_the_way_there_and_back(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 0..6)) {
            let made = DnsName::from_labels(&labels).unwrap();
            let there = name(&made).unwrap();
            prop_assert_eq!(dns_name(&there).unwrap(), made);
            prop_assert_eq!(canonical(&there), there);
        }
    }
}
