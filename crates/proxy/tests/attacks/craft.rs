//! A peer in whose handshake everything can be changed: a TLS library makes the messages, the test sends what it likes of them, and the keys
//! are in its hands.

use std::collections::HashMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use revouch_lab::Identity;
use revouch_testbed::Peer;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Error, KeyLog};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::seal::{Epoch, HANDSHAKE, Tls12Keys, messages, record, records};
use crate::stage::{PATIENCE, SOURCE, Stage};

/// The two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Tls12,
    Tls13,
}

pub const BOTH: [Version; 2] = [Version::Tls13, Version::Tls12];

/// A peer that is being made. Nothing is sent but what the test sends.
pub struct Crafted {
    pub stream: TcpStream,
    pub tls: ClientConnection,
    secrets: Arc<Secrets>,
    /// Every octet of the ClientHello as the library made it.
    hello: Vec<u8>,
    /// Every octet that has come of the handshake.
    received: Vec<u8>,
    /// Application data that has come and was not asked for yet.
    heard: Vec<u8>,
}

/// How the acceptor ended the connection.
#[derive(Debug)]
pub struct End {
    /// The alert, if there was one.
    pub alert: Option<u8>,
    /// Application data that came before, and was not taken yet.
    pub data: Vec<u8>,
    /// The acceptor said that it had said all.
    pub properly: bool,
    /// The connection was reset, not closed.
    pub reset: bool,
}

/// The one suite that the tests can protect records for, in TLS 1.2 its like; and one group, for short messages.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
            aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    }
}

/// What a peer with this certificate makes its handshake with.
pub fn config(identity: Option<&Identity>, version: Version) -> ClientConfig {
    let peer = Peer::from(SOURCE).provider(provider()).server_name("acceptor.example.test");
    let peer = identity.map_or(peer.clone(), |identity| peer.identity(identity));
    let peer = if version == Version::Tls12 { peer.tls12() } else { peer.tls13() };
    peer.config().unwrap()
}

impl Crafted {
    /// Connects from [`SOURCE`], and has its ClientHello at hand.
    pub async fn connect(stage: &Stage, identity: Option<&Identity>, version: Version) -> Self {
        Self::with(stage.listener, config(identity, version)).await
    }

    /// The same with another configuration.
    pub async fn with(acceptor: SocketAddr, mut config: ClientConfig) -> Self {
        let secrets = Arc::new(Secrets::default());
        config.key_log = Arc::clone(&secrets) as Arc<dyn KeyLog>;
        let name = ServerName::try_from("acceptor.example.test").unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = Peer::from(SOURCE).connect_tcp(acceptor).await.unwrap();
        let mut crafted =
            Self { stream, tls, secrets, hello: Vec::new(), received: Vec::new(), heard: Vec::new() };
        crafted.hello = crafted.take();
        crafted
    }

    /// The ClientHello's record.
    pub fn hello(&self) -> Vec<u8> {
        self.hello.clone()
    }

