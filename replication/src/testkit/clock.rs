//! A clock that moves only when told to.

use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{Clock, Moment, Timestamp};

/// Starts at 1 000 s after its origin and at the wall time it is given.
#[derive(Debug)]
pub struct ManualClock(Mutex<(Moment, Timestamp)>);

impl ManualClock {
    /// A clock that shows this wall time until it is moved.
    pub fn at(wall: Timestamp) -> Self {
        Self(Mutex::new((Moment::since_origin(Duration::from_secs(1000)), wall)))
    }

    /// Moves both clocks on.
    pub fn advance(&self, by: Duration) {
        let mut time = self.0.lock();
        time.0 = time.0.plus(by);
        time.1 =
            Timestamp(time.1.0 + u64::try_from(by.as_millis()).expect("tests move by less than an age of the world"));
    }

    /// Sets the wall clock alone, forwards or backwards.
    pub fn set_wall(&self, wall: Timestamp) {
        self.0.lock().1 = wall;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        self.0.lock().0
    }

    fn wall(&self) -> Timestamp {
        self.0.lock().1
    }
}
