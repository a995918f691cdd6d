//! The attacks by hand, as tables: what is done to which answers below a zone.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::{CNAME, PTR, TLSA};
use revouch_lab::Sabotage;

use super::answers::Attack;
use super::edits::{Edit, Tampering, dname, forged_address};
use super::*;

const A: RecordType = RecordType::A;
const TLSA_TYPE: RecordType = RecordType::TLSA;

fn forged_tlsa() -> RData {
    RData::TLSA(TLSA::new(3.into(), 1.into(), 1.into(), vec![0x66; 32]))
}

/// Takes away what proves something.
pub(super) fn stripping(zone: &str) -> Vec<Attack> {
    let (www, wild, none) = (format!("www.{zone}"), format!("x.wild.{zone}"), format!("none.{zone}"));
    let mut attacks = vec![
        Attack::direct("no signatures", &www, A, vec![Edit::StripSignatures]),
        Attack::direct("no signature of the records", &wild, A, vec![Edit::StripSignaturesOf(A)]),
        Attack::direct("no denial beside the wildcard", &wild, A, vec![Edit::StripDenial]),
        Attack::direct(
            "no signature of the denial",
            &wild,
            A,
            vec![Edit::StripSignaturesOf(RecordType::NSEC), Edit::StripSignaturesOf(RecordType::NSEC3)],
        ),
        Attack::direct("no denial", &none, A, vec![Edit::StripDenial]),
        Attack::direct("no signatures of the negative answer", &none, A, vec![Edit::StripSignatures]),
        Attack::direct("no SOA", &none, A, vec![Edit::Strip(RecordType::SOA)]),
        Attack::direct("no signature of the SOA", &none, A, vec![Edit::StripSignaturesOf(RecordType::SOA)]),
        Attack::direct("nothing at all", &www, A, vec![Edit::ClearAnswers, Edit::ClearAuthorities]),
    ];
    for index in 0..8 {
        attacks.push(Attack::direct("one record less", &none, A, vec![Edit::DropAuthority(index)]));
    }
    for rr_type in [RecordType::DS, RecordType::DNSKEY] {
        for (what, edits) in [
            ("unsigned", vec![Edit::StripSignatures]),
            ("gone", vec![Edit::Strip(rr_type)]),
            ("cleared", vec![Edit::ClearAnswers, Edit::ClearAuthorities]),
            ("refuted", vec![Edit::ClearAnswers, Edit::Code(ResponseCode::NXDomain)]),
        ] {
            let genuine = Attack::direct(&format!("{rr_type} {what}"), &www, A, vec![]);
            attacks.push(genuine.and(zone, rr_type, edits.clone()));
            let forged = Attack::direct(
                &format!("{rr_type} {what}, forged"),
                &www,
                A,
                vec![Edit::Forge(forged_address()), Edit::StripSignatures],
            );
            attacks.push(forged.and(zone, rr_type, edits));
        }
    }
    attacks
}

