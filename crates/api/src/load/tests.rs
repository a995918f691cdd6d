#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::os::unix::fs::symlink;

use super::*;

const POLICY: &str = "apiVersion: revouch.dev/v1alpha1\nkind: PeerPolicy\nmetadata: {name: p}\nspec: {}\n";

fn names(dir: &Path) -> Vec<String> {
    let files = read(dir).unwrap();
    files.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

fn error(path: &Path) -> String {
    documents(path).unwrap_err().to_string()
}

#[test]
fn only_visible_yaml_files_are_read_in_the_order_of_their_names() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["b.yml", "a.yaml", ".hidden.yaml", "notes.txt", "a.yaml~", "yaml"] {
        fs::write(dir.path().join(name), POLICY).unwrap();
    }
    assert_eq!(names(dir.path()), ["a.yaml", "b.yml"]);
    assert_eq!(
        read(&dir.path().join("notes.txt")).unwrap().len(),
        1,
        "a file that is named is read whatever its name"
    );
}

#[test]
fn a_directory_that_kubernetes_mounts_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("..2026_11_24");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("a.yaml"), POLICY).unwrap();
    symlink("..2026_11_24", dir.path().join("..data")).unwrap();
    symlink("..data/a.yaml", dir.path().join("a.yaml")).unwrap();
    assert_eq!(names(dir.path()), ["a.yaml"]);
    assert_eq!(documents(dir.path()).unwrap().1.len(), 1);
}

#[test]
fn what_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(error(dir.path()).contains("no *.yaml or *.yml file"), "{}", error(dir.path()));
    assert!(error(&dir.path().join("gone.yaml")).contains("gone.yaml: error: No such file"));
    let path = dir.path().join("a.yaml");
    fs::create_dir(&path).unwrap();
    assert!(error(dir.path()).contains("a.yaml: error: not a regular file"), "{}", error(dir.path()));
    fs::remove_dir(&path).unwrap();
    fs::write(&path, [b'#', 0xff]).unwrap();
    assert!(error(&path).contains("not UTF-8: byte 1"), "{}", error(&path));
    fs::write(&path, vec![b'#'; usize::try_from(MAX_FILE).unwrap() + 1]).unwrap();
    assert!(error(&path).contains("larger than 1048576 bytes"), "{}", error(&path));
    fs::write(&path, vec![b'#'; usize::try_from(MAX_FILE).unwrap()]).unwrap();
    assert!(error(&path).contains("empty document"), "{}", error(&path));
}

#[test]
fn too_many_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for index in 0..=MAX_FILES {
        fs::write(dir.path().join(format!("{index}.yaml")), POLICY).unwrap();
    }
    assert!(error(dir.path()).contains("more than 256"), "{}", error(dir.path()));
}

#[test]
fn errors_of_all_files_are_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.yaml"), POLICY.replace("spec", "spek")).unwrap();
    fs::write(dir.path().join("b.yaml"), POLICY.replace("kind", "knd")).unwrap();
    fs::create_dir(dir.path().join("c.yaml")).unwrap();
    let said = error(dir.path());
    assert_eq!(said.lines().count(), 3, "{said}");
}
