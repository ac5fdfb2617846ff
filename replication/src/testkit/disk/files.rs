//! The disk as redb and the snapshots use it.

use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use super::{Disk, Operation};
use crate::store::files::{Files, NewFile, StorageBackend};

/// A file of a disk, open.
#[derive(Debug, Clone)]
pub struct DiskFile {
    pub(super) disk: Disk,
    pub(super) file: u64,
}

impl StorageBackend for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().body(self.file).seen.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut plate = self.disk.0.lock();
        let seen = &plate.body(self.file).seen;
        if offset + out.len() as u64 > seen.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        seen.read(offset, out);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.0.lock().set_len(self.file, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.0.lock().sync(self.file)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.0.lock().write(self.file, offset, data)
    }
}

/// A file that is being written from its beginning.
struct Growing {
    file: DiskFile,
    at: u64,
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        StorageBackend::write(&self.file, self.at, bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for Growing {
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Files for Disk {
    /// Folders are there as soon as anything is in them.
    fn make_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let mut plate = self.0.lock();
        plate.begin(Operation::Create { path: path.to_owned() })?;
        let file = plate.next_file();
        plate.files.insert(file, super::Body::default());
        plate.name(vec![(path.to_owned(), Some(file))]);
        drop(plate);
        Ok(Box::new(Growing { file: DiskFile { disk: self.clone(), file }, at: 0 }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        let mut plate = self.0.lock();
        let file = *plate.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let seen = &plate.body(file).seen;
        let mut bytes = vec![0; usize::try_from(seen.len()).expect("test files are small")];
        seen.read(0, &mut bytes);
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        let mut plate = self.0.lock();
        let file = *plate.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(plate.body(file).seen.len())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut plate = self.0.lock();
        plate.begin(Operation::Rename { from: from.to_owned(), to: to.to_owned() })?;
        let file = *plate.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        plate.name(vec![(from.to_owned(), None), (to.to_owned(), Some(file))]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut plate = self.0.lock();
        if plate.names.contains_key(path) {
            plate.begin(Operation::Remove { path: path.to_owned() })?;
            plate.name(vec![(path.to_owned(), None)]);
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.0.lock().sync_folder(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let plate = self.0.lock();
        Ok(plate.names.keys().filter(|path| path.parent() == Some(folder)).cloned().collect())
    }
}
