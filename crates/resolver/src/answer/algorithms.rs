//! Which algorithms and keys can prove anything here.
//!
//! Promises: an algorithm counts in no place or in all: for DS records, keys, signatures and trust anchors alike. A key that is dear to check
//! with proves nothing.

use hickory_proto::dnssec::rdata::{DNSKEY, DS};
use hickory_proto::dnssec::{Algorithm, PublicKey, Verifier};

/// The longest modulus of an RSA key, in octets: 4096 bits.
const MAX_MODULUS: usize = 512;

/// The longest exponent of an RSA key, in octets. All in use have three or fewer.
const MAX_EXPONENT: u8 = 4;

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

/// Whether a zone may sign with this key: a zone key that is not revoked, of a supported algorithm, and not too dear.
///
/// A zone that has only dear keys is bogus, not insecure: RFC 4035 section 5.2 lets a zone count as unsigned for the algorithms in its DS records,
/// and those are supported.
pub(crate) fn may_sign(key: &DNSKEY) -> bool {
    key.zone_key() && !key.revoke() && is_supported(key.algorithm()) && is_affordable(key)
}

/// Whether a check with this key costs no more than with the keys in use (RFC 3110 section 2 has the form of RSA keys).
fn is_affordable(key: &DNSKEY) -> bool {
    if !matches!(key.algorithm(), Algorithm::RSASHA256 | Algorithm::RSASHA512) {
        return true;
    }
    // An exponent of 256 octets and more has a zero here.
    let Some((&exponent, rest)) = key.public_key().public_bytes().split_first() else { return false };
    (1..=MAX_EXPONENT).contains(&exponent) && rest.len() <= usize::from(exponent) + MAX_MODULUS
}

#[cfg(test)]
mod tests {
    use hickory_proto::dnssec::PublicKeyBuf;

    use super::*;

    #[test]
    fn rsa_keys_that_are_dear_to_check_with_may_not_sign() {
        let key = |algorithm, octets: &[u8]| {
            DNSKEY::with_flags(257, PublicKeyBuf::new(octets.to_vec(), Algorithm::from_u8(algorithm)))
        };
        let rsa = |head: &[u8], modulus: usize| [head, &vec![0xff; modulus]].concat();
        for (octets, expected) in [
            (rsa(&[3, 1, 0, 1], 256), true),
            (rsa(&[3, 1, 0, 1], 512), true),
            (rsa(&[3, 1, 0, 1], 513), false),
            (rsa(&[3, 1, 0, 1], 1024), false),
            (rsa(&[1, 3], 512), true),
            (rsa(&[4, 1, 0, 0, 1], 512), true),
            (rsa(&[5, 1, 0, 0, 0, 1], 256), false),
            (rsa(&[0, 0, 3, 1, 0, 1], 256), false),
            (rsa(&[0, 1, 0], 512), false),
            (vec![], false),
        ] {
            for algorithm in [8, 10] {
                assert_eq!(may_sign(&key(algorithm, &octets)), expected, "{algorithm} {octets:?}");
            }
        }
        assert!(may_sign(&key(13, &[9; 64])));
    }

    #[test]
    fn algorithms_over_sha1_do_not_count_and_all_others_of_the_library_do() {
        let counting: Vec<u8> =
            (0..=255).filter(|number| is_supported(Algorithm::from_u8(*number))).collect();
        assert_eq!(counting, [8, 10, 13, 14, 15]);
    }
}
