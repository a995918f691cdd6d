//! From documents to what the proxy runs on.
//!
//! Promises: what `docs/reference/policy.md` says is refused is refused here, every contradiction of a set of documents at once and
//! each at the place of the field that is to be changed. A field whose effect is not built is refused, never passed over. What is
//! legal and unwise is a warning.

mod exemption;
mod lint;
mod listener;
mod mesh;
mod policy;
mod process;
mod report;
mod resolver;
mod scope;
mod targets;

use std::collections::BTreeMap;
use std::sync::Arc;

use revouch_validator::exemption::{ExemptZone, Exemptions};
use revouch_validator::timestamp::Timestamp;

use crate::config::{CompiledPolicy, Config, ResolverConfig};
use crate::diagnostic::{Diagnostic, Diagnostics, tidy};
use crate::parse::SourceDocument;
use exemption::Exemption;
use mesh::Mesh;
use policy::Prepared;
use report::Report;
use scope::Scope;
use targets::Attachments;

/// A configuration, and what is unwise about it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What the proxy runs on.
    pub config: Config,
    /// Findings that do not keep it from running, in the order of files and lines.
    pub warnings: Vec<Diagnostic>,
}

/// One policy by itself, for a decision by hand: without the listeners that it is meant for.
#[derive(Clone, Debug)]
pub struct CompiledAlone {
    /// The policy, with the exemptions that cover any of its targets.
    pub policy: Arc<CompiledPolicy>,
    /// The resolver's settings.
    pub resolver: ResolverConfig,
    /// What is unwise about them.
    pub warnings: Vec<Diagnostic>,
}

/// Compiles a whole configuration. `now` is for what expires.
///
/// # Errors
/// Every contradiction that was found, with the warnings beside them.
pub fn compile(documents: &[SourceDocument], now: Timestamp) -> Result<Compiled, Diagnostics> {
    let mut report = Report::new();
    let scope = Scope::new(documents, &mut report);
    let mesh = Mesh::new(&scope, &mut report);
    let process = process::compile(&scope, &mut report);
    let exemptions = exemption::compile(&scope, &mesh, now, &mut report);
    let resolver = resolver::compile(&scope, &mesh, &exemptions, &mut report);
    let policies: Vec<Prepared<'_>> =
        scope.policies.iter().map(|policy| policy::prepare(policy, &mesh, &mut report)).collect();
    let attachments = Attachments::new(&scope, &exemptions, &mut report);
    let mut cache = Cache::default();
    let mut listeners = listener::compile_all(&scope, process.metrics, &mut report, |listener, route| {
        let policy = attachments.policy(listener, route)?;
        let covering = attachments.exemptions(listener, route);
        Some((policies.get(policy)?, cache.compiled(policy, &policies, covering, &exemptions, &mesh)?))
    });
    listeners.sort_by(|a, b| a.name.cmp(&b.name));
    lint::scope(&scope, &policies, &attachments, &mut report);
    let (found, failed) = report.into_found();
    if failed {
        return Err(Diagnostics(tidy(found)));
    }
    Ok(Compiled { config: Config { process, resolver, listeners }, warnings: tidy(found) })
}

/// Compiles the `PeerPolicy` of this name, or the only one there is. Its targets need not be among the documents.
///
/// # Errors
/// There is no such policy, several to choose from, or contradictions in it, in the `MeshConfig`, an exemption or an override.
pub fn compile_alone(
    documents: &[SourceDocument],
    name: Option<&str>,
    now: Timestamp,
) -> Result<CompiledAlone, Diagnostics> {
    let mut report = Report::new();
    let scope = Scope::new(documents, &mut report);
    let mesh = Mesh::new(&scope, &mut report);
    let exemptions = exemption::compile(&scope, &mesh, now, &mut report);
    let resolver = resolver::compile(&scope, &mesh, &exemptions, &mut report);
    let known = || scope.policies.iter().map(|policy| policy.name).collect::<Vec<_>>().join(", ");
    let fits = |policy: &&scope::Of<'_, _>| name.is_none_or(|name| policy.name == name);
    let mut fitting = scope.policies.iter().filter(fits);
    let chosen = match (fitting.next(), fitting.next()) {
        (Some(policy), None) => Ok(policy),
        (None, _) if scope.policies.is_empty() => Err("there is no PeerPolicy".to_owned()),
        (None, _) => Err(format!("there is no PeerPolicy of this name, only {}", known())),
        (Some(_), Some(_)) => Err(format!("which PeerPolicy is meant? There are {}", known())),
    };
    let chosen = match chosen {
        Ok(chosen) => chosen,
        Err(why) => {
            let file = documents.first().map(|document| document.place().file).unwrap_or_default();
            let mut found = report.into_found().0;
            found.push(Diagnostic::about_file(file, why));
            return Err(Diagnostics(tidy(found)));
        }
    };
    let prepared = policy::prepare(chosen, &mesh, &mut report);
    let covering = exemptions.iter().enumerate().filter(|(_, exemption)| exemption.may_cover(chosen.spec));
    let covering = covering.map(|(index, _)| index).collect();
    lint::policy(&prepared, &mut report);
    let policy = Cache::default().compiled(0, &[prepared], covering, &exemptions, &mesh);
    match (policy, report.into_found()) {
        (Some(policy), (found, false)) => Ok(CompiledAlone { policy, resolver, warnings: tidy(found) }),
        (_, (found, _)) => Err(Diagnostics(tidy(found))),
    }
}

/// Policies as they hold on routes: one value for all routes that have the same policy and the same exemptions.
#[derive(Default)]
struct Cache {
    compiled: BTreeMap<(usize, Vec<usize>), Arc<CompiledPolicy>>,
}

impl Cache {
    /// `None` only for a policy that was reported as an error.
    fn compiled(
        &mut self,
        policy: usize,
        policies: &[Prepared<'_>],
        covering: Vec<usize>,
        exemptions: &[Exemption<'_>],
        mesh: &Mesh<'_>,
    ) -> Option<Arc<CompiledPolicy>> {
        if let Some(known) = self.compiled.get(&(policy, covering.clone())) {
            return Some(Arc::clone(known));
        }
        let zones =
            covering.iter().filter_map(|index| exemptions.get(*index)).flat_map(|e| e.zones.iter().cloned());
        let listed = exemption::ordered(zones.collect::<Vec<ExemptZone>>());
        let exempt = Exemptions { listed, built_in: mesh.builtin_exempt_zones };
        let compiled = Arc::new(policies.get(policy)?.compile(exempt)?);
        self.compiled.insert((policy, covering), Arc::clone(&compiled));
        Some(compiled)
    }
}

#[cfg(test)]
mod tests;
