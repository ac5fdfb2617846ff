//! When a group's view was last confirmed, kept over a restart: by it a key store that finds no leader knows how old its state is.
//!
//! Never makes anything fresh, and never waits for the disk: a stamp that is lost makes the state's age unknown, which is the worst
//! that an age can be.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Timestamp;

/// How often it is written.
const EVERY_MILLIS: u64 = 5_000;
/// What is added for a wall clock that was put right in between, and for the time since the last stamp.
const DOUBT: Duration = Duration::from_mins(2);
/// Longer files are none of ours.
const BYTES_MAX: u64 = 32;

/// The stamp of one group.
#[derive(Debug)]
pub struct Stamp {
    file: PathBuf,
    written: AtomicU64,
    is_writing: Arc<AtomicBool>,
}

impl Stamp {
    /// In a file, which need not be there.
    pub fn at(file: PathBuf) -> Self {
        let stamp = Self { file, written: AtomicU64::new(0), is_writing: Arc::default() };
        // what a start takes over is no news
        stamp.written.store(stamp.read().unwrap_or(0), Ordering::Relaxed);
        stamp
    }

    fn read(&self) -> Option<u64> {
        if fs::metadata(&self.file).ok()?.len() > BYTES_MAX {
            return None;
        }
        fs::read_to_string(&self.file).ok()?.strip_suffix('\n')?.parse().ok()
    }

    /// How old the view is by what stands there; `None` if nothing that can be believed does.
    pub(super) fn age(&self, now: Timestamp) -> Option<Duration> {
        let stamped = self.read()?;
        // one from the future is of a clock that was wrong, now or then
        let elapsed = now.0.checked_sub(stamped)?;
        Some(Duration::from_millis(elapsed) + DOUBT)
    }

    /// Writes when the view was confirmed that is so old, if it was not written lately that it was. A confirmation that does not count
    /// yet makes no view younger, and is not kept.
    pub(super) fn keep(&self, now: Timestamp, age: Duration) {
        let confirmed = now.0.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let is_due = confirmed >= self.written.load(Ordering::Relaxed).saturating_add(EVERY_MILLIS);
        if !is_due || self.is_writing.swap(true, Ordering::AcqRel) {
            return;
        }
        self.written.store(confirmed, Ordering::Relaxed);
        let (file, is_writing) = (self.file.clone(), Arc::clone(&self.is_writing));
        // a disk that hangs holds one thread, and no feed
        tokio::task::spawn_blocking(move || {
            let beside = file.with_extension("new");
            let written = fs::write(&beside, format!("{confirmed}\n")).and_then(|()| fs::rename(&beside, &file));
            if let Err(error) = written {
                tracing::debug!(%error, file = %file.display(), "the last confirmation is not kept for a restart");
            }
            is_writing.store(false, Ordering::Release);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_believed_with_a_doubt_and_never_if_it_is_torn_or_of_the_future() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("confirmed");
        let stamp = Stamp::at(file.clone());
        let age = |text: &str| {
            fs::write(&file, text).expect("a writable folder");
            stamp.age(Timestamp(100_000))
        };
        assert_eq!(age("40000\n"), Some(Duration::from_mins(3)));
        assert_eq!([age("40000"), age("100001\n"), age(""), age("-4\n"), age("4 0\n")], [None; 5]);
        assert_eq!(age(&"1".repeat(40)), None);
        fs::remove_file(&file).expect("it is there");
        assert_eq!(stamp.age(Timestamp(100_000)), None);
    }

    #[tokio::test]
    async fn an_age_is_kept_as_old_as_it_is_and_only_when_it_is_news() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("confirmed");
        let stamp = Stamp::at(file.clone());
        let written = || async {
            while stamp.is_writing.load(Ordering::Acquire) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            fs::read_to_string(&file).ok()
        };
        stamp.keep(Timestamp(100_000), Duration::from_secs(20));
        assert_eq!(written().await.as_deref(), Some("80000\n"));
        // a view that only ages, as of a group that has halted, is never made younger
        stamp.keep(Timestamp(200_000), Duration::from_mins(2));
        assert_eq!(written().await.as_deref(), Some("80000\n"));
        stamp.keep(Timestamp(200_000), Duration::ZERO);
        assert_eq!(written().await.as_deref(), Some("200000\n"));
        let next = Stamp::at(file.clone());
        assert_eq!(next.age(Timestamp(260_000)), Some(Duration::from_mins(3)));
    }
}
