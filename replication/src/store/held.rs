//! A storage in memory whose syncs a test holds, lets go or breaks. Never in a released binary.

use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use redb::StorageBackend;
use redb::backends::InMemoryBackend;

/// How the storage under a log behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syncs {
    Work,
    Wait,
    Fail,
}

/// A storage in memory whose syncs a test holds, lets go, or breaks.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldStorage {
    memory: Arc<InMemoryBackend>,
    syncs: Arc<(Mutex<Option<Syncs>>, Condvar)>,
}

impl HeldStorage {
    pub(crate) fn set(&self, syncs: Syncs) {
        *self.syncs.0.lock() = Some(syncs);
        self.syncs.1.notify_all();
    }
}

impl StorageBackend for HeldStorage {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let (syncs, changed) = &*self.syncs;
        let mut syncs = syncs.lock();
        changed.wait_while(&mut syncs, |syncs| *syncs == Some(Syncs::Wait));
        if *syncs == Some(Syncs::Fail) {
            return Err(io::Error::other("planted: the sync failed"));
        }
        drop(syncs);
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory.write(offset, data)
    }
}
