//! Kills, restarts and cut links while entries are proposed everywhere: whatever was acknowledged is there at the end, and all
//! states are one. What is drawn comes from a seed; what the machine makes of it is its own.

use std::time::Duration;

use super::cluster::{AMPLE, Replicas, version};
use crate::ids::LogIndex;
use crate::machine::outcome::Outcome;
use crate::machine::rows::KeyVersion;
use crate::raft::group::{ProposeError, SnapshotLimits};
use crate::testkit::Dice;

const STEPS: u32 = 12;
/// Keys that are made in a step.
const KEYS: u32 = 6;
/// How long one try waits: an isolated leader knows of nothing, and somebody else is asked then.
const TRY: Duration = Duration::from_secs(3);
const EVERY_FEW: SnapshotLimits = SnapshotLimits { entries: 20, bytes: u64::MAX, interval: Duration::from_hours(9) };

/// What is wrong at the moment; a quorum is whole always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Stopped(u64),
    Isolated(u64),
}

/// Has a key made through any replica that is not cut off, as often as it takes.
async fn made(replicas: &Replicas, dice: &mut Dice, fault: Fault, number: u32) -> LogIndex {
    let entry = replicas.key(number);
    let asking = async {
        loop {
            let through = 1 + dice.below(3);
            if matches!(fault, Fault::Stopped(away) | Fault::Isolated(away) if away == through) {
                continue;
            }
            match replicas.group(through).propose(entry.clone(), TRY).await {
                Ok(proposed) => {
                    let outcome = proposed.outcome;
                    assert!(matches!(outcome, Outcome::Done(_) | Outcome::Repeated(_)), "{outcome:?}");
                    return proposed.index;
                }
                Err(ProposeError::NotLeader { .. } | ProposeError::Unknown) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(AMPLE, asking).await.expect("a quorum is whole")
}

async fn soak(seed: u64) {
    let mut dice = Dice::new(seed);
    let mut replicas = Replicas::voters(3, EVERY_FEW).await;
    let (mut fault, mut index) = (Fault::None, LogIndex(0));
    for step in 0..STEPS {
        fault = match fault {
            Fault::None => {
                let away = 1 + dice.below(3);
                if dice.one_in(2) {
                    replicas.stop(away).await;
                    Fault::Stopped(away)
                } else {
                    (1..=3).filter(|other| *other != away).for_each(|other| replicas.cut(away, other));
                    Fault::Isolated(away)
                }
            }
            Fault::Stopped(away) => {
                replicas.start(away).await;
                Fault::None
            }
            Fault::Isolated(_) => {
                replicas.mend();
                Fault::None
            }
        };
        for number in step * KEYS..(step + 1) * KEYS {
            index = made(&replicas, &mut dice, fault, number).await.max(index);
        }
    }
    match fault {
        Fault::None => {}
        Fault::Stopped(away) => replicas.start(away).await,
        Fault::Isolated(_) => replicas.mend(),
    }
    replicas.agree(index).await;
    for (replica, group) in replicas.running() {
        let state = group.watch().borrow().state.clone();
        let lost: Vec<_> =
            (0..STEPS * KEYS).filter(|number| state.row::<KeyVersion>(&version(*number)).is_none()).collect();
        assert!(lost.is_empty(), "seed {seed}, replica {replica} lost {lost:?}");
    }
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_all_states_are_one() {
    for seed in [1, 2] {
        soak(seed).await;
    }
}
