//! The last good key set on disk, so that a restart without egress still serves. Public keys only, no secret.
//!
//! One file: the line `ekm-key-set 1 <url>`, then the set as it was fetched. A file of another format or for another
//! URL counts as none. Blocking; never called on the request path.

use std::io::{self, Read as _};
use std::path::Path;

use crate::regular_file;
use crate::replace_file::{Readers, replace_file};

use super::keyset::KEY_SET_BYTES_MAX;

const FORMAT: &str = "ekm-key-set 1";

/// Replaces the file whole or not at all.
pub(super) fn save(path: &Path, url: &str, json: &[u8]) -> io::Result<()> {
    let content = [format!("{FORMAT} {url}\n").as_bytes(), json].concat();
    replace_file(path, &content, Readers::Owner)
}

/// The set kept for this URL, if there is one.
pub(super) fn load(path: &Path, url: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match regular_file::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let header = format!("{FORMAT} {url}\n");
    let mut bytes = Vec::new();
    file.take((header.len() + KEY_SET_BYTES_MAX + 1) as u64).read_to_end(&mut bytes)?;
    Ok(bytes.strip_prefix(header.as_bytes()).map(<[u8]>::to_vec))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_kept_set_is_read_back_only_for_its_own_url_and_only_by_its_owner() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("keys");
        assert_eq!(load(&path, "https://a.example/certs")?, None);
        save(&path, "https://a.example/certs", b"first")?;
        save(&path, "https://a.example/certs", b"second")?;
        assert_eq!(load(&path, "https://a.example/certs")?.as_deref(), Some(&b"second"[..]));
        assert_eq!(load(&path, "https://b.example/certs")?, None);
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path())?.count(), 1, "nothing is left beside it");
        Ok(())
    }
}
