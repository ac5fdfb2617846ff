//! Every damage to every file of the store is found before it is used, or is harmless: flipped bits, cuts, and files of
//! nothing at all.
//!
//! Small formats are tried bit by bit; the database by its names bit by bit, and elsewhere at places that a seed gives:
//! `EKM_FLIPS` says how many.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use redb::StorageBackend;

use super::blocking::Blocking;
use super::log::{LogError, LogStore, Owner};
use super::snapshot_file::{read_state, read_through, write_state, write_synced};
use super::snapshots::SnapshotError;
use super::state::StateMirror;
use crate::ids::{LogIndex, ReplicaId, ShardId};
use crate::machine::state::State;
use crate::testkit::disk::DiskFile;
use crate::testkit::{Author, Dice, Disk};

const OWNER: Owner = Owner { group: ShardId::FIRST.group(), replica: ReplicaId(1) };
const LOG: &str = "/log.redb";
const SNAPSHOT: &str = "/1.snapshot";
/// Flips in the everyday test command.
const FLIPS: u64 = 1_500;

/// A number that a person asks for.
#[expect(clippy::disallowed_methods, reason = "how long a test may take is asked for from outside")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Everything that a log says of itself.
#[derive(Debug, PartialEq)]
struct Content {
    entries: Vec<(u64, Vec<u8>)>,
    facts: [Option<Vec<u8>>; 3],
    catalogue: Vec<(u64, Vec<u8>)>,
}

fn content(log: &LogStore) -> Result<Content, LogError> {
    let facts = [log.vote()?, log.committed(), log.purged()?];
    Ok(Content { entries: log.read(&..)?, facts, catalogue: log.catalogued()? })
}

async fn append(log: &LogStore, indexes: std::ops::RangeInclusive<u64>) -> Result<(), LogError> {
    let entries = indexes.map(|index| (index, format!("the body of entry {index}").into_bytes())).collect();
    log.append(entries, Box::new(|result| result.expect("memory does not fail"))).await
}

/// A log with something of everything in it, and what that is.
async fn written(disk: &Disk) -> Result<(LogStore, Content), LogError> {
    let log = LogStore::open(disk.file(Path::new(LOG)), OWNER, Blocking::Inline)?;
    append(&log, 1..=40).await?;
    log.save_vote(b"vote one").await?;
    log.save_committed(LogIndex(40), b"forty").await?;
    log.catalogue(1, b"the first snapshot", Vec::new()).await?;
    log.catalogue(2, b"the second snapshot", Vec::new()).await?;
    log.purge(30, b"thirty").await?;
    append(&log, 41..=43).await?;
    let content = content(&log)?;
    Ok((log, content))
}

/// A copy of a disk, and the log's file on it.
fn copy(disk: &Disk) -> (Disk, DiskFile) {
    // Nothing is on its way to it, so a crash takes nothing.
    let copy = disk.crash(&mut Dice::new(0));
    let file = copy.file(Path::new(LOG));
    (copy, file)
}

fn bytes_of(file: &DiskFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().expect("memory does not fail")).expect("a small file")];
    file.read(0, &mut bytes).expect("memory does not fail");
    bytes
}

/// What a log says that was damaged before it was opened; `None` if it is refused.
fn told(disk: &Disk, damage: impl FnOnce(&DiskFile)) -> Option<Content> {
    let (_copy, file) = copy(disk);
    damage(&file);
    match LogStore::open(file.clone(), OWNER, Blocking::Inline) {
        Ok(log) => {
            let content = content(&log).ok();
            log.close();
            content
        }
        Err(refused) => {
            let told = refused.to_string();
            assert!(told.contains("put back a whole copy") || told.contains("belongs to group"), "{told}");
            assert!(LogStore::open(file, OWNER, Blocking::Inline).is_err(), "refused once, and opened then: {told}");
            None
        }
    }
}

fn flip(file: &DiskFile, at: usize, bit: u8) {
    let mut byte = [0];
    file.read(at as u64, &mut byte).expect("the place is in the file");
    file.write(at as u64, &[byte[0] ^ (1 << bit)]).expect("memory does not fail");
}

