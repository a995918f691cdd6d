//! Policies with the anchors and revocation lists that they name.

use std::path::PathBuf;
use std::sync::Arc;

use revouch_api::config::{CompiledPolicy, Loopback as LoopbackConfig, PublicTrust};
use revouch_resolver::{Limiter, Resolver};
use revouch_validator::path::{Anchors, Crls};
use revouch_validator::trust::TrustStore;

use super::LoadError;
use super::files::Files;
use super::resolver::Dns;
use super::trust::{PublicRoots, TrustError, TrustReport, load_anchors, load_crls};
use crate::runtime::{Loopback, PolicyRuntime};
use crate::snapshot::TrustSummary;

/// The trust of every policy so far. Each is loaded once, however many routes and listeners it has.
#[derive(Default)]
pub(super) struct Policies {
    loaded: Vec<(Arc<CompiledPolicy>, TrustStore, TrustSummary)>,
}

/// The policies of one listener: they share its way to the DNS.
pub(super) struct OfListener<'p> {
    policies: &'p mut Policies,
    resolver: &'p Resolver,
    limiter: &'p Limiter,
    made: Vec<(Arc<CompiledPolicy>, Arc<PolicyRuntime>)>,
}

impl Policies {
    pub(super) fn of_listener<'p>(
        &'p mut self,
        resolver: &'p Resolver,
        limiter: &'p Limiter,
    ) -> OfListener<'p> {
        OfListener { policies: self, resolver, limiter, made: Vec::new() }
    }

    /// Whom each policy trusts, each told once.
    pub(super) fn into_summaries(self) -> Vec<TrustSummary> {
        let mut summaries: Vec<TrustSummary> = Vec::new();
        for (_, _, summary) in self.loaded {
            if !summaries.contains(&summary) {
                summaries.push(summary);
            }
        }
        summaries
    }

    fn trust(&mut self, policy: &Arc<CompiledPolicy>, files: &mut Files) -> Result<TrustStore, LoadError> {
        let same = |known: &&(Arc<CompiledPolicy>, TrustStore, TrustSummary)| {
            known.0.name == policy.name
                && known.0.trust == policy.trust
                && known.0.client_ca_files == policy.client_ca_files
        };
        if let Some((_, store, _)) = self.loaded.iter().find(same) {
            return Ok(store.clone());
        }
        let loaded = load(policy, files);
        let (store, summary) = loaded.map_err(|why| LoadError::Trust { policy: policy.name.clone(), why })?;
        self.loaded.push((Arc::clone(policy), store.clone(), summary));
        Ok(store)
    }
}

impl OfListener<'_> {
    pub(super) fn runtime(
        &mut self,
        policy: &Arc<CompiledPolicy>,
        files: &mut Files,
    ) -> Result<Arc<PolicyRuntime>, LoadError> {
        if let Some((_, runtime)) = self.made.iter().find(|(known, _)| Arc::ptr_eq(known, policy)) {
            return Ok(Arc::clone(runtime));
        }
        let runtime = Arc::new(PolicyRuntime {
            name: policy.name.as_str().into(),
            policy: policy.policy.clone(),
            trust: self.policies.trust(policy, files)?,
            evidence: Arc::new(Dns::new(self.resolver.clone(), self.limiter.clone())),
            loopback: match policy.loopback {
                LoopbackConfig::Warn => Loopback::Warn,
                LoopbackConfig::Forbid => Loopback::Forbid,
                LoopbackConfig::Allow => Loopback::Allow,
            },
        });
        self.made.push((Arc::clone(policy), Arc::clone(&runtime)));
        Ok(runtime)
    }
}

/// Loads whom a policy trusts.
///
/// # Errors
/// A file that it names cannot be used.
pub fn load(policy: &CompiledPolicy, files: &mut Files) -> Result<(TrustStore, TrustSummary), TrustError> {
    let public = match policy.trust.public {
        PublicTrust::Bundled => PublicRoots::Bundled,
        PublicTrust::Platform => PublicRoots::Platform,
        PublicTrust::None => PublicRoots::None,
    };
    let (server, server_report) = anchors(files, public, &policy.trust.ca_files)?;
    let (client, client_report) = anchors(files, PublicRoots::None, &policy.client_ca_files)?;
    let crls: Crls = load_crls(files, &policy.trust.crl_files)?;
    let summary = TrustSummary {
        policy: policy.name.clone(),
        server: server_report,
        client: client_report,
        crls: (crls.len(), crls.next_updates().min()),
    };
    Ok((TrustStore { server, client, crls }, summary))
}

/// Where a policy names no anchor at all it means to trust none: what may not be so was refused with the documents.
fn anchors(
    files: &mut Files,
    public: PublicRoots,
    ca_files: &[PathBuf],
) -> Result<(Anchors, Option<TrustReport>), TrustError> {
    if public == PublicRoots::None && ca_files.is_empty() {
        return Ok((Anchors::none(), None));
    }
    let (anchors, report) = load_anchors(files, public, ca_files)?;
    Ok((anchors, Some(report)))
}
