//! Constraints that root programmes put on a CA and that its certificate does not say.
//!
//! A store of certificates alone loses them: Mozilla's roots are a list of certificates and, beside it, code in which one CA may vouch for
//! names of its country only. Here they hold wherever such a certificate is an anchor, whoever put it there.

use crate::cert::Fingerprint;

/// SHA-256 of the certificate, and the contents of a `NameConstraints` (RFC 5280 section 4.2.1.10).
const IMPOSED: [(&str, &[u8]); 1] = [
    // TUBITAK Kamu SM SSL Kok Sertifikasi - Surum 1: dNSName .tr.
    (
        "46edc3689046d53a453fb3104ab80dcaec658b2660ea1629dd7e867990648716",
        &[0xa0, 0x07, 0x30, 0x05, 0x82, 0x03, b'.', b't', b'r'],
    ),
];

/// What is imposed on the CA with this certificate.
pub(super) fn on(certificate: Fingerprint) -> Option<&'static [u8]> {
    let name = certificate.to_string();
    IMPOSED.iter().find(|(of, _)| *of == name).map(|(_, constraints)| *constraints)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use crate::path::Anchors;

    /// The same roots from the same source, as anchors that carry what is imposed on them.
    #[test]
    fn every_bundled_root_has_the_constraints_that_its_programme_imposes() {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
        let (anchors, rejected) = Anchors::from_der(roots);
        assert!(rejected.is_empty(), "{rejected:?}");
        let mut constrained = 0;
        for expected in webpki_roots::TLS_SERVER_ROOTS {
            let same = |anchor: &&rustls_pki_types::TrustAnchor<'_>| {
                anchor.subject_public_key_info == expected.subject_public_key_info
            };
            // The two crates may be of different days.
            let Some(found) = anchors.webpki().iter().find(same) else { continue };
            assert_eq!(found.name_constraints, expected.name_constraints, "{:?}", expected.subject);
            constrained += usize::from(found.name_constraints.is_some());
        }
        assert_eq!(constrained, super::IMPOSED.len());
    }
}
