//! What all programs under measurement are given: one CA, certificates of one shape, one DNS universe, one directory of files.
//!
//! All chains are leaf and intermediate on P-256, with both EKUs on each: OpenSSL and webpki's client verifier take no other for the
//! connecting side, and the same octets are judged by all programs. The proxy takes them as servers' (`eku.both: AsServerAuth`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use revouch_lab::dns::universe::UniverseBuilder;
use revouch_lab::{CertificateAuthority, Identity, Listen, Purpose, Server, Signing, Universe};
use tempfile::TempDir;

use crate::Outcome;

/// The zone of all peers' names.
pub(crate) const ZONE: &str = "bench.test";
/// Addresses of the peer with warm evidence: its name is `gw.bench.test`.
pub(crate) const WARM: u8 = 16;
/// Enough certificates that the proxy's path cache has forgotten each when it comes again.
pub(crate) const MANY: usize = 5000;

/// See the module.
pub(crate) struct Stage {
    pub(crate) dir: TempDir,
    pub(crate) dns: Server,
    pub(crate) ca: CertificateAuthority,
    pub(crate) sizes: Sizes,
}

/// How much is done for a figure.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Certificates with a serial number and a signature of their own.
    pub(crate) leaves: usize,
    /// Handshakes for one sample, of programs on rustls.
    pub(crate) handshakes: usize,
    /// Octets that are relayed for one sample.
    pub(crate) octets: u64,
    /// Idle connections.
    pub(crate) idle: usize,
    /// Peers that come at once, and new peers in turn.
    pub(crate) peers: usize,
}

impl Sizes {
    /// As the figures are taken.
    pub(crate) const WHOLE: Self =
        Self { leaves: MANY, handshakes: 3000, octets: 1 << 30, idle: 5000, peers: 1000 };
    /// To see that everything runs.
    pub(crate) const SMOKE: Self = Self { leaves: 20, handshakes: 20, octets: 1 << 20, idle: 20, peers: 20 };
}

impl Stage {
    /// Makes everything and serves the universe.
    pub(crate) async fn set(sizes: Sizes) -> Outcome<Self> {
        let dir = revouch_testbed::process::temp_dir()?;
        let both = [Purpose::ServerAuth, Purpose::ClientAuth];
        let ca = CertificateAuthority::builder("Bench").purposes(&both).build()?;
        let own = ca.leaf().dns(&name("acceptor")).issue()?;
        let universe = peers(Universe::builder().ttl(3600), sizes).build()?;
        let dns = universe.serve(Listen::loopback()).await?;
        universe.write_trust_anchor(&dir.path().join("root.key"))?;
        let files = [
            ("own.pem", own.chain_pem()),
            ("own.key", own.key_pem()),
            // HAProxy wants them in one file.
            ("own.both.pem", own.chain_pem() + &own.key_pem()),
            ("roots.pem", ca.root_pem()),
        ];
        for (file, text) in files {
            std::fs::write(dir.path().join(file), text)?;
        }
        Ok(Self { dir, dns, ca, sizes })
    }

    /// A file of the directory.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// One certificate for `name`.
    pub(crate) fn identity(&self, name: &str) -> Outcome<Identity> {
        Ok(self.ca.leaf().dns(name).issue()?)
    }

    /// Many certificates for `name`, of one key.
    pub(crate) fn identities(&self, name: &str) -> Outcome<Vec<Identity>> {
        let first = self.identity(name)?;
        let others = (1..self.sizes.leaves).map(|_| self.ca.leaf().dns(name).same_key_as(&first).issue());
        let others = others.collect::<Result<Vec<_>, _>>()?;
        Ok(std::iter::once(first).chain(others).collect())
    }

