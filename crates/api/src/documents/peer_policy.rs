//! `PeerPolicy`: who may connect, and how it is shown.

use std::path::Path;

use revouch_validator::policy::{
    AddressPrefix, BothEku, ClassChoice, Confirm, CrlExpired, CrlUnknown, Dnssec, ForwardIdentity,
    MixedNames, Mode, Multicast, NamePattern, Reporting, Service, SourcePort, Subjects, TlsaMode,
    UnmarkedEku,
};
use revouch_validator::rr::RrType;

use super::section::{sections, whole, words};
use super::values::{Age, FilePath, ObjectName, Span, Text};

sections! {
    /// `spec` of a `PeerPolicy`, and (without `targetRefs`) `defaults` of a `MeshConfig`.
    PeerPolicySpec {
        /// The listeners, or routes of them, for which it holds.
        target_refs: Vec<TargetRef>,
        /// Whether refusals are carried out.
        mode: Mode,
        /// Which classes of certificate come in (R1, R5, S2.2, S2.3).
        eku: EkuSection,
        /// Certificates with EKU clientAuth (R1).
        client_auth: ClientAuthSection,
        /// Certificates of devices (R6).
        device_names: DeviceNamesSection,
        /// Whom to let in, and how it is confirmed (R2, R3).
        identity: IdentitySection,
        /// What is asked of the DNS, and what follows from it.
        dns: DnsSection,
        /// Anchors and revocation lists for serverAuth certificates.
        trust: TrustSection,
        /// What the upstream is told (R4).
        forward_identity: ForwardIdentity,
        /// Where peers of this policy may be passed on to (C3.2d).
        upstream: UpstreamPolicySection,
        /// What happens to live connections when DNS changes.
        on_dns_change: OnDnsChange,
    }

    /// What a policy or an exemption holds for.
    TargetRef {
        /// What kind of object; a `Listener` if left out.
        kind: TargetKind,
        /// Its name.
        name: ObjectName,
        /// A route of it; every route if left out.
        section_name: ObjectName,
    }

    /// `eku`.
    EkuSection {
        /// Certificates with serverAuth.
        server_auth: ClassChoice,
        /// Certificates with clientAuth.
        client_auth: ClassChoice,
        /// Certificates with both (R5).
        both: BothEku,
        /// Certificates without the extension.
        absent: UnmarkedEku,
        /// Certificates with anyExtendedKeyUsage.
        any: UnmarkedEku,
    }

    /// `clientAuth`.
    ClientAuthSection {
        /// Whom they may name (R1).
        subjects: Subjects,
        /// Their own anchors.
        trust: ClientTrustSection,
    }

    /// `clientAuth.trust`.
    ClientTrustSection {
        /// PEM files of anchors.
        ca_files: Vec<FilePath>,
    }

    /// `deviceNames`.
    DeviceNamesSection {
        /// Which types of name may stand together (R6).
        mixed: MixedNames,
    }

    /// `identity`.
    IdentitySection {
        /// How an address leads to a name (R2).
        confirm: Confirm,
        /// Whom to let in; every confirmed server if left out.
        names: Vec<Text<NamePattern>>,
        /// A further limit on the source.
        addresses: Vec<Text<AddressPrefix>>,
    }

    /// `dns`.
    DnsSection {
        /// How much DNSSEC is wanted (R10).
        dnssec: Dnssec,
        /// How TLSA records act (R11).
        tlsa: TlsaMode,
        /// Whether CAA is reported (R7).
        caa: Reporting,
        /// Whether CERT is reported (R7).
        cert: Reporting,
        /// How the source port counts (R17).
        source_port: SourcePort,
        /// Services of a peer (R15 a).
        services: Vec<Text<Service>>,
        /// Whether multicast DNS is asked (R12).
        multicast: Multicast,
        /// Where a peer's own service has its TLSA records (R15 c).
        ports: Vec<u16>,
        /// Further types to report (R7).
        extra_types: Vec<Text<RrType>>,
        /// How many names of a PTR answer are looked at.
        max_names: u8,
        /// How long the decisive answers may take.
        deadline: Span,
    }

    /// `trust`.
    TrustSection {
        /// The public roots.
        public: PublicTrust,
        /// PEM files of further anchors.
        ca_files: Vec<FilePath>,
        /// Files of revocation lists.
        crl_files: Vec<FilePath>,
        /// What it means that no list covers a certificate.
        crl_unknown: CrlUnknown,
        /// What a list past its nextUpdate means.
        crl_expired: CrlExpired,
    }

    /// `upstream` of a policy.
    UpstreamPolicySection {
        /// Whether the upstream may be on loopback.
        loopback: Loopback,
    }
}

words! {
    /// What a `targetRef` can point to.
    TargetKind {
        /// A `Listener` document.
        Listener,
        /// A Kubernetes Service; not in files.
        Service,
        /// A Kubernetes namespace; not in files.
        Namespace,
    }
    /// Which public roots are trusted.
    PublicTrust {
        /// Those compiled in.
        Bundled,
        /// The system's store.
        Platform,
        /// None of them.
        None,
    }
    /// Whether an upstream on loopback is acceptable (C3.2d).
    Loopback {
        /// It is, with a warning at load.
        Warn,
        /// It is an error at load.
        Forbid,
        /// It is.
        Allow,
    }
    /// What happens to live connections when DNS changes.
    OnDnsChange {
        /// They go on.
        Keep,
        /// They are closed if they would now be refused. Not supported yet.
        Close,
    }
}

whole! {
    Mode, ClassChoice, BothEku, UnmarkedEku, Subjects, MixedNames, Confirm, Dnssec, TlsaMode, Reporting, SourcePort,
    Multicast, CrlUnknown, CrlExpired, ForwardIdentity, u8, u32, Span, Age, ObjectName, FilePath,
}

impl PeerPolicySpec {
    pub(crate) fn resolve_paths(&mut self, base: &Path) {
        let client =
            self.client_auth.iter_mut().flat_map(|s| s.trust.iter_mut()).flat_map(|s| s.ca_files.iter_mut());
        let server = self.trust.iter_mut().flat_map(|s| s.ca_files.iter_mut().chain(s.crl_files.iter_mut()));
        client.chain(server).flatten().for_each(|path| path.resolve(base));
    }
}
