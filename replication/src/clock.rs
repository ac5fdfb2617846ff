//! Time as a value. Cores take moments as arguments; only shells hold a [`Clock`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on this machine's monotonic clock, which also runs through suspend. Never compared between machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// A moment this long after the clock's origin, which lies at the boot or before it.
    pub const fn since_origin(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after `earlier` this is; zero if it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment this long before; `None` if that is before the clock's origin.
    pub fn before(self, by: Duration) -> Option<Self> {
        self.0.checked_sub(by).map(Self)
    }

    /// This moment, moved on.
    #[must_use]
    pub const fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

/// Wall-clock time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Whole seconds since 1970, as tokens state their times.
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

/// Time as a group's log counts it, in milliseconds since the group began: moved on by committed entries alone, so that no
/// clock that jumps can move it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterTime(pub u64);

impl ClusterTime {
    /// This time, moved on.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long until `later`; zero if it has come.
    pub const fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }
}

/// The two clocks a shell may read.
pub trait Clock: Send + Sync + 'static {
    /// Monotonic time, through suspend.
    fn now(&self) -> Moment;
    /// Wall-clock time.
    fn wall(&self) -> Timestamp;
}
