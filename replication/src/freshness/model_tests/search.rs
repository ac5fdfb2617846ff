//! The search: every world that can be reached, the shortest history first.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::events::Event;
use super::fault::Fault;
use super::truth::Wrong;
use super::world::{Breadth, World};

/// What a search came to.
pub(super) enum Found {
    /// No world is wrong.
    Nothing {
        worlds: usize,
        /// Of them, those in which the frontend would refuse for good.
        refusals: usize,
        /// Of them, those in which a change was acknowledged.
        acknowledged: usize,
    },
    /// A world that is wrong, and how it came about.
    Wrong { wrong: Wrong, history: Vec<String> },
}

/// Two hashes of a world stand for it: by chance, two of a million worlds would be taken for one in one of 10^26 searches.
fn print_of(world: &World) -> (u64, u64) {
    let hash = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, world).hash(&mut hasher);
        hasher.finish()
    };
    (hash(0), hash(1))
}

pub(super) fn search(fault: Option<Fault>, breadth: Breadth) -> Found {
    // which world each came from, by which event, at which tick
    let mut steps: Vec<(usize, Event, u8)> = Vec::new();
    let (mut seen, mut open) = (HashSet::new(), VecDeque::new());
    for world in World::first(breadth, fault) {
        if seen.insert(print_of(&world)) {
            steps.push((usize::MAX, (world.describe(), None), 0));
            open.push_back((world, steps.len() - 1));
        }
    }
    let (mut refusals, mut acknowledged) = (0, 0);
    while let Some((world, at)) = open.pop_front() {
        refusals += usize::from(world.refuses().is_some());
        acknowledged += usize::from(!world.acknowledged.is_empty());
        if let Some(wrong) = world.wrong() {
            return Found::Wrong { wrong, history: history(&steps, at) };
        }
        for (event, next) in world.next() {
            if seen.insert(print_of(&next)) {
                steps.push((at, event, next.ticks));
                open.push_back((next, steps.len() - 1));
            }
        }
    }
    Found::Nothing { worlds: seen.len(), refusals, acknowledged }
}

fn history(steps: &[(usize, Event, u8)], last: usize) -> Vec<String> {
    let told = |(_, (what, store), tick): &(usize, Event, u8)| match store {
        Some(store) => format!("{tick}: {what} {store}"),
        None => format!("{tick}: {what}"),
    };
    let mut history: Vec<_> =
        std::iter::successors(steps.get(last), |(before, ..)| steps.get(*before)).map(told).collect();
    history.reverse();
    history
}
