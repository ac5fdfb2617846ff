//! Snapshots past every limit, crashes between their steps, and damage to what is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::bench::{AMPLE, SHARD, done, key, opened_with, set_up, settings};
use crate::ids::LogIndex;
use crate::machine::digest::Digest;
use crate::raft::group::{Failure, Group, OpenError, SnapshotLimits};
use crate::raft::log::encode;
use crate::raft::machine::{Applied, Position};
use crate::store::snapshots::{Snapshot, SnapshotError};
use crate::testkit::Author;

const NEVER: SnapshotLimits = SnapshotLimits { entries: u64::MAX, bytes: u64::MAX, interval: Duration::from_hours(9) };
const EVERY_FEW: SnapshotLimits = SnapshotLimits { entries: 4, ..NEVER };

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn author(draws: usize) -> Author {
    let author = Author::default();
    // Ids of its own: a repeated id would be answered from memory.
    (0..draws).for_each(|_| _ = author.draw());
    author
}

/// Waits until a snapshot reaches beyond an entry, and the purged part of the log beyond another.
async fn kept(group: &Group, covered: LogIndex, purged: Option<LogIndex>) {
    let wait = group.raft.wait(Some(AMPLE));
    let reached = wait.metrics(
        |seen| {
            let purged_to = seen.purged.map(|at| LogIndex(at.index));
            seen.snapshot.map(|at| at.index) > Some(covered.0) && (purged.is_none() || purged_to > purged)
        },
        "snapshot and purge",
    );
    reached.await.expect("the group writes a snapshot and purges");
}

/// Waits until a group that writes a snapshot every few entries has nothing left to write or to purge.
async fn settled(group: &Group) {
    let last = group.watch().borrow().index;
    kept(group, LogIndex(last.0 - EVERY_FEW.entries), None).await;
    if let Some(older) = group.snapshots.older().expect("the catalogue reads") {
        kept(group, LogIndex(0), Some(LogIndex(older.covered.0 - 1))).await;
    }
}

/// A group whose log was purged up to the older of two snapshots, with some entries behind the newer one. Shut down.
async fn purged(folder: &Path) -> (LogIndex, Digest) {
    let author = author(0);
    let group = opened_with(folder, EVERY_FEW).await;
    set_up(&group, &author).await;
    for number in 0..12 {
        done(&group, key(&author, number)).await;
        if number % 6 == 5 {
            settled(&group).await;
        }
    }
    assert!(group.snapshots.older().expect("the catalogue reads").is_some());
    group.shutdown().await;
    let group = opened_with(folder, NEVER).await;
    for number in 12..15 {
        done(&group, key(&author, number)).await;
    }
    let applied = group.watch().borrow().clone();
    group.shutdown().await;
    (applied.index, applied.state.digest())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("snapshots")).expect("the folder is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("the folder reads").path()).collect();
    files.sort();
    files
}

fn lose_mirror(folder: &Path) {
    fs::remove_dir_all(folder.join("state")).expect("the folder is there");
}

#[tokio::test]
async fn past_every_limit_two_snapshots_are_kept_and_the_log_is_purged_up_to_the_older() {
    let table = [
        ("entries", EVERY_FEW),
        ("bytes", SnapshotLimits { bytes: 1_000, ..NEVER }),
        ("time", SnapshotLimits { interval: Duration::from_millis(1), ..NEVER }),
    ];
    for (name, limits) in table {
        let folder = temporary();
        let (mut digest, mut start) = (None, None);
        for round in 0..8_u32 {
            let author = author(1_000 * round as usize);
            let group = opened_with(folder.path(), limits).await;
            let group_start = group.watch().borrow().index;
            if round == 0 {
                set_up(&group, &author).await;
            }
            assert!(digest.is_none_or(|before| before == group.digest()), "{name}, round {round}");
            for number in 0..6 {
                done(&group, key(&author, round * 6 + number)).await;
            }
            // At least one snapshot a round, so that the older is no older than the round before.
            let before = start.replace(group_start);
            kept(&group, group_start, before).await;
            digest = Some(group.digest());
            group.shutdown().await;
            assert!(files(folder.path()).len() <= 2, "{name}: {:?}", files(folder.path()));
            // What a snapshot and the log give without the mirror is the same.
            if round % 2 == 1 {
                lose_mirror(folder.path());
            }
        }
        let group = opened_with(folder.path(), NEVER).await;
        assert_eq!(Some(group.digest()), digest, "{name}");
        let older = group.snapshots.older().expect("the catalogue reads").expect("two are kept");
        let (first, _) = group.log.read(&..).expect("the log is whole").swap_remove(0);
        assert!(first > 0 && first <= older.covered.0 + 1, "{name}: purged beyond the older snapshot");
        group.shutdown().await;
    }
}

