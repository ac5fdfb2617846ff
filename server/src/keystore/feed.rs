//! Feeding the frontend: tenant keys first, then the view that needs them.

use std::sync::Arc;

use replication::directory::View;
use replication::feed;
use replication::ids::{GroupId, ShardId};
use replication::machine::state::State;
use replication::raft::group::Group;

use super::{KeyStore, Parts};

impl KeyStore {
    /// Publishes one group's views to the frontend until the future is dropped.
    pub async fn feed(&self, id: GroupId, group: &Group) {
        let mut opened = None;
        let publish = |view: View| {
            // a key that does not open is told of once a change, not at every confirmation
            if opened.replace(view.index) != Some(view.index) {
                self.parts.open_tenant_keys(id, &view.state);
            }
            self.parts.directory.publish(id, &view);
        };
        feed::run(group, self.parts.clock.as_ref(), publish).await;
    }
}

impl Parts {
    /// Opens, with the root key, every tenant key of a state that is not open yet, and hands it to the frontend.
    /// One that does not open leaves its tenant unavailable and nobody else.
    pub(super) fn open_tenant_keys(&self, group: GroupId, state: &State) {
        let (Some(meta), Some(shard)) = (state.meta(), ShardId::of(group)) else { return };
        if state.tenants().len() <= self.tenant_keys.count_in(shard) {
            return;
        }
        let mut opened = Vec::new();
        for (tenant, row) in state.tenants().iter().filter(|(tenant, _)| self.tenant_keys.find(shard, tenant).is_none())
        {
            match self.root.0.open(&row.envelopes, meta.lineage, tenant, &self.arena) {
                Ok(key) => opened.push((tenant.clone(), Arc::new(key))),
                Err(error) => tracing::error!(%tenant, %error, "a tenant key does not open; the tenant is unavailable"),
            }
        }
        self.tenant_keys.extend(shard, &opened);
    }
}