    /// Writes the proxy's configuration.
    pub(crate) fn proxy_config(&self, plan: &ProxyPlan) -> Outcome<PathBuf> {
        let ProxyPlan { listener, metrics, upstream, threads } = plan;
        let text = format!(
            "\
apiVersion: revouch.dev/v1alpha1
kind: Listener
metadata: {{name: api}}
spec:
  bind: [\"{listener}\"]
  tls: {{certificates: [{{certFile: own.pem, keyFile: own.key}}]}}
  limits: {{handshakeDeadline: 60s, handshakesInFlight: 10000, handshakesPerSource: 10000, evidencePerSource: 100000, evidencePerNetwork: 100000}}
  routes:
  - {{name: all, upstream: {{address: \"{upstream}\"}}}}
---
apiVersion: revouch.dev/v1alpha1
kind: PeerPolicy
metadata: {{name: peers}}
spec:
  targetRefs: [{{kind: Listener, name: api}}]
  eku: {{both: AsServerAuth}}
  dns: {{deadline: 20s}}
  trust: {{public: None, caFiles: [roots.pem]}}
  upstream: {{loopback: Allow}}
---
apiVersion: revouch.dev/v1alpha1
kind: ResolverOverride
metadata: {{name: universe}}
spec: {{zones: [\".\"], servers: [{{address: \"{dns}\", protocol: Udp}}], timeout: 1s}}
---
apiVersion: revouch.dev/v1alpha1
kind: MeshConfig
metadata: {{name: default}}
spec: {{dns: {{trustAnchorFile: root.key}}}}
---
apiVersion: revouch.dev/v1alpha1
kind: ProxyConfig
metadata: {{name: default}}
spec: {{metrics: {{bind: \"{metrics}\"}}, log: {{format: Json, file: access-{port}.log}}, threads: {threads}, maxConnections: 20000}}
",
            dns = self.dns.address(),
            port = listener.port(),
        );
        let path = self.path(&format!("revouch-{}.yaml", listener.port()));
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

/// What differs from proxy to proxy.
pub(crate) struct ProxyPlan {
    pub(crate) listener: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) upstream: SocketAddr,
    pub(crate) threads: usize,
}

/// `LABEL.bench.test`.
pub(crate) fn name(label: &str) -> String {
    format!("{label}.{ZONE}")
}

/// The addresses of each kind of peer: one network each, so that faults can be told by reverse zone.
pub(crate) fn address(network: u8, number: usize) -> IpAddr {
    let [high, low] = u16::try_from(number).unwrap_or_default().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, network, high, low))
}

/// The reverse zone of such a network.
pub(crate) fn reverse(network: u8) -> String {
    format!("{network}.127.in-addr.arpa")
}

/// The network of the peer with warm evidence.
pub(crate) const WARM_NETWORK: u8 = 10;
/// The networks of the peers whose PTR record is late; each has [`LATE`] addresses with one name, the first of which warms it.
pub(crate) const LATE_NETWORKS: [u8; 8] = [20, 21, 22, 23, 24, 25, 26, 27];
/// So many; one more than repetitions.
pub(crate) const LATE: usize = 21;
/// The network of the peers that come all at once: 20 of them share a name, and number 0 of each name warms it.
pub(crate) const CROWD_NETWORK: u8 = 30;
/// Addresses of one name in a crowd, the one that warms it included.
pub(crate) const CROWD: usize = 21;
/// The network of a provider: each address has a name of its own in one zone.
pub(crate) const PROVIDER_NETWORK: u8 = 40;
/// The zone of that provider's names.
pub(crate) const PROVIDER_ZONE: &str = "provider.test";
/// The network of peers without PTR record.
pub(crate) const NAMELESS_NETWORK: u8 = 50;

/// The number in its network of a crowd's peer: `member` of the name number `group`.
pub(crate) fn crowd(group: usize, member: usize) -> IpAddr {
    address(CROWD_NETWORK, group * 32 + member)
}

fn peers(mut universe: UniverseBuilder, sizes: Sizes) -> UniverseBuilder {
    universe = universe.zone(ZONE, Signing::Nsec).zone(PROVIDER_ZONE, Signing::Nsec);
    for number in 0..usize::from(WARM) {
        universe = universe.host(&name("gw"), address(WARM_NETWORK, number));
    }
    for network in LATE_NETWORKS {
        universe = universe.zone(&reverse(network), Signing::Nsec);
        for number in 0..LATE {
            universe = universe.host(&name(&format!("late{network}")), address(network, number));
        }
    }
    universe = universe.zone(&reverse(CROWD_NETWORK), Signing::Nsec);
    for group in 0..groups(sizes.peers) {
        for member in 0..CROWD {
            universe = universe.host(&name(&format!("crowd{group}")), crowd(group, member));
        }
    }
    universe = universe.zone(&reverse(PROVIDER_NETWORK), Signing::Nsec);
    for number in 0..=sizes.peers {
        let host = format!("host{number}.{PROVIDER_ZONE}");
        universe = universe.host(&host, address(PROVIDER_NETWORK, number));
    }
    universe.zone(&reverse(NAMELESS_NETWORK), Signing::Nsec)
}

/// How many names so many peers of a crowd have.
pub(crate) fn groups(peers: usize) -> usize {
    peers.div_ceil(CROWD - 1)
}

/// The file of a directory that a program is told, as text.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
