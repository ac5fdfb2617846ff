//! A group on a disk that is short of room, or full: what it refuses, what waits, and what goes on.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::bench::{AMPLE, SHARD, done, key, set_up, settings, version};
use crate::ids::{GroupId, ReplicaId};
use crate::machine::rows::KeyVersion;
use crate::raft::group::{Failure, Group, GroupSettings, ProposeError, SnapshotLimits, Timers};
use crate::raft::host::{Host, HostSettings};
use crate::store::blocking::Blocking;
use crate::store::held::HeldStorage;
use crate::store::log::LogStore;
use crate::store::room::{Room, Space};
use crate::store::small_disk::SmallDisk;
use crate::testkit::Author;

const AMPLE_ROOM: u64 = 1 << 40;
const RESERVE: u64 = 1 << 30;

const fn free(free_bytes: u64) -> Space {
    Space { free_bytes, total_bytes: u64::MAX }
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

/// A group whose log is on one disk, and whose snapshots are on another.
async fn opened_on(folder: &Path, log: SmallDisk, snapshots: SmallDisk, limits: SnapshotLimits) -> Group {
    let settings = GroupSettings { limits, ..settings(folder) };
    let log = LogStore::open(log, settings.owner(), settings.blocking).expect("an empty log opens");
    let group = Group::open_with(log, Arc::new(snapshots), settings).await.expect("an empty group opens");
    group.initialise_single(AMPLE).await.expect("the only voter is elected");
    group
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_short_of_room_puts_nothing_new_in_its_log_and_finishes_what_was_begun() {
    let (author, folder) = (Author::default(), temporary());
    let (room, watched) = watch::channel(Room::unmeasured(RESERVE).measured(free(AMPLE_ROOM)));
    let settings = GroupSettings { room: watched, ..settings(folder.path()) };
    let log = LogStore::open(HeldStorage::default(), settings.owner(), settings.blocking).expect("an empty log opens");
    let group = Group::open_on(log.clone(), settings).await.expect("an empty group opens");
    group.initialise_single(AMPLE).await.expect("the only voter is elected");
    set_up(&group, &author).await;
    let last = |log: &LogStore| log.last().expect("the log reads").map(|(index, _)| index);
    let before = last(&log);

    room.send_modify(|room| *room = room.measured(free(RESERVE - 1)));
    let refused = group.propose(key(&author, 1), AMPLE).await;
    let Err(ProposeError::NoRoom(shortage)) = refused else { panic!("{refused:?}") };
    assert_eq!((shortage.free_bytes, group.shortage()), (RESERVE - 1, Some(shortage)));
    assert_eq!(last(&log), before, "a refused change is in the log");
    let read = group.read_index().await.expect("reads go on");
    group.wait_applied(read).await.expect("what is applied stays readable");

    group.propose_from_reserve(key(&author, 2), AMPLE).await.expect("the reserve is for what was begun");
    assert!(last(&log) > before);
    room.send_modify(|room| *room = room.measured(free(AMPLE_ROOM)));
    done(&group, key(&author, 1)).await;
    group.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_on_a_full_disk_is_unknown_until_there_is_room_and_reads_go_on() {
    let (author, folder) = (Author::default(), temporary());
    let disk = SmallDisk::with_room(AMPLE_ROOM);
    let group = opened_on(folder.path(), disk.clone(), disk.clone(), SnapshotLimits::default()).await;
    set_up(&group, &author).await;
    done(&group, key(&author, 1)).await;
    disk.refuses_writes();
    let entry = key(&author, 2);
    assert_eq!(group.propose(entry.clone(), Duration::from_millis(200)).await, Err(ProposeError::Unknown));
    while group.shortage().is_none() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(group.propose(entry.clone(), AMPLE).await, Err(ProposeError::NoRoom(_))));
    let read = group.read_index().await.expect("reads go on");
    group.wait_applied(read).await.expect("what is applied stays readable");
    assert!(group.watch().borrow().state.row::<KeyVersion>(&version(1)).is_some());
    assert!(group.watch().borrow().state.row::<KeyVersion>(&version(2)).is_none(), "shown before it was durable");
    disk.takes_writes();
    while group.shortage().is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let again = group.propose(entry, AMPLE).await.expect("the group runs and leads");
    assert!(group.watch().borrow().index >= again.index);
    group.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_waits_for_room_shuts_down() {
    let (author, folder) = (Author::default(), temporary());
    let disk = SmallDisk::with_room(AMPLE_ROOM);
    let group = opened_on(folder.path(), disk.clone(), disk.clone(), SnapshotLimits::default()).await;
    set_up(&group, &author).await;
    disk.refuses_writes();
    assert_eq!(group.propose(key(&author, 1), Duration::from_millis(50)).await, Err(ProposeError::Unknown));
    tokio::time::timeout(AMPLE, group.shutdown()).await.expect("a full disk does not hold the end up");
}

const EVERY_FEW: SnapshotLimits = SnapshotLimits { entries: 4, bytes: u64::MAX, interval: Duration::from_hours(9) };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_finds_no_room_leaves_nothing_behind_and_is_written_later() {
    let (author, folder) = (Author::default(), temporary());
    let (log, snapshots) = (SmallDisk::with_room(AMPLE_ROOM), SmallDisk::with_room(100));
    let group = opened_on(folder.path(), log, snapshots.clone(), EVERY_FEW).await;
    set_up(&group, &author).await;
    for number in 1..=8 {
        done(&group, key(&author, number)).await;
    }
    while snapshots.refusals() == 0 {
        tokio::task::yield_now().await;
    }
    group.snapshots.settled().await;
    let left = fs::read_dir(folder.path().join("snapshots")).expect("the folder is there").count();
    assert_eq!(left, 0, "the unfinished file takes room");
    done(&group, key(&author, 9)).await;
    snapshots.has_room(AMPLE_ROOM);
    let written = group.raft.wait(Some(AMPLE)).metrics(|seen| seen.snapshot.is_some(), "a snapshot").await;
    written.expect("the snapshot is tried again");
    let newest = group.snapshots.newest().expect("the catalogue reads").expect("it is catalogued");
    assert!(newest.covered.0 >= 8, "{newest:?}");
    group.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_cannot_be_synced_ends_the_group() {
    let (author, folder) = (Author::default(), temporary());
    let (log, snapshots) = (SmallDisk::with_room(AMPLE_ROOM), SmallDisk::with_room(AMPLE_ROOM));
    let group = opened_on(folder.path(), log, snapshots.clone(), EVERY_FEW).await;
    set_up(&group, &author).await;
    group.snapshots.settled().await;
    snapshots.fails_next_sync();
    let mut number = 1;
    // taken as long as the group has not failed
    while group.propose(key(&author, number), AMPLE).await.is_ok() {
        number += 1;
    }
    let failed = tokio::time::timeout(AMPLE, group.failed()).await.expect("the group says that it failed");
    assert!(matches!(failed, Failure::Storage(_)), "{failed:?}");
    group.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_watches_the_disk_and_takes_changes_again_by_itself() {
    let (author, folder) = (Author::default(), temporary());
    let disk = SmallDisk::with_room(RESERVE);
    let settings = HostSettings {
        replica: ReplicaId(1),
        folder: folder.path().to_owned(),
        timers: Timers::default(),
        blocking: Blocking::Threads,
        limits: SnapshotLimits::default(),
        disk_reserve_bytes: RESERVE,
    };
    let host: Host = Host::open_within(settings, Arc::new(disk.clone())).await.expect("an empty folder opens");
    host.initialise_single(AMPLE).await.expect("the only voter is elected");
    let group = Arc::clone(host.group(SHARD).expect("a host has the first shard"));
    done(&group, author.genesis(SHARD)).await;
    disk.has_room(RESERVE - 1);
    let wait = async |is_short: bool| {
        while host.groups().any(|group| group.shortage().is_some() != is_short) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(AMPLE, wait(true)).await.expect("the shortage is seen");
    let entry = author.genesis(GroupId::SYSTEM);
    assert!(matches!(host.system().propose(entry.clone(), AMPLE).await, Err(ProposeError::NoRoom(_))));
    disk.has_room(2 * RESERVE);
    tokio::time::timeout(AMPLE, wait(false)).await.expect("the end of the shortage is seen");
    done(host.system(), entry).await;
    host.shutdown().await;
}
