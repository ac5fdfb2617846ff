//! Who may still refuse for good by one's word, until when, and how far they have come.
//!
//! Never forgets anybody before the last answer that they got must have run out, and never vouches for whom it may have forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use super::age::FRESH_MAX;
use crate::clock::Moment;
use crate::ids::LogIndex;

/// Askers at once, per group: frontends of a key store, or key stores of a leader.
pub const HOLDERS_MAX: usize = 256;

/// For how long an answer can make its asker fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Term {
    /// By the asker's clock, from its question on.
    pub fresh_max: Duration,
    /// By how much two clocks may drift apart in that time.
    pub margin: Duration,
}

/// How long whoever went silent is still named as not using a change.
const NAMED_MAX: Duration = Duration::from_mins(10);

/// The term of production: clocks that disagree by a tenth over five seconds are broken.
pub const TERM: Term = Term { fresh_max: FRESH_MAX, margin: Duration::from_millis(500) };

impl Term {
    /// The first moment at which nobody can be fresh any more by what was said until `moment`: just after the last at which a view
    /// of `fresh_max` may be.
    pub const fn end(self, moment: Moment) -> Moment {
        moment.plus(self.fresh_max).plus(self.margin).plus(Duration::from_nanos(1))
    }
}

/// A further asker is not answered, and so is not fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{HOLDERS_MAX} others are answered at the moment")]
pub struct TooManyHolders;

/// Everybody who was answered and may still be fresh by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holders<H> {
    term: Term,
    /// Until then somebody may be fresh by an answer of before that is not remembered.
    unknown_until: Moment,
    known: BTreeMap<H, Holder>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Holder {
    /// Everything up to here is active there, as it said last.
    active: LogIndex,
    /// When its last answer has run out.
    until: Moment,
}

impl<H: Ord + Clone> Holders<H> {
    /// Begins without memory: at a start, or as a new leader.
    pub const fn begin(now: Moment, term: Term) -> Self {
        Self { term, unknown_until: term.end(now), known: BTreeMap::new() }
    }

    /// Begins where nobody was ever answered before.
    pub const fn first(term: Term) -> Self {
        Self { term, unknown_until: Moment::since_origin(Duration::ZERO), known: BTreeMap::new() }
    }

    /// Notes that `holder`, which has come as far as `active`, gets an answer now. Must be called before the answer leaves.
    ///
    /// # Errors
    /// [`TooManyHolders`]: it must not be answered.
    pub fn answer(&mut self, holder: H, active: LogIndex, now: Moment) -> Result<(), TooManyHolders> {
        self.known.retain(|_, known| known.until.plus(NAMED_MAX) > now);
        if self.known.len() >= HOLDERS_MAX && !self.known.contains_key(&holder) {
            self.known.retain(|_, known| known.until > now);
            if self.known.len() >= HOLDERS_MAX {
                return Err(TooManyHolders);
            }
        }
        self.known.insert(holder, Holder { active, until: self.term.end(now) });
        Ok(())
    }

    /// How far everybody has come who may be fresh by one's word, oneself included; `None` while somebody unknown may be.
    pub fn active(&self, own: LogIndex, now: Moment) -> Option<LogIndex> {
        if now < self.unknown_until {
            return None;
        }
        let live = self.known.values().filter(|holder| holder.until > now);
        Some(live.map(|holder| holder.active).fold(own, LogIndex::min))
    }

    /// Who is known to be behind `index`, in order, those included who went silent since.
    pub fn behind(&self, index: LogIndex) -> Vec<H> {
        self.named(|holder| holder.active < index)
    }

    /// Who is known to have `index` active, in order.
    pub fn using(&self, index: LogIndex) -> Vec<H> {
        self.named(|holder| holder.active >= index)
    }

    /// Everybody who is known, with how far they have come and until when their last answer holds.
    pub fn known(&self) -> impl Iterator<Item = (&H, LogIndex, Moment)> {
        self.known.iter().map(|(name, holder)| (name, holder.active, holder.until))
    }

    /// The term of an answer.
    pub const fn term(&self) -> Term {
        self.term
    }

    fn named(&self, which: impl Fn(&Holder) -> bool) -> Vec<H> {
        self.known.iter().filter(|(_, holder)| which(holder)).map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::since_origin(Duration::from_millis(millis))
    }

    #[test]
    fn whoever_was_answered_counts_until_the_answer_has_run_out() {
        let mut holders = Holders::begin(at(0), TERM);
        holders.answer("a1", LogIndex(3), at(1000)).expect("there is room");
        holders.answer("b1", LogIndex(5), at(2000)).expect("there is room");
        assert_eq!(holders.active(LogIndex(9), at(5500)), None);
        assert_eq!(holders.active(LogIndex(9), at(5501)), Some(LogIndex(3)));
        assert_eq!((holders.behind(LogIndex(5)), holders.using(LogIndex(5))), (vec!["a1"], vec!["b1"]));
        assert_eq!(holders.active(LogIndex(9), at(6500)), Some(LogIndex(3)));
        assert_eq!(holders.active(LogIndex(9), at(6501)), Some(LogIndex(5)));
        assert_eq!(holders.active(LogIndex(4), at(7500)), Some(LogIndex(4)));
    }

    #[test]
    fn whoever_went_silent_is_named_for_a_while_and_holds_nothing_up() {
        let mut holders = Holders::begin(at(0), TERM);
        holders.answer("a1", LogIndex(3), at(1000)).expect("there is room");
        let named = |holders: &mut Holders<&'static str>, millis| {
            holders.answer("b1", LogIndex(5), at(millis)).expect("there is room");
            (holders.active(LogIndex(5), at(millis)), holders.behind(LogIndex(5)))
        };
        assert_eq!(named(&mut holders, 606_500), (Some(LogIndex(5)), vec!["a1"]));
        assert_eq!(named(&mut holders, 606_501), (Some(LogIndex(5)), vec![]));
    }

    #[test]
    fn a_holder_that_began_anew_is_taken_at_its_new_word() {
        let mut holders = Holders::begin(at(0), TERM);
        holders.answer("a1", LogIndex(8), at(6000)).expect("there is room");
        holders.answer("a1", LogIndex(2), at(6001)).expect("there is room");
        assert_eq!(holders.active(LogIndex(9), at(6002)), Some(LogIndex(2)));
    }

    #[test]
    fn one_more_than_there_is_room_for_is_not_answered_until_another_has_run_out() {
        let mut holders = Holders::begin(at(0), TERM);
        for holder in 0..HOLDERS_MAX {
            holders.answer(holder, LogIndex(1), at(1000)).expect("there is room");
        }
        assert_eq!(holders.answer(HOLDERS_MAX, LogIndex(1), at(1001)), Err(TooManyHolders));
        holders.answer(0, LogIndex(2), at(1001)).expect("it has its room");
        holders.answer(HOLDERS_MAX, LogIndex(1), at(6501)).expect("others have run out");
    }
}
