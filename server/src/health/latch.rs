//! Readiness: what the probe last found out, and whether the machine is on its way out. It must never compute, and never
//! say yes before the first good round or after the rounds have stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use replication::clock::Moment;
use tokio::sync::watch;

/// A result older than this says nothing any more: the probe runs twice a second, so it has stopped.
pub const RESULT_AGE_MAX: Duration = Duration::from_secs(10);

const DRAINING: &str = "draining: the process is about to end";
const NOT_YET: &str = "starting: the probe has not finished its first round";
const STOPPED: &str = "the probe has stopped reporting";

/// The latch: shut until the first good round, shut for ever by [`Readiness::drain`].
#[derive(Debug, Default)]
pub struct Readiness {
    draining: AtomicBool,
    last: watch::Sender<Option<Round>>,
}

#[derive(Debug)]
struct Round {
    at: Moment,
    failures: Vec<String>,
}

/// What `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Traffic is welcome.
    Ready,
    /// Traffic should go elsewhere, for these reasons (at least one).
    NotReady(Vec<String>),
}

impl Readiness {
    /// Publishes a finished round: ready if nothing failed. The texts are shown to anyone who asks; no secrets.
    pub fn publish(&self, at: Moment, failures: Vec<String>) {
        self.last.send_replace(Some(Round { at, failures }));
    }

    /// Waits for a published round without failures: the moment to say that the process serves.
    pub async fn passed(&self) {
        self.published(<[String]>::is_empty).await;
    }

    /// Waits for a published round whose failures are `wanted`, the last one included.
    pub async fn published(&self, wanted: impl Fn(&[String]) -> bool) {
        let is_wanted = |last: &Option<Round>| last.as_ref().is_some_and(|round| wanted(&round.failures));
        // it fails only once the sender is gone, and the sender is borrowed here
        let _ = self.last.subscribe().wait_for(is_wanted).await;
    }

    /// From now on, and for good, not ready. The first step of a shutdown, before the listeners close.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Why it is not ready at `now`; empty if it is.
    pub fn reasons(&self, now: Moment) -> Vec<String> {
        match self.verdict(now) {
            Verdict::Ready => Vec::new(),
            Verdict::NotReady(reasons) => reasons,
        }
    }

    /// The state as it stands at `now`.
    pub fn verdict(&self, now: Moment) -> Verdict {
        if self.draining.load(Ordering::Acquire) {
            return not_ready(DRAINING);
        }
        match self.last.borrow().as_ref() {
            None => not_ready(NOT_YET),
            Some(round) if !round.failures.is_empty() => Verdict::NotReady(round.failures.clone()),
            Some(round) if now.since(round.at) > RESULT_AGE_MAX => not_ready(STOPPED),
            Some(_) => Verdict::Ready,
        }
    }
}

fn not_ready(reason: &str) -> Verdict {
    Verdict::NotReady(vec![reason.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::since_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn not_ready_before_the_first_round() {
        assert_eq!(Readiness::default().verdict(at(0)), not_ready(NOT_YET));
    }

    #[test]
    fn the_last_round_decides_and_its_reasons_are_told() {
        let readiness = Readiness::default();
        readiness.publish(at(1), Vec::new());
        assert_eq!(readiness.verdict(at(1)), Verdict::Ready);
        readiness.publish(at(2), vec!["wrap answered 503".to_owned()]);
        assert_eq!(readiness.verdict(at(2)), not_ready("wrap answered 503"));
        readiness.publish(at(3), Vec::new());
        assert_eq!(readiness.verdict(at(3)), Verdict::Ready);
    }

    #[test]
    fn a_good_result_does_not_outlive_its_age() {
        let readiness = Readiness::default();
        readiness.publish(at(1), Vec::new());
        assert_eq!(readiness.verdict(at(11)), Verdict::Ready);
        assert_eq!(readiness.verdict(at(12)), not_ready(STOPPED));
    }

    #[test]
    fn draining_is_for_good_whatever_the_probe_says() {
        let readiness = Readiness::default();
        readiness.publish(at(1), Vec::new());
        readiness.drain();
        assert_eq!(readiness.verdict(at(1)), not_ready(DRAINING));
        readiness.publish(at(2), Vec::new());
        assert_eq!(readiness.verdict(at(2)), not_ready(DRAINING));
    }
}
