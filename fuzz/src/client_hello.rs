//! The octets of a handshake that are read or followed before the TLS library decides: a ClientHello however it is cut, and the records
//! that the gate watches.
//!
//! The first octets choose the cuts and whether the rest is what a peer sends or what is written to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use revouch_proxy::tls::fuzzing::{self, MAX_HELLO};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const HANDSHAKE: u8 = 22;
/// The random of a HelloRetryRequest (RFC 8446 section 4.1.3).
const HELLO_RETRY_REQUEST: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Reads or follows octets in pieces.
pub fn run(data: &[u8]) {
    let Some((&[choice, cut_a, cut_b], octets)) = data.split_first_chunk::<3>() else { return };
    let cuts = [usize::from(cut_a).max(1), usize::from(cut_b).max(1)];
    if choice & 1 == 0 {
        // More than is ever read, of something that is short enough to be found.
        let often = if choice & 4 == 0 { 1 } else { 1 + MAX_HELLO / octets.len().max(64) };
        read(&octets.repeat(often), cuts, choice & 2 != 0);
    } else {
        follow(octets, cuts);
    }
}

/// A peer that sends octets in pieces and then, perhaps, nothing more; what is written to it is kept.
struct Peer<'a> {
    octets: &'a [u8],
    cuts: [usize; 2],
    turn: usize,
    ends: bool,
    /// Between the pieces there is nothing to read once.
    ready: bool,
    read: usize,
    polls: usize,
    written: Vec<u8>,
}

impl<'a> Peer<'a> {
    fn new(octets: &'a [u8], cuts: [usize; 2], ends: bool) -> Self {
        Self { octets, cuts, turn: 0, ends, ready: true, read: 0, polls: 0, written: Vec::new() }
    }
}

impl AsyncRead for Peer<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.polls += 1;
        assert!(self.polls < 1_000_000, "a peer is read for ever");
        if self.octets.is_empty() {
            return if self.ends { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        self.ready = !self.ready;
        if self.ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = self.cuts[self.turn % 2].min(self.octets.len()).min(buf.remaining());
        self.turn += 1;
        let (now, later) = self.octets.split_at(piece);
        buf.put_slice(now);
        self.octets = later;
        self.read += piece;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What came of reading: the name, or the error; nothing if it waits for more.
type Read = Option<Result<Option<String>, String>>;

/// Reads to the end, and gives what was written back.
fn read_hello(octets: &[u8], cuts: [usize; 2], ends: bool) -> (Read, Vec<u8>) {
    let mut peer = Peer::new(octets, cuts, ends);
    let outcome = {
        let mut reading = Box::pin(fuzzing::hello(&mut peer));
        let mut context = Context::from_waker(Waker::noop());
        // The stream makes progress at every second poll.
        (0..2 * octets.len() + 8).find_map(|_| match reading.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => Some(outcome.map_err(|error| error.to_string())),
            Poll::Pending => None,
        })
    };
    assert!(peer.read <= MAX_HELLO, "{} octets were read", peer.read);
    assert!(peer.written.len() <= 64, "{:?} was written to a peer without a handshake", peer.written);
    (outcome, peer.written)
}

fn read(octets: &[u8], cuts: [usize; 2], ends: bool) {
    let pieces = read_hello(octets, cuts, ends);
    assert!(pieces.0.is_some() || !ends, "the end of the stream is not noticed");
    // The deadline ends those that wait; how the octets are cut must not matter to the others.
    assert_eq!(pieces, read_hello(octets, [usize::MAX; 2], ends), "in pieces and in one");
    if ends {
        return;
    }
    // What is enough stays enough, whatever follows.
    if let (Some(Ok(name)), _) = &pieces {
        let mut more = octets.to_vec();
        more.extend([0x17, 3, 3, 0, 1, 0]);
        assert_eq!(read_hello(&more, cuts, false).0, Some(Ok(name.clone())));
        assert!(name.as_ref().is_none_or(|name| name.len() <= 253 && name.is_ascii()), "{name:?}");
    }
}

/// The pieces in which the gate's watch sees the octets.
fn cut(octets: &[u8], cuts: [usize; 2]) -> Vec<&[u8]> {
    let (mut pieces, mut rest) = (Vec::new(), octets);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(cuts[pieces.len() % 2].min(rest.len()));
        pieces.push(now);
        rest = later;
    }
    pieces
}

fn follow(octets: &[u8], cuts: [usize; 2]) {
    let pieces = cut(octets, cuts);
    let seen = fuzzing::watch(pieces.iter().copied());
    assert_eq!(seen, fuzzing::watch([octets]), "in pieces and in one");
    let model = answerable(octets);
    assert_eq!(seen.0, model, "a record that the peer can answer");
    // The gate remembers what a record once looked like: it may hold more, never less.
    assert!(is_held(&pieces) || !model, "the peer is read before its evidence is there");
    assert!(!is_held(&pieces) || octets_of_handshake(octets));
}

/// The records of a stream by their types and bodies, the last perhaps cut short.
fn records(mut octets: &[u8]) -> Vec<(u8, &[u8], bool)> {
    let mut found = Vec::new();
    while let Some((kind, rest)) = octets.split_first() {
        let Some((&[_, _, high, low], body)) = rest.split_first_chunk::<4>() else {
            found.push((*kind, &[][..], false));
            break;
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (body, behind) = body.split_at(length.min(body.len()));
        found.push((*kind, body, body.len() == length));
        octets = behind;
    }
    found
}

fn octets_of_handshake(octets: &[u8]) -> bool {
    records(octets).iter().any(|(kind, ..)| *kind == HANDSHAKE)
}

/// A handshake record that is not a HelloRetryRequest, as far as it is there.
fn answerable(octets: &[u8]) -> bool {
    records(octets).iter().any(|(kind, body, _)| {
        // Type, length and version of the message stand before its random.
        *kind == HANDSHAKE && body.get(6..38) != Some(&HELLO_RETRY_REQUEST)
    })
}

/// Whether a read waits after the pieces were written, while the evidence is not there.
fn is_held(pieces: &[&[u8]]) -> bool {
    let mut peer = Peer::new(b"Certificate", [usize::MAX; 2], true);
    peer.ready = true;
    let mut context = Context::from_waker(Waker::noop());
    let mut stream = fuzzing::gated(&mut peer, std::future::pending());
    for piece in pieces {
        assert!(matches!(Pin::new(&mut stream).poll_write(&mut context, piece), Poll::Ready(Ok(_))));
    }
    let mut room = [0; 16];
    let mut buf = ReadBuf::new(&mut room);
    let held = Pin::new(&mut stream).poll_read(&mut context, &mut buf).is_pending();
    assert_eq!(held, buf.filled().is_empty());
    held
}
