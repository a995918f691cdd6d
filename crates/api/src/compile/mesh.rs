//! The `MeshConfig`: defaults that fill policies, constraints that tighten them.

use std::path::PathBuf;
use std::time::Duration;

use revouch_validator::policy::Mode;

use super::report::Report;
use super::scope::Scope;
use crate::documents::{BuiltinExemptZones, PeerPolicySpec};
use crate::parse::SourceDocument;

/// What holds for all policies.
pub(super) struct Mesh<'d> {
    pub(super) defaults: Option<&'d PeerPolicySpec>,
    /// Whether `constraints.mode: Enforce` overrides `Audit`.
    pub(super) enforce: bool,
    /// How far in the future an exemption may end.
    pub(super) exemption_max_age: Option<Duration>,
    pub(super) trust_anchor_file: Option<PathBuf>,
    pub(super) builtin_exempt_zones: bool,
}

impl<'d> Mesh<'d> {
    /// Of the one `MeshConfig`, or of none.
    pub(super) fn new(scope: &Scope<'d>, report: &mut Report<'d>) -> Self {
        let Some(of) = scope.meshes.first() else {
            return Self {
                defaults: None,
                enforce: false,
                exemption_max_age: None,
                trust_anchor_file: None,
                builtin_exempt_zones: true,
            };
        };
        report.look_into(of.source);
        if of.name != "default" {
            report.error(of.source, "metadata.name", "the MeshConfig is called default, as in a cluster");
        }
        let dns = of.spec.dns.as_ref();
        let constraints = of.spec.constraints.as_ref();
        let exemptions = constraints.and_then(|c| c.exemptions.as_ref());
        let mode = constraints.and_then(|c| c.mode);
        if exemptions.is_some_and(|e| e.namespaces.is_some()) {
            refuse_namespaces(of.source, report);
        }
        if of.spec.defaults.as_ref().is_some_and(|d| d.target_refs.is_some()) {
            report.error(of.source, "spec.defaults.targetRefs", "each PeerPolicy names its own targets");
        }
        if mode == Some(Mode::Audit) {
            report.warn(
                of.source,
                "spec.constraints.mode",
                "Audit is the laxest mode: it constrains nothing",
            );
        }
        Self {
            defaults: of.spec.defaults.as_ref(),
            enforce: mode == Some(Mode::Enforce),
            exemption_max_age: exemptions.and_then(|e| e.max_age).map(|age| age.0),
            trust_anchor_file: dns
                .and_then(|dns| dns.trust_anchor_file.as_ref())
                .map(|path| path.as_path().to_owned()),
            builtin_exempt_zones: dns.and_then(|dns| dns.builtin_exempt_zones)
                != Some(BuiltinExemptZones::Disabled),
        }
    }
}

fn refuse_namespaces(source: &SourceDocument, report: &mut Report<'_>) {
    let path = "spec.constraints.exemptions.namespaces";
    report.error(source, path, "not supported in files: they have no namespaces. Leave it out");
}
