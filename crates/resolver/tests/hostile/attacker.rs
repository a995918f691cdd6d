//! Somebody on the way to the resolver: answers over UDP and TCP on one port, and over TLS and HTTPS on ports of their own, with what a plot
//! makes of the genuine answer.
//!
//! It counts every question that arrives and knows how many connections are open, so that tests can hold us to our bounds.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Query};
use revouch_testbed::eventually;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use super::secured::{Door, Http, Inside, receive};
use super::*;

/// How late [`Reply::Late`] is: long enough for others to join, and shorter than any wait.
const LATE: Duration = Duration::from_millis(200);

/// A question as it came.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) request: Message,
    pub(super) over_tcp: bool,
}

impl Asked {
    pub(super) fn query(&self) -> &Query {
        &self.request.queries[0]
    }

    pub(super) fn is(&self, owner: &str, rr_type: RecordType) -> bool {
        *self.query().name() == wire_name(owner) && self.query().query_type() == rr_type
    }

    /// The octets of a message as the answer to this question, whatever it holds.
    pub(super) fn answer_with(&self, message: &Message) -> Vec<u8> {
        let mut answer = message.clone();
        answer.metadata.id = self.request.metadata.id;
        answer.metadata.message_type = MessageType::Response;
        answer.metadata.recursion_desired = true;
        answer.metadata.recursion_available = true;
        answer.queries.clone_from(&self.request.queries);
        answer.to_vec().unwrap()
    }

    /// As [`answer_with`](Self::answer_with), cut where a datagram is too small.
    pub(super) fn fitting(&self, message: &Message) -> Vec<u8> {
        let octets = self.answer_with(message);
        let limit = usize::from(self.request.max_payload().max(512));
        if self.over_tcp || octets.len() <= limit {
            return octets;
        }
        self.cut()
    }

    /// No records, TC set.
    pub(super) fn cut(&self) -> Vec<u8> {
        let mut empty = Message::response(0, hickory_proto::op::OpCode::Query);
        empty.metadata.truncation = true;
        self.answer_with(&empty)
    }
}

/// What goes back.
pub(super) enum Reply {
    /// A message, made to fit the question and the transport.
    Message(Box<Message>),
    /// These octets, as they are; over TCP behind their length.
    Octets(Vec<Vec<u8>>),
    /// A message, a fifth of a second later.
    Late(Box<Message>),
    /// Nothing. A connection stays open.
    Silence,
    /// Something that only a stream can do; over UDP an answer that is cut, over HTTPS the end of the connection.
    Stream(Stream),
    /// Something that only HTTP can do to this message; elsewhere nothing.
    Http(Http, Box<Message>),
}

/// What can be done to a stream.
#[derive(Clone, Debug)]
pub(super) enum Stream {
    /// Closed at once.
    Close,
    /// These octets, unframed, then closed.
    RawThenClose(Vec<u8>),
    /// These octets, unframed, and then nothing more.
    RawThenSilence(Vec<u8>),
    /// One octet of a message whose length says 65,535 every few milliseconds, as long as anyone listens.
    Dribble,
    /// The same framed message without end.
    Flood(Vec<u8>),
}

/// Makes the reply to a question out of the genuine answer.
pub(super) type Plot = Arc<dyn Fn(&Asked, Message) -> Reply + Send + Sync>;

/// What was seen so far.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) datagrams: AtomicU64,
    pub(super) stream_questions: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) open: AtomicU64,
    pub(super) asked: Mutex<Vec<String>>,
}

impl Seen {
    /// Questions over all transports.
    pub(super) fn questions(&self) -> u64 {
        self.datagrams.load(Ordering::SeqCst) + self.stream_questions.load(Ordering::SeqCst)
    }

    fn note(&self, asked: &Asked) {
        let counter = if asked.over_tcp { &self.stream_questions } else { &self.datagrams };
        counter.fetch_add(1, Ordering::SeqCst);
        let query = asked.query();
        let text = format!("{} {}", query.name().to_lowercase(), query.query_type());
        self.asked.lock().unwrap().push(text);
    }

    /// How often this name and type was asked for.
    pub(super) fn count(&self, owner: &str, rr_type: RecordType) -> usize {
        let wanted = format!("{} {rr_type}", wire_name(owner));
        self.asked.lock().unwrap().iter().filter(|asked| **asked == wanted).count()
    }
}

/// A running attacker. It ends when dropped.
pub(super) struct Attacker {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<Seen>,
    desk: Arc<Desk>,
    /// Of DoT and DoH.
    secured: [SocketAddr; 2],
    tasks: JoinSet<()>,
}

/// What all transports share.
pub(super) struct Desk {
    book: Arc<Book>,
    plot: RwLock<Plot>,
    door: RwLock<Door>,
    seen: Arc<Seen>,
}

impl Attacker {
    /// Stands before what `book` reads from; honest until told otherwise.
    pub(super) async fn start(book: Arc<Book>) -> Self {
        Self::start_at(book, "127.0.0.1:0".parse().unwrap()).await
    }

