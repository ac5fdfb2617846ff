//! What a replica of a cluster does unasked: plans that were left half-way, by whoever leads the shard, and people that a shard lacks.
//!
//! Everything here can be done twice, and by two at once: what an entry would repeat, it does not do again.

use std::sync::Arc;
use std::time::Duration;

use replication::ids::ReplicaId;
use replication::machine::rows::{Replica, ReplicaKind, Signer};

use super::KeyStore;
use super::shards::Shard;

/// How often it is looked whether something is to be done.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl KeyStore {
    /// Does its duties in every shard, until the future is dropped.
    pub async fn do_duties(self: Arc<Self>) {
        self.for_each_shard("duties", |store, shard| async move { store.do_duties_of(&shard).await }).await;
    }

    async fn do_duties_of(&self, shard: &Shard) {
        let mut has_led = false;
        loop {
            let leader = shard.group.status().leader;
            let leads = leader == Some(self.replica());
            if leads && !has_led && self.settle_plans(shard).await.is_err() {
                tracing::warn!(shard = %shard.id(), "plans that were left half-way are not settled yet; tried again");
            } else {
                has_led = leads;
            }
            if self.is_to_enrol(shard, leader) {
                // what is refused, or not done in time, is told there
                let _ = self.catch_up_people(shard).await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
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