    /// What the library wants to send.
    pub fn take(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut octets).unwrap();
        }
        octets
    }

    /// Sends octets; that the acceptor takes no more shows in how it ends.
    pub async fn send(&mut self, octets: &[u8]) {
        let _ = timeout(PATIENCE, self.stream.write_all(octets)).await.expect("the acceptor takes nothing");
    }

    /// Reads the acceptor's flight and gives the peer's answer, unsent.
    pub async fn answer(&mut self) -> Vec<u8> {
        while !self.tls.wants_write() {
            assert!(self.read().await.unwrap() > 0, "closed in the handshake");
        }
        self.take()
    }

    /// Both flights as the library makes them.
    pub async fn handshake(&mut self) {
        let hello = self.hello();
        self.send(&hello).await;
        let answer = self.answer().await;
        self.send(&answer).await;
        self.finish().await;
    }

    /// Waits for the acceptor's last words in the handshake: in TLS 1.2 there are some.
    pub async fn finish(&mut self) {
        while self.tls.is_handshaking() {
            assert!(self.read().await.unwrap() > 0, "closed in the handshake");
        }
    }

    /// The keys for application data to the acceptor. Who uses them must not send by the library.
    pub fn traffic(&self) -> Epoch {
        Epoch::new(&self.secrets.get("CLIENT_TRAFFIC_SECRET_0"))
    }

    /// The same in TLS 1.2, for what comes behind Finished.
    pub fn tls12_traffic(&self) -> Tls12Keys {
        // Record and message headers and the version stand before the random, in either's first message.
        let random = |octets: &[u8]| octets[11..43].to_vec();
        Tls12Keys::new(&self.secrets.get("CLIENT_RANDOM"), &random(&self.hello), &random(&self.received))
    }

    /// Sends by the library.
    pub async fn say(&mut self, data: &[u8]) {
        use std::io::Write as _;
        self.tls.writer().write_all(data).unwrap();
        let octets = self.take();
        self.send(&octets).await;
    }

    /// Waits for so many octets of application data.
    pub async fn hear(&mut self, length: usize) -> Vec<u8> {
        while self.heard.len() < length {
            let read = self.read().await;
            assert!(matches!(read, Ok(1..)), "{read:?} after {} octets of {length}", self.heard.len());
        }
        std::mem::take(&mut self.heard)
    }

    /// Says and hears the same, while both are on their way.
    pub async fn echo(&mut self, data: &[u8]) {
        self.finish().await;
        self.say(data).await;
        assert!(self.hear(data.len()).await == data, "something else came back");
    }

    /// Reads until the acceptor has closed the connection, and closes it too: the acceptor waits for that, for a moment.
    pub async fn end(mut self) -> End {
        let mut end = End { alert: None, data: Vec::new(), properly: false, reset: false };
        loop {
            match self.read().await {
                Ok(0) => break,
                Ok(_) => {}
                Err(Some(Error::AlertReceived(alert))) => end.alert = Some(u8::from(alert)),
                // What cannot be read any more.
                Err(Some(_)) => {}
                Err(None) => {
                    end.reset = true;
                    break;
                }
            }
        }
        end.data = self.heard;
        end.properly = matches!(self.tls.reader().read(&mut [0]), Ok(0));
        end
    }

    /// The second flight of TLS 1.3, taken apart.
    pub fn open(&self, flight: &[u8]) -> Flight {
        let keys = |label| Epoch::new(&self.secrets.get(label));
        let mut transcript = self.hello[5..].to_vec();
        let mut theirs = keys("SERVER_HANDSHAKE_TRAFFIC_SECRET");
        for record in records(&self.received) {
            match record[0] {
                HANDSHAKE => transcript.extend(&record[5..]),
                23 => transcript.extend(theirs.open(&record).1),
                _ => {}
            }
        }
        let mut own = keys("CLIENT_HANDSHAKE_TRAFFIC_SECRET");
        let protected = records(flight).into_iter().filter(|record| record[0] == 23);
        let plain: Vec<u8> = protected.flat_map(|record| own.open(&record).1).collect();
        Flight { messages: messages(&plain), transcript, keys: keys("CLIENT_HANDSHAKE_TRAFFIC_SECRET") }
    }

    /// One read; 0 at the end. `Err(None)` is trouble with the connection itself.
    async fn read(&mut self) -> Result<usize, Option<Error>> {
        let mut buffer = vec![0; 16 * 1024];
        let read = timeout(PATIENCE, self.stream.read(&mut buffer)).await.expect("the acceptor says nothing");
        let Ok(count) = read else { return Err(None) };
        let mut rest = &buffer[..count];
        if self.tls.is_handshaking() {
            self.received.extend(rest);
        }
        while !rest.is_empty() {
            // Behind an error it takes nothing more, and gives the same error again.
            if self.tls.read_tls(&mut rest).is_err() {
                break;
            }
            let processed = self.tls.process_new_packets();
            // Until there is nothing more for now, or at all.
            let _ = self.tls.reader().read_to_end(&mut self.heard);
            processed.map_err(Some)?;
        }
        Ok(count)
    }
}

/// The second flight of TLS 1.3: its messages, without protection.
pub struct Flight {
    pub messages: Vec<Vec<u8>>,
    pub keys: Epoch,
    transcript: Vec<u8>,
}

impl Flight {
    /// The message of this type.
    pub fn message(&self, message_type: u8) -> Vec<u8> {
        self.messages.iter().find(|message| message[0] == message_type).unwrap().clone()
    }

    /// The acceptor's message of this type.
    pub fn theirs(&self, message_type: u8) -> Vec<u8> {
        messages(&self.transcript).into_iter().find(|message| message[0] == message_type).unwrap()
    }

    /// These messages and the Finished that fits them, each in a record of its own.
    pub fn with(&mut self, messages: &[Vec<u8>]) -> Vec<u8> {
        let transcript = [&self.transcript[..], &messages.concat()].concat();
        let finished = crate::seal::message(20, &self.keys.finished(&transcript));
        messages.iter().chain([&finished]).flat_map(|message| self.keys.seal(HANDSHAKE, message)).collect()
    }

    /// All messages, protected in records of this many octets.
    pub fn fragmented(&mut self, length: usize) -> Vec<u8> {
        let all = self.messages.concat();
        all.chunks(length).flat_map(|part| self.keys.seal(HANDSHAKE, part)).collect()
    }
}

/// The ChangeCipherSpec that stands before the second flight.
pub fn change_cipher_spec() -> Vec<u8> {
    record(crate::seal::CHANGE_CIPHER_SPEC, &[1])
}

#[derive(Debug, Default)]
struct Secrets(Mutex<HashMap<String, Vec<u8>>>);

impl Secrets {
    fn get(&self, label: &str) -> Vec<u8> {
        self.0.lock().unwrap().get(label).expect("no such secret yet").clone()
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        self.0.lock().unwrap().insert(label.to_owned(), secret.to_vec());
    }
}
