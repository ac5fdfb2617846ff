//! How shards come up on a replica of a cluster: as group 0 names them, and as what is in them arrives.
//!
//! The founder alone makes the first entries of a shard. Every other replica waits for its canary, which comes last of them.
//! Nothing is ever founded under a root key that no shard has shown to be the cluster's: what was acknowledged there would open nowhere else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use replication::ids::{KeyVersionId, ShardId};
use replication::machine::rows::Key;
use replication::machine::state::State;
use replication::raft::group::Group;

use super::KeyStore;
use super::found::{FoundError, canary_name, reserved_tenant};
use super::shards::{Shard, ShardDown, Standing, Trouble};
use super::sound::{ELECTION_DEADLINE, UnsoundError};

/// How often a shard that has not come up is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The same for one that something keeps from it.
const AFTER_TROUBLE: Duration = Duration::from_secs(5);

impl KeyStore {
    /// Brings up every shard that group 0 names, until the future is dropped.
    pub async fn follow_shards(self: Arc<Self>) {
        let mut system = self.system().watch();
        let mut told = BTreeMap::new();
        loop {
            let named: Vec<ShardId> = system.borrow_and_update().state.shards().collect();
            let missing: Vec<_> = named.into_iter().filter(|shard| !self.is_up(*shard)).collect();
            let looked = join_all(missing.iter().map(|shard| async { (*shard, self.follow(*shard).await) }));
            let mut pause = None;
            for (shard, up) in looked.await {
                pause = match &up {
                    Ok(Come::Up) => pause,
                    Ok(Come::NotYet) => pause.max(Some(LOOK_EVERY)),
                    Err(_) => pause.max(Some(AFTER_TROUBLE)),
                };
                if let Err(error) = up {
                    let why = error.to_string();
                    if told.insert(shard, why.clone()) != Some(why) {
                        self.is_down(shard, error);
                    }
                }
            }
            let changed = system.changed();
            let over = match pause {
                None => changed.await.is_err(),
                Some(pause) => matches!(tokio::time::timeout(pause, changed).await, Ok(Err(_))),
            };
            if over {
                // group 0 has ended
                return;
            }
        }
    }

    /// Waits until a shard shows that the root key here is not the cluster's. Nothing may go on under it.
    pub async fn root_is_wrong(&self) -> FoundError {
        let shows = |standing: &Standing| matches!(standing, Standing::Down(error) if error.is_of_the_root());
        // the sender lives as long as `self`
        drop(self.watch_shards().wait_for(|shards| shards.values().any(shows)).await);
        UnsoundError::RootKey.into()
    }

    /// Whether the root key here has opened what is in a shard, so that it is the cluster's.
    pub(super) fn root_is_proven(&self) -> bool {
        self.watch_shards().borrow().values().any(|standing| standing.serving().is_some())
    }

    /// Whether this replica may found a shard: the first one, before which nothing was sealed under any root key and which the founder
    /// of the cluster alone founds, or any other once the root key is known to be the cluster's.
    fn may_found(&self, shard: ShardId) -> bool {
        self.system_state().founder(shard) == Some(self.replica()) && (shard == ShardId::FIRST || self.root_is_proven())
    }

    fn is_up(&self, shard: ShardId) -> bool {
        self.watch_shards().borrow().get(&shard).is_some_and(|standing| standing.serving().is_some())
    }

    async fn follow(&self, id: ShardId) -> Result<Come, FoundError> {
        let Some(group) = self.parts.host.shard(id) else { return Ok(Come::NotYet) };
        let state = || group.watch().borrow().state.clone();
        if self.may_found(id) && self.canary_in(id, &state())?.is_none() && group.status().leader.is_some() {
            match self.found(id, &group).await {
                // whoever leads may just change: looked at again
                Err(error) if error.may_pass() => {
                    tracing::debug!(shard = %id, %error, "the shard is not founded yet");
                    return Ok(Come::NotYet);
                }
                other => other?,
            }
        }
        let Some(canary) = self.canary_in(id, &state())? else { return Ok(Come::NotYet) };
        self.stands(id, Standing::Serves(Arc::new(Shard::new(id, group, canary))));
        tracing::info!(shard = %id, "this shard is here");
        Ok(Come::Up)
    }

    /// The first entries of a shard.
    async fn found(&self, id: ShardId, group: &Arc<Group>) -> Result<(), FoundError> {
        self.parts.found_shard(self.lineage, group).await?;
        let canary = self.parts.found_canary(self.lineage, id, group).await?;
        // whoever joined before the shard was there
        self.catch_up_people(&Shard::new(id, Arc::clone(group), canary)).await?;
        Ok(())
    }

    /// A shard's canary, if it has one, its tenants' keys opened.
    ///
    /// # Errors
    /// If the shard is another cluster's, or its keys open under another root key.
    pub(super) fn canary_in(&self, id: ShardId, state: &State) -> Result<Option<KeyVersionId>, FoundError> {
        if state.meta().is_some_and(|meta| meta.lineage != self.lineage) {
            return Err(UnsoundError::GroupForeign(id.group()).into());
        }
        let (tenant, name) = (reserved_tenant(), canary_name());
        let Some(key) = state.row::<Key>(&(tenant.clone(), name)) else { return Ok(None) };
        self.parts.open_tenant_keys(id.group(), state);
        self.parts.tenant_keys.find(id, &tenant).ok_or(UnsoundError::RootKey)?;
        Ok(key.versions.get(&key.primary).copied())
    }

    /// Waits until a shard that group 0 names has come up here.
    pub(super) async fn come_up(&self, shard: ShardId) -> Result<Arc<Shard>, ShardDown> {
        let mut shards = self.watch_shards();
        let up = shards.wait_for(|shards| shards.get(&shard).is_some_and(|one| one.serving().is_some()));
        match tokio::time::timeout(ELECTION_DEADLINE, up).await {
            Ok(_) => self.shard(shard),
            Err(_) => Err(ShardDown { shard, trouble: Trouble::NotYet }),
        }
    }
}

/// What a look at a shard came to.
enum Come {
    Up,
    NotYet,
}
