//! The deployments of the draft's sections 3.1 and 3.2 as `docs/scenarios.md` shows them, each at work through the real proxy.

use std::net::{IpAddr, SocketAddr};

use revouch_lab::Signing;
use revouch_testbed::{Backend, OpenSsl, Peer};
use revouch_validator::reason::Reason;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

use crate::stage::{HELLO, Plan, SOURCE, Stage};

const PARTNER: &str = "127.1.0.41";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The scenario, in a universe in which [`PARTNER`] has this name.
fn scenario(id: &str, name: &str) -> Plan {
    Plan::new().scenario(id).dns(|u| {
        let zone = name.split_once('.').unwrap().1;
        u.zone(zone, Signing::Nsec).host(name, ip(PARTNER))
    })
}

fn peer(stage: &Stage, source: &str, name: &str) -> Peer {
    Peer::from(ip(source)).identity(&stage.ca.leaf().dns(name).issue().unwrap())
}

/// The backend got the peer's octets and nothing else.
fn told_nothing(backend: &Backend) {
    let seen = backend.seen();
    assert!(!seen.is_empty());
    for one in seen {
        assert!(one.header.is_none());
        assert_eq!(one.first, HELLO);
    }
}

#[tokio::test]
async fn c3_1a_the_application_is_told_who_came() {
    let stage = scenario("C3.1a", "app.partner.example").start().await;
    stage.accepts_peer(&peer(&stage, PARTNER, "app.partner.example"), "app.partner.example").await;
    let header = stage.backend.seen()[0].proxy_header().unwrap();
    let (source, destination) = header.addresses.unwrap();
    assert_eq!((source.ip(), destination), (ip(PARTNER), stage.listener));
    let ssl = header.ssl().unwrap();
    assert_eq!((ssl.client, ssl.verify), (7, 0));
    assert_eq!(ssl.common_name().as_deref(), Some("app.partner.example"));
    stage.refuses(&stage.leaf(), Reason::NameNotListed).await;
}

#[tokio::test]
async fn c3_1b_a_protocol_without_tls_is_wrapped_between_two_servers() {
    let stage = scenario("C3.1b", "gw1.partner.example").start().await;
    // The other side's proxy is a program that is not ours: what is written to it in the clear comes out in the clear.
    let identity = stage.ca.leaf().dns("gw1.partner.example").issue().unwrap();
    let wrapped = OpenSsl::from(ip(PARTNER)).identity(&identity).run(stage.listener, "ping").await.unwrap();
    assert!(wrapped.echoed, "{wrapped:?}");
    assert_eq!(stage.line(0).await.text("identity"), Some("gw1.partner.example"));
    let seen = &stage.backend.seen()[0];
    assert_eq!((seen.header.as_deref(), &*seen.first), (None, &b"ping\n"[..]));
    stage.refuses_peer(&peer(&stage, "127.1.0.49", "gw1.partner.example"), Reason::NoPtr).await;
}

/// A load balancer that passes connections through; it connects from `source`, whoever came.
async fn pass_through(to: SocketAddr, source: IpAddr) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            connections.spawn(async move {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(SocketAddr::new(source, 0)).unwrap();
                let mut far = socket.connect(to).await.unwrap();
                // However it ends, the peer sees it.
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (address, tasks)
}

#[tokio::test]
async fn c3_2a_behind_a_load_balancer_the_peers_address_must_arrive() {
    let stage = scenario("C3.2a", "gw1.partner.example").start().await;
    let identity = stage.ca.leaf().dns("gw1.partner.example").issue().unwrap();
    let peer = Peer::from(ip(PARTNER)).identity(&identity).server_name("api.example.net");
    let (keeping, _kept) = pass_through(stage.listener, ip(PARTNER)).await;
    assert!(peer.exchange(keeping, HELLO).await.accepted());
    let line = stage.line(0).await;
    assert_eq!(
        (line.text("identity"), line.text("sni")),
        (Some("gw1.partner.example"), Some("api.example.net"))
    );
    // With the load balancer's own address in its place the same peer is nobody.
    let (hiding, _hidden) = pass_through(stage.listener, ip("127.1.0.48")).await;
    let outcome = peer.exchange(hiding, HELLO).await;
    assert_eq!(outcome.alert(), Some(49), "{outcome:?}");
    assert_eq!(stage.line(1).await.text("reason"), Some("no_ptr"));
    // A name that the load balancer should have routed elsewhere.
    let elsewhere = Peer::from(ip(PARTNER)).identity(&identity).server_name("www.example.net");
    stage.refuses_peer(&elsewhere, Reason::NoRoute).await;
    told_nothing(&stage.backend);
}

#[tokio::test]
async fn c3_2b_behind_a_terminating_edge_the_backend_learns_nothing() {
    let stage = scenario("C3.2b", "a.edge.partner.example").start().await;
    let known = peer(&stage, PARTNER, "a.edge.partner.example");
    stage.accepts_peer(&known, "a.edge.partner.example").await;
    // This edge speaks TLS 1.3 only.
    let old = known.clone().tls12().exchange(stage.listener, HELLO).await;
    assert_eq!(old.alert(), Some(70), "protocol_version: {old:?}");
    assert_eq!(stage.line(1).await.text("reason"), Some("handshake_failed"));
    stage.refuses_peer(&peer(&stage, "127.1.0.49", "a.edge.partner.example").tls13(), Reason::NoPtr).await;
    told_nothing(&stage.backend);
}

#[tokio::test]
async fn c3_2c_the_backend_lets_in_the_named_proxies_from_their_network() {
    let outside = "127.2.0.42";
    let stage =
        scenario("C3.2c", "rp1.example.net").dns(|u| u.host("rp2.example.net", ip(outside))).start().await;
    stage.accepts_peer(&peer(&stage, PARTNER, "rp1.example.net"), "rp1.example.net").await;
    stage.refuses_peer(&peer(&stage, outside, "rp2.example.net"), Reason::AddressNotAllowed).await;
    stage.refuses(&stage.leaf(), Reason::NameNotListed).await;
    stage.refuses_peer(&Peer::from(ip(PARTNER)), Reason::NoCertificate).await;
}

#[tokio::test]
async fn c3_2d_the_way_to_the_backend_is_a_unix_socket_and_never_loopback() {
    let stage = scenario("C3.2d", "gw1.partner.example").unix_upstream().start().await;
    let named = peer(&stage, PARTNER, "gw1.partner.example").server_name("api.example.net");
    let line = stage.accepts_peer(&named, "gw1.partner.example").await;
    assert!(line.text("upstream").unwrap().ends_with("/app.sock"), "{line:?}");
    told_nothing(&stage.backend);
    let stranger = Peer::from(SOURCE).identity(&stage.leaf()).server_name("api.example.net");
    stage.refuses_peer(&stranger, Reason::NameNotListed).await;
    // The same configuration with an upstream on loopback is not put in force: the one above stays.
    let file = stage.dir.path().join("revouch.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("169.254.77.2:8080"));
    std::fs::write(&file, text.replace("169.254.77.2:8080", "127.0.0.1:8080")).unwrap();
    stage.proxy.signal("HUP").unwrap();
    let said =
        stage.proxy.wait_for_stderr(crate::stage::PATIENCE, |line| line.contains("loopback: Forbid")).await;
    assert!(said.is_some(), "{:#?}", stage.proxy.stderr());
    stage.accepts_peer(&named, "gw1.partner.example").await;
}
