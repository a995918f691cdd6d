//! The stage of the tests in `rules`, `attacks` and `peers`: a signed DNS universe, a CA, an echo upstream, and the real `revouch-proxy` process between peers and
//! upstream. All on loopback, all gone when it is dropped.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use revouch_lab::dns::universe::UniverseBuilder;
use revouch_lab::{CertificateAuthority, Crl, Identity, Listen, Server, Signing, Universe};
use revouch_testbed::process::{free_ports, temp_dir};
use revouch_testbed::wait::eventually_some;
use revouch_testbed::{Backend, OpenSsl, Peer, Process};
use revouch_validator::reason::Reason;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Long enough for anything that does not hang.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The peer's address; the universe knows it as [`NAME`].
pub const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 1, 0, 1));
/// The peer's name.
pub const NAME: &str = "gw1.example.test";
/// What goes through the echo.
pub const HELLO: &[u8] = b"hello from the peer\n";

/// A loopback address that no other stage has, of this process or (but for a rare coincidence) of another, so that nobody takes a port
/// between its choice and its use.
fn own_address() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let [.., process] = (std::process::id() % 100).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 100 + process, high, low))
}

/// How a stage is to be set.
pub struct Plan {
    policy: Option<String>,
    upstream: String,
    upstream_address: Option<String>,
    example: Option<String>,
    unix: bool,
    any_address: bool,
    route: String,
    process: String,
    documents: String,
    limits: String,
    universe: Option<UniverseBuilder>,
    crls: Vec<Crl>,
    ca: CertificateAuthority,
    people: CertificateAuthority,
}

/// A stage that is set.
pub struct Stage {
    pub dir: TempDir,
    pub dns: Server,
    pub ca: CertificateAuthority,
    pub people: CertificateAuthority,
    pub backend: Backend,
    pub proxy: Process,
    pub listener: SocketAddr,
    pub metrics: SocketAddr,
}

/// What the access log says of one connection.
#[derive(Debug)]
pub struct Line(pub serde_json::Value);

impl Line {
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field).and_then(serde_json::Value::as_str)
    }
}

impl Plan {
    /// An open policy without a word, a universe in which [`SOURCE`] is [`NAME`], everything signed.
    pub fn new() -> Self {
        let universe = Universe::builder().ttl(60).zone("example.test", Signing::Nsec).host(NAME, SOURCE);
        Self {
            policy: Some(String::new()),
            upstream: String::new(),
            upstream_address: None,
            example: None,
            unix: false,
            any_address: false,
            route: String::new(),
            process: String::new(),
            documents: String::new(),
            limits: String::new(),
            universe: Some(universe),
            crls: Vec::new(),
            ca: CertificateAuthority::servers().unwrap(),
            people: CertificateAuthority::people().unwrap(),
        }
    }

    /// Fields of the PeerPolicy's spec, a line each: `eku: {both: AsServerAuth}`.
    pub fn policy(mut self, fields: &str) -> Self {
        self.policy = Some(fields.to_owned());
        self
    }

    /// No PeerPolicy at all.
    pub fn no_policy(mut self) -> Self {
        self.policy = None;
        self
    }

    /// Fields of `Listener.limits`, as `name: value, …`.
    pub fn limits(mut self, fields: &str) -> Self {
        self.limits = fields.to_owned();
        self
    }

    /// More fields of the route's upstream, as `, name: value`.
    pub fn upstream(mut self, fields: &str) -> Self {
        self.upstream = fields.to_owned();
        self
    }

    /// One of `docs/examples`, in the place of this plan's own Listener and PeerPolicy. What a file cannot know is put in: addresses, sockets and
    /// certificates; the CA of the stage stands in for the public ones.
    pub fn example(mut self, file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples").join(file);
        self.example = Some(std::fs::read_to_string(path).unwrap());
        self.policy = None;
        self
    }

    /// The configuration that `docs/scenarios.md` shows under this heading, put in place as [`example`](Self::example) does; its addresses of
    /// documentation networks become addresses that peers can have here.
    pub fn scenario(mut self, id: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scenarios.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (_, section) = page.split_once(&format!("\n## {id}:")).unwrap();
        let (_, block) = section.split_once("```yaml\n").unwrap();
        let (block, _) = block.split_once("```").unwrap();
        self.example = Some(block.replace("192.0.2.0/24", "127.1.0.0/24"));
        self.policy = None;
        self
    }

    /// The example's Unix socket is one, with the backend behind it; otherwise it is replaced by the backend's address.
    pub fn unix_upstream(mut self) -> Self {
        self.unix = true;
        self
    }