/// Says what nobody said.
pub(super) fn forging(zone: &str) -> Vec<Attack> {
    let (www, none, tlsa) = (format!("www.{zone}"), format!("none.{zone}"), format!("_8443._tcp.www.{zone}"));
    let ptr = format!("ptr.{zone}");
    let elsewhere = wire_name("www.unsigned.test");
    vec![
        Attack::direct("forged A", &www, A, vec![Edit::Forge(forged_address())]),
        Attack::direct("forged A and AD", &www, A, vec![Edit::Forge(forged_address()), Edit::Authentic]),
        Attack::direct("one A more", &www, A, vec![Edit::Add(wire_name(&www), forged_address())]),
        Attack::direct("spoilt A", &www, A, vec![Edit::Spoil]),
        Attack::direct("forged TLSA", &tlsa, TLSA_TYPE, vec![Edit::Forge(forged_tlsa())]),
        Attack::direct("spoilt TLSA", &tlsa, TLSA_TYPE, vec![Edit::Spoil]),
        Attack::direct("one TLSA more", &tlsa, TLSA_TYPE, vec![Edit::Add(wire_name(&tlsa), forged_tlsa())]),
        Attack::direct(
            "TLSA denied",
            &tlsa,
            TLSA_TYPE,
            vec![Edit::ClearAnswers, Edit::Code(ResponseCode::NXDomain)],
        ),
        Attack::direct(
            "forged PTR",
            &ptr,
            RecordType::PTR,
            vec![Edit::Forge(RData::PTR(PTR(wire_name("forged.unsigned.test"))))],
        ),
        Attack::direct("spoilt PTR", &ptr, RecordType::PTR, vec![Edit::Spoil]),
        Attack::direct("forged alias", &www, A, vec![Edit::Alias(elsewhere.clone(), forged_address())]),
        Attack::direct(
            "forged alias beside the signature",
            &www,
            A,
            vec![Edit::Add(wire_name(&www), RData::CNAME(CNAME(elsewhere.clone())))],
        ),
        Attack::direct(
            "alias with another target",
            &format!("alias.{zone}"),
            A,
            vec![Edit::Spoil, Edit::Add(elsewhere.clone(), forged_address())],
        ),
        Attack::direct(
            "synthesis with another target",
            &format!("www.old.{zone}"),
            A,
            vec![
                Edit::Strip(RecordType::CNAME),
                Edit::Add(wire_name(&format!("www.old.{zone}")), RData::CNAME(CNAME(elsewhere.clone()))),
                Edit::Add(elsewhere.clone(), forged_address()),
            ],
        ),
        Attack::direct(
            "forged DNAME above",
            &www,
            A,
            vec![
                Edit::Forge(RData::CNAME(CNAME(elsewhere))),
                Edit::Add(wire_name(zone), dname("unsigned.test")),
                Edit::Add(wire_name("www.unsigned.test"), forged_address()),
            ],
        ),
        Attack::direct("NODATA without proof", &www, A, vec![Edit::ClearAnswers]),
        Attack::direct(
            "NXDOMAIN without proof",
            &www,
            A,
            vec![Edit::ClearAnswers, Edit::Code(ResponseCode::NXDomain)],
        ),
        Attack::direct("a record where there is none", &none, A, vec![Edit::Forge(forged_address())]),
        Attack::direct("NXDOMAIN said to be NODATA", &none, A, vec![Edit::Code(ResponseCode::NoError)]),
        Attack::direct(
            "NODATA said to be NXDOMAIN",
            &www,
            TLSA_TYPE,
            vec![Edit::Code(ResponseCode::NXDomain)],
        ),
        Attack::direct(
            "empty non-terminal said not to exist",
            &format!("b.{zone}"),
            A,
            vec![Edit::Code(ResponseCode::NXDomain)],
        ),
        Attack::direct(
            "denial with other types",
            &www,
            A,
            vec![Edit::ClearAnswers, Edit::Bitmap(vec![RecordType::TXT])],
        ),
        Attack::direct("opt-out that the zone did not say", &none, A, vec![Edit::OptOut]),
    ]
}

/// Changes the signatures, or what they stand on.
pub(super) fn tampering(zone: &str) -> Vec<Attack> {
    let (www, wild) = (format!("www.{zone}"), format!("x.wild.{zone}"));
    let labels = u8::try_from(zone.split('.').count()).unwrap();
    let mut attacks = Vec::new();
    for how in [
        Tampering::Labels(labels),
        Tampering::Labels(labels + 1),
        Tampering::Labels(labels - 1),
        Tampering::Labels(0),
        Tampering::Labels(labels + 2),
        Tampering::Signer(wire_name("test")),
        Tampering::Signer(Name::root()),
        Tampering::Signer(wire_name("other.test")),
        Tampering::Signer(wire_name("unsigned.test")),
        Tampering::Signer(wire_name(&www)),
        Tampering::Tag(0),
        Tampering::Covers(TLSA_TYPE),
        Tampering::OriginalTtl(1),
        Tampering::Renewed,
        Tampering::Bit,
    ] {
        let what = format!("{how:?}");
        for owner in [&www, &wild] {
            attacks.push(Attack::direct(&what, owner, A, vec![Edit::Tamper(how.clone())]));
        }
        for rr_type in [RecordType::DS, RecordType::DNSKEY] {
            let attack = Attack::direct(&format!("{what} on {rr_type}"), &www, A, vec![]);
            attacks.push(attack.and(zone, rr_type, vec![Edit::Tamper(how.clone())]));
        }
    }
    attacks
}

