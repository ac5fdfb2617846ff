//! When an additive change may be acknowledged: nobody may deny afterwards what was told to exist.
//!
//! Never earlier than everybody who may refuse for good uses it, or must have expired.

use super::holders::Holders;
use crate::clock::Moment;
use crate::ids::LogIndex;

/// An additive change that is committed, and that not everybody may know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Unacknowledged {
    index: LogIndex,
    /// Not before it was committed.
    committed: Moment,
}

/// Whether a change may be acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing<H> {
    /// Not yet. Ask again when somebody has reported, and at this moment at the latest.
    Waiting {
        /// From then on it may be, whoever reports.
        until: Moment,
    },
    /// Yes: nobody can refuse for good what it allows.
    Known {
        /// Who is known not to use it yet, and answers "try again" until they do.
        behind: Vec<H>,
    },
}

impl Unacknowledged {
    /// A change that is committed at `index`, as was learnt now. For a request that is repeated, "now" is the moment of the
    /// repetition: who was answered in between is not known.
    pub const fn new(index: LogIndex, now: Moment) -> Self {
        Self { index, committed: now }
    }

    /// Its entry.
    pub const fn index(&self) -> LogIndex {
        self.index
    }

    /// Whether it may be acknowledged, as the leader of its group. `own` is what is active on the leader's machine.
    ///
    /// Whatever does not hold the change was confirmed by a question from before its commit, and so nobody is fresh by that after a
    /// term has passed, known here or not.
    pub fn standing<H: Ord + Clone>(&self, holders: &Holders<H>, own: LogIndex, now: Moment) -> Standing<H> {
        let until = holders.term().end(self.committed);
        if holders.active(own, now) >= Some(self.index) || now >= until {
            Standing::Known { behind: holders.behind(self.index) }
        } else {
            Standing::Waiting { until }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::holders::TERM;
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::since_origin(Duration::from_millis(millis))
    }

    #[test]
    fn a_change_is_acknowledged_when_all_have_it_or_must_have_expired() {
        let mut holders = Holders::begin(at(0), TERM);
        let change = Unacknowledged::new(LogIndex(4), at(10_000));
        let waiting = Standing::Waiting { until: TERM.end(at(10_000)) };
        holders.answer("k1", LogIndex(4), at(9_000)).expect("there is room");
        holders.answer("k2", LogIndex(3), at(9_999)).expect("there is room");
        assert_eq!(change.standing(&holders, LogIndex(4), at(10_001)), waiting);
        // its own machine may lag, too
        holders.answer("k2", LogIndex(4), at(10_002)).expect("there is room");
        assert_eq!(change.standing(&holders, LogIndex(3), at(10_003)), waiting);
        assert_eq!(change.standing(&holders, LogIndex(4), at(10_003)), Standing::Known { behind: vec![] });
        // one that hears but does not get on is named
        holders.answer("k2", LogIndex(3), at(15_000)).expect("there is room");
        assert_eq!(change.standing(&holders, LogIndex(4), at(15_500)), waiting);
        assert_eq!(change.standing(&holders, LogIndex(4), at(15_501)), Standing::Known { behind: vec!["k2"] });
    }

    #[test]
    fn a_new_leader_knows_nobody_and_waits_for_the_term() {
        let holders = Holders::<&str>::begin(at(10_000), TERM);
        let change = Unacknowledged::new(LogIndex(4), at(10_000));
        assert_eq!(
            change.standing(&holders, LogIndex(9), at(15_500)),
            Standing::Waiting { until: TERM.end(at(10_000)) }
        );
        assert_eq!(change.standing(&holders, LogIndex(9), at(15_501)), Standing::Known { behind: vec![] });
    }
}
