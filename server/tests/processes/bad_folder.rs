//! Data directories that `ekm dev` must not start on: of another cluster, of a newer format, open to everybody, in use, or with
//! something else in the place of a file. Each is refused with its exit status and what to do, before anything is bound, and
//! nothing is changed. Missing and damaged files are tried inside the server's own tests.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use server::exit;

use super::google::{Google, Protocol};
use super::harness::{Dev, Ended, ekm, finish, temporary};

/// Something that somebody does to a directory, with another cluster's at hand.
type Spoil = fn(&Path, &Path);

/// What is done, the exit status, and what is said.
type Case = (&'static str, Spoil, u8, &'static str);

const CASES: &[Case] = &[
    ("the root key for everybody", |data, _| mode(data, "root.key", 0o644), exit::UNAVAILABLE, "chmod 0400"),
    ("a folder for everybody", |data, _| mode(data, "", 0o777), exit::UNAVAILABLE, "chmod 0700"),
    ("another cluster's shard", |data, other| take(data, other, "groups/1"), exit::UNAVAILABLE, "of two clusters"),
    ("another cluster's group 0", |data, other| take(data, other, "groups/0"), exit::UNAVAILABLE, "of two clusters"),
    (
        "another cluster's groups",
        |data, other| take(data, other, "groups"),
        exit::UNAVAILABLE,
        "replica-key.der does not",
    ),
    ("another root key", |data, other| take(data, other, "root.key"), exit::UNAVAILABLE, "root.key does not belong"),
    (
        "another replica's key",
        |data, other| take(data, other, "replica-key.der"),
        exit::UNAVAILABLE,
        "replica-key.der does",
    ),
    ("another operator", |data, other| take(data, other, "pki"), exit::UNAVAILABLE, "operator-key.pem is not the key"),
    ("groups changed places", |data, _| swap(data, "groups/0", "groups/1"), exit::UNAVAILABLE, "belongs to group"),
    (
        "a newer root key",
        |data, _| edit(data, "root.key", "root key 1", "root key 2"),
        exit::UNAVAILABLE,
        "of format 1",
    ),
    (
        "a newer stamp",
        |data, _| edit(data, "EKM-DEV", "`ekm dev`", "`ekm dev 2`"),
        exit::UNAVAILABLE,
        "was not made by",
    ),
    (
        "newer settings",
        |data, _| edit(data, "ekm-dev.toml", "dev = true", "dev = true\nshape = 2"),
        exit::USAGE,
        "shape: no such",
    ),
    (
        "settings of another kind",
        |data, _| edit(data, "ekm-dev.toml", "dev = true", "dev = false"),
        exit::USAGE,
        "dev: ",
    ),
    ("no groups", |data, _| emptied(data, "groups"), exit::UNAVAILABLE, "mount it"),
    ("a group without files", |data, _| emptied(data, "groups/1"), exit::UNAVAILABLE, "groups/1 is missing or empty"),
    ("no groups, and nothing that says it served", |data, _| forgotten(data), exit::UNAVAILABLE, "mount it"),
    ("a folder for the root key", |data, _| folder_for(data, "root.key"), exit::UNAVAILABLE, "root.key"),
    ("a folder for the log", |data, _| folder_for(data, "groups/1/log.redb"), exit::UNAVAILABLE, "groups/1"),
    ("a folder for the settings", |data, _| folder_for(data, "ekm-dev.toml"), exit::USAGE, "is no file"),
    ("a folder for the audit", |data, _| folder_for(data, "audit/audit.jsonl"), exit::UNAVAILABLE, "audit.jsonl"),
    ("a file for the snapshots", |data, _| file_for(data, "groups/0/snapshots"), exit::UNAVAILABLE, "group 0"),
];

fn emptied(data: &Path, name: &str) {
    fs::remove_dir_all(data.join(name)).expect("it is ours");
    fs::create_dir(data.join(name)).expect("it is ours");
}

fn forgotten(data: &Path) {
    emptied(data, "groups");
    fs::remove_file(data.join("dev.json")).expect("it is ours");
}

fn mode(data: &Path, name: &str, mode: u32) {
    fs::set_permissions(data.join(name), Permissions::from_mode(mode)).expect("it is ours");
}

fn take(data: &Path, other: &Path, name: &str) {
    remove(&data.join(name));
    copy(&other.join(name), &data.join(name));
}

fn swap(data: &Path, one: &str, other: &str) {
    let aside = data.join("aside");
    for (from, to) in [(data.join(one), aside.clone()), (data.join(other), data.join(one)), (aside, data.join(other))] {
        fs::rename(from, to).expect("one file system");
    }
}

