//! What can be done below the level of records: octets, datagrams, streams, silence.

use std::sync::atomic::{AtomicU64, Ordering};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::Record;
use revouch_testbed::eventually;

use super::attacker::Stream;
use super::edits::forged_address;
use super::secured::Door;
use super::*;

const A: RecordType = RecordType::A;

/// How late a slow machine may be.
const SLOW: Duration = Duration::from_secs(4);

/// One way to answer, for the question about `www.nsec.test`, or for every question.
pub(super) struct Manner {
    what: &'static str,
    plot: Plot,
    door: Door,
    /// Nothing that comes so may be taken for an answer.
    is_none: bool,
}

impl Manner {
    /// As [`Self::is_none`] says.
    pub(super) fn that_is_none(self) -> Self {
        Self { is_none: true, ..self }
    }
}

pub(super) fn manner(
    what: &'static str,
    plot: impl Fn(&Asked, Message) -> Reply + Send + Sync + 'static,
) -> Manner {
    Manner { what, plot: Arc::new(plot), door: Door::Open, is_none: false }
}

/// One way to receive connections over TLS so that no question is to be sent over them, or none is answered.
pub(super) fn reception(what: &'static str, door: Door) -> Manner {
    Manner { what, plot: honest(), door, is_none: true }
}

/// The genuine answer, changed as octets.
fn octets(
    what: &'static str,
    change: impl Fn(&Asked, Vec<u8>) -> Vec<Vec<u8>> + Send + Sync + 'static,
) -> Manner {
    manner(what, move |asked, genuine| Reply::Octets(change(asked, asked.answer_with(&genuine))))
}

/// The genuine answer, changed as a message.
pub(super) fn message(what: &'static str, change: impl Fn(&mut Message) + Send + Sync + 'static) -> Manner {
    octets(what, move |asked, genuine| {
        let mut message = Message::from_vec(&genuine).unwrap();
        change(&mut message);
        let mut octets = message.to_vec().unwrap();
        octets.truncate(if asked.over_tcp { 65_535 } else { 1232 });
        vec![octets]
    })
}

fn set(octets: &mut [u8], at: usize, value: u8) -> Vec<u8> {
    octets[at] = value;
    octets.to_vec()
}

/// Octets without sense, always the same.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(length)
    .collect()
}