    /// The listener takes both families, on `[::]`. Its address is then one of IPv4 loopback, and ::1 with the same port leads there too.
    pub fn any_address(mut self) -> Self {
        self.any_address = true;
        self
    }

    /// An upstream other than the backend.
    pub fn upstream_address(mut self, address: &str) -> Self {
        self.upstream_address = Some(address.to_owned());
        self
    }

    /// More fields of the route, as `, name: value`.
    pub fn route(mut self, fields: &str) -> Self {
        self.route = fields.to_owned();
        self
    }

    /// More fields of the ProxyConfig's spec, as `, name: value`.
    pub fn process(mut self, fields: &str) -> Self {
        self.process = fields.to_owned();
        self
    }

    /// More documents; `DNS` in them is the universe's address.
    pub fn documents(mut self, text: &str) -> Self {
        self.documents = text.to_owned();
        self
    }

    /// Changes the universe.
    pub fn dns(mut self, change: impl FnOnce(UniverseBuilder) -> UniverseBuilder) -> Self {
        self.universe = self.universe.map(change);
        self
    }

    /// The CA that servers' certificates come from.
    pub fn ca(&self) -> &CertificateAuthority {
        &self.ca
    }

    /// Another CA for servers.
    pub fn with_ca(mut self, ca: CertificateAuthority) -> Self {
        self.ca = ca;
        self
    }

    /// Adds a CRL.
    pub fn crl(mut self, crl: Crl) -> Self {
        self.crls.push(crl);
        self
    }

    /// Starts everything and waits until the proxy is ready.
    pub async fn start(mut self) -> Stage {
        let dir = temp_dir().unwrap();
        let universe = self.universe.take().unwrap().build().unwrap();
        let dns = universe.serve(Listen::loopback()).await.unwrap();
        let backend = if self.unix {
            Backend::unix(&dir.path().join("app.sock")).unwrap()
        } else {
            Backend::tcp().await.unwrap()
        };
        let own = self.ca.leaf().dns("acceptor.example.test").issue().unwrap();
        std::fs::write(dir.path().join("own.pem"), own.chain_pem()).unwrap();
        std::fs::write(dir.path().join("own.key"), own.key_pem()).unwrap();
        std::fs::write(dir.path().join("servers.pem"), self.ca.root_pem()).unwrap();
        std::fs::write(dir.path().join("people.pem"), self.people.root_pem()).unwrap();
        universe.write_trust_anchor(&dir.path().join("root.key")).unwrap();
        let own_address = own_address();
        let [mut listener, metrics] = free_ports(own_address).unwrap();
        if self.any_address {
            listener = free_ports::<1>(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)).unwrap()[0];
        }
        let config = self.config(dir.path(), listener, metrics, dns.address(), backend.address());
        std::fs::write(dir.path().join("revouch.yaml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_revouch-proxy"));
        command.arg("--config").arg(dir.path().join("revouch.yaml"));
        let proxy = Process::spawn(&mut command).unwrap();
        if self.any_address {
            listener.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let stage = Stage { dir, dns, ca: self.ca, people: self.people, backend, proxy, listener, metrics };
        stage.wait_until_ready().await;
        stage
    }

