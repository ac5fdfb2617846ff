//! What a key store hands on of one group: its newest state, how fresh that is, and who reads it.
//!
//! Notes whoever asks before it answers. Never tells of a state as younger than its own confirmation makes it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::limits::PROCESSES_PER_FRONTEND_MAX;
use super::serving::ProcessId;
use crate::clock::{Clock, Moment};
use crate::directory::View;
use crate::freshness::{Confirmation, Finality, Follower, Holders, TERM, TooManyHolders};
use crate::ids::{FrontendName, LogIndex};
use crate::machine::digest::Digest;
use crate::machine::state::State;
use crate::raft::spread::Report;

/// States that a frontend may go on from which comes back, or comes from another key store.
const RECENT_MAX: usize = 64;

/// A process of a frontend: two that bear one name are told from each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// Its name.
    pub frontend: FrontendName,
    /// Which start of it.
    pub process: ProcessId,
}

/// A state and its last entry.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) index: LogIndex,
    pub(super) state: State,
}

/// What a frontend is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// The view holds everything up to here.
    pub(super) index: LogIndex,
    /// How old it is, if anybody knows.
    pub(super) age: Option<Duration>,
}

/// One group, as this key store has it.
pub struct Outlet {
    clock: Arc<dyn Clock>,
    /// Whoever reads the directory in the same process.
    local: Option<FrontendName>,
    newest: watch::Sender<Held>,
    /// Told whenever somebody who reads has come further.
    progress: watch::Sender<()>,
    known: Mutex<Known>,
}

struct Known {
    follower: Follower,
    holders: Holders<Holder>,
    recent: VecDeque<Held>,
    /// What is in use in the same process.
    published: LogIndex,
}

impl Outlet {
    /// Of a process whose own frontend is the only one that ever reads it.
    pub fn alone(local: FrontendName, clock: Arc<dyn Clock>) -> Self {
        Self::new(Some(local), Holders::first(TERM), clock)
    }

    /// Of a key store whose frontends are other processes. Those of before its start may still be fresh by its word.
    pub fn serving(clock: Arc<dyn Clock>) -> Self {
        let holders = Holders::begin(clock.now(), TERM);
        Self::new(None, holders, clock)
    }

    fn new(local: Option<FrontendName>, holders: Holders<Holder>, clock: Arc<dyn Clock>) -> Self {
        let known = Known { follower: Follower::default(), holders, recent: VecDeque::new(), published: LogIndex(0) };
        let newest = watch::Sender::new(Held { index: LogIndex(0), state: State::empty() });
        Self { clock, local, newest, progress: watch::Sender::default(), known: Mutex::new(known) }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub(super) fn progress(&self) -> watch::Receiver<()> {
        self.progress.subscribe()
    }

    pub(super) fn newest(&self) -> watch::Receiver<Held> {
        self.newest.subscribe()
    }

    /// The view was so old when this process began. It counts like any other confirmation, and is never fresh.
    pub(super) fn restore(&self, age: Duration) {
        let asked = self.clock.now();
        self.confirm(Confirmation { asked, age, index: LogIndex(0), finality: Finality::Whole });
    }

    /// How old the view is, if anybody knows.
    pub(super) fn age(&self) -> Option<Duration> {
        self.known.lock().follower.age(self.clock.now()).known()
    }

    /// How old the view is, if anybody knows, for tests of whoever feeds it.
    #[cfg(test)]
    pub fn known_age(&self) -> Option<Duration> {
        self.age()
    }

    pub(super) fn confirm(&self, confirmation: Confirmation) {
        self.known.lock().follower.answered(confirmation);
    }

    /// Takes a newer state over; gives the view of it.
    pub(super) fn take(&self, index: LogIndex, state: &State) -> View {
        let mut known = self.known.lock();
        known.follower.reached(index);
        View { state: state.clone(), index, confirmed: known.follower.confirmed() }
    }

    /// Holds a state as if it had been applied and confirmed just now, for whoever plays a key store.
    #[cfg(any(test, feature = "testkit"))]
    pub fn danger_hold(&self, index: LogIndex, state: &State) {
        let view = self.take(index, state);
        self.publish(&view);
        self.restore(Duration::ZERO);
    }

    /// What was taken is in use in this process. Frontends hear of it now.
    pub(super) fn publish(&self, view: &View) {
        let held = Held { index: view.index, state: view.state.clone() };
        let mut known = self.known.lock();
        if known.published >= held.index {
            return;
        }
        known.published = held.index;
        known.recent.push_back(held.clone());
        if known.recent.len() > RECENT_MAX {
            known.recent.pop_front();
        }
        drop(known);
        self.newest.send_replace(held);
        self.progress.send_replace(());
    }

    /// How far those are who may be fresh by this key store's word.
    pub(super) fn report(&self) -> Report {
        let known = self.known.lock();
        let active = known.holders.active(known.published, self.clock.now()).unwrap_or(LogIndex(0));
        let mut latest: BTreeMap<&FrontendName, (Moment, LogIndex)> = BTreeMap::new();
        for (holder, active, until) in known.holders.known() {
            // of two processes of one name it is the one that asked last
            let seen = latest.entry(&holder.frontend).or_insert((until, active));
            *seen = (until, active).max(*seen);
        }
        let others = latest.into_iter().map(|(name, (_, active))| (name.to_string(), active));
        let local = self.local.iter().map(|name| (name.to_string(), known.published));
        Report { active, frontends: others.chain(local).collect() }
    }

    /// The frontends that asked lately, by name, and how long ago the last process of each did.
    pub fn asked(&self) -> BTreeMap<FrontendName, Duration> {
        let now = self.clock.now();
        let known = self.known.lock();
        let mut asked: BTreeMap<FrontendName, Duration> = BTreeMap::new();
        for (holder, _, until) in known.holders.known() {
            // a term ends as long after the question for all
            let ago = known.holders.term().end(now).since(until);
            let seen = asked.entry(holder.frontend.clone()).or_insert(ago);
            *seen = ago.min(*seen);
        }
        asked
    }

    /// Notes that a frontend asks, which has come as far as `active`, and answers it.
    pub(super) fn answer(&self, holder: Holder, active: LogIndex) -> Result<Told, TooManyHolders> {
        let now = self.clock.now();
        let mut known = self.known.lock();
        let before = known.holders.known().find(|(known, ..)| **known == holder).map(|(_, active, _)| active);
        let of_its_name =
            |(known, _, until): &(&Holder, LogIndex, Moment)| known.frontend == holder.frontend && *until > now;
        if before.is_none() && known.holders.known().filter(of_its_name).count() >= PROCESSES_PER_FRONTEND_MAX {
            return Err(TooManyHolders);
        }
        known.holders.answer(holder, active, now)?;
        let told = Told { index: known.follower.active(), age: known.follower.age(now).known() };
        drop(known);
        if before != Some(active) {
            self.progress.send_replace(());
        }
        Ok(told)
    }

    /// The state that a frontend says it has, if it is one that this key store had lately.
    pub(super) fn recent(&self, index: LogIndex, digest: Digest) -> Option<State> {
        let known = self.known.lock();
        let held = known.recent.iter().find(|held| held.index == index && held.state.digest() == digest)?;
        Some(held.state.clone())
    }
}
