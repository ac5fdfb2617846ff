//! The root key of this replica: read from its file, or made where nothing was ever sealed under one.
//!
//! Never makes one in the place of one that is lost, and never hands it to anybody but the key store: what frontends get are
//! opened tenant keys.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::crypto::root::{RootKey, RootKeyError};
use crate::crypto::{Arena, Entropy};

use super::sound::Needed;

/// Of a root key that is made here.
const FIRST_VERSION: u32 = 1;

/// The root key, in the hands of whoever assembles a key store: it can be handed on, and nothing else.
pub struct Root(pub(super) RootKey);

/// Whether a key was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It was, and its file with it.
    Now,
    /// The file was there.
    Before,
}

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The file cannot be used, or cannot be made.
    #[error(transparent)]
    Key(#[from] RootKeyError),
    /// There is no file, and what is in the log needs it.
    #[error("{} is gone, and the keys in this data open under it alone; put it back from a copy", .0.display())]
    Gone(PathBuf),
    /// Whether there is a file cannot be told.
    #[error("it cannot be told whether {} is there; give the server's user permission to look", file.display())]
    Unknown {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Root {
    /// Reads the key from its file, which a replica of a cluster never makes but where the cluster is founded.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn load(file: &Path, arena: &Arc<Arena>) -> Result<Self, RootError> {
        if is_there(file)? { Ok(Self(RootKey::load(file, arena)?)) } else { Err(RootError::Gone(file.to_owned())) }
    }

    /// Reads the key, or makes it: where a cluster is founded, since nothing was ever sealed for it.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn found(file: &Path, arena: &Arc<Arena>, entropy: &dyn Entropy) -> Result<(Self, Made), RootError> {
        if is_there(file)? {
            Ok((Self(RootKey::load(file, arena)?), Made::Before))
        } else {
            Ok((Self(RootKey::create(file, FIRST_VERSION, arena, entropy)?), Made::Now))
        }
    }

    /// Reads the key from a file, or makes both if the groups have never needed one.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn open(file: &Path, needed: Needed, arena: &Arc<Arena>, entropy: &dyn Entropy) -> Result<Self, RootError> {
        if is_there(file)? {
            Ok(Self(RootKey::load(file, arena)?))
        } else if needed.root_key {
            Err(RootError::Gone(file.to_owned()))
        } else {
            Ok(Self(RootKey::create(file, FIRST_VERSION, arena, entropy)?))
        }
    }
}

/// Whether there is a file of the root key.
///
/// # Errors
/// [`RootError::Unknown`].
pub fn is_there(file: &Path) -> Result<bool, RootError> {
    file.try_exists().map_err(|source| RootError::Unknown { file: file.to_owned(), source })
}
