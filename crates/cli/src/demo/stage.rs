//! The demo's stage: a signed DNS universe, a throw-away CA, an echo service and the real proxy, all in this process and on loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use revouch_lab::{
    CertificateAuthority, Identity, LabError, LeafBuilder, Listen, Purpose, Sabotage, Server, Signing,
    Universe,
};
use revouch_proxy::run::{Options, Overrides, Proxy, Running};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;

use super::cast::{Cast, Member};
use crate::exit::Failure;

/// The port whose TLSA records count: every peer's own service.
const SERVICE_PORT: u16 = 5269;
/// The server name that leads to the route on which source ports are required.
pub(super) const PORTS_ROUTE: &str = "ports.demo.test";

/// Everything that is up while the demo runs.
pub(super) struct Stage {
    pub(super) dir: TempDir,
    pub(super) proxy: Running,
    pub(super) listener: SocketAddr,
    pub(super) metrics: SocketAddr,
    pub(super) dns: Server,
}

/// The address of the demo's peer of this number.
pub(super) fn address(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 2, number))
}

/// Makes the cast and starts everything.
pub(super) fn set(runtime: &Runtime) -> Result<(Stage, Cast), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("the demo cannot start: {error}"));
    let dir = tempfile::Builder::new().prefix("revouch-demo-").tempdir().map_err(|error| failed(&error))?;
    let (cast, universe, files) = prepare().map_err(|error| failed(&error))?;
    let dns = runtime.block_on(universe.serve(Listen::loopback())).map_err(|error| failed(&error))?;
    let upstream = runtime.block_on(echo()).map_err(|error| failed(&error))?;
    universe.write_trust_anchor(&dir.path().join("root.key")).map_err(|error| failed(&error))?;
    for (name, text) in &files {
        std::fs::write(dir.path().join(name), text).map_err(|error| failed(&error))?;
    }
    std::fs::write(dir.path().join("revouch.yaml"), config(dns.address(), upstream))
        .map_err(|error| failed(&error))?;
    let options = Options { config: dir.path().join("revouch.yaml"), overrides: Overrides::default() };
    let proxy = Proxy::start(options).map_err(|error| failed(&error))?;
    let listener = proxy.local_addrs().first().map(|(_, address)| *address);
    let listener = listener.ok_or_else(|| failed(&"the proxy has no address"))?;
    let metrics = proxy.metrics_addr();
    Ok((Stage { dir, proxy, listener, metrics, dns }, cast))
}

