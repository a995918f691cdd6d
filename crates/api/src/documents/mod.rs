//! The documents as they are written: `apiVersion`, `kind`, `metadata.name`, `spec`.
//!
//! Every field of a `spec` is an `Option`: what was left out stays visible until compilation, so that the defaults of a `MeshConfig`
//! can fill it. What must be there, and what must fit together, is compilation's business; here only the shape is known. Unknown
//! fields, words and malformed values are errors with a place.

mod dns;
mod listener;
mod mesh;
mod peer_policy;
mod process;
pub(crate) mod section;
pub mod values;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use dns::{DnssecExemptionSpec, Protocol, ResolverOverrideSpec, ResolverServer, Validation};
pub use listener::{
    CertificateSection, LimitsSection, ListenerSpec, ListenerTls, MinVersion, RouteSection, SendProxy,
    UpstreamSection,
};
pub use mesh::{
    BuiltinExemptZones, ConstraintsSection, ExemptionConstraints, MeshConfigSpec, MeshDnsSection,
};
pub use peer_policy::{
    ClientAuthSection, ClientTrustSection, DeviceNamesSection, DnsSection, EkuSection, IdentitySection,
    Loopback, OnDnsChange, PeerPolicySpec, PublicTrust, TargetKind, TargetRef, TrustSection,
    UpstreamPolicySection,
};
pub use process::{LogFile, LogFormat, LogLevel, LogSection, MetricsSection, ProxyConfigSpec};

use values::ObjectName;

/// The one version of the documents that is understood.
pub const API_VERSION: &str = "revouch.dev/v1alpha1";

/// One document: an object with a kind, a name and a specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Object<S> {
    /// [`API_VERSION`], which was looked at before the rest was read.
    pub api_version: String,
    /// The kind, by which `S` was chosen.
    pub kind: String,
    /// Who it is.
    pub metadata: Metadata,
    /// What it says.
    pub spec: S,
}

/// `metadata`: the name under which other documents, logs and errors speak of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Unique among the objects of a kind.
    pub name: ObjectName,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident($spec:ty),)*) => {
        /// What a document can be.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[doc = $doc])+ $kind,)* }

        /// A document of any kind.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        #[allow(clippy::large_enum_variant, reason = "a handful of them exist, and only while a configuration is read")]
        pub enum Document { $($(#[doc = $doc])+ $kind(Object<$spec>),)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The word as it stands in a document.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind),)* }
            }

            /// Reads a document of this kind.
            pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(self, from: D) -> Result<Document, D::Error> {
                match self { $(Self::$kind => Object::deserialize(from).map(Document::$kind),)* }
            }
        }

        impl Document {
            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind,)* }
            }

            /// Its `metadata.name`.
            #[must_use]
            pub fn name(&self) -> &str {
                match self { $(Self::$kind(object) => object.metadata.name.as_str(),)* }
            }
        }
    };
}

kinds! {
    /// Who may connect to a listener, and how it is shown.
    PeerPolicy(PeerPolicySpec),
    /// Where to listen, and where to pass connections on to.
    Listener(ListenerSpec),
    /// The process itself.
    ProxyConfig(ProxyConfigSpec),
    /// Zones whose DNSSEC state is not evaluated (R13).
    DnssecExemption(DnssecExemptionSpec),
    /// Servers to ask for zones (R14).
    ResolverOverride(ResolverOverrideSpec),
    /// What holds for all policies.
    MeshConfig(MeshConfigSpec),
}

impl Document {
    /// Makes the paths that it names relative to `base`, the directory of the file that it stands in.
    pub(crate) fn resolve_paths(&mut self, base: &Path) {
        match self {
            Self::PeerPolicy(object) => object.spec.resolve_paths(base),
            Self::Listener(object) => object.spec.resolve_paths(base),
            Self::ProxyConfig(object) => object.spec.resolve_paths(base),
            Self::MeshConfig(object) => object.spec.resolve_paths(base),
            Self::DnssecExemption(_) | Self::ResolverOverride(_) => {}
        }
    }
}
