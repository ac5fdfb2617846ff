//! How far a change has spread: who may still refuse for good without it, and which frontends use it.
//!
//! The leader notes whoever it answers before it takes the read index that the answer holds: a change that is committed in between is
//! in the answer, or waits for the asker. Never acknowledges for a leader that has been deposed, and never forgets within a term.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{AsyncRuntime, Instant};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::group::Group;
use super::limits::{NAMES_WAIT_MAX, SPREAD_POLL};
use super::network::{Kind, Lane, Question};
use crate::clock::Moment;
use crate::freshness::{Holders, Standing, TERM, TooManyHolders, Unacknowledged};
use crate::ids::{LogIndex, ReplicaId};

/// How far those are who may be fresh by a replica's word. The default says nothing about anybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Everything up to here is active on all of them, the replica itself included; 0 while somebody unknown may be among them.
    pub active: LogIndex,
    /// The frontends that the replica answered lately, by name, and how far each has come.
    pub frontends: BTreeMap<String, LogIndex>,
}

/// Who uses a change that may be acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// The frontends that use it, by name, in order.
    pub using: Vec<String>,
    /// The frontends that are known and do not use it yet; they answer "try again" until they do.
    pub behind: Vec<String>,
}

/// A leader's answer to the question how far an entry has spread.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum SpreadAnswer {
    Known(Spread),
    NotLeader,
    /// Not within the time that was granted.
    Waiting,
}

/// What a group on one replica knows of who is answered.
#[derive(Debug)]
pub(super) struct Vouched<I> {
    origin: I,
    own: Mutex<Report>,
    leading: Mutex<Option<Leading>>,
    /// Told whenever somebody has come further.
    progress: watch::Sender<()>,
}

/// What a leader knows in one term.
#[derive(Debug)]
struct Leading {
    term: u64,
    holders: Holders<ReplicaId>,
    reports: BTreeMap<ReplicaId, BTreeMap<String, LogIndex>>,
}

impl Report {
    /// Of a replica by whose word nobody is fresh: it has no readers.
    pub fn nobody() -> Self {
        Self { active: LogIndex(u64::MAX), frontends: BTreeMap::new() }
    }
}

impl Leading {
    fn begin(term: u64, holders: Holders<ReplicaId>) -> Self {
        Self { term, holders, reports: BTreeMap::new() }
    }

    /// Who uses what stands at `index`, if it may be acknowledged.
    fn spread(&self, change: &Unacknowledged, own: &Report, now: Moment) -> Option<Spread> {
        match change.standing(&self.holders, own.active, now) {
            Standing::Waiting { .. } => None,
            Standing::Known { .. } => {
                let mut known = own.frontends.clone();
                // one that changed its key store is as far as it was seen last
                for (frontend, active) in self.reports.values().flatten() {
                    let seen = known.entry(frontend.clone()).or_insert(*active);
                    *seen = (*active).max(*seen);
                }
                Some(split(&known, change.index()))
            }
        }
    }
}

fn split(known: &BTreeMap<String, LogIndex>, index: LogIndex) -> Spread {
    let (using, behind): (Vec<_>, Vec<_>) = known.iter().partition(|(_, active)| **active >= index);
    let names = |of: Vec<(&String, &LogIndex)>| of.into_iter().map(|(name, _)| name.clone()).collect();
    Spread { using: names(using), behind: names(behind) }
}

impl<I> Vouched<I> {
    pub(super) fn begin(origin: I) -> Self {
        Self { origin, own: Mutex::default(), leading: Mutex::default(), progress: watch::Sender::default() }
    }
}

impl<RT: AsyncRuntime> Group<RT> {
    /// Says how far those are who may be fresh by this replica's word: told to the leader with every question for a read index.
    pub fn report(&self, report: Report) {
        *self.vouched.own.lock() = report;
        self.vouched.progress.send_replace(());
    }

    /// What was said last.
    pub fn reported(&self) -> Report {
        self.vouched.own.lock().clone()
    }

    /// This replica's monotonic time since the group was opened. A clock that stands still through a suspend makes every wait longer.
    fn moment(&self) -> Moment {
        Moment::since_origin(RT::Instant::now().saturating_duration_since(self.vouched.origin))
    }

    /// Runs in the term that this replica leads; `None` if it does not.
    fn while_leading<T>(&self, run: impl FnOnce(&mut Leading, Moment) -> T) -> Option<T> {
        let term = {
            let metrics = self.raft.metrics();
            let seen = metrics.borrow_watched();
            (seen.current_leader == Some(self.replica.0)).then_some(seen.current_term)?
        };
        let now = self.moment();
        let mut leading = self.vouched.leading.lock();
        let known = leading.take().filter(|leading| leading.term == term);
        let leading = leading.insert(known.unwrap_or_else(|| {
            let is_alone = self.links.peers.are_none();
            Leading::begin(term, if is_alone { Holders::first(TERM) } else { Holders::begin(now, TERM) })
        }));
        Some(run(leading, now))
    }

    /// Remembers, from the first moment of a term on, that this replica leads.
    pub(super) fn note_leading(&self) {
        // one that does not lead has nobody to remember
        let _ = self.while_leading(|_, _| ());
    }

    /// Notes that a replica is about to be answered; `None` if this one does not lead.
    pub(super) fn note(&self, sender: ReplicaId, report: Report) -> Option<Result<(), TooManyHolders>> {
        self.while_leading(|leading, now| {
            leading.holders.answer(sender, report.active, now)?;
            leading.reports.insert(sender, report.frontends);
            // one that is silent for good is named no more
            let known: BTreeSet<ReplicaId> = leading.holders.known().map(|(replica, ..)| *replica).collect();
            leading.reports.retain(|replica, _| known.contains(replica));
            self.vouched.progress.send_replace(());
            Ok(())
        })
    }

