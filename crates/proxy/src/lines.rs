//! Lines of text that go to a file or to standard error without ever holding up who writes them.
//!
//! Promises: handing in a line never blocks and never allocates without bound: there is a queue of [`QUEUE`] lines, and what
//! does not fit is dropped and counted. Lines that anybody can cause get half of it, so that they never drive out the others. One thread
//! writes; it ends when the last [`Lines`] is gone, with everything written that was taken. An output that takes nothing any more holds up the
//! end of the process for [`FINISH`] at the most.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use prometheus::IntCounter;

/// How many lines may wait to be written.
pub const QUEUE: usize = 8192;
/// The longest line, in bytes; a longer one is dropped.
pub const MAX_LINE: usize = 64 * 1024;

/// How long the end may wait for lines to be written.
pub const FINISH: Duration = Duration::from_secs(2);
/// How long lines gather after others were written, so that many are written in one go.
const GATHER: Duration = Duration::from_millis(20);
/// How much is written in one go at most.
const BUFFER: usize = 64 * 1024;
/// Between two attempts to put the end into a full queue.
const AGAIN: Duration = Duration::from_millis(20);

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard error.
    Stderr,
    /// The end of a file, which is made if it is not there.
    File(PathBuf),
}

/// The end of the queue into which lines are put. Cheap to clone.
#[derive(Clone)]
pub struct Lines {
    queue: SyncSender<Message>,
    /// How many lines are in the queue.
    waiting: Arc<AtomicUsize>,
    dropped: IntCounter,
}

/// The thread that writes.
#[must_use = "the writer is waited for with `finish`"]
pub struct LineWriter {
    /// Closed when the thread has ended, with or without a panic.
    ended: Receiver<()>,
    queue: SyncSender<Message>,
}

enum Message {
    Line(Vec<u8>),
    Destination(Box<dyn Write + Send>),
    End,
}

impl Lines {
    /// Starts a writer. `dropped` counts the lines that were dropped.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread cannot be started.
    pub fn start(destination: &Destination, dropped: IntCounter) -> io::Result<(Self, LineWriter)> {
        Self::start_with(destination.open()?, dropped)
    }

    fn start_with(output: Box<dyn Write + Send>, dropped: IntCounter) -> io::Result<(Self, LineWriter)> {
        let (queue, receiver) = sync_channel(QUEUE);
        let counter = dropped.clone();
        let (ending, ended) = sync_channel(1);
        let waiting = Arc::new(AtomicUsize::new(0));
        let taken = Arc::clone(&waiting);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || {
            // Dropped last: who hears that the thread has ended finds the queue closed.
            let _ending: SyncSender<()> = ending;
            let receiver = receiver;
            write_all(&receiver, output, &taken, &counter);
        })?;
        Ok((Self { queue: queue.clone(), waiting, dropped }, LineWriter { ended, queue }))
    }

    /// Puts a line into the queue, without its line feed. Never blocks.
    pub fn line(&self, mut line: Vec<u8>) {
        line.push(b'\n');
        // Before it can be taken out again.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if line.len() > MAX_LINE || self.queue.try_send(Message::Line(line)).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.dropped.inc();
        }
    }

    /// As [`line`](Self::line), for a line that anybody can cause: while the queue is half full it is dropped and counted.
    pub fn line_of_anybody(&self, line: Vec<u8>) {
        if self.waiting.load(Ordering::Relaxed) < QUEUE / 2 {
            self.line(line);
        } else {
            self.dropped.inc();
        }
    }

    /// Opens `destination` (again) and writes there from the next line on: after a log file was moved away, or named anew.
    /// Opens a file, so it is not for a runtime's thread.
    ///
    /// # Errors
    /// It cannot be opened; the old one stays.
    pub fn reopen(&self, destination: &Destination) -> io::Result<()> {
        let output = destination.open()?;
        self.queue
            .send(Message::Destination(output))
            .map_err(|_| io::Error::other("the log's writer has ended"))
    }
}

impl LineWriter {
    /// Waits until everything is written that was taken so far, and ends. What comes later is dropped and counted. An output that is stuck is
    /// given up after [`FINISH`].
    pub fn finish(self) {
        let until = Instant::now() + FINISH;
        while let Err(TrySendError::Full(_)) = self.queue.try_send(Message::End) {
            let waited = self.ended.recv_timeout(AGAIN);
            if waited != Err(RecvTimeoutError::Timeout) || Instant::now() >= until {
                return;
            }
        }
        // Nothing is ever sent: this returns when the thread has ended, or the time is over.
        let _ = self.ended.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

impl Destination {
    /// The destination for a `file` of the configuration.
    #[must_use]
    pub fn of(file: Option<&Path>) -> Self {
        file.map_or(Self::Stderr, |path| Self::File(path.to_owned()))
    }

    fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Self::Stderr => Box::new(io::stderr()),
            Self::File(path) => Box::new(open_append(path)?),
        })
    }
}

fn open_append(path: &Path) -> io::Result<File> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("log file {}: {error}", path.display()));
    OpenOptions::new().create(true).append(true).open(path).map_err(named)
}

