//! A group on a disk that is short of room, or full: what it refuses, what waits, and what goes on.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::bench::{AMPLE, SHARD, done, key, set_up, settings, tenant, version};
use crate::ids::{GroupId, ReplicaId};
use crate::machine::rows::KeyVersion;
use crate::raft::group::{Failure, Group, GroupSettings, ProposeError, SnapshotLimits, Timers};
use crate::raft::host::{Host, HostSettings};
use crate::raft::network::NoPeers;
use crate::store::blocking::Blocking;
use crate::store::held::{HeldStorage, Syncs};
use crate::store::log::LogStore;
use crate::store::room::{FreeSpace, Room, Space};
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

/// Waits for what nothing tells of.
async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(AMPLE, waiting).await.expect("it comes to hold");
}

async fn host_on(folder: &Path, space: Arc<dyn FreeSpace>) -> Host {
    host_over(folder, move |_| Arc::clone(&space)).await
}

/// A host whose group 0 lives on an odd disk, and the others on good ones.
async fn host_with_odd_disk(folder: &Path, odd: Arc<dyn FreeSpace>) -> Host {
    let good: Arc<dyn FreeSpace> = Arc::new(SmallDisk::with_room(AMPLE_ROOM));
    host_over(folder, move |group| Arc::clone(if group == GroupId::SYSTEM { &odd } else { &good })).await
}

