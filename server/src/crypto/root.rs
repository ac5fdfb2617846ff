//! The root key in a file: three lines of text, so that it can be printed, read aloud and compared.
//!
//! ```text
//! ekm root key 1
//! version 7
//! 0001…1f          (64 lower-case hexadecimal digits)
//! ```
//!
//! Only the key store names this module: the data plane gets opened tenant keys. It must never overwrite a file, nor use one that others can read. No copy of the key is left in memory outside the arena.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::regular_file;

use super::arena::{Arena, ArenaExhausted};
use super::entropy::{Draw, Entropy, EntropyError};
use super::hex::{self, KEY_DIGITS};
use super::material::{GenerateError, Material};

/// What envelopes call root keys that came from a file.
pub const ROOT_KEY_PROVIDER_FILE: &str = "file";

const FIRST_LINE: &str = "ekm root key 1\n";
const VERSION_LABEL: &str = "version ";
/// First line, label, a number of at most ten digits, the key, two ends of line.
const FILE_LENGTH_MAX: usize = FIRST_LINE.len() + VERSION_LABEL.len() + 10 + 1 + KEY_DIGITS + 1;

/// Owner may read, nobody may write.
const MODE: u32 = 0o400;
const MODE_OTHERS: u32 = 0o077;

/// The key that seals tenant keys. Key stores have it, nothing else does.
pub struct RootKey {
    pub(super) material: Material,
    pub(super) provider: &'static str,
    pub(super) root_version: u32,
}

impl RootKey {
    /// Where it came from, as envelopes name it.
    pub fn provider(&self) -> &str {
        self.provider
    }

    /// Which key of that provider it is, as envelopes name it.
    pub fn root_version(&self) -> u32 {
        self.root_version
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey({} {})", self.provider, self.root_version)
    }
}

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// The file is not there or cannot be read.
    #[error("cannot read the root key file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner can reach the file.
    #[error("others can reach the root key file {0} (mode {mode:04o}): run `chmod 0400 {0}`, and replace the key if they may have read it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not three lines as this module writes them.
    #[error("{} is not a root key file of format 1; put it back from a copy", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// A file of this name is there; it may be the only copy of a root key.
    #[error("{} exists already, and a root key file is never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be made durable.
    #[error("cannot write the root key file {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no room for the key.
    #[error("there is no room for the root key")]
    Exhausted(#[from] ArenaExhausted),
    /// There are no random bytes.
    #[error("there are no random bytes for a root key")]
    Entropy(#[from] EntropyError),
}

impl From<GenerateError> for RootKeyError {
    fn from(error: GenerateError) -> Self {
        match error {
            GenerateError::Exhausted(error) => Self::Exhausted(error),
            GenerateError::Entropy(error) => Self::Entropy(error),
        }
    }
}

impl RootKey {
    /// Reads a root key from `path`.
    ///
    /// # Errors
    /// If the file is not there, not of the format, or within reach of others than its owner; or the arena is full.
    pub fn load(path: &Path, arena: &Arc<Arena>) -> Result<Self, RootKeyError> {
        let mut text = Zeroizing::new([0; FILE_LENGTH_MAX + 1]);
        let length = read_private(path, &mut text[..])?;
        let malformed = || RootKeyError::Malformed { path: path.to_owned() };
        let (root_version, digits) = parse(&text[..length]).ok_or_else(malformed)?;
        let mut slot = arena.take()?;
        hex::fill(slot.bytes_mut(), digits).ok_or_else(malformed)?;
        Ok(Self { material: Material::from_slot(slot), provider: ROOT_KEY_PROVIDER_FILE, root_version })
    }

    /// Makes a random root key, durable at `path` with mode 0400 before this returns. A crash leaves either the whole file
    /// there or nothing of that name.
    ///
    /// # Errors
    /// If something of that name exists, or the file cannot be made durable; there is no key then.
    pub fn create(
        path: &Path,
        root_version: u32,
        arena: &Arc<Arena>,
        entropy: &dyn Entropy,
    ) -> Result<Self, RootKeyError> {
        let material = Material::generate(arena, entropy)?;
        let mut text = Zeroizing::new(Vec::with_capacity(FILE_LENGTH_MAX));
        text.extend_from_slice(format!("{FIRST_LINE}{VERSION_LABEL}{root_version}\n").as_bytes());
        hex::push(&mut text, material.expose());
        text.push(b'\n');
        debug_assert!(text.len() <= FILE_LENGTH_MAX, "growing would leave a copy behind");
        let mut mark = [0; 8];
        entropy.fill(Draw::Id, &mut mark)?;
        publish(path, u64::from_be_bytes(mark), &text).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => RootKeyError::Exists { path: path.to_owned() },
            _ => RootKeyError::Write { path: path.to_owned(), source },
        })?;
        drop(material);
        // what is used is what the file holds, so a file that cannot be read back is found now
        Self::load(path, arena)
    }
}

