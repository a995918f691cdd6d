//! Whole connections under attack: whom the truth refuses, no attack on the DNS lets in.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::{A as Address, PTR, TLSA};
use revouch_lab::{CertificateAuthority, Identity};
use revouch_resolver::{Budgets, Resolver};
use revouch_validator::chain::Chain;
use revouch_validator::connection::Connection;
use revouch_validator::decide::{Case, decide};
use revouch_validator::path::Anchors as Roots;
use revouch_validator::policy::{Policy, PolicyDraft};
use revouch_validator::trust::TrustStore;
use revouch_validator::verdict::Verdict;

use super::edits::{Edit, apply};
use super::*;

/// The port of the listener.
const PORT: u16 = 8443;

/// The true peer's address and reverse name, and those of an address that has no name.
const HOME: (&str, &str) = ("127.0.1.1", "1.1.0.127.in-addr.arpa");
const ELSEWHERE: (&str, &str) = ("127.0.6.6", "6.6.0.127.in-addr.arpa");

/// What is done to the answer to one question: changed, or withheld.
type Trick = (Name, RecordType, Option<Vec<Edit>>);

/// Peers, and the authority that all trust.
struct Cast {
    ca: CertificateAuthority,
    gateway: Identity,
    /// Has a certificate for the gateway's name from the same authority, and another key.
    impostor: Identity,
    /// Made its certificate by itself.
    stranger: Identity,
}

impl Cast {
    fn new() -> Self {
        let ca = CertificateAuthority::servers().unwrap();
        let gateway = ca.leaf().dns("gw.peer.test").issue().unwrap();
        let impostor = ca.leaf().dns("gw.peer.test").issue().unwrap();
        let stranger = revouch_lab::LeafBuilder::self_signed().dns("gw.peer.test").issue().unwrap();
        Self { ca, gateway, impostor, stranger }
    }

    fn universe(&self, signing: Signing) -> UniverseBuilder {
        Universe::builder()
            .zone("peer.test", signing)
            .zone("unsigned.test", Signing::Unsigned)
            .zone("optout.test", Signing::Nsec3OptOut)
            .zone("plain.optout.test", Signing::Unsigned)
            .host("gw.peer.test", HOME.0.parse().unwrap())
            .tlsa("gw.peer.test", PORT, &self.gateway.tlsa(3, 1, 1).unwrap())
            .address("other.peer.test", ELSEWHERE.0.parse().unwrap())
            .tlsa("gw.unsigned.test", PORT, &self.impostor.tlsa(3, 1, 1).unwrap())
    }

    fn trust(&self) -> TrustStore {
        TrustStore { server: Roots::from_der([self.ca.root()]).0, ..TrustStore::none() }
    }

    /// A TLSA record for a key: DANE-EE, SHA-256 of the public key.
    fn forged_tlsa(identity: &Identity) -> RData {
        let text = identity.tlsa(3, 1, 1).unwrap();
        let digest = data_encoding::HEXLOWER_PERMISSIVE.decode(text.rsplit(' ').next().unwrap().as_bytes());
        RData::TLSA(TLSA::new(3.into(), 1.into(), 1.into(), digest.unwrap()))
    }
}

/// Everybody who is not refused for another reason: the policy of an open federation.
fn policy(deadline_ms: u32) -> Policy {
    PolicyDraft { deadline_ms, ..PolicyDraft::default() }.build().unwrap()
}

/// What the proxy would say to a peer at `source` with the identity.
async fn judge(scene: &Scene, cast: &Cast, source: &str, identity: &Identity, deadline_ms: u32) -> Verdict {
    let resolver = Resolver::builder()
        .servers(vec![scene.attacker.server(Protocol::Udp)])
        .anchors(Anchors::parse(&scene.universe.trust_anchor()).unwrap())
        .patience(Duration::from_secs(5), 1)
        .build()
        .unwrap();
    let policy = policy(deadline_ms);
    let connection = Connection::new(std::net::SocketAddr::new(source.parse().unwrap(), 40_000), PORT);
    let evidence = resolver.gather(&policy, &connection).await;
    decide(&Case {
        policy: &policy,
        chain: &Chain::new(identity.chain()).unwrap(),
        connection: &connection,
        evidence: Some(&evidence),
        trust: &cast.trust(),
        now: clock()(),
    })
}

