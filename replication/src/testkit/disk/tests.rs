//! The disk itself: what a crash may take, and what it never takes.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::Path;

use super::{Disk, Fault, Lie, Operation};
use crate::store::files::{Files, StorageBackend};
use crate::testkit::Dice;

const FILE: &str = "/log";
const FOLDER: &str = "/snapshots";
const NEW: &str = "/snapshots/1.tmp";
const NAMED: &str = "/snapshots/1.snapshot";
const SEEDS: u64 = 200;

fn content(disk: &Disk) -> io::Result<Vec<u8>> {
    let file = disk.file(Path::new(FILE));
    let mut bytes = vec![0; usize::try_from(StorageBackend::len(&file)?).map_err(io::Error::other)?];
    StorageBackend::read(&file, 0, &mut bytes)?;
    Ok(bytes)
}

/// How far the last write came.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Written,
    Synced,
}

/// Everything that crashes leave of a file with four sectors of 1 on the plate and four of 2 on their way.
fn left(lie: Lie, last: Last) -> io::Result<BTreeSet<Vec<u8>>> {
    let disk = Disk::default();
    let file = disk.file(Path::new(FILE));
    StorageBackend::write(&file, 0, &[1; 2048])?;
    file.sync_data()?;
    disk.lie(lie);
    StorageBackend::write(&file, 0, &[2; 2048])?;
    if last == Last::Synced {
        file.sync_data()?;
    }
    assert_eq!(content(&disk)?, [2; 2048], "what is written is seen");
    (0..SEEDS).map(|seed| content(&disk.crash(&mut Dice::new(seed)))).collect()
}

#[test]
fn a_crash_takes_any_sectors_that_were_not_synced_and_none_that_were() -> io::Result<()> {
    let whole: BTreeSet<_> = [vec![2; 2048]].into();
    assert_eq!(left(Lie::None, Last::Synced)?, whole);
    let lost = left(Lie::None, Last::Written)?;
    let torn = [vec![2; 512], vec![1; 1536]].concat();
    assert!(lost.is_superset(&[vec![1; 2048], vec![2; 2048], torn].into()));
    // Any of four sectors, whole.
    assert!(lost.iter().all(|left| left.chunks(512).all(|sector| sector == [1; 512] || sector == [2; 512])));
    assert!(lost.len() > 8, "{} ways", lost.len());
    assert!(left(Lie::StorageSyncs, Last::Synced)?.len() > 1, "a disk that lies loses what it said was synced");
    Ok(())
}

#[test]
fn a_name_is_certain_once_its_folder_was_synced() -> io::Result<()> {
    let disk = Disk::default();
    let mut file = disk.create(Path::new(NEW))?;
    file.write_all(b"rows")?;
    file.sync()?;
    disk.rename(Path::new(NEW), Path::new(NAMED))?;
    let names = |disk: &Disk| -> io::Result<BTreeSet<_>> {
        (0..SEEDS).map(|seed| disk.crash(&mut Dice::new(seed)).list(Path::new(FOLDER))).collect()
    };
    assert_eq!(names(&disk)?.len(), 3, "neither name, the old one or the new one");
    disk.sync_folder(Path::new(FOLDER))?;
    assert_eq!(names(&disk)?, [vec![Path::new(NAMED).to_owned()]].into());
    let mut rows = String::new();
    disk.crash(&mut Dice::new(0)).open(Path::new(NAMED))?.read_to_string(&mut rows)?;
    assert_eq!(rows, "rows");
    disk.remove(Path::new(NAMED))?;
    assert_eq!(names(&disk)?.len(), 2, "gone or not");
    Ok(())
}

#[test]
fn what_a_failed_sync_left_behind_no_later_sync_writes() -> io::Result<()> {
    let mut lost = 0;
    for seed in 0..SEEDS {
        let disk = Disk::default();
        let file = disk.file(Path::new(FILE));
        disk.fail_next(|operation| matches!(operation, Operation::Sync { .. }), Fault::Dead, Dice::new(seed));
        StorageBackend::write(&file, 0, &[1; 512])?;
        assert_eq!(file.sync_data().map_err(|error| error.raw_os_error()), Err(Some(5)));
        assert_eq!(content(&disk)?, [1; 512], "it is still seen");
        file.sync_data()?;
        lost += u64::from(content(&disk.crash(&mut Dice::new(0)))? != [1; 512]);
    }
    assert!(lost > 0 && lost < SEEDS, "{lost} of {SEEDS}");
    Ok(())
}

#[test]
fn a_full_disk_says_so_and_what_a_file_grows_by_is_zeros() -> io::Result<()> {
    let disk = Disk::default();
    let file = disk.file(Path::new(FILE));
    StorageBackend::write(&file, 0, &[1; 5000])?;
    file.set_len(100)?;
    file.set_len(5000)?;
    let grown = content(&disk)?;
    assert!(grown[..100].iter().all(|byte| *byte == 1) && grown[100..].iter().all(|byte| *byte == 0));
    disk.fail(disk.operations(), Fault::Full, Dice::new(0));
    assert_eq!(file.set_len(9000).map_err(|error| error.raw_os_error()), Err(Some(28)));
    assert_eq!(content(&disk)?.len(), 5000);
    file.set_len(9000)
}
