//! Replaces a file in one step: a reader, or a crash, meets the old content or the new one, never a part of either.
//!
//! Blocking; never called on the request path.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner only.
    Owner,
    /// Everybody: certificates and public keys.
    All,
}

impl Readers {
    const fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::All => 0o644,
        }
    }
}

/// Writes `content` beside `path`, makes it durable, and renames it over `path`; the name is durable when this returns.
///
/// # Errors
/// What the file system said. The file at `path` is then the old one, or the new one of which only the name may be lost.
pub fn replace_file(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    let draft = draft_of(path);
    // a draft that a crash left may be open to others, or lead elsewhere: this one is new
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(readers.mode()).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn draft_of(path: &Path) -> PathBuf {
    let mut draft = OsString::from(path);
    draft.push(".draft");
    draft.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_for_its_readers_and_leaves_nothing_beside_it() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        for (content, readers, mode) in [
            (&b"a longer first"[..], Readers::Owner, 0o600),
            (b"second", Readers::All, 0o644),
            (b"", Readers::Owner, 0o600),
        ] {
            replace_file(&path, content, readers)?;
            assert_eq!(fs::read(&path)?, content);
            assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, mode);
            assert_eq!(fs::read_dir(folder.path())?.count(), 1, "no draft is left behind");
        }
        Ok(())
    }

    #[test]
    fn what_a_crash_left_beside_it_is_written_over_and_a_failure_leaves_the_old_file() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        fs::write(draft_of(&path), "half of something that was much longer")?;
        replace_file(&path, b"whole", Readers::Owner)?;
        assert_eq!(fs::read(&path)?, b"whole");
        fs::create_dir(draft_of(&path))?;
        assert!(replace_file(&path, b"never", Readers::Owner).is_err(), "a folder cannot be opened for writing");
        assert_eq!(fs::read(&path)?, b"whole");
        Ok(())
    }

    #[test]
    fn a_draft_that_was_there_before_gives_nothing_away() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        fs::write(at("open.draft"), "")?;
        fs::set_permissions(at("open.draft"), fs::Permissions::from_mode(0o666))?;
        fs::write(at("elsewhere"), "untouched")?;
        std::os::unix::fs::symlink(at("elsewhere"), at("link.draft"))?;
        for name in ["open", "link"] {
            replace_file(&at(name), b"secret", Readers::Owner)?;
            let written = fs::symlink_metadata(at(name))?;
            assert!(written.is_file() && written.permissions().mode() & 0o777 == 0o600, "{name}");
        }
        assert_eq!(fs::read(at("elsewhere"))?, b"untouched");
        Ok(())
    }
}
