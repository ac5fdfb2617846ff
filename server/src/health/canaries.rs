//! The canary keys of the shards, as the directory knows them: what a machine probes that keeps no group itself.
//!
//! Never asks another machine, and never names a key that no view holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use replication::directory::Directory;
use replication::ids::{GroupId, KeyName, ShardId, TenantId, key_path};
use replication::machine::apply::RESERVED_TENANT;
use replication::machine::rows::Key;

use super::probe::{Canaries, Canary, Users};

/// The name of the key that each shard's reserved tenant has for probes.
const CANARY_KEY: &str = "canary";

/// The canary of every shard whose view holds one.
pub fn in_directory(directory: Arc<Directory>) -> Canaries {
    let tenant: TenantId = RESERVED_TENANT.parse().expect("the reserved tenant has a legal name");
    let name: KeyName = CANARY_KEY.parse().expect("the canary key has a legal name");
    let canary_key = (tenant, name);
    Arc::new(move || {
        let used = used_shards(&directory);
        let canary = |group: GroupId| {
            let (shard, view) = (ShardId::of(group)?, directory.view(group)?);
            let key = view.state.row::<Key>(&canary_key)?;
            let version = *key.versions.get(&key.primary)?;
            Some(Canary { shard, key_path: key_path(version), users: users(&used, shard) })
        };
        directory.groups().filter_map(canary).collect()
    })
}

/// The shards that tenants were placed in.
fn used_shards(directory: &Directory) -> BTreeSet<ShardId> {
    let system = directory.view(GroupId::SYSTEM);
    system.iter().flat_map(|view| view.state.placements().values().map(|placed| placed.shard)).collect()
}

/// Who depends on a shard, where these have tenants.
pub fn users(used: &BTreeSet<ShardId>, shard: ShardId) -> Users {
    match used.contains(&shard) {
        _ if used.is_empty() => Users::NobodyYet,
        true => Users::Tenants,
        false => Users::Elsewhere,
    }
}
