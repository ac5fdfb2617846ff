//! Lines into a file, many callers at once: each pushes its line, and whoever gets the file next writes for all.
//!
//! A line is in the file when [`AuditLog::append`] returns, or, while the file refuses, in a bounded remainder in memory
//! that is written first as soon as the file takes it. When that is full nothing is accepted any more. What a failed write
//! left behind is completed byte for byte, never repeated.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

/// Most bytes held in memory while the file refuses them.
pub const UNWRITTEN_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// A buffer that grew past this is given back once it is empty.
const BUFFER_KEPT_BYTES: usize = 64 * 1024;

/// The file refuses, and the remainder in memory is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit file refuses records, and {UNWRITTEN_BYTES_MAX} bytes of them are waiting already")]
pub struct AuditFull;

/// How a log stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Records accepted.
    pub records: u64,
    /// Bytes of them that a crash of this process would lose.
    pub unwritten_bytes: u64,
    /// Writes that failed.
    pub write_errors: u64,
    /// Syncs that failed.
    pub sync_errors: u64,
    /// Decisions dropped because they could not be recorded.
    pub refused: u64,
}

/// A log that any number of threads append to.
pub struct AuditLog {
    queue: Mutex<Queue>,
    sink: Mutex<Sink>,
    /// Bytes ever taken by the file.
    written: AtomicU64,
    /// Something was written since the last sync.
    is_dirty: AtomicBool,
    write_errors: AtomicU64,
    sync_errors: AtomicU64,
    refused: AtomicU64,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Bytes ever pushed.
    pushed: u64,
    /// Records ever pushed.
    records: u64,
}

struct Sink {
    file: Box<dyn Write + Send>,
    /// What was taken from the queue; before `start` it is in the file.
    taken: Vec<u8>,
    start: usize,
}

impl AuditLog {
    /// A log over anything that takes bytes.
    pub fn over(file: Box<dyn Write + Send>) -> Self {
        Self {
            queue: Mutex::default(),
            sink: Mutex::new(Sink { file, taken: Vec::new(), start: 0 }),
            written: AtomicU64::new(0),
            is_dirty: AtomicBool::new(false),
            write_errors: AtomicU64::new(0),
            sync_errors: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Appends one line, which ends in a line feed.
    ///
    /// # Errors
    /// [`AuditFull`]; then nothing of it was taken.
    pub fn append(&self, line: &[u8]) -> Result<(), AuditFull> {
        let ticket = self.push(line).or_else(|| {
            // full: perhaps the file takes bytes again
            self.write_out();
            self.push(line)
        });
        let Some(ticket) = ticket else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(AuditFull);
        };
        let mut sink = self.sink.lock();
        if self.written.load(Ordering::Relaxed) < ticket {
            self.drain(&mut sink);
        }
        Ok(())
    }

    /// Writes what is waiting, if the file takes it.
    pub fn write_out(&self) {
        self.drain(&mut self.sink.lock());
    }

    /// How the log stands.
    pub fn standing(&self) -> Standing {
        let (pushed, records) = {
            let queue = self.queue.lock();
            (queue.pushed, queue.records)
        };
        Standing {
            records,
            unwritten_bytes: pushed.saturating_sub(self.written.load(Ordering::Relaxed)),
            write_errors: self.write_errors.load(Ordering::Relaxed),
            sync_errors: self.sync_errors.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// Whether something was written since this was last asked.
    pub(super) fn take_dirty(&self) -> bool {
        self.is_dirty.swap(false, Ordering::AcqRel)
    }

    /// A sync failed: what it was to make durable stays to be synced.
    pub(super) fn sync_failed(&self) {
        self.sync_errors.fetch_add(1, Ordering::Relaxed);
        self.is_dirty.store(true, Ordering::Release);
    }

    /// The count of bytes that must be written for this line to be in the file; `None` if there is no room.
    fn push(&self, line: &[u8]) -> Option<u64> {
        let mut queue = self.queue.lock();
        let ticket = queue.pushed + line.len() as u64;
        if ticket - self.written.load(Ordering::Relaxed) > UNWRITTEN_BYTES_MAX {
            return None;
        }
        queue.bytes.extend_from_slice(line);
        queue.pushed = ticket;
        queue.records += 1;
        Some(ticket)
    }

    fn drain(&self, sink: &mut Sink) {
        loop {
            if sink.start == sink.taken.len() {
                sink.taken.clear();
                sink.taken.shrink_to(BUFFER_KEPT_BYTES);
                sink.start = 0;
                std::mem::swap(&mut self.queue.lock().bytes, &mut sink.taken);
                if sink.taken.is_empty() {
                    return;
                }
            }
            match sink.file.write(&sink.taken[sink.start..]) {
                Ok(0) => return self.write_failed(&ErrorKind::WriteZero.into()),
                Ok(count) => {
                    sink.start += count;
                    self.written.fetch_add(count as u64, Ordering::Relaxed);
                    self.is_dirty.store(true, Ordering::Release);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.write_failed(&error),
            }
        }
    }

    fn write_failed(&self, error: &std::io::Error) {
        // the 1st, 2nd, 4th, 8th … are logged, all are counted: one full disk must not fill another
        let failed = self.write_errors.fetch_add(1, Ordering::Relaxed) + 1;
        if failed.is_power_of_two() {
            tracing::error!(%error, "the audit file refuses records; they are held in memory, bounded");
        }
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
