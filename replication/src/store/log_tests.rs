//! What an opened log proves of itself: every damage is found and named, and no sequence of changes breaks the chain.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use redb::{Database, ReadableDatabase, ReadableTable};
use tempfile::TempDir;

use super::blocking::Blocking;
use super::held::HeldStorage;
use super::log::{LogError, LogStore, Owner};
use super::record::{self, Damage};
use super::tables::ENTRIES;
use crate::ids::{GroupId, Incarnation, LogIndex, ReplicaId, ShardId};

const OWNER: Owner = Owner { group: ShardId::FIRST.group(), replica: ReplicaId(1) };
const COMMITTED: u64 = 9;

type Records = BTreeMap<u64, Vec<u8>>;

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn open(path: &Path, owner: Owner) -> Result<LogStore, LogError> {
    LogStore::open_file(path, owner, Blocking::Inline)
}

async fn append(log: &LogStore, indexes: std::ops::RangeInclusive<u64>, mark: &str) -> Result<(), LogError> {
    let entries = indexes.map(|index| (index, format!("{mark} {index}").into_bytes())).collect();
    log.append(entries, Box::new(|result| result.expect("the storage works"))).await
}

/// Entries 1 to 10, of which 9 are committed and some may be purged.
async fn written(path: &Path, owner: Owner, mark: &str, purged: Option<u64>) -> Result<(), LogError> {
    let log = open(path, owner)?;
    append(&log, 1..=10, mark).await?;
    log.save_vote(b"vote").await?;
    log.save_committed(LogIndex(COMMITTED), b"nine").await?;
    if let Some(last) = purged {
        log.purge(last, b"position").await?;
    }
    log.close();
    Ok(())
}

fn records(path: &Path) -> Result<Records, redb::Error> {
    let database = Database::open(path)?;
    let read = database.begin_read()?;
    let table = read.open_table(ENTRIES)?;
    table
        .iter()?
        .map(|row| row.map(|(index, entry)| (index.value(), entry.value().to_vec())).map_err(Into::into))
        .collect()
}

fn put(path: &Path, records: &Records) -> Result<(), redb::Error> {
    let database = Database::open(path)?;
    let change = database.begin_write()?;
    {
        let mut table = change.open_table(ENTRIES)?;
        table.retain(|_, _| false)?;
        for (index, entry) in records {
            table.insert(index, entry.as_slice())?;
        }
    }
    Ok(change.commit()?)
}

/// The record of an entry, as whole as its author made it, with another content.
fn reworded(record: &[u8]) -> Vec<u8> {
    let mut body = record::open(record).expect("the record is whole").to_vec();
    *body.last_mut().expect("no record is empty") ^= 1;
    record::seal(&body)
}

