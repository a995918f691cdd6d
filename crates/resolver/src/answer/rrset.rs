//! One RRset of a message, and the signature by which it was proven.

use hickory_proto::dnssec::Proof;
use hickory_proto::dnssec::rdata::sig::SigInput;
use hickory_proto::dnssec::rdata::{DNSSECRData, RRSIG};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use revouch_validator::answer::SignatureWindow;
use revouch_validator::timestamp::Timestamp;

use super::names::canonical;

/// The records of one owner and type in one section.
#[derive(Debug, Clone)]
pub(crate) struct RrSet<'m> {
    pub(crate) owner: &'m Name,
    pub(crate) rr_type: RecordType,
    pub(crate) records: Vec<&'m Record>,
}

impl<'m> RrSet<'m> {
    /// The RRset of `owner` and `rr_type`; `None` if the section has no such record.
    pub(crate) fn find(section: &'m [Record], owner: &Name, rr_type: RecordType) -> Option<Self> {
        let records: Vec<&Record> =
            section.iter().filter(|r| r.record_type() == rr_type && r.name == *owner).collect();
        let owner = &records.first()?.name;
        Some(Self { owner, rr_type, records })
    }

    /// The signature that proves all of the records; `None` unless every record was proven and the signature holds at `now`.
    ///
    /// A record's `proof` may be older than this use of it, so the window is looked at again.
    pub(crate) fn signature(&self, section: &'m [Record], now: Timestamp) -> Option<Signature<'m>> {
        if self.records.iter().any(|r| r.proof != Proof::Secure) {
            return None;
        }
        section
            .iter()
            .filter(|r| r.proof == Proof::Secure && r.name == *self.owner)
            .filter_map(rrsig)
            .filter(|s| s.input().type_covered == self.rr_type)
            .find_map(|s| Signature::usable(s.input(), self.owner, now))
    }

    /// The zones that signed the records by their own account, proven or not.
    pub(crate) fn signers(&self, section: &[Record]) -> Vec<Name> {
        let signatures = section.iter().filter(|r| r.name == *self.owner).filter_map(rrsig);
        let own = signatures.filter(|s| s.input().type_covered == self.rr_type);
        own.map(|s| canonical(&s.input().signer_name)).collect()
    }

    /// The least TTL of the records.
    pub(crate) fn ttl(&self) -> u32 {
        self.records.iter().map(|r| r.ttl).min().unwrap_or(0)
    }
}

/// A signature that proved an RRset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signature<'m> {
    /// The zone that signed.
    pub(crate) signer: &'m Name,
    /// The Labels field (RFC 4034 section 3.1.3): fewer than the owner has means that it was made from a wildcard.
    pub(crate) labels: u8,
    /// When it is valid.
    pub(crate) window: SignatureWindow,
}

impl<'m> Signature<'m> {
    /// The signature's facts, if it can apply to `owner` and holds at `now` (RFC 4035 section 5.3.1).
    fn usable(input: &'m SigInput, owner: &Name, now: Timestamp) -> Option<Self> {
        let window = window(input, now);
        let fits = input.signer_name.zone_of(owner)
            && input.num_labels <= owner.num_labels()
            && window.contains(now);
        fits.then_some(Self { signer: &input.signer_name, labels: input.num_labels, window })
    }
}

/// The RRSIG in a record, if it is one.
pub(crate) fn rrsig(record: &Record) -> Option<&RRSIG> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some(signature),
        _ => None,
    }
}

/// Inception and expiration as points in time. They are serial numbers (RFC 4034 section 3.1.5): of the times that they can
/// mean, those within 68 years of `now` are meant.
pub(crate) fn window(input: &SigInput, now: Timestamp) -> SignatureWindow {
    SignatureWindow {
        from: near(input.sig_inception.get(), now),
        until: near(input.sig_expiration.get(), now),
    }
}

/// The time nearest to `now` whose low 32 bits are `serial`.
fn near(serial: u32, now: Timestamp) -> Timestamp {
    let [.., a, b, c, d] = now.0.to_be_bytes();
    let ahead = serial.wrapping_sub(u32::from_be_bytes([a, b, c, d]));
    if ahead < 1 << 31 {
        now.saturating_add(u64::from(ahead))
    } else {
        Timestamp(now.0.saturating_sub(u64::from(ahead.wrapping_neg())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_times_are_read_near_to_now() {
        let now = Timestamp(0x1_0000_0010);
        assert_eq!(near(0x20, now), Timestamp(0x1_0000_0020));
        assert_eq!(near(0xffff_fff0, now), Timestamp(0xffff_fff0));
        assert_eq!(near(0x10, now), now);
        assert_eq!(near(5, Timestamp(10)), Timestamp(5));
        assert_eq!(near(0xffff_ffff, Timestamp(10)), Timestamp(0));
    }
}