/// Answers that are none, over both transports.
pub(super) fn nonsense() -> Vec<Manner> {
    vec![
        manner("nothing", |_, _| Reply::Silence),
        octets("an empty message", |_, _| vec![vec![]]),
        octets("one octet", |_, genuine| vec![genuine[..1].to_vec()]),
        octets("an identifier", |_, genuine| vec![genuine[..2].to_vec()]),
        octets("a header", |_, genuine| vec![genuine[..12].to_vec()]),
        octets("half of it", |_, genuine| vec![genuine[..genuine.len() / 2].to_vec()]),
        octets("all but one octet", |_, genuine| vec![genuine[..genuine.len() - 1].to_vec()]),
        octets("one octet more", |_, genuine| vec![[genuine, vec![0]].concat()]),
        octets("another identifier", |_, mut genuine| {
            let other = !genuine[0];
            vec![set(&mut genuine, 0, other)]
        }),
        octets("the identifier and noise", |_, genuine| vec![[genuine[..2].to_vec(), noise(600)].concat()]),
        octets("as many records as can be counted", |_, mut genuine| {
            (6..12).for_each(|at| genuine[at] = 255);
            vec![genuine]
        }),
        octets("no question counted", |_, mut genuine| vec![set(&mut genuine, 5, 0)]),
        octets("a name that points to itself", |_, genuine| {
            let header = [&genuine[..2], &[0x81_u8, 0x80, 0, 1, 0, 1, 0, 0, 0, 0][..]].concat();
            vec![
                [header, vec![0xc0, 12, 0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 127, 6, 6, 6]]
                    .concat(),
            ]
        }),
        octets("names that point in a circle", |asked, genuine| {
            let question = genuine.len().min(12 + asked.query().name().len() + 4);
            let at = u8::try_from(question).unwrap();
            let circle = [0xc0, at + 2, 0xc0, at, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 127, 6, 6, 6];
            let head = [&genuine[..6], &[0_u8, 1, 0, 0, 0, 0][..], &genuine[12..question]].concat();
            vec![[head, circle.to_vec()].concat()]
        }),
        octets("a long chain of pointers", |asked, genuine| {
            let question = 12 + asked.query().name().len() + 4;
            let mut all = [&genuine[..6], &[0_u8, 1, 0, 0, 0, 0][..], &genuine[12..question]].concat();
            for _ in 0..500 {
                let before = u16::try_from(all.len().saturating_sub(2)).unwrap() | 0xc000;
                all.extend(before.to_be_bytes());
            }
            vec![all]
        }),
        message("a query instead of a response", |m| m.metadata.message_type = MessageType::Query)
            .that_is_none(),
        message("another opcode", |m| m.metadata.op_code = OpCode::Notify).that_is_none(),
        message("another question", |m| m.queries = vec![Query::query(wire_name("mail.nsec.test"), A)])
            .that_is_none(),
        message("another type", |m| m.queries[0].query_type = RecordType::TXT).that_is_none(),
        message("two questions", |m| m.queries.push(Query::query(wire_name("mail.nsec.test"), A)))
            .that_is_none(),
        message("the question twice", |m| m.queries.push(m.queries[0].clone())).that_is_none(),
        message("no question", |m| m.queries.clear()).that_is_none(),
        message("a name spelled otherwise", |m| {
            let mut name = Name::from_labels(m.queries[0].name().iter().map(flipped)).unwrap();
            name.set_fqdn(true);
            m.queries[0].name = name;
            m.answers.clear();
        }),
        message("cut short", |m| m.metadata.truncation = true),
        message("cut short and empty", |m| {
            m.metadata.truncation = true;
            m.answers.clear();
            m.authorities.clear();
        }),
        message("FORMERR", |m| m.metadata.response_code = ResponseCode::FormErr),
        message("SERVFAIL", |m| m.metadata.response_code = ResponseCode::ServFail),
        message("NOTIMP", |m| m.metadata.response_code = ResponseCode::NotImp),
        message("REFUSED", |m| m.metadata.response_code = ResponseCode::Refused),
        message("YXDOMAIN", |m| m.metadata.response_code = ResponseCode::YXDomain),
        message("BADVERS", |m| m.metadata.response_code = ResponseCode::BADVERS),
        octets("65,535 octets of zero", |asked, genuine| {
            let length = if asked.over_tcp { 65_533 } else { 60_000 };
            vec![[genuine[..2].to_vec(), vec![0; length]].concat()]
        }),
        octets("60,000 octets of noise", |_, genuine| vec![[genuine[..2].to_vec(), noise(60_000)].concat()]),
        octets("a forged answer before the genuine one", |asked, genuine| {
            let mut forged = Message::from_vec(&genuine).unwrap();
            forged.answers = vec![Record::from_rdata(asked.query().name().clone(), 300, forged_address())];
            vec![forged.to_vec().unwrap(), genuine]
        }),
        octets("a thousand answers to nobody", |_, genuine| {
            let mut other = genuine;
            let id = u16::from_be_bytes([other[0], other[1]]);
            (1..=1000_u16)
                .map(|step| {
                    other[..2].copy_from_slice(&id.wrapping_add(step).to_be_bytes());
                    other.clone()
                })
                .collect()
        }),
    ]
}

fn flipped(label: &[u8]) -> Vec<u8> {
    label.iter().map(|octet| if octet.is_ascii_alphabetic() { octet ^ 0x20 } else { *octet }).collect()
}

/// What a stream alone can do.
pub(super) fn streams() -> Vec<Manner> {
    let always = [
        ("closed", Stream::Close),
        ("closed after one octet", Stream::RawThenClose(vec![0])),
        ("closed within a message", Stream::RawThenClose(vec![1, 0, 7, 7, 7])),
        ("open after one octet", Stream::RawThenSilence(vec![1])),
        ("open within a message", Stream::RawThenSilence(vec![255, 255, 7, 7, 7])),
        ("an empty message", Stream::RawThenSilence(vec![0, 0])),
        ("octet by octet", Stream::Dribble),
        ("the same answer to nobody for ever", Stream::Flood(vec![9; 100])),
        ("noise for ever", Stream::Flood(noise(65_535))),
    ];
    let always = always.map(|(what, stream)| manner(what, move |_, _| Reply::Stream(stream.clone())));
    // A stream that was good for a question is found dead by the next one, over and over.
    let number = AtomicU64::new(0);
    let every_second = manner("closed at every second question", move |_, genuine| {
        if number.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            Reply::Message(Box::new(genuine))
        } else {
            Reply::Stream(Stream::Close)
        }
    });
    always.into_iter().chain([every_second]).collect()
}

