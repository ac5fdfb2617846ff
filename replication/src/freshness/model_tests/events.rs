//! What may happen next in a world. Every machine acts by the module's rules, or without the one that is left out.

use std::time::Duration;

use crate::clock::Moment;
use crate::freshness::{Confirmation, FRESH_MAX, Finality, Follower, Holders, Standing, Unacknowledged};
use crate::ids::LogIndex;

use super::fault::Fault;
use super::truth::Stage;
use super::world::{Entry, Half, LOG_MAX, Machine, TICK, TICKS_MAX, World, index};

/// What happened, and to which store, if to one.
pub(super) type Event = (&'static str, Option<usize>);
type Next = Vec<(Event, World)>;

impl World {
    pub(super) fn next(&self) -> Next {
        let mut next = Vec::new();
        self.time(&mut next);
        self.changes(&mut next);
        for store in 0..2 {
            self.store(store, &mut next);
            self.asked(store, &mut next);
        }
        self.frontend(&mut next);
        if self.troubles > 0 {
            self.troubled(&mut next);
        }
        next
    }

    fn add(&self, next: &mut Next, what: &'static str, change: impl FnOnce(&mut Self)) {
        self.add_at(next, what, None, change);
    }

    fn add_at(&self, next: &mut Next, what: &'static str, store: Option<usize>, change: impl FnOnce(&mut Self)) {
        let mut world = self.clone();
        change(&mut world);
        world.leader_confirms_itself();
        if world.fault.is_none() {
            world.forget_what_is_over();
        }
        next.push(((what, store), world));
    }

    /// What nobody can be fresh by any more makes no difference, so worlds that differ in it alone are one.
    fn forget_what_is_over(&mut self) {
        let is_over = |age: Duration, slack: Duration| age > FRESH_MAX + slack;
        // a clock may yet go slow, but none twice
        let slack = if self.slow.is_none() && self.troubles > 0 { TICK } else { Duration::ZERO };
        for at in 0..2 {
            let now = self.now(Machine::Store(at));
            let store = &mut self.stores[at];
            store.follower = forgotten(&store.follower, now, slack);
            if store.question.is_some_and(|(asked, _)| is_over(now.since(asked), slack)) {
                store.question = None;
            }
            forget(&mut store.feeds, now);
        }
        let now = self.now(Machine::Store(self.leader));
        forget(&mut self.leading, now);
        let now = self.now(Machine::Frontend);
        self.frontend.follower = forgotten(&self.frontend.follower, now, slack);
        if self.frontend.answer.is_some_and(|(_, answer)| is_over(now.since(answer.asked) + answer.age, slack)) {
            self.frontend.answer = None;
        }
    }

    /// A leader is always as fresh as can be: that makes the most refusals.
    fn leader_confirms_itself(&mut self) {
        let (at, covered, finality) = (self.leader, self.end(), self.finality);
        let asked = self.now(Machine::Store(at));
        self.stores[at].covered = covered;
        self.stores[at].follower.answered(Confirmation { asked, age: Duration::ZERO, index: covered, finality });
    }

    fn time(&self, next: &mut Next) {
        if self.ticks == TICKS_MAX {
            return;
        }
        self.add(next, "a tick", |world| world.ticks += 1);
        // it is the sum of what the clocks between two machines lose that counts
        if self.slow.is_none() && self.troubles > 0 {
            self.add(next, "a tick that the frontend misses", |world| {
                world.ticks += 1;
                world.slow = Some(Machine::Frontend);
                world.troubles -= 1;
            });
        }
    }

    /// Changes, and what becomes of those that wait.
    fn changes(&self, next: &mut Next) {
        let (now, half) = (self.now(Machine::Store(self.leader)), self.stores[self.leader].half);
        for entry in self.possible() {
            let what = match entry {
                Entry::Allow => "Allow is committed",
                Entry::Advance => "Advance is committed",
                Entry::Undo => "Undo is committed",
                Entry::Lift => "Lift is committed",
            };
            self.add(next, what, |world| {
                let ticks = world.ticks;
                let line = match (half, &mut world.new) {
                    (Half::New, Some(line)) => line,
                    (Half::New | Half::Old, _) => &mut world.old,
                };
                line.push((entry, ticks));
                let end = index(line.len());
                world.stores[world.leader].follower.reached(end);
                if entry != Entry::Advance {
                    world.waiting.push((entry, Unacknowledged::new(end, now)));
                }
            });
        }
        for (at, (entry, change)) in self.waiting.iter().enumerate() {
            if self.may_acknowledge(change, now) {
                self.add(next, "a change is acknowledged", |world| {
                    world.waiting.remove(at);
                    world.acknowledged.insert(*entry);
                });
            }
        }
        for (at, (entry, _)) in self.log().iter().enumerate() {
            let is_open =
                !self.acknowledged.contains(entry) && self.waiting.iter().all(|(waiting, _)| waiting != entry);
            if *entry != Entry::Advance && is_open {
                self.add(next, "a change is asked for again", |world| {
                    if world.is(Fault::RepeatedIsAcknowledgedAtOnce) {
                        world.acknowledged.insert(*entry);
                    } else {
                        world.waiting.push((*entry, Unacknowledged::new(index(at + 1), now)));
                    }
                });
            }
        }
    }

    /// What may be committed next.
    fn possible(&self) -> Vec<Entry> {
        let log = self.log();
        if log.len() == LOG_MAX {
            return Vec::new();
        }
        let rules = self.rules(log);
        let is_whole = self.finality == Finality::Whole;
        let mut possible = match rules.stage {
            Stage::Absent => vec![Entry::Allow],
            Stage::Allowed => vec![],
            Stage::Climbing(step) if is_whole && step.next().is_some() => vec![Entry::Advance, Entry::Undo],
            Stage::Climbing(_) => vec![Entry::Undo],
        };
        if self.is_denied() && !rules.lifted {
            possible.push(Entry::Lift);
        }
        possible
    }

    fn may_acknowledge(&self, change: &Unacknowledged, now: Moment) -> bool {
        if self.is(Fault::AcknowledgedAtOnce) {
            return true;
        }
        let forgotten = Holders::begin(Moment::default(), self.leading.term());
        let holders = if self.is(Fault::OnlyTheLeaderAsked) { &forgotten } else { &self.leading };
        let own = self.reported(self.leader);
        matches!(change.standing(holders, own, now), Standing::Known { .. })
    }

    /// How far all are who may be fresh by a store's word.
    fn reported(&self, store: usize) -> LogIndex {
        let own = self.stores[store].follower.active();
        if self.is(Fault::HoldersNotReported) {
            return own;
        }
        // of whom nothing is known, nothing is said
        self.stores[store].feeds.active(own, self.now(Machine::Store(store))).unwrap_or(LogIndex(0))
    }

    /// What a store does by itself.
    fn store(&self, at: usize, next: &mut Next) {
        let (now, store) = (self.now(Machine::Store(at)), &self.stores[at]);
        let leads = self.leader == at;
        let is_cut_off = store.half != self.stores[self.leader].half;
        if let (true, Some((deposed, index))) = (self.is(Fault::ConfirmedByADeposedLeader), self.deposed)
            && deposed == at
        {
            let finality = self.finality;
            self.add_at(next, "a deposed leader confirms itself: store", Some(at), |world| {
                world.stores[at].follower.answered(Confirmation { asked: now, age: Duration::ZERO, index, finality });
            });
        }
        if leads || is_cut_off {
            return;
        }
        if store.follower.active() < self.end() {
            self.add_at(next, "an entry is applied by store", Some(at), |world| {
                let follower = &mut world.stores[at].follower;
                follower.reached(LogIndex(follower.active().0 + 1));
            });
        }
        if store.question.is_none_or(|(asked, _)| asked != now) {
            let reported = self.reported(at);
            // what was reported before the question came is all that this fault hurts
            if self.is(Fault::AnswerCoversOnlyTheConfirmed) {
                self.add_at(next, "the leader is asked by store", Some(at), |world| {
                    world.stores[at].question = Some((now, reported));
                });
            } else {
                self.leader_answers(at, now, reported, next);
            }
        }
        if let Some((asked, reported)) = store.question {
            self.leader_answers(at, asked, reported, next);
        }
    }

    /// The leader answers a store that has applied everything; one that has not comes to this later.
    fn leader_answers(&self, at: usize, asked: Moment, reported: LogIndex, next: &mut Next) {
        if self.stores[at].follower.active() != self.end() {
            return;
        }
        let then = self.now(Machine::Store(self.leader));
        let (index, finality) = (self.end(), self.finality);
        self.add_at(next, "the leader answers store", Some(at), |world| {
            world.leading.answer(at, reported, then).expect("there are two stores");
            let store = &mut world.stores[at];
            store.question = None;
            store.covered = index;
            store.follower.answered(Confirmation { asked, age: Duration::ZERO, index, finality });
        });
    }

    /// A store answers what the frontend asks it. That the answer takes its time says as much as that the question does.
    fn asked(&self, at: usize, next: &mut Next) {
        let (now, store) = (self.now(Machine::Store(at)), &self.stores[at]);
        let Some(age) = store.follower.age(now).known() else { return };
        let asked = self.now(Machine::Frontend);
        let is_deposed = self.deposed.is_some_and(|(deposed, _)| deposed == at);
        let may_ask = at == 1 || is_deposed;
        if !may_ask
            || store.half != self.frontend.half
            || self.frontend.answer.is_some_and(|(_, answer)| answer.asked == asked)
        {
            return;
        }
        let finality = if store.half == Half::New { self.finality } else { Finality::Whole };
        let age = if self.is(Fault::AgeNotAdded) { Duration::ZERO } else { age };
        let own = store.follower.active();
        let index = if self.is(Fault::AnswerCoversOnlyTheConfirmed) { own.min(store.covered) } else { own };
        let active = self.frontend.follower.active();
        self.add_at(next, "the frontend is answered by store", Some(at), |world| {
            world.stores[at].feeds.answer((), active, now).expect("there is one frontend");
            world.frontend.answer = Some((at, Confirmation { asked, age, index, finality }));
        });
    }

    fn frontend(&self, next: &mut Next) {
        let (now, frontend) = (self.now(Machine::Frontend), &self.frontend);
        let served = |store: &&super::world::Store| store.half == frontend.half;
        let reach = self.stores.iter().filter(served).map(|store| store.follower.active()).max();
        if reach > Some(frontend.follower.active()) {
            self.add(next, "the frontend applies an entry", |world| {
                let follower = &mut world.frontend.follower;
                follower.reached(LogIndex(follower.active().0 + 1));
            });
        }
        let is_reached = |answer: &Confirmation| answer.index <= frontend.follower.active();
        let heard = frontend.answer.map(|(_, answer)| answer);
        // one that is heard earlier waits within the follower, which comes to the same
        if let Some(answer) = heard.filter(|answer| is_reached(answer) || self.is(Fault::CountedBeforeActive)) {
            let counted = Confirmation {
                asked: if self.is(Fault::CountedFromTheAnswer) { now } else { answer.asked },
                index: if self.is(Fault::CountedBeforeActive) { LogIndex(0) } else { answer.index },
                ..answer
            };
            self.add(next, "the frontend hears", |world| {
                world.frontend.answer = None;
                world.frontend.follower.answered(counted);
            });
        }
        if self.is_denied() && !frontend.is_told {
            self.add(next, "the frontend is told of the deny entry", |world| world.frontend.is_told = true);
        }
        if self.new.is_some() && frontend.half == Half::Old {
            self.add(next, "the frontend goes over to the recovered half", |world| {
                world.frontend_begins(Follower::default());
                world.frontend.half = Half::New;
            });
        }
    }

    /// What does not happen every day.
    fn troubled(&self, next: &mut Next) {
        let mut trouble = |what: &'static str, store: Option<usize>, change: &dyn Fn(&mut Self)| {
            self.add_at(next, what, store, |world| {
                world.troubles -= 1;
                change(world);
            });
        };
        trouble("the frontend starts anew", None, &|world| {
            let mut follower = Follower::default();
            let now = world.now(Machine::Frontend);
            if let (Some(age), true) = (world.frontend.follower.age(now).known(), world.is(Fault::KeptOverARestart)) {
                let finality = Finality::Whole;
                follower.answered(Confirmation { asked: now, age, index: LogIndex(0), finality });
            }
            world.frontend_begins(follower);
        });
        for store in 0..2 {
            trouble("a start anew of store", Some(store), &|world| world.store_begins(store));
        }
        let other = 1 - self.leader;
        if self.new.is_none() {
            if self.deposed.is_none() {
                trouble("an election of store", Some(other), &|world| world.elect(other));
            }
            trouble("a recovery of nothing but store", Some(other), &|world| world.recover(other));
        }
        if self.finality == Finality::Unfenced {
            self.add(next, "the old half is fenced", |world| {
                world.finality = Finality::Whole;
                // what was not brought over is written off, by two people
                let kept: Vec<_> = world.log().iter().map(|(entry, _)| *entry).collect();
                world.acknowledged.retain(|entry| kept.contains(entry));
            });
        }
    }

    fn frontend_begins(&mut self, follower: Follower) {
        self.frontend.follower = follower;
        self.frontend.answer = None;
    }

    fn store_begins(&mut self, at: usize) {
        let (now, term) = (self.now(Machine::Store(at)), self.leading.term());
        let begin = if self.is(Fault::HoldersForgottenAtAStart) { Moment::default() } else { now };
        let store = &mut self.stores[at];
        let applied = store.follower.active();
        store.follower = Follower::default();
        store.follower.reached(applied);
        store.feeds = Holders::begin(begin, term);
        store.question = None;
        // connections end with the process
        if self.frontend.answer.is_some_and(|(asked, _)| asked == at) {
            self.frontend.answer = None;
        }
        if self.leader == at {
            self.begin_leading(at);
        }
    }

    fn begin_leading(&mut self, at: usize) {
        let (now, term) = (self.now(Machine::Store(at)), self.leading.term());
        let begin = if self.is(Fault::LeaderForgetsAtAnElection) { Moment::default() } else { now };
        self.leader = at;
        self.leading = Holders::begin(begin, term);
        self.waiting.clear();
        let end = self.end();
        self.stores[at].follower.reached(end);
        self.stores[at].question = None;
    }

    fn elect(&mut self, other: usize) {
        self.deposed = Some((self.leader, self.end()));
        self.stores[self.leader].question = None;
        self.begin_leading(other);
    }

    /// The other store goes on with what it has, as a cluster of its own.
    fn recover(&mut self, other: usize) {
        let applied = usize::try_from(self.stores[other].follower.active().0).expect("few entries");
        self.new = Some(self.old[..applied].to_vec());
        self.finality = Finality::Unfenced;
        self.stores[other].half = Half::New;
        self.store_begins(other);
        self.begin_leading(other);
    }
}

fn forgotten(follower: &Follower, now: Moment, slack: Duration) -> Follower {
    if follower.age(now).elapsed() <= FRESH_MAX + slack {
        return follower.clone();
    }
    let mut forgotten = Follower::default();
    forgotten.reached(follower.active());
    forgotten
}

fn forget<H: Ord + Clone>(holders: &mut Holders<H>, now: Moment) {
    let all = LogIndex(u64::MAX);
    if holders.active(all, now) == Some(all) {
        *holders = Holders::begin(Moment::default(), holders.term());
    }
}
