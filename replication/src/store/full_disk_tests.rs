//! A log on a disk that fills up: what waits, what goes on meanwhile, what ends it, and that nothing is lost or written twice.

use std::time::Duration;

use tokio::sync::oneshot;

use super::blocking::Blocking;
use super::log::{LogError, LogStore, Owner};
use super::small_disk::SmallDisk;
use crate::ids::{LogIndex, ReplicaId, ShardId};

/// How long anything may take that waits for an event.
const AMPLE: Duration = Duration::from_mins(1);
const OWNER: Owner = Owner { group: ShardId::FIRST.group(), replica: ReplicaId(1) };
/// What a new database takes, and some.
const FIRST_ROOM: u64 = 8 * 1024 * 1024;
const AMPLE_ROOM: u64 = 1024 * 1024 * 1024;
const ENTRY_BYTES: usize = 64 * 1024;
/// More than the first room holds.
const ENTRIES: u64 = 200;

/// What became of an append, once it is known.
type Fate = oneshot::Receiver<Result<(), LogError>>;

async fn append(log: &LogStore, index: u64) -> Result<Fate, LogError> {
    let (answer, fate) = oneshot::channel();
    let entry = vec![u8::try_from(index % 251).expect("below 251"); ENTRY_BYTES];
    log.append(vec![(index, entry)], Box::new(move |result| drop(answer.send(result)))).await?;
    Ok(fate)
}

/// Appends until the disk is full, and commits what went before; gives the fate of the append that waits, and its index.
async fn filled(log: &LogStore) -> Result<(u64, Fate), LogError> {
    for index in 1..=ENTRIES {
        let mut fate = append(log, index).await?;
        while log.shortage().is_none() {
            // the one that fills the disk is answered by nothing but the shortage
            if let Ok(done) = tokio::time::timeout(Duration::from_millis(5), &mut fate).await {
                done.expect("the writer answers")?;
                log.save_committed(LogIndex(index), b"position").await?;
                log.flush().await?;
                break;
            }
        }
        if log.shortage().is_some() {
            return Ok((index, fate));
        }
    }
    panic!("{ENTRIES} entries fit on a disk that is too small for them");
}

/// Waits until something was refused for lack of room that often.
async fn refused(disk: &SmallDisk, times: u64) {
    let waiting = async {
        while disk.refusals() < times {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(AMPLE, waiting).await.expect("the writer tries");
}

fn whole(log: &LogStore, last: u64) -> Result<(), LogError> {
    let entries = log.read(&(1..))?;
    assert_eq!(entries.len() as u64, last);
    for (place, (index, entry)) in (1..).zip(&entries) {
        assert_eq!((place, usize::from(entry[0]), entry.len()), (*index, (place % 251) as usize, ENTRY_BYTES));
    }
    Ok(())
}

#[tokio::test]
async fn a_full_disk_holds_writes_back_and_readers_go_on_until_there_is_room() -> Result<(), LogError> {
    let disk = SmallDisk::with_room(FIRST_ROOM);
    let log = LogStore::open(disk.clone(), OWNER, Blocking::Threads)?;
    let (waiting, mut fate) = filled(&log).await?;
    let shortage = log.shortage().expect("it waits");
    assert!(shortage.wanted_bytes >= 1024 * 1024, "{shortage:?}");
    // tries again and again, and never answers
    let before = disk.refusals();
    for times in 1..=2 {
        refused(&disk, before + times).await;
        whole(&log, waiting)?;
        assert_eq!(log.durable().borrow().committed, Some(LogIndex(waiting - 1)));
    }
    assert!(fate.try_recv().is_err(), "answered before it was durable");
    disk.has_room(AMPLE_ROOM);
    fate.await.expect("the writer answers")?;
    assert_eq!(log.shortage(), None);
    let fate = append(&log, waiting + 1).await?;
    fate.await.expect("the writer answers")?;
    whole(&log, waiting + 1)?;
    log.close();
    let log = LogStore::open(disk, OWNER, Blocking::Threads)?;
    whole(&log, waiting + 1)
}

#[tokio::test]
async fn a_write_that_finds_no_room_in_the_middle_of_a_commit_is_made_again_whole() -> Result<(), LogError> {
    let disk = SmallDisk::with_room(AMPLE_ROOM);
    let log = LogStore::open(disk.clone(), OWNER, Blocking::Threads)?;
    for index in 1..=4 {
        append(&log, index).await?.await.expect("the writer answers")?;
    }
    disk.refuses_writes();
    let mut fate = append(&log, 5).await?;
    refused(&disk, 1).await;
    whole(&log, 5)?;
    assert!(fate.try_recv().is_err(), "answered before it was durable");
    disk.takes_writes();
    fate.await.expect("the writer answers")?;
    log.close();
    whole(&LogStore::open(disk, OWNER, Blocking::Threads)?, 5)
}

#[tokio::test]
async fn a_log_that_is_closed_on_a_full_disk_ends_at_once_and_answers_nothing_as_written() -> Result<(), LogError> {
    let disk = SmallDisk::with_room(FIRST_ROOM);
    let log = LogStore::open(disk.clone(), OWNER, Blocking::Threads)?;
    let (waiting, fate) = filled(&log).await?;
    let closing = log.clone();
    tokio::task::spawn_blocking(move || closing.close()).await.expect("closing does not panic");
    assert!(matches!(fate.await, Ok(Err(LogError::NoRoom))));
    assert!(matches!(append(&log, waiting + 1).await, Err(LogError::Closed(_))));
    // a start on the disk that is still full
    let log = LogStore::open(disk.clone(), OWNER, Blocking::Threads)?;
    whole(&log, waiting - 1)?;
    assert_eq!(log.durable().borrow().committed, Some(LogIndex(waiting - 1)));
    disk.has_room(AMPLE_ROOM);
    append(&log, waiting).await?.await.expect("the writer answers")?;
    whole(&log, waiting)
}

#[tokio::test]
async fn a_sync_that_finds_no_room_ends_the_log_like_any_other_failed_sync() -> Result<(), LogError> {
    let disk = SmallDisk::with_room(AMPLE_ROOM);
    let log = LogStore::open(disk.clone(), OWNER, Blocking::Threads)?;
    append(&log, 1).await?.await.expect("the writer answers")?;
    disk.fails_next_sync();
    let syncs = disk.syncs();
    let answered = tokio::time::timeout(Duration::from_secs(30), append(&log, 2).await?).await;
    let fate = answered.expect("a failed sync waits for nothing").expect("the writer answers");
    assert!(matches!(fate, Err(LogError::Database(_))), "{fate:?}");
    assert!(log.durable().borrow().failed.is_some(), "the log goes on after a failed sync");
    assert!(log.save_vote(b"vote").await.is_err());
    assert_eq!(disk.syncs(), syncs, "something was synced after the failure");
    Ok(())
}

#[tokio::test]
async fn a_disk_without_room_even_for_opening_the_log_anew_holds_writes_and_reads_back_and_loses_nothing()
-> Result<(), LogError> {
    let disk = SmallDisk::with_room(AMPLE_ROOM);
    let log = LogStore::open(disk.clone(), OWNER, Blocking::Threads)?;
    for index in 1..=4 {
        append(&log, index).await?.await.expect("the writer answers")?;
    }
    disk.refuses_every_write();
    let mut fate = append(&log, 5).await?;
    // the write, the opening, and the opening of a later try
    refused(&disk, 3).await;
    assert!(fate.try_recv().is_err(), "answered before it was durable");
    let reading = log.clone();
    let mut read = tokio::spawn(async move { reading.reading(|log| log.read(&(1..))).await });
    // this test has one thread: a reader that held it would hold the test
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut read).await.is_err(), "read from a closed database");
    assert!(log.shortage().is_some());
    disk.takes_writes();
    fate.await.expect("the writer answers")?;
    assert_eq!(read.await.expect("the reader does not panic")?.len(), 5);
    log.close();
    whole(&LogStore::open(disk, OWNER, Blocking::Threads)?, 5)
}

