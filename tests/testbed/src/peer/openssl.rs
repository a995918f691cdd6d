//! `openssl s_client` as the peer: a TLS stack that is not ours, and that prints the alert it got.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use revouch_lab::Identity;

use crate::process::{Process, temp_dir};
use crate::wait::eventually;

/// One run of `openssl s_client`, to be configured. By default: no certificate, no SNI, any version, 15 seconds.
#[derive(Clone)]
pub struct OpenSsl {
    source: SocketAddr,
    identity: Option<Identity>,
    server_name: Option<String>,
    arguments: Vec<String>,
    deadline: Duration,
}

/// What a run showed.
#[derive(Clone, Debug)]
pub struct OpenSslOutcome {
    /// The line came back.
    pub echoed: bool,
    /// The number of the alert that was received: of `SSL alert number N`.
    pub alert: Option<u8>,
    /// Lines of standard output.
    pub stdout: Vec<String>,
    /// Lines of standard error.
    pub stderr: Vec<String>,
}

impl OpenSsl {
    /// A peer that connects from this address.
    pub fn from(source: IpAddr) -> Self {
        Self {
            source: SocketAddr::new(source, 0),
            identity: None,
            server_name: None,
            arguments: Vec::new(),
            deadline: Duration::from_secs(15),
        }
    }

    /// A fixed source port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.source.set_port(port);
        self
    }

    /// The certificate it presents.
    #[must_use]
    pub fn identity(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// The name it asks for (SNI).
    #[must_use]
    pub fn server_name(mut self, name: &str) -> Self {
        self.server_name = Some(name.to_owned());
        self
    }

    /// TLS 1.2 only.
    #[must_use]
    pub fn tls12(self) -> Self {
        self.argument("-tls1_2")
    }

    /// TLS 1.3 only.
    #[must_use]
    pub fn tls13(self) -> Self {
        self.argument("-tls1_3")
    }

    /// Any other argument of `s_client`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// How long to wait for the echo or the end.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Connects, sends the line, and waits until it comes back or openssl gives up; then ends openssl.
    ///
    /// # Errors
    /// Openssl is not installed (`NotFound`), or its files cannot be written.
    pub async fn run(&self, acceptor: SocketAddr, line: &str) -> io::Result<OpenSslOutcome> {
        let directory = temp_dir()?;
        let mut command = Command::new("openssl");
        command.arg("s_client").arg("-quiet").arg("-connect").arg(acceptor.to_string());
        command.arg("-bind").arg(self.source.to_string()).args(&self.arguments);
        match &self.server_name {
            Some(name) => command.arg("-servername").arg(name),
            None => command.arg("-noservername"),
        };
        if let Some(identity) = &self.identity {
            let (chain, key) = identity.write(directory.path(), "peer").map_err(io::Error::other)?;
            // The leaf is the first certificate of the file; `-cert_chain` sends all behind it.
            command.arg("-cert").arg(&chain).arg("-key").arg(key).arg("-cert_chain").arg(&chain);
        }
        let process = Process::spawn(&mut command)?;
        // Openssl that was refused in the handshake may have ended already.
        let _ = process.write(format!("{line}\n").as_bytes());
        let echoed = || process.stdout().iter().any(|received| received == line);
        let alert = || process.stderr().iter().find_map(|text| alert_number(text));
        let _ =
            eventually(self.deadline, || echoed() || alert().is_some() || process.ended().is_some()).await;
        process.kill();
        // Its last words are read by another thread.
        let _ = eventually(Duration::from_secs(1), || process.output_complete()).await;
        Ok(OpenSslOutcome {
            echoed: echoed(),
            alert: alert(),
            stdout: process.stdout(),
            stderr: process.stderr(),
        })
    }
}

fn alert_number(line: &str) -> Option<u8> {
    let (_, number) = line.rsplit_once("SSL alert number ")?;
    number.trim().parse().ok()
}
