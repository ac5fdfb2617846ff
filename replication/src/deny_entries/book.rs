//! The deny entries of one key store: verified, on its disk, and told to whoever reads them.
//!
//! Takes an entry only with what proves it, also from its own disk, and acknowledges it only once it is durable. A file that cannot be
//! read or proven is told of and left where it is; what it held comes again from another key store, or has to be asked for again.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::list::{KEPT_MAX, standing};
use crate::clock::{Clock, Moment};
use crate::codec;
use crate::freshness::deny::Force;
use crate::ids::{DenyId, TenantId};
use crate::machine::deny::{self, Proven};
use crate::machine::outcome::Refusal;
use crate::machine::request::REQUEST_BYTES_MAX;
use crate::machine::signed::SignedRequest;
use crate::machine::state::State;
use crate::store::folder;

/// Most entries that officers may have made at one key store at the same time.
pub const ENTRIES_MAX: usize = 4096;
/// Most of them of one tenant.
pub const ENTRIES_PER_TENANT_MAX: usize = 64;

/// How long an entry may take to become durable.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(4);
/// How long an entry has ended by this process's clocks before it is forgotten: a wall clock that jumped is put right by then.
const FORGET_AFTER: Duration = Duration::from_hours(1);
/// Largest file of an entry, in bytes: a request, a signature and a name.
const FILE_BYTES_MAX: u64 = 2 * REQUEST_BYTES_MAX as u64;
const ENDING: &str = "deny";
const DRAFT_ENDING: &str = "draft";

/// What a key store holds.
pub type Entries = BTreeMap<DenyId, Arc<Proven>>;

/// Who brings an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BroughtBy {
    /// The second officer: both must be in office.
    Officers,
    /// A key store that took it before.
    KeyStore,
}

/// An entry that is held now.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The entry.
    pub proven: Arc<Proven>,
    /// Whether it was held before.
    pub is_known: bool,
}

/// Why an entry is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// It is none that two officers may make, or does not hold any more. Nothing is changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be made durable. One that another key store took holds here nevertheless, until this one ends.
    #[error("the deny entry cannot be stored in {}: {cause}", folder.display())]
    Store {
        /// Where.
        folder: PathBuf,
        /// What the file system said.
        cause: io::Error,
    },
    /// The disk failed before: what it says from then on is not believed.
    #[error("the disk failed to make an earlier deny entry durable; look at it, and start this key store again")]
    Failed,
    /// The disk takes too long; the entry may hold yet.
    #[error("the disk did not store the deny entry within {WRITE_WAIT_MAX:?}; it may hold yet")]
    Late,
}

/// The entries of one key store.
pub struct DenyBook {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    entries: watch::Sender<Arc<Entries>>,
    turn: Arc<Mutex<Writing>>,
}

/// What whoever writes must know.
#[derive(Debug, Default)]
struct Writing {
    /// Since when entries were seen to have ended.
    over_since: BTreeMap<DenyId, Moment>,
    has_failed: bool,
}

impl DenyBook {
    /// The entries in a folder, which need not be there, as far as group 0's state proves them.
    ///
    /// # Errors
    /// When the folder is there and cannot be read.
    pub fn open(folder: PathBuf, clock: Arc<dyn Clock>, system: &State) -> io::Result<Self> {
        let mut entries = Entries::new();
        for path in files(&folder)? {
            match read(&path, system, clock.as_ref()) {
                Ok(proven) => drop(entries.insert(proven.entry.id, Arc::new(proven))),
                Err(Unread::Refused(refusal @ Refusal::DenyLifted { .. })) => {
                    tracing::debug!(path = %path.display(), %refusal, "the file of a deny entry is of no use any more");
                }
                Err(why) => tracing::error!(
                    path = %path.display(), %why,
                    "a deny entry does not hold here until another key store sends it; if none has it, have two officers ask for it again, \
                     and remove the file"
                ),
            }
        }
        Ok(Self { folder, clock, entries: watch::Sender::new(Arc::new(entries)), turn: Arc::default() })
    }

    /// What is held, to be woken by.
    pub fn watch(&self) -> watch::Receiver<Arc<Entries>> {
        self.entries.subscribe()
    }

    /// What is held now.
    pub fn entries(&self) -> Arc<Entries> {
        Arc::clone(&self.entries.borrow())
    }

    /// Those that certainly hold.
    pub(super) fn certain(&self, system: &State) -> Vec<DenyId> {
        let (entries, now) = (self.entries(), self.clock.wall());
        let is_certain = |proven: &Proven| standing(&proven.entry, Some(system), now) == Force::Holds;
        entries.iter().filter(|(_, proven)| is_certain(proven)).map(|(id, _)| *id).collect()
    }

