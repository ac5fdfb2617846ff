//! Why a mirror of the applied state is not believed, or cannot be had.
//!
//! Decides nothing: what is doubted is thrown away where mirrors are opened.

use std::io;

use super::blocking::Stopped;
use super::record::Damage;
use super::room;
use crate::codec::Undecodable;
use crate::machine::digest::Digest;

/// Why a mirror is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    /// sled panicked over its files.
    #[error("sled panicked while it read its files")]
    Panicked,
    /// sled refused its files.
    #[error("sled cannot read its files")]
    Unreadable(#[from] sled::Error),
    /// There are rows, and no mark that says what they are.
    #[error("there are rows without a mark")]
    Unmarked,
    /// The mark is not what was written.
    #[error("the mark is damaged")]
    Mark(#[from] Damage),
    /// The mark's frame is whole and its content is not.
    #[error("the mark cannot be decoded")]
    MarkContent(#[from] postcard::Error),
    /// A row is not what was written.
    #[error("a row cannot be decoded")]
    Row(#[from] Undecodable),
    /// The rows are not those that the mark was written with.
    #[error("the rows have the digest {found}, and the mark states {stated}")]
    Digest {
        /// Of the rows.
        found: Digest,
        /// In the mark.
        stated: Digest,
    },
}

impl Doubt {
    /// Whether the disk had no room, so that what is there may be as good as before.
    pub(super) fn is_no_room(&self) -> bool {
        matches!(self, Self::Unreadable(sled::Error::Io(error)) if room::is_full(error))
    }
}

/// Why no mirror can be had at all.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The folder cannot be made, emptied or read.
    #[error("the folder of the applied state cannot be used")]
    Folder(#[from] io::Error),
    /// Even a new, empty mirror cannot be opened.
    #[error("a new mirror of the applied state cannot be opened")]
    Fresh(#[source] Doubt),
    /// The mirror was closed, or its worker is gone.
    #[error("the mirror of the applied state is closed")]
    Closed(#[from] Stopped),
}
