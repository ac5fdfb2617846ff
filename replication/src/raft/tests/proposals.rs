//! What a proposer is told, under every kind of trouble.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::bench::{AMPLE, SHARD, done, key, opened, set_up, settings, version};
use crate::ids::LogIndex;
use crate::machine::outcome::Outcome;
use crate::machine::rows::KeyVersion;
use crate::raft::group::{ENTRY_BYTES_MAX, Failure, Group, ProposeError, ReadError};
use crate::store::held::{HeldStorage, Syncs};
use crate::store::log::LogStore;
use crate::testkit::Author;

/// A group whose log lives on held storage, set up with a tenant.
async fn held(author: &Author) -> (tempfile::TempDir, HeldStorage, LogStore, Group) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let storage = HeldStorage::default();
    let settings = settings(folder.path());
    let log = LogStore::open(storage.clone(), settings.owner(), settings.blocking).expect("an empty log opens");
    let group = Group::open_on(log.clone(), settings).await.expect("an empty group opens");
    group.initialise_single(AMPLE).await.expect("the only voter is elected");
    set_up(&group, author).await;
    (folder, storage, log, group)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_proposals_at_once_land_in_order_in_few_commits() {
    const PROPOSALS: u32 = 200;
    let author = Author::default();
    let (_folder, storage, log, group) = held(&author).await;
    let group = Arc::new(group);
    let before = group.written();
    let first = log.last().expect("the log reads").expect("the log is not empty").0 + 1;
    storage.set(Syncs::Wait);
    let entries: Vec<_> = (0..PROPOSALS).map(|number| key(&author, number)).collect();
    let proposing = Arc::clone(&group);
    let answers =
        tokio::spawn(async move { join_all(entries.into_iter().map(|entry| proposing.propose(entry, AMPLE))).await });
    // Entries are readable as soon as they are queued: once all of them are, the writer may go on.
    let queued = async {
        while log.last().expect("the log reads").expect("the log is not empty").0 + 1 < first + u64::from(PROPOSALS) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(AMPLE, queued).await.expect("all of them are queued");
    storage.set(Syncs::Work);
    let answers = answers.await.expect("proposing does not panic");

    let mut indexes: Vec<_> = answers
        .into_iter()
        .map(|answer| {
            let proposed = answer.expect("the group runs and leads");
            assert!(matches!(proposed.outcome, Outcome::Done(_)), "{:?}", proposed.outcome);
            proposed.index.0
        })
        .collect();
    indexes.sort_unstable();
    assert_eq!(indexes, (first..first + u64::from(PROPOSALS)).collect::<Vec<_>>());
    let written = group.written();
    assert_eq!(written.entries - before.entries, u64::from(PROPOSALS));
    // Held: what came first. Then everything that queued up, and then the committed indexes.
    assert!(written.commits - before.commits <= 20, "{} commits", written.commits - before.commits);
    group.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_past_its_deadline_is_unknown_and_its_repetition_finds_it() {
    let author = Author::default();
    let (_folder, storage, _log, group) = held(&author).await;
    let entry = key(&author, 1);
    storage.set(Syncs::Wait);
    let late = group.propose(entry.clone(), Duration::from_millis(5)).await;
    assert_eq!(late, Err(ProposeError::Unknown));
    assert!(group.watch().borrow().state.row::<KeyVersion>(&version(1)).is_none(), "shown before it was durable");
    storage.set(Syncs::Work);
    let again = group.propose(entry, AMPLE).await.expect("the group runs and leads");
    assert!(matches!(again.outcome, Outcome::Repeated(_)), "{:?}", again.outcome);
    group.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_failed_sync_ends_the_group() {
    let author = Author::default();
    let (_folder, storage, _log, group) = held(&author).await;
    storage.set(Syncs::Fail);
    assert_eq!(group.propose(key(&author, 1), AMPLE).await, Err(ProposeError::Unknown));
    assert!(matches!(group.failed().await, Failure::Storage(_)));
    // A disk that works again changes nothing: what it holds is unknown.
    storage.set(Syncs::Work);
    assert_eq!(group.propose(key(&author, 2), AMPLE).await, Err(ProposeError::Stopped));
    assert_eq!(group.read_index().await, Err(ReadError::Stopped));
    group.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_applied_is_not_proposed() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let group = opened(folder.path()).await;
    let bytes = ENTRY_BYTES_MAX + 1;
    assert_eq!(group.propose(vec![0; bytes], AMPLE).await, Err(ProposeError::TooLarge { bytes }));
    assert!(matches!(group.propose(b"garbage".to_vec(), AMPLE).await, Err(ProposeError::Undecodable(_))));
    group.shutdown().await;
    assert_eq!(group.propose(Author::default().genesis(SHARD), AMPLE).await, Err(ProposeError::Stopped));
}

#[tokio::test]
async fn an_entry_that_cannot_be_decoded_halts_the_group_across_restarts() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let author = Author::default();
    let group = opened(folder.path()).await;
    set_up(&group, &author).await;
    done(&group, key(&author, 1)).await;
    let (index, digest) = (group.watch().borrow().index, group.digest());
    let since = LogIndex(index.0 + 1);

    assert_eq!(
        group.danger_propose_unread(b"of a newer release".to_vec(), AMPLE).await,
        Err(ProposeError::Halted { since })
    );
    assert_eq!(group.propose(key(&author, 2), AMPLE).await, Err(ProposeError::Halted { since }));
    group.shutdown().await;
    drop(group);

    let group = opened(folder.path()).await;
    assert_eq!(group.propose(key(&author, 3), AMPLE).await, Err(ProposeError::Halted { since }));
    let read = group.read_index().await.expect("a halted group still leads");
    assert!(read > since);
    assert_eq!(group.wait_applied(read).await.map(|_| ()), Err(ReadError::Halted { since }));
    let applied = group.wait_applied(index).await.expect("what was applied before is still there");
    assert_eq!((applied.index, applied.state.digest(), applied.halted), (index, digest, Some(since)));
    assert!(!group.mirror_was_rebuilt());
    group.shutdown().await;
}

#[tokio::test]
async fn a_read_index_covers_what_was_acknowledged_before() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let author = Author::default();
    let group = opened(folder.path()).await;
    set_up(&group, &author).await;
    for number in 0..8 {
        let acknowledged = group.propose(key(&author, number), AMPLE).await.expect("the group runs and leads").index;
        let read = group.read_index().await.expect("the only voter is its own quorum");
        assert!(read >= acknowledged);
        let applied = group.wait_applied(read).await.expect("the group applies");
        assert!(applied.state.row::<KeyVersion>(&version(number)).is_some());
    }
    group.shutdown().await;
    assert_eq!(group.wait_applied(LogIndex(u64::MAX)).await.map(|_| ()), Err(ReadError::Stopped));
}
