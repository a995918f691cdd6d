//! Attacks that nobody thought of: changes drawn by lot, on questions drawn by lot. The same in every run.

use hickory_proto::op::{Message, ResponseCode};

use super::answers::{Attack, nothing_wrong, run};
use super::edits::{Edit, Tampering, dname, forged_address};
use super::*;

/// Attacks for each seed.
const ATTACKS: usize = 150;

const SEEDS: u64 = 6;

/// Numbers by lot (xorshift64).
struct Lot(u64);

impl Lot {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % end
    }

    fn of<'l, T>(&mut self, all: &'l [T]) -> &'l T {
        &all[self.below(all.len())]
    }
}

const OWNERS: [&str; 12] = [
    "www",
    "mail",
    "_8443._tcp.www",
    "x.wild",
    "real.wild",
    "b",
    "none",
    "deep.none",
    "alias",
    "out",
    "x.old",
    "ptr",
];

const TYPES: [RecordType; 6] =
    [RecordType::A, RecordType::A, RecordType::TLSA, RecordType::TXT, RecordType::PTR, RecordType::CNAME];

/// The zones by their closeness to the one under attack: that is where records worth replaying come from.
fn zone(lot: &mut Lot) -> &'static str {
    let (zone, _) = lot.of(&ZONES);
    zone
}

/// A genuine answer from somewhere.
async fn genuine(book: &Book, lot: &mut Lot, near: &str) -> Message {
    let zone = if lot.below(2) == 0 { near } else { zone(lot) };
    if lot.below(4) == 0 {
        return book.read(zone, *lot.of(&[RecordType::DS, RecordType::DNSKEY, RecordType::SOA])).await;
    }
    let owner = format!("{}.{zone}", lot.of(&OWNERS));
    let rr_type = if lot.below(5) == 0 { RecordType::DS } else { *lot.of(&TYPES) };
    book.read(&owner, rr_type).await
}

async fn edit(book: &Book, lot: &mut Lot, near: &str) -> Edit {
    let name = |lot: &mut Lot| wire_name(&format!("{}.{}", lot.of(&OWNERS), lot.of(&ZONES).0));
    match lot.below(26) {
        0 => Edit::StripSignatures,
        1 => Edit::StripSignaturesOf(*lot.of(&[RecordType::NSEC, RecordType::NSEC3, RecordType::SOA])),
        2 => Edit::StripSignaturesOf(*lot.of(&TYPES)),
        3 => Edit::Strip(*lot.of(&[RecordType::SOA, RecordType::DS, RecordType::CNAME, RecordType::DNAME])),
        4 => Edit::StripDenial,
        5 => Edit::ClearAnswers,
        6 => Edit::ClearAuthorities,
        7 => Edit::DropAnswer(lot.below(8)),
        8 => Edit::DropAuthority(lot.below(8)),
        9 => Edit::Code(*lot.of(&[ResponseCode::NoError, ResponseCode::NXDomain])),
        10 => Edit::Authentic,
        11 => Edit::Replace(genuine(book, lot, near).await),
        12 | 13 => Edit::ReplaceAs(genuine(book, lot, near).await),
        14 | 15 => Edit::AddFrom(genuine(book, lot, near).await),
        16 | 17 => Edit::AuthoritiesOf(genuine(book, lot, near).await),
        18 => Edit::Forge(forged_address()),
        19 => Edit::Add(name(lot), if lot.below(2) == 0 { forged_address() } else { dname("unsigned.test") }),
        20 => Edit::Spoil,
        21 => Edit::Alias(name(lot), forged_address()),
        22 => Edit::OptOut,
        23 => Edit::Bitmap(
            lot.of(&[vec![], vec![RecordType::NS], vec![RecordType::A, RecordType::SOA]]).clone(),
        ),
        24 => Edit::Tamper(match lot.below(5) {
            0 => Tampering::Labels(u8::try_from(lot.below(6)).unwrap()),
            1 => Tampering::Signer(wire_name(zone(lot))),
            2 => Tampering::Renewed,
            3 => Tampering::Covers(*lot.of(&TYPES)),
            _ => Tampering::Bit,
        }),
        _ => match lot.below(5) {
            0 => Edit::DenialAt(name(lot)),
            1 => Edit::SoaAt(wire_name(zone(lot))),
            2 => Edit::Twice,
            3 => Edit::Swap,
            _ => Edit::UpperCase,
        },
    }
}

async fn attack(book: &Book, lot: &mut Lot, number: usize) -> Attack {
    let zone = zone(lot);
    let (owner, rr_type) = (format!("{}.{zone}", lot.of(&OWNERS)), *lot.of(&TYPES));
    let mut on = Vec::new();
    for _ in 0..=lot.below(3) {
        let at = match lot.below(6) {
            0 => (zone.to_owned(), RecordType::DS),
            1 => (zone.to_owned(), RecordType::DNSKEY),
            2 => (owner.clone(), RecordType::DS),
            _ => (owner.clone(), rr_type),
        };
        let mut edits = Vec::new();
        for _ in 0..=lot.below(4) {
            edits.push(edit(book, lot, zone).await);
        }
        on.push((wire_name(&at.0), at.1, edits));
    }
    let kinds: Vec<String> = on
        .iter()
        .map(|(at, rr_type, edits)| {
            let names = edits.iter().map(|e| format!("{e:?}").chars().take(40).collect::<String>());
            format!("{at} {rr_type}: {}", names.collect::<Vec<_>>().join(" + "))
        })
        .collect();
    let what = format!("number {number} ({})", kinds.join("; "));
    Attack { what, owner, rr_type, on }
}

/// Runs the attacks of several seeds at once, each with a scene of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_by_lot_are_never_better_than_elsewhere() {
    let runs = (1..=SEEDS).map(|seed| async move {
        let scene = Scene::new().await;
        let mut lot = Lot(0x5eed_0000_0000_0000 + seed);
        let mut attacks = Vec::new();
        for number in 0..ATTACKS {
            attacks.push(attack(&scene.book, &mut lot, number).await);
        }
        run(&scene, &attacks).await
    });
    nothing_wrong(&futures_util::future::join_all(runs).await.concat());
}
