//! A settings file as text, refused early if it cannot be one. Understands nothing of what it says.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use super::mistake::SettingsError;

/// The longest settings file, in bytes.
pub const SETTINGS_BYTES_MAX: u64 = 256 * 1024;

/// Reads the file whole.
///
/// # Errors
/// [`SettingsError`], every variant but [`SettingsError::Wrong`].
pub fn read_text(path: &Path) -> Result<String, SettingsError> {
    let unreadable = |source| SettingsError::Read { path: path.to_owned(), source };
    // asked before it is opened: a pipe without a writer would be waited for
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(SettingsError::NotAFile(path.to_owned()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(SETTINGS_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > SETTINGS_BYTES_MAX {
        return Err(SettingsError::TooLong { path: path.to_owned(), bytes_max: SETTINGS_BYTES_MAX });
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        SettingsError::NotUtf8 { path: path.to_owned(), line }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        let text = read_text(path).expect_err("it is no settings file").to_string();
        text.replace(&path.display().to_string(), "FILE")
    }

    #[test]
    fn what_cannot_be_settings_is_refused_before_it_is_understood() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("settings.toml");
        assert_eq!(refused(&file), "cannot read the settings file FILE");
        assert_eq!(refused(folder.path()), "FILE is no file");
        assert_eq!(refused(Path::new("/dev/zero")), "FILE is no file");
        fs::write(&file, b"dev = true\n# \xff\n").expect("the folder is writable");
        assert_eq!(refused(&file), "FILE is not UTF-8: its line 2 holds other bytes");
        fs::write(&file, vec![b'#'; 10 * 1024 * 1024]).expect("the folder is writable");
        assert_eq!(refused(&file), "FILE is longer than 262144 bytes: these are no settings");
    }

    #[test]
    fn the_longest_file_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("settings.toml");
        let longest = usize::try_from(SETTINGS_BYTES_MAX).expect("it fits in memory");
        fs::write(&file, vec![b'#'; longest]).expect("the folder is writable");
        assert_eq!(read_text(&file).expect("it is at the limit").len(), longest);
    }
}
