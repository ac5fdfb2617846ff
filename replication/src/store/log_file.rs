//! The file under a log database: its lock, and room that is really there.
//!
//! redb lengthens its file before it writes into the new part. A file that only became longer has no blocks there, and a
//! disk that fills up meanwhile would show when pages are written. So the blocks are taken first, and a full disk refuses
//! at a moment when nothing of the transaction is in the file. Never leaves a length that redb did not ask for, since redb
//! refuses such a file for ever.

use std::fs::{File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::StorageBackend;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::folder;
use super::log_error::LogError;

/// An open log file, which no other process has open.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    path: PathBuf,
}

impl LogFile {
    /// Opens a file, made with mode 0600 if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        let refused = |error| LogError::File(Arc::new(error));
        let file = folder::open_file(path).map_err(refused)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path: path.to_owned() }),
            Err(TryLockError::WouldBlock) => Err(LogError::InUse),
            Err(TryLockError::Error(error)) => Err(refused(error)),
        }
    }
}

impl StorageBackend for LogFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let before = self.len()?;
        if len > before
            && let Err(error) = take_blocks(&self.file, len)
        {
            // gives back the blocks that were had before it failed
            self.file.set_len(before)?;
            return Err(error);
        }
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()?;
        let place = |found: &Metadata| (found.dev(), found.ino());
        let named = self.path.metadata().ok();
        if named.as_ref().map(place) == Some(place(&self.file.metadata()?)) {
            Ok(())
        } else {
            Err(io::Error::other(NameGone))
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}

/// What is written is lost when the process ends, so nothing more may be called durable.
#[derive(Debug, thiserror::Error)]
#[error("the file was moved, removed or replaced while it was in use")]
struct NameGone;

/// Gives a file blocks up to a length, and keeps its length. File systems that know no such thing refuse at the write, which
/// is late and no less clear: what a failed write was to put in place of is not in use yet.
fn take_blocks(file: &File, len: u64) -> io::Result<()> {
    loop {
        match fallocate(file, FallocateFlags::KEEP_SIZE, 0, len) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_file_has_its_blocks_and_one_that_cannot_have_them_keeps_its_length() -> Result<(), LogError> {
        const LEN: u64 = 1024 * 1024;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("log.redb");
        let file = LogFile::open(&path)?;
        file.set_len(LEN).expect("a disk under test has a megabyte");
        let found = std::fs::metadata(&path).expect("the file is there");
        assert_eq!(found.len(), LEN);
        assert!(found.blocks() * 512 >= LEN, "{} blocks", found.blocks());
        let refused = file.set_len(1 << 60).expect_err("no disk has an exabyte");
        assert_ne!(refused.kind(), io::ErrorKind::Interrupted);
        assert_eq!(file.len().expect("the file is there"), LEN, "{refused}");
        file.set_len(LEN / 2).expect("a file can become shorter");
        assert_eq!(file.len().expect("the file is there"), LEN / 2);
        Ok(())
    }

    #[test]
    fn nothing_is_durable_in_a_file_that_was_removed_or_replaced() -> Result<(), LogError> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (path, other) = (folder.path().join("log.redb"), folder.path().join("other"));
        let file = LogFile::open(&path)?;
        file.sync_data().expect("it has its name");
        std::fs::write(&other, "").expect("the folder is writable");
        std::fs::rename(&other, &path).expect("the folder is writable");
        let refused = file.sync_data().expect_err("its name is another's");
        let moved = LogFile::open(&path)?;
        std::fs::rename(&path, folder.path().join("away")).expect("the folder is writable");
        assert!(moved.sync_data().is_err(), "nobody finds it there at the next start");
        assert!(refused.to_string().contains("moved, removed or replaced"), "{refused}");
        Ok(())
    }

    #[test]
    fn a_file_that_is_open_is_in_use() -> Result<(), LogError> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("log.redb");
        let first = LogFile::open(&path)?;
        assert!(matches!(LogFile::open(&path), Err(LogError::InUse)));
        drop(first);
        LogFile::open(&path).map(drop)
    }
}
