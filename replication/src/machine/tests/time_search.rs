//! Every order of a few events around windows and ticks: no window ends before as much time has passed as it holds.
//!
//! The authors of ticks are honest clocks and nothing else: each looks at the group's time, counts, and asks for what it counted
//! at any later moment; its entry may come late, twice, or after another author's. The rules are the machine's own; with any one
//! of them left out, the search finds an early end.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use crate::clock::ClusterTime;
use crate::machine::cluster_time::TICK_MAX;
use crate::machine::command::Tick;
use crate::machine::rows::ClusterClock;

/// One step of the search's time: half of the longest tick.
const STEP: Duration = Duration::from_mins(1);
/// A window of two steps.
const WINDOW: Duration = Duration::from_mins(2);
/// How many steps of time pass at most.
const STEPS_MAX: u64 = 3;
/// How many windows begin at most.
const WINDOWS_MAX: u64 = 2;
/// Counted stretches under way at most: two authors, or one that was cut off and asks late.
const COUNTS_MAX: usize = 2;
/// Ticks that were asked for at most: each may count at any later moment, and again.
const ASKED_MAX: usize = 2;

/// What time is by: the machine's rules, or some of them.
type After = fn(ClusterClock, &Tick) -> Option<ClusterClock>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    /// Steps of real time that have passed.
    real: u64,
    clock: ClusterClock,
    /// When each window ends, and when it began in real time.
    windows: BTreeSet<(ClusterTime, u64)>,
    /// What an author saw, and when.
    counting: Vec<(ClusterClock, u64)>,
    /// Ticks that were asked for; each may come again.
    asked: BTreeSet<(ClusterTime, u64, u64)>,
}

impl World {
    fn next(&self, after: After) -> Vec<Self> {
        let mut next = Vec::new();
        let mut add = |change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            change(&mut world);
            next.push(world);
        };
        if self.real < STEPS_MAX {
            add(&|world| world.real += 1);
        }
        if self.clock.windows < WINDOWS_MAX {
            add(&|world| {
                let (clock, end) = world.clock.begin_window(WINDOW);
                world.clock = clock;
                world.windows.insert((end, world.real));
            });
        }
        for window in &self.windows {
            add(&|world| {
                // called off
                world.windows.remove(window);
            });
        }
        if self.counting.len() < COUNTS_MAX {
            add(&|world| {
                world.counting.push((world.clock, world.real));
                world.counting.sort_by_key(|(clock, since)| (clock.now, clock.windows, *since));
            });
        }
        for (at, (seen, since)) in self.counting.iter().enumerate() {
            if self.asked.len() == ASKED_MAX {
                break;
            }
            add(&|world| {
                world.counting.remove(at);
                let counted = STEP * u32::try_from(world.real - since).expect("few steps");
                let millis = u64::try_from(counted.min(TICK_MAX).as_millis()).expect("a tick is short");
                world.asked.insert((seen.now, seen.windows, millis));
            });
        }
        for (from, windows, millis) in &self.asked {
            let tick = Tick { from: *from, windows: *windows, millis: *millis };
            if let Some(clock) = after(self.clock, &tick) {
                add(&|world| world.clock = clock);
            }
        }
        next
    }

    /// A window that has ended by the group's time and not in truth.
    fn ends_early(&self) -> bool {
        let window = WINDOW.as_secs() / STEP.as_secs();
        self.windows.iter().any(|(end, began)| self.clock.is_past(*end) && self.real - began < window)
    }
}

/// The number of worlds that can be reached, or one in which a window ends early.
fn search(after: After) -> Result<usize, World> {
    let first = World {
        real: 0,
        clock: ClusterClock::default(),
        windows: BTreeSet::new(),
        counting: Vec::new(),
        asked: BTreeSet::new(),
    };
    // the shortest first: without a rule the time may run on for ever
    let (mut seen, mut open) = (HashSet::from([first.clone()]), VecDeque::from([first]));
    while let Some(world) = open.pop_front() {
        if world.ends_early() {
            return Err(world);
        }
        for next in world.next(after) {
            if seen.insert(next.clone()) {
                open.push_back(next);
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn no_order_of_windows_ticks_and_restores_ends_a_window_early() {
    let worlds = search(ClusterClock::after).expect("no window ends early");
    assert!(worlds > 10_000, "{worlds} worlds are too few to say much");
}

#[test]
fn a_machine_without_any_one_of_its_rules_is_found_out() {
    // where the tick began, or how many windows it knew of, is not looked at
    let without_from: After = |clock, tick| clock.after(&Tick { from: clock.now, ..tick.clone() });
    let without_windows: After = |clock, tick| clock.after(&Tick { windows: clock.windows, ..tick.clone() });
    for (rule, after) in [("from", without_from), ("windows", without_windows)] {
        let early = search(after).expect_err(rule);
        assert!(early.ends_early(), "{rule}: {early:?}");
    }
}
