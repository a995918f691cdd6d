//! Answers that were changed on the way, by hand: each attack on every kind of signed zone, over UDP and over TCP.

use std::fmt;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::{CNAME, PTR, TLSA};

use super::edits::{Edit, Tampering, apply, dname, forged_address};
use super::judges::{Standing, delv, falsehood, unbound};
use super::*;

/// What is done to which answers, and the question by which it shall work.
#[derive(Clone)]
pub(super) struct Attack {
    pub(super) what: String,
    pub(super) owner: String,
    pub(super) rr_type: RecordType,
    /// The questions whose answers are changed, and how.
    pub(super) on: Vec<(Name, RecordType, Vec<Edit>)>,
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} {}", self.what, self.owner, self.rr_type)
    }
}

impl Attack {
    /// On the answer to the question itself.
    pub(super) fn direct(what: &str, owner: &str, rr_type: RecordType, edits: Vec<Edit>) -> Self {
        let on = vec![(wire_name(owner), rr_type, edits)];
        Self { what: what.to_owned(), owner: owner.to_owned(), rr_type, on }
    }

    /// And on another answer.
    fn and(mut self, owner: &str, rr_type: RecordType, edits: Vec<Edit>) -> Self {
        self.on.push((wire_name(owner), rr_type, edits));
        self
    }

    pub(super) fn plot(&self) -> Plot {
        let on = self.on.clone();
        Arc::new(move |asked, mut genuine| {
            for (owner, rr_type, edits) in &on {
                if canonical(asked.query().name()) == *owner && asked.query().query_type() == *rr_type {
                    apply(edits, &mut genuine);
                }
            }
            Reply::Message(Box::new(genuine))
        })
    }
}

const A: RecordType = RecordType::A;
const TLSA_TYPE: RecordType = RecordType::TLSA;

/// The signed zones below which every attack is tried, each with its parent.
const SIGNED: [(&str, &str); 6] = [
    ("nsec.test", "test"),
    ("nsec3.test", "test"),
    ("optout.test", "test"),
    ("sub.nsec.test", "nsec.test"),
    ("sub.nsec3.test", "nsec3.test"),
    ("signed.optout.test", "optout.test"),
];

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
fn tampering(zone: &str) -> Vec<Attack> {
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
async fn replaying(book: &Book, zone: &str, parent: &str) -> Vec<Attack> {
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
async fn denying(book: &Book, zone: &str, parent: &str) -> Vec<Attack> {
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
async fn cutting(book: &Book, zone: &str, parent: &str) -> Vec<Attack> {
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
async fn aged(zone: &str) -> (Scene, Vec<Attack>) {
    use revouch_lab::Sabotage;
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

/// Runs the attacks, in turns over UDP and over TCP; returns what went wrong.
pub(super) async fn run(scene: &Scene, attacks: &[Attack]) -> Vec<String> {
    let mut wrong = Vec::new();
    let honest_view = scene.direct();
    for (attack, protocol) in attacks.iter().zip([Protocol::Udp, Protocol::Tcp].into_iter().cycle()) {
        let truth = ask(&honest_view, &attack.owner, attack.rr_type).await;
        scene.attacker.plot(attack.plot());
        let before = scene.attacker.seen.questions();
        let victim = scene.victim(protocol);
        let ours = ask(&victim, &attack.owner, attack.rr_type).await;
        let sent = scene.attacker.seen.questions() - before;
        if sent > u64::from(BUDGET) {
            wrong.push(format!("{attack}: {sent} questions"));
        }
        if let Some(falsehood) = falsehood(&attack.owner, &ours, &truth) {
            wrong.push(format!("{attack}: {falsehood}"));
        }
        wrong.extend(better(scene, attack, &ours).await);
        scene.attacker.plot(honest());
        // Whatever was believed of keys and delegations meanwhile, it leads to the truth.
        let afterwards = ask(&victim, &attack.owner, attack.rr_type).await;
        let is_the_truth = afterwards.is_err() && truth.is_err() || told(&afterwards) == told(&truth);
        if !is_the_truth || falsehood(&attack.owner, &afterwards, &truth).is_some() {
            wrong.push(format!("{attack}, and afterwards {afterwards:?}, but the truth is {truth:?}"));
        }
    }
    wrong
}

/// Whether we think better of what the attack left than both others do.
async fn better(scene: &Scene, attack: &Attack, ours: &Result<Answer, DnsFailure>) -> Option<String> {
    let standing = Standing::of(ours);
    // Who takes it for a failure cannot be better than anyone.
    if standing == Standing::Failure {
        return None;
    }
    let theirs = unbound(scene, &attack.owner, attack.rr_type).await;
    if standing <= Standing::of(&theirs) {
        return None;
    }
    let (delv, said) = delv(scene, &attack.owner, attack.rr_type).await;
    (standing > delv)
        .then(|| format!("{attack}: {ours:?}, but unbound {} and delv {delv:?}: {said}", told(&theirs)))
}

pub(super) fn nothing_wrong(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs attacks on every signed zone, all at once, each with a scene of its own.
async fn on_every_zone<F: Future<Output = Vec<Attack>>>(
    attacks: impl Fn(Arc<Book>, &'static str, &'static str) -> F,
) {
    let runs = SIGNED.map(|(zone, parent)| {
        let attacks = &attacks;
        async move {
            let scene = Scene::new().await;
            let attacks = attacks(Arc::clone(&scene.book), zone, parent).await;
            run(&scene, &attacks).await
        }
    });
    nothing_wrong(&futures_util::future::join_all(runs).await.concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripped_forged_and_tampered_answers_are_never_better_than_elsewhere() {
    on_every_zone(|_, zone, _| async move { [stripping(zone), forging(zone), tampering(zone)].concat() })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_nothing_does_not_make_an_answer_better_than_elsewhere() {
    on_every_zone(|_, zone, _| async move { harmless(zone) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_records_and_mixed_chains_are_never_better_than_elsewhere() {
    on_every_zone(|book, zone, parent| async move {
        let replayed = [replaying(&book, zone, parent).await, denying(&book, zone, parent).await];
        [replayed.concat(), cutting(&book, zone, parent).await].concat()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_of_another_time_are_never_used() {
    let runs = SIGNED.map(|(zone, _)| async move {
        let (scene, attacks) = aged(zone).await;
        run(&scene, &attacks).await
    });
    nothing_wrong(&futures_util::future::join_all(runs).await.concat());
}
