//! The root key of this replica: read from its file, or made where nothing was ever sealed under one.
//!
//! Never makes one in the place of one that is lost, and never hands it to anybody but the key store: what frontends get are
//! opened tenant keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use replication::raft::group::Group;

use crate::crypto::root::{RootKey, RootKeyError};
use crate::crypto::{Arena, Entropy};

use super::sound::{UnsoundError, led};

/// Of a root key that is made here.
const FIRST_VERSION: u32 = 1;

/// The root key, in the hands of whoever assembles a key store: it can be handed on, and nothing else.
pub struct Root(pub(super) RootKey);

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The file cannot be used, or cannot be made.
    #[error(transparent)]
    Key(#[from] RootKeyError),
    /// There is no file, and what is in the log needs it.
    #[error("{} is gone, and the keys in this data open under it alone; put it back from a copy", .0.display())]
    Gone(PathBuf),
    /// What is in the log cannot be told.
    #[error(transparent)]
    Unsound(#[from] UnsoundError),
}

impl Root {
    /// Reads the key from a file, or makes both if the shard has never needed one.
    ///
    /// # Errors
    /// See [`RootError`].
    pub async fn open(
        file: &Path,
        shard: &Group,
        arena: &Arc<Arena>,
        entropy: &dyn Entropy,
    ) -> Result<Self, RootError> {
        if file.exists() {
            Ok(Self(RootKey::load(file, arena)?))
        } else if is_needed(shard).await? {
            Err(RootError::Gone(file.to_owned()))
        } else {
            Ok(Self(RootKey::create(file, FIRST_VERSION, arena, entropy)?))
        }
    }
}

/// Whether a shard holds tenants, whose keys only the root key opens that sealed them; one that has halted may.
pub(super) async fn is_needed(shard: &Group) -> Result<bool, UnsoundError> {
    let found = led(shard).await?;
    Ok(found.halted.is_some() || !found.state.tenants().is_empty())
}
