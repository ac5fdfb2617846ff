//! The stores by themselves: what they keep, what they refuse, and what they notice.

use std::path::Path;

use tempfile::TempDir;

use super::blocking::Blocking;
use super::held::HeldStorage;
use super::log::{LogError, LogStore, Owner};
use super::record;
use super::small_disk::SmallDisk;
use super::snapshots::{SnapshotError, Snapshots};
use super::state::{Doubt, StateMirror, Use};
use crate::ids::{GroupId, LogIndex, ReplicaId, ShardId, TenantId};
use crate::machine::state::{RowChange, State};
use crate::testkit::Author;

const SHARD: GroupId = ShardId::FIRST.group();

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn log(blocking: Blocking) -> LogStore {
    let owner = Owner { group: SHARD, replica: ReplicaId(1) };
    LogStore::open(HeldStorage::default(), owner, blocking).expect("an empty log opens")
}

/// A state of some rows, and how it came to be.
fn states() -> Vec<(State, Vec<RowChange>)> {
    let author = Author::default();
    let tenants = (0..20).map(|number| format!("tenant-{number}").parse().expect("a legal name"));
    let entries =
        std::iter::once(author.genesis(SHARD)).chain(tenants.map(|name: TenantId| author.create_tenant(&name)));
    let mut state = State::empty();
    entries
        .zip(1..)
        .map(|(entry, index)| {
            let step = state.apply(LogIndex(index), &entry).expect("the author's entries decode");
            state = step.state;
            (state.clone(), step.rows)
        })
        .collect()
}

fn grown() -> State {
    states().pop().expect("there are some").0
}

async fn append(log: &LogStore, indexes: std::ops::RangeInclusive<u64>) {
    let entries = indexes.map(|index| (index, index.to_string().into_bytes())).collect();
    log.append(entries, Box::new(|result| result.expect("memory does not fail"))).await.expect("the log is open");
}

fn read(log: &LogStore) -> Vec<u64> {
    let entries = log.read(&..).expect("the log is whole");
    for (index, body) in &entries {
        assert_eq!(*body, index.to_string().into_bytes());
    }
    entries.into_iter().map(|(index, _)| index).collect()
}

#[tokio::test]
async fn a_log_cut_at_either_end_goes_on_without_a_hole() -> Result<(), LogError> {
    for blocking in [Blocking::Threads, Blocking::Inline] {
        let log = log(blocking);
        assert_eq!((read(&log), log.last()?), (vec![], None));
        append(&log, 1..=6).await;
        assert_eq!(read(&log), [1, 2, 3, 4, 5, 6]);
        log.truncate_after(Some(4)).await?;
        append(&log, 5..=5).await;
        log.purge(2, b"two").await?;
        assert_eq!(read(&log), [3, 4, 5]);
        assert_eq!(log.purged()?.as_deref(), Some(&b"two"[..]));
        assert_eq!(log.read(&(4..4))?, []);
        let (first, last) = (5, 4);
        assert_eq!(log.read(&(first..=last))?, []);
        log.truncate_after(None).await?;
        assert_eq!((read(&log), log.last()?), (vec![], None));
        log.close();
        assert!(matches!(log.read(&..), Err(LogError::Closed(_))));
        assert!(matches!(log.flush().await, Err(LogError::Closed(_))));
    }
    Ok(())
}

#[test]
fn a_log_that_a_kill_caught_in_the_making_is_made_anew() -> Result<(), Box<dyn std::error::Error>> {
    let owner = Owner { group: SHARD, replica: ReplicaId(1) };
    let folder = temporary();
    let path = folder.path().join("log.redb");
    for length in [0, 1, 4096, 200_000] {
        std::fs::write(folder.path().join("log.draft"), vec![0; length])?;
        LogStore::open_file(&path, owner, Blocking::Inline)?.close();
        let names: Result<Vec<_>, _> =
            std::fs::read_dir(folder.path())?.map(|entry| entry.map(|entry| entry.file_name())).collect();
        assert_eq!(names?, ["log.redb"], "{length}");
        std::fs::remove_file(&path)?;
    }
    // under its own name there is never half a log, so one without a head is damage, and damage is kept to be looked at
    for length in [4096, 0] {
        std::fs::write(&path, vec![0; length])?;
        assert!(matches!(LogStore::open_file(&path, owner, Blocking::Inline), Err(LogError::Unreadable { .. })));
        assert_eq!(std::fs::read(&path)?, vec![0; length]);
    }
    Ok(())
}