#[tokio::test]
async fn a_snapshot_that_is_asked_for_twice_is_written_once_and_ends_nothing() {
    let (folder, author) = (temporary(), author(0));
    let group = opened_with(folder.path(), NEVER).await;
    set_up(&group, &author).await;
    let Applied { index, state, position, .. } = group.watch().borrow().clone();
    let written = group.snapshots.write(state, index, encode(&position)).await.expect("there is room");
    group.raft.trigger().snapshot().await.expect("the group runs");
    kept(&group, LogIndex(index.0 - 1), None).await;
    assert_eq!(files(folder.path()), [written.path]);
    done(&group, key(&author, 1)).await;
    group.shutdown().await;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Nothing,
    Written,
    Renamed,
    Catalogued,
    Purged,
}

/// Writes a snapshot by the steps that the group takes itself, and stops after one of them.
async fn snapshot_until(group: &Group, step: Step) -> Result<(), SnapshotError> {
    let (applied, state) = (group.watch().borrow().index, group.watch().borrow().state.clone());
    let position = group.watch().borrow().position.clone();
    if step < Step::Written {
        return Ok(());
    }
    let draft = group.snapshots.draft(state, applied, encode(&position)).await?;
    if step < Step::Renamed {
        return Ok(());
    }
    let draft = group.snapshots.publish(draft).await?;
    if step < Step::Catalogued {
        return Ok(());
    }
    group.snapshots.keep(draft).await?;
    if step < Step::Purged {
        return Ok(());
    }
    let older = group.snapshots.older()?.expect("two are kept");
    let position: Position = postcard::from_bytes(&older.meta)?;
    let last = position.applied.expect("something was applied");
    Ok(group.log.purge(last.index, &encode(&last)).await?)
}

#[test]
fn a_crash_after_any_step_of_a_snapshot_starts_to_the_same_digest() {
    let runtime = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime can be had")
    };
    for step in [Step::Nothing, Step::Written, Step::Renamed, Step::Catalogued, Step::Purged] {
        for mirror_is_lost in [false, true] {
            let folder = temporary();
            let crashing = runtime();
            let group = crashing.block_on(async {
                purged(folder.path()).await;
                let group = opened_with(folder.path(), NEVER).await;
                let author = author(1_000);
                for number in 20..23 {
                    done(&group, key(&author, number)).await;
                }
                snapshot_until(&group, step).await.expect("the disk works");
                group
            });
            drop(crashing);
            let (index, digest) = (group.watch().borrow().index, group.digest());
            drop(group);
            if mirror_is_lost {
                lose_mirror(folder.path());
            }
            runtime().block_on(async {
                let group = opened_with(folder.path(), EVERY_FEW).await;
                let applied = group.wait_applied(index).await.expect("the group applies");
                assert_eq!(applied.state.digest(), digest, "{step:?}");
                // And it goes on as if nothing had been.
                let author = author(2_000);
                for number in 30..36 {
                    done(&group, key(&author, number)).await;
                }
                settled(&group).await;
                let digest = group.digest();
                group.shutdown().await;
                assert_eq!(files(folder.path()).len(), 2, "{step:?}");
                lose_mirror(folder.path());
                let group = opened_with(folder.path(), NEVER).await;
                assert_eq!(group.digest(), digest, "{step:?}");
                group.shutdown().await;
            });
        }
    }
}

/// Counts what is told at WARN.
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target().starts_with("replication::store::snapshots")
    }
    fn event(&self, _event: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn new_span(&self, _attributes: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _span: &tracing::span::Id, _values: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _span: &tracing::span::Id, _follows: &tracing::span::Id) {}
    fn enter(&self, _span: &tracing::span::Id) {}
    fn exit(&self, _span: &tracing::span::Id) {}
}

