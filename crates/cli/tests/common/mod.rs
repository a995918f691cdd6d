//! A signed universe, a CA, their files in a directory of their own, and the program run over them.

#![allow(dead_code, reason = "each test program uses its own part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use revouch_lab::{CertificateAuthority, Identity, LeafBuilder, Listen, Sabotage, Server, Signing, Universe};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What a run of the program gave.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }
}

/// Runs `revouch` with these arguments.
pub(crate) fn revouch<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Run {
    revouch_with(args, "")
}

/// Runs `revouch` with this on standard input.
pub(crate) fn revouch_with<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>, input: &str) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_revouch"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // From a thread of its own: a program that does not read must not hold up the test, nor be written to the end.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Everything that a decision by hand needs.
pub(crate) struct Lab {
    pub(crate) dir: TempDir,
    pub(crate) ca: CertificateAuthority,
    pub(crate) server: Server,
    universe: Universe,
    _runtime: Runtime,
}

/// `gw1` is as it should be; the others have one fault each.
pub(crate) const GOOD: &str = "gw1.example.test";

impl Lab {
    pub(crate) fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let ca = CertificateAuthority::servers().unwrap();
        let other = LeafBuilder::self_signed().dns("other.test").issue().unwrap();
        let universe = Universe::builder()
            .zone("example.test", Signing::Nsec)
            .zone("plain.test", Signing::Unsigned)
            .zone("bogus.test", Signing::Nsec3)
            .host(GOOD, "127.0.3.1".parse().unwrap())
            .host("gw2.example.test", "127.0.3.2".parse().unwrap())
            .tlsa("gw2.example.test", 5269, &other.tlsa(3, 1, 1).unwrap())
            .ptr("127.0.3.3".parse().unwrap(), "gw3.example.test")
            .address("gw3.example.test", "127.0.3.99".parse().unwrap())
            .host("gw5.bogus.test", "127.0.3.5".parse().unwrap())
            .sabotage("gw5.bogus.test", "A", Sabotage::WrongRdata)
            .host("gw6.plain.test", "127.0.3.6".parse().unwrap())
            .record("alias.example.test", "CNAME gw1.example.test.")
            .record("64/26.3.0.127.in-addr.arpa", "PTR gw1.example.test.")
            .record("a.b.example.test", "TXT two-labels")
            .record(GOOD, "CAA 0 issue \"lab.test\"")
            .build()
            .unwrap();
        let server = runtime.block_on(universe.serve(Listen::loopback())).unwrap();
        let lab = Self { dir: tempfile::tempdir().unwrap(), ca, server, universe, _runtime: runtime };
        lab.universe.write_trust_anchor(&lab.path("root.key")).unwrap();
        lab.write("roots.pem", &lab.ca.root_pem());
        lab.policy("policy.yaml", "{}");
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A certificate for this name, written as `<name>.chain.pem`.
    pub(crate) fn issue(&self, name: &str) -> (Identity, PathBuf) {
        let identity = self.ca.leaf().dns(name).issue().unwrap();
        let (chain, _) = identity.write(self.dir.path(), name).unwrap();
        (identity, chain)
    }

    /// A listener on port 5269 and a policy with these further fields of its `spec`, in YAML's flow style.
    pub(crate) fn policy(&self, name: &str, dns: &str) -> PathBuf {
        let text = format!(
            "\
apiVersion: revouch.dev/v1alpha1
kind: Listener
metadata: {{name: xmpp}}
spec:
  bind: [\"127.0.0.1:5269\"]
  tls: {{certificates: [{{certFile: none.pem, keyFile: none.key}}]}}
  routes: [{{name: all, upstream: {{unix: app.sock}}}}]
---
apiVersion: revouch.dev/v1alpha1
kind: PeerPolicy
metadata: {{name: federation}}
spec:
  targetRefs: [{{kind: Listener, name: xmpp}}]
  trust: {{public: None, caFiles: [roots.pem]}}
  dns: {dns}
"
        );
        self.write(name, &text)
    }

    /// The options that make the program ask this universe.
    pub(crate) fn asking(&self) -> Vec<String> {
        let anchor = self.path("root.key").display().to_string();
        vec!["--resolver".into(), self.server.address().to_string(), "--trust-anchor".into(), anchor]
    }

    /// `check` of a chain from an address, with more arguments.
    pub(crate) fn check(&self, chain: &Path, source: &str, more: &[&str]) -> Run {
        self.check_with("policy.yaml", chain, source, more)
    }

    pub(crate) fn check_with(&self, policy: &str, chain: &Path, source: &str, more: &[&str]) -> Run {
        let mut args = vec!["check".into(), "--policy".into(), self.path(policy).display().to_string()];
        args.extend(["--chain".into(), chain.display().to_string(), "--source".into(), source.into()]);
        if !more.iter().any(|arg| matches!(*arg, "--evidence" | "--no-dns")) {
            args.extend(self.asking());
        }
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        revouch(args)
    }
}