/// Writes until it is told to end, or every sender is gone. What is in the queue is written in one go, and flushed when the queue is empty.
fn write_all(
    receiver: &Receiver<Message>,
    output: Box<dyn Write + Send>,
    waiting: &AtomicUsize,
    dropped: &IntCounter,
) {
    let mut output = BufWriter::with_capacity(BUFFER, output);
    // Lines that are in the buffer and not yet known to be written.
    let mut pending = 0;
    loop {
        let message = match receiver.try_recv() {
            Ok(message) => message,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                flush(&mut output, &mut pending, dropped);
                gather();
                match receiver.recv() {
                    Ok(message) => message,
                    Err(_) => break,
                }
            }
        };
        match message {
            Message::Line(line) => {
                waiting.fetch_sub(1, Ordering::Relaxed);
                pending += 1;
                if output.write_all(&line).is_err() {
                    discard(&mut output, &mut pending, dropped);
                }
            }
            Message::Destination(new) => {
                flush(&mut output, &mut pending, dropped);
                output = BufWriter::with_capacity(BUFFER, new);
            }
            Message::End => break,
        }
    }
    flush(&mut output, &mut pending, dropped);
}

/// Lets lines come together: to be woken for each costs whoever hands it in more than the line itself.
#[allow(
    clippy::disallowed_methods,
    reason = "the thread is the writer's own, and only the next lines wait for it"
)]
fn gather() {
    std::thread::sleep(GATHER);
}

fn flush(output: &mut BufWriter<Box<dyn Write + Send>>, pending: &mut u64, dropped: &IntCounter) {
    if output.flush().is_err() {
        discard(output, pending, dropped);
    }
    *pending = 0;
}

/// A full disk or a closed pipe must not keep old lines and write them in part later: what could not be written is given up.
fn discard(output: &mut BufWriter<Box<dyn Write + Send>>, pending: &mut u64, dropped: &IntCounter) {
    let broken = std::mem::replace(output, BufWriter::with_capacity(0, Box::new(io::sink())));
    let (inner, _) = broken.into_parts();
    *output = BufWriter::with_capacity(BUFFER, inner);
    dropped.inc_by(*pending);
    *pending = 0;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    fn counter() -> IntCounter {
        IntCounter::new("dropped", "Lines dropped.").unwrap()
    }

    /// Takes a byte only when told to.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            // The sender is gone: never stuck again.
            let _ = self.0.recv();
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("full"))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_taken_is_written_and_a_moved_file_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let destination = Destination::File(path.clone());
        let (lines, writer) = Lines::start(&destination, counter()).unwrap();
        lines.line(b"one".to_vec());
        lines.line(b"two".to_vec());
        let moved = dir.path().join("access.log.1");
        std::fs::rename(&path, &moved).unwrap();
        lines.reopen(&destination).unwrap();
        lines.line(b"three".to_vec());
        drop(lines);
        writer.finish();
        assert_eq!(std::fs::read_to_string(moved).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "three\n");
    }

    #[test]
    fn a_queue_that_somebody_still_holds_does_not_keep_it_from_finishing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let dropped = counter();
        let (lines, writer) = Lines::start(&Destination::File(path.clone()), dropped.clone()).unwrap();
        lines.line(b"one".to_vec());
        writer.finish();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\n");
        lines.line(b"too late".to_vec());
        assert_eq!(dropped.get(), 1);
    }

    #[test]
    fn a_stuck_output_drops_lines_and_blocks_nobody() {
        let (release, gate) = sync_channel(1);
        let dropped = counter();
        let (lines, writer) = Lines::start_with(Box::new(Stuck(gate)), dropped.clone()).unwrap();
        let total: usize = 3 * QUEUE;
        for _ in 0..total {
            lines.line(vec![b'x'; 100]);
        }
        assert!(dropped.get() >= u64::try_from(QUEUE).unwrap(), "{}", dropped.get());
        drop((release, lines));
        writer.finish();
        assert!(dropped.get() < u64::try_from(total).unwrap());
    }

    #[test]
    fn an_output_that_stays_stuck_does_not_hold_up_the_end() {
        let (release, gate) = sync_channel(1);
        let (lines, writer) = Lines::start_with(Box::new(Stuck(gate)), counter()).unwrap();
        for _ in 0..2 * QUEUE {
            lines.line(vec![b'x'; 100]);
        }
        // With a full queue, and a thread that is not going to take from it: returns all the same.
        writer.finish();
        drop(release);
    }

    #[test]
    fn lines_of_anybody_leave_room_for_the_others() {
        let (release, gate) = sync_channel(1);
        let dropped = counter();
        let (lines, writer) = Lines::start_with(Box::new(Stuck(gate)), dropped.clone()).unwrap();
        for _ in 0..3 * QUEUE {
            lines.line_of_anybody(vec![b'x'; 100]);
        }
        let before = dropped.get();
        assert!(before >= u64::try_from(2 * QUEUE).unwrap(), "{before}");
        for _ in 0..QUEUE / 2 {
            lines.line(vec![b'x'; 100]);
        }
        assert_eq!(dropped.get(), before);
        drop((release, lines));
        writer.finish();
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let dropped = counter();
        let (lines, writer) = Lines::start_with(Box::new(Broken), dropped.clone()).unwrap();
        for _ in 0..10 {
            lines.line(b"x".to_vec());
        }
        lines.line(vec![b'x'; MAX_LINE]);
        drop(lines);
        writer.finish();
        assert_eq!(dropped.get(), 11);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let Err(error) = Lines::start(&Destination::File(dir.path().join("no/such")), counter()) else {
            panic!("the file was opened");
        };
        assert!(error.to_string().contains("no/such"), "{error}");
    }
}