    fn listener(&self, listener: SocketAddr, upstream: &str) -> String {
        format!(
            "\
apiVersion: revouch.dev/v1alpha1
kind: Listener
metadata: {{name: api}}
spec:
  bind: [\"{listener}\"]
  tls: {{certificates: [{{certFile: own.pem, keyFile: own.key}}]}}
  limits: {{{}}}
  routes:
  - {{name: all, upstream: {{address: \"{upstream}\"{}}}{}}}
",
            self.limits, self.upstream, self.route,
        )
    }

    fn config(
        &self,
        dir: &Path,
        listener: SocketAddr,
        metrics: SocketAddr,
        dns: SocketAddr,
        upstream: Option<SocketAddr>,
    ) -> String {
        let upstream = self.upstream_address.clone().or_else(|| upstream.map(|address| address.to_string()));
        let (mut text, defaults) = match &self.example {
            Some(example) => {
                let (example, defaults) = without_defaults(example);
                (here(&example, listener, upstream.as_deref(), dns), format!("{TRUST_HERE}{defaults}}}, "))
            }
            None => (self.listener(listener, &upstream.unwrap()), PATIENT.to_owned()),
        };
        write!(
            text,
            "\
---
apiVersion: revouch.dev/v1alpha1
kind: ResolverOverride
metadata: {{name: universe}}
spec: {{zones: [\".\"], servers: [{{address: \"{dns}\", protocol: Udp}}], timeout: 5s}}
---
apiVersion: revouch.dev/v1alpha1
kind: MeshConfig
metadata: {{name: default}}
spec: {{{defaults}dns: {{trustAnchorFile: root.key}}}}
---
apiVersion: revouch.dev/v1alpha1
kind: ProxyConfig
metadata: {{name: default}}
spec: {{metrics: {{bind: \"{metrics}\"}}, log: {{format: Json, file: access.log}}, threads: 1{}}}
",
            self.process,
        )
        .unwrap();
        let mut crls = Vec::new();
        for (number, crl) in self.crls.iter().enumerate() {
            let file = format!("{number}.crl");
            std::fs::write(dir.join(&file), crl.pem()).unwrap();
            crls.push(file);
        }
        if let Some(fields) = &self.policy {
            let trust = if fields.starts_with("trust:") {
                fields.replace("CRLS", &crls.join(", "))
            } else {
                format!(
                    "trust: {{public: None, caFiles: [servers.pem], crlFiles: [{}]}}\n{fields}",
                    crls.join(", ")
                )
            };
            let head =
                "---\napiVersion: revouch.dev/v1alpha1\nkind: PeerPolicy\nmetadata: {name: peers}\nspec:\n";
            write!(
                text,
                "{head}  targetRefs: [{{kind: Listener, name: api}}]\n  upstream: {{loopback: Allow}}\n{}",
                indented(&trust)
            )
            .unwrap();
        }
        text.push_str(&self.documents.replace("DNS", &dns.to_string()));
        text
    }
}

/// For policies that say nothing of deadlines: the DNS runs on the thread of a test, on a machine that may be busy.
const PATIENT: &str = "defaults: {dns: {deadline: 8s}}, ";

/// For policies that say nothing of trust: the stage's CA instead of the public ones. More defaults may follow.
const TRUST_HERE: &str = "defaults: {trust: {public: None, caFiles: [servers.pem]}";

/// An example without its MeshConfig, and what that sets as defaults: the stage has the one MeshConfig that there may be.
fn without_defaults(example: &str) -> (String, String) {
    let (mesh, rest): (Vec<_>, Vec<_>) =
        example.split("---\n").partition(|document| document.contains("kind: MeshConfig"));
    let defaults = mesh
        .concat()
        .lines()
        .find_map(|line| Some(format!(", {}", line.trim().strip_prefix("defaults: {")?.strip_suffix('}')?)));
    (rest.join("---\n"), defaults.unwrap_or_default())
}

/// An example with the addresses and files of this stage. Without an upstream address it keeps those of its own, and its Unix socket is
/// `app.sock`.
fn here(example: &str, listener: SocketAddr, upstream: Option<&str>, dns: SocketAddr) -> String {
    let lines = example.lines().map(|line| {
        let mut line = line
            .replace("tls/tls.crt", "own.pem")
            .replace("tls/tls.key", "own.key")
            .replace("tls/corp.pem", "servers.pem")
            .replace("10.0.0.53", &format!("\"{dns}\""));
        for address in ["10.20.0.5:8080", "10.20.0.7:8080"] {
            line = line.replace(address, upstream.unwrap_or(address));
        }
        if line.trim_start().starts_with("bind:") {
            return format!("  bind: [\"{listener}\"]\n");
        }
        match line.split_once("unix: ") {
            Some((before, behind)) => {
                let rest = behind.trim_start_matches(|c: char| c != ',' && c != '}');
                match upstream {
                    Some(upstream) => format!("{before}address: \"{upstream}\"{rest}\n"),
                    None => format!("{before}unix: app.sock{rest}\n"),
                }
            }
            None => line + "\n",
        }
    });
    lines.collect()
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("  {line}\n")).collect()
}

impl Stage {
    /// A stage with these fields of the policy and nothing else out of the ordinary.
    pub async fn with_policy(fields: &str) -> Self {
        Plan::new().policy(fields).start().await
    }

    async fn wait_until_ready(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.get("/readyz").await.is_none_or(|text| !text.starts_with("HTTP/1.1 200")) {
            assert!(self.proxy.ended().is_none(), "the proxy ended: {:#?}", self.proxy.stderr());
            assert!(tokio::time::Instant::now() < deadline, "not ready: {:#?}", self.proxy.stderr());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A leaf for [`NAME`] by the servers' CA.
    pub fn leaf(&self) -> Identity {
        self.ca.leaf().dns(NAME).issue().unwrap()
    }

    /// The answer to a request on the admin listener.
    pub async fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.metrics).await.ok()?;
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
            .await
            .ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        Some(text)
    }

    /// The value of a series; 0 if it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = self.get("/metrics").await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// Every line of the access log.
    pub fn lines(&self) -> Vec<Line> {
        let text = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).map(Line).collect()
    }

    /// The access log's line of this number, from 0, as soon as it is there.
    pub async fn line(&self, number: usize) -> Line {
        let found = eventually_some(PATIENCE, || self.lines().into_iter().nth(number)).await;
        found.unwrap_or_else(|| {
            panic!("no line {number} in the access log; stderr: {:#?}", self.proxy.stderr())
        })
    }

    /// A peer with this certificate gets through, under this identity, on TLS 1.3 and 1.2.
    pub async fn accepts(&self, identity: &Identity, expected: &str) -> Line {
        self.accepts_peer(&Peer::from(SOURCE).identity(identity), expected).await;
        self.accepts_peer(&Peer::from(SOURCE).identity(identity).tls12(), expected).await
    }

    /// This peer gets through: its bytes come back, and log and metric say so.
    pub async fn accepts_peer(&self, peer: &Peer, expected: &str) -> Line {
        let before = self.lines().len();
        let series = "revouch_handshakes_total{outcome=\"accepted\",reason=\"none\"}";
        let counted = self.metric(series).await;
        let outcome = peer.exchange(self.listener, HELLO).await;
        let line = self.line(before).await;
        assert!(outcome.accepted(), "{outcome:?} {line:?}");
        assert_eq!(outcome.echoed, HELLO);
        assert_eq!(line.text("outcome"), Some("accepted"), "{line:?}");
        assert_eq!(line.text("identity"), Some(expected), "{line:?}");
        assert!((self.metric(series).await - counted - 1.0).abs() < 0.1);
        line
    }

    /// A peer with this certificate is refused for this reason, on TLS 1.3 and 1.2.
    pub async fn refuses(&self, identity: &Identity, reason: Reason) -> Line {
        self.refuses_peer(&Peer::from(SOURCE).identity(identity), reason).await;
        self.refuses_peer(&Peer::from(SOURCE).identity(identity).tls12(), reason).await
    }

    /// This peer is refused: it sees the reason's alert, log and metric have the reason, and not a byte reaches the upstream.
    pub async fn refuses_peer(&self, peer: &Peer, reason: Reason) -> Line {
        let before = self.lines().len();
        let series = format!("revouch_handshakes_total{{outcome=\"refused\",reason=\"{reason}\"}}");
        let counted = self.metric(&series).await;
        let relayed = self.backend.connections();
        let outcome = peer.exchange(self.listener, HELLO).await;
        let line = self.line(before).await;
        assert!(!outcome.accepted(), "{outcome:?} {line:?}");
        assert_eq!(line.text("outcome"), Some("refused"), "{line:?}");
        assert_eq!(line.text("reason"), Some(reason.as_str()), "{line:?}");
        assert_eq!(
            outcome.alert(),
            reason.alert().map(revouch_validator::alert::Alert::number),
            "{outcome:?} {line:?}"
        );
        assert!(line.text("identity").is_none(), "{line:?}");
        assert!((self.metric(&series).await - counted - 1.0).abs() < 0.1, "{series}");
        assert_eq!(self.backend.connections(), relayed, "something reached the upstream");
        line
    }

    /// The same with `openssl s_client` on this TLS version.
    pub async fn openssl_is_refused(&self, identity: &Identity, tls12: bool, reason: Reason) {
        let before = self.lines().len();
        let peer = OpenSsl::from(SOURCE).identity(identity);
        let peer = if tls12 { peer.tls12() } else { peer.tls13() };
        let outcome = peer.run(self.listener, "hello").await.unwrap();
        let line = self.line(before).await;
        assert!(!outcome.echoed);
        assert_eq!(line.text("reason"), Some(reason.as_str()), "{line:?}");
        assert_eq!(outcome.alert, reason.alert().map(revouch_validator::alert::Alert::number), "{outcome:?}");
    }

    /// `openssl s_client` gets through.
    pub async fn openssl_is_accepted(&self, identity: &Identity, tls12: bool) {
        let before = self.lines().len();
        let peer = OpenSsl::from(SOURCE).identity(identity);
        let peer = if tls12 { peer.tls12() } else { peer.tls13() };
        let outcome = peer.run(self.listener, "hello").await.unwrap();
        assert!(outcome.echoed, "{outcome:?}");
        self.line(before).await;
    }
}
