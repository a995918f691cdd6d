//! Reading the files that a configuration names, and noticing that one of them has changed.
//!
//! Promises: what is read is bounded in size, and is a regular file (a named pipe would hold up the reader for ever). Every file
//! that was asked for is remembered with the digest of what was read of it, also one that could not be read: it may appear later.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use revouch_validator::cert::Fingerprint;

/// The largest certificate, key or root file, in bytes.
pub const MAX_PEM_FILE: u64 = 16 * 1024 * 1024;
/// The largest CRL file, in bytes.
pub const MAX_CRL_FILE: u64 = 64 * 1024 * 1024;
/// How many documents of a directory are watched: more than a configuration may have.
const MAX_DOCUMENTS: usize = 1024;
/// A file that was written less than this before it was looked at is read again: two writes within one tick of the file system's clock
/// leave the same time behind.
const RACY: Duration = Duration::from_secs(3);

/// Why a file could not be read.
#[derive(Debug)]
pub struct FileError {
    /// The file, as it was named.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: FileProblem,
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum FileProblem {
    /// It cannot be opened or read.
    Io(io::Error),
    /// It is a directory, a pipe, a device or a socket.
    NotAFile,
    /// It is larger than this many bytes.
    TooLarge(u64),
}

/// Reads files and remembers them.
#[derive(Debug, Default)]
pub struct Files {
    read: BTreeMap<PathBuf, Option<Fingerprint>>,
}

impl Files {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a whole file of at most `limit` bytes; symbolic links are followed.
    ///
    /// # Errors
    /// It cannot be read, is no regular file, or is larger.
    pub fn read(&mut self, path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
        let contents = read_bounded(path, limit);
        self.read.insert(path.to_owned(), contents.as_deref().ok().map(Fingerprint::of));
        contents.map_err(|why| FileError { path: path.to_owned(), why })
    }

    /// Remembers a file that somebody else reads: its contents as they are now.
    pub fn note(&mut self, path: &Path) {
        self.read.insert(path.to_owned(), digest(path));
    }

    /// Remembers a configuration that somebody else reads: a file; or a directory, which documents are in it, and each of them.
    pub fn note_configuration(&mut self, path: &Path) {
        self.note(path);
        for document in documents(path).into_iter().flatten() {
            self.note(&document);
        }
    }

    /// The digest of a file that was read or noted.
    #[must_use]
    pub fn digest(&self, path: &Path) -> Option<Fingerprint> {
        self.read.get(path).copied().flatten()
    }

    /// The files that were asked for, and the digest of each that could be read.
    #[must_use]
    pub fn into_digests(self) -> BTreeMap<PathBuf, Option<Fingerprint>> {
        self.read
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            FileProblem::Io(error) => write!(f, "{path}: {error}"),
            FileProblem::NotAFile => write!(f, "{path}: not a regular file"),
            FileProblem::TooLarge(limit) => write!(f, "{path}: larger than {limit} bytes"),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            FileProblem::Io(error) => Some(error),
            FileProblem::NotAFile | FileProblem::TooLarge(_) => None,
        }
    }
}

fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, FileProblem> {
    // Before opening: to open a named pipe is to wait for its other end.
    if !fs::metadata(path).map_err(FileProblem::Io)?.is_file() {
        return Err(FileProblem::NotAFile);
    }
    let mut contents = Vec::new();
    let file = File::open(path).map_err(FileProblem::Io)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut contents).map_err(FileProblem::Io)?;
    if u64::try_from(contents.len()).map_or(true, |length| length > limit) {
        return Err(FileProblem::TooLarge(limit));
    }
    Ok(contents)
}

/// Tells whether files have other contents than those that were loaded.
///
/// It looks at each file's identity, size and times, and reads it again only where those differ from the last time (or are too
/// recent to tell), so that a look at unchanged files costs one system call each.
#[derive(Debug, Default)]
pub struct Watch {
    files: BTreeMap<PathBuf, Watched>,
}

