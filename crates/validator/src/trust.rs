//! The trust anchors and revocation lists that a policy's decisions rest on.

use serde::{Deserialize, Serialize};

use crate::path::{Anchors, Crls};

/// Anchors and CRLs for one policy. Cheap to clone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustStore {
    /// Anchors for certificates of the serverAuth class: the public ones, or the policy's own.
    pub server: Anchors,
    /// Anchors for certificates of the clientAuth class (`clientAuth.trust`), never the public ones by default.
    pub client: Anchors,
    /// Revocation lists for both.
    pub crls: Crls,
}

impl TrustStore {
    /// A store that trusts nobody.
    #[must_use]
    pub fn none() -> Self {
        Self { server: Anchors::none(), client: Anchors::none(), crls: Crls::none() }
    }
}
