//! How the time of a group goes on, and when a window begins and ends by it. Reads no clock: time is what committed ticks say.
//!
//! A tick names where the time stood when its author began to count, and how many windows had begun by then. Two authors who
//! counted the same stretch begin at the same place, so that one of them counts; and a tick that holds time from before a window
//! began does not count for that window, since it names fewer of them. Time that is lost so makes destructions late, never early.

use std::time::Duration;

use crate::clock::ClusterTime;

use super::command::Tick;
use super::rows::ClusterClock;

/// The longest tick: what a clock that jumps can be believed.
pub const TICK_MAX: Duration = Duration::from_mins(2);

impl ClusterClock {
    /// The clock after a tick; `None` if the tick does not count: it repeats one, began before the last window did, is empty, or
    /// is too long.
    pub fn after(self, tick: &Tick) -> Option<Self> {
        let step = Duration::from_millis(tick.millis);
        let goes_on = tick.from == self.now && tick.windows == self.windows;
        let is_believed = !step.is_zero() && step <= TICK_MAX;
        (goes_on && is_believed).then(|| Self { now: self.now.plus(step), ..self })
    }

    /// The clock once one more window has begun, and when that window ends.
    #[must_use]
    pub fn begin_window(self, window: Duration) -> (Self, ClusterTime) {
        (Self { windows: self.windows.saturating_add(1), ..self }, self.now.plus(window))
    }

    /// Whether what ends then has ended.
    pub const fn is_past(self, end: ClusterTime) -> bool {
        end.0 <= self.now.0
    }
}
