//! Opening the mirror of the applied state: every row is read, and what cannot be believed is thrown away.
//!
//! Never throws anything away for want of room: what is there may be as good as before.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::blocking::{Blocking, Queue, Worker};
use super::folder;
use super::mirror_error::{Doubt, MirrorError};
use super::record;
use super::room::{FileSystem, FreeSpace};
use super::state::{Disk, MARK, Mark, StateMirror, Tree};
use crate::machine::state::State;

/// Changes that may wait for the mirror; the applier waits beyond that.
const CHANGES_MAX: usize = 256;
/// Memory that sled may use for pages, in bytes.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// Room without which sled is not opened: some of its segments, of half a megabyte each.
const ROOM_MIN: u64 = 4 * 1024 * 1024;

/// The state that the mirror held.
pub struct Found {
    /// The state, whose digest was compared.
    pub state: State,
    /// The position it was recorded with.
    pub position: Vec<u8>,
}

/// What opening a mirror came to.
pub struct Opened {
    /// Ready to record; without a place to record to, what it is given is dropped.
    pub mirror: StateMirror,
    /// What it held; `None` for a new or a rebuilt one.
    pub found: Option<Found>,
    /// Why what was there before was not used.
    pub doubt: Option<Doubt>,
    /// Whether the mirror mirrors.
    pub use_made: Use,
}

/// What a group has of its mirror until the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is there and recorded to.
    Kept,
    /// The disk has no room for it: what is there, if anything, stays an older state.
    NoRoom,
    /// What was there was thrown away, and then there was no room for a new one.
    Removed,
}

impl Opened {
    /// Whether what was there before is gone.
    pub fn was_thrown_away(&self) -> bool {
        match self.use_made {
            Use::Kept => self.doubt.is_some(),
            Use::NoRoom => false,
            Use::Removed => true,
        }
    }
}

impl StateMirror {
    /// Opens the mirror in a folder and verifies every row of it. What cannot be believed is thrown away.
    ///
    /// # Errors
    /// [`MirrorError`], if not even an empty mirror can be opened there.
    pub fn open(folder: &Path, blocking: Blocking) -> Result<Opened, MirrorError> {
        let space = FileSystem::of(folder.parent().unwrap_or(folder));
        Self::open_within(folder, blocking, &space)
    }

    /// The same where the room is measured elsewhere.
    ///
    /// # Errors
    /// As [`StateMirror::open`].
    pub(super) fn open_within(folder: &Path, blocking: Blocking, space: &dyn FreeSpace) -> Result<Opened, MirrorError> {
        let Tried { tree, found, doubt, use_made } = tried(folder, space)?;
        let tree = Mutex::new(tree);
        let disk = Arc::new(Disk { folder: folder.to_owned(), tree });
        let serving = Arc::clone(&disk);
        let queue = Queue { jobs_max: CHANGES_MAX, batch_max: CHANGES_MAX };
        let worker = Worker::start(blocking, "ekm-mirror", queue, move |jobs| {
            for job in jobs.drain(..) {
                serving.serve(job);
            }
        })?;
        Ok(Opened { mirror: Self { worker: Arc::new(worker), disk }, found, doubt, use_made })
    }
}

/// What became of opening the files.
struct Tried {
    tree: Tree,
    found: Option<Found>,
    doubt: Option<Doubt>,
    use_made: Use,
}

impl Tried {
    fn open(database: sled::Db, found: Option<Found>, doubt: Option<Doubt>) -> Self {
        Self { tree: Tree::Open { database, since_checkpoint: 0 }, found, doubt, use_made: Use::Kept }
    }

    const fn no_room(doubt: Option<Doubt>) -> Self {
        Self { tree: Tree::Behind, found: None, doubt, use_made: Use::NoRoom }
    }
}

/// Opens the files, or new ones in their place. sled writes when it opens, panics over some writes that find no room, and may
/// leave half a file of its own then: with less room than it wants it is left alone, and so is what it has.
fn tried(folder: &Path, space: &dyn FreeSpace) -> Result<Tried, MirrorError> {
    // Where it cannot be measured, sled itself says what is wrong.
    let is_short = || space.measure().is_ok_and(|space| space.free_bytes < ROOM_MIN);
    if is_short() {
        return Ok(Tried::no_room(None));
    }
    let doubt = match examine(folder) {
        Ok((database, found)) => return Ok(Tried::open(database, found, None)),
        Err(doubt) if doubt.is_no_room() || is_short() => return Ok(Tried::no_room(Some(doubt))),
        Err(doubt) => doubt,
    };
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    match examine(folder) {
        Ok((database, _)) => Ok(Tried::open(database, None, Some(doubt))),
        Err(fresh) if fresh.is_no_room() || is_short() => {
            Ok(Tried { use_made: Use::Removed, ..Tried::no_room(Some(doubt)) })
        }
        Err(fresh) => Err(MirrorError::Fresh(fresh)),
    }
}

fn examine(folder: &Path) -> Result<(sled::Db, Option<Found>), Doubt> {
    catch_unwind(AssertUnwindSafe(|| {
        folder::create(folder).map_err(sled::Error::from)?;
        let settings = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let database = settings.open()?;
        let found = verify(&database)?;
        Ok((database, found))
    }))
    .unwrap_or(Err(Doubt::Panicked))
}

/// Reads every row and compares the digest.
fn verify(database: &sled::Db) -> Result<Option<Found>, Doubt> {
    let mut mark = None;
    let mut rows = Vec::new();
    for row in database.iter() {
        let (key, value) = row?;
        if *key == *MARK { mark = Some(value) } else { rows.push((key.to_vec(), value.to_vec())) }
    }
    let Some(mark) = mark else {
        return if rows.is_empty() { Ok(None) } else { Err(Doubt::Unmarked) };
    };
    let mark: Mark = postcard::from_bytes(record::open(&mark)?)?;
    let state = State::from_rows(rows)?;
    let (found, stated) = (state.digest(), mark.digest);
    if found == stated {
        Ok(Some(Found { state, position: mark.position }))
    } else {
        Err(Doubt::Digest { found, stated })
    }
}
