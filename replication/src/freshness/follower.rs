//! How fresh a view is, as whoever follows a feed knows it.
//!
//! Never takes an answer for more than it was when its question was sent.

use std::collections::VecDeque;
use std::time::Duration;

use super::age::{Age, Fresh};
use crate::clock::Moment;
use crate::ids::LogIndex;

/// Answers that wait until everything they cover is active here. The next ones are not taken while so many do.
const WAITING_MAX: usize = 16;

/// What the answer to a question about freshness says, with when the question was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Confirmation {
    /// When the question was sent, by the clock of whoever asked.
    pub asked: Moment,
    /// How old the answerer's own view was when it answered; zero for a leader whose read index a quorum confirmed.
    pub age: Duration,
    /// What the view covers: it counts once everything up to here is active.
    pub index: LogIndex,
    /// Whether refusals may rest on it.
    pub finality: Finality,
}

/// Whether refusals may rest on what a half of the cluster confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finality {
    /// There is one cluster.
    Whole,
    /// After a recovery another half may live on, and may know what this one does not, until it is fenced: answers may be served,
    /// and nothing be refused for good.
    Unfenced,
}

/// What a follower knows of its view's freshness. A restart begins with [`Follower::default`]: fresh is nothing before a live answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Follower {
    active: LogIndex,
    waiting: VecDeque<Confirmation>,
    confirmed: Option<Moment>,
    confirmed_whole: Option<Moment>,
}

impl Follower {
    /// Takes an answer. One that says nothing new, or that covers what is not active here while many such wait, is dropped.
    pub fn answered(&mut self, confirmation: Confirmation) {
        if confirmation.index <= self.active {
            self.count(confirmation);
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(confirmation);
        }
    }

    /// Everything up to `index` is applied and active here.
    pub fn reached(&mut self, index: LogIndex) {
        self.active = self.active.max(index);
        while let Some(at) = self.waiting.iter().position(|waiting| waiting.index <= self.active) {
            if let Some(confirmation) = self.waiting.remove(at) {
                self.count(confirmation);
            }
        }
    }

    /// The last entry that is active here.
    pub const fn active(&self) -> LogIndex {
        self.active
    }

    /// When the question was sent by which the view is as young as it is.
    pub const fn confirmed(&self) -> Option<Moment> {
        self.confirmed
    }

    /// How old the view is.
    pub fn age(&self, now: Moment) -> Age {
        age_of(self.confirmed, now)
    }

    /// The evidence that a final refusal needs, if refusals may rest on this view.
    pub fn fresh(&self, now: Moment) -> Option<Fresh> {
        age_of(self.confirmed_whole, now).fresh()
    }

    fn count(&mut self, confirmation: Confirmation) {
        // a moment before the clock's origin cannot be told from a later one
        let Some(confirmed) = confirmation.asked.before(confirmation.age) else { return };
        self.confirmed = self.confirmed.max(Some(confirmed));
        match confirmation.finality {
            Finality::Whole => self.confirmed_whole = self.confirmed_whole.max(Some(confirmed)),
            Finality::Unfenced => {}
        }
    }
}

fn age_of(confirmed: Option<Moment>, now: Moment) -> Age {
    confirmed.map_or(Age::UNKNOWN, |confirmed| Age::new(now.since(confirmed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::since_origin(Duration::from_secs(seconds))
    }

    fn confirmation(asked: u64, age: u64, index: u64) -> Confirmation {
        let (asked, age, index) = (at(asked), Duration::from_secs(age), LogIndex(index));
        Confirmation { asked, age, index, finality: Finality::Whole }
    }

    fn seconds(follower: &Follower, now: u64) -> Option<u64> {
        follower.age(at(now)).known().map(|age| age.as_secs())
    }

    #[test]
    fn an_answer_counts_from_its_question_with_the_answerers_age_and_once_its_index_is_active() {
        let mut follower = Follower::default();
        assert_eq!(seconds(&follower, 100), None);
        follower.answered(confirmation(100, 2, 7));
        assert_eq!(seconds(&follower, 101), None);
        follower.reached(LogIndex(6));
        assert_eq!(seconds(&follower, 101), None);
        follower.reached(LogIndex(7));
        assert_eq!(seconds(&follower, 101), Some(3));
        // an older question, or an older view behind it, takes nothing back
        follower.answered(confirmation(99, 0, 7));
        assert_eq!(seconds(&follower, 101), Some(2));
        follower.answered(confirmation(101, 3, 7));
        assert_eq!((seconds(&follower, 101), follower.active()), (Some(2), LogIndex(7)));
        assert!(follower.fresh(at(104)).is_some() && follower.fresh(at(105)).is_none());
    }

    #[test]
    fn a_follower_that_falls_behind_counts_the_oldest_answers_that_it_reaches() {
        let mut follower = Follower::default();
        for asked in 1..=100 {
            follower.answered(confirmation(asked, 0, asked));
        }
        assert_eq!(follower.waiting.len(), WAITING_MAX);
        follower.reached(LogIndex(3));
        assert_eq!(seconds(&follower, 100), Some(97));
        follower.answered(confirmation(100, 0, 100));
        follower.reached(LogIndex(100));
        assert_eq!((seconds(&follower, 100), follower.waiting.len()), (Some(0), 0));
    }

    #[test]
    fn an_answer_from_before_the_clocks_origin_counts_for_nothing() {
        let mut follower = Follower::default();
        follower.answered(confirmation(1, 2, 0));
        assert_eq!(seconds(&follower, 1), None);
        follower.answered(confirmation(2, 2, 0));
        assert_eq!(seconds(&follower, 2), Some(2));
    }

    #[test]
    fn an_unfenced_half_serves_and_refuses_nothing() {
        let mut follower = Follower::default();
        follower.answered(Confirmation { finality: Finality::Unfenced, ..confirmation(10, 0, 0) });
        assert_eq!((seconds(&follower, 11), follower.fresh(at(11))), (Some(1), None));
        follower.answered(confirmation(11, 0, 0));
        assert!(follower.fresh(at(11)).is_some());
    }
}
