//! `PeerPolicy`s: what was left out filled in, what contradicts itself refused.

use std::path::PathBuf;

use revouch_validator::exemption::Exemptions;
use revouch_validator::policy::{BothEku, ClassChoice, Confirm, Mode, PolicyDraft, PolicyError, UnmarkedEku};

use super::mesh::Mesh;
use super::report::Report;
use super::scope::Of;
use crate::config::{CompiledPolicy, Loopback, PublicTrust, TrustConfig};
use crate::documents::section::Fill as _;
use crate::documents::values::{FilePath, Text};
use crate::documents::{
    ClientAuthSection, DeviceNamesSection, DnsSection, EkuSection, IdentitySection, OnDnsChange,
    PeerPolicySpec,
};
use crate::parse::SourceDocument;

const MOST_FILES: usize = 64;
/// More than there are kinds of contradiction, some of which can stand at several fields.
const ROUNDS: usize = 32;

/// A policy that lacks only the exemptions of a route.
pub(super) struct Prepared<'d> {
    pub(super) source: &'d SourceDocument,
    /// As it was written, with the `MeshConfig`'s defaults.
    pub(super) spec: PeerPolicySpec,
    pub(super) draft: PolicyDraft,
    pub(super) trust: TrustConfig,
    pub(super) client_ca_files: Vec<PathBuf>,
    pub(super) loopback: Loopback,
}

impl Prepared<'_> {
    /// The policy with these exemptions; `None` if it contradicts itself, which was reported.
    pub(super) fn compile(&self, exemptions: Exemptions) -> Option<CompiledPolicy> {
        let draft = PolicyDraft { exemptions, ..self.draft.clone() };
        Some(CompiledPolicy {
            name: self.source.document.name().to_owned(),
            policy: draft.build().ok()?,
            trust: self.trust.clone(),
            client_ca_files: self.client_ca_files.clone(),
            loopback: self.loopback,
        })
    }
}

/// Fills a policy and holds its parts against each other. Every contradiction is reported; what comes back has them mended, so that the
/// rest can be looked at too.
pub(super) fn prepare<'d>(
    of: &Of<'d, PeerPolicySpec>,
    mesh: &Mesh<'_>,
    report: &mut Report<'d>,
) -> Prepared<'d> {
    let source = of.source;
    let mut spec = of.spec.clone();
    if let Some(defaults) = mesh.defaults {
        spec.fill(defaults);
    }
    if mesh.enforce && spec.mode == Some(Mode::Audit) {
        report.warn(source, "spec.mode", "Audit is overridden: the MeshConfig's constraints.mode is Enforce");
        spec.mode = Some(Mode::Enforce);
    }
    if spec.on_dns_change == Some(OnDnsChange::Close) {
        report.error(source, "spec.onDnsChange", "Close is not supported yet: use Keep");
    }
    let trust = spec.trust.clone().unwrap_or_default();
    let client = spec.client_auth.as_ref().and_then(|s| s.trust.as_ref()).and_then(|t| t.ca_files.as_ref());
    for (path, files) in [
        ("spec.trust.caFiles", trust.ca_files.as_ref()),
        ("spec.trust.crlFiles", trust.crl_files.as_ref()),
        ("spec.clientAuth.trust.caFiles", client),
    ] {
        report.bounded(source, path, files.map_or(0, Vec::len), 0, MOST_FILES);
    }
    let paths = |files: Option<&Vec<FilePath>>| -> Vec<PathBuf> {
        files.into_iter().flatten().map(|path| path.as_path().to_owned()).collect()
    };
    let mut prepared = Prepared {
        source,
        draft: PolicyDraft::default(),
        client_ca_files: paths(client),
        trust: TrustConfig {
            public: trust.public.unwrap_or(PublicTrust::Bundled),
            ca_files: paths(trust.ca_files.as_ref()),
            crl_files: paths(trust.crl_files.as_ref()),
        },
        loopback: spec.upstream.as_ref().and_then(|u| u.loopback).unwrap_or(Loopback::Warn),
        spec,
    };
    prepared.draft = draft(&prepared);
    // Each round mends what it reports. What is left after so many is an error all the same: one was reported.
    for _ in 0..ROUNDS {
        let Err(error) = prepared.draft.clone().build() else { break };
        let path = mend(&mut prepared.draft, error);
        report.error(source, &path, error);
    }
    prepared
}

