//! The policy that is meant, with the trust and the port that go with it.

use std::path::Path;
use std::sync::Arc;

use revouch_api::compile::{CompiledAlone, compile_alone};
use revouch_api::config::{CompiledPolicy, ResolverConfig};
use revouch_api::documents::Document;
use revouch_api::load::documents;
use revouch_api::parse::SourceDocument;
use revouch_proxy::load::files::Files;
use revouch_proxy::load::load_trust;
use revouch_proxy::load::trust::load_crls;
use revouch_validator::policy::{Policy, SourcePort, TlsaMode};
use revouch_validator::timestamp::Timestamp;
use revouch_validator::trust::TrustStore;

use crate::exit::Failure;
use crate::files;

/// One policy of a configuration.
pub(super) struct Chosen {
    compiled: Arc<CompiledPolicy>,
    pub(super) resolver: ResolverConfig,
    /// What is unwise about them.
    pub(super) warnings: Vec<String>,
    /// Where its trust stands, or else the policy.
    place: String,
    /// The ports of the listeners that it is meant for, none twice.
    ports: Vec<u16>,
}

impl Chosen {
    /// Reads and compiles.
    pub(super) fn load(path: &Path, name: Option<&str>, now: Timestamp) -> Result<Self, Failure> {
        let failed = |error: revouch_api::diagnostic::Diagnostics| Failure::new(error.to_string());
        let (_, documents) = documents(path).map_err(failed)?;
        let names = policy_names(&documents);
        if name.is_none() && names.len() > 1 {
            let names = names.join(", ");
            return Err(Failure::new(format!(
                "{}: say which PeerPolicy is meant with --policy-name: {names}",
                path.display()
            )));
        }
        let CompiledAlone { policy, resolver, warnings } =
            compile_alone(&documents, name, now).map_err(failed)?;
        let ports = listener_ports(&documents, &policy.name);
        let warnings = warnings.iter().map(ToString::to_string).collect();
        let object = format!("PeerPolicy {}", policy.name);
        let document = documents.iter().find(|document| document.object() == object);
        let place = document.map_or_else(String::new, |document| document.nearest("spec.trust").to_string());
        Ok(Self { compiled: policy, resolver, warnings, place, ports })
    }

    pub(super) fn name(&self) -> &str {
        &self.compiled.name
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.compiled.policy
    }

    /// Whom it trusts, with what was given on the command line in the place of its files, which then need not be there.
    pub(super) fn trust(
        &self,
        roots: Option<&Path>,
        crls: &[std::path::PathBuf],
    ) -> Result<TrustStore, Failure> {
        let named = |error: revouch_proxy::load::trust::TrustError| {
            Failure::new(format!("{}: PeerPolicy {}: {error}", self.place, self.name()))
        };
        let given = |error: revouch_proxy::load::trust::TrustError| Failure::new(error.to_string());
        let mut wanted = (*self.compiled).clone();
        if roots.is_some() {
            wanted.trust.public = revouch_api::config::PublicTrust::None;
            wanted.trust.ca_files.clear();
        }
        if !crls.is_empty() {
            wanted.trust.crl_files.clear();
        }
        let (mut store, _) = load_trust(&wanted, &mut Files::new()).map_err(named)?;
        if let Some(path) = roots {
            store.server = files::roots(path)?;
        }
        if !crls.is_empty() {
            store.crls = load_crls(&mut Files::new(), crls).map_err(given)?;
        }
        Ok(store)
    }

    /// The port that the peer connects to: where TLSA records are looked for if the policy has no `ports` (R15 c).
    pub(super) fn local_port(&self, given: Option<u16>) -> Result<u16, Failure> {
        let policy = self.policy();
        let matters = policy.ports.is_none()
            && (policy.tlsa != TlsaMode::Ignore || policy.source_port != SourcePort::Ignore);
        match (given, self.ports.as_slice()) {
            (Some(port), _) => Ok(port),
            (None, [port]) => Ok(*port),
            (None, []) if !matters => Ok(0),
            (None, [port, ..]) if !matters => Ok(*port),
            (None, []) => Err(Failure::new(format!(
                "PeerPolicy {}: no Listener with a port of its own is in this file: say with --local-port which port peers connect to",
                self.name()
            ))),
            (None, ports) => {
                let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
                let ports = ports.join(", ");
                Err(Failure::new(format!(
                    "PeerPolicy {}: say with --local-port which port is meant: {ports}",
                    self.name()
                )))
            }
        }
    }
}

fn policy_names(documents: &[SourceDocument]) -> Vec<&str> {
    let policies = documents.iter().filter(|document| matches!(document.document, Document::PeerPolicy(_)));
    policies.map(|document| document.document.name()).collect()
}

fn listener_ports(documents: &[SourceDocument], policy: &str) -> Vec<u16> {
    let mut targets: Vec<&str> = Vec::new();
    for document in documents {
        if let Document::PeerPolicy(object) = &document.document
            && object.metadata.name.as_str() == policy
        {
            let refs = object.spec.target_refs.iter().flatten();
            targets.extend(
                refs.filter_map(|target| target.name.as_ref())
                    .map(revouch_api::documents::values::ObjectName::as_str),
            );
        }
    }
    let mut ports = Vec::new();
    for document in documents {
        if let Document::Listener(object) = &document.document
            && targets.contains(&object.metadata.name.as_str())
        {
            let bind = object.spec.bind.iter().flatten().map(|address| address.0.port());
            ports.extend(bind.filter(|port| *port != 0));
        }
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}
