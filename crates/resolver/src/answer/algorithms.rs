//! Which algorithms and keys can prove anything here.
//!
//! Promises: an algorithm counts in no place or in all: for DS records, keys, signatures and trust anchors alike.

use hickory_proto::dnssec::rdata::{DNSKEY, DS};
use hickory_proto::dnssec::{Algorithm, Verifier};

/// Whether signatures of this algorithm count. Those over SHA-1 do not (RFC 9905 section 2), although the library checks them: a zone that
/// has no others is as if unsigned.
#[expect(deprecated, reason = "named to be refused")]
pub(crate) fn is_supported(algorithm: Algorithm) -> bool {
    !matches!(algorithm, Algorithm::RSASHA1 | Algorithm::RSASHA1NSEC3SHA1) && algorithm.is_supported()
}

/// Whether a DS record counts: both the key's algorithm and the digest can be checked here.
pub(crate) fn is_usable(ds: &DS) -> bool {
    is_supported(ds.algorithm()) && ds.digest_type().is_supported()
}

/// Whether a zone may sign with this key: a zone key that is not revoked, of a supported algorithm.
pub(crate) fn may_sign(key: &DNSKEY) -> bool {
    key.zone_key() && !key.revoke() && is_supported(key.algorithm())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_over_sha1_do_not_count_and_all_others_of_the_library_do() {
        let counting: Vec<u8> =
            (0..=255).filter(|number| is_supported(Algorithm::from_u8(*number))).collect();
        assert_eq!(counting, [8, 10, 13, 14, 15]);
    }
}