/// What changes nothing that counts: the verdict may stay, but must not be better than others'.
pub(super) fn harmless(zone: &str) -> Vec<Attack> {
    let (www, wild, none) = (format!("www.{zone}"), format!("x.wild.{zone}"), format!("none.{zone}"));
    let mut attacks = Vec::new();
    for (what, edit) in [
        ("as it is", vec![]),
        ("every record twice", vec![Edit::Twice]),
        ("the other order", vec![Edit::Reverse]),
        ("capitals", vec![Edit::UpperCase]),
        ("TTL 0", vec![Edit::Ttl(0)]),
        ("TTL without end", vec![Edit::Ttl(u32::MAX)]),
        ("AD", vec![Edit::Authentic]),
        ("sections swapped", vec![Edit::Swap]),
        ("NXDOMAIN besides", vec![Edit::Code(ResponseCode::NXDomain)]),
        ("NOERROR besides", vec![Edit::Code(ResponseCode::NoError)]),
        ("a forged name besides", vec![Edit::Add(wire_name("x.unsigned.test"), forged_address())]),
    ] {
        for (owner, rr_type) in [(&www, A), (&wild, A), (&none, A), (&www, TLSA_TYPE)] {
            attacks.push(Attack::direct(what, owner, rr_type, edit.clone()));
        }
    }
    attacks
}

/// Genuine records where they do not belong.
pub(super) async fn replaying(book: &Book, zone: &str, parent: &str) -> Vec<Attack> {
    let at = |prefix: &str| format!("{prefix}.{zone}");
    let mut attacks = Vec::new();
    let mut push =
        |what: &str, owner: &str, rr_type, edits| attacks.push(Attack::direct(what, owner, rr_type, edits));
    let (www, real) = (at("www"), at("real.wild"));
    for other in [
        at("mail"),
        at("x.wild"),
        at("real.wild"),
        at("alias"),
        at("out"),
        at("x.old"),
        "www.other.test".into(),
        "www.unsigned.test".into(),
        "www.plain.optout.test".into(),
        "www.island.unsigned.test".into(),
        format!("www.{parent}"),
        format!("x.wild.{parent}"),
        format!("none.{parent}"),
        at("none"),
        at("b"),
        "none.other.test".into(),
        "none.optout.test".into(),
        "none.unsigned.test".into(),
        "none.costly.test".into(),
    ] {
        let message = book.read(&other, A).await;
        for owner in [&www, &real] {
            push(&format!("answer of {other}"), owner, A, vec![Edit::Replace(message.clone())]);
            push(&format!("answer of {other}, renamed"), owner, A, vec![Edit::ReplaceAs(message.clone())]);
            push(
                &format!("denial of {other}"),
                owner,
                A,
                vec![
                    Edit::ClearAnswers,
                    Edit::AuthoritiesOf(message.clone()),
                    Edit::Code(message.metadata.response_code),
                ],
            );
            push(
                &format!("denial of {other}, as NODATA"),
                owner,
                A,
                vec![Edit::ClearAnswers, Edit::AuthoritiesOf(message.clone())],
            );
        }
        push(&format!("as {other}"), &at("none"), A, vec![Edit::ReplaceAs(message.clone())]);
        push(
            &format!("forged, with the denial of {other}"),
            &www,
            A,
            vec![Edit::Forge(forged_address()), Edit::AuthoritiesOf(message.clone())],
        );
    }
    for (other, rr_type) in [
        (www.clone(), RecordType::TXT),
        (www.clone(), TLSA_TYPE),
        (zone.to_owned(), RecordType::SOA),
        (zone.to_owned(), RecordType::NS),
        (zone.to_owned(), RecordType::DNSKEY),
        (zone.to_owned(), RecordType::DS),
        (at("none"), RecordType::DS),
        (at("b"), RecordType::DS),
    ] {
        let message = book.read(&other, rr_type).await;
        push(&format!("answer of {other} {rr_type}"), &www, A, vec![Edit::ReplaceAs(message.clone())]);
        push(
            &format!("no A, by {other} {rr_type}"),
            &www,
            A,
            vec![Edit::ClearAnswers, Edit::AuthoritiesOf(message)],
        );
    }
    // The denial of a name next to it, whose owner or zone is passed off as another.
    let denial = book.read(&at("none"), A).await;
    for owner in [zone, parent, www.as_str(), "test", "."] {
        push(
            &format!("SOA at {owner}"),
            &www,
            A,
            vec![Edit::Replace(denial.clone()), Edit::SoaAt(wire_name(owner))],
        );
        push(
            &format!("NSEC at {owner}"),
            &www,
            A,
            vec![Edit::Replace(denial.clone()), Edit::DenialAt(wire_name(owner))],
        );
    }
    for other in
        [at("mail"), at("x.wild"), at("none"), format!("x.wild.{parent}"), "none.unsigned.test".into()]
    {
        let message = book.read(&other, A).await;
        for owner in ["x.wild", "none", "b"].map(at) {
            let besides = Attack::direct(
                &format!("with {other} besides"),
                &owner,
                A,
                vec![Edit::AddFrom(message.clone())],
            );
            attacks.push(besides);
        }
    }
    let message = book.read(&at("_8443._tcp.mail"), TLSA_TYPE).await;
    let renamed = vec![Edit::ReplaceAs(message)];
    attacks.push(Attack::direct("TLSA of another name", &at("_8443._tcp.www"), TLSA_TYPE, renamed));
    attacks
}