#[tokio::test]
async fn vote_and_committed_position_are_kept() -> Result<(), LogError> {
    let log = log(Blocking::Threads);
    assert_eq!((log.vote()?, log.committed(), log.durable().borrow().committed), (None, None, None));
    log.save_vote(b"vote").await?;
    log.save_committed(LogIndex(7), b"seven").await?;
    assert_eq!(log.committed().as_deref(), Some(&b"seven"[..]));
    log.flush().await?;
    assert_eq!(log.durable().borrow().committed, Some(LogIndex(7)));
    assert_eq!(log.vote()?.as_deref(), Some(&b"vote"[..]));
    Ok(())
}

fn reopen(folder: &Path) -> super::state::Opened {
    StateMirror::open(folder, Blocking::Inline).expect("an empty mirror can always be had")
}

#[tokio::test]
async fn the_mirror_holds_the_last_recorded_state() -> Result<(), super::state::MirrorError> {
    let folder = temporary();
    for (state, rows) in states() {
        let opened = reopen(folder.path());
        opened.mirror.record(rows, state.digest().as_bytes().to_vec(), state.digest()).await?;
        opened.mirror.checkpoint().await?;
        opened.mirror.close();
        let again = reopen(folder.path());
        assert!(again.doubt.is_none());
        let found = again.found.expect("something was recorded");
        assert_eq!((found.state, found.position), (state.clone(), state.digest().as_bytes().to_vec()));
        again.mirror.close();
    }
    let opened = reopen(folder.path());
    opened.mirror.replace(State::empty(), b"none".to_vec()).await?;
    opened.mirror.close();
    let found = reopen(folder.path()).found.expect("an empty state was recorded");
    assert_eq!((found.state, found.position), (State::empty(), b"none".to_vec()));
    Ok(())
}

#[tokio::test]
async fn without_room_the_mirror_is_left_as_it_is_and_takes_nothing() -> Result<(), super::state::MirrorError> {
    let folder = temporary();
    let state = grown();
    let first = reopen(folder.path());
    first.mirror.replace(state.clone(), b"here".to_vec()).await?;
    first.mirror.close();
    let full = StateMirror::open_within(folder.path(), Blocking::Inline, &SmallDisk::with_room(1000))?;
    assert_eq!((full.use_made, full.found.is_none(), full.doubt.is_none()), (Use::NoRoom, true, true));
    full.mirror.replace(State::empty(), b"none".to_vec()).await?;
    full.mirror.close();
    let again = reopen(folder.path());
    let found = again.found.expect("what was there is as good as before");
    assert_eq!((again.use_made, found.state, found.position), (Use::Kept, state, b"here".to_vec()));
    Ok(())
}