    /// As [`start`](Self::start), at this address. Its sockets may take a moment to become free.
    pub(super) async fn start_at(book: Arc<Book>, address: SocketAddr) -> Self {
        let (tcp, udp) = loop {
            if let Ok(tcp) = TcpListener::bind(address).await
                && let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await
            {
                break (tcp, udp);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let address = tcp.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let (plot, door) = (RwLock::new(honest()), RwLock::default());
        let desk = Arc::new(Desk { book, plot, door, seen: Arc::clone(&seen) });
        let mut tasks = JoinSet::new();
        tasks.spawn(datagrams(udp, Arc::clone(&desk)));
        tasks.spawn(connections(tcp, None, Arc::clone(&desk)));
        let mut secured = [address; 2];
        for (place, inside) in secured.iter_mut().zip([Inside::Dot, Inside::Doh]) {
            let listener = TcpListener::bind((address.ip(), 0)).await.unwrap();
            *place = listener.local_addr().unwrap();
            tasks.spawn(connections(listener, Some(inside), Arc::clone(&desk)));
        }
        Self { address, seen, desk, secured, tasks }
    }

    /// Ends, with every socket.
    pub(super) async fn die(mut self) {
        self.tasks.shutdown().await;
        assert!(eventually(Duration::from_secs(10), || self.seen.open.load(Ordering::SeqCst) == 0).await);
    }

    /// From now on.
    pub(super) fn plot(&self, plot: Plot) {
        *self.desk.plot.write().unwrap() = plot;
    }

    /// How connections over TLS and HTTPS are received from now on.
    pub(super) fn door(&self, door: Door) {
        *self.desk.door.write().unwrap() = door;
    }

    pub(super) fn server(&self, protocol: Protocol) -> Server {
        let [dot, doh] = self.secured;
        let address = match protocol {
            Protocol::Udp | Protocol::Tcp => self.address,
            Protocol::Tls { .. } => dot,
            Protocol::Https { .. } => doh,
        };
        Server { address, protocol }
    }
}

/// Changes nothing.
pub(super) fn honest() -> Plot {
    Arc::new(|_, genuine| Reply::Message(Box::new(genuine)))
}

impl Desk {
    pub(super) async fn reply(&self, octets: &[u8], over_tcp: bool) -> Option<(Asked, Reply)> {
        let request = Message::from_vec(octets).ok()?;
        let asked = Asked { request, over_tcp };
        self.seen.note(&asked);
        let genuine = self.book.look_up(asked.query().name(), asked.query().query_type()).await;
        let plot = Arc::clone(&self.plot.read().unwrap());
        let reply = match plot(&asked, genuine) {
            Reply::Late(message) => {
                tokio::time::sleep(LATE).await;
                Reply::Message(message)
            }
            reply => reply,
        };
        Some((asked, reply))
    }
}

async fn datagrams(socket: UdpSocket, desk: Arc<Desk>) {
    let socket = Arc::new(socket);
    let mut tasks = JoinSet::new();
    let mut buffer = [0; 4096];
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let (octets, desk, socket) = (buffer[..length].to_vec(), Arc::clone(&desk), Arc::clone(&socket));
        tasks.spawn(async move {
            let Some((asked, reply)) = desk.reply(&octets, false).await else { return };
            let all = match reply {
                Reply::Message(message) | Reply::Late(message) => vec![asked.fitting(&message)],
                Reply::Octets(all) => all,
                Reply::Silence | Reply::Http(..) => vec![],
                Reply::Stream(_) => vec![asked.cut()],
            };
            for octets in all {
                // Who has gone away does not want it.
                let _ = socket.send_to(&octets, from).await;
            }
        });
    }
}

async fn connections(listener: TcpListener, inside: Option<Inside>, desk: Arc<Desk>) {
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { continue };
        desk.seen.connections.fetch_add(1, Ordering::SeqCst);
        let (desk, open) = (Arc::clone(&desk), Open::new(&desk.seen));
        tasks.spawn(async move {
            let door = desk.door.read().unwrap().clone();
            let _ = match inside {
                None => serve(stream, &desk).await,
                Some(inside) => receive(stream, inside, door, &desk).await,
            };
            drop(open);
        });
    }
}

/// A connection that counts as open.
struct Open(Arc<Seen>);

impl Open {
    fn new(seen: &Arc<Seen>) -> Self {
        seen.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(seen))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    desk: &Desk,
) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut octets = vec![0; usize::from(length)];
        stream.read_exact(&mut octets).await?;
        let Some((asked, reply)) = desk.reply(&octets, true).await else { continue };
        match reply {
            Reply::Message(message) | Reply::Late(message) => {
                stream.write_all(&framed(&asked.fitting(&message))).await?;
                stream.flush().await?;
            }
            Reply::Octets(all) => {
                for octets in all {
                    stream.write_all(&framed(&octets)).await?;
                }
                stream.flush().await?;
            }
            Reply::Silence | Reply::Http(..) => {}
            Reply::Stream(trick) => {
                play(&mut stream, trick).await?;
                return Ok(());
            }
        }
    }
}

pub(super) async fn play(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    trick: Stream,
) -> std::io::Result<()> {
    match trick {
        Stream::Close => Ok(()),
        Stream::RawThenClose(octets) => {
            stream.write_all(&octets).await?;
            stream.flush().await
        }
        Stream::RawThenSilence(octets) => {
            stream.write_all(&octets).await?;
            stream.flush().await?;
            until_closed(stream).await
        }
        Stream::Dribble => {
            stream.write_all(&[255, 255]).await?;
            loop {
                stream.write_all(&[0]).await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        Stream::Flood(message) => {
            let message = framed(&message);
            loop {
                stream.write_all(&message).await?;
                stream.flush().await?;
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Waits until the other side has closed.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<()> {
    let mut ignored = [0; 512];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

/// A message behind its length (RFC 1035 section 4.2.2).
pub(super) fn framed(octets: &[u8]) -> Vec<u8> {
    let mut all = u16::try_from(octets.len()).unwrap().to_be_bytes().to_vec();
    all.extend(octets);
    all
}
