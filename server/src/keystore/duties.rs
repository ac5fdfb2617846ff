//! What a replica of a cluster does unasked: plans that were left half-way, by whoever leads the shard, and people that a shard lacks.
//!
//! Everything here can be done twice, and by two at once: what an entry would repeat, it does not do again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use replication::ids::ReplicaId;
use replication::machine::rows::{Replica, ReplicaKind, Signer};

use super::KeyStore;
use super::shards::Shard;

/// How often a plan is seen adopted before whoever adopted it counts as gone: it had 10 seconds, and settles it within 5 or never.
const LOOKS: u32 = 3;

/// How often it is looked whether something is to be done.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl KeyStore {
    /// Does its duties in every shard, until the future is dropped.
    pub async fn do_duties(self: Arc<Self>) {
        self.for_each_shard("duties", |store, shard| async move { store.do_duties_of(&shard).await }).await;
    }

    async fn do_duties_of(&self, shard: &Shard) {
        let mut left = LeftPlans::default();
        loop {
            let leader = shard.group.status().leader;
            if leader == Some(self.replica()) {
                self.settle_left(shard, &mut left).await;
            } else {
                left = LeftPlans::default();
            }
            if self.is_to_enrol(shard, leader)
                && let Err(error) = self.catch_up_people(shard).await
            {
                tracing::warn!(shard = %shard.id(), error = &error as &dyn std::error::Error, "the shard does not take in who may sign; tried again");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Goes on with what replicas left half-way that are gone, or do not lead any more.
    async fn settle_left(&self, shard: &Shard, left: &mut LeftPlans) {
        if shard.takes_none().is_some() {
            return; // which is told elsewhere
        }
        let due = left.look(&shard.state().plans().keys().copied().collect());
        if due.is_empty() {
            return;
        }
        match self.settle(shard, &due).await {
            Ok(refused) => left.refused.extend(refused),
            Err(error) => {
                tracing::warn!(shard = %shard.id(), %error, "plans that were left half-way are not settled yet; tried again");
            }
        }
    }

    /// Whether this replica is to tell a shard of people: it leads it, or its leader is one whose signatures do not count there.
    fn is_to_enrol(&self, shard: &Shard, leader: Option<ReplicaId>) -> bool {
        leader.is_some_and(|leader| leader == self.replica() || !self.signs_in(shard, leader))
            && self.signs_in(shard, self.replica())
            && self.lacks_people(shard)
    }

    fn signs_in(&self, shard: &Shard, replica: ReplicaId) -> bool {
        let system = self.system_state();
        match system.row::<Replica>(&replica).map(|row| &row.kind) {
            Some(ReplicaKind::Data { signer, .. }) => shard.state().row::<Signer>(signer).is_some(),
            Some(ReplicaKind::Witness) | None => false,
        }
    }

    /// Keeps the time of a shard for as long as this replica leads it, whenever it does.
    pub(super) async fn count_while_leading(&self, shard: &Shard) {
        let own = self.replica();
        while shard.group.wait_status(|status| status.leader == Some(own)).await.is_ok() {
            tokio::select! {
                () = self.keep_time_of(shard) => return,
                other = shard.group.wait_status(|status| status.leader != Some(own)) => if other.is_err() { return },
            }
        }
    }
}

/// The plans of a shard that stand adopted, as its leader sees them from one look to the next.
#[derive(Default)]
struct LeftPlans {
    /// How often each was seen; `None` before the first look, at which everything is somebody else's.
    seen: Option<BTreeMap<[u8; 32], u32>>,
    /// Those that asking again changes nothing of.
    refused: BTreeSet<[u8; 32]>,
}

impl LeftPlans {
    /// Notes which stand adopted now, and gives those that nobody else is going to settle.
    fn look(&mut self, adopted: &BTreeSet<[u8; 32]>) -> BTreeSet<[u8; 32]> {
        self.refused.retain(|plan| adopted.contains(plan));
        let seen = match &self.seen {
            None => adopted.iter().map(|plan| (*plan, LOOKS)).collect(),
            Some(before) => {
                let again = |plan| before.get(plan).map_or(1, |seen| seen.saturating_add(1));
                adopted.iter().map(|plan| (*plan, again(plan))).collect::<BTreeMap<_, _>>()
            }
        };
        let due = seen.iter().filter(|(plan, seen)| **seen >= LOOKS && !self.refused.contains(*plan));
        let due = due.map(|(plan, _)| *plan).collect();
        self.seen = Some(seen);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_stands_is_settled_again_and_again_unless_it_is_refused() {
        let plans = |numbers: &[u8]| numbers.iter().map(|number| [*number; 32]).collect::<BTreeSet<_>>();
        let mut left = LeftPlans::default();
        assert_eq!(left.look(&plans(&[1, 2])), plans(&[1, 2]), "what was there before this leader");
        left.refused = plans(&[2]);
        assert_eq!(left.look(&plans(&[1, 2, 3])), plans(&[1]), "the third has just been adopted");
        assert_eq!(left.look(&plans(&[2, 3])), plans(&[]));
        assert_eq!(left.look(&plans(&[2, 3])), plans(&[3]), "whoever adopted it is gone");
        assert_eq!(left.look(&plans(&[2, 3])), plans(&[3]), "and it is not done yet");
        assert_eq!(left.look(&plans(&[4])), plans(&[]));
        assert_eq!(left.refused, plans(&[]), "what has settled is forgotten");
    }
}
