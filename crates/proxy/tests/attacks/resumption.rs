//! Sessions of an earlier acceptance, tickets of others, early data, renegotiation: every peer makes a whole handshake and is judged anew.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use revouch_lab::Identity;
use revouch_testbed::{Process, eventually};
use revouch_validator::reason::Reason;
use rustls::client::Resumption;
use rustls::server::ServerSessionMemoryCache;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::craft::{BOTH, Crafted, Version, config};
use crate::stage::{HELLO, PATIENCE, SOURCE, Stage};
use crate::{leaves, open_stage, refused};

/// An acceptor that gives tickets and sessions, and takes early data.
async fn generous(own: &Identity) -> (SocketAddr, JoinHandle<()>) {
    let mut config = own.server_config(&[]).unwrap();
    config.session_storage = ServerSessionMemoryCache::new(100);
    config.send_tls13_tickets = 4;
    config.max_early_data_size = 4096;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut word = [0; 5];
            let _ = stream.read_exact(&mut word).await;
            let _ = stream.write_all(&word).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, task)
}

#[tokio::test]
async fn a_ticket_or_session_of_elsewhere_is_worth_nothing() {
    let stage = open_stage().await;
    let leaf = stage.leaf();
    let own = stage.ca.leaf().dns("acceptor.example.test").issue().unwrap();
    let (elsewhere, task) = generous(&own).await;
    for (number, version) in BOTH.into_iter().enumerate() {
        let mut with_memory = config(Some(&leaf), version);
        with_memory.resumption = Resumption::in_memory_sessions(10);
        with_memory.enable_early_data = true;
        let mut first = Crafted::with(elsewhere, with_memory.clone()).await;
        first.handshake().await;
        first.echo(b"first").await;
        first.end().await;
        // That the session is one: the acceptor that gave it takes it.
        let mut again = Crafted::with(elsewhere, with_memory.clone()).await;
        again.handshake().await;
        assert_eq!(again.tls.handshake_kind(), Some(rustls::HandshakeKind::Resumed), "{version:?}");
        again.echo(b"again").await;
        again.end().await;

        let mut peer = Crafted::with(stage.listener, with_memory).await;
        let mut early = peer.hello();
        if version == Version::Tls13 {
            // Early data, under the keys of the ticket.
            use std::io::Write as _;
            peer.tls.early_data().expect("the ticket allows early data").write_all(b"early").unwrap();
            early.extend(peer.take());
        }
        peer.send(&early).await;
        let flight = peer.answer().await;
        peer.send(&flight).await;
        peer.echo(HELLO).await;
        assert_eq!(peer.tls.handshake_kind(), Some(rustls::HandshakeKind::Full), "{version:?}");
        assert_eq!(peer.tls.tls13_tickets_received(), 0);
        assert!(!peer.tls.is_early_data_accepted());
        leaves(&stage, peer, number).await;
    }
    // No octet of the early data was taken for data.
    assert_eq!(stage.backend.octets(), 2 * HELLO.len() as u64);
    task.abort();
}

#[tokio::test]
async fn a_session_of_an_accepted_peer_opens_nothing_to_a_refused_one() {
    let stage = open_stage().await;
    let leaf = stage.leaf();
    let wrong = stage.ca.leaf().dns("other.example.test").issue().unwrap();
    for (number, version) in BOTH.into_iter().enumerate() {
        let sessions = Resumption::in_memory_sessions(10);
        let with = |identity| {
            let mut config = config(identity, version);
            config.resumption = sessions.clone();
            config
        };
        let mut first = Crafted::with(stage.listener, with(Some(&leaf))).await;
        first.handshake().await;
        first.echo(HELLO).await;
        leaves(&stage, first, 3 * number).await;
        for (identity, reason) in [(Some(&wrong), Reason::NameMismatch), (None, Reason::NoCertificate)] {
            let (before, octets) = (stage.lines().len(), stage.backend.octets());
            let mut peer = Crafted::with(stage.listener, with(identity)).await;
            let hello = peer.hello();
            peer.send(&hello).await;
            let flight = peer.answer().await;
            peer.send(&flight).await;
            peer.end().await;
            let line = stage.line(before).await;
            assert_eq!(line.text("reason"), Some(reason.as_str()), "{line:?}");
            assert_eq!(stage.backend.octets(), octets);
        }
    }
}

/// `openssl s_client` with these arguments, its input open.
fn openssl(stage: &Stage, acceptor: SocketAddr, identity: &Identity, arguments: &[&str]) -> Process {
    let (chain, key) = identity.write(stage.dir.path(), "peer").unwrap();
    let mut command = std::process::Command::new("openssl");
    command.arg("s_client").arg("-connect").arg(acceptor.to_string());
    command.arg("-bind").arg(format!("{SOURCE}:0")).arg("-noservername");
    command.arg("-cert").arg(&chain).arg("-key").arg(key).arg("-cert_chain").arg(&chain).args(arguments);
    Process::spawn(&mut command).unwrap()
}

