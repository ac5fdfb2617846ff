//! Where everything of a cluster lies below its folder, and how files get there: whole, and for their owner alone. Decides nothing.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::error::ClusterError;
use crate::dev::CLUSTER_FILE;

const PRIVATE_FOLDER: u32 = 0o700;

/// Who may do what with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its owner reads and replaces it.
    Owner,
    /// Its owner reads it.
    OwnerReads,
}

/// The folder of a cluster, absolute.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Of a folder that is there.
    ///
    /// # Errors
    /// If it is not.
    pub fn of(folder: &Path) -> Result<Self, ClusterError> {
        let root = folder.canonicalize().map_err(|cause| ClusterError::file("look into", folder, cause))?;
        Ok(Self { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is kept of the plan. Its being there says whose folder this is.
    pub fn plan(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    /// Which processes were started: the mark of a cluster that runs, or was never stopped.
    pub fn running(&self) -> PathBuf {
        self.root.join("running.json")
    }

    /// Locked by whoever starts or stops.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub fn cluster(&self) -> PathBuf {
        self.root.join(CLUSTER_FILE)
    }

    pub fn balancer(&self) -> PathBuf {
        self.root.join("haproxy.cfg")
    }

    /// The folder of certificates and keys that no machine has.
    pub fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// A file of it.
    pub fn of_pki(&self, name: &str) -> PathBuf {
        self.pki().join(name)
    }

    pub fn issuer_key(&self) -> PathBuf {
        self.root.join("issuer/key.pem")
    }

    pub fn key_set(&self) -> PathBuf {
        self.root.join("issuer/jwks.json")
    }

    pub fn token(&self) -> PathBuf {
        self.root.join("token")
    }

    /// The folder that stands for a machine.
    pub fn machine(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub fn key_store_settings(&self, machine: &str) -> PathBuf {
        self.machine(machine).join("keystore.toml")
    }

    pub fn frontend_settings(&self, machine: &str) -> PathBuf {
        self.machine(machine).join("frontend.toml")
    }

    pub fn root_key(&self, machine: &str) -> PathBuf {
        self.machine(machine).join("root.key")
    }

    /// What a key store says of itself to those who let it join.
    pub fn replica(&self, machine: &str) -> PathBuf {
        self.machine(machine).join("data/replica.json")
    }

    pub fn log(&self, process: &str) -> PathBuf {
        self.root.join("logs").join(format!("{process}.log"))
    }
}

/// Makes a folder for its owner alone, and those above it; one that is there is closed to others.
///
/// # Errors
/// If it cannot be made or closed.
pub fn make_folder(path: &Path) -> Result<(), ClusterError> {
    let failed = |cause| ClusterError::file("make the folder", path, cause);
    fs::DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE_FOLDER)).map_err(failed)
}

/// Writes a file whole: whoever reads it meanwhile sees the old one or the new one. Its folder is made if it is not there.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, content: &[u8], access: Access) -> Result<(), ClusterError> {
    let folder = path.parent().expect("a file of a cluster lies in a folder");
    make_folder(folder)?;
    let written = || -> io::Result<()> {
        let mut draft = tempfile::NamedTempFile::new_in(folder)?;
        draft.write_all(content)?;
        let mode = match access {
            Access::Owner => 0o600,
            Access::OwnerReads => 0o400,
        };
        draft.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        draft.as_file().sync_all()?;
        draft.persist(path)?;
        Ok(())
    };
    written().map_err(|cause| ClusterError::file("write", path, cause))
}

/// Reads a file; `None` if it is not there.
///
/// # Errors
/// If it is there and cannot be read.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, ClusterError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(ClusterError::file("read", path, cause)),
    }
}

/// Removes a file, if it is there.
///
/// # Errors
/// If it cannot be removed.
pub fn remove(path: &Path) -> Result<(), ClusterError> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(ClusterError::file("remove", path, cause)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole_and_nobody_else_reads_them() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("a1/root.key");
        for (content, access, expected) in [("old", Access::OwnerReads, 0o400), ("new", Access::Owner, 0o600)] {
            write(&path, content.as_bytes(), access).expect("the folder is writable");
            assert_eq!(read(&path).expect("it is readable").as_deref(), Some(content.as_bytes()));
            let mode = fs::metadata(&path).expect("it was written").permissions().mode();
            assert_eq!(mode & 0o777, expected);
        }
        let above = fs::metadata(folder.path().join("a1")).expect("it was made").permissions().mode();
        assert_eq!(above & 0o777, 0o700);
        remove(&path).and_then(|()| remove(&path)).expect("removing twice is no error");
        assert!(read(&path).expect("its absence is no error").is_none());
    }
}
