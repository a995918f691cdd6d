//! TLS stacks that no one here wrote, as peers: each in the program that its users have, each with its own words for an alert.
//!
//! OpenSSL (`openssl s_client`), GnuTLS (`gnutls-cli`), curl (on whatever it is linked with; OpenSSL on Debian), Go and Java
//! (programs of a page, in `tests/testbed/peers`). All but one choose their source address themselves; `gnutls-cli` cannot, so that its connection
//! is passed on, octet by octet, by a relay that comes from there.

use std::fmt;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use revouch_lab::Identity;

use super::program;
use super::relay::Relay;
use crate::process::{Process, temp_dir};
use crate::wait::eventually;

/// A TLS implementation, and the program that it is used through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// `openssl s_client`.
    OpenSsl,
    /// `gnutls-cli`.
    GnuTls,
    /// `curl`, which sends an HTTP request and takes the echo for an answer of HTTP/0.9.
    Curl,
    /// A Go program on `crypto/tls`.
    Go,
    /// A Java program on JSSE, with the default key manager.
    Java,
    /// The same with the key manager that looks at the certificate's purposes (`NewSunX509`, also called PKIX).
    JavaPkix,
}

/// A peer on one of these stacks. By default: no certificate, no SNI, TLS 1.3, 30 seconds.
#[derive(Clone)]
pub struct StackPeer {
    stack: Stack,
    source: IpAddr,
    identity: Option<Identity>,
    server_name: Option<String>,
    tls12: bool,
    again: bool,
    deadline: Duration,
}

/// What a run showed.
#[derive(Clone, Debug)]
pub struct StackOutcome {
    /// Every line came back, in order.
    pub echoed: bool,
    /// Something came back, whole or not.
    pub answered: bool,
    /// The number of the alert that the program told of.
    pub alert: Option<u8>,
    /// Lines of standard output.
    pub stdout: Vec<String>,
    /// Lines of standard error.
    pub stderr: Vec<String>,
}

impl Stack {
    /// All of them.
    pub const ALL: &[Self] = &[Self::OpenSsl, Self::GnuTls, Self::Curl, Self::Go, Self::Java, Self::JavaPkix];

    /// Whether its program is installed. Where it is not, that is said on standard error, past the test runner's capture; with `CI` set
    /// it is a failure.
    ///
    /// # Panics
    /// It is not installed and `CI` is set.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is how the tests are told that nothing may be left out"
    )]
    pub fn is_installed(self) -> bool {
        let program = self.program();
        if program::is_installed(program) {
            return true;
        }
        let message =
            format!("{self} is left out: there is no `{program}` here; `cargo xtask setup` gets it");
        assert!(std::env::var_os("CI").is_none(), "{message}");
        // There is nobody to tell if standard error is gone.
        let _ = writeln!(io::stderr(), "{message}");
        false
    }

    /// The program that a user must have.
    const fn program(self) -> &'static str {
        match self {
            Self::OpenSsl => "openssl",
            Self::GnuTls => "gnutls-cli",
            Self::Curl => "curl",
            Self::Go => "go",
            Self::Java | Self::JavaPkix => "javac",
        }
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenSsl => "OpenSSL",
            Self::GnuTls => "GnuTLS",
            Self::Curl => "curl",
            Self::Go => "Go",
            Self::Java => "Java",
            Self::JavaPkix => "Java (NewSunX509)",
        })
    }
}

impl StackPeer {
    /// A peer on this stack that comes from this address.
    pub fn new(stack: Stack, source: IpAddr) -> Self {
        let deadline = Duration::from_secs(30);
        Self { stack, source, identity: None, server_name: None, tls12: false, again: false, deadline }
    }

