//! How the writer of a log waits for room on a full disk: with a pause, and until somebody closes the log.
//!
//! Never waits where there is no thread to wait on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::blocking::Blocking;
use super::room::{FreeSpace, Shortage};

/// Between two looks at the disk.
const PAUSE: Duration = Duration::from_secs(1);
/// Looks after which a write is tried whatever the disk says of its room: quotas are not in what it says.
const LOOKS_MAX: u32 = 30;
/// Least room that a write is tried with: a commit changes some dozens of pages.
const TRY_BYTES_MIN: u64 = 1024 * 1024;

/// How the writer waits.
pub(super) struct Waiting {
    space: Option<Arc<dyn FreeSpace>>,
    stopped: Mutex<bool>,
    changed: Condvar,
    /// Bytes that are waited for; 0 while nothing waits.
    wanted_bytes: AtomicU64,
    free_bytes: AtomicU64,
}

impl Waiting {
    /// Room is looked for in `space`; without any, each pause ends in a try.
    pub(super) fn new(space: Option<Arc<dyn FreeSpace>>, blocking: Blocking) -> Self {
        let stopped = Mutex::new(blocking == Blocking::Inline);
        Self { space, stopped, changed: Condvar::new(), wanted_bytes: AtomicU64::new(0), free_bytes: AtomicU64::new(0) }
    }

    /// Waits until a write of about `bytes` is worth a try; says whether there will be one.
    pub(super) fn wait(&self, bytes: u64) -> bool {
        let wanted = bytes.max(TRY_BYTES_MIN);
        let mut stopped = self.stopped.lock();
        for _ in 0..LOOKS_MAX {
            self.free_bytes.store(self.free(), Ordering::Relaxed);
            self.wanted_bytes.store(wanted, Ordering::Relaxed);
            if *stopped {
                return false;
            }
            self.changed.wait_for(&mut stopped, PAUSE);
            if !*stopped && (self.space.is_none() || self.free() >= wanted) {
                return true;
            }
        }
        !*stopped
    }

    /// Nothing waits any more.
    pub(super) fn ended(&self) {
        self.wanted_bytes.store(0, Ordering::Relaxed);
    }

    /// What is waited for.
    pub(super) fn shortage(&self) -> Option<Shortage> {
        let wanted_bytes = self.wanted_bytes.load(Ordering::Relaxed);
        let free_bytes = self.free_bytes.load(Ordering::Relaxed);
        (wanted_bytes > 0).then_some(Shortage { free_bytes, wanted_bytes })
    }

    /// Ends the waiting, now and for ever.
    pub(super) fn stop(&self) {
        *self.stopped.lock() = true;
        self.changed.notify_all();
    }

    /// Where it cannot be measured, nothing is known to be free; the next try shows.
    fn free(&self) -> u64 {
        self.space.as_ref().and_then(|space| space.measure().ok()).map_or(0, |space| space.free_bytes)
    }
}
