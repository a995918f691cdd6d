//! TLS alerts, by the numbers of RFC 8446 section 6.

use serde::Serialize;

/// What a refused peer sees on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Alert {
    /// 40: the handshake itself failed.
    HandshakeFailure,
    /// 42: unreadable certificate, or valid for another name.
    BadCertificate,
    /// 43: EKU, `KeyUsage`, class, mixed names or a weak key.
    UnsupportedCertificate,
    /// 44: revoked.
    CertificateRevoked,
    /// 45: expired or not valid yet.
    CertificateExpired,
    /// 46: a temporary failure of the DNS; trying again may help.
    CertificateUnknown,
    /// 48: unknown issuer, or no usable CRL.
    UnknownCa,
    /// 49: DNS or policy do not admit this peer.
    AccessDenied,
    /// 51: the peer has not proven that it holds the key.
    DecryptError,
    /// 116: no certificate was sent.
    CertificateRequired,
}

impl Alert {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::HandshakeFailure => 40,
            Self::BadCertificate => 42,
            Self::UnsupportedCertificate => 43,
            Self::CertificateRevoked => 44,
            Self::CertificateExpired => 45,
            Self::CertificateUnknown => 46,
            Self::UnknownCa => 48,
            Self::AccessDenied => 49,
            Self::DecryptError => 51,
            Self::CertificateRequired => 116,
        }
    }

    /// The name in RFC 8446.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HandshakeFailure => "handshake_failure",
            Self::BadCertificate => "bad_certificate",
            Self::UnsupportedCertificate => "unsupported_certificate",
            Self::CertificateRevoked => "certificate_revoked",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateUnknown => "certificate_unknown",
            Self::UnknownCa => "unknown_ca",
            Self::AccessDenied => "access_denied",
            Self::DecryptError => "decrypt_error",
            Self::CertificateRequired => "certificate_required",
        }
    }
}
