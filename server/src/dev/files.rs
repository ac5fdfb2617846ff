//! Files of the data directory: written whole or not at all, private unless they are for others to read.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A file or folder of the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner only.
    Owner,
    /// Everybody: certificates and public keys.
    All,
}

/// Makes a folder that only its owner may enter, with the folders above it.
pub fn make_folder(path: &Path) -> Result<(), FileError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| FileError { action: "create the folder", path: path.to_owned(), source })
}

/// Replaces a file in one step: a reader, or a crash, meets the old content or the new one.
pub fn write(path: &Path, content: &[u8], readers: Readers) -> Result<(), FileError> {
    let failed = |source| FileError { action: "write", path: path.to_owned(), source };
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    let draft = PathBuf::from(draft);
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::All => 0o644,
    };
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&draft).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Reads a file, or gives `None` if there is none of that name.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError { action: "read", path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_private_file_is_private_from_its_first_moment() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("key");
        for (readers, mode) in [(Readers::Owner, 0o600), (Readers::All, 0o644)] {
            write(&path, b"x", readers).expect("the folder is writable");
            assert_eq!(fs::metadata(&path).expect("it was written").permissions().mode() & 0o777, mode);
            assert_eq!(read(&path).expect("it is readable"), Some(b"x".to_vec()));
        }
        let names: Vec<_> = fs::read_dir(folder.path()).expect("readable").collect();
        assert_eq!(names.len(), 1, "no draft is left behind");
        assert_eq!(read(&folder.path().join("none")).expect("absence is no error"), None);
    }
}
