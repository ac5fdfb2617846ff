//! The clocks of the generator, read in one place: spans on the monotonic clock, the date for tokens, and an alarm finer than
//! the runtime's own. It decides nothing.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::unix::AsyncFd;

/// Now, for measuring spans.
#[expect(clippy::disallowed_methods, reason = "latencies are measured here, with the clock of this machine")]
pub fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, for the times in a token.
#[expect(clippy::disallowed_methods, reason = "an issuer's clock is the wall clock")]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Wakes its owner after a span, some tens of microseconds late. The runtime's timers round up to whole milliseconds, which an
/// open loop would see as lateness of its own.
pub struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// An alarm that is not set. Must be called within a runtime.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: the timer is owned, so its descriptor is open and the same until both are dropped together.
        let registered = unsafe { AsyncFd::register(timer) };
        Ok(Self(registered.map_err(|failed| failed.into_parts().1)?))
    }

    /// Returns after `span`, at once if it is zero. Dropping the future leaves an alarm that can be set anew.
    ///
    /// # Errors
    /// Whatever the system says of its timer.
    pub async fn wait(&self, span: Duration) -> io::Result<()> {
        if span.is_zero() {
            return Ok(());
        }
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec {
                tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(span.subsec_nanos()),
            },
        };
        // setting it forgets an expiry that nobody read
        rustix::time::timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut [0_u8; 8])?));
            match read {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                // another expiry than the one that was set: wait on
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_alarm_never_rings_early_and_can_be_set_again_after_it_was_dropped() {
        let alarm = Alarm::new().expect("a test has descriptors left");
        let span = Duration::from_millis(3);
        {
            let forgotten = std::pin::pin!(alarm.wait(Duration::from_micros(1)));
            assert!(futures_now(forgotten).is_none());
        }
        for _ in 0..3 {
            let set_at = now();
            alarm.wait(span).await.expect("the timer works");
            assert!(set_at.elapsed() >= span, "{:?}", set_at.elapsed());
        }
        alarm.wait(Duration::ZERO).await.expect("no wait is no error");
    }

    /// One poll, as a `select!` that another branch wins.
    fn futures_now<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut nobody) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