#[tokio::test]
async fn a_mirror_that_is_not_what_its_mark_says_is_thrown_away() -> Result<(), Box<dyn std::error::Error>> {
    type Damage = fn(&sled::Db) -> sled::Result<()>;
    type Expected = fn(&Doubt) -> bool;
    let state = grown();
    let table: [(&str, Damage, Expected); 6] = [
        ("a row lost", |rows| rows.pop_max().map(drop), |doubt| matches!(doubt, Doubt::Digest { .. })),
        ("a row of no kind", |rows| rows.insert([99], &[1]).map(drop), |doubt| matches!(doubt, Doubt::Row(_))),
        ("no mark", |rows| rows.remove([0]).map(drop), |doubt| matches!(doubt, Doubt::Unmarked)),
        ("a damaged mark", |rows| rows.insert([0], b"rubbish").map(drop), |doubt| matches!(doubt, Doubt::Mark(_))),
        (
            "a mark of another content",
            |rows| rows.insert([0], record::seal(b"rubbish")).map(drop),
            |doubt| matches!(doubt, Doubt::MarkContent(_)),
        ),
        (
            "a row changed",
            |rows| {
                let (key, _) = rows.pop_max()?.expect("there are rows");
                let (_, other) = rows.pop_max()?.expect("there are more rows");
                rows.insert(key, other).map(drop)
            },
            |doubt| matches!(doubt, Doubt::Digest { .. } | Doubt::Row(_)),
        ),
    ];
    for (name, damage, expected) in table {
        let folder = temporary();
        let opened = reopen(folder.path());
        opened.mirror.replace(state.clone(), b"here".to_vec()).await?;
        opened.mirror.close();
        let rows = sled::open(folder.path())?;
        damage(&rows)?;
        rows.flush()?;
        drop(rows);
        // sled's threads hold its lock a moment longer.
        std::fs::File::open(folder.path().join("db"))?.lock()?;
        let again = reopen(folder.path());
        assert!(again.found.is_none(), "{name}");
        let doubt = again.doubt.ok_or(name)?;
        assert!(expected(&doubt), "{name}: {doubt}");
        // What took its place works.
        again.mirror.replace(state.clone(), b"here".to_vec()).await?;
        again.mirror.close();
        assert_eq!(reopen(folder.path()).found.map(|found| found.state), Some(state.clone()), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn the_two_newest_snapshots_are_kept_and_found_again() -> Result<(), SnapshotError> {
    let (folder, log) = (temporary(), log(Blocking::Threads));
    let snapshots = Snapshots::open(folder.path(), log.clone(), Blocking::Threads).await?;
    assert_eq!(snapshots.newest()?, None);
    for (index, (state, _)) in (1..).zip(states().into_iter().take(5)) {
        let meta = state.digest().to_string().into_bytes();
        let written = snapshots.write(state.clone(), LogIndex(index), meta.clone()).await?;
        assert_eq!(snapshots.newest()?.as_ref(), Some(&written));
        assert_eq!(written.meta, meta);
        assert_eq!(snapshots.take_over(written).await?, state);
    }
    let names = || std::fs::read_dir(folder.path()).map(Iterator::count);
    assert_eq!(names()?, 2);
    std::fs::write(folder.path().join("00000000000000000009.tmp"), b"half a snapshot")?;
    let again = Snapshots::open(folder.path(), log, Blocking::Threads).await?;
    assert_eq!((names()?, again.newest()?), (2, snapshots.newest()?));
    Ok(())
}

#[tokio::test]
async fn no_snapshot_takes_the_place_of_one_that_covers_as_much_or_more() -> Result<(), SnapshotError> {
    let (folder, elsewhere, log) = (temporary(), temporary(), log(Blocking::Threads));
    let snapshots = Snapshots::open(folder.path(), log.clone(), Blocking::Threads).await?;
    snapshots.write(grown(), LogIndex(3), b"meta".to_vec()).await?;
    // as one that is installed while the group writes its own
    let other = Snapshots::open(elsewhere.path(), self::log(Blocking::Threads), Blocking::Threads).await?;
    let installed = other.write(grown(), LogIndex(9), b"installed".to_vec()).await?;
    snapshots.take_over(installed.clone()).await?;
    for covered in [LogIndex(5), LogIndex(9)] {
        let refused = snapshots.write(grown(), covered, b"late".to_vec()).await;
        let newest = LogIndex(9);
        assert!(matches!(refused, Err(SnapshotError::NotNewer { newest: told, .. }) if told == newest), "{refused:?}");
    }
    assert_eq!(snapshots.newest()?.map(|newest| newest.meta), Some(b"installed".to_vec()));
    assert_eq!(snapshots.older()?.map(|older| older.covered), Some(LogIndex(3)));
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 2, "what was refused left a file");
    // as a release catalogued them that went by number
    let body = |covered: u64| postcard::to_stdvec(&(format!("{covered}.snapshot"), covered, b"meta".to_vec()));
    log.catalogue(90, &body(8)?, vec![]).await?;
    assert_eq!(snapshots.newest()?.map(|newest| newest.covered), Some(LogIndex(9)));
    assert_eq!(snapshots.older()?.map(|older| older.covered), Some(LogIndex(3)));
    let written = snapshots.write(grown(), LogIndex(10), b"meta".to_vec()).await?;
    assert!(written.path.ends_with(format!("{:020}.snapshot", 91)), "{written:?}");
    assert_eq!(snapshots.older()?.map(|older| older.covered), Some(LogIndex(9)));
    Ok(())
}

#[tokio::test]
async fn a_snapshot_changed_or_cut_anywhere_is_refused() -> Result<(), SnapshotError> {
    let (folder, elsewhere) = (temporary(), temporary());
    let state = states().swap_remove(1).0;
    let written = Snapshots::open(folder.path(), log(Blocking::Inline), Blocking::Inline).await?;
    let written = written.write(state, LogIndex(2), b"meta".to_vec()).await?;
    let bytes = std::fs::read(&written.path)?;
    let flips = (0..bytes.len()).map(|at| {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        damaged
    });
    let cuts = (0..bytes.len()).step_by(7).map(|length| bytes[..length].to_vec());
    let longer = std::iter::once([&bytes[..], &[0]].concat());
    let taking = Snapshots::open(&elsewhere.path().join("snapshots"), log(Blocking::Inline), Blocking::Inline).await?;
    let mut damaged = written.clone();
    damaged.path = elsewhere.path().join("damaged");
    for (number, content) in flips.chain(cuts).chain(longer).enumerate() {
        std::fs::write(&damaged.path, content)?;
        assert!(taking.take_over(damaged.clone()).await.is_err(), "damage {number}");
    }
    assert_eq!(taking.newest()?, None);
    damaged.meta = b"another".to_vec();
    std::fs::write(&damaged.path, bytes)?;
    assert!(taking.take_over(damaged).await.is_err(), "a snapshot of another position");
    taking.take_over(written).await?;
    assert!(taking.newest()?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_mirror_that_is_doubted_without_room_for_another_stays_and_is_not_called_thrown_away()
-> Result<(), Box<dyn std::error::Error>> {
    /// Has room for the first look alone.
    #[derive(Debug, Default)]
    struct Shrinking(std::sync::atomic::AtomicBool);
    impl super::room::FreeSpace for Shrinking {
        fn measure(&self) -> std::io::Result<super::room::Space> {
            let is_later = self.0.swap(true, std::sync::atomic::Ordering::SeqCst);
            Ok(super::room::Space { free_bytes: if is_later { 0 } else { u64::MAX }, total_bytes: u64::MAX })
        }
    }
    let folder = temporary();
    let first = reopen(folder.path());
    first.mirror.replace(grown(), b"here".to_vec()).await?;
    first.mirror.close();
    let rows = sled::open(folder.path())?;
    rows.remove([0])?;
    rows.flush()?;
    drop(rows);
    std::fs::File::open(folder.path().join("db"))?.lock()?;
    let opened = StateMirror::open_within(folder.path(), Blocking::Inline, &Shrinking::default())?;
    assert_eq!((opened.use_made, opened.doubt.is_some(), opened.was_thrown_away()), (Use::NoRoom, true, false));
    opened.mirror.close();
    let again = reopen(folder.path());
    assert!(matches!(again.doubt, Some(Doubt::Unmarked)), "what was there was removed");
    assert_eq!((again.use_made, again.was_thrown_away()), (Use::Kept, true));
    Ok(())
}

#[test]
fn files_that_stay_locked_are_waited_for_within_a_bound() -> std::io::Result<()> {
    let folder = temporary();
    let path = folder.path().join("db");
    let holder = std::fs::File::create(&path)?;
    holder.lock()?;
    let (told, outcome) = std::sync::mpsc::sync_channel(1);
    let waiter = std::fs::File::open(&path)?;
    std::thread::spawn(move || told.send(super::state::unlocked(&waiter)));
    let outcome = outcome.recv_timeout(std::time::Duration::from_mins(1)).expect("the wait ends");
    assert!(outcome.is_err_and(|error| error.kind() == std::io::ErrorKind::TimedOut));
    holder.unlock()?;
    super::state::unlocked(&std::fs::File::open(&path)?)
}

#[tokio::test]
async fn an_old_snapshot_that_cannot_be_removed_costs_nothing_but_its_room() -> Result<(), SnapshotError> {
    let (folder, log, disk) = (temporary(), log(Blocking::Threads), SmallDisk::with_room(u64::MAX));
    let files = std::sync::Arc::new(disk.clone());
    let snapshots = Snapshots::open_on(files, folder.path(), log.clone(), Blocking::Threads).await?;
    disk.keeps_files();
    for index in 1..=3 {
        snapshots.write(grown(), LogIndex(index), b"meta".to_vec()).await?;
    }
    assert_eq!(snapshots.newest()?.map(|newest| newest.covered), Some(LogIndex(3)));
    let names = || std::fs::read_dir(folder.path()).expect("the folder is there").count();
    assert_eq!(names(), 3);
    Snapshots::open(folder.path(), log, Blocking::Threads).await?;
    assert_eq!(names(), 2, "what no record names is removed at the next start");
    Ok(())
}