#[tokio::test]
async fn a_log_that_is_let_go_of_on_a_full_disk_waits_for_no_room() -> Result<(), LogError> {
    let disk = SmallDisk::with_room(FIRST_ROOM);
    let log = LogStore::open(disk, OWNER, Blocking::Threads)?;
    let (_, fate) = filled(&log).await?;
    let (gone, is_gone) = oneshot::channel();
    std::thread::spawn(move || {
        drop(log);
        gone.send(())
    });
    tokio::time::timeout(AMPLE, is_gone).await.expect("it is let go of at once").expect("and does not panic");
    assert!(matches!(fate.await, Ok(Err(LogError::NoRoom))));
    Ok(())
}

#[tokio::test]
async fn a_database_that_went_back_behind_an_answer_is_refused_after_a_full_disk() -> Result<(), LogError> {
    for what in ["nothing", "vote", "entry", "end", "committed"] {
        let disk = SmallDisk::with_room(AMPLE_ROOM);
        let log = LogStore::open(disk.clone(), OWNER, Blocking::Threads)?;
        log.save_vote(b"older").await?;
        for index in 1..=4 {
            append(&log, index).await?.await.expect("the writer answers")?;
        }
        disk.goes_back_when_it_refuses().map_err(|error| LogError::File(error.into()))?;
        match what {
            "vote" => log.save_vote(b"newer").await?,
            "entry" => append(&log, 5).await?.await.expect("the writer answers")?,
            "end" => log.truncate_after(Some(3)).await?,
            "committed" => log.save_committed(LogIndex(4), b"position").await?,
            _ => {}
        }
        log.flush().await?;
        let next = log.last()?.map_or(1, |(last, _)| last + 1);
        disk.refuses_writes();
        let fate = append(&log, next).await?;
        refused(&disk, 1).await;
        disk.takes_writes();
        let fate = tokio::time::timeout(AMPLE, fate).await.expect("it waits for nothing").expect("the writer answers");
        let expected = match what {
            "nothing" => fate.is_ok(),
            "vote" | "committed" => matches!(fate, Err(LogError::Fact { .. })),
            _ => matches!(fate, Err(LogError::Damaged { .. })),
        };
        assert!(expected, "{what}: {fate:?}");
        assert_eq!((log.durable().borrow().failed.is_none(), log.shortage()), (what == "nothing", None), "{what}");
    }
    Ok(())
}
