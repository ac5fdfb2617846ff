//! When a key store counts as ready: group 0 and every shard that it names are applied here, and how old that is is known.
//!
//! Asks nobody: it looks at what the feeds of the groups have found out.

use std::sync::Arc;
use std::time::Duration;

use replication::clock::Clock;
use replication::freshness::Age;
use replication::ids::{GroupId, ShardId};
use replication::raft::host::Host;

use crate::health::Readiness;
use crate::keystore::KeyStore;

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(500);

/// Says that this replica is not ready, for a reason, until the future is dropped.
pub(super) async fn say(readiness: Arc<Readiness>, clock: Arc<dyn Clock>, reason: impl Fn() -> String) {
    loop {
        readiness.publish(clock.now(), vec![reason()]);
        tokio::time::sleep(EVERY).await;
    }
}

/// Publishes the readiness of a key store, until the future is dropped.
pub(super) async fn of_key_store(readiness: Arc<Readiness>, clock: Arc<dyn Clock>, store: Arc<KeyStore>) {
    loop {
        readiness.publish(clock.now(), reasons(&store));
        tokio::time::sleep(EVERY).await;
    }
}

fn reasons(store: &KeyStore) -> Vec<String> {
    let now = store.now();
    let is_known = |group| store.directory().age(group, now).and_then(Age::known).is_some();
    let mut reasons = Vec::new();
    if !is_known(GroupId::SYSTEM) {
        reasons.push("group 0 has not been confirmed here: no quorum, or this replica has not caught up".to_owned());
    }
    for (shard, standing) in store.each_shard() {
        match standing {
            Err(down) => reasons.push(format!("shard {shard}: {}", down.why())),
            Ok(_) if !is_known(shard.group()) => {
                reasons.push(format!("shard {shard} has not been confirmed here: no quorum, or not caught up"));
            }
            Ok(_) => {}
        }
    }
    reasons
}

/// Publishes the readiness of a witness, until the future is dropped: it is ready if somebody leads each of its groups.
pub(super) async fn of_witness(readiness: Arc<Readiness>, clock: Arc<dyn Clock>, host: Arc<Host>) {
    loop {
        let named: Vec<_> = host.system().watch().borrow().state.shards().collect();
        let groups = std::iter::once(GroupId::SYSTEM).chain(named.into_iter().map(ShardId::group));
        let is_led = |group| host.group(group).is_some_and(|group| group.status().leader.is_some());
        let reasons = groups.filter(|group| !is_led(*group)).map(|group| format!("group {group} has no leader"));
        readiness.publish(clock.now(), reasons.collect());
        tokio::time::sleep(EVERY).await;
    }
}