    /// The certificate that it is given.
    #[must_use]
    pub fn identity(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// The name that it asks for (SNI). Curl asks for one always: `acceptor.invalid` unless told otherwise.
    #[must_use]
    pub fn server_name(mut self, name: &str) -> Self {
        self.server_name = Some(name.to_owned());
        self
    }

    /// TLS 1.2 in the place of 1.3.
    #[must_use]
    pub fn tls12(mut self, tls12: bool) -> Self {
        self.tls12 = tls12;
        self
    }

    /// Connects twice, and offers the second time whatever session the first has given; the Go program alone can.
    #[must_use]
    pub fn again(mut self) -> Self {
        self.again = true;
        self
    }

    /// Connects, sends `text` (lines, each with its end), and waits until all of it comes back or the program gives up; then ends the
    /// program.
    ///
    /// # Errors
    /// The program is not installed (`NotFound`), cannot be built, or its files cannot be written.
    pub async fn run(&self, acceptor: SocketAddr, text: &str) -> io::Result<StackOutcome> {
        let directory = temp_dir()?;
        let files = match &self.identity {
            Some(identity) => Some(identity.write(directory.path(), "peer").map_err(io::Error::other)?),
            None => None,
        };
        let relay = match self.stack {
            Stack::GnuTls => Some(Relay::start(self.source, acceptor).await?),
            _ => None,
        };
        let to = relay.as_ref().map_or(acceptor, Relay::address);
        let process = Process::spawn(&mut self.command(to, files)?)?;
        // A program that was refused in the handshake may have ended already.
        let _ = process.write(text.as_bytes());
        // Those that talk both ways take the end of their input for the end of the conversation.
        if !matches!(self.stack, Stack::OpenSsl | Stack::GnuTls) {
            process.close_stdin();
        }
        let sent: Vec<&str> = text.lines().collect();
        let echoed = || process.stdout().ends_with_lines(&sent);
        let alert = || process.stderr().iter().chain(&process.stdout()).find_map(|line| alert_in(line));
        let _ =
            eventually(self.deadline, || echoed() || alert().is_some() || process.ended().is_some()).await;
        if process.ended().is_none() {
            process.kill();
        }
        // Its last words are read by another thread.
        let _ = eventually(Duration::from_secs(1), || process.output_complete()).await;
        let stdout = process.stdout();
        let answered = stdout.iter().any(|line| sent.contains(&line.as_str()));
        Ok(StackOutcome { echoed: echoed(), answered, alert: alert(), stdout, stderr: process.stderr() })
    }

    fn command(&self, to: SocketAddr, files: Option<(PathBuf, PathBuf)>) -> io::Result<Command> {
        Ok(match self.stack {
            Stack::OpenSsl => self.openssl(to, files),
            Stack::GnuTls => self.gnutls(to, files),
            Stack::Curl => self.curl(to, files),
            Stack::Go => {
                let mut command = Command::new(program::go()?);
                command.args(self.again.then_some("-again"));
                self.arguments(&mut command, to)
                    .args(files.map(|(chain, key)| [chain, key]).into_iter().flatten());
                command
            }
            Stack::Java | Stack::JavaPkix => {
                let mut command = Command::new("java");
                // It runs for a moment: what makes it start faster counts.
                command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-cp"]);
                command.arg(program::java()?).arg("Peer");
                self.arguments(&mut command, to);
                command.arg(if self.stack == Stack::Java { "SunX509" } else { "NewSunX509" });
                command.args(files.map(|(chain, key)| [chain, key]).into_iter().flatten());
                command
            }
        })
    }

    /// Of the programs in `tests/testbed/peers`.
    fn arguments<'a>(&self, command: &'a mut Command, to: SocketAddr) -> &'a mut Command {
        let version = if self.tls12 { "1.2" } else { "1.3" };
        let name = self.server_name.as_deref().unwrap_or("-");
        command.arg(to.to_string()).arg(self.source.to_string()).arg(version).arg(name)
    }

    fn openssl(&self, to: SocketAddr, files: Option<(PathBuf, PathBuf)>) -> Command {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", if self.tls12 { "-tls1_2" } else { "-tls1_3" }, "-connect"]);
        command.arg(to.to_string()).arg("-bind").arg(SocketAddr::new(self.source, 0).to_string());
        match &self.server_name {
            Some(name) => command.arg("-servername").arg(name),
            None => command.arg("-noservername"),
        };
        if let Some((chain, key)) = files {
            // The leaf is the first certificate of the file; `-cert_chain` sends all behind it.
            command.arg("-cert").arg(&chain).arg("-key").arg(key).arg("-cert_chain").arg(chain);
        }
        command
    }

    fn gnutls(&self, to: SocketAddr, files: Option<(PathBuf, PathBuf)>) -> Command {
        let mut command = Command::new("gnutls-cli");
        let version = if self.tls12 { "TLS1.2" } else { "TLS1.3" };
        command.args(["--insecure", "--logfile=/dev/stderr", "--priority"]);
        command.arg(format!("NORMAL:-VERS-ALL:+VERS-{version}")).arg("--port").arg(to.port().to_string());
        match &self.server_name {
            Some(name) => command.arg("--sni-hostname").arg(name),
            None => command.arg("--disable-sni"),
        };
        if let Some((chain, key)) = files {
            command.arg("--x509certfile").arg(chain).arg("--x509keyfile").arg(key);
        }
        command.arg(to.ip().to_string());
        command
    }

    fn curl(&self, to: SocketAddr, files: Option<(PathBuf, PathBuf)>) -> Command {
        let mut command = Command::new("curl");
        let version = if self.tls12 { "1.2" } else { "1.3" };
        let name = self.server_name.as_deref().unwrap_or("acceptor.invalid");
        // `--disable` reads no configuration of the user's, and no proxy of the environment comes between.
        command.args([
            "--disable",
            "--silent",
            "--show-error",
            "--no-buffer",
            "--insecure",
            "--noproxy",
            "*",
        ]);
        command.args(["--http1.1", "--http0.9", "--tlsv1.2", "--tls-max", version]);
        if !self.tls12 {
            command.arg("--tlsv1.3");
        }
        command.arg("--interface").arg(self.source.to_string());
        command.arg("--connect-to").arg(format!("::{to}"));
        if let Some((chain, key)) = files {
            command.arg("--cert").arg(chain).arg("--key").arg(key);
        }
        command
            .args(["--header", "Expect:", "--data-binary", "@-"])
            .arg(format!("https://{name}:{}/", to.port()));
        command
    }
}

