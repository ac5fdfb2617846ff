//! How much time this process has counted for a group, and not yet had committed. Pure: the clock's readings are arguments.
//!
//! Counts from where it last saw the group's time; whenever that is not where it left it, because a window began, somebody else's
//! tick came first, or one of its own came to nothing, it begins anew. Time is lost so, and never counted twice.

use replication::clock::Moment;
use replication::machine::cluster_time::TICK_MAX;
use replication::machine::command::Tick;
use replication::machine::rows::ClusterClock;

/// What has been counted.
#[derive(Debug)]
pub(super) struct Counting {
    /// Where the group's time stands once the last tick is in.
    expected: ClusterClock,
    /// Up to when the own clock has been counted.
    counted_to: Moment,
}

impl Counting {
    /// Counts from now on, from where the group's time stands. What is passed as `now` was read after `clock`.
    pub(super) const fn begin(clock: ClusterClock, now: Moment) -> Self {
        Self { expected: clock, counted_to: now }
    }

    /// What has passed since the last tick, as one; `None` if there is nothing to count, or the count begins anew.
    pub(super) fn tick(&mut self, clock: ClusterClock, now: Moment) -> Option<Tick> {
        if clock != self.expected {
            *self = Self::begin(clock, now);
            return None;
        }
        // what is beyond the longest tick is lost: a process that was stopped counts none of it
        let millis = u64::try_from(now.since(self.counted_to).min(TICK_MAX).as_millis()).expect("a tick is bounded");
        let tick = Tick { from: clock.now, windows: clock.windows, millis };
        self.expected = clock.after(&tick)?;
        // counted once, whatever comes of it: an unknown outcome must not be counted again
        self.counted_to = now;
        Some(tick)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use replication::clock::ClusterTime;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::since_origin(Duration::from_millis(millis))
    }

    fn clock(now: u64, windows: u64) -> ClusterClock {
        ClusterClock { now: ClusterTime(now), windows }
    }

    #[test]
    fn what_passes_is_counted_once() {
        let mut counting = Counting::begin(clock(0, 1), at(5_000));
        let mut time = clock(0, 1);
        for now in [6_000, 6_500, 66_500] {
            let tick = counting.tick(time, at(now)).expect("time has passed");
            time = time.after(&tick).expect("the group takes it");
        }
        assert_eq!(time, clock(61_500, 1));
        assert_eq!(counting.tick(time, at(66_500)), None, "nothing has passed");
    }

    #[test]
    fn a_process_that_was_stopped_counts_the_longest_tick_and_no_more() {
        let mut counting = Counting::begin(clock(0, 1), at(0));
        let tick = counting.tick(clock(0, 1), at(8 * 3_600_000)).expect("time has passed");
        assert_eq!(u128::from(tick.millis), TICK_MAX.as_millis());
        let time = clock(0, 1).after(&tick).expect("the group takes it");
        assert_eq!(counting.tick(time, at(8 * 3_600_000)), None, "the rest is lost");
    }

    #[test]
    fn the_count_begins_anew_where_the_time_is_not_where_it_was_left() {
        for elsewhere in [clock(0, 2), clock(30_000, 1), clock(0, 1)] {
            let mut counting = Counting::begin(clock(0, 1), at(0));
            let tick = counting.tick(clock(0, 1), at(20_000)).expect("time has passed");
            assert_eq!(tick.millis, 20_000);
            // the tick came to nothing, somebody else's was first, or a window began
            assert_eq!(counting.tick(elsewhere, at(50_000)), None, "{elsewhere:?}");
            let tick = counting.tick(elsewhere, at(51_000)).expect("time has passed");
            assert_eq!((tick.from, tick.windows, tick.millis), (elsewhere.now, elsewhere.windows, 1_000));
        }
    }
}
