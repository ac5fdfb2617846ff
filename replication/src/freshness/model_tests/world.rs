//! A world: a leader, a second key store, a frontend, what is under way between them, and the logs.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::{Moment, Timestamp};
use crate::freshness::{
    Activation, Cohort, Confirmation, FRESH_MAX, Finality, Follower, Holders, Term, Unacknowledged, deny,
};
use crate::ids::LogIndex;

use super::fault::Fault;
use super::truth::{Reasons, Rules, Stage};

/// One step of the model's time: the longest age of a view that may refuse for good, and what a slow clock may lose meanwhile.
pub(super) const TICK: Duration = FRESH_MAX;
/// How many steps pass at most: a term with its margin, and one more.
pub(super) const TICKS_MAX: u8 = 3;
/// Entries of a history at most.
pub(super) const LOG_MAX: usize = 2;
/// The boot of every machine lies before all that happens.
const BOOT: Duration = Duration::from_hours(1);

/// What may be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Entry {
    /// Makes what was absent. Additive.
    Allow,
    /// The next step of the plan that takes it away.
    Advance,
    /// Takes the plan back. Additive.
    Undo,
    /// Ends the deny entry. Additive.
    Lift,
}

/// A log: entries, with the tick in which each was committed.
pub(super) type Line = Vec<(Entry, u8)>;

/// A machine with a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Machine {
    Store(usize),
    Frontend,
}

/// How much may happen in a history: in each of them, the frontend asks the key store of its own machine or a deposed leader, and the
/// leader answers at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Breadth {
    /// One trouble where something is absent at first, and none elsewhere.
    Narrow,
    /// One trouble in every history.
    Wide,
}

/// The cluster until a recovery, or what it became by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Half {
    Old,
    New,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Store {
    pub(super) half: Half,
    pub(super) follower: Follower,
    /// The frontends that it answered.
    pub(super) feeds: Holders<()>,
    /// When its question to the leader was sent, and how far those were whom it had answered.
    pub(super) question: Option<(Moment, LogIndex)>,
    /// What its last confirmation covered.
    pub(super) covered: LogIndex,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Frontend {
    pub(super) half: Half,
    pub(super) follower: Follower,
    /// What it has not heard yet, and from whom.
    pub(super) answer: Option<(usize, Confirmation)>,
    /// It has heard of the deny entry.
    pub(super) is_told: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) ticks: u8,
    pub(super) first: Stage,
    pub(super) cohort: Cohort,
    pub(super) old: Line,
    /// The log of the recovered half, which began with what was left.
    pub(super) new: Option<Line>,
    pub(super) leader: usize,
    /// A store that believes it leads, and what it knows.
    pub(super) deposed: Option<(usize, LogIndex)>,
    /// The stores that the leader answered.
    pub(super) leading: Holders<usize>,
    pub(super) waiting: Vec<(Entry, Unacknowledged)>,
    pub(super) acknowledged: BTreeSet<Entry>,
    pub(super) finality: Finality,
    pub(super) stores: [Store; 2],
    pub(super) frontend: Frontend,
    /// Whose clock lost a tick.
    pub(super) slow: Option<Machine>,
    /// How many more there are of what does not happen every day.
    pub(super) troubles: u8,
    pub(super) fault: Option<Fault>,
}

impl World {
    /// Where histories begin: the thing is absent, allowed but for a deny entry, or about to be taken away and soft on all; in
    /// the last case the frontend is the canary, or not.
    pub(super) fn first(breadth: Breadth, fault: Option<Fault>) -> Vec<Self> {
        let soft = std::iter::successors(Some(Activation::first(Cohort(1))), |step| step.next()).nth(3);
        let soft = Stage::Climbing(soft.expect("the fourth step of two cohorts is soft on both"));
        let starts = [(Stage::Absent, 1), (Stage::Allowed, 1), (soft, 0), (soft, 1)];
        let begin = |(first, cohort)| {
            let troubles = u8::from(breadth == Breadth::Wide || first == Stage::Absent);
            Self { troubles, ..Self::begin(first, Cohort(cohort), fault) }
        };
        starts.map(begin).into()
    }