#[tokio::test]
async fn a_store_keeps_its_incarnation_and_one_in_use_that_does_not_state_it_is_refused() -> Result<(), LogError> {
    let folder = temporary();
    let path = folder.path().join("log.redb");
    let (first, second) = (Incarnation::from_bytes([1; 16]), Incarnation::from_bytes([2; 16]));
    let log = open(&path, OWNER)?;
    assert_eq!(log.incarnation(first).await?, first);
    assert_eq!(log.incarnation(second).await?, first);
    log.save_vote(b"vote").await?;
    log.close();
    drop(log);
    let log = open(&path, OWNER)?;
    assert_eq!(log.incarnation(second).await?, first);

    for use_made in ["vote", "entry"] {
        let path = folder.path().join(use_made);
        let log = open(&path, OWNER)?;
        match use_made {
            "vote" => log.save_vote(b"vote").await?,
            _ => append(&log, 1..=1, "entry").await?,
        }
        let refused = log.incarnation(first).await;
        let named = matches!(refused, Err(LogError::Fact { what: "incarnation", source: Damage::Missing }));
        assert!(named, "{use_made}: {refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn damage_anywhere_in_the_committed_log_refuses_to_start_and_names_the_entry()
-> Result<(), Box<dyn std::error::Error>> {
    type Change = fn(&mut Records, &Records);
    let table: [(&str, Change, u64, Damage); 11] = [
        ("a flipped bit", |log, _| log.get_mut(&6).expect("entry 6")[20] ^= 1, 6, Damage::Checksum),
        ("a record cut short", |log, _| log.get_mut(&6).expect("entry 6").truncate(3), 6, Damage::Short),
        ("another format", |log, _| log.get_mut(&6).expect("entry 6")[0] = 1, 6, Damage::Format(1)),
        ("a frame around nothing", |log, _| drop(log.insert(6, record::seal(b"six"))), 6, Damage::Content),
        ("a whole record of another content", |log, _| drop(log.insert(6, reworded(&log[&6]))), 6, Damage::Chain),
        ("a record missing", |log, _| drop(log.remove(&6)), 6, Damage::Missing),
        ("the first record missing", |log, _| drop(log.pop_first()), 5, Damage::Missing),
        (
            "two records swapped",
            |log, _| {
                let (six, seven) = (log[&6].clone(), log[&7].clone());
                log.extend([(6, seven), (7, six)]);
            },
            6,
            Damage::Chain,
        ),
        ("a record twice", |log, _| drop(log.insert(7, log[&6].clone())), 7, Damage::Chain),
        ("a record of another log", |log, other| drop(log.insert(6, other[&6].clone())), 6, Damage::Chain),
        ("the committed end missing", |log, _| log.retain(|index, _| *index < 8), 8, Damage::Missing),
    ];
    let other = temporary();
    let other = other.path().join("log.redb");
    written(&other, OWNER, "other", Some(4)).await?;
    let other = records(&other)?;
    for (name, change, index, damage) in table {
        let folder = temporary();
        let path = folder.path().join("log.redb");
        written(&path, OWNER, "entry", Some(4)).await?;
        let mut log = records(&path)?;
        change(&mut log, &other);
        put(&path, &log)?;
        let refused = open(&path, OWNER).map(|_| ()).expect_err(name);
        let LogError::Damaged { group, index: found, source } = &refused else { panic!("{name}: {refused:?}") };
        assert_eq!((*group, found.0, *source), (OWNER.group, index, damage), "{name}");
        let told = refused.to_string();
        assert!(told.contains(&format!("group {group} is damaged at entry {index}")), "{told}");
        assert!(told.contains("put back a whole copy"), "{told}");
        // What was found is kept to be looked at, and found again.
        assert_eq!(records(&path)?, log, "{name}");
        assert!(open(&path, OWNER).is_err(), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_log_that_was_never_purged_begins_where_its_group_began() -> Result<(), Box<dyn std::error::Error>> {
    let folder = temporary();
    let (path, other) = (folder.path().join("log.redb"), folder.path().join("other.redb"));
    written(&path, OWNER, "entry", None).await?;
    written(&other, Owner { group: GroupId(7), ..OWNER }, "entry", None).await?;
    let whole = records(&path)?;
    let foreign = records(&other)?;
    let without_first = whole.clone().into_iter().skip(1).collect();
    for (name, log, index, damage) in [
        ("without its first entry", without_first, 2, Damage::Chain),
        ("the log of another group", foreign, 1, Damage::Chain),
        ("without any entry", Records::new(), 0, Damage::Missing),
    ] {
        put(&path, &log)?;
        let refused = open(&path, OWNER).map(|_| ());
        assert!(
            matches!(&refused, Err(LogError::Damaged { index: found, source, .. }) if (found.0, *source) == (index, damage)),
            "{name}: {refused:?}"
        );
    }
    // An entry that was never committed may be gone: nobody was told of it.
    put(&path, &whole.into_iter().filter(|(index, _)| *index <= COMMITTED).collect())?;
    assert_eq!(open(&path, OWNER)?.last()?.map(|(index, _)| index), Some(COMMITTED));
    Ok(())
}

#[tokio::test]
async fn an_entry_that_does_not_follow_the_newest_is_not_appended() -> Result<(), LogError> {
    let log = LogStore::open(HeldStorage::default(), OWNER, Blocking::Inline)?;
    append(&log, 1..=3, "entry").await?;
    for wrong in [3, 5] {
        let refused = append(&log, wrong..=wrong, "entry").await;
        assert!(matches!(refused, Err(LogError::Gap { expected: LogIndex(4), .. })), "{refused:?}");
    }
    append(&log, 4..=4, "entry").await
}

#[derive(Debug, Clone)]
enum Change {
    Append { entries: u64 },
    Truncate { keep: u64 },
    Purge { ahead: u64 },
    Reopen,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (1..6_u64).prop_map(|entries| Change::Append { entries }),
        2 => (0..4_u64).prop_map(|keep| Change::Truncate { keep }),
        1 => (0..6_u64).prop_map(|ahead| Change::Purge { ahead }),
        2 => Just(Change::Reopen),
    ]
}

/// A log, and what it should hold.
struct Modelled {
    storage: HeldStorage,
    blocking: Blocking,
    log: LogStore,
    model: BTreeMap<u64, Vec<u8>>,
    next: u64,
    purged: Option<u64>,
}

impl Modelled {
    fn new(blocking: Blocking) -> Result<Self, LogError> {
        let storage = HeldStorage::default();
        let log = LogStore::open(storage.clone(), OWNER, blocking)?;
        Ok(Self { storage, blocking, log, model: BTreeMap::new(), next: 0, purged: None })
    }

    async fn take(&mut self, step: usize, change: &Change) -> Result<(), LogError> {
        match *change {
            Change::Append { entries } => {
                let indexes = self.next..=self.next + entries - 1;
                let mark = format!("step {step}");
                append(&self.log, indexes.clone(), &mark).await?;
                self.model.extend(indexes.map(|index| (index, format!("{mark} {index}").into_bytes())));
                self.next += entries;
            }
            Change::Truncate { keep } => {
                let first = self.model.keys().copied().nth(usize::try_from(keep).unwrap_or(usize::MAX));
                let Some(first) = first else { return Ok(()) };
                self.log.truncate_after(first.checked_sub(1)).await?;
                self.model.retain(|index, _| *index < first);
                self.next = first;
            }
            // Also beyond the newest entry, as behind a snapshot that came from elsewhere.
            Change::Purge { ahead } => {
                let last = self.purged.map_or(ahead, |purged| purged + ahead);
                self.log.purge(last, format!("to {last}").as_bytes()).await?;
                self.model.retain(|index, _| *index > last);
                self.purged = self.purged.max(Some(last));
                self.next = self.next.max(last + 1);
            }
            Change::Reopen => {
                self.log.close();
                self.log = LogStore::open(self.storage.clone(), OWNER, self.blocking)?;
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_appended_cut_and_purged_the_log_is_whole(changes in prop::collection::vec(change(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be had");
        runtime.block_on(async {
            let mut modelled = Modelled::new(Blocking::Inline).expect("an empty log opens");
            for (step, change) in changes.iter().enumerate() {
                modelled.take(step, change).await.expect("the log is whole");
                let found = modelled.log.read(&..).expect("the log is whole");
                assert_eq!(found, modelled.model.clone().into_iter().collect::<Vec<_>>());
            }
            modelled.take(changes.len(), &Change::Reopen).await.expect("the log is whole");
        });
    }
}
