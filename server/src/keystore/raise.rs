//! Bringing shards up: at a start all of them, later those that are added.
//!
//! Every step looks first whether it is done, so that a crash between two of them costs nothing: the next start, or the same request
//! sent again, goes on. What keeps one shard from being brought up is told and leaves the others alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use replication::ids::{GroupId, ShardId};
use replication::machine::command::{Action, AddShard};
use replication::machine::request::{Request, SignedRequest};
use replication::raft::group::{Group, ProposeError};

use super::KeyStore;
use super::answer::Answer;
use super::execute::ExecuteError;
use super::found::FoundError;
use super::shards::{Shard, ShardDown, Standing, Trouble};
use super::sound::{ELECTION_DEADLINE, Judged};

/// How often a shard that may yet come up is tried again.
const AGAIN_EVERY: Duration = Duration::from_mins(1);

impl KeyStore {
    /// Brings up again and again what was down for a reason that may pass, until the future is dropped: a disk that was slow for a
    /// while must not keep a shard's tenants out until somebody starts the process anew.
    pub async fn raise_again(&self) {
        loop {
            tokio::time::sleep(AGAIN_EVERY).await;
            for (shard, standing) in self.each_shard() {
                if standing.is_err_and(|down| down.trouble.may_pass()) {
                    // why it is not up is told where that is found
                    let _ = self.raise(shard).await;
                }
            }
        }
    }

    /// Brings up every shard that group 0 names, those that hold something first: a root key that does not fit them must make
    /// nothing new.
    pub(super) async fn raise_all(&self, judged: Judged) -> Result<(), FoundError> {
        let mut down = BTreeMap::new();
        let (mut known, mut new) = (Vec::new(), Vec::new());
        for (shard, found) in judged.shards {
            match found {
                Ok(found) if found.is_known() => known.push((shard, found.group)),
                Ok(found) => new.push((shard, found.group)),
                Err(error) => drop(down.insert(shard, error)),
            }
        }
        known.extend(new);
        for (shard, group) in known {
            match self.bring_up(shard, group).await {
                Ok(up) => self.stands(shard, Standing::Serves(up)),
                Err(error) if error.is_of_the_root() => return Err(error),
                Err(error) => drop(down.insert(shard, error)),
            }
        }
        // what group 0 named after it was opened
        let here = self.parts.host.shards();
        let unopened: Vec<ShardId> = self.system_state().shards().filter(|shard| !here.contains(shard)).collect();
        for shard in unopened {
            if let Err(error) = self.open_and_bring_up(shard).await {
                down.insert(shard, error);
            }
        }
        if self.serving().is_empty()
            && let Some((_, error)) = down.pop_first()
        {
            return Err(error);
        }
        for (shard, error) in down {
            self.is_down(shard, error);
        }
        Ok(())
    }

    /// Adds a shard to the cluster, and brings it up here.
    pub(super) async fn add_shard(
        &self,
        asked: &SignedRequest,
        request: &Request,
        shard: ShardId,
    ) -> Result<Answer, ExecuteError> {
        if !self.parts.host.is_alone() && !self.root_is_proven() {
            // the founder of a shard seals with its own root key
            return Err(ShardDown { shard: ShardId::FIRST, trouble: Trouble::NotYet }.into());
        }
        let add = Action::AddShard(AddShard { shard, founder: self.parts.host.replica() });
        let entry = self.completed(GroupId::SYSTEM, request.idempotency_id, asked, add);
        let done = self.parts.propose(self.parts.host.system(), entry).await?;
        // it belongs to the cluster from here on: the same request, sent again, goes on
        let up = self.raise(shard).await.map_err(|_| ProposeError::Unknown)?;
        let index = up.group.watch().borrow().index;
        let made = Answer { repeated: done.repeated, index: done.index, shard: Some(shard), ..Answer::default() };
        Ok(self.in_use(made, &[(GroupId::SYSTEM, done.index), (up.group_id(), index)]).await)
    }

    /// The shard, brought up if it is not.
    async fn raise(&self, shard: ShardId) -> Result<Arc<Shard>, ExecuteError> {
        if !self.parts.host.is_alone() {
            return Ok(self.come_up(shard).await?);
        }
        let _one_at_a_time = self.raising.lock().await;
        if let Ok(up) = self.shard(shard) {
            return Ok(up);
        }
        if let Err(error) = self.open_and_bring_up(shard).await {
            self.is_down(shard, error);
        }
        Ok(self.shard(shard)?)
    }

    async fn open_and_bring_up(&self, shard: ShardId) -> Result<(), FoundError> {
        let group = self.parts.host.open_shard(shard, ELECTION_DEADLINE).await.map_err(FoundError::Shard)?;
        let up = self.bring_up(shard, group).await?;
        self.stands(shard, Standing::Serves(up));
        Ok(())
    }

    /// Founds what is not there of a shard, opens its tenants' keys, and goes on with what was begun in it.
    async fn bring_up(&self, id: ShardId, group: Arc<Group>) -> Result<Arc<Shard>, FoundError> {
        self.parts.found_shard(self.lineage, &group).await?;
        let canary = self.parts.found_canary(self.lineage, id, &group).await?;
        self.parts.open_tenant_keys(id.group(), &group.watch().borrow().state.clone());
        let shard = Shard::new(id, group, canary);
        self.settle_plans(&shard).await?;
        self.catch_up_people(&shard).await?;
        Ok(Arc::new(shard))
    }

    pub(super) fn stands(&self, shard: ShardId, standing: Standing) {
        self.shards.send_modify(|shards| drop(shards.insert(shard, standing)));
    }

    pub(super) fn is_down(&self, shard: ShardId, error: FoundError) {
        self.stands(shard, Standing::Down(Arc::new(error)));
        if let Err(down) = self.shard(shard) {
            tracing::error!(%shard, "{down}");
        }
    }
}