fn plot(tricks: Vec<Trick>) -> Plot {
    Arc::new(move |asked, mut genuine| {
        for (owner, rr_type, edits) in &tricks {
            if canonical(asked.query().name()) == *owner && asked.query().query_type() == *rr_type {
                match edits {
                    Some(edits) => apply(edits, &mut genuine),
                    None => return Reply::Silence,
                }
            }
        }
        Reply::Message(Box::new(genuine))
    })
}

/// Lies about what is signed above `zone`.
async fn lies(book: &Book, zone: &str) -> Vec<Vec<Trick>> {
    let at = |rr_type, edits: Vec<Edit>| vec![(wire_name(zone), rr_type, Some(edits))];
    let ds = |message: Message| at(RecordType::DS, vec![Edit::Replace(message)]);
    vec![
        vec![],
        at(RecordType::DS, vec![Edit::ClearAnswers, Edit::ClearAuthorities]),
        at(RecordType::DS, vec![Edit::Strip(RecordType::DS), Edit::Code(ResponseCode::NXDomain)]),
        at(RecordType::DNSKEY, vec![Edit::ClearAnswers]),
        at(RecordType::DNSKEY, vec![Edit::StripSignatures]),
        ds(book.read("unsigned.test", RecordType::DS).await),
        ds(book.read("plain.optout.test", RecordType::DS).await),
        ds(book.read("none.optout.test", RecordType::DS).await),
        ds(book.read("none.peer.test", RecordType::DS).await),
        vec![(wire_name(zone), RecordType::DS, None)],
    ]
}

/// Ways to have `forged` believed at a name, and what was there not.
async fn beliefs(
    book: &Book,
    owner: &str,
    rr_type: RecordType,
    forged: RData,
    similar: &[&str],
) -> Vec<Vec<Trick>> {
    let at = |edits| vec![(wire_name(owner), rr_type, Some(edits))];
    let mut ways = vec![
        at(vec![Edit::Forge(forged.clone())]),
        at(vec![Edit::Forge(forged.clone()), Edit::ClearAuthorities, Edit::Authentic]),
        at(vec![Edit::Add(wire_name(owner), forged.clone()), Edit::Code(ResponseCode::NoError)]),
        at(vec![Edit::StripSignatures, Edit::Spoil]),
        at(vec![Edit::Alias(wire_name("gw.unsigned.test"), forged)]),
    ];
    for other in similar {
        let message = book.read(other, rr_type).await;
        ways.push(at(vec![Edit::Replace(message.clone())]));
        ways.push(at(vec![Edit::ReplaceAs(message)]));
    }
    ways
}

/// Ways to make a name and type look absent.
async fn absences(book: &Book, owner: &str, rr_type: RecordType, similar: &[&str]) -> Vec<Vec<Trick>> {
    let at = |edits| vec![(wire_name(owner), rr_type, Some(edits))];
    let mut ways = vec![
        at(vec![Edit::ClearAnswers]),
        at(vec![Edit::ClearAnswers, Edit::ClearAuthorities, Edit::Code(ResponseCode::NXDomain)]),
        at(vec![Edit::StripSignatures]),
        at(vec![Edit::Code(ResponseCode::ServFail)]),
        at(vec![Edit::Code(ResponseCode::Refused)]),
        at(vec![Edit::Code(ResponseCode::NXDomain)]),
        vec![(wire_name(owner), rr_type, None)],
    ];
    for other in similar {
        let message = book.read(other, rr_type).await;
        ways.push(at(vec![Edit::Replace(message.clone())]));
        ways.push(at(vec![Edit::ClearAnswers, Edit::AuthoritiesOf(message.clone())]));
        ways.push(at(vec![Edit::ReplaceAs(message), Edit::SoaAt(wire_name("gw.peer.test"))]));
    }
    ways
}

/// Each of both beside the first of the others.
fn crossed(ones: &[Vec<Trick>], others: &[Vec<Trick>]) -> Vec<Vec<Trick>> {
    let beside = |all: &[Vec<Trick>], one: &Vec<Trick>| {
        all.iter().map(|each| [each.as_slice(), one].concat()).collect::<Vec<_>>()
    };
    [beside(ones, &others[0]), beside(others, &ones[0])].concat()
}

