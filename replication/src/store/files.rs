//! The file operations behind snapshots, so that a disk in memory can take the place of the real one.
//!
//! Says what each promises after a power cut; promises nothing else. For the log, redb has such a seam of its own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

pub use redb::StorageBackend;

use super::folder;

/// Files and folders. What is made, renamed or removed has that name for certain only after [`Files::sync_folder`].
pub trait Files: Send + Sync {
    /// Makes a folder with every missing parent; the names are durable when this returns.
    ///
    /// # Errors
    /// What the file system said, as for all others.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes an empty file, in place of any other of that name.
    ///
    /// # Errors
    /// What the file system said.
    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>>;

    /// Opens a file for reading from its beginning.
    ///
    /// # Errors
    /// What the file system said.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>>;

    /// The size of a file, in bytes.
    ///
    /// # Errors
    /// What the file system said.
    fn len(&self, path: &Path) -> io::Result<u64>;

    /// Gives a file another name, in place of any other file of that name.
    ///
    /// # Errors
    /// What the file system said.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// What the file system said.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// What the file system said.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// The files in a folder, in no order.
    ///
    /// # Errors
    /// What the file system said.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
}

/// A file on its way: its bytes are durable when [`NewFile::sync`] returns, and no sooner.
pub trait NewFile: Write + Send {
    /// Makes the bytes written so far durable, and has whoever reads them next read them from the disk.
    ///
    /// # Errors
    /// What the file system said; what is on the disk is unknown then.
    fn sync(&mut self) -> io::Result<()>;
}

/// The real file system. What it makes is readable to nobody else.
#[derive(Debug, Clone, Copy)]
pub struct OnDisk;

impl Files for OnDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        folder::create(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let file = folder::open_file(path)?;
        file.set_len(0)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(path)?))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(path.metadata()?.len())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        folder::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        folder::sync(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    }
}

impl NewFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()?;
        // Reread from memory, a disk that lies would pass its verification. A file system without such advice ignores it.
        Ok(fadvise(self, 0, None, Advice::DontNeed)?)
    }
}
