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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::crypto::{Arena, LockPolicy, Material, SystemEntropy};

    const SECOND: ShardId = ShardId(std::num::NonZeroU16::MIN.saturating_add(1));

    fn arena() -> Arc<Arena> {
        Arena::new(NonZeroU32::new(64).expect("64 is positive"), LockPolicy::Warn).expect("a small arena can be had")
    }

    fn open(share: &Share, arena: &Arc<Arena>, number: u8) -> KeyVersionId {
        let id = KeyVersionId::from_bytes([number; 16]);
        let material = Material::generate(arena, &SystemEntropy).expect("there is room");
        share.insert(id, Arc::new(UsableMaterial::new(material, id)));
        id
    }

    #[test]
    fn a_busy_shard_pushes_out_no_key_of_another() {
        let (arena, shares) = (arena(), Shares::new(4));
        let (_, busy) = (shares.of(ShardId::FIRST), shares.of(SECOND));
        let kept = open(&shares.of(ShardId::FIRST), &arena, 0);
        for number in 1..20 {
            open(&busy, &arena, number);
            shares.tidy();
        }
        assert!(shares.of(ShardId::FIRST).contains_key(&kept));
        assert!(busy.entry_count() <= 2, "it has its own half: {}", busy.entry_count());
    }

    #[test]
    fn a_shard_that_is_met_has_the_shares_dealt_anew() {
        let (arena, shares) = (arena(), Shares::new(4));
        let kept = open(&shares.of(ShardId::FIRST), &arena, 1);
        assert!(shares.of(ShardId::FIRST).contains_key(&kept), "as long as no other shard is met");
        shares.of(SECOND);
        assert!(!shares.of(ShardId::FIRST).contains_key(&kept), "it is opened again when it is next used");
        assert_eq!(shares.all().len(), 2);
    }
}