/// Where some bytes stand in a file.
fn places(bytes: &[u8], wanted: &[u8]) -> Vec<usize> {
    (0..bytes.len() - wanted.len()).filter(|at| bytes[*at..].starts_with(wanted)).collect()
}

#[tokio::test]
async fn a_flipped_bit_in_the_name_of_a_table_or_a_fact_is_found() -> Result<(), LogError> {
    let disk = Disk::default();
    let (log, whole) = written(&disk).await?;
    log.close();
    let bytes = bytes_of(&disk.file(Path::new(LOG)));
    for name in ["entries", "facts", "snapshots", "owner", "vote", "committed", "purged"] {
        let places = places(&bytes, name.as_bytes());
        assert!(!places.is_empty(), "{name}");
        for at in places.iter().flat_map(|at| *at..*at + name.len()) {
            for bit in 0..8 {
                let found = told(&disk, |file| flip(file, at, bit));
                assert!(found.is_none_or(|found| found == whole), "{name}: bit {bit} of byte {at}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_the_database_never_changes_what_a_log_says() -> Result<(), LogError> {
    let disk = Disk::default();
    let (log, whole) = written(&disk).await?;
    log.close();
    let bytes = bytes_of(&disk.file(Path::new(LOG)));
    // Most of the file is room that nothing was ever written to.
    let used: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let mut dice = Dice::new(1);
    let mut refused = 0;
    // never fewer: of a handful, chance may have none meet what is written
    let flips = asked("EKM_FLIPS").unwrap_or(FLIPS).max(FLIPS);
    for _ in 0..flips {
        let anywhere = dice.one_in(5);
        let room = if anywhere { bytes.len() } else { used.len() };
        let place = usize::try_from(dice.below(room as u64)).expect("a small file");
        let at = if anywhere { place } else { used[place] };
        let bit = u8::try_from(dice.below(8)).expect("a byte has eight bits");
        match told(&disk, |file| flip(file, at, bit)) {
            Some(found) => assert_eq!(found, whole, "bit {bit} of byte {at}"),
            None => refused += 1,
        }
    }
    assert!(refused > flips / 10, "{refused} of {flips} refused: the flips do not meet what is written");
    Ok(())
}

#[tokio::test]
async fn a_database_cut_anywhere_never_changes_what_a_log_says() -> Result<(), LogError> {
    let disk = Disk::default();
    let (log, whole) = written(&disk).await?;
    log.close();
    let length = disk.file(Path::new(LOG)).len().expect("memory does not fail");
    let whole_pages = (0..length).step_by(4096);
    let odd = [1, 511, 512, 4095, 4097, length - 4097, length - 1];
    let mut refused = 0;
    // A file of no bytes at all is a new one: who makes logs gives them their name when they are whole.
    for cut in whole_pages.skip(1).chain(odd).collect::<BTreeSet<_>>() {
        match told(&disk, |file| file.set_len(cut).expect("memory does not fail")) {
            Some(found) => assert_eq!(found, whole, "cut to {cut}"),
            None => refused += 1,
        }
    }
    assert!(refused > 0);
    let longer = told(&disk, |file| file.set_len(length + 4096).expect("memory does not fail"));
    assert!(longer.is_none_or(|found| found == whole));
    Ok(())
}

/// After an unclean end redb goes back to the commit before a damaged one, as after a torn one: it cannot tell them
/// apart. It goes back by no more than that, and the rest is found.
#[tokio::test]
async fn after_an_unclean_end_a_flipped_bit_costs_the_newest_commit_at_most() -> Result<(), LogError> {
    let disk = Disk::default();
    let (log, before) = written(&disk).await?;
    log.save_vote(b"vote two").await?;
    let newest = content(&log)?;
    let left = disk.crash(&mut Dice::new(0));
    let bytes = bytes_of(&left.file(Path::new(LOG)));
    let used: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    assert_eq!(told(&left, |_| {}).as_ref(), Some(&newest));
    let mut dice = Dice::new(2);
    let mut back = 0;
    for _ in 0..FLIPS / 3 {
        let at = used[usize::try_from(dice.below(used.len() as u64)).expect("a small file")];
        let found = told(&left, |file| flip(file, at, 3));
        back += u64::from(found.as_ref() == Some(&before));
        assert!(found.is_none_or(|found| found == newest || found == before), "byte {at}");
    }
    assert!(back > 0, "the flips never met the newest commit");
    Ok(())
}

fn snapshot() -> (Disk, Vec<u8>, State) {
    let author = Author::default();
    let mut state = State::empty();
    for (index, entry) in
        [author.genesis(OWNER.group), author.create_tenant(&"acme".parse().expect("a legal name"))].iter().enumerate()
    {
        state = state.apply(LogIndex(index as u64 + 1), entry).expect("the author's entries decode").state;
    }
    let mut bytes = Vec::new();
    write_state(&mut bytes, &state, b"meta").expect("memory does not fail");
    (Disk::default(), bytes, state)
}

fn read_back(disk: &Disk, content: &[u8]) -> [Result<(), SnapshotError>; 2] {
    let path = Path::new(SNAPSHOT);
    write_synced(disk, path, |file| file.write_all(content)).expect("memory does not fail");
    [read_through(disk, path).map(drop), read_state(disk, path).map(drop)]
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_snapshot_is_found_as_damage() {
    let (disk, bytes, state) = snapshot();
    write_synced(&disk, Path::new(SNAPSHOT), |file| file.write_all(&bytes)).expect("memory does not fail");
    let whole = read_state(&disk, Path::new(SNAPSHOT)).expect("what was written is whole");
    assert_eq!(whole, (state, b"meta".to_vec()));
    let flips = (0..bytes.len() * 8).map(|bit| {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        damaged
    });
    let cuts = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let longer = [[&bytes[..], &[0]].concat(), [&bytes[..], &bytes[..]].concat()];
    for (number, damaged) in flips.chain(cuts).chain(longer).enumerate() {
        for result in read_back(&disk, &damaged) {
            // Damage, and nothing else: another snapshot takes its place then.
            assert!(result.as_ref().is_err_and(SnapshotError::is_damage), "damage {number}: {result:?}");
        }
    }
}

/// A mirror that was closed, and the files it is made of.
async fn mirrored(folder: &Path) -> Result<(State, Vec<PathBuf>), Box<dyn std::error::Error>> {
    let (_, _, state) = snapshot();
    let mirror = StateMirror::open(folder, Blocking::Inline)?.mirror;
    mirror.replace(state.clone(), b"here".to_vec()).await?;
    mirror.close();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok((state, files))
}

#[tokio::test]
async fn damage_to_any_file_of_the_mirror_is_found_or_harmless() -> Result<(), Box<dyn std::error::Error>> {
    let whole = tempfile::tempdir()?;
    let (state, files) = mirrored(whole.path()).await?;
    let mut dice = Dice::new(3);
    let (mut kept, mut rebuilt) = (0, 0);
    let flips = asked("EKM_FLIPS").unwrap_or(FLIPS) / 10;
    for number in 0..flips {
        let copy = tempfile::tempdir()?;
        for file in &files {
            std::fs::copy(file, copy.path().join(file.file_name().ok_or("a file has a name")?))?;
        }
        let which = &files[usize::try_from(dice.below(files.len() as u64))?];
        let damaged = copy.path().join(which.file_name().ok_or("a file has a name")?);
        let mut bytes = std::fs::read(&damaged)?;
        let used: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        if number % 5 == 0 {
            bytes.truncate(usize::try_from(dice.below(bytes.len() as u64))?);
        } else if let Some(at) = used.get(usize::try_from(dice.below(used.len() as u64))?) {
            bytes[*at] ^= 1 << (number % 8);
        }
        std::fs::write(&damaged, bytes)?;
        let opened = StateMirror::open(copy.path(), Blocking::Inline)?;
        match opened.found {
            Some(found) => {
                assert_eq!((found.state, &found.position[..]), (state.clone(), &b"here"[..]), "{number}: {damaged:?}");
                kept += 1;
            }
            None => rebuilt += 1,
        }
        opened.mirror.close();
    }
    assert!(kept > 0 && rebuilt > 0, "{kept} kept, {rebuilt} rebuilt");
    Ok(())
}
