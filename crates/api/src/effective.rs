//! The effective configuration: what holds, every default filled in, in the words of the documents.
//!
//! Made from the compiled values, not from the documents, so that it tells what the proxy runs on and not what somebody meant.

use revouch_validator::policy::Policy;
use serde::Serialize;

use crate::config::{
    CompiledPolicy, Config, DnsProtocol, DnsServer, Limits, ListenerConfig, OverrideConfig, ProcessConfig,
    RouteConfig, Upstream,
};
use crate::documents::values::{
    Alpn, FilePath, ServerAddress, ServerIdentity, SocketAddress, Span, Text, Time, Zone,
};
use crate::documents::{
    BuiltinExemptZones, CertificateSection, ClientAuthSection, ClientTrustSection, DeviceNamesSection,
    DnsSection, EkuSection, IdentitySection, LimitsSection, ListenerTls, LogFile, LogSection, MeshDnsSection,
    MetricsSection, OnDnsChange, PeerPolicySpec, Protocol, ProxyConfigSpec, ResolverOverrideSpec,
    ResolverServer, TrustSection, UpstreamPolicySection, UpstreamSection,
};

/// A whole configuration as a value to be printed: JSON or YAML, keys as in the documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Effective {
    /// The process.
    pub proxy: ProxyConfigSpec,
    /// DNS for all.
    pub dns: MeshDnsSection,
    /// Servers for zones.
    pub resolver_overrides: Vec<Named<ResolverOverrideSpec>>,
    /// Listeners, and what holds on each of their routes.
    pub listeners: Vec<EffectiveListener>,
}

/// Something with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named<S> {
    /// The name.
    pub name: String,
    /// What it says.
    pub spec: S,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EffectiveListener {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub bind: Vec<SocketAddress>,
    /// The acceptor's side of TLS.
    pub tls: ListenerTls,
    /// Limits before any work.
    pub limits: LimitsSection,
    /// Its routes, in the order in which they are tried.
    pub routes: Vec<EffectiveRoute>,
}

/// A route and the policy that holds on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveRoute {
    /// Its name.
    pub name: String,
    /// The server names that it takes; every one if empty.
    pub server_names: Vec<String>,
    /// Where it leads.
    pub upstream: UpstreamSection,
    /// Who may come; null refuses every peer (`no_policy`).
    pub policy: Option<EffectivePolicy>,
}

/// A policy as it holds on a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectivePolicy {
    /// The `PeerPolicy`'s name.
    pub name: String,
    /// It, with every default filled in. What is still left out has a meaning: no limit.
    pub spec: PeerPolicySpec,
    /// Zones that `DnssecExemption`s exempt for it.
    pub exempt_zones: Vec<EffectiveExemption>,
}

/// An exempt zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveExemption {
    /// The zone.
    pub zone: Zone,
    /// Until when; null for ever.
    pub not_after: Option<Time>,
}

impl From<&Config> for Effective {
    fn from(config: &Config) -> Self {
        let builtin = if config.resolver.builtin_exempt_zones {
            BuiltinExemptZones::Enabled
        } else {
            BuiltinExemptZones::Disabled
        };
        Self {
            proxy: process(&config.process),
            dns: MeshDnsSection {
                trust_anchor_file: config.resolver.trust_anchor_file.as_deref().map(FilePath::from),
                builtin_exempt_zones: Some(builtin),
            },
            resolver_overrides: config.resolver.overrides.iter().map(resolver_override).collect(),
            listeners: config.listeners.iter().map(listener).collect(),
        }
    }
}

impl From<&CompiledPolicy> for EffectivePolicy {
    fn from(policy: &CompiledPolicy) -> Self {
        let exempt = policy.policy.exemptions.listed.iter();
        Self {
            name: policy.name.clone(),
            spec: policy_spec(policy),
            exempt_zones: exempt
                .map(|entry| EffectiveExemption {
                    zone: Zone(entry.zone.clone()),
                    not_after: entry.not_after.map(Time),
                })
                .collect(),
        }
    }
}

fn process(config: &ProcessConfig) -> ProxyConfigSpec {
    ProxyConfigSpec {
        metrics: Some(MetricsSection { bind: Some(SocketAddress(config.metrics)) }),
        log: Some(LogSection {
            format: Some(config.log_format),
            level: Some(config.log_level),
            file: Some(LogFile(config.log_file.as_deref().map(FilePath::from))),
        }),
        threads: u32::try_from(config.threads).ok(),
        drain: Some(Span(config.drain)),
        max_connections: u32::try_from(config.max_connections).ok(),
    }
}

fn resolver_override(config: &OverrideConfig) -> Named<ResolverOverrideSpec> {
    let spec = ResolverOverrideSpec {
        zones: Some(config.zones.iter().cloned().map(Zone).collect()),
        servers: Some(config.servers.iter().map(server).collect()),
        validation: Some(config.validation),
        timeout: Some(Span(config.timeout)),
    };
    Named { name: config.name.clone(), spec }
}