type Damage = fn(&Path);
const DAMAGES: [(&str, Damage); 4] = [
    ("flipped", |file| {
        let mut bytes = fs::read(file).expect("the file is there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(file, bytes).expect("the file is ours");
    }),
    ("cut", |file| {
        let bytes = fs::read(file).expect("the file is there");
        fs::write(file, &bytes[..bytes.len() / 2]).expect("the file is ours");
    }),
    ("emptied", |file| fs::write(file, b"").expect("the file is ours")),
    ("deleted", |file| fs::remove_file(file).expect("the file is there")),
];

#[tokio::test]
async fn a_damaged_snapshot_is_told_and_the_other_one_used() {
    for (name, damage) in DAMAGES {
        for which in [0, 1] {
            let folder = temporary();
            let (index, digest) = purged(folder.path()).await;
            damage(&files(folder.path())[which]);
            lose_mirror(folder.path());
            let warnings = Arc::new(AtomicUsize::new(0));
            let listening = tracing::subscriber::set_default(Warnings(Arc::clone(&warnings)));
            let group = opened_with(folder.path(), EVERY_FEW).await;
            drop(listening);
            assert_eq!(warnings.load(Ordering::Relaxed), 1, "{name} {which}");
            let applied = group.wait_applied(index).await.expect("the group applies");
            assert_eq!(applied.state.digest(), digest, "{name} {which}");
            // Two are kept again as soon as one more is written.
            let author = author(3_000);
            for number in 40..50 {
                done(&group, key(&author, number)).await;
            }
            settled(&group).await;
            assert!(group.snapshots.older().expect("the catalogue reads").is_some());
            group.shutdown().await;
        }
    }
}

#[tokio::test]
async fn without_a_whole_snapshot_a_purged_log_refuses_to_start() {
    for (name, damage) in DAMAGES {
        let folder = temporary();
        purged(folder.path()).await;
        let kept = files(folder.path());
        for file in &kept {
            damage(file);
        }
        let left = files(folder.path());
        for _ in 0..2 {
            let refused = Group::<openraft_rt_tokio::TokioRuntime>::open(settings(folder.path())).await.map(|_| ());
            let Err(OpenError::Snapshots { source: lost @ SnapshotError::Lost { group, source, .. }, .. }) = &refused
            else {
                panic!("{name}: {refused:?}");
            };
            assert!(*group == SHARD && source.is_some(), "{name}: {refused:?}");
            assert!(lost.to_string().contains("put back a whole copy"), "{lost}");
        }
        assert_eq!(files(folder.path()), left, "{name}: what a repair could use was removed");
    }
}

#[tokio::test]
async fn without_a_whole_snapshot_an_unpurged_log_is_enough() {
    let folder = temporary();
    let author = author(0);
    let group = opened_with(folder.path(), SnapshotLimits { entries: 9, ..NEVER }).await;
    set_up(&group, &author).await;
    for number in 0..8 {
        done(&group, key(&author, number)).await;
    }
    kept(&group, LogIndex(0), None).await;
    assert_eq!(group.snapshots.older().expect("the catalogue reads"), None);
    let digest = group.digest();
    group.shutdown().await;
    fs::write(&files(folder.path())[0], b"rubbish").expect("the file is ours");
    lose_mirror(folder.path());
    let group = opened_with(folder.path(), NEVER).await;
    assert_eq!(group.digest(), digest);
    assert_eq!(group.snapshots.newest().expect("the catalogue reads"), None::<Snapshot>);
    group.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_written_ends_the_group() {
    let folder = temporary();
    let group = opened_with(folder.path(), SnapshotLimits { entries: 8, ..NEVER }).await;
    fs::remove_dir(folder.path().join("snapshots")).expect("the folder is empty");
    let author = author(0);
    set_up(&group, &author).await;
    for number in 0..8 {
        // What is proposed after the end has no answer.
        let _ = group.propose(key(&author, number), AMPLE).await;
    }
    let failure = group.failed().await;
    assert!(matches!(failure, Failure::Storage(_)), "{failure:?}");
    group.shutdown().await;
}
