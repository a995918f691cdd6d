//! Child processes that are killed by their own handle when dropped, and whose output can be waited for.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::wait::{eventually, eventually_some};

/// Lines of output that are kept, the newest.
const MAX_LINES: usize = 20_000;

/// A running child. Dropping it kills and reaps it.
pub struct Process {
    child: Mutex<Child>,
    pid: u32,
    stdin: Mutex<Option<ChildStdin>>,
    stdout: Lines,
    stderr: Lines,
}

/// Output so far, line by line, shared with the thread that reads it.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<VecDeque<String>>>);

impl Process {
    /// Starts a program with all three standard streams piped.
    ///
    /// # Errors
    /// The program cannot be started; `NotFound` if it is not installed.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (stdout, stderr) = (Lines::default(), Lines::default());
        if let Some(pipe) = child.stdout.take() {
            stdout.read_from(pipe);
        }
        if let Some(pipe) = child.stderr.take() {
            stderr.read_from(pipe);
        }
        let stdin = Mutex::new(child.stdin.take());
        Ok(Self { pid: child.id(), child: Mutex::new(child), stdin, stdout, stderr })
    }

    /// The child's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The lines written to standard output so far (the newest 20,000).
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.all()
    }

    /// The lines written to standard error so far (the newest 20,000).
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.all()
    }

    /// Writes to the child's standard input.
    ///
    /// # Errors
    /// The child has closed it, or [`close_stdin`](Self::close_stdin) has.
    pub fn write(&self, text: &[u8]) -> io::Result<()> {
        let mut stdin = lock(&self.stdin);
        let pipe = stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        pipe.write_all(text)?;
        pipe.flush()
    }

    /// Ends the child's standard input.
    pub fn close_stdin(&self) {
        lock(&self.stdin).take();
    }

    /// Waits for a line on standard error that satisfies `wanted`; looks at those already written too. Gives up when
    /// the time is over or the child has ended.
    pub async fn wait_for_stderr(&self, deadline: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        self.wait_for(&self.stderr, deadline, wanted).await
    }

    /// As [`wait_for_stderr`](Self::wait_for_stderr), on standard output.
    pub async fn wait_for_stdout(&self, deadline: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        self.wait_for(&self.stdout, deadline, wanted).await
    }

    /// Waits for the child to end.
    pub async fn wait(&self, deadline: Duration) -> Option<ExitStatus> {
        eventually_some(deadline, || self.ended()).await
    }

    /// How the child ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        lock(&self.child).try_wait().ok().flatten()
    }

    /// Both outputs have been read to their ends.
    pub fn output_complete(&self) -> bool {
        self.stdout.is_complete() && self.stderr.is_complete()
    }

    /// Sends a signal, by name as `kill` knows it: `"TERM"`, `"HUP"`.
    ///
    /// # Errors
    /// There is no `kill`, or it failed.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        // As long as the child has not been reaped its id cannot belong to another process.
        let mut child = lock(&self.child);
        if child.try_wait()?.is_some() {
            return Err(io::Error::other("the process has ended"));
        }
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.pid.to_string()).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("kill: {status}"))) }
    }

    /// Kills the child and waits for its end.
    pub fn kill(&self) {
        let mut child = lock(&self.child);
        // An error means that it has ended already.
        let _ = child.kill();
        let _ = child.wait();
    }

    async fn wait_for(
        &self,
        lines: &Lines,
        deadline: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let mut found = None;
        let mut ended = false;
        let _ = eventually(deadline, || {
            // The end is looked at first: what was written before it has been read by the next look.
            let last_look = ended;
            ended = self.ended().is_some() && lines.is_complete();
            found = lines.find(&wanted);
            found.is_some() || last_look
        })
        .await;
        found
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Lines {
    fn read_from(&self, pipe: impl Read + Send + 'static) {
        let lines = Arc::clone(&self.0);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            // A program may write octets that are no UTF-8.
            while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
                line.clear();
                let mut kept = lock(&lines);
                if kept.len() == MAX_LINES {
                    kept.pop_front();
                }
                kept.push_back(text);
            }
        });
    }

    /// The pipe has been read to its end: the reading thread has let go of the lines.
    fn is_complete(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    fn all(&self) -> Vec<String> {
        lock(&self.0).iter().cloned().collect()
    }

    fn find(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        lock(&self.0).iter().find(|line| wanted(line)).cloned()
    }
}

/// A directory that is removed when it is dropped.
///
/// # Errors
/// It cannot be made.
pub fn temp_dir() -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("revouch-test-").tempdir()
}

/// An address with a port that was free for TCP and UDP a moment ago, for programs that cannot take port 0. Somebody
/// else may take it first: try again then. For more than one use [`free_ports`]: a port that was let go may be given
/// out again at once.
///
/// # Errors
/// The address is not local, or no port is free.
pub fn free_port(address: IpAddr) -> io::Result<SocketAddr> {
    free_ports(address).map(|[port]| port)
}

/// As [`free_port`], several at once and all different: each is held until the last is found.
///
/// # Errors
/// The address is not local, or not enough ports are free.
pub fn free_ports<const N: usize>(address: IpAddr) -> io::Result<[SocketAddr; N]> {
    let mut held = Vec::with_capacity(N);
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..N + 31 {
        let tcp = TcpListener::bind((address, 0))?;
        let free = tcp.local_addr()?;
        match UdpSocket::bind(free) {
            Ok(udp) => held.push((free, tcp, udp)),
            Err(error) => last = error,
        }
        if held.len() == N {
            break;
        }
    }
    let free: Vec<SocketAddr> = held.iter().map(|(free, _, _)| *free).collect();
    free.try_into().map_err(|_| last)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
