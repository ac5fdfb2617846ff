//! How much room the disk has left, and whether that is enough to take changes.
//!
//! What the log needs to finish what was begun is never given to what is new: changes are refused while a reserve is still
//! free. Only measures and judges; refusing is `raft`'s.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes that must stay free, unless the settings say otherwise: the log at its largest can double once more.
pub const RESERVE_BYTES_DEFAULT: u64 = 256 * MIB;
/// No more of a file system than one part in so many is kept in reserve: a small disk is there to be used.
const RESERVE_PART: u64 = 8;
/// Changes are taken again once a part of the reserve more is free: one in so many.
const MARGIN: u64 = 8;
const MIB: u64 = 1024 * 1024;

/// The size of a file system, and what of it is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// The bytes that a process without privileges can still write.
    pub free_bytes: u64,
    /// All bytes.
    pub total_bytes: u64,
}

/// Where space is measured: a file system, or what a test puts in its place.
pub trait FreeSpace: fmt::Debug + Send + Sync {
    /// Measures now.
    ///
    /// # Errors
    /// What the file system said.
    fn measure(&self) -> io::Result<Space>;
}

/// The file system that a folder or file lies on.
#[derive(Debug, Clone)]
pub struct FileSystem(PathBuf);

impl FileSystem {
    /// The one that `path` lies on.
    pub fn of(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl FreeSpace for FileSystem {
    fn measure(&self) -> io::Result<Space> {
        let found = rustix::fs::statvfs(&self.0)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space { free_bytes: bytes(found.f_bavail), total_bytes: bytes(found.f_blocks) })
    }
}

/// The room on the disk at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    reserve_bytes: u64,
    space: Option<Space>,
    is_short: bool,
}

/// Too little room to take changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}. Nothing was changed, and wraps and unwraps go on. Make room there, or give the file system more, and ask again; no \
     restart is needed", self.found()
)]
pub struct Shortage {
    /// Free bytes.
    pub free_bytes: u64,
    /// Free bytes from which changes are taken again.
    pub wanted_bytes: u64,
}

impl Shortage {
    /// What was measured. A quota refuses writes where there is room enough for others.
    fn found(&self) -> String {
        let (free, wanted) = (self.free_bytes / MIB, self.wanted_bytes.div_ceil(MIB));
        if self.free_bytes < self.wanted_bytes {
            format!(
                "the disk is nearly full: {free} MiB are free where the data lies, and changes are taken from {wanted} MiB on"
            )
        } else {
            format!(
                "the disk refuses writes for lack of room, although {free} MiB are free where the data lies: look for a quota"
            )
        }
    }
}

impl Room {
    /// Before the first measurement: changes are taken.
    pub const fn unmeasured(reserve_bytes: u64) -> Self {
        Self { reserve_bytes, space: None, is_short: false }
    }

    /// The room after a measurement. A margin lies between refusing and taking again, so that one file written and removed
    /// does not make it flicker.
    #[must_use]
    pub fn measured(self, space: Space) -> Self {
        let reserve = self.reserve_bytes.min(space.total_bytes / RESERVE_PART);
        let enough = if self.is_short { with_margin(reserve) } else { reserve };
        Self { space: Some(space), is_short: space.free_bytes < enough, ..self }
    }

    /// Free bytes, once they were measured.
    pub fn free_bytes(&self) -> Option<u64> {
        self.space.map(|space| space.free_bytes)
    }

    /// Whether a file of so many bytes leaves the reserve untouched, as far as anything was measured.
    pub fn has_room_for(&self, bytes: u64) -> bool {
        let Some(Space { free_bytes, total_bytes }) = self.space else { return true };
        let reserve = self.reserve_bytes.min(total_bytes / RESERVE_PART);
        !self.is_short && free_bytes >= reserve.saturating_add(bytes)
    }

    /// Why changes are refused, if they are.
    pub fn shortage(&self) -> Option<Shortage> {
        let Space { free_bytes, total_bytes } = self.space.filter(|_| self.is_short)?;
        let reserve = self.reserve_bytes.min(total_bytes / RESERVE_PART);
        Some(Shortage { free_bytes, wanted_bytes: with_margin(reserve) })
    }
}

const fn with_margin(reserve_bytes: u64) -> u64 {
    reserve_bytes.saturating_add(reserve_bytes / MARGIN)
}

/// Whether the disk, or the share of it that this process may have, was full. What was asked for was not written.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_refused_below_the_reserve_and_taken_again_a_margin_above_it() {
        let mut room = Room::unmeasured(800);
        assert_eq!(room.shortage(), None, "what was not measured is not refused");
        for (free, is_short) in
            [(801, false), (800, false), (799, true), (800, true), (899, true), (900, false), (850, false), (0, true)]
        {
            room = room.measured(Space { free_bytes: free, total_bytes: 6400 });
            let shortage = is_short.then_some(Shortage { free_bytes: free, wanted_bytes: 900 });
            assert_eq!((room.free_bytes(), room.shortage()), (Some(free), shortage));
        }
    }

    #[test]
    fn of_a_small_disk_an_eighth_is_kept() {
        let room = Room::unmeasured(800);
        let measured = |free_bytes| room.measured(Space { free_bytes, total_bytes: 640 }).shortage();
        assert_eq!(measured(80), None);
        assert_eq!(measured(79), Some(Shortage { free_bytes: 79, wanted_bytes: 90 }));
    }

    #[test]
    fn a_shortage_says_how_much_is_free_and_wanted_and_what_goes_on() {
        let shortage = Shortage { free_bytes: 5 * MIB + 1, wanted_bytes: 288 * MIB };
        let text = shortage.to_string();
        assert!(text.contains("5 MiB are free") && text.contains("from 288 MiB on"), "{text}");
        assert!(text.contains("wraps and unwraps go on") && text.contains("no restart is needed"), "{text}");
        let by_quota = Shortage { free_bytes: 300 * MIB, wanted_bytes: 288 * MIB }.to_string();
        assert!(by_quota.contains("although 300 MiB are free") && by_quota.contains("look for a quota"), "{by_quota}");
    }

    #[test]
    fn a_file_has_room_where_the_reserve_is_free_beside_it() {
        let room = Room::unmeasured(800);
        assert!(room.has_room_for(u64::MAX), "what was not measured is not refused");
        for (free, bytes, has_room) in
            [(900, 100, true), (899, 100, false), (799, 0, false), (u64::MAX, u64::MAX, true)]
        {
            let room = room.measured(Space { free_bytes: free, total_bytes: u64::MAX });
            assert_eq!(room.has_room_for(bytes), has_room, "{free} {bytes}");
        }
    }

    #[test]
    fn a_file_system_that_is_there_is_measured_and_another_is_an_error() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let space = FileSystem::of(folder.path()).measure()?;
        assert!(space.free_bytes > 0 && space.free_bytes <= space.total_bytes, "{space:?}");
        assert!(FileSystem::of(&folder.path().join("gone")).measure().is_err());
        Ok(())
    }
}