    /// Waits until nobody can refuse for good what the committed entry at `index` allows, and says which frontends use it. Ends soon
    /// after a term, whoever leads, or none: from then on only the names are waited for.
    pub async fn spread(&self, index: LogIndex) -> Spread {
        let change = Unacknowledged::new(index, self.moment());
        let until = TERM.end(self.moment()).plus(NAMES_WAIT_MAX);
        let mut progress = self.vouched.progress.subscribe();
        loop {
            progress.borrow_and_update();
            let left = until.since(self.moment());
            if let Some(spread) = self.spread_within(&change, left).await {
                return spread;
            }
            if left.is_zero() {
                // whoever was fresh without it is not any more; who uses it is known as far as it was told here
                return split(&self.reported().frontends, index);
            }
            self.looked(&mut progress, left).await;
        }
    }

    async fn spread_within(&self, change: &Unacknowledged, left: Duration) -> Option<Spread> {
        if let Some(own) = self.while_leading(|leading, now| leading.spread(change, &self.reported(), now)) {
            return own;
        }
        let (leader, member) = {
            let metrics = self.raft.metrics();
            let seen = metrics.borrow_watched();
            let leader = seen.current_leader?;
            (leader, seen.membership_config.membership().get_node(&leader).cloned())
        };
        let leader = self.other_leader(Some(leader), member)?;
        let body = super::log::encode(&change.index());
        let question = Question { kind: Kind::Spread, lane: Lane::Urgent, body, within: left };
        let to = self.links.to(leader.replica, &leader.member);
        match self.links.ask::<RT, SpreadAnswer>(to, question).await {
            Ok(SpreadAnswer::Known(spread)) => Some(spread),
            Ok(SpreadAnswer::NotLeader | SpreadAnswer::Waiting) => None,
            Err(error) => {
                tracing::debug!(group = %self.id(), %error, "the leader does not say how far a change has spread");
                None
            }
        }
    }

    /// Answers another replica, within what it grants.
    pub(super) async fn answer_spread(&self, index: LogIndex, within: Duration) -> SpreadAnswer {
        let change = Unacknowledged::new(index, self.moment());
        let deadline = RT::Instant::now() + within.saturating_sub(2 * SPREAD_POLL);
        let mut progress = self.vouched.progress.subscribe();
        loop {
            progress.borrow_and_update();
            match self.while_leading(|leading, now| leading.spread(&change, &self.reported(), now)) {
                None => return SpreadAnswer::NotLeader,
                Some(Some(spread)) => return SpreadAnswer::Known(spread),
                Some(None) if RT::Instant::now() >= deadline => return SpreadAnswer::Waiting,
                Some(None) => {
                    let left = deadline.saturating_duration_since(RT::Instant::now());
                    self.looked(&mut progress, left).await;
                }
            }
        }
    }

    /// Waits until somebody has come further, or until it is looked again anyhow: leases run out without a word.
    async fn looked(&self, progress: &mut watch::Receiver<()>, left: Duration) {
        // the sender lives as long as `self`; that nothing was told in time is no error
        drop(RT::timeout(SPREAD_POLL.min(left), progress.changed()).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::since_origin(Duration::from_millis(millis))
    }

    fn report(active: u64, frontends: &[(&str, u64)]) -> Report {
        let frontends = frontends.iter().map(|(name, at)| ((*name).to_owned(), LogIndex(*at))).collect();
        Report { active: LogIndex(active), frontends }
    }

    #[test]
    fn frontends_of_every_key_store_are_named_and_the_slowest_is_waited_for() {
        let mut leading = Leading::begin(1, Holders::begin(at(0), TERM));
        let answer = |leading: &mut Leading, replica, report: Report, millis| {
            leading.holders.answer(ReplicaId(replica), report.active, at(millis)).expect("there is room");
            leading.reports.insert(ReplicaId(replica), report.frontends);
        };
        answer(&mut leading, 2, report(4, &[("b1", 4), ("b2", 4)]), 9_000);
        answer(&mut leading, 3, report(5, &[("c1", 5)]), 9_000);
        let (change, own) = (Unacknowledged::new(LogIndex(5), at(10_000)), report(5, &[("a1", 5)]));
        assert_eq!(leading.spread(&change, &own, at(10_000)), None);
        answer(&mut leading, 2, report(5, &[("b1", 5), ("b2", 5)]), 10_100);
        let all = Spread { using: ["a1", "b1", "b2", "c1"].map(str::to_owned).into(), behind: vec![] };
        assert_eq!(leading.spread(&change, &own, at(10_100)), Some(all));
        // one that hangs is named once its lease has run out
        let later = Unacknowledged::new(LogIndex(6), at(11_000));
        answer(&mut leading, 2, report(5, &[("b1", 5), ("b2", 6)]), 12_000);
        answer(&mut leading, 3, report(6, &[("c1", 6)]), 12_000);
        let own = report(6, &[("a1", 6)]);
        assert_eq!(leading.spread(&later, &own, at(16_500)), None);
        let but_one = Spread { using: ["a1", "b2", "c1"].map(str::to_owned).into(), behind: vec!["b1".to_owned()] };
        assert_eq!(leading.spread(&later, &own, at(16_501)), Some(but_one));
    }

    #[test]
    fn a_leader_that_has_just_begun_acknowledges_nothing_within_a_term() {
        let leading = Leading::begin(2, Holders::begin(at(1_000), TERM));
        let (change, own) = (Unacknowledged::new(LogIndex(5), at(1_000)), report(9, &[]));
        assert_eq!(leading.spread(&change, &own, at(6_500)), None);
        assert_eq!(leading.spread(&change, &own, at(6_501)), Some(Spread::default()));
    }
}