/// Whatever a zone and those around it deny, shown all at once: who asks for long enough has every record of it.
pub(super) async fn denying(book: &Book, zone: &str, parent: &str) -> Vec<Attack> {
    let mut attacks = Vec::new();
    for denier in [zone, parent, "test"] {
        let all = book.every_denial(denier).await;
        for code in [ResponseCode::NXDomain, ResponseCode::NoError] {
            let denied = vec![Edit::ClearAnswers, Edit::AuthoritiesOf(all.clone()), Edit::Code(code)];
            let what = format!("{code} by every denial of {denier}");
            for (prefix, rr_type) in [
                ("www", A),
                ("real.wild", A),
                ("x.wild", A),
                ("a.b", A),
                ("alias", A),
                ("_8443._tcp.www", TLSA_TYPE),
            ] {
                attacks.push(Attack::direct(&what, &format!("{prefix}.{zone}"), rr_type, denied.clone()));
            }
            let www = format!("www.{zone}");
            let forged = vec![Edit::Forge(forged_address()), Edit::ClearAuthorities];
            let attack = Attack::direct(&format!("no DS: {what}"), &www, A, forged);
            attacks.push(attack.clone().and(zone, RecordType::DS, denied.clone()));
            attacks.push(attack.and(&www, RecordType::DS, denied));
        }
        let wildcard = book.read(&format!("x.wild.{zone}"), A).await;
        attacks.push(Attack::direct(
            &format!("a wildcard, by every denial of {denier}"),
            &format!("real.wild.{zone}"),
            A,
            vec![Edit::ReplaceAs(wildcard), Edit::AuthoritiesOf(all)],
        ));
    }
    attacks
}

