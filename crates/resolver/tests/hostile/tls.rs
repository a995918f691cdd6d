//! What a server can do over TLS and HTTPS: everything that it can over UDP and TCP, and all that lies between.

use h2::Reason;
use hickory_proto::op::Message;

use super::attacker::Stream;
use super::secured::{Door, Http, Inside, impostors};
use super::wire::{Manner, endure_all, manner, noise, nonsense, reception, streams};
use super::*;

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

/// What can be done instead of a handshake, and behind one instead of an answer.
fn receptions(over: Inside) -> Vec<Manner> {
    let raw = [
        ("closed", Stream::Close),
        ("silence", Stream::RawThenSilence(vec![])),
        ("one octet", Stream::RawThenSilence(vec![22])),
        ("one octet and closed", Stream::RawThenClose(vec![22])),
        ("half of a record", Stream::RawThenSilence(vec![22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3, 7, 7])),
        ("an alert", Stream::RawThenSilence(vec![21, 3, 3, 0, 2, 2, 40])),
        ("a warning", Stream::RawThenSilence(vec![21, 3, 3, 0, 2, 1, 0])),
        ("noise", Stream::RawThenSilence(noise(5000))),
        ("a message that is too long", Stream::RawThenSilence([&[255, 255][..], &[0; 65_536]].concat())),
        ("half of a message", Stream::RawThenClose([&[1, 0][..], &[0; 200]].concat())),
        ("HTTP/1.1", Stream::RawThenSilence(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec())),
        ("octet by octet", Stream::Dribble),
        ("noise for ever", Stream::Flood(noise(16_000))),
    ];
    let outside = raw.clone().map(|(what, trick)| reception(what, Door::Outside(trick)));
    let inside = raw.map(|(what, trick)| reception(what, Door::Inside(trick)));
    let others = impostors(over).into_iter().map(|(what, door)| reception(what, door));
    outside.into_iter().chain(inside).chain(others).collect()
}

/// HTTP/2 by hand, as no server library would speak it.
fn frames() -> Vec<Manner> {
    let settings = frame(SETTINGS, 0, 0, &[]);
    let after = |more: Vec<u8>| [settings.clone(), more].concat();
    let all = [
        ("SETTINGS", settings.clone()),
        ("no room to send", after(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]))),
        ("no stream allowed", after(frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 0]))),
        ("a frame of 16 MiB", after([&[255, 255, 255][..], &[DATA, 0, 0, 0, 0, 1], &[0; 3000]].concat())),
        ("data for no stream", after(frame(DATA, 0, 9, &[0; 100]))),
        ("data before headers", after(frame(DATA, 1, 1, &[0; 100]))),
        ("headers that cannot be unpacked", after(frame(HEADERS, 4, 1, &[255; 100]))),
        ("GOAWAY", after(frame(GOAWAY, 0, 0, &[0; 8]))),
        ("GOAWAY with an error", after(frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11]))),
        (
            "headers without end",
            after(
                std::iter::once(frame(HEADERS, 0, 1, &[0x88]))
                    .chain(std::iter::repeat_n(frame(CONTINUATION, 0, 1, &[0x88; 16_000]), 20))
                    .flatten()
                    .collect(),
            ),
        ),
        ("ten thousand pings", after(frame(PING, 0, 0, &[0; 8]).repeat(10_000))),
        ("ten thousand settings", settings.repeat(10_000)),
        ("ten thousand empty frames", after(frame(DATA, 0, 1, &[]).repeat(10_000))),
    ];
    let silent =
        all.clone().map(|(what, octets)| reception(what, Door::Inside(Stream::RawThenSilence(octets))));
    let closed = all.map(|(what, octets)| reception(what, Door::Inside(Stream::RawThenClose(octets))));
    silent.into_iter().chain(closed).collect()
}

