//! `DnssecExemption` and `ResolverOverride`: what is asked where, and believed how.

use super::peer_policy::TargetRef;
use super::section::{sections, whole, words};
use super::values::{ServerAddress, ServerIdentity, Span, Time, Zone};

sections! {
    /// `spec` of a `DnssecExemption` (R13).
    DnssecExemptionSpec {
        /// The zones, each with everything below it.
        zones: Vec<Zone>,
        /// Why.
        reason: String,
        /// Until when.
        not_after: Time,
        /// The listeners or routes whose policies it covers; all if left out or empty.
        target_refs: Vec<TargetRef>,
    }

    /// `spec` of a `ResolverOverride` (R14).
    ResolverOverrideSpec {
        /// The zones, each with everything below it that has no override of its own.
        zones: Vec<Zone>,
        /// The servers to ask, the first first.
        servers: Vec<ResolverServer>,
        /// Who validates.
        validation: Validation,
        /// How long one server may take for one question.
        timeout: Span,
    }

    /// One of `servers`.
    ResolverServer {
        /// Its address.
        address: ServerAddress,
        /// How it is spoken to.
        protocol: Protocol,
        /// The name of its certificate, with `Tls` and `Https`; its address if left out.
        server_name: ServerIdentity,
        /// The path, with `Https`.
        path: String,
    }
}

words! {
    /// How a DNS server is spoken to.
    Protocol {
        /// Datagrams, and TCP for long answers.
        Udp,
        /// TCP.
        Tcp,
        /// DNS over TLS (RFC 7858).
        Tls,
        /// DNS over HTTPS (RFC 8484).
        Https,
        /// DNS over QUIC (RFC 9250). Not supported yet.
        Quic,
    }
    /// Who decides the DNSSEC state of an answer.
    Validation {
        /// This process.
        Validate,
        /// The server, by the AD bit of its answers.
        TrustAd,
    }
}

whole! { Time, ServerAddress, ServerIdentity, String }
