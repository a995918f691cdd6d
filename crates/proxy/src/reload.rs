//! Noticing that the configuration, or a file that it names, has changed (`docs/decisions/0006-reload-by-polling.md`).
//!
//! Promises: files are read on the runtime's blocking threads only; a change is told once its contents have stopped changing for a
//! moment; contents decide, not times.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use revouch_validator::cert::Fingerprint;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::load::files::Watch;

/// The time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// The time for which contents must stay the same before they are loaded.
const STABLE: Duration = Duration::from_millis(250);
/// How often it waits for contents to become stable; a file that is written all the time is loaded all the same after that.
const MAX_WAITS: u32 = 20;

/// Looks at files in the background until it is dropped.
pub struct Watcher {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    watch: Mutex<Watch>,
    changed: Notify,
}

impl Watcher {
    /// Looks at the files whose contents had these digests when they were loaded. Must be called on a runtime.
    #[must_use]
    pub fn start(digests: BTreeMap<PathBuf, Option<Fingerprint>>) -> Self {
        let shared = Arc::new(Shared { watch: Mutex::new(Watch::new(digests)), changed: Notify::new() });
        let task = tokio::spawn(look(Arc::clone(&shared)));
        Self { shared, task }
    }

    /// Looks at these files from now on: after a load, whether it succeeded or not, so that one change is tried once.
    pub async fn replace(&self, digests: BTreeMap<PathBuf, Option<Fingerprint>>) {
        read(&self.shared, |watch| *watch = Watch::new(digests)).await;
    }

    /// Waits until a file has changed. May be dropped and called again without losing a change.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        if !read(&shared, Watch::has_changed).await {
            continue;
        }
        let mut before = read(&shared, |watch| watch.digests()).await;
        for _ in 0..MAX_WAITS {
            tokio::time::sleep(STABLE).await;
            let now = read(&shared, |watch| watch.digests()).await;
            if now == before {
                break;
            }
            before = now;
        }
        // A change that was taken back, or loaded on a signal, in the meantime is none.
        if read(&shared, Watch::has_changed).await {
            shared.changed.notify_one();
        }
    }
}

/// Does something with the watch on a blocking thread. What a panic there would have answered is the default: no change.
async fn read<T, B>(shared: &Arc<Shared>, body: B) -> T
where
    T: Default + Send + 'static,
    B: FnOnce(&mut Watch) -> T + Send + 'static,
{
    let shared = Arc::clone(shared);
    let work = move || body(&mut shared.watch.lock().unwrap_or_else(PoisonError::into_inner));
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::fs;

    use super::*;
    use crate::load::files::Files;

    // Time is advanced whenever nothing else is left to do.
    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once_for_each_load() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pem");
        fs::write(&path, "one").unwrap();
        let digests = || {
            let mut files = Files::new();
            files.read(&path, 10).unwrap();
            files.into_digests()
        };
        let watcher = Watcher::start(digests());
        fs::write(&path, "two").unwrap();
        watcher.changed().await;
        watcher.replace(digests()).await;
        let wait = tokio::time::timeout(INTERVAL * 2, watcher.changed()).await;
        assert!(wait.is_err(), "told of a change that was loaded");
        fs::write(&path, "one").unwrap();
        watcher.changed().await;
    }
}