async fn host_over(folder: &Path, spaces: impl Fn(GroupId) -> Arc<dyn FreeSpace> + Send + Sync + 'static) -> Host {
    let settings = HostSettings {
        replica: ReplicaId(1),
        folder: folder.to_owned(),
        timers: Timers::default(),
        blocking: Blocking::Threads,
        limits: SnapshotLimits::default(),
        disk_reserve_bytes: RESERVE,
        peers: Arc::new(NoPeers),
        address: None,
    };
    Host::open_within(settings, spaces).await.expect("an empty folder opens")
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
    until(|| group.shortage().is_some()).await;
    assert!(matches!(group.propose(entry.clone(), AMPLE).await, Err(ProposeError::NoRoom(_))));
    let read = group.read_index().await.expect("reads go on");
    group.wait_applied(read).await.expect("what is applied stays readable");
    assert!(group.watch().borrow().state.row::<KeyVersion>(&version(1)).is_some());
    assert!(group.watch().borrow().state.row::<KeyVersion>(&version(2)).is_none(), "shown before it was durable");
    disk.takes_writes();
    until(|| group.shortage().is_none()).await;
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
    until(|| snapshots.refusals() > 0).await;
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
    let refusal = async {
        let mut number = 1;
        // taken as long as the group has not failed
        while group.propose(key(&author, number), AMPLE).await.is_ok() {
            number += 1;
        }
    };
    tokio::time::timeout(AMPLE, refusal).await.expect("a group whose snapshots failed takes no more proposals");
    let failed = tokio::time::timeout(AMPLE, group.failed()).await.expect("the group says that it failed");
    assert!(matches!(failed, Failure::Storage(_)), "{failed:?}");
    group.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_watches_the_disk_and_takes_changes_again_by_itself() {
    let (author, folder) = (Author::default(), temporary());
    let disk = SmallDisk::with_room(RESERVE);
    let host = host_on(folder.path(), Arc::new(disk.clone())).await;
    host.initialise_single(AMPLE).await.expect("the only voter is elected");
    let group = host.group(SHARD).expect("a host has the first shard");
    done(&group, author.genesis(SHARD)).await;
    disk.has_room(RESERVE - 1);
    until(|| host.groups().all(|group| group.shortage().is_some())).await;
    let entry = author.genesis(GroupId::SYSTEM);
    assert!(matches!(host.system().propose(entry.clone(), AMPLE).await, Err(ProposeError::NoRoom(_))));
    disk.has_room(2 * RESERVE);
    until(|| host.groups().all(|group| group.shortage().is_none())).await;
    done(host.system(), entry).await;
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_waited_for_room_counts_from_what_it_holds() {
    let (author, folder) = (Author::default(), temporary());
    let (room, watched) = watch::channel(Room::unmeasured(RESERVE).measured(free(RESERVE - 1)));
    let settings = GroupSettings { room: watched, limits: EVERY_FEW, ..settings(folder.path()) };
    let group: Group = Group::open(settings).await.expect("an empty folder opens");
    group.initialise_single(AMPLE).await.expect("the only voter is elected");
    let begun = async |entry| drop(group.propose_from_reserve(entry, AMPLE).await.expect("the group leads"));
    for entry in [author.genesis(SHARD), author.create_tenant(&tenant())] {
        begun(entry).await;
    }
    for number in 1..=8 {
        begun(key(&author, number)).await;
    }
    room.send_modify(|room| *room = room.measured(free(AMPLE_ROOM)));
    let mut number = 9;
    while group.snapshots.older().expect("the catalogue reads").is_none() {
        // one at a time: a second snapshot that is due too early has its chance to be seen
        begun(key(&author, number)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        number += 1;
        assert!(number < 40, "no second snapshot is written");
    }
    let older = group.snapshots.older().expect("the catalogue reads").expect("there are two").covered;
    let newest = group.snapshots.newest().expect("the catalogue reads").expect("there are two").covered;
    assert!(newest.0 >= older.0 + EVERY_FEW.entries, "{older} and {newest}");
    group.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_snapshot_is_begun_that_would_take_the_reserve() {
    let (author, folder) = (Author::default(), temporary());
    let (room, watched) = watch::channel(Room::unmeasured(RESERVE).measured(free(AMPLE_ROOM)));
    let settings = GroupSettings { room: watched, limits: EVERY_FEW, ..settings(folder.path()) };
    let group: Group = Group::open(settings).await.expect("an empty folder opens");
    group.initialise_single(AMPLE).await.expect("the only voter is elected");
    set_up(&group, &author).await;
    let covered = || group.snapshots.newest().expect("the catalogue reads").map(|newest| newest.covered);
    for number in 1..=4 {
        done(&group, key(&author, number)).await;
    }
    until(|| covered().is_some()).await;
    group.snapshots.settled().await;
    // room for changes, and not for another file of that size
    room.send_modify(|room| *room = room.measured(free(RESERVE + 1)));
    let before = covered();
    for number in 5..=14 {
        done(&group, key(&author, number)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(covered(), before, "a snapshot was written into the reserve");
    room.send_modify(|room| *room = room.measured(free(AMPLE_ROOM)));
    until(|| covered() > before).await;
    group.shutdown().await;
}

/// A disk whose measurement does as a test says, from the second one on.
struct Odd(Mutex<(u32, fn())>);

impl std::fmt::Debug for Odd {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Odd")
    }
}

impl FreeSpace for Odd {
    fn measure(&self) -> io::Result<Space> {
        let (count, act) = {
            let mut inside = self.0.lock();
            inside.0 += 1;
            *inside
        };
        if count > 1 {
            act();
        }
        Ok(free(AMPLE_ROOM))
    }
}

#[tokio::test]
async fn a_disk_that_does_not_answer_how_much_room_it_has_holds_nothing_up() {
    let folder = temporary();
    let odd = Arc::new(Odd(Mutex::new((0, || {
        loop {
            std::thread::park();
        }
    }))));
    let host = host_with_odd_disk(folder.path(), Arc::clone(&odd) as Arc<dyn FreeSpace>).await;
    host.initialise_single(AMPLE).await.expect("the only voter is elected");
    until(|| odd.0.lock().0 > 1).await;
    done(host.system(), Author::default().genesis(GroupId::SYSTEM)).await;
    tokio::time::timeout(AMPLE, host.shutdown()).await.expect("the end waits for no measurement");
}

#[tokio::test]
async fn a_watch_over_the_room_that_panics_ends_the_process_like_any_other_task() {
    let folder = temporary();
    let odd = Arc::new(Odd(Mutex::new((0, || panic!("planted: the measurement panics")))));
    let host = host_with_odd_disk(folder.path(), odd).await;
    let failed = tokio::time::timeout(AMPLE, host.failed()).await.expect("the host says that it failed");
    assert!(matches!(failed, (GroupId::SYSTEM, Failure::Panicked)), "{failed:?}");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_does_not_answer_holds_no_end_up() {
    let (author, folder, disk) = (Author::default(), temporary(), HeldStorage::default());
    let settings = settings(folder.path());
    let log = LogStore::open(disk.clone(), settings.owner(), settings.blocking).expect("an empty log opens");
    let group = Group::open_on(log, settings).await.expect("an empty group opens");
    group.initialise_single(AMPLE).await.expect("the only voter is elected");
    set_up(&group, &author).await;
    disk.set(Syncs::Wait);
    assert_eq!(group.propose(key(&author, 1), Duration::from_millis(50)).await, Err(ProposeError::Unknown));
    tokio::time::timeout(AMPLE, group.shutdown()).await.expect("the end waits within bounds");
    disk.set(Syncs::Work);
}
