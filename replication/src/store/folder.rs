//! Folders and files that nobody else may read, and whose names survive a power cut.
//!
//! Never makes anything readable to the group or the world.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a folder (mode 0700) with every missing parent; the names are durable when this returns.
///
/// # Errors
/// What the file system said.
pub fn create(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync(parent.unwrap_or(Path::new(".")))
}

/// Opens a file for reading and writing, made with mode 0600 if it is not there; its name is durable when this returns.
///
/// # Errors
/// What the file system said.
pub fn open_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if let Some(parent) = path.parent() {
        sync(parent)?;
    }
    Ok(file)
}

/// Removes a file; one that is not there is no error.
///
/// # Errors
/// What the file system said.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Gives a finished draft its name, which is durable when this returns. Never takes the place of another file.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], or whatever else the file system said.
pub fn publish(draft: &Path, path: &Path) -> io::Result<()> {
    std::fs::hard_link(draft, path)?;
    std::fs::remove_file(draft)?;
    sync(path.parent().unwrap_or(Path::new(".")))
}

/// Makes the names in a folder durable.
///
/// # Errors
/// What the file system said.
pub fn sync(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all().map_err(unsynced)
}

/// What was written cannot be made durable, and what of it is on the disk is unknown. Names its cause itself: redb hands on
/// the text of an error alone.
#[derive(Debug, thiserror::Error)]
#[error("what was written cannot be made durable: {0}")]
struct SyncFailed(io::Error);

/// The error of a sync, under a kind of its own: a sync that found no room must never pass for a write that found none.
pub fn unsynced(error: io::Error) -> io::Error {
    io::Error::other(SyncFailed(error))
}

/// Whether an error is that of a sync.
pub fn is_unsynced(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<SyncFailed>)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_made_is_private() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let folder = root.path().join("groups/0");
        create(&folder)?;
        create(&folder)?;
        let file = folder.join("log.redb");
        open_file(&file)?;
        let mode = |path: &Path| std::fs::metadata(path).map(|found| found.permissions().mode() & 0o777);
        assert_eq!(mode(&folder)?, 0o700);
        assert_eq!(mode(folder.parent().expect("the folder was joined to a parent"))?, 0o700);
        assert_eq!(mode(&file)?, 0o600);
        Ok(())
    }
}
