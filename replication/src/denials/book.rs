//! The deny entries of one key store: verified, on its disk, and told to whoever reads them.
//!
//! Takes an entry only with what proves it, and acknowledges it only once it is durable. A file that cannot be read is told of and
//! left where it is; what it held comes again from another key store, or has to be asked for again.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::list::standing;
use crate::clock::Clock;
use crate::codec;
use crate::freshness::deny::Force;
use crate::ids::{DenyId, TenantId};
use crate::machine::deny::{self, DenyEntry};
use crate::machine::outcome::Refusal;
use crate::machine::request::REQUEST_BYTES_MAX;
use crate::machine::signed::SignedRequest;
use crate::machine::state::State;
use crate::store::folder;

/// Most entries of a cluster at the same time.
pub const ENTRIES_MAX: usize = 1024;
/// Most entries of a tenant at the same time.
pub const ENTRIES_PER_TENANT_MAX: usize = 256;

/// Largest file of an entry, in bytes: a request, a signature and a name.
const FILE_BYTES_MAX: u64 = 2 * REQUEST_BYTES_MAX as u64;
const ENDING: &str = "deny";
const DRAFT_ENDING: &str = "draft";

/// An entry with what proves it to anybody who knows the officers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The entry.
    pub entry: DenyEntry,
    /// The second officer's request, which holds the first one's.
    pub proof: SignedRequest,
}

/// What a key store holds.
pub type Held = BTreeMap<DenyId, Proven>;

/// An entry that is held now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The entry.
    pub entry: DenyEntry,
    /// Whether it was held before.
    pub is_known: bool,
}

/// Why an entry is not taken. Nothing is changed.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// It is none that two officers may make, or does not hold any more.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be made durable.
    #[error("the deny entry cannot be stored in {}", folder.display())]
    Store {
        /// Where.
        folder: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

/// The entries of one key store.
pub struct DenyBook {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    held: watch::Sender<Arc<Held>>,
    /// Held by whoever changes the folder.
    writing: Mutex<()>,
}

impl DenyBook {
    /// The entries in a folder, which need not be there.
    ///
    /// # Errors
    /// When the folder is there and cannot be read.
    pub fn open(folder: PathBuf, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let mut held = Held::new();
        for path in files(&folder)? {
            match read(&path) {
                Ok(proven) => drop(held.insert(proven.entry.id, proven)),
                Err(why) => tracing::error!(
                    path = %path.display(), why,
                    "the file of a deny entry cannot be read, so the entry does not hold here until another key store sends it; if none \
                     has it, have two officers ask for it again, and remove the file"
                ),
            }
        }
        Ok(Self { folder, clock, held: watch::Sender::new(Arc::new(held)), writing: Mutex::default() })
    }

    /// What is held, to be woken by.
    pub fn watch(&self) -> watch::Receiver<Arc<Held>> {
        self.held.subscribe()
    }

    /// What is held now.
    pub fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.borrow())
    }

    /// Takes an entry that two officers signed, if group 0's state says that they may. Durable when this returns; blocks until then.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn take(&self, system: &State, proof: SignedRequest) -> Result<Taken, BookError> {
        let entry = deny::verify(system, &proof, self.clock.wall())?;
        let _one_at_a_time = self.writing.lock();
        let held = self.held();
        if held.contains_key(&entry.id) {
            return Ok(Taken { entry, is_known: true });
        }
        has_room(&held, &entry.tenant)?;
        self.write(entry.id, &proof).map_err(|source| BookError::Store { folder: self.folder.clone(), source })?;
        tracing::info!(
            entry = %entry.id, tenant = %entry.tenant, subject = %entry.subject, expires_at = entry.expires_at.0,
            "two officers shut somebody out"
        );
        let mut more = Held::clone(&held);
        more.insert(entry.id, Proven { entry: entry.clone(), proof });
        self.held.send_replace(Arc::new(more));
        Ok(Taken { entry, is_known: false })
    }

    /// Which of the entries that another key store offers are wanted.
    pub(super) fn wanted(&self, system: &State, offered: Vec<DenyId>) -> Vec<DenyId> {
        let held = self.held();
        let is_new = |id: &DenyId| !held.contains_key(id) && !system.lifts().contains_key(id);
        offered.into_iter().filter(is_new).collect()
    }

    /// Forgets what has ended or was lifted. Blocks on the disk if there is any.
    pub fn prune(&self, system: &State) {
        let now = self.clock.wall();
        let is_over = |proven: &Proven| standing(&proven.entry, Some(system), now) == Force::Over;
        if !self.held.borrow().values().any(is_over) {
            return;
        }
        let _one_at_a_time = self.writing.lock();
        let mut left = Held::clone(&self.held());
        left.retain(|id, proven| {
            if !is_over(proven) {
                return true;
            }
            tracing::info!(entry = %id, tenant = %proven.entry.tenant, "a deny entry has ended");
            if let Err(error) = folder::remove_file(&self.path(*id)) {
                // it is read again at the next start, and found to have ended then
                tracing::warn!(entry = %id, %error, "the file of a deny entry that has ended cannot be removed");
            }
            false
        });
        self.held.send_replace(Arc::new(left));
    }

    fn path(&self, id: DenyId) -> PathBuf {
        self.folder.join(id.to_string()).with_extension(ENDING)
    }

    fn write(&self, id: DenyId, proof: &SignedRequest) -> io::Result<()> {
        folder::create(&self.folder)?;
        let path = self.path(id);
        let draft = path.with_extension(DRAFT_ENDING);
        let mut file = folder::open_file(&draft)?;
        file.set_len(0)?;
        file.write_all(&codec::encode_deny(proof))?;
        file.sync_all()?;
        std::fs::rename(&draft, &path)?;
        folder::sync(&self.folder)
    }
}

fn has_room(held: &Held, tenant: &TenantId) -> Result<(), Refusal> {
    let too_many = |owner: String, count: usize| Refusal::TooMany {
        owner,
        what: "deny entries at the same time".to_owned(),
        count,
        remedy: "lift some, or change the policy".to_owned(),
    };
    let of_tenant = held.values().filter(|proven| proven.entry.tenant == *tenant).count();
    if of_tenant >= ENTRIES_PER_TENANT_MAX {
        return Err(too_many(format!("tenant {tenant}"), of_tenant));
    }
    if held.len() >= ENTRIES_MAX { Err(too_many("the cluster".to_owned(), held.len())) } else { Ok(()) }
}

/// The files of entries. What a crash left half-written was never acknowledged, and is overwritten when the entry comes again.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        other => other?,
    };
    let paths: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == ENDING)).collect())
}

/// What a file holds, if it is what its name says: the name follows from what the first officer signed.
fn read(path: &Path) -> Result<Proven, String> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path).map_err(|error| error.to_string())?;
    opened.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let proof = codec::decode_deny(&bytes).map_err(|error| error.to_string())?;
    let entry = deny::read(&proof).ok_or("it holds no deny entry")?;
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    if stem == Some(&entry.id.to_string()) { Ok(Proven { entry, proof }) } else { Err("it holds another entry".into()) }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