/// None of the plots lets the identity in.
async fn refuse(scene: &Scene, cast: &Cast, (source, identity): (&str, &Identity), plots: Vec<Vec<Trick>>) {
    let budgets = Budgets::default();
    for tricks in plots {
        // Silence costs the whole of the time, so there is less of it.
        let deadline = if tricks.iter().any(|(_, _, edits)| edits.is_none()) { 150 } else { 20_000 };
        scene.attacker.plot(plot(tricks.clone()));
        let before = scene.attacker.seen.questions();
        let verdict = judge(scene, cast, source, identity, deadline).await;
        assert!(!verdict.is_accepted(), "{source} {tricks:?}: {verdict:?}");
        let sent = scene.attacker.seen.questions() - before;
        let most = budgets.address + budgets.candidate + budgets.advisory;
        assert!(sent <= u64::from(most), "{sent} questions: {tricks:?}");
        scene.attacker.plot(honest());
    }
}

const SIGNINGS: [Signing; 3] = [Signing::Nsec, Signing::Nsec3, Signing::Nsec3OptOut];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_truth_lets_in_the_gateway_and_nobody_else() {
    let cast = Cast::new();
    for signing in SIGNINGS {
        let scene = Scene::of(cast.universe(signing), Book::new).await;
        for (source, identity, is_let_in) in [
            (HOME.0, &cast.gateway, true),
            (HOME.0, &cast.impostor, false),
            (HOME.0, &cast.stranger, false),
            (ELSEWHERE.0, &cast.gateway, false),
            (ELSEWHERE.0, &cast.impostor, false),
        ] {
            let verdict = judge(&scene, &cast, source, identity, 30_000).await;
            assert_eq!(verdict.is_accepted(), is_let_in, "{signing:?} {verdict:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_comes_in_from_an_address_that_the_dns_does_not_give_him() {
    let cast = Cast::new();
    for signing in SIGNINGS {
        let scene = Scene::of(cast.universe(signing), Book::new).await;
        let (book, name) = (&scene.book, wire_name("gw.peer.test"));
        let pointer = RData::PTR(PTR(name.clone()));
        let pointers = beliefs(book, ELSEWHERE.1, RecordType::PTR, pointer, &[HOME.1]).await;
        let address = RData::A(Address::new(127, 0, 6, 6));
        let addresses = beliefs(book, "gw.peer.test", RecordType::A, address, &["other.peer.test"]).await;
        let forged = [pointers[0].as_slice(), &addresses[0]].concat();
        let mut plots = crossed(&pointers, &addresses);
        plots.extend(crossed(&lies(book, "127.in-addr.arpa").await, std::slice::from_ref(&forged)));
        plots.extend(crossed(&lies(book, "peer.test").await, &[forged]));
        for identity in [&cast.gateway, &cast.impostor] {
            refuse(&scene, &cast, (ELSEWHERE.0, identity), plots.clone()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_comes_in_that_the_dns_does_not_vouch_for() {
    let cast = Cast::new();
    let owner = "_8443._tcp.gw.peer.test";
    let similar =
        ["_8443._tcp.none.peer.test", "none.peer.test", "gw.peer.test", "_8443._tcp.gw.unsigned.test"];
    for signing in SIGNINGS {
        let scene = Scene::of(cast.universe(signing), Book::new).await;
        let book = &scene.book;
        // A key that no authority vouches for needs a TLSA record, so there is less to try.
        let strangers = if signing == Signing::Nsec { &[&cast.stranger][..] } else { &[] };
        for identity in [&cast.impostor].into_iter().chain(strangers.iter().copied()) {
            let tlsa = RecordType::TLSA;
            let mut ways = beliefs(book, owner, tlsa, Cast::forged_tlsa(identity), &similar).await;
            ways.extend(absences(book, owner, tlsa, &similar).await);
            let mut plots = ways.clone();
            for zone in ["peer.test", "gw.peer.test", "_tcp.gw.peer.test", owner] {
                plots.extend(crossed(&lies(book, zone).await, &ways[..1]));
            }
            refuse(&scene, &cast, (HOME.0, identity), plots).await;
        }
    }
}
