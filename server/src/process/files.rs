//! Files that a process keeps or leaves for others: written whole or not at all, private unless they are for others to read.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::regular_file;
pub use crate::replace_file::Readers;
use crate::replace_file::replace_file;

/// A file or folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Makes a folder that only its owner may enter, with the folders above it.
///
/// # Errors
/// If it cannot be made.
pub fn make_folder(path: &Path) -> Result<(), FileError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| FileError { action: "create the folder", path: path.to_owned(), source })
}

/// Replaces a file in one step: a reader, or a crash, meets the old content or the new one.
///
/// # Errors
/// [`FileError`]; the file is the old one then, or the new one.
pub fn write(path: &Path, content: &[u8], readers: Readers) -> Result<(), FileError> {
    replace_file(path, content, readers).map_err(|source| FileError { action: "write", path: path.to_owned(), source })
}

/// Replaces a file, unless it holds this already: a start on a full or read-only disk has nothing to write then.
///
/// # Errors
/// As [`write()`].
pub fn keep(path: &Path, content: &[u8], readers: Readers) -> Result<(), FileError> {
    match regular_file::read(path) {
        Ok(held) if held == content => Ok(()),
        Ok(_) | Err(_) => write(path, content, readers),
    }
}

/// Reads a file, or gives `None` if there is none of that name.
///
/// # Errors
/// Every reason but that it is not there.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match regular_file::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError { action: "read", path: path.to_owned(), source }),
    }
}

/// Removes a file, if there is one of that name.
///
/// # Errors
/// Every reason but that it is not there.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError { action: "remove", path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_holds_what_it_should_is_left_alone() {
        use std::os::unix::fs::MetadataExt as _;

        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("file");
        let inode = || fs::metadata(&path).expect("it is there").ino();
        keep(&path, b"one", Readers::All).expect("the folder is writable");
        let first = inode();
        keep(&path, b"one", Readers::All).expect("nothing is to be written");
        assert_eq!(inode(), first, "a file that is replaced is another one");
        keep(&path, b"two", Readers::All).expect("the folder is writable");
        assert_eq!(fs::read(&path).expect("it is there"), b"two");
    }

    #[test]
    fn absence_is_no_error_and_a_folder_is_its_owners_alone() {
        let parent = tempfile::tempdir().expect("a temporary folder can be made");
        let folder = parent.path().join("a/b");
        make_folder(&folder).expect("the folder above is writable");
        assert_eq!(fs::metadata(&folder).expect("it was made").permissions().mode() & 0o777, 0o700);
        assert_eq!(read(&folder.join("none")).expect("absence is no error"), None);
        write(&folder.join("some"), b"x", Readers::Owner).expect("the folder is writable");
        assert_eq!(read(&folder.join("some")).expect("it is readable"), Some(b"x".to_vec()));
        for _ in 0..2 {
            remove(&folder.join("some")).expect("removing what is gone is no error");
        }
        assert!(remove(&folder).is_err(), "a folder is no file");
    }
}
