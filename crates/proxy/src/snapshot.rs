//! One load of the configuration, whole: what runs, and what is told of it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use revouch_api::config::{Config, ProcessConfig};
use revouch_api::effective::Effective;
use revouch_resolver::{Prefetch, Resolver};
use revouch_validator::policy::Policy;
use revouch_validator::timestamp::Timestamp;

use crate::load::identity;
use crate::load::trust::TrustReport;
use crate::runtime::ListenerRuntime;

/// A configuration with everything that it names, loaded and validated. Immutable.
pub struct Snapshot {
    /// Its number: 1 at the start, one more with each reload.
    pub generation: u64,
    /// The documents, compiled, with what the command line says over them.
    pub config: Config,
    /// The listeners, in the order of their names.
    pub listeners: Vec<BoundListener>,
    /// The expiry of every own certificate: the listener's name, the certificate's place in its list, notAfter.
    pub certificates: Vec<(String, usize, Timestamp)>,
    /// Whom each policy trusts.
    pub trust: Vec<TrustSummary>,
    /// What is unwise.
    pub warnings: Vec<Warning>,
    /// The resolver, if it is another than that of the snapshot before.
    pub(crate) new_resolver: Option<Resolver>,
    /// Whom to ask in advance.
    pub(crate) forward: Vec<Forward>,
}

/// A listener and where it is bound.
pub struct BoundListener {
    /// `bind`.
    pub bind: Vec<SocketAddr>,
    /// What its connections run on.
    pub runtime: Arc<ListenerRuntime>,
}

/// Whom a policy trusts, and by which lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustSummary {
    /// The policy's name.
    pub policy: String,
    /// For certificates of the serverAuth class; `None` if nobody.
    pub server: Option<TrustReport>,
    /// For certificates of the clientAuth class; `None` if nobody.
    pub client: Option<TrustReport>,
    /// How many CRLs there are, and when the first is out of date.
    pub crls: (usize, Option<Timestamp>),
}

/// What is unwise about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// About a document.
    Document(String),
    /// About an own certificate.
    Certificate(identity::Warning),
    /// About trust: a CRL that is out of date.
    Trust(String),
}

/// A policy with `identity.confirm: Forward` on a listener's port: its names are kept resolved as long as the configuration is in force.
pub(crate) struct Forward {
    pub(crate) resolver: Resolver,
    pub(crate) policy: Policy,
    pub(crate) port: u16,
}

impl Snapshot {
    /// The process's own part.
    #[must_use]
    pub fn process(&self) -> &ProcessConfig {
        &self.config.process
    }

    /// Begins to keep the names of `confirm: Forward` resolved. Must be called on a runtime.
    pub(crate) fn prefetch(&self) -> Vec<Prefetch> {
        self.forward.iter().filter_map(|each| each.resolver.prefetch(&each.policy, each.port)).collect()
    }

    /// The effective configuration, every default filled in, as YAML; behind it, as comments, whom the policies trust.
    ///
    /// # Errors
    /// It cannot be written as YAML: a bug.
    pub fn effective(&self) -> Result<String, serde_yaml::Error> {
        let mut text = serde_yaml::to_string(&Effective::from(&self.config))?;
        for trust in &self.trust {
            text.push_str(&format!("# {trust}\n"));
        }
        Ok(text)
    }
}

impl Warning {
    /// Whether something cannot do its work: `--check` calls that an error.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Certificate(warning) if warning.what.is_fatal())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(warning) => warning.fmt(f),
            Self::Document(text) | Self::Trust(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for TrustSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerPolicy {}: ", self.policy)?;
        match &self.server {
            Some(report) => report.fmt(f)?,
            None => f.write_str("no roots for serverAuth")?,
        }
        if let Some(report) = &self.client {
            write!(f, "; for clientAuth: {report}")?;
        }
        match self.crls {
            (0, _) => Ok(()),
            (count, None) => write!(f, "; CRLs: {count}"),
            (count, Some(due)) => write!(f, "; CRLs: {count}, the first due at {due}"),
        }
    }
}
