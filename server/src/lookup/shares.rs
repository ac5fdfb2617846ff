//! Opened material, a share of the cache for each shard: however much one shard's keys are used, they push out none of another's.
//!
//! When a shard is first met, the shares are dealt anew, and what was open is opened again when it is next used.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use moka::sync::Cache;
use replication::ids::{KeyVersionId, ShardId};

use crate::crypto::UsableMaterial;

/// One shard's share.
pub(super) type Share = Cache<KeyVersionId, Arc<UsableMaterial>>;

/// The shares of all shards.
pub(super) struct Shares {
    versions_max: u64,
    shares: ArcSwap<BTreeMap<ShardId, Share>>,
}

impl Shares {
    /// Shares of at most `versions_max` versions together, and of at least one each.
    pub(super) fn new(versions_max: u64) -> Self {
        Self { versions_max, shares: ArcSwap::from_pointee(BTreeMap::new()) }
    }

    /// A shard's share, dealt if it has none yet.
    pub(super) fn of(&self, shard: ShardId) -> Share {
        if let Some(share) = self.shares.load().get(&shard) {
            return share.clone();
        }
        let before = self.shares.rcu(|shares| {
            if shares.contains_key(&shard) {
                return Arc::clone(shares);
            }
            let shards: Vec<ShardId> = shares.keys().copied().chain([shard]).collect();
            let count = u64::try_from(shards.len()).unwrap_or(u64::MAX);
            let each = (self.versions_max / count).max(1);
            Arc::new(shards.into_iter().map(|shard| (shard, Cache::new(each))).collect())
        });
        let dealt = self.shares.load();
        if !Arc::ptr_eq(&before, &dealt) {
            before.values().for_each(let_go);
        }
        dealt.get(&shard).cloned().unwrap_or_else(|| Cache::new(1))
    }

    /// Every share there is.
    pub(super) fn all(&self) -> Vec<(ShardId, Share)> {
        self.shares.load().iter().map(|(shard, share)| (*shard, share.clone())).collect()
    }

    /// Has what is out of use overwritten now: it is otherwise when a cache next does its housekeeping.
    pub(super) fn tidy(&self) {
        self.shares.load().values().for_each(Cache::run_pending_tasks);
    }
}

fn let_go(share: &Share) {
    share.invalidate_all();
    share.run_pending_tasks();
}
