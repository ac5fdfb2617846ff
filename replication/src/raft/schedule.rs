//! When a snapshot is due, when one is tried again, and in what steps the log is purged behind it.
//!
//! Only numbers: never looks at a clock, a disk or a log.

use std::time::Duration;

/// Entries after which a group writes a snapshot: some seconds of replay.
pub const SNAPSHOT_ENTRIES: u64 = 65_536;
/// Bytes of entries after which a group writes a snapshot.
pub const SNAPSHOT_BYTES: u64 = 64 * 1024 * 1024;
/// How long anything applied may stand in the log alone.
pub const SNAPSHOT_INTERVAL: Duration = Duration::from_hours(1);
/// Entries that are purged in one commit. A commit of 65 536 holds every other write up for ten times as long as one of
/// these, and takes no less time in all.
const PURGE_ENTRIES: u64 = 4096;
/// How long a snapshot that found no room on the disk waits for its next try; twice as long each time.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// The longest of these pauses.
pub(super) const RETRY_PAUSE_MAX: Duration = Duration::from_mins(10);

/// When a group writes a snapshot: as soon as one of these is reached since the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// Entries.
    pub entries: u64,
    /// Bytes of entries.
    pub bytes: u64,
    /// Time, if there was any entry; counted from the start of the group at the latest.
    pub interval: Duration,
}

impl Default for SnapshotLimits {
    fn default() -> Self {
        Self { entries: SNAPSHOT_ENTRIES, bytes: SNAPSHOT_BYTES, interval: SNAPSHOT_INTERVAL }
    }
}

/// What was applied since the last snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Since {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) elapsed: Duration,
}

impl SnapshotLimits {
    pub(super) fn reached(&self, since: Since) -> bool {
        since.entries > 0
            && (since.entries >= self.entries || since.bytes >= self.bytes || since.elapsed >= self.interval)
    }
}

/// The pauses between tries that find no room.
pub(super) fn retry_pauses() -> impl Iterator<Item = Duration> + Send {
    std::iter::successors(Some(RETRY_PAUSE), |pause| Some(pause.saturating_mul(2).min(RETRY_PAUSE_MAX)))
}

/// Up to where each step goes, from behind `purged` to `upto`.
pub(super) fn purge_steps(purged: u64, upto: u64) -> impl Iterator<Item = u64> {
    let next = move |step: &u64| (*step < upto).then(|| step.saturating_add(PURGE_ENTRIES).min(upto));
    std::iter::successors(Some(purged), next).skip(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_comes_to_its_end_in_steps_and_never_beyond() {
        let steps = |purged, upto| purge_steps(purged, upto).collect::<Vec<_>>();
        assert_eq!(steps(0, 3), [3]);
        assert_eq!(
            steps(5, 5 + 2 * PURGE_ENTRIES + 1),
            [5 + PURGE_ENTRIES, 5 + 2 * PURGE_ENTRIES, 6 + 2 * PURGE_ENTRIES]
        );
        assert_eq!(steps(0, PURGE_ENTRIES), [PURGE_ENTRIES]);
        assert_eq!((steps(7, 7), steps(7, 6)), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_snapshot_that_finds_no_room_again_and_again_is_tried_ever_less_often() {
        let pauses: Vec<_> = retry_pauses().map(|pause| pause.as_secs()).take(8).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600]);
    }

    #[test]
    fn a_snapshot_is_due_when_one_limit_is_reached_and_anything_was_applied() {
        let limits = SnapshotLimits { entries: 10, bytes: 100, interval: Duration::from_mins(1) };
        let table = [
            (0, 0, 0, false),
            (0, 1000, 600, false),
            (1, 0, 0, false),
            (9, 99, 59, false),
            (10, 0, 0, true),
            (11, 0, 0, true),
            (1, 100, 0, true),
            (1, 0, 60, true),
            (9, 99, 61, true),
        ];
        for (entries, bytes, seconds, due) in table {
            let since = Since { entries, bytes, elapsed: Duration::from_secs(seconds) };
            assert_eq!(limits.reached(since), due, "{since:?}");
        }
        assert!(!SnapshotLimits::default().reached(Since { entries: 1, bytes: 70_000, elapsed: Duration::ZERO }));
    }
}
