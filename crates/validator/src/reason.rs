//! Why a peer is refused: a closed list. The same word stands in the verdict, the log, the metric label and the documentation.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::alert::Alert;
use crate::answer::DnsFailure;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $rules:expr, $alert:expr;)*) => {
        /// Why a peer was refused. Every value has a stable name ([`Reason::as_str`]), the rules that it comes from and the
        /// TLS alert that the peer sees. `docs/reasons.md` says what to do about each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $doc])+ $variant,)* }

        impl Reason {
            /// Every reason, in the order of the checks.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable name, in `snake_case`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The rules that it comes from, by their ids; empty for what is no rule's (admission, handshake).
            #[must_use]
            pub const fn rules(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &$rules,)* }
            }

            /// The alert that the peer sees; `None` where the connection is closed without TLS or without an alert of ours.
            #[must_use]
            pub const fn alert(self) -> Option<Alert> {
                match self { $(Self::$variant => $alert,)* }
            }
        }
    };
}

reasons! {
    /// Too many handshakes are in flight (`limits.handshakesInFlight`).
    LimitHandshakes = "limit_handshakes", [], None;
    /// Too many handshakes from this source are in flight (`limits.handshakesPerSource`), or from its network; or too many of its connections
    /// are open (`limits.connectionsPerSource`).
    LimitSource = "limit_source", [], None;
    /// Too many connections are open (`maxConnections`).
    LimitConnections = "limit_connections", [], None;
    /// The handshake was not over within `limits.handshakeDeadline`, or its ClientHello not there in time.
    HandshakeTimeout = "handshake_timeout", [], None;
    /// What came is no TLS handshake that can be completed. The alert is the TLS library's.
    HandshakeFailed = "handshake_failed", [], None;
    /// No route of the listener takes this server name.
    NoRoute = "no_route", [], Some(Alert::AccessDenied);
    /// No policy applies to the route: the strict default refuses every peer.
    NoPolicy = "no_policy", [], Some(Alert::AccessDenied);
    /// The peer sent no certificate.
    NoCertificate = "no_certificate", [], Some(Alert::CertificateRequired);
    /// The peer did not prove that it holds the key of its certificate.
    BadSignature = "bad_signature", ["R16"], Some(Alert::DecryptError);
    /// The chain is longer than the bounds, or its leaf is no X.509 certificate.
    CertificateUnreadable = "certificate_unreadable", [], Some(Alert::BadCertificate);
    /// The certificate is of the serverAuth class, which the policy declines.
    ServerAuthRejected = "server_auth_rejected", ["S2.2"], Some(Alert::UnsupportedCertificate);
    /// The certificate is of the clientAuth class, which the policy declines.
    ClientAuthRejected = "client_auth_rejected", ["R1", "S2.3"], Some(Alert::UnsupportedCertificate);
    /// The certificate has both EKUs, which the policy declines.
    EkuBoth = "eku_both", ["R5"], Some(Alert::UnsupportedCertificate);
    /// The certificate has no EKU extension, which the policy declines.
    EkuAbsent = "eku_absent", ["R16"], Some(Alert::UnsupportedCertificate);
    /// The certificate has anyExtendedKeyUsage, which the policy declines.
    EkuAny = "eku_any", ["R16"], Some(Alert::UnsupportedCertificate);
    /// The certificate's EKU is neither serverAuth nor clientAuth.
    EkuOther = "eku_other", ["R16"], Some(Alert::UnsupportedCertificate);
    /// A clientAuth certificate names a device and the policy wants a person.
    SubjectIsDevice = "subject_is_device", ["R1"], Some(Alert::UnsupportedCertificate);
    /// A clientAuth certificate names a person and the policy wants a device.
    SubjectIsPerson = "subject_is_person", ["R1"], Some(Alert::UnsupportedCertificate);
    /// dNSName or iPAddress stands beside a name of another type (or beside each other, where the policy says so).
    NamesMixed = "names_mixed", ["R6"], Some(Alert::UnsupportedCertificate);
    /// The key is weak: an RSA key below 2048 bits, DSA, or an unusable curve; or too large to check.
    WeakKey = "weak_key", ["R16"], Some(Alert::UnsupportedCertificate);
    /// The source address is not in `identity.addresses`, or can be no peer's: unspecified, multicast or broadcast.
    AddressNotAllowed = "address_not_allowed", ["R3"], Some(Alert::AccessDenied);
    /// A DNS answer that the verdict rests on failed DNSSEC validation.
    DnsBogus = "dns_bogus", ["R9"], Some(Alert::AccessDenied);
    /// A DNS answer that the verdict rests on did not come in time.
    DnsTimeout = "dns_timeout", ["R9", "R15"], Some(Alert::CertificateUnknown);
    /// The resolver answered SERVFAIL, or with nonsense.
    DnsServfail = "dns_servfail", ["R9", "R15"], Some(Alert::CertificateUnknown);
    /// The resolver refused to answer, or cannot be reached.
    DnsRefused = "dns_refused", ["R9", "R15"], Some(Alert::CertificateUnknown);
    /// The budget of DNS questions for this peer was used up.
    DnsBudget = "dns_budget", ["R9", "R15"], Some(Alert::CertificateUnknown);
    /// Too many look-ups for this source or its network (`limits.evidencePerSource`, `limits.evidencePerNetwork`).
    DnsRateLimited = "dns_rate_limited", [], Some(Alert::CertificateUnknown);
    /// The name could only be asked over multicast DNS, which the policy does not allow.
    MulticastRefused = "multicast_refused", ["R12"], Some(Alert::AccessDenied);
    /// An alias leads from a zone that is not exempt into one that is.
    DnsIntoExemptZone = "dns_into_exempt_zone", ["R13"], Some(Alert::AccessDenied);
    /// The decision was reached before the evidence that it needs (the gate was passed in one segment), or evidence of another address.
    EvidenceMissing = "evidence_missing", ["R2"], Some(Alert::CertificateUnknown);
    /// The source address has no PTR record.
    NoPtr = "no_ptr", ["R2"], Some(Alert::AccessDenied);
    /// No name of the PTR answer can be a peer's name.
    NameUnusable = "name_unusable", ["R2", "R13"], Some(Alert::AccessDenied);
    /// No confirmed name is in `identity.names`.
    NameNotListed = "name_not_listed", ["R2"], Some(Alert::AccessDenied);
    /// No name leads back to the source address.
    NotConfirmed = "not_confirmed", ["R2"], Some(Alert::AccessDenied);
    /// An answer that the verdict rests on is neither signed nor exempt, and the policy requires it.
    DnssecRequired = "dnssec_required", ["R10"], Some(Alert::AccessDenied);
    /// No SRV or SVCB record names the source port, and the policy requires one.
    SourcePortUnlisted = "source_port_unlisted", ["R17"], Some(Alert::AccessDenied);
    /// No usable TLSA record, and the policy requires one.
    TlsaMissing = "tlsa_missing", ["R11"], Some(Alert::AccessDenied);
    /// There are usable TLSA records and none matches.
    TlsaMismatch = "tlsa_mismatch", ["R11"], Some(Alert::AccessDenied);
    /// No path from the certificate to a trust anchor.
    UnknownIssuer = "unknown_issuer", ["R16"], Some(Alert::UnknownCa);
    /// A certificate of the path has expired.
    Expired = "expired", ["R16"], Some(Alert::CertificateExpired);
    /// A certificate of the path is not valid yet.
    NotYetValid = "not_yet_valid", ["R16"], Some(Alert::CertificateExpired);
    /// A certificate of the path is revoked.
    Revoked = "revoked", ["R16"], Some(Alert::CertificateRevoked);
    /// No CRL tells whether the certificate is revoked, and the policy wants to know.
    RevocationUnknown = "revocation_unknown", ["R16"], Some(Alert::UnknownCa);
    /// A CRL that is needed is past its nextUpdate.
    CrlExpired = "crl_expired", ["R16"], Some(Alert::UnknownCa);
    /// `KeyUsage` does not allow what the certificate is used for.
    KeyUsage = "key_usage", ["R16"], Some(Alert::UnsupportedCertificate);
    /// A certificate of the path is limited to other purposes.
    PathEku = "path_eku", ["R16"], Some(Alert::UnsupportedCertificate);
    /// The path is invalid in another way: a constraint, a signature, an unknown critical extension, too complex.
    PathInvalid = "path_invalid", ["R16"], Some(Alert::BadCertificate);
    /// The certificate is not valid for the confirmed name.
    NameMismatch = "name_mismatch", ["R2"], Some(Alert::BadCertificate);
    /// No iPAddress of the certificate is the source address.
    AddressMismatch = "address_mismatch", ["R3"], Some(Alert::BadCertificate);
}

impl From<&DnsFailure> for Reason {
    fn from(failure: &DnsFailure) -> Self {
        match failure {
            DnsFailure::Bogus(_) => Self::DnsBogus,
            DnsFailure::Timeout => Self::DnsTimeout,
            DnsFailure::ServFail => Self::DnsServfail,
            DnsFailure::Refused => Self::DnsRefused,
            DnsFailure::Budget => Self::DnsBudget,
            DnsFailure::RateLimited => Self::DnsRateLimited,
            DnsFailure::MulticastRefused => Self::MulticastRefused,
            DnsFailure::IntoExemptZone => Self::DnsIntoExemptZone,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The text is no reason's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownReason;

impl std::str::FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text).ok_or(UnknownReason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_round_trip() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
            assert_eq!(Reason::ALL.iter().position(|r| r.as_str() == reason.as_str()), Some(index));
        }
    }
}
