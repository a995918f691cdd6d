//! `Listener`: where to listen, and where to pass connections on to.

use std::path::Path;

use revouch_validator::policy::NamePattern;

use super::section::{sections, words};
use super::values::{Alpn, FilePath, ObjectName, SocketAddress, Span, Text};

sections! {
    /// `spec` of a `Listener`.
    ListenerSpec {
        /// Addresses to listen on.
        bind: Vec<SocketAddress>,
        /// The acceptor's side of TLS.
        tls: ListenerTls,
        /// Limits that apply before a policy is known.
        limits: LimitsSection,
        /// Where connections go: the first route that takes the server name.
        routes: Vec<RouteSection>,
    }

    /// `tls`.
    ListenerTls {
        /// The listener's own certificates.
        certificates: Vec<CertificateSection>,
        /// The oldest version of TLS that is spoken.
        min_version: MinVersion,
        /// ALPN protocols, the preferred first.
        alpn: Vec<Alpn>,
    }

    /// One of `tls.certificates`.
    CertificateSection {
        /// PEM file: the certificate and its intermediates.
        cert_file: FilePath,
        /// PEM file: its private key.
        key_file: FilePath,
    }

    /// `limits`.
    LimitsSection {
        /// Handshakes at a time, of all sources.
        handshakes_in_flight: u32,
        /// Handshakes at a time of one source address.
        handshakes_per_source: u32,
        /// Connections at a time of one source address.
        connections_per_source: u32,
        /// From the accepted connection to the end of the handshake.
        handshake_deadline: Span,
        /// Gatherings of evidence a second for one source address; ten times as many at once.
        evidence_per_source: u32,
        /// Gatherings of evidence a second for one /24 or /64; ten times as many at once.
        evidence_per_network: u32,
    }

    /// One of `routes`.
    RouteSection {
        /// The name that `sectionName` of a policy refers to.
        name: ObjectName,
        /// The server names that it takes; every one, and none at all, if left out.
        server_names: Vec<Text<NamePattern>>,
        /// Where it leads.
        upstream: UpstreamSection,
    }

    /// `upstream` of a route: either an address or a Unix socket.
    UpstreamSection {
        /// A TCP address.
        address: SocketAddress,
        /// The path of a Unix socket.
        unix: FilePath,
        /// What precedes the peer's bytes.
        send_proxy: SendProxy,
    }
}

words! {
    /// The oldest version of TLS that is spoken.
    MinVersion {
        /// TLS 1.2.
        Tls12 = "1.2",
        /// TLS 1.3.
        Tls13 = "1.3",
    }
    /// What precedes the peer's bytes on the way to the upstream.
    SendProxy {
        /// Nothing.
        None,
        /// A PROXY protocol header of version 2, with what `forwardIdentity` allows (R4).
        V2,
    }
}

impl ListenerSpec {
    pub(crate) fn resolve_paths(&mut self, base: &Path) {
        let pairs = self.tls.iter_mut().flat_map(|tls| tls.certificates.iter_mut()).flatten();
        let files = pairs.flat_map(|pair| pair.cert_file.iter_mut().chain(pair.key_file.iter_mut()));
        files.for_each(|path| path.resolve(base));
        let routes = self.routes.iter_mut().flatten();
        routes.filter_map(|route| route.upstream.as_mut()?.unix.as_mut()).for_each(|path| path.resolve(base));
    }
}
