//! Over pipes in memory; with TLS and real sockets: `tests/inbound`.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, DuplexStream, duplex, split};

use super::course::{SMALLEST, size_for};
use super::*;
use crate::events::{CacheResult, ConnectionEnd};

struct Deaf;

impl Observer for Deaf {
    fn opened(&self, _: &str) {}
    fn evidence(&self, _: &revouch_validator::evidence::Evidence, _: Duration) {}
    fn path_cache(&self, _: CacheResult) {}
    fn bytes(&self, _: Direction, _: u64) {}
    fn lingering(&self, _: bool) {}
    fn accept_failed(&self, _: bool) {}
    fn ended(&self, _: &ConnectionEnd) {}
}

/// A running relay: the peer's end, the upstream's end, what it counts, and how it will end.
fn relaying(idle: Duration) -> (DuplexStream, DuplexStream, Arc<Moved>, tokio::task::JoinHandle<Close>) {
    let (peer, near_peer) = duplex(3000);
    let (upstream, near_upstream) = duplex(3000);
    let moved = Arc::new(Moved::default());
    let counted = Arc::clone(&moved);
    let task = tokio::spawn(async move {
        let relay = Relay {
            idle,
            moved: &counted,
            observer: &Deaf,
            started: Instant::now(),
            last: AtomicU64::new(0),
        };
        relay.run(split(near_peer), split(near_upstream)).await.close()
    });
    (peer, upstream, moved, task)
}

async fn rest_of(stream: &mut DuplexStream) -> Vec<u8> {
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).await.unwrap();
    octets
}

#[tokio::test]
async fn the_upstream_may_answer_after_the_peer_has_said_all() {
    let (mut peer, mut upstream, moved, task) = relaying(Duration::from_secs(60));
    peer.write_all(b"question").await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!(rest_of(&mut upstream).await, b"question");
    upstream.write_all(b"answer").await.unwrap();
    upstream.shutdown().await.unwrap();
    assert_eq!(rest_of(&mut peer).await, b"answer");
    assert_eq!(task.await.unwrap(), Close::Finished);
    assert_eq!((moved.inbound(), moved.outbound()), (8, 6));
}

#[tokio::test]
async fn the_peer_may_go_on_after_the_upstream_has_said_all() {
    let (mut peer, mut upstream, _, task) = relaying(Duration::from_secs(60));
    upstream.shutdown().await.unwrap();
    assert_eq!(rest_of(&mut peer).await, b"");
    peer.write_all(b"still here").await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!(rest_of(&mut upstream).await, b"still here");
    assert_eq!(task.await.unwrap(), Close::Finished);
}

#[tokio::test]
async fn bulk_goes_both_ways_at_once_unchanged_through_all_buffer_sizes() {
    const SIZE: u32 = 12 * 1024 * 1024;
    let (peer, upstream, moved, task) = relaying(Duration::from_secs(60));
    let pattern = |seed: u32| -> Vec<u8> {
        (0..SIZE / 4).flat_map(|n| n.wrapping_mul(2_654_435_761).wrapping_add(seed).to_le_bytes()).collect()
    };
    let both = |stream: DuplexStream, sent: Vec<u8>, expected: Vec<u8>| async move {
        let (mut from, mut to) = split(stream);
        let send = async {
            to.write_all(&sent).await.unwrap();
            to.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let (_, received) = tokio::join!(send, from.read_to_end(&mut got));
        received.unwrap();
        assert!(got == expected);
    };
    tokio::join!(both(peer, pattern(1), pattern(2)), both(upstream, pattern(2), pattern(1)));
    assert_eq!(task.await.unwrap(), Close::Finished);
    assert_eq!((moved.inbound(), moved.outbound()), (u64::from(SIZE), u64::from(SIZE)));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_once_nothing_was_moved_for_long_enough() {
    let (mut peer, mut upstream, _, task) = relaying(Duration::from_secs(60));
    let started = Instant::now();
    tokio::time::sleep(Duration::from_secs(59)).await;
    peer.write_all(b"x").await.unwrap();
    let mut octet = [0];
    upstream.read_exact(&mut octet).await.unwrap();
    assert_eq!(task.await.unwrap(), Close::Idle);
    assert_eq!(started.elapsed().as_secs(), 119);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_takes_nothing_is_idle() {
    let (mut peer, _upstream, _, task) = relaying(Duration::from_secs(60));
    let sending = tokio::spawn(async move { peer.write_all(&vec![0; 1024 * 1024]).await });
    assert_eq!(task.await.unwrap(), Close::Idle);
    assert!(sending.await.unwrap().is_err());
}

/// A source that never has anything to say.
struct Silent;

impl AsyncRead for Silent {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Pending
    }
}

/// A source with these octets and then this error, and a sink that fails.
fn broken(said: &'static [u8], kind: io::ErrorKind) -> impl AsyncRead + Unpin {
    struct Failing(io::ErrorKind);
    impl AsyncRead for Failing {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Err(self.0.into()))
        }
    }
    said.chain(Failing(kind))
}

