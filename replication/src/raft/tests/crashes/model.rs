//! What a group's stores must hold, kept beside them in plain maps, and what a crash may leave of it.
//!
//! All writes go through one writer, one after the other, so what survives is always the content after one of them: the
//! last that was acknowledged, or one that was on its way. Knows nothing of disks, pages or files.

use std::collections::BTreeMap;

use imbl::OrdMap;

use crate::ids::LogIndex;
use crate::machine::digest::Digest;
use crate::machine::state::State;
use crate::raft::config::{Entry, LogId, Payload, Vote};
use crate::testkit::Dice;

/// What is not as it must be, and where.
#[derive(Debug)]
pub(super) struct Violation(pub(super) String);

/// The content of a group's stores.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Content {
    pub(super) entries: OrdMap<u64, Entry>,
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    pub(super) purged: Option<LogId>,
    /// What the snapshots cover that are kept, oldest first.
    pub(super) snapshots: Vec<LogIndex>,
}

impl Content {
    pub(super) fn last(&self) -> Option<LogId> {
        self.entries.get_max().map(|(_, entry)| entry.log_id).or(self.purged)
    }

    /// The entries that are not committed.
    pub(super) fn tail(&self) -> usize {
        let committed = self.committed.map_or(0, |at| at.index + 1);
        self.entries.range(committed..).count()
    }
}

/// A state and its encoded position, as the mirror gets them.
#[derive(Debug, Clone)]
pub(super) struct Mirrored {
    pub(super) state: State,
    pub(super) position: Vec<u8>,
}

/// One change, between two numbers of disk operations.
#[derive(Debug, Clone)]
struct Step {
    begun: u64,
    acknowledged: Option<u64>,
    after: Content,
}

/// Everything that was asked of a group's stores since they were opened, and what came of it.
#[derive(Debug, Clone)]
pub(super) struct Story {
    steps: Vec<Step>,
    /// The states of the plain replay: after each committed entry.
    states: OrdMap<u64, State>,
    /// What was handed to the mirror, and when.
    mirrored: Vec<(u64, Option<Mirrored>)>,
}

impl Story {
    /// The beginning: stores that hold this much.
    pub(super) fn new(content: Content, states: OrdMap<u64, State>) -> Self {
        Self {
            steps: vec![Step { begun: 0, acknowledged: Some(0), after: content }],
            states,
            mirrored: vec![(0, None)],
        }
    }

    pub(super) fn now(&self) -> &Content {
        &self.steps.last().expect("a story has a beginning").after
    }

    pub(super) fn states(&self) -> &OrdMap<u64, State> {
        &self.states
    }

    /// A change is asked for after so many operations.
    pub(super) fn asks(&mut self, operations: u64, after: Content) {
        self.steps.push(Step { begun: operations, acknowledged: None, after });
    }

    /// The change that was asked for last is acknowledged.
    pub(super) fn acknowledged(&mut self, operations: u64) {
        self.steps.last_mut().expect("a story has a beginning").acknowledged = Some(operations);
    }

    /// The plain replay of a committed entry.
    pub(super) fn replays(&mut self, entry: &Entry) {
        let index = entry.log_id.index;
        let before = index.checked_sub(1).map_or_else(State::empty, |before| self.states[&before].clone());
        let after = match &entry.payload {
            Payload::Normal(bytes) => {
                before.apply(LogIndex(index), &bytes.0).expect("the author's entries decode").state
            }
            Payload::Blank | Payload::Membership(_) => before,
        };
        self.states.insert(index, after);
    }

    pub(super) fn digest(&self, index: Option<u64>) -> Digest {
        index.map_or_else(|| State::empty().digest(), |index| self.states[&index].digest())
    }

    pub(super) fn mirrored(&mut self, operations: u64, held: Option<Mirrored>) {
        self.mirrored.push((operations, held));
    }

    /// What a mirror may hold after a crash: any state that it was handed before, or nothing.
    pub(super) fn mirror(&self, operations: u64, dice: &mut Dice) -> Option<Mirrored> {
        let handed: Vec<_> = self.mirrored.iter().filter(|(at, _)| *at <= operations).collect();
        let chosen = usize::try_from(dice.below(handed.len() as u64)).expect("a story is short");
        handed.get(chosen).and_then(|(_, held)| held.clone())
    }

    /// The one content, of those that a crash after so many operations may leave, that was found.
    pub(super) fn must_hold(&self, operations: u64, found: &Content) -> Result<(), Violation> {
        let kept = self.steps.iter().rposition(|step| step.acknowledged.is_some_and(|at| at <= operations));
        let kept = kept.expect("the beginning is acknowledged");
        let possible = self.steps[kept..].iter().take_while(|step| step.begun <= operations);
        let mut differences = Vec::new();
        for step in possible {
            if step.after == *found {
                return Ok(());
            }
            differences.push(difference(&step.after, found));
        }
        Err(Violation(format!(
            "after {operations} operations the stores hold none of {} contents: {differences:#?}",
            differences.len()
        )))
    }
}

/// Said shortly: whole contents fill pages.
fn difference(expected: &Content, found: &Content) -> String {
    let entries = |content: &Content| -> BTreeMap<u64, String> {
        content.entries.iter().map(|(index, entry)| (*index, entry.to_string())).collect()
    };
    let short = |content: &Content| {
        let Content { vote, committed, purged, snapshots, .. } = content;
        format!("vote {vote:?}, committed {committed:?}, purged {purged:?}, snapshots {snapshots:?}")
    };
    let (wanted, had) = (entries(expected), entries(found));
    let entries = if wanted == had { "the same entries".to_owned() } else { format!("{wanted:?} and not {had:?}") };
    format!("expected {} and not {}; {entries}", short(expected), short(found))
}
