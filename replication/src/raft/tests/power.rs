//! Whole groups on a disk that crashes under them or refuses to sync: what openraft, the keeper of snapshots and the
//! stores make of it together. Crashes at each single operation of the stores are `crashes/`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::bench::{AMPLE, key, set_up, settings, version};
use crate::machine::outcome::Outcome;
use crate::machine::rows::KeyVersion;
use crate::raft::group::{Failure, Group, GroupSettings, ProposeError, SnapshotLimits};
use crate::store::blocking::Blocking;
use crate::store::log::LogStore;
use crate::testkit::disk::{Fault, Operation};
use crate::testkit::{Author, Dice, Disk};

const LOG: &str = "/log.redb";
/// Snapshots and purges among the proposals.
const EVERY_FEW: SnapshotLimits = SnapshotLimits { entries: 6, bytes: u64::MAX, interval: Duration::from_hours(9) };

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

/// A group whose log and snapshots live on a disk in memory; its mirror is in the folder, and new.
async fn group_on(disk: &Disk, folder: &TempDir) -> Group {
    let settings = GroupSettings { limits: EVERY_FEW, ..settings(folder.path()) };
    let mirror = std::fs::remove_dir_all(folder.path().join("state"));
    assert!(mirror.is_ok() || !folder.path().join("state").exists(), "the mirror is ours");
    let log = LogStore::open(disk.file(Path::new(LOG)), settings.owner(), settings.blocking).expect("the log is whole");
    let group = Group::open_with(log, Arc::new(disk.clone()), settings).await.expect("all that is there is whole");
    group.initialise_single(AMPLE).await.expect("the only voter is elected");
    group
}

/// A disk on which a log was made; making one is another test's subject.
fn new_disk() -> Disk {
    let disk = Disk::default();
    let owner = settings(Path::new("/")).owner();
    LogStore::open(disk.file(Path::new(LOG)), owner, Blocking::Inline).expect("an empty log opens").close();
    disk
}

fn holds(group: &Group, number: u32) -> bool {
    group.watch().borrow().state.row::<KeyVersion>(&version(number)).is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_lost_its_power_at_any_moment_has_everything_acknowledged() {
    const CRASHES_MAX: usize = 25;
    let (disk, author, folder) = (new_disk(), Author::default(), temporary());
    let group = group_on(&disk, &folder).await;
    set_up(&group, &author).await;
    disk.crash_often(Dice::new(1), 8);
    let mut acknowledged = Vec::new();
    for number in 0..40 {
        let proposed = group.propose(key(&author, number), AMPLE).await.expect("the group runs and leads");
        assert!(matches!(proposed.outcome, Outcome::Done(_)), "{:?}", proposed.outcome);
        acknowledged.push((disk.operations(), number));
    }
    group.shutdown().await;
    let mut crashes = disk.crashes();
    assert!(crashes.len() >= CRASHES_MAX, "{}", crashes.len());
    // As many early ones as late ones.
    let apart = crashes.len() / CRASHES_MAX;
    let mut place = 0;
    crashes.retain(|_| {
        place += 1;
        place % apart == 0
    });
    for crash in crashes {
        let group = group_on(&crash.disk, &folder).await;
        for (at, number) in &acknowledged {
            assert!(*at > crash.operations || holds(&group, *number), "key {number} after {}", crash.operations);
        }
        let again = group.propose(key(&author, 1_000), AMPLE).await.expect("the group runs and leads");
        assert!(matches!(again.outcome, Outcome::Done(_)), "{:?}", again.outcome);
        group.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_sync_that_fails_ends_the_group_wherever_it_is() {
    type Which = fn(&Operation) -> bool;
    let table: [(&str, Which); 5] = [
        ("the log's", |operation| matches!(operation, Operation::Sync { file: 1 })),
        ("a snapshot's", |operation| matches!(operation, Operation::Sync { file } if *file != 1)),
        ("the folder's", |operation| matches!(operation, Operation::SyncFolder { .. })),
        ("the write of a snapshot", |operation| matches!(operation, Operation::Write { file, .. } if *file != 1)),
        ("the renaming", |operation| matches!(operation, Operation::Rename { .. })),
    ];
    for (name, which) in table {
        let (disk, author, folder) = (new_disk(), Author::default(), temporary());
        let group = group_on(&disk, &folder).await;
        set_up(&group, &author).await;
        disk.fail_next(which, Fault::Dead, Dice::new(2));
        let mut acknowledged = Vec::new();
        let refusal = async {
            loop {
                let number = u32::try_from(acknowledged.len()).expect("few keys");
                match group.propose(key(&author, number), AMPLE).await {
                    Ok(_) => acknowledged.push(number),
                    Err(error) => break error,
                }
            }
        };
        let refused = tokio::time::timeout(AMPLE, refusal).await;
        let refused = refused.unwrap_or_else(|_| panic!("{name}: the group goes on"));
        assert!(matches!(refused, ProposeError::Unknown | ProposeError::Stopped), "{name}: {refused}");
        let failure = group.failed().await;
        assert!(matches!(failure, Failure::Storage(_)), "{name}: {failure:?}");
        // The disk works again; the group does not, since nobody knows what was lost.
        assert_eq!(group.propose(key(&author, 2_000), AMPLE).await, Err(ProposeError::Stopped), "{name}");
        let left = disk.crash(&mut Dice::new(3));
        group.shutdown().await;

        let group = group_on(&left, &folder).await;
        for number in acknowledged {
            assert!(holds(&group, number), "{name}: key {number} is lost");
        }
        assert!(!holds(&group, 2_000), "{name}");
        group.shutdown().await;
    }
}