    fn begin(first: Stage, cohort: Cohort, fault: Option<Fault>) -> Self {
        let term =
            Term { fresh_max: FRESH_MAX, margin: if fault == Some(Fault::NoMargin) { Duration::ZERO } else { TICK } };
        let long_ago = Moment::since_origin(Duration::ZERO);
        let store = Store {
            half: Half::Old,
            follower: Follower::default(),
            feeds: Holders::begin(long_ago, term),
            question: None,
            covered: LogIndex(0),
        };
        Self {
            ticks: 0,
            first,
            cohort,
            old: Vec::new(),
            new: None,
            leader: 0,
            deposed: None,
            leading: Holders::begin(long_ago, term),
            waiting: Vec::new(),
            acknowledged: BTreeSet::new(),
            finality: Finality::Whole,
            stores: [store.clone(), store],
            frontend: Frontend { half: Half::Old, follower: Follower::default(), answer: None, is_told: false },
            slow: None,
            troubles: 0,
            fault,
        }
    }

    pub(super) fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub(super) fn describe(&self) -> &'static str {
        match (self.first, self.cohort) {
            (Stage::Absent, _) => "it is absent",
            (Stage::Allowed, _) => "it is allowed",
            (Stage::Climbing(_), Cohort(0)) => "it is soft on all, and the frontend is the canary",
            (Stage::Climbing(_), Cohort(_)) => "it is soft on all, and the frontend is not the canary",
        }
    }

    /// Where it is allowed, a deny entry was signed before all else.
    pub(super) fn is_denied(&self) -> bool {
        self.first == Stage::Allowed
    }

    /// A machine's clock.
    pub(super) fn now(&self, machine: Machine) -> Moment {
        let lost = u32::from(self.slow == Some(machine));
        Moment::since_origin(BOOT + TICK * (u32::from(self.ticks) - lost))
    }

    /// How many ticks back a refusal may have been true.
    pub(super) fn window(&self) -> u8 {
        1 + u8::from(self.slow.is_some())
    }

    pub(super) fn line(&self, half: Half) -> &Line {
        match (half, &self.new) {
            (Half::New, Some(line)) => line,
            (Half::New | Half::Old, _) => &self.old,
        }
    }

    /// The logs by which the frontend's refusals must be true: what only an old half knows is true in the new one until it is fenced.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        let new = self.new.as_ref().filter(|_| self.frontend.half == Half::New);
        let old = (new.is_none() || self.finality == Finality::Unfenced).then_some(&self.old);
        old.into_iter().chain(new)
    }

    /// The leader's log.
    pub(super) fn log(&self) -> &Line {
        self.line(self.stores[self.leader].half)
    }

    pub(super) fn end(&self) -> LogIndex {
        index(self.log().len())
    }

    /// What some entries say.
    pub(super) fn rules(&self, entries: &[(Entry, u8)]) -> Rules {
        let first = Rules { stage: self.first, lifted: false };
        entries.iter().fold(first, |rules, (entry, _)| rules.after(*entry))
    }

    /// Why the frontend would refuse for good now, if it would.
    pub(super) fn refuses(&self) -> Option<Reasons> {
        let Frontend { half, follower, is_told, .. } = &self.frontend;
        let now = self.now(Machine::Frontend);
        let age = follower.age(now);
        let may = match self.fault {
            Some(Fault::StaleMayRefuse) => age.known().is_some(),
            Some(Fault::UnfencedMayRefuse) => age.fresh().is_some(),
            _ => follower.fresh(now).is_some(),
        };
        let seen = usize::try_from(follower.active().0).expect("few entries");
        let rules = self.rules(&self.line(*half)[..seen]);
        let cohort = if self.is(Fault::FinalBeforeItsCohort) { Cohort(0) } else { self.cohort };
        let lift =
            if rules.lifted && !self.is(Fault::LiftedEntryHolds) { deny::Lift::Lifted } else { deny::Lift::None };
        // its end is far away: near it, the entry is never certain
        let force = deny::force(Timestamp(u64::MAX), lift, Timestamp(0));
        let reasons = Reasons { rule: rules.refuses(cohort), entry: *is_told && force == deny::Force::Holds };
        (may && reasons != Reasons::default()).then_some(reasons)
    }
}

pub(super) fn index(entries: usize) -> LogIndex {
    LogIndex(entries as u64)
}