fn server(server: &DnsServer) -> ResolverServer {
    let identity = |name: &str| name.parse::<ServerIdentity>().ok();
    let (protocol, server_name, path) = match &server.protocol {
        DnsProtocol::Udp => (Protocol::Udp, None, None),
        DnsProtocol::Tcp => (Protocol::Tcp, None, None),
        DnsProtocol::Tls { server_name } => (Protocol::Tls, identity(server_name), None),
        DnsProtocol::Https { server_name, path } => {
            (Protocol::Https, identity(server_name), Some(path.clone()))
        }
    };
    let address = ServerAddress { address: server.address.ip(), port: Some(server.address.port()) };
    ResolverServer { address: Some(address), protocol: Some(protocol), server_name, path }
}

fn listener(config: &ListenerConfig) -> EffectiveListener {
    let pairs = config.certificates.iter().map(|pair| CertificateSection {
        cert_file: Some(FilePath::from(&*pair.cert_file)),
        key_file: Some(FilePath::from(&*pair.key_file)),
    });
    EffectiveListener {
        name: config.name.clone(),
        bind: config.bind.iter().copied().map(SocketAddress).collect(),
        tls: ListenerTls {
            certificates: Some(pairs.collect()),
            min_version: Some(config.min_version),
            alpn: Some(config.alpn.iter().filter_map(|protocol| protocol.parse::<Alpn>().ok()).collect()),
        },
        limits: limits(&config.limits),
        routes: config.routes.iter().map(route).collect(),
    }
}

fn limits(limits: &Limits) -> LimitsSection {
    LimitsSection {
        handshakes_in_flight: u32::try_from(limits.handshakes_in_flight).ok(),
        handshakes_per_source: u32::try_from(limits.handshakes_per_source).ok(),
        connections_per_source: u32::try_from(limits.connections_per_source).ok(),
        handshake_deadline: Some(Span(limits.handshake_deadline)),
        evidence_per_source: Some(limits.evidence_per_source.per_second),
        evidence_per_network: Some(limits.evidence_per_network.per_second),
    }
}

fn route(config: &RouteConfig) -> EffectiveRoute {
    let (address, unix) = match &config.upstream {
        Upstream::Tcp(address) => (Some(SocketAddress(*address)), None),
        Upstream::Unix(path) => (None, Some(FilePath::from(&**path))),
    };
    EffectiveRoute {
        name: config.name.clone(),
        server_names: config.server_names.iter().map(ToString::to_string).collect(),
        upstream: UpstreamSection { address, unix, send_proxy: Some(config.send_proxy) },
        policy: config.policy.as_deref().map(EffectivePolicy::from),
    }
}

/// The `spec` that compiles to this policy, whatever the defaults are.
fn policy_spec(compiled: &CompiledPolicy) -> PeerPolicySpec {
    let files =
        |paths: &[std::path::PathBuf]| Some(paths.iter().map(|path| FilePath::from(&**path)).collect());
    let policy: &Policy = &compiled.policy;
    let client_trust = (!compiled.client_ca_files.is_empty())
        .then(|| ClientTrustSection { ca_files: files(&compiled.client_ca_files) });
    PeerPolicySpec {
        target_refs: None,
        mode: Some(policy.mode),
        eku: Some(EkuSection {
            server_auth: Some(policy.server_auth),
            client_auth: Some(policy.client_auth),
            both: Some(policy.both),
            absent: Some(policy.absent),
            any: Some(policy.any),
        }),
        client_auth: Some(ClientAuthSection { subjects: Some(policy.subjects), trust: client_trust }),
        device_names: Some(DeviceNamesSection { mixed: Some(policy.mixed_names) }),
        identity: Some(IdentitySection {
            confirm: Some(policy.confirm),
            names: policy.names.clone().map(texts),
            addresses: policy.addresses.clone().map(texts),
        }),
        dns: Some(dns(policy)),
        trust: Some(TrustSection {
            public: Some(compiled.trust.public),
            ca_files: files(&compiled.trust.ca_files),
            crl_files: files(&compiled.trust.crl_files),
            crl_unknown: Some(policy.crl_unknown),
            crl_expired: Some(policy.crl_expired),
        }),
        forward_identity: Some(policy.forward_identity),
        upstream: Some(UpstreamPolicySection { loopback: Some(compiled.loopback) }),
        on_dns_change: Some(OnDnsChange::Keep),
    }
}

fn dns(policy: &Policy) -> DnsSection {
    DnsSection {
        dnssec: Some(policy.dnssec),
        tlsa: Some(policy.tlsa),
        caa: Some(policy.caa),
        cert: Some(policy.cert),
        source_port: Some(policy.source_port),
        services: Some(texts(policy.services.clone())),
        multicast: Some(policy.multicast),
        ports: policy.ports.clone(),
        extra_types: Some(texts(policy.extra_types.clone())),
        max_names: Some(policy.max_names),
        deadline: Some(Span(std::time::Duration::from_millis(u64::from(policy.deadline_ms)))),
    }
}

fn texts<T>(values: Vec<T>) -> Vec<Text<T>> {
    values.into_iter().map(Text).collect()
}
