//! What TLS records were written, as far as the gate needs to know: by their headers and, in the clear, their first octets.
//!
//! Promises: records may be cut into writes anywhere; what is kept of them is bounded ([`HEAD`]). A handshake record counts as one that
//! the peer can answer from its first octet on, until its head proves that it is a HelloRetryRequest.

use rustls::AlertDescription;

/// Octets of a record that are looked at: header (5), handshake header (4), `legacy_version` (2), random (32).
const HEAD: usize = 43;
/// The octets of a record's header (RFC 8446 section 5.1).
const HEADER: usize = 5;
/// The content type of alerts.
const ALERT: u8 = 21;
/// The content type of handshake messages.
const HANDSHAKE: u8 = 22;
/// The random of a ServerHello that is a HelloRetryRequest (RFC 8446 section 4.1.3).
const HELLO_RETRY_REQUEST: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// What has been written so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Nothing that the peer could answer with its certificate.
    Other,
    /// A handshake record that is not, or not yet known to be, a HelloRetryRequest.
    Answerable,
}

/// Follows the records of one direction.
#[derive(Debug)]
pub(super) struct RecordWatch {
    head: [u8; HEAD],
    filled: usize,
    /// Octets of the current record that are still to come behind its head.
    rest: usize,
    answerable: bool,
    alert: Option<AlertDescription>,
}

impl Default for RecordWatch {
    fn default() -> Self {
        Self { head: [0; HEAD], filled: 0, rest: 0, answerable: false, alert: None }
    }
}

impl RecordWatch {
    /// Takes the next octets that were written.
    pub(super) fn wrote(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            if self.rest > 0 {
                let skip = self.rest.min(octets.len());
                self.rest -= skip;
                octets = octets.get(skip..).unwrap_or_default();
                continue;
            }
            let wanted = self.head_length().saturating_sub(self.filled);
            let (part, behind) = octets.split_at(wanted.min(octets.len()));
            if let Some(room) = self.head.get_mut(self.filled..self.filled + part.len()) {
                room.copy_from_slice(part);
            }
            self.filled += part.len();
            octets = behind;
            // The length of the head is known only once the header is there.
            if self.filled >= HEADER && self.filled >= self.head_length() {
                self.judge();
            }
        }
    }

    /// What has been written so far: once a record was answerable it stays so, unless it was the current one and turned out
    /// to be a HelloRetryRequest.
    pub(super) fn current(&self) -> Record {
        let begun = self.filled > 0 && self.head.first() == Some(&HANDSHAKE);
        if self.answerable || begun { Record::Answerable } else { Record::Other }
    }

    /// The last alert that was written in the clear.
    pub(super) fn alert(&self) -> Option<AlertDescription> {
        self.alert
    }

    /// How much of the current record is its head: all of a short record.
    fn head_length(&self) -> usize {
        if self.filled < HEADER { HEADER } else { HEAD.min(HEADER + self.body_length()) }
    }

    fn body_length(&self) -> usize {
        let [_, _, _, high, low, ..] = self.head;
        usize::from(u16::from_be_bytes([high, low]))
    }

    /// The head is complete: what the record is.
    fn judge(&mut self) {
        match self.head.first() {
            Some(&HANDSHAKE) => {
                let random = self.head.get(HEAD - HELLO_RETRY_REQUEST.len()..);
                let retry = self.filled == HEAD && random == Some(&HELLO_RETRY_REQUEST);
                self.answerable |= !retry;
            }
            // Two octets, level and description, are an alert in the clear; encrypted ones are longer.
            Some(&ALERT) if self.body_length() == 2 => {
                self.alert =
                    self.head.get(HEADER + 1).map(|description| AlertDescription::from(*description));
            }
            _ => {}
        }
        self.rest = (HEADER + self.body_length()).saturating_sub(self.filled);
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content_type: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[content_type, 3, 3], &length[..], body].concat()
    }

    fn hello(random: [u8; 32]) -> Vec<u8> {
        record(HANDSHAKE, &[&[2, 0, 0, 76, 3, 3], &random[..], &[0; 42]].concat())
    }

    /// What stands after the octets were written in pieces of this length.
    fn after(octets: &[u8], piece: usize) -> RecordWatch {
        let mut watch = RecordWatch::default();
        octets.chunks(piece).for_each(|part| watch.wrote(part));
        watch
    }

    #[test]
    fn a_server_hello_is_answerable_however_it_is_cut() {
        for piece in 1..100 {
            assert_eq!(after(&hello([7; 32]), piece).current(), Record::Answerable);
        }
    }

    #[test]
    fn a_hello_retry_request_is_not_answerable_once_it_is_complete() {
        let change_cipher_spec = record(20, &[1]);
        let octets = [hello(HELLO_RETRY_REQUEST), change_cipher_spec].concat();
        for piece in 1..100 {
            assert_eq!(after(&octets, piece).current(), Record::Other, "in pieces of {piece}");
            let both = [&octets[..], &hello([7; 32])].concat();
            assert_eq!(after(&both, piece).current(), Record::Answerable, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_part_of_a_hello_retry_request_is_answerable_to_be_safe() {
        let octets = hello(HELLO_RETRY_REQUEST);
        for cut in 1..HEAD {
            assert_eq!(after(&octets[..cut], 100).current(), Record::Answerable, "{cut} octets");
        }
    }

    #[test]
    fn a_short_handshake_record_is_answerable() {
        assert_eq!(after(&record(HANDSHAKE, &[2]), 100).current(), Record::Answerable);
        assert_eq!(after(&record(HANDSHAKE, &[]), 100).current(), Record::Answerable);
    }

    #[test]
    fn alerts_and_data_are_not_answerable_and_an_alert_in_the_clear_is_seen() {
        for piece in 1..20 {
            let watch =
                after(&[record(23, &[9; 300]), record(ALERT, &[2, 49]), record(20, &[1])].concat(), piece);
            assert_eq!(watch.current(), Record::Other);
            assert_eq!(watch.alert(), Some(AlertDescription::AccessDenied));
            let encrypted = after(&record(ALERT, &[2; 26]), piece);
            assert_eq!(encrypted.alert(), None);
        }
    }
}