fn draft(prepared: &Prepared<'_>) -> PolicyDraft {
    let d = PolicyDraft::default();
    let spec = &prepared.spec;
    let eku: EkuSection = spec.eku.clone().unwrap_or_default();
    let client: ClientAuthSection = spec.client_auth.clone().unwrap_or_default();
    let devices: DeviceNamesSection = spec.device_names.clone().unwrap_or_default();
    let identity: IdentitySection = spec.identity.clone().unwrap_or_default();
    let dns: DnsSection = spec.dns.clone().unwrap_or_default();
    let trust = spec.trust.clone().unwrap_or_default();
    PolicyDraft {
        mode: spec.mode.unwrap_or(d.mode),
        server_auth: eku.server_auth.unwrap_or(d.server_auth),
        client_auth: eku.client_auth.unwrap_or(d.client_auth),
        both: eku.both.unwrap_or(d.both),
        absent: eku.absent.unwrap_or(d.absent),
        any: eku.any.unwrap_or(d.any),
        subjects: client.subjects.unwrap_or(d.subjects),
        has_client_trust: !prepared.client_ca_files.is_empty(),
        mixed_names: devices.mixed.unwrap_or(d.mixed_names),
        confirm: identity.confirm.unwrap_or(d.confirm),
        names: identity.names.map(plain),
        addresses: identity.addresses.map(plain),
        dnssec: dns.dnssec.unwrap_or(d.dnssec),
        tlsa: dns.tlsa.unwrap_or(d.tlsa),
        caa: dns.caa.unwrap_or(d.caa),
        cert: dns.cert.unwrap_or(d.cert),
        source_port: dns.source_port.unwrap_or(d.source_port),
        services: dns.services.map_or(d.services, plain),
        multicast: dns.multicast.unwrap_or(d.multicast),
        ports: dns.ports,
        extra_types: dns.extra_types.map_or(d.extra_types, plain),
        max_names: dns.max_names.unwrap_or(d.max_names),
        // Longer than can be counted is longer than is allowed.
        deadline_ms: dns
            .deadline
            .map_or(d.deadline_ms, |span| u32::try_from(span.0.as_millis()).unwrap_or(u32::MAX)),
        has_server_trust: prepared.trust.public != PublicTrust::None || !prepared.trust.ca_files.is_empty(),
        crl_unknown: trust.crl_unknown.unwrap_or(d.crl_unknown),
        crl_expired: trust.crl_expired.unwrap_or(d.crl_expired),
        forward_identity: spec.forward_identity.unwrap_or(d.forward_identity),
        exemptions: d.exemptions,
    }
}

fn plain<T>(texts: Vec<Text<T>>) -> Vec<T> {
    texts.into_iter().map(|text| text.0).collect()
}

/// Takes a contradiction out of a draft, and says which field it is about.
fn mend(draft: &mut PolicyDraft, error: PolicyError) -> String {
    let default = PolicyDraft::default();
    match error {
        PolicyError::EmptyNames => {
            (draft.names, draft.confirm) = (None, Confirm::ReverseDns);
            "spec.identity.names".into()
        }
        PolicyError::EmptyAddresses => {
            draft.addresses = None;
            "spec.identity.addresses".into()
        }
        PolicyError::ConfirmNeedsNames => {
            draft.confirm = Confirm::ReverseDns;
            "spec.identity.confirm".into()
        }
        PolicyError::ConfirmNeedsExactNames => {
            draft.confirm = Confirm::ReverseDns;
            let wildcard = draft.names.iter().flatten().position(|pattern| pattern.exact().is_none());
            format!("spec.identity.names[{}]", wildcard.unwrap_or(0))
        }
        PolicyError::NobodyAccepted => {
            draft.server_auth = ClassChoice::Accept;
            "spec.eku.serverAuth".into()
        }
        PolicyError::AsRejectedClass => mend_class(draft).into(),
        PolicyError::ClientAuthNeedsTrust => {
            draft.has_client_trust = true;
            "spec.eku.clientAuth".into()
        }
        PolicyError::NoTrust => {
            draft.has_server_trust = true;
            "spec.trust.public".into()
        }
        PolicyError::Deadline => {
            draft.deadline_ms = default.deadline_ms;
            "spec.dns.deadline".into()
        }
        PolicyError::MaxNames => {
            draft.max_names = default.max_names;
            "spec.dns.maxNames".into()
        }
        PolicyError::Ports => {
            let zero = draft.ports.take().and_then(|ports| ports.iter().position(|port| *port == 0));
            zero.map_or("spec.dns.ports".into(), |index| format!("spec.dns.ports[{index}]"))
        }
        PolicyError::ListTooLong => mend_lists(draft).into(),
    }
}

fn mend_class(draft: &mut PolicyDraft) -> &'static str {
    if draft.both == BothEku::AsClientAuth && draft.client_auth == ClassChoice::Reject
        || draft.both == BothEku::AsServerAuth && draft.server_auth == ClassChoice::Reject
    {
        draft.both = BothEku::Reject;
        "spec.eku.both"
    } else if draft.absent == UnmarkedEku::AsServerAuth {
        draft.absent = UnmarkedEku::Reject;
        "spec.eku.absent"
    } else {
        draft.any = UnmarkedEku::Reject;
        "spec.eku.any"
    }
}

/// The bounds of [`PolicyError::ListTooLong`]. Whatever else it may come to mean, the round ends with all lists short.
fn mend_lists(draft: &mut PolicyDraft) -> &'static str {
    let path = if draft.services.len() > 8 {
        "spec.dns.services"
    } else if draft.ports.as_ref().is_some_and(|ports| ports.len() > 8) {
        "spec.dns.ports"
    } else if draft.extra_types.len() > 16 {
        "spec.dns.extraTypes"
    } else if draft.names.as_ref().is_some_and(|names| names.len() > 1024) {
        "spec.identity.names"
    } else {
        "spec.identity.addresses"
    };
    match path {
        "spec.dns.services" => draft.services.clear(),
        "spec.dns.ports" => draft.ports = None,
        "spec.dns.extraTypes" => draft.extra_types.clear(),
        "spec.identity.names" => {
            draft.names = draft.names.take().and_then(|names| Some(vec![names.into_iter().next()?]));
        }
        _ => draft.addresses = None,
    }
    path
}
