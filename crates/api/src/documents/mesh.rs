//! `MeshConfig`: what holds for all policies.

use std::path::Path;

use revouch_validator::policy::Mode;

use super::peer_policy::PeerPolicySpec;
use super::section::{sections, words};
use super::values::{Age, FilePath, ObjectName};

sections! {
    /// `spec` of a `MeshConfig`.
    MeshConfigSpec {
        /// Fields of policies that do not set them.
        defaults: PeerPolicySpec,
        /// What no policy can loosen.
        constraints: ConstraintsSection,
        /// DNS for all.
        dns: MeshDnsSection,
    }

    /// `constraints`.
    ConstraintsSection {
        /// The laxest mode.
        mode: Mode,
        /// Who may exempt, and for how long.
        exemptions: ExemptionConstraints,
    }

    /// `constraints.exemptions`.
    ExemptionConstraints {
        /// Kubernetes namespaces that may exempt; not in files.
        namespaces: Vec<ObjectName>,
        /// How far in the future an exemption may end.
        max_age: Age,
    }

    /// `dns` of a `MeshConfig`.
    MeshDnsSection {
        /// A file of DNSKEY records that replaces the built-in anchors of the root.
        trust_anchor_file: FilePath,
        /// R13's default list.
        builtin_exempt_zones: BuiltinExemptZones,
    }
}

words! {
    /// Whether R13's default list holds.
    BuiltinExemptZones {
        /// It does.
        Enabled,
        /// It does not; the multicast zones stay exempt (R12).
        Disabled,
    }
}

impl MeshConfigSpec {
    pub(crate) fn resolve_paths(&mut self, base: &Path) {
        if let Some(defaults) = &mut self.defaults {
            defaults.resolve_paths(base);
        }
        if let Some(path) = self.dns.as_mut().and_then(|dns| dns.trust_anchor_file.as_mut()) {
            path.resolve(base);
        }
    }
}
