//! The data directory: its stamp, its lock, and where everything in it lies.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use replication::ids::{GroupId, ShardId};
use replication::raft::host::{GROUPS, group_folder, shards_on_disk};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::Uid;

use super::file::DEV_FILE;
use super::key_store::{REPLICA_KEY_FILE, ROOT_KEY_FILE};
use crate::process::files::{self, FileError};

/// The file that says who made the folder. Its content is for people.
const STAMP_FILE: &str = "EKM-DEV";
const STAMP: &[u8] = b"This folder was made by `ekm dev`, for trying out only. Nothing but ekm dev uses it.\n";

/// What a first start makes after it has opened the groups, for what is in them.
const AFTER_THE_GROUPS: [&str; 3] = [DEV_FILE, ROOT_KEY_FILE, REPLICA_KEY_FILE];

const MODE_EVERYBODY_WRITES: u32 = 0o002;

/// The data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or the folder itself cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not empty, and not ours.
    #[error("{} is not empty and was not made by ekm dev; name another folder with --data-dir, or, if it was, put its file EKM-DEV back", .0.display())]
    NotOurs(PathBuf),
    /// Its path cannot be made absolute, or it cannot be listed.
    #[error("cannot look into {}", path.display())]
    Look {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its stamp is another user's, who can read or replace every key in it.
    #[error("{} was made by another user, who could read every key in it; name another folder with --data-dir", .0.display())]
    OfAnotherUser(PathBuf),
    /// Everybody may put files into it, and take them out.
    #[error(
        "everybody can replace the files of {} (mode {mode:04o}): run `chmod 0700` on it, and look whether somebody did",
        root.display()
    )]
    Exposed {
        /// The data directory.
        root: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There were keys in it, and they are gone.
    #[error(
        "{} is missing or empty, and with it the keys of {}. If it is a file system of its own, mount it; else put it back from \
         a copy, or move the rest away to begin anew", group.display(), root.display()
    )]
    GroupGone {
        /// The data directory.
        root: PathBuf,
        /// What is missing.
        group: PathBuf,
    },
    /// Another process runs on it.
    #[error("another ekm dev runs on {}; stop it, or name another folder with --data-dir", .0.display())]
    InUse(PathBuf),
}

/// A stamped data directory that this process alone uses, for as long as this value lives.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the folder, made and stamped if it is not there.
    pub fn take(path: &Path) -> Result<Self, FolderError> {
        Self::take_as(path, rustix::process::geteuid())
    }

    fn take_as(path: &Path, owner: Uid) -> Result<Self, FolderError> {
        let look = |source| FolderError::Look { path: path.to_owned(), source };
        files::make_folder(path)?;
        let root = path.canonicalize().map_err(look)?;
        let stamp = root.join(STAMP_FILE);
        // in this order: whoever is just taking the folder makes the stamp before anything else
        let holds_something = std::fs::read_dir(&root).map_err(look)?.next().is_some();
        if holds_something && files::read(&stamp)?.is_none() {
            return Err(FolderError::NotOurs(root));
        }
        // never replaced: two starts that both find none must lock the same file
        let mut opening = OpenOptions::new();
        opening.read(true).append(true).create(true).mode(0o600).custom_flags(no_follow());
        let lock = opening.open(&stamp).map_err(look)?;
        let folder = root.metadata().map_err(look)?;
        if [lock.metadata().map_err(look)?.uid(), folder.uid()].iter().any(|uid| *uid != owner.as_raw()) {
            return Err(FolderError::OfAnotherUser(root));
        }
        let mode = folder.mode() & 0o7777;
        if mode & MODE_EVERYBODY_WRITES != 0 {
            return Err(FolderError::Exposed { root, mode });
        }
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| FolderError::InUse(root.clone()))?;
        let text = files::read(&stamp)?.unwrap_or_default();
        if !STAMP.starts_with(&text) {
            return Err(FolderError::NotOurs(root));
        }
        if text != STAMP {
            // new, or a start was cut off while it stamped
            lock.set_len(0).and_then(|()| (&lock).write_all(STAMP)).map_err(look)?;
            lock.sync_all().and_then(|()| File::open(&root)?.sync_all()).map_err(look)?;
        }
        Ok(Self { root, _lock: lock })
    }

    /// A folder with anything that is made after its groups holds all of them: without one, its keys would be unknown, and a
    /// fresh start would say so for good.
    pub fn holds_its_groups(&self) -> Result<(), FolderError> {
        if !AFTER_THE_GROUPS.iter().any(|name| self.at(name).exists()) {
            return Ok(());
        }
        let is_empty = |group: &PathBuf| group.read_dir().map_or(true, |mut files| files.next().is_none());
        // of several shards one may be missing: the key store says so, and serves the others
        let others = shards_on_disk(&self.root).into_iter().filter(|shard| *shard != ShardId::FIRST);
        let holds_another = others.map(|shard| group_folder(&self.root, shard.group())).any(|group| !is_empty(&group));
        let needed = GROUPS.into_iter().filter(|group| *group == GroupId::SYSTEM || !holds_another);
        let gone = needed.map(|group| group_folder(&self.root, group)).find(is_empty);
        gone.map_or(Ok(()), |group| Err(FolderError::GroupGone { root: self.root.clone(), group }))
    }

    /// A path below the folder, absolute.
    pub fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// A link in the place of the stamp would have a file elsewhere stamped.
