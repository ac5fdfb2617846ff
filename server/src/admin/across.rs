//! Lists that go through several shards: tenants of all of them, in the order of their names, wherever each lives.
//!
//! A shard that cannot be looked at hides nothing of the others, and the page says that it is missing.

use std::ops::Bound;
use std::sync::Arc;

use replication::ids::{ShardId, TenantId};
use replication::machine::rows::Tenant;
use replication::machine::state::State;

use crate::keystore::KeyStore;

/// The states of the shards that can be looked at, and the shards that cannot.
pub(super) struct Across {
    pub(super) states: Vec<(ShardId, State)>,
    pub(super) missing: Vec<ShardId>,
}

/// A tenant, and where it lives.
pub(super) struct Lives<'a> {
    pub(super) shard: ShardId,
    pub(super) state: &'a State,
    pub(super) tenant: &'a TenantId,
    pub(super) row: &'a Arc<Tenant>,
}

impl Across {
    pub(super) fn of(store: &KeyStore) -> Self {
        let (mut states, mut missing) = (Vec::new(), Vec::new());
        for (shard, _) in store.each_shard() {
            match store.shown_in(shard) {
                Ok(state) => states.push((shard, state)),
                Err(_) => missing.push(shard),
            }
        }
        Self { states, missing }
    }

    /// The tenants from a name on.
    pub(super) fn tenants(&self, from: &Bound<TenantId>) -> impl Iterator<Item = Lives<'_>> + use<'_> {
        let each = self.states.iter().map(|(shard, state)| {
            let tenants = state.tenants().range((from.clone(), Bound::Unbounded));
            tenants.map(|(tenant, row)| Lives { shard: *shard, state, tenant, row }).peekable()
        });
        let mut each: Vec<_> = each.collect();
        std::iter::from_fn(move || {
            let heads = each.iter_mut().enumerate().filter_map(|(at, rest)| Some((rest.peek()?.tenant, at)));
            let (_, at) = heads.min()?;
            each[at].next()
        })
    }
}
