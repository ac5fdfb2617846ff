//! The time by which a request must be answered. A value that travels with the request; it must never read a clock.

use std::time::Duration;

use replication::clock::Moment;

/// How long a data-plane request may take here. Cloud KMS gives up after 150 ms, measured on its side of the network.
pub const BUDGET_DEFAULT: Duration = Duration::from_millis(90);

/// The moment after which an answer is of no use to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Moment);

impl Deadline {
    /// A deadline `budget` after `start`.
    #[must_use]
    pub const fn after(start: Moment, budget: Duration) -> Self {
        Self(start.plus(budget))
    }

    /// The time left; zero once it has passed.
    #[must_use]
    pub const fn remaining(self, now: Moment) -> Duration {
        self.0.since(now)
    }

    /// Whether it has passed. The moment itself is already too late.
    #[must_use]
    pub const fn passed(self, now: Moment) -> bool {
        self.remaining(now).is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes_exactly_when_nothing_remains() {
        let at = |millis| Moment::since_origin(Duration::from_millis(millis));
        let deadline = Deadline::after(at(1_000), BUDGET_DEFAULT);
        let table = [(1_000, 90, false), (1_089, 1, false), (1_090, 0, true), (5_000, 0, true), (0, 1_090, false)];
        for (now, left, passed) in table {
            assert_eq!(deadline.remaining(at(now)), Duration::from_millis(left), "at {now}");
            assert_eq!(deadline.passed(at(now)), passed, "at {now}");
        }
    }
}
