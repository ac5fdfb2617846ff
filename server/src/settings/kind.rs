//! What kind of process a settings file is for, by what only that kind has. Judges nothing else in it.

use std::path::Path;

use super::mistake::SettingsError;
use super::{file, reader};

/// A kind of settings file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of `ekm keystore`.
    KeyStore,
    /// Of `ekm frontend`.
    Frontend,
    /// Of `ekm dev`.
    Dev,
}

/// What a key store has and a frontend has not.
const OF_A_KEY_STORE: [&str; 5] = ["data_dir", "peers", "admin", "root_key", "key_store"];

impl Kind {
    /// Of a file.
    ///
    /// # Errors
    /// [`SettingsError`], every variant but [`SettingsError::Wrong`].
    pub fn of_file(path: &Path) -> Result<Self, SettingsError> {
        let text = file::read_text(path)?;
        Self::of(&text).ok_or_else(|| SettingsError::OfNoKind(path.to_owned()))
    }

    /// Of a text; `None` if nobody can tell.
    pub fn of(text: &str) -> Option<Self> {
        let names = reader::names(text);
        let has = |name: &&str| names.contains(*name);
        // of the three, `ekm dev` alone is of no cluster
        if has(&"dev") && !has(&"cluster") {
            return Some(Self::Dev);
        }
        match (OF_A_KEY_STORE.iter().any(has), has(&"data")) {
            (true, false) => Some(Self::KeyStore),
            (false, true) => Some(Self::Frontend),
            (true, true) if has(&"peers") => Some(Self::KeyStore),
            (true, true) | (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_what_only_its_kind_has() {
        let table = [
            ("dev = true", Some(Kind::Dev)),
            ("dev = 1\n[data]\n[admin]", Some(Kind::Dev)),
            ("dev = true\n[cluster]\n[data]", Some(Kind::Frontend)),
            ("dev = true\n[cluster]\n[peers]", Some(Kind::KeyStore)),
            ("[cluster]\n[feed]\n[data]\n[health]", Some(Kind::Frontend)),
            ("[cluster]\n[feed]\n[peers]\n[health]", Some(Kind::KeyStore)),
            ("data_dir = \"x\"", Some(Kind::KeyStore)),
            ("[peers]\n[data]", Some(Kind::KeyStore)),
            ("[data]\nlisten = \n[health", Some(Kind::Frontend)),
            ("[data]\n[admin]", None),
            ("[cluster]\n[feed]\n[health]", None),
            ("", None),
            ("\0", None),
        ];
        for (text, kind) in table {
            assert_eq!(Kind::of(text), kind, "{text}");
        }
    }
}
