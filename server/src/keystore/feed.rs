//! Handing on what each group holds: tenant keys first, then the view that needs them.

use std::sync::{Arc, PoisonError};

use replication::deny_entries::Entries;
use replication::directory::View;
use replication::feed::{self, Outlet, Outlets, ProcessKey, Sealer, Stamp};
use replication::ids::{GroupId, ShardId, TenantId};
use replication::machine::state::State;
use replication::raft::group::Group;
use tokio::sync::watch;

use crate::crypto::Handover;

use super::{FedTo, KeyStore, Parts};

/// In a group's folder: when its view was last confirmed.
const STAMP_FILE: &str = "confirmed";

impl KeyStore {
    /// Publishes one group's views until the future is dropped.
    pub async fn feed(&self, id: GroupId, group: &Group) {
        let mut opened = None;
        let publish = |view: &View| {
            // a key that does not open is told of once a change, not at every confirmation
            if opened.replace(view.index) != Some(view.index) {
                self.parts.open_tenant_keys(id, &view.state);
            }
            self.parts.directory.publish(id, view);
        };
        let stamp = match &self.parts.fed_to {
            FedTo::Own(_) => None,
            FedTo::Frontends => Some(Stamp::at(self.parts.host.folder_of(id).join(STAMP_FILE))),
        };
        let unannounced = || self.parts.host.unannounced(group);
        feed::run(group, &self.outlet_of(id), stamp.as_ref(), unannounced, publish).await;
    }

    /// The group's outlet, made when it is met first.
    fn outlet_of(&self, id: GroupId) -> Arc<Outlet> {
        let clock = || Arc::clone(&self.parts.clock);
        // an outlet is put there whole or not at all
        let mut outlets = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
        let outlet = outlets.entry(id).or_insert_with(|| {
            Arc::new(match &self.parts.fed_to {
                FedTo::Own(name) => Outlet::alone(name.clone(), clock()),
                FedTo::Frontends => Outlet::serving(clock()),
            })
        });
        Arc::clone(outlet)
    }
}

impl Outlets for KeyStore {
    fn outlet(&self, group: GroupId) -> Option<Arc<Outlet>> {
        self.outlets.lock().unwrap_or_else(PoisonError::into_inner).get(&group).cloned()
    }

    fn deny_entries(&self) -> watch::Receiver<Arc<Entries>> {
        self.parts.deny_entries.watch()
    }
}

impl Sealer for KeyStore {
    fn seal(&self, shard: ShardId, tenant: &TenantId, to: &ProcessKey) -> Option<Vec<u8>> {
        let key = self.parts.tenant_keys.find(shard, tenant)?;
        let handover =
            Handover { lineage: self.lineage, frontend: &to.frontend.name, process: &to.process, shard, tenant };
        key.seal_to(&to.public_key, &handover)
            .inspect_err(|error| tracing::warn!(frontend = %to.frontend, %error, "a frontend gets no tenant keys"))
            .ok()
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