async fn ends(
    peer: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    upstream: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
) -> Ends {
    let moved = Moved::default();
    let idle = Duration::from_secs(60);
    let relay =
        Relay { idle, moved: &moved, observer: &Deaf, started: Instant::now(), last: AtomicU64::new(0) };
    relay.run(peer, upstream).await
}

#[tokio::test]
async fn a_side_that_breaks_off_ends_both_directions_after_what_it_said() {
    let mut got = Vec::new();
    let kind = io::ErrorKind::UnexpectedEof;
    let ends_of_peer = ends((broken(b"half a", kind), tokio::io::sink()), (Silent, &mut got)).await;
    assert_eq!(ends_of_peer.close(), Close::PeerAborted);
    assert_eq!(ends_of_peer.detail().as_deref(), Some("the connection ended without close_notify"));
    assert_eq!(got, b"half a");
    let mut got = Vec::new();
    let kind = io::ErrorKind::ConnectionReset;
    let ends_of_upstream = ends((Silent, &mut got), (broken(b"half an", kind), tokio::io::sink())).await;
    assert_eq!(ends_of_upstream.close(), Close::UpstreamAborted);
    assert_eq!(got, b"half an");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_upstream_stops_listening_reaches_the_peer() {
    let (gone, closed) = duplex(1);
    drop(gone);
    let mut got = Vec::new();
    let ends = ends((&b"a long question"[..], &mut got), (&b"too long"[..], closed)).await;
    assert!(matches!(ends.inbound, Some(End::Writing)), "{ends:?}");
    assert_eq!(ends.close(), Close::Finished);
    assert_eq!(got, b"too long");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_gone_does_not_hold_an_upstream_that_waits_for_it_to_listen() {
    // An echo that takes nothing before what it says is taken.
    let (stuck, _upstream) = duplex(1);
    let (gone, closed) = duplex(1);
    drop(gone);
    let started = Instant::now();
    let ends = ends((&b"what it said before it went"[..], closed), (&b"an answer"[..], stuck)).await;
    assert!(matches!(ends, Ends { inbound: None, outbound: Some(End::Writing) }), "{ends:?}");
    assert_eq!(ends.close(), Close::PeerAborted);
    assert_eq!(started.elapsed(), LAST_WORDS);
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_said_before_it_went_reaches_an_upstream_that_takes_it_slowly() {
    let (near, mut upstream) = duplex(1);
    let (gone, closed) = duplex(1);
    drop(gone);
    let taking = tokio::spawn(async move {
        let mut got = Vec::new();
        while got.len() < 6 * SMALLEST {
            // Each time it takes what was read at once.
            tokio::time::sleep(LAST_WORDS - Duration::from_secs(1)).await;
            let mut some = vec![0; SMALLEST];
            upstream.read_exact(&mut some).await.unwrap();
            got.extend(some);
        }
        upstream.shutdown().await.unwrap();
        got
    });
    let said = [7; 6 * SMALLEST];
    let ends = ends((&said[..], closed), (&b"an answer"[..], near)).await;
    assert_eq!(ends.close(), Close::Finished, "{ends:?}");
    assert_eq!(taking.await.unwrap(), said);
}

#[tokio::test]
async fn a_rule_of_tls_that_is_broken_is_told_apart_from_a_peer_that_is_gone() {
    let error = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
    assert_eq!(peer_failure(&error), Close::PeerProtocol);
    assert_eq!(peer_failure(&io::ErrorKind::ConnectionReset.into()), Close::PeerAborted);
}

#[test]
fn buffers_grow_with_what_was_moved() {
    assert_eq!(size_for(0), 4 * 1024);
    assert_eq!(size_for(128 * 1024), 16 * 1024);
    assert_eq!(size_for(u64::MAX), 256 * 1024);
}
