//! Ages of a view, and what may be answered at which: ages come in, verdicts go out.

use std::time::Duration;

use crate::machine::rows::Staleness;

/// The oldest view that may still refuse for good.
pub const FRESH_MAX: Duration = Duration::from_secs(5);

/// How long ago the question was *sent* whose answer confirmed a view. Never less than the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Age(Duration);

/// Evidence that a view is at most [`FRESH_MAX`] old: what a final refusal must be made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fresh(());

/// What may be answered from a view for a key that is known, enabled and permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// Within the tenant's bound.
    Serve,
    /// Beyond it, for a tenant that prefers an answer: serve, and tell somebody.
    ServeWithAlarm,
    /// Beyond it: unavailable.
    Refuse,
}

impl Age {
    /// Of a view that nobody has confirmed since this process started: beyond every bound.
    pub const UNKNOWN: Self = Self(Duration::MAX);

    /// The age of something confirmed by a question sent this long ago.
    pub const fn new(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The age as a duration.
    pub const fn elapsed(self) -> Duration {
        self.0
    }

    /// The age as a duration; `None` if nobody knows it.
    pub fn known(self) -> Option<Duration> {
        (self < Self::UNKNOWN).then_some(self.0)
    }

    /// The evidence a final refusal needs, if the view is young enough.
    pub fn fresh(self) -> Option<Fresh> {
        (self.0 <= FRESH_MAX).then_some(Fresh(()))
    }

    /// What a tenant of this class lets be answered from a view of this age.
    pub fn serving(self, class: Staleness) -> Serving {
        match class {
            _ if self.0 <= bound(class) => Serving::Serve,
            Staleness::Available => Serving::ServeWithAlarm,
            Staleness::Strict | Staleness::Balanced => Serving::Refuse,
        }
    }
}

/// The age up to which a tenant of this class is served without a second thought.
pub const fn bound(class: Staleness) -> Duration {
    const MINUTE: u64 = 60;
    const DAY: u64 = 24 * 60 * MINUTE;
    match class {
        Staleness::Strict => Duration::from_secs(5 * MINUTE),
        Staleness::Balanced => Duration::from_secs(DAY),
        Staleness::Available => Duration::from_secs(7 * DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_age_refuses_nothing_for_good_and_serves_whom_no_age_stops() {
        let class = [Staleness::Strict, Staleness::Balanced, Staleness::Available];
        let serving = class.map(|class| Age::UNKNOWN.serving(class));
        assert_eq!(serving, [Serving::Refuse, Serving::Refuse, Serving::ServeWithAlarm]);
        assert_eq!((Age::UNKNOWN.fresh(), Age::UNKNOWN.known()), (None, None));
    }

    #[test]
    fn the_table_of_ages_stands_as_pinned() {
        let mut text = String::new();
        for class in [Staleness::Strict, Staleness::Balanced, Staleness::Available] {
            for seconds in [0, 5, 6, 300, 301, 86_400, 86_401, 604_800, 604_801] {
                let age = Age::new(Duration::from_secs(seconds));
                let refusal = if age.fresh().is_some() { "final" } else { "503" };
                text.push_str(&format!("{class:?} {seconds}s {:?} {refusal}\n", age.serving(class)));
            }
        }
        assert_eq!(
            text,
            "Strict 0s Serve final\nStrict 5s Serve final\nStrict 6s Serve 503\nStrict 300s Serve 503\n\
             Strict 301s Refuse 503\nStrict 86400s Refuse 503\nStrict 86401s Refuse 503\nStrict 604800s Refuse 503\n\
             Strict 604801s Refuse 503\n\
             Balanced 0s Serve final\nBalanced 5s Serve final\nBalanced 6s Serve 503\nBalanced 300s Serve 503\n\
             Balanced 301s Serve 503\nBalanced 86400s Serve 503\nBalanced 86401s Refuse 503\n\
             Balanced 604800s Refuse 503\nBalanced 604801s Refuse 503\n\
             Available 0s Serve final\nAvailable 5s Serve final\nAvailable 6s Serve 503\nAvailable 300s Serve 503\n\
             Available 301s Serve 503\nAvailable 86400s Serve 503\nAvailable 86401s Serve 503\n\
             Available 604800s Serve 503\nAvailable 604801s ServeWithAlarm 503\n"
        );
    }
}
