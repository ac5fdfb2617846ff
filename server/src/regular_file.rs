//! Opening a file that ought to be one: a pipe, a device or a folder in its place is refused at once, not waited for.
//!
//! It must never block before it knows what it has opened: a pipe without a writer would hold up a start, and whoever asks the
//! process to end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file for reading.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for anything that is no regular file, or what the file system said.
pub fn open(path: &Path) -> io::Result<File> {
    // means nothing to a regular file
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, NotAFile)) }
}

/// Reads a whole regular file.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    Ok(content)
}

#[derive(Debug, thiserror::Error)]
#[error("it is no regular file")]
struct NotAFile;

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_pipe_or_a_folder_in_the_place_of_a_file_is_refused_and_not_waited_for() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (pipe, file) = (folder.path().join("pipe"), folder.path().join("file"));
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
        std::fs::write(&file, "content")?;
        for other in [&pipe, folder.path(), Path::new("/dev/zero")] {
            let refused = read(other).expect_err("it is no file");
            assert_eq!(refused.to_string(), "it is no regular file", "{}", other.display());
        }
        assert_eq!(read(&file)?, b"content");
        assert_eq!(read(&folder.path().join("none")).expect_err("it is not there").kind(), io::ErrorKind::NotFound);
        Ok(())
    }
}