/// Fills `text` from the file and returns its length, or the whole of `text` if the file is longer.
fn read_private(path: &Path, text: &mut [u8]) -> Result<usize, RootKeyError> {
    let failed = |source| RootKeyError::Read { path: path.to_owned(), source };
    let mut file = regular_file::open(path).map_err(failed)?;
    // of the open file, so that what is checked is what is read
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & MODE_OTHERS != 0 {
        return Err(RootKeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut length = 0;
    while length < text.len() {
        match file.read(&mut text[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(length)
}

/// Version and digits, or `None` if `text` is anything but what [`RootKey::create`] writes.
fn parse(text: &[u8]) -> Option<(u32, &[u8])> {
    let rest = text.strip_prefix(FIRST_LINE.as_bytes())?.strip_prefix(VERSION_LABEL.as_bytes())?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let number = std::str::from_utf8(&rest[..end]).ok()?;
    let root_version: u32 = number.parse().ok()?;
    // one spelling: no sign, no leading zero
    let digits = rest[end + 1..].strip_suffix(b"\n")?;
    (root_version.to_string() == number && digits.len() == KEY_DIGITS).then_some((root_version, digits))
}

/// Writes a file under a name of its own, then links it to `path`, which fails if that exists.
fn publish(path: &Path, mark: u64, text: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let draft = folder.join(format!(".{}.{mark:016x}", name.display()));
    let linked = write_durably(&draft, text).and_then(|()| std::fs::hard_link(&draft, path));
    let removed = std::fs::remove_file(&draft);
    linked.and(removed)?;
    File::open(folder)?.sync_all()
}

fn write_durably(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::super::arena::tests::arena;
    use super::super::entropy::SystemEntropy;
    use super::*;

    /// Writes `text` to a file of its own with `mode`.
    fn file(folder: &tempfile::TempDir, text: &[u8], mode: u32) -> PathBuf {
        let path = folder.path().join("root.key");
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
        path
    }

    #[test]
    fn a_created_key_loads_again_and_is_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let arena = arena(3);
        let path = folder.path().join("root.key");
        let made = RootKey::create(&path, 7, &arena, &SystemEntropy).expect("made");
        let loaded = RootKey::load(&path, &arena).expect("loads");
        assert_eq!(made.material.expose(), loaded.material.expose());
        assert_eq!((loaded.provider(), loaded.root_version()), (ROOT_KEY_PROVIDER_FILE, 7));
        assert_eq!(std::fs::metadata(&path).expect("there").mode() & 0o7777, MODE);
        let names: Vec<_> =
            std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, ["root.key"], "no draft is left");
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let arena = arena(2);
        let path = file(&folder, b"precious", 0o600);
        let refused = RootKey::create(&path, 1, &arena, &SystemEntropy).expect_err("it exists");
        assert!(matches!(refused, RootKeyError::Exists { .. }), "{refused:?}");
        assert_eq!(std::fs::read(&path).expect("still there"), b"precious");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "no draft is left");
        assert_eq!(arena.free_slots(), 2);
    }

    #[test]
    fn a_file_within_reach_of_others_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().expect("a folder");
        let arena = arena(2);
        let made = folder.path().join("made.key");
        RootKey::create(&made, 1, &arena, &SystemEntropy).expect("made");
        let text = std::fs::read(&made).expect("reads");
        for mode in [0o440, 0o404, 0o420, 0o644, 0o601, 0o777] {
            let path = file(&folder, &text, mode);
            let refused = RootKey::load(&path, &arena).expect_err("others reach it");
            assert!(matches!(refused, RootKeyError::Exposed { mode: found, .. } if found == mode), "{refused:?}");
            let remedy = format!("chmod 0400 {}", path.display());
            assert!(refused.to_string().contains(&remedy), "{refused}");
            std::fs::remove_file(&path).expect("removed");
        }
        for mode in [0o400, 0o600] {
            let path = file(&folder, &text, mode);
            assert!(RootKey::load(&path, &arena).is_ok(), "{mode:o}");
            std::fs::remove_file(&path).expect("removed");
        }
    }

    #[test]
    fn text_that_create_does_not_write_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let arena = arena(1);
        let key = "0f".repeat(32);
        let whole = format!("ekm root key 1\nversion 1\n{key}\n");
        let table = [
            (whole.clone(), true),
            (format!("ekm root key 1\nversion 4294967295\n{key}\n"), true),
            (String::new(), false),
            (whole[..whole.len() - 1].to_owned(), false),
            (whole[1..].to_owned(), false),
            (format!("{whole}\n"), false),
            (format!("{whole}{whole}"), false),
            (whole.to_uppercase(), false),
            (whole.replace('\n', "\r\n"), false),
            (whole.replace("key 1", "key 2"), false),
            (whole.replace("version 1", "version 01"), false),
            (whole.replace("version 1", "version +1"), false),
            (whole.replace("version 1", "version 4294967296"), false),
            (whole.replace("0f0f", "0g0f"), false),
            (format!("ekm root key 1\nversion 1\n{key}00\n"), false),
        ];
        for (text, opens) in table {
            let path = file(&folder, text.as_bytes(), 0o600);
            match RootKey::load(&path, &arena) {
                Ok(_) => assert!(opens, "{text:?}"),
                Err(error) => {
                    assert!(matches!(error, RootKeyError::Malformed { .. }) && !opens, "{text:?}: {error:?}");
                    assert!(!error.to_string().contains("0f0f"), "{error}");
                }
            }
        }
        let gone = RootKey::load(&folder.path().join("gone"), &arena).expect_err("not there");
        assert!(matches!(gone, RootKeyError::Read { .. }), "{gone:?}");
    }
}
