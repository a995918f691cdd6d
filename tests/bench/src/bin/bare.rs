//! `revouch-bench-bare LISTEN UPSTREAM CHAIN KEY ROOTS`: the least that a TLS terminator on tokio-rustls does.
//!
//! Mutual TLS with the peers' chains checked up to a root, no resumption, then tokio's own copying in both directions. No names, no DNS, no
//! policy, no log, no limits, no deadline: what the proxy's handshakes are measured against. One worker thread, as the proxy has it.

#![allow(clippy::print_stderr, reason = "a command-line program")]
#![allow(clippy::disallowed_methods, reason = "a command-line program reads its arguments")]

use std::error::Error;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream, chain, key, roots] = arguments.as_slice() else {
        return Err("revouch-bench-bare LISTEN UPSTREAM CHAIN KEY ROOTS".into());
    };
    let acceptor = TlsAcceptor::from(Arc::new(config(chain, key, roots)?));
    let upstream: Arc<str> = upstream.as_str().into();
    let listener = TcpListener::bind(listen.as_str()).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, upstream) = (acceptor.clone(), Arc::clone(&upstream));
        tokio::spawn(async move {
            // What ends one connection is its own affair.
            drop(Box::pin(serve(stream, acceptor, &upstream)).await);
        });
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, upstream: &str) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let mut peer = acceptor.accept(stream).await?;
    let mut upstream = TcpStream::connect(upstream).await?;
    upstream.set_nodelay(true)?;
    copy_bidirectional(&mut peer, &mut upstream).await?;
    Ok(())
}

fn config(chain: &str, key: &str, roots: &str) -> Result<ServerConfig, Failure> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut store = RootCertStore::empty();
    store.add(CertificateDer::from_pem_file(roots)?)?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider)).build()?;
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<Vec<_>, _>>()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