/// Answers over HTTP that are none, or not whole, or never end.
fn responses() -> Vec<Manner> {
    let codes = [300, 304, 400, 401, 403, 404, 405, 413, 415, 429, 500, 502, 503, 504];
    let statuses = codes.map(|code| ("a status", Http::Status(code)));
    let redirects = [301, 302, 303, 307, 308].map(|code| ("a redirection", Http::Redirect(code)));
    let others = [
        ("text", Http::Type("text/html")),
        ("the type of JSON", Http::Type("application/dns-json")),
        ("no type", Http::Type("")),
        ("a length that is too small", Http::Length(1)),
        ("a length that is too large", Http::Length(60_000)),
        ("a length without sense", Http::Length(usize::MAX)),
        ("no body yet", Http::Headless),
        ("no body", Http::Empty),
        ("half of a body", Http::Half),
        ("half of a body and closed", Http::HalfThenClose),
        ("half of a body and reset", Http::HalfThenReset),
        ("reset", Http::Reset(Reason::CANCEL)),
        ("refused stream", Http::Reset(Reason::REFUSED_STREAM)),
        ("HTTP/1.1 wanted", Http::Reset(Reason::HTTP_1_1_REQUIRED)),
        ("no more streams", Http::GoAway(Reason::NO_ERROR)),
        ("given up", Http::GoAway(Reason::ENHANCE_YOUR_CALM)),
        ("octet by octet", Http::Dribble),
        ("a body without end", Http::Endless),
    ];
    // Odd, and whole: RFC 8484 section 4.2.1 wants a status of success, and no particular one.
    let odd = [
        ("no content, but a body", Http::Status(204)),
        ("a part that is all", Http::Status(206)),
        ("a header of 10,000 octets", Http::Header(10_000)),
        ("a header of 100,000 octets", Http::Header(100_000)),
    ];
    let made = |(what, trick): (&'static str, Http)| {
        manner(what, move |_, genuine| Reply::Http(trick.clone(), Box::new(genuine)))
    };
    let none = statuses.into_iter().chain(redirects).chain(others).map(|trick| made(trick).that_is_none());
    none.chain(odd.map(made)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_over_tls_hangs_us_or_costs_more_than_the_budget() {
    endure_all(&nonsense(), Inside::Dot.protocol()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stream_over_tls_hangs_us_or_stays_open() {
    endure_all(&streams(), Inside::Dot.protocol()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handshake_hangs_us_or_stays_open() {
    endure_all(&receptions(Inside::Dot), Inside::Dot.protocol()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_over_https_hangs_us_or_costs_more_than_the_budget() {
    endure_all(&nonsense(), Inside::Doh.protocol()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handshake_for_https_hangs_us_or_stays_open() {
    endure_all(&receptions(Inside::Doh), Inside::Doh.protocol()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_response_of_http_hangs_us_or_stays_open() {
    endure_all(&responses(), Inside::Doh.protocol()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_frame_of_http_hangs_us_or_stays_open() {
    endure_all(&frames(), Inside::Doh.protocol()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_stalls_leaves_time_for_the_next_server() {
    let scene = Scene::new().await;
    scene.attacker.door(Door::Outside(Stream::RawThenSilence(vec![22])));
    let second = scene.second().await;
    for over in [Inside::Dot, Inside::Doh] {
        let servers = [&scene.attacker, &second].map(|attacker| attacker.server(over.protocol()));
        let config = UpstreamConfig { timeout: Duration::from_millis(400), ..scene.config(servers.to_vec()) };
        let upstream = Upstream::new(config, clock()).unwrap();
        // The library lets a handshake take five seconds.
        let until = Instant::now() + Duration::from_secs(4);
        let said = upstream.ask(&name("www.nsec.test"), RrType::A, &QueryBudget::new(BUDGET), until).await;
        assert_eq!(told(&said), "secure records", "{over:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_questions_whose_answers_are_exchanged_have_none() {
    let scene = Scene::new().await;
    for protocol in [Protocol::Tcp, Inside::Dot.protocol()] {
        let first: std::sync::Mutex<Option<(Asked, Message)>> = std::sync::Mutex::default();
        scene.attacker.plot(Arc::new(move |asked, genuine| {
            let Some((other, theirs)) = first.lock().unwrap().take() else {
                *first.lock().unwrap() = Some((asked.clone(), genuine));
                return Reply::Silence;
            };
            let mut exchanged = [asked.answer_with(&genuine), other.answer_with(&theirs)];
            let [one, two] = &mut exchanged;
            one[..2].swap_with_slice(&mut two[..2]);
            Reply::Octets(exchanged.into())
        }));
        // Nothing but the question tells them apart: nobody looks at signatures.
        let config = UpstreamConfig {
            validation: Validation::Unchecked,
            ..scene.config(vec![scene.attacker.server(protocol.clone())])
        };
        let upstream = Upstream::new(config, clock()).unwrap();
        let asked = ["www", "mail"].map(|host| format!("{host}.unsigned.test"));
        let (www, mail) =
            tokio::join!(ask(&upstream, &asked[0], RecordType::A), ask(&upstream, &asked[1], RecordType::A));
        assert_eq!([www, mail], [Err(DnsFailure::ServFail), Err(DnsFailure::ServFail)], "{protocol:?}");
    }
}
