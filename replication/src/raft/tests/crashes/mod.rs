//! Power cuts at any operation of the disk, thousands of them, each played from a seed.
//!
//! A life asks everything of the stores that a group asks; the disk under it crashes again and again into images of its
//! own. Each image is opened as a start would open it, compared with what was acknowledged, and lived on for a while,
//! and crashes again, in the middle of its recovery too. `EKM_CRASH_POINTS` says how many of them, and `EKM_CRASH_SEED`
//! plays one seed alone.

mod life;
mod model;
mod world;

use self::life::Life;
use self::model::{Content, Story, Violation};
use self::world::{Slip, World, new_disk};
use crate::testkit::disk::{Fault, Lie, Operation};
use crate::testkit::{Dice, Disk};

/// Crash points of the everyday test command.
const CRASH_POINTS: u64 = 10_000;
/// Steps of a life, and then of one after one crash, after two, and so on.
const STEPS: [u64; 3] = [24, 2, 1];
/// One crash in so many operations, likewise.
const ONE_CRASH_IN: [u64; 3] = [4, 20, 0];

/// Seeds within which a planted fault must be found.
const SEEDS_UNTIL_CAUGHT_MAX: u64 = 20;
/// Lives in which one operation fails, for each way of failing.
const FAULTY_LIVES: u64 = 100;
/// The operation that fails is one of so many.
const FAULT_WITHIN: u64 = 300;

/// What a run came to.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    crash_points: u64,
    /// The trace of every disk, in order.
    trace: Vec<Vec<Operation>>,
}

/// Lives a whole seed: a life, the lives after its crashes, and the lives after theirs.
fn live(world: &World, seed: u64, lie: Lie) -> Result<Tally, Violation> {
    let mut dice = Dice::new(seed);
    let disk = new_disk();
    disk.lie(lie);
    let mut tally = Tally::default();
    let nothing = Story::new(Content::default(), imbl::OrdMap::new());
    survive(world, disk, (&nothing, 0), &mut dice, &mut tally)?;
    Ok(tally)
}

fn survive(
    world: &World,
    disk: Disk,
    (before, operations): (&Story, u64),
    dice: &mut Dice,
    tally: &mut Tally,
) -> Result<(), Violation> {
    let mut left = vec![(disk, before.clone(), operations, 0)];
    while let Some((disk, before, operations, crashes)) = left.pop() {
        if ONE_CRASH_IN[crashes] > 0 {
            disk.crash_often(dice.split(), ONE_CRASH_IN[crashes]);
        }
        let mut life = Life::open(world, disk, &before, operations, dice)?;
        tally.crash_points += u64::from(crashes > 0);
        let steps = if crashes == 0 { STEPS[0] } else { dice.below(STEPS[crashes] + 1) };
        for _ in 0..steps {
            life.step(dice)?;
        }
        let (disk, story) = life.close();
        for crash in disk.crashes() {
            left.push((crash.disk, story.clone(), crash.operations, crashes + 1));
        }
        tally.trace.push(disk.trace());
    }
    Ok(())
}

/// A number that a person asks for.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a test may take, and which seed it plays, is asked for from outside"
)]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// How many seeds it takes until the checker finds something.
fn caught(slip: Slip, lie: Lie) -> Option<u64> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    (0..SEEDS_UNTIL_CAUGHT_MAX)
        .find(|seed| live(&World::new(&folder.path().join(seed.to_string()), slip), *seed, lie).is_err())
}

#[test]
fn what_is_acknowledged_survives_a_crash_at_any_operation() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let world = World::new(folder.path(), Slip::None);
    let one = asked("EKM_CRASH_SEED");
    let wanted = if one.is_some() { 1 } else { asked("EKM_CRASH_POINTS").unwrap_or(CRASH_POINTS) };
    let mut points = 0;
    for seed in one.unwrap_or(0).. {
        match live(&world, seed, Lie::None) {
            Ok(tally) => points += tally.crash_points,
            Err(Violation(what)) => panic!(
                "{what}\nTo play it again: EKM_CRASH_SEED={seed} cargo test -p replication \
                 what_is_acknowledged_survives_a_crash_at_any_operation"
            ),
        }
        if points >= wanted {
            break;
        }
    }
    assert!(points >= wanted, "{points} crash points of {wanted}");
}

#[test]
fn a_seed_gives_the_same_operations_and_crashes_every_time() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let play = |place: &str, seed| {
        let world = World::new(&folder.path().join(place), Slip::None);
        live(&world, seed, Lie::None).expect("nothing acknowledged is lost")
    };
    let first = play("first", 7);
    assert_eq!(first, play("again", 7));
    assert_ne!(first, play("other", 8));
}

#[test]
fn every_planted_fault_is_caught_within_a_few_seeds() {
    let table = [
        (Slip::VoteForgotten, Lie::None),
        (Slip::EarlyAcknowledgement, Lie::None),
        (Slip::PurgeBeforeSnapshot, Lie::None),
        (Slip::CatalogueBeforeRename, Lie::None),
        (Slip::None, Lie::StorageSyncs),
        (Slip::None, Lie::FileSyncs),
        (Slip::None, Lie::FolderSyncs),
    ];
    for (slip, lie) in table {
        assert!(caught(slip, lie).is_some(), "{slip:?} and {lie:?} pass for sound");
    }
}

/// Lives until the disk fails once, and looks at what is left.
fn fail_once(world: &World, seed: u64, fault: Fault) -> Result<bool, Violation> {
    let mut dice = Dice::new(seed);
    let disk = new_disk();
    let nothing = Story::new(Content::default(), imbl::OrdMap::new());
    let mut life = Life::open(world, disk.clone(), &nothing, 0, &mut dice)?;
    disk.fail(disk.operations() + dice.below(FAULT_WITHIN), fault, dice.split());
    let mut works = true;
    for _ in 0..STEPS[0] {
        works = works && life.step(&mut dice)?;
    }
    if !works {
        life.accepts_nothing_more(fault)?;
    }
    let (disk, story) = life.close();
    let left = disk.crash(&mut dice);
    Life::open(world, left, &story, disk.operations(), &mut dice)?;
    Ok(works)
}

#[test]
fn after_an_operation_that_failed_nothing_is_acknowledged_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let world = World::new(folder.path(), Slip::None);
    for fault in [Fault::Dead, Fault::Full] {
        let mut failed = 0;
        for seed in 0..FAULTY_LIVES {
            match fail_once(&world, seed, fault) {
                Ok(works) => failed += u64::from(!works),
                Err(Violation(what)) => panic!("seed {seed}, {fault:?}: {what}"),
            }
        }
        assert!(failed > FAULTY_LIVES / 2, "{fault:?}: only {failed} of {FAULTY_LIVES} lives met their fault");
    }
}
