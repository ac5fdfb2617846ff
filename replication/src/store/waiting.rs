//! How the writer of a log waits for room on a full disk: with a pause, and until somebody closes the log.
//!
//! Never waits where there is no thread to wait on, and never tries every second on a disk that says it has room and refuses
//! what is written: a try costs a look through the whole log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::blocking::Blocking;
use super::room::{FreeSpace, Shortage};

/// Between two looks at the disk.
const PAUSE: Duration = Duration::from_secs(1);
/// Looks after which a write is tried whatever the disk says of its room: quotas are not in what it says. No pause is longer
/// than these.
const LOOKS_MAX: u32 = 30;
/// Least room that a write is tried with: a commit changes some dozens of pages.
const TRY_BYTES_MIN: u64 = 1024 * 1024;

/// How the writer waits.
pub(super) struct Waiting {
    space: Option<Arc<dyn FreeSpace>>,
    pause: Duration,
    /// Tries in a row that the disk had promised room for.
    promised: AtomicU32,
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
        Self {
            space,
            pause: PAUSE,
            promised: AtomicU32::new(0),
            stopped,
            changed: Condvar::new(),
            wanted_bytes: AtomicU64::new(0),
            free_bytes: AtomicU64::new(0),
        }
    }

    /// Waits until a write of about `bytes` is worth a try; says whether there will be one.
    pub(super) fn wait(&self, bytes: u64) -> bool {
        let wanted = bytes.max(TRY_BYTES_MIN);
        let mut stopped = self.stopped.lock();
        let promised = self.promised.load(Ordering::Relaxed);
        let earliest = looks_before(promised);
        for look in 1..=LOOKS_MAX {
            self.free_bytes.store(self.free(), Ordering::Relaxed);
            self.wanted_bytes.store(wanted, Ordering::Relaxed);
            if *stopped {
                return false;
            }
            self.changed.wait_for(&mut stopped, self.pause);
            if !*stopped && self.space.is_none() {
                return true;
            }
            if !*stopped && look >= earliest && self.free() >= wanted {
                self.promised.store(promised.saturating_add(1), Ordering::Relaxed);
                return true;
            }
        }
        self.promised.store(0, Ordering::Relaxed);
        !*stopped
    }

    /// Nothing waits any more.
    pub(super) fn ended(&self) {
        self.wanted_bytes.store(0, Ordering::Relaxed);
        self.promised.store(0, Ordering::Relaxed);
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

/// Looks before a try that the disk promises room for, after as many that were promised it in vain.
fn looks_before(promised: u32) -> u32 {
    1u32.checked_shl(promised).unwrap_or(LOOKS_MAX).min(LOOKS_MAX)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::room::Space;
    use super::*;

    /// A disk that always says it has room, as one does whose quota is used up.
    #[derive(Debug, Default)]
    struct Promising(AtomicU64);

    impl FreeSpace for Promising {
        fn measure(&self) -> io::Result<Space> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(Space { free_bytes: u64::MAX, total_bytes: u64::MAX })
        }
    }

    #[test]
    fn each_try_that_room_was_promised_for_in_vain_doubles_the_pause_up_to_a_bound() {
        let disk = Arc::new(Promising::default());
        let space: Arc<dyn FreeSpace> = Arc::clone(&disk) as Arc<dyn FreeSpace>;
        let waiting = Waiting { pause: Duration::ZERO, ..Waiting::new(Some(space), Blocking::Threads) };
        let looks = || {
            let before = disk.0.load(Ordering::SeqCst);
            assert!(waiting.wait(1), "nobody stopped it");
            // one measurement for what is told with each look, and one that decides
            disk.0.load(Ordering::SeqCst) - before - 1
        };
        assert_eq!([(); 7].map(|()| looks()), [1, 2, 4, 8, 16, 30, 30]);
        waiting.ended();
        assert_eq!(looks(), 1, "after a write that was taken");
    }
}