/// Asks under this manner of answering; returns what was wrong.
async fn endure(
    book: Arc<Book>,
    scene: &Scene,
    manner: &Manner,
    protocol: Protocol,
    everywhere: bool,
) -> Option<String> {
    let attacker = Attacker::start(book).await;
    let (plot, about) = (Arc::clone(&manner.plot), wire_name("www.nsec.test"));
    attacker.plot(Arc::new(move |asked, genuine| {
        if everywhere || canonical(asked.query().name()) == about {
            plot(asked, genuine)
        } else {
            Reply::Message(Box::new(genuine))
        }
    }));
    attacker.door(manner.door.clone());
    let config = UpstreamConfig {
        timeout: Duration::from_millis(400),
        attempts: 2,
        ..scene.config(vec![attacker.server(protocol)])
    };
    let upstream = Upstream::new(config, clock()).unwrap();
    let mut wrong = Vec::new();
    let mut complain = |text: String| wrong.push(text);
    let owner = name("www.nsec.test");
    let mut paid = 0;
    for (allowed, deadline) in [(BUDGET, 2000), (3, 700), (BUDGET, 30)] {
        let budget = QueryBudget::new(allowed);
        let until = Instant::now() + Duration::from_millis(deadline);
        let asked = upstream.ask(&owner, RrType::A, &budget, until);
        // What hangs would hang for ever, or for as long as the library lets a handshake take; a slow machine would not.
        match tokio::time::timeout(Duration::from_secs(60), asked).await {
            Err(_) => complain(format!("hangs {deadline} ms and longer")),
            Ok(Ok(answer)) if manner.is_none || !is_true(&answer) => complain(format!("{answer:?}")),
            Ok(_) => {}
        }
        if until.elapsed() > SLOW {
            complain(format!("{:?} later than {deadline} ms", until.elapsed()));
        }
        if budget.spent() > allowed {
            complain(format!("{} of {allowed} paid for", budget.spent()));
        }
        paid += budget.spent();
    }
    if !matches!(manner.door, Door::Open) && attacker.seen.questions() > 0 {
        complain(format!("{} questions went through", attacker.seen.questions()));
    }
    attacker.plot(honest());
    attacker.door(Door::Open);
    let budget = QueryBudget::new(BUDGET);
    let after = told(&upstream.ask(&name("mail.nsec.test"), RrType::A, &budget, soon()).await);
    if after != "secure records" {
        complain(format!("and after that {after}"));
    }
    // By now everything that was sent has come.
    let (sent, paid) = (attacker.seen.questions(), u64::from(paid + budget.spent()));
    if sent > paid {
        complain(format!("{sent} questions seen, {paid} paid for"));
    }
    // Nothing of what was opened stays open, but for the connection in use.
    let open = || attacker.seen.open.load(Ordering::SeqCst);
    if !eventually(Duration::from_secs(20), || open() <= 1).await {
        complain(format!("{} connections stay open", open()));
    }
    drop(upstream);
    if !eventually(Duration::from_secs(20), || open() == 0).await {
        complain(format!("{} connections outlive the upstream", open()));
    }
    (!wrong.is_empty()).then(|| format!("{}: {}", manner.what, wrong.join("; ")))
}

fn is_true(answer: &Answer) -> bool {
    answer.records == [revouch_validator::rr::RecordData::A("127.0.1.1".parse().unwrap())]
}

pub(super) async fn endure_all(manners: &[Manner], protocol: Protocol) {
    let scene = Scene::new().await;
    let mut tests = Vec::new();
    for everywhere in [false, true] {
        for manner in manners {
            tests.push(endure(Arc::clone(&scene.book), &scene, manner, protocol.clone(), everywhere));
        }
    }
    let wrong: Vec<String> = futures_util::future::join_all(tests).await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_datagram_hangs_us_or_costs_more_than_the_budget() {
    endure_all(&nonsense(), Protocol::Udp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_on_a_stream_hangs_us_or_costs_more_than_the_budget() {
    endure_all(&nonsense(), Protocol::Tcp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stream_hangs_us_or_stays_open() {
    endure_all(&streams(), Protocol::Tcp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stream_after_a_datagram_that_was_cut_hangs_us_or_stays_open() {
    endure_all(&streams(), Protocol::Udp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_nobody_do_not_hide_the_one_to_us() {
    let scene = Scene::new().await;
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        scene.attacker.plot(Arc::new(|asked, genuine| {
            let ours = asked.answer_with(&genuine);
            let mut other = ours.clone();
            other[0] = !other[0];
            Reply::Octets(vec![vec![1], other.clone(), other, ours.clone(), ours])
        }));
        let answer = ask(&scene.victim(protocol.clone()), "www.nsec.test", A).await;
        assert_eq!(told(&answer), "secure records", "{protocol:?}");
    }
}
