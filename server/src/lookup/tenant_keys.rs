//! The tenant keys of this process, filled by whoever opens them and read by every first use of a version.
//!
//! By shard: the reserved tenant lives in each, with a key of its own.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use replication::ids::{ShardId, TenantId};

use crate::crypto::TenantKey;

/// The keys of one shard's tenants.
type Keys = HashMap<TenantId, Arc<TenantKey>>;

/// Opened tenant keys. Read without a lock; replaced whole.
#[derive(Debug, Default)]
pub struct TenantKeys(ArcSwap<HashMap<ShardId, Keys>>);

impl TenantKeys {
    /// Adds keys of a shard's tenants, or replaces them, in one step.
    pub fn extend(&self, shard: ShardId, opened: &[(TenantId, Arc<TenantKey>)]) {
        self.0.rcu(|keys| {
            let mut keys = HashMap::clone(keys);
            keys.entry(shard).or_default().extend(opened.iter().cloned());
            keys
        });
    }

    /// How many tenants' keys of a shard this process has.
    pub fn count_in(&self, shard: ShardId) -> usize {
        self.0.load().get(&shard).map_or(0, HashMap::len)
    }

    /// A tenant's key, if this process has it.
    pub fn find(&self, shard: ShardId, tenant: &TenantId) -> Option<Arc<TenantKey>> {
        self.0.load().get(&shard)?.get(tenant).cloned()
    }
}
