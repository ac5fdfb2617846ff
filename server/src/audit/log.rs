//! Lines into a file, many callers at once: each pushes its line, and whoever gets the file next writes for all.
//!
//! A line is in the file when [`AuditLog::append`] returns, or, while the file refuses, in a bounded remainder in memory
//! that is written first as soon as the file takes it. When that is full, lines are lost, counted, and told, and in
//! their place the file gets one line that says how many: a full disk must not keep anybody from their keys, and must not
//! hide what it cost. What a failed write left behind is completed byte for byte, never repeated.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

/// Most bytes held in memory while the file refuses them.
const UNWRITTEN_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// A buffer that grew past this is given back once it is empty.
const BUFFER_KEPT_BYTES: usize = 64 * 1024;

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
    /// Records lost: the file refused, and the memory for them was full.
    pub lost: u64,
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
    lost: AtomicU64,
    /// That the file refuses was told, and that it takes again was not.
    is_told: AtomicBool,
    /// That records are lost was told, since the file last took everything.
    is_loss_told: AtomicBool,
    /// That the file cannot be synced was told, and that it can again was not.
    is_sync_told: AtomicBool,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Bytes ever pushed.
    pushed: u64,
    /// Records ever pushed.
    records: u64,
    /// Records lost since the last one that was pushed.
    gap: u64,
}

impl Queue {
    /// The line that stands for the lost ones; empty if there are none.
    fn gap_line(&self) -> Vec<u8> {
        if self.gap == 0 { Vec::new() } else { format!("{{\"lost_records\":{}}}\n", self.gap).into_bytes() }
    }
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
            lost: AtomicU64::new(0),
            is_told: AtomicBool::new(false),
            is_loss_told: AtomicBool::new(false),
            is_sync_told: AtomicBool::new(false),
        }
    }

    /// Goes on after a line that a crash tore: what comes next begins a new one.
    pub fn end_torn_line(&self) {
        {
            let mut queue = self.queue.lock();
            queue.bytes.push(b'\n');
            queue.pushed += 1;
        }
        self.write_out();
    }

    /// Appends one line, which ends in a line feed. Where neither the file nor the memory takes it, it is counted as lost.
    pub fn append(&self, line: &[u8]) {
        let ticket = self.push(line).or_else(|| {
            // full: perhaps the file takes bytes again
            self.write_out();
            self.push(line)
        });
        let Some(ticket) = ticket else { return self.lose() };
        let mut sink = self.sink.lock();
        if self.written.load(Ordering::Relaxed) < ticket {
            self.drain(&mut sink);
        }
    }

    /// Writes what is waiting, if the file takes it, and where lines are missing says so.
    pub fn write_out(&self) {
        let mut sink = self.sink.lock();
        self.drain(&mut sink);
        if self.close_gap() {
            self.drain(&mut sink);
        }
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
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    /// Whether something was written since this was last asked.
    pub(super) fn take_dirty(&self) -> bool {
        self.is_dirty.swap(false, Ordering::AcqRel)
    }

    /// A sync failed. Another is tried, but a file system may have dropped what this one was to make durable, and the next
    /// then succeeds without it.
    pub(super) fn sync_failed(&self, error: &std::io::Error) {
        self.is_dirty.store(true, Ordering::Release);
        if is_due(&self.sync_errors, &self.is_sync_told) {
            tracing::error!(
                %error,
                "the audit file cannot be made durable; records of the last moments may be gone after a power cut, even if a later try succeeds"
            );
        }
    }

    /// A sync succeeded.
    pub(super) fn synced(&self) {
        if self.is_sync_told.swap(false, Ordering::Relaxed) {
            tracing::info!("the audit file is made durable again");
        }
    }

    /// The last word: what is in memory alone is gone with the process.
    pub(super) fn end(&self) {
        let Standing { unwritten_bytes, lost, .. } = self.standing();
        if unwritten_bytes > 0 {
            tracing::error!(unwritten_bytes, lost, "audit records are lost: the audit file refused them to the end");
        }
    }

    /// The count of bytes that must be written for this line to be in the file; `None` if there is no room.
    fn push(&self, line: &[u8]) -> Option<u64> {
        let mut queue = self.queue.lock();
        let gap = queue.gap_line();
        let ticket = queue.pushed + (gap.len() + line.len()) as u64;
        if !self.has_room(ticket) {
            return None;
        }
        queue.bytes.extend_from_slice(&gap);
        queue.bytes.extend_from_slice(line);
        queue.pushed = ticket;
        queue.records += 1;
        queue.gap = 0;
        Some(ticket)
    }

    /// Pushes the line that stands for lost ones; says whether there was one, and room for it.
    fn close_gap(&self) -> bool {
        let mut queue = self.queue.lock();
        let gap = queue.gap_line();
        let ticket = queue.pushed + gap.len() as u64;
        if gap.is_empty() || !self.has_room(ticket) {
            return false;
        }
        queue.bytes.extend_from_slice(&gap);
        queue.pushed = ticket;
        queue.gap = 0;
        true
    }

    fn has_room(&self, ticket: u64) -> bool {
        ticket - self.written.load(Ordering::Relaxed) <= UNWRITTEN_BYTES_MAX
    }

    fn lose(&self) {
        self.queue.lock().gap += 1;
        if is_due(&self.lost, &self.is_loss_told) {
            tracing::error!(
                lost = self.lost.load(Ordering::Relaxed),
                "audit records are lost: the audit file refuses them, and the memory for them is full"
            );
        }
    }

    fn drain(&self, sink: &mut Sink) {
        loop {
            if sink.start == sink.taken.len() {
                sink.taken.clear();
                sink.taken.shrink_to(BUFFER_KEPT_BYTES);
                sink.start = 0;
                std::mem::swap(&mut self.queue.lock().bytes, &mut sink.taken);
                if sink.taken.is_empty() {
                    self.is_loss_told.store(false, Ordering::Relaxed);
                    if self.is_told.swap(false, Ordering::Relaxed) {
                        let lost = self.lost.load(Ordering::Relaxed);
                        tracing::info!(lost, "the audit file takes records again, and what waited is in it");
                    }
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
        if is_due(&self.write_errors, &self.is_told) {
            tracing::error!(%error, "the audit file refuses records; they are held in memory, bounded");
        }
    }
}

/// Counts a failure, and says whether to tell of it: of the first since all was well, and of the 1st, 2nd, 4th, 8th … ever.
/// One full disk must not fill another.
fn is_due(count: &AtomicU64, is_told: &AtomicBool) -> bool {
    let failed = count.fetch_add(1, Ordering::Relaxed) + 1;
    !is_told.swap(true, Ordering::Relaxed) || failed.is_power_of_two()
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
