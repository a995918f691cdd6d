//! What policies and exemptions are attached to.

use std::collections::HashMap;

use super::exemption::Exemption;
use super::report::Report;
use super::scope::Scope;
use crate::documents::{RouteSection, TargetKind, TargetRef};
use crate::parse::SourceDocument;

const MOST_TARGETS: usize = 16;

/// A listener of the scope, or a route of it, by their places.
type Target = (usize, Option<usize>);

/// Which policy and which exemptions hold where.
pub(super) struct Attachments {
    policies: HashMap<Target, usize>,
    exemptions: Vec<Vec<Target>>,
}

impl Attachments {
    /// Resolves every `targetRef`. Of a listener's policy and its section's, the section's wins whole; two for the same are an error.
    pub(super) fn new<'d>(scope: &Scope<'d>, exemptions: &[Exemption<'d>], report: &mut Report<'d>) -> Self {
        let mut policies: HashMap<Target, usize> = HashMap::new();
        for (policy, of) in scope.policies.iter().enumerate() {
            let Some(targets) = report.required(of.source, "spec.targetRefs", of.spec.target_refs.as_ref())
            else {
                continue;
            };
            report.bounded(of.source, "spec.targetRefs", targets.len(), 1, MOST_TARGETS);
            for (index, target) in targets.iter().enumerate() {
                let path = format!("spec.targetRefs[{index}]");
                let Some(found) = resolve(scope, of.source, &path, target, report) else { continue };
                if let Some(first) = policies.insert(found, policy) {
                    let first = scope.policies.get(first).map(|of| of.source);
                    let place = first.map(|first| format!("{} at {}", first.object(), first.place()));
                    let message = format_args!(
                        "{} has this target already: two policies cannot hold for the same route",
                        place.unwrap_or_default()
                    );
                    report.error(of.source, &path, message);
                }
            }
        }
        let exemptions = exemptions.iter().map(|exemption| {
            let targets = exemption.targets.iter().enumerate();
            let found = targets.filter_map(|(index, target)| {
                resolve(scope, exemption.source, &format!("spec.targetRefs[{index}]"), target, report)
            });
            let found: Vec<Target> = found.collect();
            if exemption.targets.is_empty() {
                (0..scope.listeners.len()).map(|l| (l, None)).collect()
            } else {
                found
            }
        });
        Self { exemptions: exemptions.collect(), policies }
    }

    /// The policy of a route.
    pub(super) fn policy(&self, listener: usize, route: usize) -> Option<usize> {
        self.policies.get(&(listener, Some(route))).or_else(|| self.policies.get(&(listener, None))).copied()
    }

    /// The exemptions that cover a route's policy.
    pub(super) fn exemptions(&self, listener: usize, route: usize) -> Vec<usize> {
        let covers = |targets: &Vec<Target>| {
            targets.iter().any(|(l, r)| *l == listener && r.is_none_or(|r| r == route))
        };
        let covering = self.exemptions.iter().enumerate().filter(|(_, targets)| covers(targets));
        covering.map(|(index, _)| index).collect()
    }
}

/// Checks that a `targetRef` is one that files can have: a `Listener` by name.
pub(super) fn file_target(
    source: &SourceDocument,
    path: &str,
    target: &TargetRef,
    report: &mut Report<'_>,
) -> bool {
    match target.kind.unwrap_or(TargetKind::Listener) {
        TargetKind::Listener => {
            report.required(source, &format!("{path}.name"), target.name.as_ref()).is_some()
        }
        kind @ (TargetKind::Service | TargetKind::Namespace) => {
            let message = format_args!(
                "{kind:?} is not supported in files: they know only Listener. Name the listener"
            );
            report.error(source, &format!("{path}.kind"), message);
            false
        }
    }
}

fn resolve(
    scope: &Scope<'_>,
    source: &SourceDocument,
    path: &str,
    target: &TargetRef,
    report: &mut Report<'_>,
) -> Option<Target> {
    if target.kind.is_some_and(|kind| kind != TargetKind::Listener) || target.name.is_none() {
        // An exemption's was reported when it was compiled.
        if source.document.kind() == crate::documents::Kind::PeerPolicy {
            file_target(source, path, target, report);
        }
        return None;
    }
    let name = target.name.as_ref()?;
    let Some(listener) = scope.listeners.iter().position(|of| of.name == name.as_str()) else {
        let known: Vec<&str> = scope.listeners.iter().map(|of| of.name).collect();
        let message = format_args!("there is no Listener {name}{}", nearest(name.as_str(), &known));
        report.error(source, &format!("{path}.name"), message);
        return None;
    };
    let Some(section) = &target.section_name else { return Some((listener, None)) };
    let routes: &[RouteSection] = scope.listeners.get(listener)?.spec.routes.as_deref().unwrap_or_default();
    let names: Vec<&str> = routes.iter().map(|r| r.name.as_ref().map_or("", |name| name.as_str())).collect();
    let Some(route) = names.iter().position(|name| *name == section.as_str()) else {
        let message =
            format_args!("Listener {name} has no route {section}{}", nearest(section.as_str(), &names));
        report.error(source, &format!("{path}.sectionName"), message);
        return None;
    };
    Some((listener, Some(route)))
}

/// What may have been meant.
fn nearest(name: &str, known: &[&str]) -> String {
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(name, known);
    let best =
        known.iter().filter(|known| !known.is_empty()).max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    best.map(|best| format!(": did you mean {best}?")).unwrap_or_default()
}