type Prepared = (Cast, Universe, Vec<(&'static str, String)>);

/// The certificates, the DNS that goes with them, and the files of the proxy.
fn prepare() -> Result<Prepared, LabError> {
    let ca = CertificateAuthority::servers()?;
    let people = CertificateAuthority::people()?;
    let issue = |name: &str| ca.leaf().dns(name).issue();
    let revoked = issue("m.signed.test")?;
    let dane = LeafBuilder::self_signed().dns("k.signed.test").issue()?;
    let unsigned_dane = LeafBuilder::self_signed().dns("l.unsigned.test").issue()?;
    let port = free_port(address(14))?;
    let both = [Purpose::ServerAuth, Purpose::ClientAuth];
    let members = vec![
        Member::new(1, "server, dNSName", "accepted a.signed.test").with(issue("a.signed.test")?),
        Member::new(2, "server, iPAddress", "accepted 127.0.2.2").with(ca.leaf().ip(address(2)).issue()?),
        Member::new(3, "person, clientAuth", "accepted CN=Alice Example")
            .with(people.leaf().purposes(&[Purpose::ClientAuth]).common_name("Alice Example").issue()?),
        Member::new(4, "device, clientAuth", "refused subject_is_device")
            .with(people.leaf().purposes(&[Purpose::ClientAuth]).dns("d.signed.test").issue()?),
        Member::new(5, "both EKUs", "refused eku_both")
            .with(ca.leaf().purposes(&both).dns("e.signed.test").issue()?),
        Member::new(6, "dNSName beside rfc822Name", "refused names_mixed")
            .with(ca.leaf().dns("f.signed.test").email("ops@signed.test").issue()?),
        Member::new(7, "no PTR record", "refused no_ptr").with(issue("g.signed.test")?),
        Member::new(8, "PTR that does not confirm", "refused not_confirmed").with(issue("h.signed.test")?),
        Member::new(9, "bogus zone", "refused dns_bogus").with(issue("i.bogus.test")?),
        Member::new(10, "TLSA record of another key", "refused tlsa_mismatch").with(issue("j.signed.test")?),
        Member::new(11, "self-signed, DANE-EE", "accepted k.signed.test").with(dane.clone()),
        Member::new(12, "self-signed, DANE-EE, unsigned zone", "refused unknown_issuer")
            .with(unsigned_dane.clone()),
        Member::new(13, "server, unsigned zone", "accepted n.unsigned.test").with(issue("n.unsigned.test")?),
        Member::new(14, "source port named by SRV", "accepted o.signed.test")
            .with(issue("o.signed.test")?)
            .at_port(port)
            .asking_for(PORTS_ROUTE),
        Member::new(15, "source port that nothing names", "refused source_port_unlisted")
            .with(issue("p.signed.test")?)
            .asking_for(PORTS_ROUTE),
        Member::new(16, "revoked", "refused revoked").with(revoked.clone()),
        Member::new(17, "certificate for another name", "refused name_mismatch")
            .with(issue("elsewhere.signed.test")?),
        Member::new(18, "expired", "refused expired").with(ca.leaf().dns("r.signed.test").expired().issue()?),
        Member::new(19, "no certificate", "refused no_certificate"),
    ];
    let names = [
        (1, "a.signed.test"),
        (3, "c.signed.test"),
        (4, "d.signed.test"),
        (5, "e.signed.test"),
        (6, "f.signed.test"),
        (9, "i.bogus.test"),
        (10, "j.signed.test"),
        (11, "k.signed.test"),
        (12, "l.unsigned.test"),
        (13, "n.unsigned.test"),
        (14, "o.signed.test"),
        (15, "p.signed.test"),
        (16, "m.signed.test"),
        (17, "q.signed.test"),
        (18, "r.signed.test"),
    ];
    let mut universe = Universe::builder()
        .zone("signed.test", Signing::Nsec)
        .zone("unsigned.test", Signing::Unsigned)
        .zone("bogus.test", Signing::Nsec3)
        .sabotage("i.bogus.test", "A", Sabotage::WrongRdata)
        .ptr(address(8), "h.signed.test")
        .address("h.signed.test", address(99))
        .tlsa("j.signed.test", SERVICE_PORT, &dane.tlsa(3, 1, 1)?)
        .tlsa("k.signed.test", SERVICE_PORT, &dane.tlsa(3, 1, 1)?)
        .tlsa("l.unsigned.test", SERVICE_PORT, &unsigned_dane.tlsa(3, 1, 1)?)
        .record(&format!("_{port}._tcp.o.signed.test"), &format!("SRV 0 0 {port} o.signed.test"));
    for (number, name) in names {
        universe = universe.host(name, address(number));
    }
    let own = ca.leaf().dns("demo.test").issue()?;
    let mut files = vec![
        ("own.pem", own.chain_pem()),
        ("own.key", own.key_pem()),
        ("servers.pem", ca.root_pem()),
        ("people.pem", people.root_pem()),
        ("servers.crl", ca.crl().revoke(&revoked).issue()?.pem()),
    ];
    let by_hand = members.first().and_then(|member| member.identity.clone());
    files.extend(
        by_hand
            .iter()
            .flat_map(|identity: &Identity| [("a.pem", identity.chain_pem()), ("a.key", identity.key_pem())]),
    );
    Ok((Cast { members }, universe.build()?, files))
}

/// A port that was free a moment ago.
fn free_port(address: IpAddr) -> Result<u16, std::io::Error> {
    Ok(TcpListener::bind((address, 0))?.local_addr()?.port())
}

fn config(dns: SocketAddr, upstream: SocketAddr) -> String {
    let trust = "trust: {public: None, caFiles: [servers.pem], crlFiles: [servers.crl]}";
    format!(
        "\
apiVersion: revouch.dev/v1alpha1
kind: Listener
metadata: {{name: demo}}
spec:
  bind: [\"127.0.0.1:0\"]
  tls: {{certificates: [{{certFile: own.pem, keyFile: own.key}}]}}
  routes:
  - {{name: ports, serverNames: [{PORTS_ROUTE}], upstream: {{address: \"{upstream}\"}}}}
  - {{name: open, upstream: {{address: \"{upstream}\"}}}}
---
apiVersion: revouch.dev/v1alpha1
kind: PeerPolicy
metadata: {{name: open}}
spec:
  targetRefs: [{{kind: Listener, name: demo, sectionName: open}}]
  eku: {{clientAuth: Accept}}
  clientAuth: {{subjects: Person, trust: {{caFiles: [people.pem]}}}}
  dns: {{ports: [{SERVICE_PORT}]}}
  upstream: {{loopback: Allow}}
  {trust}
---
apiVersion: revouch.dev/v1alpha1
kind: PeerPolicy
metadata: {{name: ports}}
spec:
  targetRefs: [{{kind: Listener, name: demo, sectionName: ports}}]
  dns: {{ports: [{SERVICE_PORT}], sourcePort: Require}}
  upstream: {{loopback: Allow}}
  {trust}
---
apiVersion: revouch.dev/v1alpha1
kind: ResolverOverride
metadata: {{name: universe}}
spec: {{zones: [\".\"], servers: [{{address: \"{dns}\", protocol: Udp}}]}}
---
apiVersion: revouch.dev/v1alpha1
kind: MeshConfig
metadata: {{name: default}}
spec: {{dns: {{trustAnchorFile: root.key}}}}
---
apiVersion: revouch.dev/v1alpha1
kind: ProxyConfig
metadata: {{name: default}}
spec: {{metrics: {{bind: \"127.0.0.1:0\"}}, log: {{format: Json, file: access.log}}, drain: 1s}}
"
    )
}

/// An echo service. Its tasks end with the runtime.
async fn echo() -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let places = Arc::new(tokio::sync::Semaphore::new(256));
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let places = Arc::clone(&places);
            tokio::spawn(async move {
                let Ok(_place) = places.acquire().await else { return };
                let mut buffer = [0; 4096];
                while let Ok(read) = stream.read(&mut buffer).await {
                    let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
                    if stream.write_all(part).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok(address)
}

/// The lines of the proxy's access log so far.
pub(super) fn log_lines(directory: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(directory.join("access.log")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
