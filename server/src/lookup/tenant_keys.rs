//! The tenant keys of this process, filled by whoever opens them and read by every first use of a version.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use replication::ids::TenantId;

use crate::crypto::TenantKey;

/// Opened tenant keys. Read without a lock; replaced whole.
#[derive(Debug, Default)]
pub struct TenantKeys(ArcSwap<HashMap<TenantId, Arc<TenantKey>>>);

impl TenantKeys {
    /// Adds tenants' keys, or replaces them, in one step.
    pub fn extend(&self, opened: &[(TenantId, Arc<TenantKey>)]) {
        self.0.rcu(|keys| {
            let mut keys = HashMap::clone(keys);
            keys.extend(opened.iter().cloned());
            keys
        });
    }

    /// How many tenants' keys this process has.
    pub fn count(&self) -> usize {
        self.0.load().len()
    }

    /// A tenant's key, if this process has it.
    pub fn find(&self, tenant: &TenantId) -> Option<Arc<TenantKey>> {
        self.0.load().get(tenant).cloned()
    }
}
