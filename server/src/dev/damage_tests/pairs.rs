//! A group and a key lost together: the refusal makes no key in the place of the lost one, so that putting both back is all
//! there is to do.

use std::path::Path;
use std::sync::Arc;

use replication::ids::ReplicaId;
use replication::raft::group::{Group, GroupSettings, SnapshotLimits, Timers};
use replication::raft::host::{GROUPS, group_folder};
use replication::raft::network::NoPeers;
use replication::store::blocking::Blocking;
use replication::store::room::Room;
use tokio::sync::watch;

use super::site::{Kept, Site, put, scratch};
use super::start::Bench;
use crate::exit;

/// The keys that a start makes where there are none.
const KEYS: [&str; 2] = ["root.key", "replica-key.der"];

#[test]
fn a_group_lost_with_a_key_is_missed_before_a_key_is_made() {
    let bench = Bench::new();
    let site = super::made(&bench);
    for (group, other) in [("0", "1"), ("1", "0")] {
        for lost in [&KEYS[..1], &KEYS[1..], &KEYS] {
            bench.runtimes.control.block_on(without(&bench, &site, (group, other), lost));
        }
    }
}

/// A group without entries, as a start makes one in a folder that has none.
async fn make_empty_group(data: &Path, name: &str) {
    let group = GROUPS.into_iter().find(|group| group.to_string() == name).expect("it is one of ours");
    let settings = GroupSettings {
        group,
        replica: ReplicaId(1),
        folder: group_folder(data, group),
        timers: Timers::default(),
        blocking: Blocking::Threads,
        limits: SnapshotLimits::default(),
        room: watch::channel(Room::unmeasured(0)).1,
        peers: Arc::new(NoPeers),
    };
    let opened: Group = Group::open(settings).await.expect("an empty folder opens");
    opened.shutdown().await;
}

async fn without(bench: &Bench, site: &Site, (group, other): (&str, &str), keys: &[&str]) {
    let what = format!("groups/{group} and {keys:?}");
    let folder = scratch();
    let data = folder.path().join("data");
    site.lay_out(&data);
    let group_folder = data.join("groups").join(group);
    std::fs::remove_dir_all(&group_folder).expect("it was laid out");
    for key in keys {
        std::fs::remove_file(data.join(key)).expect("it was laid out");
    }
    let gone = format!("groups/{group} is missing or empty");
    let empty = format!("group {group} is empty, and group {other} shows that it was not");
    for words in [gone, empty.clone(), empty] {
        if words.starts_with("group ") && !group_folder.exists() {
            make_empty_group(&data, group).await;
        }
        let refused = bench.start(&data).await.err().map(|error| exit::with_causes(&error)).expect("a group is lost");
        assert!(refused.contains(&words), "{what}: {refused}");
        for key in keys {
            assert!(!data.join(key).exists(), "{what}: {key} was made anew");
        }
    }
    std::fs::remove_dir_all(&group_folder).expect("an empty one lies there");
    let is_lost = |file: &&Kept| file.name.starts_with(&format!("groups/{group}/")) || keys.contains(&&*file.name);
    for file in site.files.iter().filter(is_lost) {
        put(&data, file);
    }
    let started = bench.start(&data).await.expect("everything was put back");
    site.compare(&started).await.expect("it serves as before");
    started.stop().await;
}