async fn says(peer: &Process, word: &str) {
    peer.write(format!("{word}\n").as_bytes()).unwrap();
    let heard = peer.wait_for_stdout(PATIENCE, |line| line == word).await;
    assert!(heard.is_some(), "{:?} {:?}", peer.stdout(), peer.stderr());
}

async fn quits(peer: &Process) {
    peer.write(b"Q\n").unwrap();
    peer.wait(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn openssl_gets_no_session_and_cannot_use_one_of_elsewhere() {
    let stage = open_stage().await;
    let own = stage.ca.leaf().dns("acceptor.example.test").issue().unwrap();
    let (elsewhere, task) = generous(&own).await;
    let session = stage.dir.path().join("session.pem");
    let session = session.to_str().unwrap();
    let (leaf, wrong) = (stage.leaf(), stage.ca.leaf().dns("other.example.test").issue().unwrap());
    for (number, version) in ["-tls1_2", "-tls1_3"].into_iter().enumerate() {
        let first = openssl(&stage, stage.listener, &leaf, &[version, "-sess_out", session]);
        says(&first, "hello").await;
        quits(&first).await;
        assert!(!std::fs::exists(session).unwrap(), "{version}: there is a session to write");
        stage.line(3 * number).await;
        // One of elsewhere.
        let first = openssl(&stage, elsewhere, &leaf, &[version, "-sess_out", session]);
        says(&first, "four").await;
        first.wait(PATIENCE).await.unwrap();
        let second = openssl(&stage, elsewhere, &leaf, &[version, "-sess_in", session]);
        assert!(second.wait_for_stdout(PATIENCE, |line| line.starts_with("Reused")).await.is_some());
        second.kill();

        let peer = openssl(&stage, stage.listener, &leaf, &[version, "-sess_in", session]);
        says(&peer, "hello").await;
        quits(&peer).await;
        assert!(peer.stdout().iter().any(|line| line.starts_with("New, TLSv1")), "{:?}", peer.stdout());
        stage.line(3 * number + 1).await;
        let peer = openssl(&stage, stage.listener, &wrong, &[version, "-sess_in", session]);
        peer.wait(PATIENCE).await.unwrap();
        let line = stage.line(3 * number + 2).await;
        assert_eq!(line.text("reason"), Some("name_mismatch"), "{line:?}");
        std::fs::remove_file(session).unwrap();
    }
    task.abort();
}

#[tokio::test]
async fn tls12_renegotiation_is_declined() {
    let stage = open_stage().await;
    let peer = openssl(&stage, stage.listener, &stage.leaf(), &["-tls1_2"]);
    says(&peer, "hello").await;
    // What openssl makes of being declined is an error and the end.
    peer.write(b"R\n").unwrap();
    assert!(
        peer.wait_for_stderr(PATIENCE, |line| line.contains("no renegotiation")).await.is_some(),
        "{:?}",
        peer.stderr()
    );
    peer.wait(PATIENCE).await.unwrap();
    let line = stage.line(0).await;
    assert_eq!(
        (line.text("outcome"), &line.0["bytes_in"]),
        (Some("accepted"), &serde_json::json!(6)),
        "{line:?}"
    );
    // One peer, one handshake, one connection at the upstream.
    assert_eq!(stage.backend.connections(), 1);
    assert_eq!(stage.lines().len(), 1);
    let gone = eventually(Duration::from_secs(10), || stage.backend.live() == 0).await;
    assert!(gone, "the upstream's connection stays");
}

#[tokio::test]
async fn early_data_of_a_refused_peer_goes_nowhere() {
    let stage = open_stage().await;
    let own = stage.ca.leaf().dns("acceptor.example.test").issue().unwrap();
    let (elsewhere, task) = generous(&own).await;
    let wrong = stage.ca.leaf().dns("other.example.test").issue().unwrap();
    let mut with_memory = config(Some(&wrong), Version::Tls13);
    with_memory.resumption = Resumption::in_memory_sessions(10);
    with_memory.enable_early_data = true;
    let mut first = Crafted::with(elsewhere, with_memory.clone()).await;
    first.handshake().await;
    first.echo(b"first").await;
    first.end().await;
    let mut peer = Crafted::with(stage.listener, with_memory).await;
    let mut early = peer.hello();
    {
        use std::io::Write as _;
        peer.tls.early_data().unwrap().write_all(&[b'x'; 4000]).unwrap();
    }
    early.extend(peer.take());
    peer.send(&early).await;
    let flight = peer.answer().await;
    peer.send(&flight).await;
    peer.end().await;
    refused(&stage, 0, Reason::NameMismatch).await;
    task.abort();
}
