//! The documents by kind, each object once.

use std::collections::HashMap;

use super::report::Report;
use crate::documents::{
    DnssecExemptionSpec, Document, Kind, ListenerSpec, MeshConfigSpec, PeerPolicySpec, ProxyConfigSpec,
    ResolverOverrideSpec,
};
use crate::parse::SourceDocument;

/// An object of one kind.
pub(super) struct Of<'d, S> {
    pub(super) source: &'d SourceDocument,
    pub(super) name: &'d str,
    pub(super) spec: &'d S,
}

/// All objects, those of a kind ordered by name, so that neither files nor their order matter.
#[derive(Default)]
pub(super) struct Scope<'d> {
    pub(super) policies: Vec<Of<'d, PeerPolicySpec>>,
    pub(super) listeners: Vec<Of<'d, ListenerSpec>>,
    pub(super) processes: Vec<Of<'d, ProxyConfigSpec>>,
    pub(super) exemptions: Vec<Of<'d, DnssecExemptionSpec>>,
    pub(super) overrides: Vec<Of<'d, ResolverOverrideSpec>>,
    pub(super) meshes: Vec<Of<'d, MeshConfigSpec>>,
    first: Option<&'d SourceDocument>,
}

impl<'d> Scope<'d> {
    /// Sorts the documents. The second of a name is an error and left out.
    pub(super) fn new(documents: &'d [SourceDocument], report: &mut Report<'d>) -> Self {
        let mut scope = Self { first: documents.first(), ..Self::default() };
        let mut seen: HashMap<(Kind, &str), &SourceDocument> = HashMap::new();
        for source in documents {
            let (kind, name) = (source.document.kind(), source.document.name());
            if let Some(first) = seen.insert((kind, name), source) {
                let message = format_args!("this {} is there already, at {}", kind.as_str(), first.place());
                report.error(source, "metadata.name", message);
                seen.insert((kind, name), first);
                continue;
            }
            scope.add(source, name);
        }
        scope.sort();
        for (kind, second) in [
            (Kind::ProxyConfig, scope.processes.get(1).map(|of| of.source)),
            (Kind::MeshConfig, scope.meshes.get(1).map(|of| of.source)),
        ] {
            if let Some(second) = second {
                report.error(
                    second,
                    "metadata.name",
                    format_args!("there can be only one {}", kind.as_str()),
                );
            }
        }
        scope
    }

    /// Some document, for what is about none in particular.
    pub(super) fn any(&self) -> Option<&'d SourceDocument> {
        self.first
    }

    fn add(&mut self, source: &'d SourceDocument, name: &'d str) {
        match &source.document {
            Document::PeerPolicy(object) => self.policies.push(Of { source, name, spec: &object.spec }),
            Document::Listener(object) => self.listeners.push(Of { source, name, spec: &object.spec }),
            Document::ProxyConfig(object) => self.processes.push(Of { source, name, spec: &object.spec }),
            Document::DnssecExemption(object) => {
                self.exemptions.push(Of { source, name, spec: &object.spec });
            }
            Document::ResolverOverride(object) => {
                self.overrides.push(Of { source, name, spec: &object.spec });
            }
            Document::MeshConfig(object) => self.meshes.push(Of { source, name, spec: &object.spec }),
        }
    }

    fn sort(&mut self) {
        self.policies.sort_by_key(|of| of.name);
        self.listeners.sort_by_key(|of| of.name);
        self.exemptions.sort_by_key(|of| of.name);
        self.overrides.sort_by_key(|of| of.name);
    }
}