#[derive(Debug)]
struct Watched {
    loaded: Option<Fingerprint>,
    /// The state in which it was found to have `loaded`'s contents; `None` if it must be read to know.
    unchanged_at: Option<Stat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watch {
    /// Watches files against the contents that they had when they were loaded.
    #[must_use]
    pub fn new(digests: BTreeMap<PathBuf, Option<Fingerprint>>) -> Self {
        let watched = |(path, loaded)| (path, Watched { loaded, unchanged_at: None });
        Self { files: digests.into_iter().map(watched).collect() }
    }

    /// Whether any file has other contents now than were loaded. Reads files: not for a runtime's thread.
    pub fn has_changed(&mut self) -> bool {
        self.files.iter_mut().any(|(path, watched)| watched.has_changed(path))
    }

    /// The digests of the files as they are now; equal to those of an earlier call if nothing was written in between.
    #[must_use]
    pub fn digests(&self) -> BTreeMap<PathBuf, Option<Fingerprint>> {
        self.files.keys().map(|path| (path.clone(), digest(path))).collect()
    }
}

impl Watched {
    fn has_changed(&mut self, path: &Path) -> bool {
        let stat = Stat::of(path);
        if stat.is_some() && stat == self.unchanged_at {
            return false;
        }
        if digest(path) != self.loaded {
            return true;
        }
        self.unchanged_at = stat.filter(Stat::is_settled);
        false
    }
}

impl Stat {
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let data = fs::metadata(path).ok()?;
        Some(Self {
            device: data.dev(),
            inode: data.ino(),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }

    /// Whether another write now would leave another time behind. A time in the future is never settled.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let latest = self.modified.max(self.changed).0.max(0);
        u64::try_from(latest).is_ok_and(|latest| Duration::from_secs(latest) + RACY < now)
    }
}

/// Of a file its contents, of a directory the names of its documents.
fn digest(path: &Path) -> Option<Fingerprint> {
    match documents(path) {
        Some(documents) => {
            let names = documents.iter().map(|document| document.as_os_str().as_encoded_bytes());
            Some(Fingerprint::of_parts("revouch directory", names))
        }
        None => read_bounded(path, MAX_CRL_FILE).ok().as_deref().map(Fingerprint::of),
    }
}

/// The documents of a directory, in order; `None` if it is none.
fn documents(path: &Path) -> Option<Vec<PathBuf>> {
    let entries = fs::read_dir(path).ok()?;
    let is_document =
        |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(is_document)
        .take(MAX_DOCUMENTS)
        .collect();
    found.sort();
    Some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_no_file_or_too_large_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pem");
        let error = |path: &Path| Files::new().read(path, 4).unwrap_err().to_string();
        assert!(error(&path).contains("a.pem: No such file"), "{}", error(&path));
        assert!(error(dir.path()).contains("not a regular file"), "{}", error(dir.path()));
        fs::write(&path, b"12345").unwrap();
        assert!(error(&path).contains("larger than 4 bytes"), "{}", error(&path));
        fs::write(&path, b"1234").unwrap();
        assert_eq!(Files::new().read(&path, 4).unwrap(), b"1234");
    }

    #[test]
    fn changed_contents_are_noticed_and_touched_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pem");
        fs::write(&path, b"one").unwrap();
        let mut files = Files::new();
        files.read(&path, 10).unwrap();
        let mut watch = Watch::new(files.into_digests());
        assert!(!watch.has_changed());
        fs::write(&path, b"one").unwrap();
        assert!(!watch.has_changed());
        fs::write(&path, b"two").unwrap();
        assert!(watch.has_changed());
        fs::write(&path, b"one").unwrap();
        assert!(!watch.has_changed());
        fs::remove_file(&path).unwrap();
        assert!(watch.has_changed());
    }

    #[test]
    fn a_document_that_comes_or_goes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a.yaml"), "a").unwrap();
        let watch = || {
            let mut files = Files::new();
            files.note_configuration(dir.path());
            Watch::new(files.into_digests())
        };
        let mut first = watch();
        fs::write(at("notes.txt"), "x").unwrap();
        assert!(!first.has_changed());
        fs::write(at("b.yml"), "b").unwrap();
        assert!(first.has_changed());
        let mut second = watch();
        assert!(!second.has_changed());
        fs::write(at("b.yml"), "c").unwrap();
        assert!(second.has_changed());
        fs::remove_file(at("b.yml")).unwrap();
        assert!(second.has_changed());
    }

    #[test]
    fn a_file_that_was_missing_is_noticed_when_it_comes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("late.pem");
        let mut files = Files::new();
        files.read(&path, 10).unwrap_err();
        let mut watch = Watch::new(files.into_digests());
        assert!(!watch.has_changed());
        fs::write(&path, b"").unwrap();
        assert!(watch.has_changed());
    }

    #[test]
    fn a_swapped_directory_link_is_noticed() {
        // As Kubernetes mounts a Secret: tls.crt → ..data/tls.crt, ..data → a directory by date, swapped by renaming.
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (version, text) in [("1", "old"), ("2", "new")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("tls.crt"), text).unwrap();
        }
        symlink("1", at("..data")).unwrap();
        symlink("..data/tls.crt", at("tls.crt")).unwrap();
        let mut files = Files::new();
        assert_eq!(files.read(&at("tls.crt"), 10).unwrap(), b"old");
        let mut watch = Watch::new(files.into_digests());
        assert!(!watch.has_changed());
        symlink("2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert!(watch.has_changed());
    }

    #[test]
    fn a_settled_file_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pem");
        fs::write(&path, b"one").unwrap();
        let stat = Stat::of(&path).unwrap();
        assert!(!stat.is_settled());
        let old = Stat { modified: (1000, 0), changed: (1000, 0), ..stat };
        assert!(old.is_settled());
        // Known to be unchanged in its present state: what is in it is not looked at.
        let mut watched = Watched { loaded: None, unchanged_at: Some(stat) };
        assert!(!watched.has_changed(&path));
    }
}