fn no_follow() -> i32 {
    OFlags::NOFOLLOW.bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_stamp_that_is_not_ours_is_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (stamp, elsewhere) = (folder.path().join(STAMP_FILE), folder.path().join("thesis.txt"));
        std::fs::write(&stamp, "notes").expect("the folder is writable");
        assert!(matches!(Folder::take(folder.path()), Err(FolderError::NotOurs(_))));
        assert_eq!(std::fs::read(&stamp).expect("it is there"), b"notes");
        std::fs::remove_file(&stamp).expect("it is there");
        std::fs::write(&elsewhere, "").expect("the folder is writable");
        std::os::unix::fs::symlink(&elsewhere, &stamp).expect("the folder is writable");
        assert!(matches!(Folder::take(folder.path()), Err(FolderError::Look { .. })));
        assert_eq!(std::fs::read(&elsewhere).expect("it is there"), b"", "nothing was written through the link");
    }

    #[test]
    fn a_folder_that_another_user_prepared_is_not_taken() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        drop(Folder::take(folder.path()).expect("an empty folder is ours"));
        let another = Uid::from_raw(rustix::process::geteuid().as_raw() + 1);
        assert!(matches!(Folder::take_as(folder.path(), another), Err(FolderError::OfAnotherUser(_))));
    }

    #[test]
    fn a_folder_that_everybody_writes_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        drop(Folder::take(folder.path()).expect("an empty folder is ours"));
        for (mode, is_taken) in [(0o777, false), (0o1777, false), (0o702, false), (0o755, true), (0o775, true)] {
            let set = std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode));
            set.expect("the folder is ours");
            match Folder::take(folder.path()) {
                Ok(_) => assert!(is_taken, "{mode:o}"),
                Err(error) => assert!(!is_taken && error.to_string().contains("chmod 0700"), "{mode:o}: {error}"),
            }
        }
    }

    #[test]
    fn a_folder_is_taken_once_and_only_if_it_is_ours() {
        let parent = tempfile::tempdir().expect("a temporary folder can be made");
        let ours = parent.path().join("a/b");
        let taken = Folder::take(&ours).expect("a new folder is ours");
        assert!(matches!(Folder::take(&ours), Err(FolderError::InUse(_))));
        drop(taken);
        std::fs::write(ours.join(STAMP_FILE), "").expect("the folder is writable");
        Folder::take(&ours).expect("a folder that a kill caught being stamped is taken again");
        assert_eq!(std::fs::read(ours.join(STAMP_FILE)).expect("it is stamped"), STAMP);
        std::fs::write(parent.path().join("thesis.txt"), "x").expect("the folder is writable");
        assert!(matches!(Folder::take(parent.path()), Err(FolderError::NotOurs(_))));
        assert!(!parent.path().join(STAMP_FILE).exists(), "a foreign folder is left as it was");
    }

    #[test]
    fn a_folder_with_anything_made_for_its_groups_is_refused_without_one_of_them() {
        for name in AFTER_THE_GROUPS {
            let parent = tempfile::tempdir().expect("a temporary folder can be made");
            let folder = Folder::take(&parent.path().join("ours")).expect("a new folder is ours");
            folder.holds_its_groups().expect("a new folder has none");
            std::fs::write(folder.at(name), "{}").expect("the folder is writable");
            assert!(matches!(folder.holds_its_groups(), Err(FolderError::GroupGone { .. })), "{name}");
            for group in GROUPS {
                let group = group_folder(folder.root(), group);
                std::fs::create_dir_all(&group).expect("the folder is writable");
                let refused = folder.holds_its_groups().expect_err("an empty folder is no group");
                assert!(refused.to_string().contains("mount it"), "{name}: {refused}");
                std::fs::write(group.join("log.redb"), "log").expect("the folder is writable");
            }
            folder.holds_its_groups().expect("what is in the groups is looked at when they are opened");
        }
    }
}
