//! The record protection of TLS 1.3 (RFC 8446 section 5.2) for TLS_AES_128_GCM_SHA256, so that a peer can send what no TLS library would.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use aws_lc_rs::hmac;

/// Content types (RFC 8446 section 5.1).
pub const CHANGE_CIPHER_SPEC: u8 = 20;
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;
pub const DATA: u8 = 23;

/// One direction's keys, and how many records they have protected.
pub struct Epoch {
    secret: Vec<u8>,
    key: LessSafeKey,
    iv: Vec<u8>,
    sequence: u64,
}

impl Epoch {
    /// The keys of a traffic secret.
    pub fn new(secret: &[u8]) -> Self {
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &expand(secret, "key", 16)).unwrap());
        Self { secret: secret.to_vec(), key, iv: expand(secret, "iv", 12), sequence: 0 }
    }

    /// A protected record.
    pub fn seal(&mut self, content_type: u8, payload: &[u8]) -> Vec<u8> {
        self.seal_inner(&[payload, &[content_type]].concat())
    }

    /// A protected record of any inner plaintext: too long, without a type, all padding.
    pub fn seal_inner(&mut self, inner: &[u8]) -> Vec<u8> {
        let mut sealed = inner.to_vec();
        let header = header(DATA, inner.len() + AES_128_GCM.tag_len());
        let nonce = self.nonce();
        self.key.seal_in_place_append_tag(nonce, Aad::from(header), &mut sealed).unwrap();
        [&header[..], &sealed].concat()
    }

    /// What a protected record, header included, holds.
    pub fn open(&mut self, record: &[u8]) -> (u8, Vec<u8>) {
        let (header, body) = record.split_at(5);
        let mut body = body.to_vec();
        let nonce = self.nonce();
        let mut inner = self.key.open_in_place(nonce, Aad::from(header), &mut body).unwrap().to_vec();
        while inner.last() == Some(&0) {
            inner.pop();
        }
        (inner.pop().unwrap(), inner)
    }

    /// The next generation of keys (section 7.2).
    pub fn update(&mut self) {
        *self = Self::new(&expand(&self.secret, "traffic upd", 32));
    }

    /// A KeyUpdate message; what is sealed behind it has the new keys.
    pub fn key_update(&mut self, requested: bool) -> Vec<u8> {
        let record = self.seal(HANDSHAKE, &[24, 0, 0, 1, u8::from(requested)]);
        self.update();
        record
    }

    /// `verify_data` over these messages (section 4.4.4).
    pub fn finished(&self, transcript: &[u8]) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &expand(&self.secret, "finished", 32));
        hmac::sign(&key, digest(&SHA256, transcript).as_ref()).as_ref().to_vec()
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.sequence.to_be_bytes());
        nonce.iter_mut().zip(&self.iv).for_each(|(octet, iv)| *octet ^= iv);
        self.sequence += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// A TLS 1.2 peer's keys for what it sends, with an AES_128_GCM_SHA256 suite (RFC 5246 section 6.3, RFC 5288 section 3).
pub struct Tls12Keys {
    key: LessSafeKey,
    salt: Vec<u8>,
    sequence: u64,
}

impl Tls12Keys {
    /// The keys of a master secret, for what comes behind Finished.
    pub fn new(master: &[u8], client_random: &[u8], server_random: &[u8]) -> Self {
        let block = prf(master, &[b"key expansion", server_random, client_random].concat(), 40);
        // The peer's key, the acceptor's, and the implicit parts of their nonces.
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &block[..16]).unwrap());
        Self { key, salt: block[32..36].to_vec(), sequence: 1 }
    }

    /// A protected record.
    pub fn seal(&mut self, content_type: u8, payload: &[u8]) -> Vec<u8> {
        let explicit = self.sequence.to_be_bytes();
        let nonce = Nonce::try_assume_unique_for_key(&[&self.salt[..], &explicit].concat()).unwrap();
        let associated = Aad::from([&explicit[..], &header(content_type, payload.len())].concat());
        let mut sealed = payload.to_vec();
        self.key.seal_in_place_append_tag(nonce, associated, &mut sealed).unwrap();
        self.sequence += 1;
        [&header(content_type, explicit.len() + sealed.len())[..], &explicit, &sealed].concat()
    }
}

/// P_SHA256 of RFC 5246 section 5.
fn prf(secret: &[u8], seed: &[u8], length: usize) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let sign = |octets: &[u8]| hmac::sign(&key, octets).as_ref().to_vec();
    let (mut a, mut out) = (seed.to_vec(), Vec::new());
    while out.len() < length {
        a = sign(&a);
        out.extend(sign(&[&a[..], seed].concat()));
    }
    out.truncate(length);
    out
}

/// An unprotected record.
pub fn record(content_type: u8, payload: &[u8]) -> Vec<u8> {
    [&header(content_type, payload.len())[..], payload].concat()
}

/// A handshake message.
pub fn message(message_type: u8, body: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[message_type][..], &length, body].concat()
}

/// Whole records, each with its header.
pub fn records(mut octets: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let [_, _, _, high, low, ..] = octets {
        let (record, rest) = octets.split_at(5 + usize::from(u16::from_be_bytes([*high, *low])));
        records.push(record.to_vec());
        octets = rest;
    }
    records
}

/// Whole handshake messages, each with its header.
pub fn messages(mut octets: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let [_, high, middle, low, ..] = octets {
        let length = u32::from_be_bytes([0, *high, *middle, *low]);
        let (message, rest) = octets.split_at(4 + length as usize);
        messages.push(message.to_vec());
        octets = rest;
    }
    messages
}

/// The same unprotected records, cut into records with payloads of this length.
pub fn fragmented(octets: &[u8], length: usize) -> Vec<u8> {
    let cut = |whole: &Vec<u8>| -> Vec<u8> {
        whole[5..].chunks(length).flat_map(|part| record(whole[0], part)).collect()
    };
    records(octets).iter().flat_map(cut).collect()
}

fn header(content_type: u8, length: usize) -> [u8; 5] {
    let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
    [content_type, 3, 3, high, low]
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label with an empty context (section 7.1).
fn expand(secret: &[u8], label: &str, length: usize) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
    let info = [&[high, low, u8::try_from(label.len()).unwrap()], label.as_bytes(), &[0]].concat();
    let mut out = vec![0; length];
    let prk = Prk::new_less_safe(HKDF_SHA256, secret);
    prk.expand(&[&info], Length(length)).unwrap().fill(&mut out).unwrap();
    out
}