/// Whether the last lines are these.
trait EndsWithLines {
    fn ends_with_lines(&self, lines: &[&str]) -> bool;
}

impl EndsWithLines for Vec<String> {
    fn ends_with_lines(&self, lines: &[&str]) -> bool {
        let first = self.len().checked_sub(lines.len());
        first.and_then(|first| self.get(first..)).is_some_and(|last| last.iter().eq(lines))
    }
}

/// The alert that a program tells of in one of its lines.
fn alert_in(line: &str) -> Option<u8> {
    let behind = |mark: &str| line.split_once(mark).map(|(_, behind)| behind);
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text.get(..end)?.parse().ok()
    };
    // openssl s_client, where it knows the number; GnuTLS; the Go program.
    let numbers = ["SSL alert number ", "Received alert [", "alert "];
    let number = numbers.iter().find_map(|mark| digits(behind(mark)?));
    // OpenSSL in other programs: library 20 (SSL), and as the reason 1000 + the number of the alert.
    let openssl = || {
        let code = u32::from_str_radix(behind("error:0A")?.get(..6)?, 16).ok()?;
        code.checked_sub(1000).and_then(|number| u8::try_from(number).ok())
    };
    // Java: the name that the RFC has.
    let java = || {
        let name = behind("Received fatal alert: ")?.trim();
        NAMES.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
    };
    number.or_else(openssl).or_else(java)
}

/// RFC 8446 section 6, those that a peer may see of an acceptor.
const NAMES: &[(u8, &str)] = &[
    (10, "unexpected_message"),
    (20, "bad_record_mac"),
    (40, "handshake_failure"),
    (42, "bad_certificate"),
    (43, "unsupported_certificate"),
    (44, "certificate_revoked"),
    (45, "certificate_expired"),
    (46, "certificate_unknown"),
    (47, "illegal_parameter"),
    (48, "unknown_ca"),
    (49, "access_denied"),
    (50, "decode_error"),
    (51, "decrypt_error"),
    (70, "protocol_version"),
    (80, "internal_error"),
    (116, "certificate_required"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_programs_words_for_an_alert_are_understood() {
        for (line, alert) in [
            (
                "80:error:0A000419:SSL routines:ssl3_read_bytes:tlsv1 alert access denied:ssl/record/rec_layer_s3.c:1586:SSL alert number 49",
                Some(49),
            ),
            ("*** Received alert [49]: Access was denied", Some(49)),
            (
                "curl: (56) OpenSSL SSL_read: error:0A000412:SSL routines::sslv3 alert bad certificate, errno 0",
                Some(42),
            ),
            (
                "curl: (56) OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required, errno 0",
                Some(116),
            ),
            ("alert 46", Some(46)),
            (
                "error javax.net.ssl.SSLHandshakeException: Received fatal alert: certificate_unknown",
                Some(46),
            ),
            ("error EOF", None),
            ("curl: (52) Empty reply from server", None),
        ] {
            assert_eq!(alert_in(line), alert, "{line}");
        }
    }

    #[test]
    fn an_echo_must_be_whole_and_last() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert!(lines("POST / HTTP/1.1\n\na\nb").ends_with_lines(&["a", "b"]));
        assert!(!lines("a").ends_with_lines(&["a", "b"]));
        assert!(!lines("a\nb\nc").ends_with_lines(&["a", "b"]));
    }
}
