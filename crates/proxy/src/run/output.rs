//! Where log lines go: diagnostics to standard error, the access log there too or to a file of its own.

use std::io;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use crate::lines::{Destination, LineWriter, Lines};
use crate::metrics::Metrics;

/// The writers that are running.
pub(super) struct Output {
    stderr: Lines,
    stderr_writer: LineWriter,
    file: Option<(Lines, LineWriter)>,
}

impl Output {
    /// Opens the file, if there is one. Returns where the access log goes.
    pub(super) fn open(
        stderr: Lines,
        stderr_writer: LineWriter,
        file: Option<&Path>,
        metrics: &Metrics,
    ) -> io::Result<(Self, Lines)> {
        let file = file.map(|path| start(path, metrics)).transpose()?;
        let access = file.as_ref().map_or_else(|| stderr.clone(), |(lines, _)| lines.clone());
        Ok((Self { stderr, stderr_writer, file }, access))
    }

    /// Opens the file anew, or another one, or none. Returns where the access log goes from now on, if that is another queue.
    pub(super) async fn reopen(
        &mut self,
        file: Option<PathBuf>,
        metrics: &Metrics,
    ) -> io::Result<Option<Lines>> {
        match (file, &self.file) {
            (None, None) => Ok(None),
            (Some(path), Some((lines, _))) => {
                let lines = lines.clone();
                blocking(move || lines.reopen(&Destination::File(path))).await.map(|()| None)
            }
            (Some(path), None) => {
                let metrics = metrics.clone();
                let (lines, writer) = blocking(move || start(&path, &metrics)).await?;
                self.file = Some((lines.clone(), writer));
                Ok(Some(lines))
            }
            (None, Some(_)) => {
                // Its thread ends by itself when the last line is written.
                self.file = None;
                Ok(Some(self.stderr.clone()))
            }
        }
    }

    /// Waits until everything is written. Nobody else may hold a queue.
    pub(super) fn finish(self) {
        let Self { stderr, stderr_writer, file } = self;
        if let Some((lines, writer)) = file {
            drop(lines);
            writer.finish();
        }
        drop(stderr);
        stderr_writer.finish();
    }
}

fn start(path: &Path, metrics: &Metrics) -> io::Result<(Lines, LineWriter)> {
    Lines::start(&Destination::File(path.to_owned()), metrics.log_dropped().clone())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|_| Err(io::Error::other("the log could not be opened")))
}