/// Lies about where zones begin, and whose keys are whose.
pub(super) async fn cutting(book: &Book, zone: &str, parent: &str) -> Vec<Attack> {
    let www = format!("www.{zone}");
    let mut attacks = Vec::new();
    let lies = [
        ("plain.optout.test", RecordType::DS),
        ("plain.nsec.test", RecordType::DS),
        ("plain.nsec3.test", RecordType::DS),
        ("unsigned.test", RecordType::DS),
        ("other.test", RecordType::DS),
        ("costly.test", RecordType::DS),
        ("none.test", RecordType::DS),
        ("none.optout.test", RecordType::DS),
        ("none.nsec.test", RecordType::DS),
        ("none.nsec3.test", RecordType::DS),
        ("none.costly.test", RecordType::DS),
        // The child's own apex, and what stands in it and beside it.
        (zone, RecordType::TXT),
        (www.as_str(), RecordType::DS),
        (parent, RecordType::DS),
        (parent, RecordType::TXT),
        ("alias.nsec.test", RecordType::A),
    ];
    for (other, rr_type) in lies {
        let message = book.read(other, rr_type).await;
        for lie in [
            vec![Edit::Replace(message.clone())],
            vec![Edit::ReplaceAs(message.clone())],
            vec![Edit::ClearAnswers, Edit::AuthoritiesOf(message.clone())],
            vec![Edit::ClearAnswers, Edit::AddFrom(message.clone())],
        ] {
            let what = format!("DS by {other} {rr_type}, {}", lie.len());
            let forged = vec![Edit::Forge(forged_address()), Edit::ClearAuthorities];
            let attack = Attack::direct(&what, &www, A, forged).and(zone, RecordType::DS, lie.clone());
            // Hidden, or invented, one name below.
            attacks.push(attack.and(&www, RecordType::DS, lie));
        }
    }
    // Each zone's keys and delegations for another's, under which all of its records are shown too.
    for other in ["other.test", "island.unsigned.test", "nsec.test", "test", "."] {
        let (keys, ds, records) = (
            book.read(other, RecordType::DNSKEY).await,
            book.read(other, RecordType::DS).await,
            book.read(&format!("www.{}", if other == "." { "test" } else { other }), A).await,
        );
        let what = format!("keys of {other}");
        let shown = vec![Edit::ReplaceAs(records)];
        attacks.push(Attack::direct(&what, &www, A, shown.clone()).and(
            zone,
            RecordType::DNSKEY,
            vec![Edit::ReplaceAs(keys.clone())],
        ));
        attacks.push(
            Attack::direct(&format!("{what} and its DS"), &www, A, shown.clone())
                .and(zone, RecordType::DNSKEY, vec![Edit::ReplaceAs(keys.clone())])
                .and(zone, RecordType::DS, vec![Edit::ReplaceAs(ds.clone())]),
        );
        attacks.push(
            Attack::direct(&format!("{what} besides"), &www, A, shown)
                .and(zone, RecordType::DNSKEY, vec![Edit::AddFrom(keys)])
                .and(zone, RecordType::DS, vec![Edit::AddFrom(ds)]),
        );
    }
    attacks
}

/// What the zones' own signatures said at another time.
pub(super) async fn aged(zone: &str) -> (Scene, Vec<Attack>) {
    let scene = Scene::of(universe(), Book::forgetful).await;
    let (www, none) = (format!("www.{zone}"), format!("none.{zone}"));
    let mut attacks = Vec::new();
    for how in [Sabotage::ExpiredSignature, Sabotage::EarlySignature] {
        let spoil = |now: UniverseBuilder| {
            let now = now.sabotage_zone(zone, Some(how)).sabotage(zone, "DNSKEY", how);
            now.sabotage(zone, "DS", how)
        };
        scene.universe.replace(spoil).unwrap();
        let read = async |owner: &str, rr_type| scene.book.read(owner, rr_type).await;
        let (records, denial) = (read(&www, A).await, read(&none, A).await);
        let (keys, ds) = (read(zone, RecordType::DNSKEY).await, read(zone, RecordType::DS).await);
        scene.universe.replace(UniverseBuilder::mend).unwrap();
        let what = format!("{how:?}");
        let on = |owner: &str, message: &Message| {
            Attack::direct(&what, owner, A, vec![Edit::Replace(message.clone())])
        };
        attacks.extend([on(&www, &records), on(&none, &denial)]);
        let with = |rr_type, message: &Message| {
            Attack::direct(&format!("{what} of {rr_type}"), &www, A, vec![]).and(
                zone,
                rr_type,
                vec![Edit::Replace(message.clone())],
            )
        };
        attacks.extend([with(RecordType::DNSKEY, &keys), with(RecordType::DS, &ds)]);
    }
    (scene, attacks)
}