    /// An entry with what proves it, if it is held.
    pub(super) fn find(&self, id: &DenyId) -> Option<Arc<Proven>> {
        self.entries.borrow().get(id).cloned()
    }

    /// Which of the entries that another key store offers are wanted.
    pub(super) fn wanted(&self, system: &State, offered: Vec<DenyId>) -> Vec<DenyId> {
        let entries = self.entries();
        // what was lifted is refused once its tenant is seen
        let is_new = |id: &DenyId| !entries.contains_key(id);
        // whoever knows no officers yet can verify nothing
        if system.meta().is_none() { vec![] } else { offered.into_iter().filter(is_new).collect() }
    }

    /// Takes an entry that two officers signed, if group 0's state says that they may. It is durable then.
    ///
    /// # Errors
    /// [`BookError`].
    pub async fn take(
        self: &Arc<Self>,
        system: &State,
        proof: SignedRequest,
        brought_by: BroughtBy,
    ) -> Result<Taken, BookError> {
        let now = self.clock.wall();
        let proven = Arc::new(match brought_by {
            BroughtBy::Officers => deny::verify(system, proof, now)?,
            BroughtBy::KeyStore => deny::verify_again(system, proof, now)?,
        });
        if let Some(known) = self.entries().get(&proven.entry.id) {
            return Ok(Taken { proven: Arc::clone(known), is_known: true });
        }
        let (book, system) = (Arc::clone(self), system.clone());
        let taking = async move {
            let turn = Arc::clone(&book.turn).lock_owned().await;
            // on a thread of its own, and to its end: only one at a time waits for the disk
            spawn_blocking(move || book.keep(turn, &system, proven, brought_by)).await
        };
        match timeout(WRITE_WAIT_MAX, taking).await {
            Ok(Ok(taken)) => taken,
            Ok(Err(ended)) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // the process ends
                Err(_) => Err(BookError::Late),
            },
            Err(_) => Err(BookError::Late),
        }
    }

    fn keep(
        &self,
        mut turn: OwnedMutexGuard<Writing>,
        system: &State,
        proven: Arc<Proven>,
        brought_by: BroughtBy,
    ) -> Result<Taken, BookError> {
        let entries = self.entries();
        if let Some(known) = entries.get(&proven.entry.id) {
            return Ok(Taken { proven: Arc::clone(known), is_known: true });
        }
        self.has_room(&entries, system, (&proven.entry.tenant, brought_by))?;
        let written = if turn.has_failed { Err(BookError::Failed) } else { self.write_in_turn(&mut turn, &proven) };
        match (written, brought_by) {
            (Ok(()), _) => self.hold(&entries, &proven),
            (Err(error), BroughtBy::Officers) => return Err(error),
            (Err(error), BroughtBy::KeyStore) => {
                // it is durable elsewhere, and whom it names must not be served here meanwhile
                self.hold(&entries, &proven);
                return Err(error);
            }
        }
        Ok(Taken { proven, is_known: false })
    }

    fn write_in_turn(&self, turn: &mut Writing, proven: &Proven) -> Result<(), BookError> {
        self.write(proven).map_err(|Unwritten { source, is_synced }| {
            turn.has_failed = !is_synced;
            BookError::Store { folder: self.folder.clone(), cause: source }
        })
    }

    fn hold(&self, entries: &Entries, proven: &Arc<Proven>) {
        let entry = &proven.entry;
        tracing::info!(
            entry = %entry.id, tenant = %entry.tenant, subject = %entry.subject, expires_at = entry.expires_at.0,
            asked_by = %proven.asked_by, approved_by = %proven.proof.signer, "two officers shut somebody out"
        );
        let mut more = entries.clone();
        more.insert(entry.id, Arc::clone(proven));
        self.entries.send_replace(Arc::new(more));
    }

    /// What has ended takes no room. What another key store has acknowledged must hold here too, whatever was taken here meanwhile.
    fn has_room(
        &self,
        entries: &Entries,
        system: &State,
        (tenant, brought_by): (&TenantId, BroughtBy),
    ) -> Result<(), Refusal> {
        let (tenant_max, all_max) = match brought_by {
            BroughtBy::Officers => (ENTRIES_PER_TENANT_MAX, ENTRIES_MAX),
            BroughtBy::KeyStore => (KEPT_MAX, KEPT_MAX),
        };
        let now = self.clock.wall();
        let holds = |proven: &&Arc<Proven>| standing(&proven.entry, Some(system), now) != Force::Over;
        let too_many = |owner: String, count: usize| Refusal::TooMany {
            owner,
            what: "deny entries at the same time".to_owned(),
            count,
            remedy: "lift some, or change the policy".to_owned(),
        };
        let of_tenant = entries.values().filter(|proven| proven.entry.tenant == *tenant).filter(holds).count();
        if of_tenant >= tenant_max {
            return Err(too_many(format!("tenant {tenant}"), of_tenant));
        }
        let all = entries.values().filter(holds).count();
        if all >= all_max { Err(too_many("the cluster".to_owned(), all)) } else { Ok(()) }
    }

    /// Forgets what was lifted, and what has ended an hour ago.
    pub async fn forget(self: &Arc<Self>, system: &State) {
        if self.entries.borrow().is_empty() {
            return;
        }
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let is_over = |proven: &Proven| standing(&proven.entry, Some(system), wall) == Force::Over;
        // whoever holds it waits for a disk; it is looked again later
        let Ok(mut turn) = Arc::clone(&self.turn).try_lock_owned() else { return };
        let entries = self.entries();
        turn.over_since.retain(|id, _| entries.get(id).is_some_and(|proven| is_over(proven)));
        let is_lifted = |id: &DenyId| entries.get(id).is_some_and(|proven| deny::is_lifted(system, &proven.entry));
        let mut is_done = |id: &DenyId| {
            let since = *turn.over_since.entry(*id).or_insert(now);
            is_lifted(id) || now.since(since) >= FORGET_AFTER
        };
        let over = entries.iter().filter(|(_, proven)| is_over(proven));
        let done: Vec<DenyId> = over.map(|(id, _)| *id).filter(|id| is_done(id)).collect();
        if done.is_empty() {
            return;
        }
        let book = Arc::clone(self);
        let removing = spawn_blocking(move || {
            let _turn = turn;
            let mut left = Entries::clone(&book.entries());
            for id in done {
                left.remove(&id);
                if let Err(error) = folder::remove_file(&book.path(id)) {
                    // the next start reads it again, and finds that it is of no use
                    tracing::warn!(entry = %id, %error, "the file of a deny entry that has ended cannot be removed");
                }
            }
            book.entries.send_replace(Arc::new(left));
        });
        if removing.await.is_err() {
            tracing::error!("deny entries that have ended could not be forgotten");
        }
    }

    fn path(&self, id: DenyId) -> PathBuf {
        self.folder.join(id.to_string()).with_extension(ENDING)
    }

    fn write(&self, proven: &Proven) -> Result<(), Unwritten> {
        folder::create(&self.folder)?;
        let path = self.path(proven.entry.id);
        let draft = path.with_extension(DRAFT_ENDING);
        let mut file = folder::open_file(&draft)?;
        file.set_len(0)?;
        file.write_all(&codec::encode_deny(&proven.proof))?;
        file.sync_all().map_err(Unwritten::unsynced)?;
        std::fs::rename(&draft, &path)?;
        folder::sync(&self.folder).map_err(Unwritten::unsynced)
    }
}

