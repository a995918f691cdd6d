//! `DnssecExemption`s (R13).

use revouch_validator::exemption::ExemptZone;
use revouch_validator::timestamp::Timestamp;

use super::mesh::Mesh;
use super::report::Report;
use super::scope::{Of, Scope};
use super::targets::file_target;
use crate::documents::{DnssecExemptionSpec, PeerPolicySpec, TargetRef};
use crate::parse::SourceDocument;

const MOST_ZONES: usize = 256;

/// An exemption as it was written, and its zones.
pub(super) struct Exemption<'d> {
    pub(super) source: &'d SourceDocument,
    /// What it covers; everything if empty.
    pub(super) targets: &'d [TargetRef],
    pub(super) zones: Vec<ExemptZone>,
}

impl Exemption<'_> {
    /// Whether some route can have both this exemption and the policy.
    pub(super) fn may_cover(&self, policy: &PeerPolicySpec) -> bool {
        let meets = |own: &TargetRef, other: &TargetRef| {
            let apart = own.section_name.is_some() && other.section_name.is_some();
            own.name == other.name && (!apart || own.section_name == other.section_name)
        };
        let policies = policy.target_refs.as_deref().unwrap_or_default();
        self.targets.is_empty()
            || self.targets.iter().any(|own| policies.iter().any(|other| meets(own, other)))
    }
}

/// Every exemption, also the expired: the decision asks the clock itself.
pub(super) fn compile<'d>(
    scope: &Scope<'d>,
    mesh: &Mesh<'_>,
    now: Timestamp,
    report: &mut Report<'d>,
) -> Vec<Exemption<'d>> {
    scope.exemptions.iter().map(|of| compile_one(of, mesh, now, report)).collect()
}

/// Zones in a fixed order, none twice.
pub(super) fn ordered(mut zones: Vec<ExemptZone>) -> Vec<ExemptZone> {
    zones.sort_by(|a, b| (&a.zone, a.not_after).cmp(&(&b.zone, b.not_after)));
    zones.dedup();
    zones
}

fn compile_one<'d>(
    of: &Of<'d, DnssecExemptionSpec>,
    mesh: &Mesh<'_>,
    now: Timestamp,
    report: &mut Report<'d>,
) -> Exemption<'d> {
    let (source, spec) = (of.source, of.spec);
    let zones = report.required(source, "spec.zones", spec.zones.as_ref()).map(Vec::as_slice);
    if let Some(zones) = zones {
        report.bounded(source, "spec.zones", zones.len(), 1, MOST_ZONES);
    }
    if let Some(reason) = report.required(source, "spec.reason", spec.reason.as_ref())
        && reason.trim().is_empty()
    {
        report.error(source, "spec.reason", "is empty: say why DNSSEC is not evaluated here");
    }
    let not_after = spec.not_after.map(|time| time.0);
    check_age(of, mesh, now, report);
    let targets = spec.target_refs.as_deref().unwrap_or_default();
    for (index, target) in targets.iter().enumerate() {
        file_target(source, &format!("spec.targetRefs[{index}]"), target, report);
    }
    for (index, zone) in zones.unwrap_or_default().iter().enumerate().filter(|(_, zone)| zone.0.is_root()) {
        let path = format!("spec.zones[{index}]");
        report.warn(
            source,
            &path,
            format_args!("{zone} exempts every name there is: DNSSEC is evaluated nowhere"),
        );
    }
    let zones = zones.unwrap_or_default().iter().map(|zone| ExemptZone { zone: zone.0.clone(), not_after });
    Exemption { source, targets, zones: zones.collect() }
}

fn check_age(of: &Of<'_, DnssecExemptionSpec>, mesh: &Mesh<'_>, now: Timestamp, report: &mut Report<'_>) {
    let (source, path) = (of.source, "spec.notAfter");
    let not_after = of.spec.not_after.map(|time| time.0);
    match (not_after, mesh.exemption_max_age) {
        (Some(end), _) if end < now => {
            report.warn(source, path, format_args!("expired at {end}: it exempts nothing any more"));
        }
        (None, Some(_)) => {
            report.error(
                source,
                path,
                "is missing: the MeshConfig's constraints.exemptions.maxAge wants an end",
            );
        }
        (Some(end), Some(age)) if end > now.saturating_add(age.as_secs()) => {
            let latest = now.saturating_add(age.as_secs());
            let message = format_args!(
                "{end} is later than the MeshConfig's constraints.exemptions.maxAge allows: at most {latest} now"
            );
            report.error(source, path, message);
        }
        (None, None) => {
            report.warn(
                source,
                path,
                "is left out: the exemption never ends, and nobody will look at it again",
            );
        }
        _ => {}
    }
}
