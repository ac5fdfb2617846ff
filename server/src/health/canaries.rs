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

#[cfg(test)]
mod tests {
    use replication::clock::Moment;
    use replication::directory::View;
    use replication::ids::{KeyVersionId, LogIndex};
    use replication::machine::command::{Action, AddShard, CreateKey, CreateTenant};
    use replication::machine::rows::{Envelope, Origin, Purpose, Sealed, Staleness};
    use replication::testkit::{Author, new_version, played};

    use super::*;

    fn publish(directory: &Directory, group: GroupId, entries: &[Vec<u8>]) {
        let view = View {
            state: played(entries),
            index: LogIndex(entries.len() as u64),
            confirmed: Some(Moment::since_origin(std::time::Duration::ZERO)),
        };
        directory.publish(group, &view);
    }

    fn second() -> ShardId {
        ShardId(std::num::NonZeroU16::MIN.saturating_add(1))
    }

    /// What a key store founds a shard with.
    fn founded(author: &Author, shard: ShardId, version: KeyVersionId) -> Vec<Vec<u8>> {
        let tenant: TenantId = RESERVED_TENANT.parse().expect("a legal name");
        let envelope = Envelope { provider: "file".into(), root_version: 1, sealed: Sealed(vec![1; 61]) };
        let create = CreateTenant {
            tenant: tenant.clone(),
            staleness: Staleness::Available,
            envelopes: vec![envelope],
            policy: None,
        };
        let key = CreateKey {
            tenant,
            name: CANARY_KEY.parse().expect("a legal name"),
            crypto_space: None,
            purpose: Purpose::EncryptDecrypt,
            version: new_version(version, Origin::Generated),
        };
        let group = shard.group();
        vec![
            author.genesis(group),
            author.automatic(group, Action::CreateTenant(create)),
            author.automatic(group, Action::CreateKey(key)),
        ]
    }

    #[test]
    fn a_canary_is_known_once_a_view_holds_it_and_whose_shard_it_is_is_told_by_group_0() {
        let (author, directory) = (Author::default(), Arc::new(Directory::new([])));
        let canaries = in_directory(Arc::clone(&directory));
        let found = || -> Vec<_> { canaries().into_iter().map(|one| (one.shard, one.key_path, one.users)).collect() };
        assert_eq!(found(), []);
        let mut system = vec![
            author.genesis(GroupId::SYSTEM),
            author.does(
                GroupId::SYSTEM,
                Action::AddShard(AddShard { shard: ShardId::FIRST, founder: replication::ids::ReplicaId(1) }),
            ),
            author.does(
                GroupId::SYSTEM,
                Action::AddShard(AddShard { shard: second(), founder: replication::ids::ReplicaId(1) }),
            ),
        ];
        publish(&directory, GroupId::SYSTEM, &system);
        assert_eq!(found(), [], "shards whose views are not there have none yet");
        let [one, two] = [1, 2].map(|byte| KeyVersionId::from_bytes([byte; 16]));
        publish(&directory, ShardId::FIRST.group(), &founded(&author, ShardId::FIRST, one));
        publish(&directory, second().group(), &founded(&author, second(), two));
        let paths = [key_path(one), key_path(two)];
        let told = |users: [Users; 2]| {
            let shards = [ShardId::FIRST, second()].into_iter().zip(paths.clone()).zip(users);
            shards.map(|((shard, path), users)| (shard, path, users)).collect::<Vec<_>>()
        };
        assert_eq!(found(), told([Users::NobodyYet; 2]));
        system.push(author.place_tenant(&"acme".parse().expect("a legal name")));
        publish(&directory, GroupId::SYSTEM, &system);
        assert_eq!(found(), told([Users::Tenants, Users::Elsewhere]));
    }
}
