//! Local files: read with a bound, written whole. An error names the file.

use std::io::Read as _;
use std::path::Path;

use super::error::CtlError;

/// A file's content, at most `bytes_max` bytes of it; a longer one is refused.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, CtlError> {
    let failed = |source| CtlError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(CtlError::TooLarge { path: path.to_owned(), bytes_max });
    }
    Ok(bytes)
}

/// Writes a file; one that is there is replaced.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), CtlError> {
    std::fs::write(path, content).map_err(|source| CtlError::Write { path: path.to_owned(), source })
}
