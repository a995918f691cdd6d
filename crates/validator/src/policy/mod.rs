//! What an operator wants of a peer: the part of a `PeerPolicy` that the decision reads.
//!
//! [`PolicyDraft`] has public fields with the documented defaults; [`Policy`] is made from it by [`PolicyDraft::build`] and by
//! nothing else, so that a contradictory policy cannot exist. How documents are written and which files they name is not known here.

mod build;
mod values;

use std::ops::Deref;

use serde::{Deserialize, Serialize};

pub use build::PolicyError;
pub use values::{
    AddressPrefix, BothEku, ClassChoice, Confirm, CrlExpired, CrlUnknown, Dnssec, ForwardIdentity,
    MixedNames, Mode, Multicast, NamePattern, Reporting, Service, SourcePort, Subjects, TlsaMode,
    UnmarkedEku, ValueError,
};

use crate::exemption::Exemptions;
use crate::rr::RrType;

/// A policy as it is written, before its parts were held against each other. Every default is that of `policy.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyDraft {
    /// Whether refusals are carried out. Default `Enforce`.
    pub mode: Mode,
    /// `eku.serverAuth` (S2.2). Default `Accept`.
    pub server_auth: ClassChoice,
    /// `eku.clientAuth` (R1, S2.3). Default `Reject`.
    pub client_auth: ClassChoice,
    /// `eku.both` (R5). Default `Reject`.
    pub both: BothEku,
    /// `eku.absent`: no EKU extension. Default `Reject`.
    pub absent: UnmarkedEku,
    /// `eku.any`: anyExtendedKeyUsage. Default `Reject`.
    pub any: UnmarkedEku,
    /// `clientAuth.subjects` (R1). Default `Person`.
    pub subjects: Subjects,
    /// Whether `clientAuth.trust` names anchors. Default no.
    pub has_client_trust: bool,
    /// `deviceNames.mixed` (R6). Default `RejectOtherTypes`.
    pub mixed_names: MixedNames,
    /// `identity.confirm` (R2). Default `ReverseDns`.
    pub confirm: Confirm,
    /// `identity.names`: whom to let in, in the order in which they are tried. `None`: every confirmed server.
    pub names: Option<Vec<NamePattern>>,
    /// `identity.addresses`: a further limit on the source. `None`: no limit.
    pub addresses: Option<Vec<AddressPrefix>>,
    /// `dns.dnssec` (R10). Default `Opportunistic`.
    pub dnssec: Dnssec,
    /// `dns.tlsa` (R11). Default `Honor`.
    pub tlsa: TlsaMode,
    /// `dns.caa` (R7). Default `Report`.
    pub caa: Reporting,
    /// `dns.cert` (R7). Default `Report`.
    pub cert: Reporting,
    /// `dns.sourcePort` (R15 b, R17). Default `Ignore`.
    pub source_port: SourcePort,
    /// `dns.services` (R15 a). Default none; at most 8.
    pub services: Vec<Service>,
    /// `dns.multicast` (R12). Default `Refuse`.
    pub multicast: Multicast,
    /// `dns.ports` (R15 c). `None`: the listener's own port. At most 8.
    pub ports: Option<Vec<u16>>,
    /// `dns.extraTypes` (R7). Default none; at most 16.
    pub extra_types: Vec<RrType>,
    /// `dns.maxNames`: how many names of a PTR answer are looked at. 1 to 64, default 8.
    pub max_names: u8,
    /// `dns.deadline` in milliseconds, from the ClientHello to the last decisive answer. 1 to 60,000, default 2500.
    pub deadline_ms: u32,
    /// Whether `trust` names any anchor for serverAuth (`public` other than `None`, or `caFiles`). Default yes.
    pub has_server_trust: bool,
    /// `trust.crlUnknown`. Default `Allow`.
    pub crl_unknown: CrlUnknown,
    /// `trust.crlExpired`. Default `Refuse`.
    pub crl_expired: CrlExpired,
    /// `forwardIdentity` (R4). Default `ClientAuthOnly`.
    pub forward_identity: ForwardIdentity,
    /// The `DnssecExemption`s that cover this policy (R13), and the built-in list.
    pub exemptions: Exemptions,
}

impl Default for PolicyDraft {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            server_auth: ClassChoice::Accept,
            client_auth: ClassChoice::Reject,
            both: BothEku::Reject,
            absent: UnmarkedEku::Reject,
            any: UnmarkedEku::Reject,
            subjects: Subjects::Person,
            has_client_trust: false,
            mixed_names: MixedNames::RejectOtherTypes,
            confirm: Confirm::ReverseDns,
            names: None,
            addresses: None,
            dnssec: Dnssec::Opportunistic,
            tlsa: TlsaMode::Honor,
            caa: Reporting::Report,
            cert: Reporting::Report,
            source_port: SourcePort::Ignore,
            services: Vec::new(),
            multicast: Multicast::Refuse,
            ports: None,
            extra_types: Vec::new(),
            max_names: 8,
            deadline_ms: 2500,
            has_server_trust: true,
            crl_unknown: CrlUnknown::Allow,
            crl_expired: CrlExpired::Refuse,
            forward_identity: ForwardIdentity::ClientAuthOnly,
            exemptions: Exemptions::default(),
        }
    }
}

/// A policy whose parts fit together. Made by [`PolicyDraft::build`]; reading goes to the draft's fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PolicyDraft", into = "PolicyDraft")]
pub struct Policy(PolicyDraft);

impl Deref for Policy {
    type Target = PolicyDraft;

    fn deref(&self) -> &PolicyDraft {
        &self.0
    }
}

impl From<Policy> for PolicyDraft {
    fn from(policy: Policy) -> Self {
        policy.0
    }
}

impl Policy {
    /// Whether a peer can be confirmed by its address alone (R3): not where names are listed.
    #[must_use]
    pub fn admits_addresses(&self) -> bool {
        self.names.is_none() && self.confirm == Confirm::ReverseDns
    }
}
