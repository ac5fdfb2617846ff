//! The machine's two clocks. The only place in the server that reads them.

use std::time::Duration;

use replication::clock::{Clock, Moment, Timestamp};

/// How long before the boot the clock's origin lies: a view that was confirmed before it has an age, too.
const BEFORE_BOOT: Duration = Duration::from_hours(24 * 400);

/// Monotonic time that runs through suspend (`CLOCK_BOOTTIME`), and the wall clock (`CLOCK_REALTIME`).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment::since_origin(BEFORE_BOOT + elapsed(rustix::time::ClockId::Boottime))
    }

    fn wall(&self) -> Timestamp {
        let millis = elapsed(rustix::time::ClockId::Realtime).as_millis();
        Timestamp(u64::try_from(millis).expect("milliseconds since 1970 fit 64 bits for 500 million years"))
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place in the server that reads a clock")]
fn elapsed(clock: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    // before 1970 the wall clock is plainly wrong; zero is as wrong and keeps every comparison total
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