/// A file that was not written.
struct Unwritten {
    source: io::Error,
    /// Whether the disk keeps what it said that it kept.
    is_synced: bool,
}

impl Unwritten {
    fn unsynced(source: io::Error) -> Self {
        Self { source, is_synced: false }
    }
}

impl From<io::Error> for Unwritten {
    fn from(source: io::Error) -> Self {
        Self { source, is_synced: true }
    }
}

/// The files of entries. What a crash left half-written was never acknowledged, and is removed.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        other => other?,
    };
    let paths: Vec<PathBuf> = listed.map(|one| one.map(|one| one.path())).collect::<io::Result<_>>()?;
    let ends_with = |path: &PathBuf, wanted: &str| path.extension().is_some_and(|ending| ending == wanted);
    for draft in paths.iter().filter(|path| ends_with(path, DRAFT_ENDING)) {
        if let Err(error) = folder::remove_file(draft) {
            tracing::warn!(path = %draft.display(), %error, "what a crash left of a deny entry cannot be removed");
        }
    }
    Ok(paths.into_iter().filter(|path| ends_with(path, ENDING)).collect())
}

/// Why a file's entry does not hold.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    #[error("it is no file")]
    NoFile,
    #[error("the file is damaged: {0}")]
    Damaged(#[from] codec::Undecodable),
    #[error("what it holds is not proven: {0}")]
    Refused(#[from] Refusal),
    #[error("the file holds another entry than its name says")]
    OtherName,
}

fn read(path: &Path, system: &State, clock: &dyn Clock) -> Result<Proven, Unread> {
    let mut bytes = Vec::new();
    if !std::fs::symlink_metadata(path)?.is_file() {
        // a pipe would be waited for
        return Err(Unread::NoFile);
    }
    std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    let proven = deny::verify_again(system, codec::decode_deny(&bytes)?, clock.wall())?;
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    if stem == Some(&proven.entry.id.to_string()) { Ok(proven) } else { Err(Unread::OtherName) }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
