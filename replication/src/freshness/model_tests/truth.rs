//! What is true in a world, whatever its machines believe: the logs as they were committed, and when.

use crate::freshness::{Activation, Cohort, Effect};

use super::world::{Entry, Line, World};

/// How a world is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The frontend would refuse for good what was allowed all the last term.
    RefusedWhatWasAllowed,
    /// The frontend would refuse for good what was acknowledged as allowed.
    DeniedWhatWasAcknowledged,
}

/// Why the frontend would refuse for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reasons {
    /// The rule, or that there is none.
    pub(super) rule: bool,
    /// A deny entry.
    pub(super) entry: bool,
}

/// What the rule is after some entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// There is no such key or grant.
    Absent,
    /// It is allowed.
    Allowed,
    /// It is allowed, and a plan that takes it away has come so far.
    Climbing(Activation),
}

/// What stands in a log after some entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Rules {
    pub(super) stage: Stage,
    /// The deny entry was lifted.
    pub(super) lifted: bool,
}

impl Rules {
    pub(super) fn after(self, entry: Entry) -> Self {
        match (entry, self.stage) {
            (Entry::Lift, _) => Self { lifted: true, ..self },
            (Entry::Advance, Stage::Climbing(step)) => {
                Self { stage: step.next().map_or(self.stage, Stage::Climbing), ..self }
            }
            (Entry::Allow | Entry::Undo | Entry::Advance, _) => Self { stage: Stage::Allowed, ..self },
        }
    }

    pub(super) fn refuses(self, cohort: Cohort) -> bool {
        match self.stage {
            Stage::Absent => true,
            Stage::Allowed => false,
            Stage::Climbing(step) => step.effect(cohort) == Effect::Final,
        }
    }
}

impl World {
    /// How this world is wrong.
    pub(super) fn wrong(&self) -> Option<Wrong> {
        let Reasons { rule, entry } = self.refuses()?;
        let allowed = [Entry::Allow, Entry::Undo].iter().any(|entry| self.acknowledged.contains(entry));
        if rule && allowed || entry && self.acknowledged.contains(&Entry::Lift) {
            return Some(Wrong::DeniedWhatWasAcknowledged);
        }
        let is_true = |line: &Line| {
            let lately = || self.lately(line);
            (!rule || lately().any(|rules| rules.refuses(self.cohort)))
                && (!entry || lately().any(|rules| !rules.lifted))
        };
        (!self.lines().all(is_true)).then_some(Wrong::RefusedWhatWasAllowed)
    }

    /// What the log said at any moment of the last term.
    fn lately<'a>(&'a self, line: &'a Line) -> impl Iterator<Item = Rules> + 'a {
        let since = self.ticks.saturating_sub(self.window());
        (0..=line.len())
            .filter(move |count| {
                // it stood until the next entry was committed
                line.get(*count).is_none_or(|(_, until)| *until >= since)
            })
            .map(|count| self.rules(&line[..count]))
    }
}