fn edit(data: &Path, name: &str, from: &str, to: &str) {
    let path = data.join(name);
    let (text, mode) =
        (fs::read_to_string(&path).expect("it is text"), fs::metadata(&path).expect("there").permissions());
    assert!(text.contains(from), "{name} says {from}");
    fs::remove_file(&path).expect("it is ours");
    fs::write(&path, text.replacen(from, to, 1)).expect("the folder is writable");
    fs::set_permissions(&path, mode).expect("it is ours");
}

fn folder_for(data: &Path, name: &str) {
    remove(&data.join(name));
    fs::create_dir(data.join(name)).expect("the folder is writable");
}

fn file_for(data: &Path, name: &str) {
    remove(&data.join(name));
    fs::write(data.join(name), "").expect("the folder is writable");
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("it is there");
}

/// A copy with its permissions.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir(to).expect("the folder is writable");
        for entry in fs::read_dir(from).expect("it is readable") {
            let name = entry.expect("it is readable").file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::copy(from, to).expect("it is readable");
    }
    fs::set_permissions(to, fs::metadata(from).expect("it is there").permissions()).expect("it is ours");
}

/// Everything in a directory: bytes and modes. Of databases the names alone, which keep their own books, and of the
/// mirror nothing, which is a cache.
fn everything(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("it is readable") {
            let path = entry.expect("it is readable").path();
            let mode = path.metadata().expect("it is there").permissions().mode();
            let is_free = path.extension().is_some_and(|ending| ending == "redb");
            let bytes = if path.is_dir() || is_free { vec![] } else { fs::read(&path).expect("it is readable") };
            // each start writes the tools' token anew
            if path.ends_with("state") || path.ends_with("token") {
                continue;
            }
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path, (mode, bytes));
        }
    }
    found
}

async fn start(data: &Path) -> Ended {
    finish(ekm().arg("dev").arg("--data-dir").arg(data).args(["--port", "0"])).await
}

/// A directory that was used, with a blob that was wrapped in it.
async fn used(data: &Path) -> (String, String) {
    let dev = Dev::start(data).await;
    let key = dev.file.key_path.clone();
    let google = Google::new(&dev, Protocol::Http2);
    let blob = google.settled_wrap(&key, "c2VjcmV0").await.expect("an answer").text("wrappedBlob").to_owned();
    dev.stop().await;
    (key, blob)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_not_as_it_should_be_is_refused_and_left_as_it_is() {
    let folder = temporary();
    let (ours, other) = (folder.path().join("ours"), folder.path().join("other"));
    let (key, blob) = used(&ours).await;
    used(&other).await;
    for (what, spoil, status, said) in CASES {
        let data = folder.path().join("data");
        copy(&ours, &data);
        spoil(&data, &other);
        let before = everything(&data);
        let ended = start(&data).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(i32::from(*status)), ""), "{what}: {}", ended.err);
        let told = ended.err.split("error: ").last().unwrap_or_default();
        assert!(told.contains(said) && !ended.err.contains("panicked"), "{what}: {}", ended.err);
        let after = everything(&data);
        let changed: Vec<_> =
            before.iter().filter(|(path, file)| after.get(*path) != Some(file)).map(|one| one.0).collect();
        let made: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
        assert!(changed.is_empty() && made.is_empty(), "{what}: changed {changed:?}, made {made:?}");
        remove(&data);
    }
    // the directories that all of it was taken from were read, and nothing else
    let dev = Dev::start(&ours).await;
    let unwrapped = Google::new(&dev, Protocol::Http2).settled_unwrap(&key, &blob).await.expect("an answer");
    assert_eq!(unwrapped.text("plaintext"), "c2VjcmV0");

    let before = everything(&ours);
    let second = start(&ours).await;
    assert_eq!(second.code, Some(i32::from(exit::UNAVAILABLE)), "{}", second.err);
    assert!(second.err.contains("another ekm dev runs on") && second.err.contains("--data-dir"), "{}", second.err);
    let is_kept = |(path, file): &(&PathBuf, &(u32, Vec<u8>))| {
        // the first one records its probes all the while
        path.ends_with("audit.jsonl") || before.get(*path) == Some(file)
    };
    let after = everything(&ours);
    assert_eq!(after.iter().find(|one| !is_kept(one)).map(|one| one.0), None, "in use by another, nothing is touched");
    dev.stop().await;
}
