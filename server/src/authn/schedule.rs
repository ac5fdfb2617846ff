//! When to fetch the key set next: pure, by moments handed in.
//!
//! One fetch at a time, and never sooner after the last than its bounds allow, whatever strangers make us look for.

use std::time::Duration;

use replication::clock::Moment;

/// Shortest time between two fetches that unknown `kid`s cause.
pub(super) const REFETCH_INTERVAL_MIN: Duration = Duration::from_secs(30);
/// First pause after a failed fetch; it doubles with each further one.
pub(super) const BACKOFF_MIN: Duration = Duration::from_secs(2);
/// Longest pause after a failed fetch.
pub(super) const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// The next fetch.
#[derive(Debug)]
pub(super) struct Schedule {
    due: Moment,
    last_started: Option<Moment>,
    failures: u32,
}

impl Schedule {
    /// The first fetch is due at once.
    pub(super) const fn new(now: Moment) -> Self {
        Self { due: now, last_started: None, failures: 0 }
    }

    /// When the next fetch is due.
    pub(super) const fn due(&self) -> Moment {
        self.due
    }

    /// A fetch begins.
    pub(super) const fn started(&mut self, now: Moment) {
        self.last_started = Some(now);
    }

    /// It brought a set that is current for `lifetime` from its start on. The next is due at half of that, which leaves
    /// the other half for retries.
    pub(super) fn succeeded(&mut self, started: Moment, lifetime: Duration) {
        self.failures = 0;
        self.due = started.plus(lifetime / 2);
    }

    /// It failed.
    pub(super) fn failed(&mut self, now: Moment) {
        let doubled = BACKOFF_MIN.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        self.due = now.plus(doubled.min(BACKOFF_MAX));
    }

    /// Someone presented a `kid` that the set lacks.
    pub(super) fn asked(&mut self, now: Moment) {
        let earliest = self.last_started.map_or(now, |last| last.plus(REFETCH_INTERVAL_MIN));
        self.due = self.due.min(earliest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::since_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn a_flood_of_unknown_kids_causes_one_fetch_in_thirty_seconds() {
        let mut schedule = Schedule::new(at(0));
        let mut fetches = Vec::new();
        for tenth in 0..3000 {
            let now = Moment::since_origin(Duration::from_millis(tenth * 100));
            schedule.asked(now);
            if schedule.due() <= now {
                schedule.started(now);
                schedule.succeeded(now, Duration::from_hours(6));
                fetches.push(now);
            }
        }
        assert_eq!(fetches, (0..10).map(|n| at(n * 30)).collect::<Vec<_>>());
    }

    #[test]
    fn failures_back_off_to_a_minute_and_a_success_resets_them() {
        let mut schedule = Schedule::new(at(0));
        let mut pauses = Vec::new();
        for _ in 0..40 {
            schedule.failed(at(100));
            pauses.push(schedule.due().since(at(100)).as_secs());
        }
        assert_eq!(pauses[..7], [2, 4, 8, 16, 32, 60, 60]);
        assert!(pauses[7..].iter().all(|pause| *pause == 60));
        schedule.succeeded(at(200), Duration::from_mins(10));
        assert_eq!(schedule.due(), at(500));
        schedule.failed(at(500));
        assert_eq!(schedule.due(), at(502));
    }

    #[test]
    fn an_unknown_kid_never_postpones_a_fetch() {
        let mut schedule = Schedule::new(at(0));
        schedule.started(at(0));
        schedule.failed(at(0));
        schedule.asked(at(1));
        assert_eq!(schedule.due(), at(2));
    }
}
