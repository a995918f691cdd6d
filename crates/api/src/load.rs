//! Reading documents from a file or a directory.
//!
//! Everything here blocks: it is called from a thread that may. Bounded: a file has at most [`MAX_FILE`] bytes, a directory at most
//! [`MAX_FILES`] of them. Only regular files are read (a named pipe would hold up the reader for ever). Symbolic links are followed,
//! and names that begin with a dot are passed over, so that a directory that Kubernetes mounts (`..data`) is read once and as one.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use revouch_validator::timestamp::Timestamp;

use crate::compile::{Compiled, compile};
use crate::diagnostic::{Diagnostic, Diagnostics, tidy};
use crate::parse::{SourceDocument, parse};

/// The largest file, in bytes.
pub const MAX_FILE: u64 = 1024 * 1024;
/// The most files of a directory.
pub const MAX_FILES: usize = 256;

/// A file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path: the one that was given, or that with a file name added.
    pub path: PathBuf,
    /// Its contents.
    pub text: String,
}

/// A configuration and what it was made from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the proxy runs on, and the warnings.
    pub compiled: Compiled,
    /// The files that were read, in the order of their names: compare with [`read`] to see whether they have changed.
    pub files: Vec<Arc<SourceFile>>,
    /// The documents, to tell where something stands that turns out to be wrong later.
    pub documents: Vec<SourceDocument>,
}

/// Reads, parses and compiles a file or a directory. `now` is for what expires.
///
/// # Errors
/// Every error that was found, each with its place.
pub fn load(path: &Path, now: Timestamp) -> Result<Loaded, Diagnostics> {
    let (files, documents) = documents(path)?;
    let compiled = compile(&documents, now)?;
    Ok(Loaded { compiled, files, documents })
}

/// Reads and parses a file or a directory, without holding the documents against each other.
///
/// # Errors
/// Every file that cannot be read and every document that cannot be parsed.
pub fn documents(path: &Path) -> Result<(Vec<Arc<SourceFile>>, Vec<SourceDocument>), Diagnostics> {
    let (files, mut errors) = read_all(path);
    let mut documents = Vec::new();
    for file in &files {
        match parse(file) {
            Ok(parsed) => documents.extend(parsed),
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok((files, documents)) } else { Err(Diagnostics(tidy(errors))) }
}

/// Reads a file, or every `*.yaml` and `*.yml` of a directory, in the order of their names.
///
/// # Errors
/// Every file that cannot be read, is too large or is not text; a directory without any.
pub fn read(path: &Path) -> Result<Vec<Arc<SourceFile>>, Diagnostics> {
    let (files, errors) = read_all(path);
    if errors.is_empty() { Ok(files) } else { Err(Diagnostics(tidy(errors))) }
}

fn read_all(path: &Path) -> (Vec<Arc<SourceFile>>, Vec<Diagnostic>) {
    let paths = match list(path) {
        Ok(paths) => paths,
        Err(error) => return (Vec::new(), vec![error]),
    };
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        match read_file(&path) {
            Ok(text) => files.push(Arc::new(SourceFile { path, text })),
            Err(why) => errors.push(Diagnostic::about_file(path, why)),
        }
    }
    (files, errors)
}

/// The files that `path` stands for: itself, or the files of a directory.
fn list(path: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let fail = |why: String| Diagnostic::about_file(path, why);
    let data = fs::metadata(path).map_err(|error| fail(error.to_string()))?;
    if !data.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| fail(error.to_string()))? {
        let entry = entry.map_err(|error| fail(error.to_string()))?;
        if is_document(Path::new(&entry.file_name())) {
            found.push(entry.path());
        }
        if found.len() > MAX_FILES {
            return Err(fail(format!("more than {MAX_FILES} *.yaml and *.yml files in one directory")));
        }
    }
    if found.is_empty() {
        return Err(fail("no *.yaml or *.yml file in this directory".into()));
    }
    found.sort();
    Ok(found)
}

fn is_document(name: &Path) -> bool {
    let hidden = name.as_os_str().as_encoded_bytes().starts_with(b".");
    !hidden && name.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn read_file(path: &Path) -> Result<String, String> {
    // Before opening: to open a named pipe is to wait for its other end.
    if !fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("not a regular file".into());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if u64::try_from(bytes.len()).map_or(true, |length| length > MAX_FILE) {
        return Err(format!("larger than {MAX_FILE} bytes"));
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("not UTF-8: byte {} is wrong", error.utf8_error().valid_up_to()))
}

#[cfg(test)]
mod tests;
