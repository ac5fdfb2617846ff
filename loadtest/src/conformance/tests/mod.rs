//! Tests of the kit: an EKM that is right passes every case, and for every case there is one that is wrong and fails it.

mod defects;
mod honest;
mod pages;
mod reports;
mod sealing;
mod verifier;
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::case::{Case, Group};
use super::cases;
use super::run::{Outcome, Verdict};
use defects::ROWS;
use world::{Signers, World};

/// Worlds that are looked at at the same time.
const WORLDS_AT_ONCE: usize = 4;

fn every_case() -> Vec<&'static Case> {
    cases::all().collect()
}

fn failed(verdicts: &[Verdict]) -> BTreeSet<&'static str> {
    let failed = verdicts.iter().filter(|verdict| matches!(verdict.outcome, Outcome::Failed { .. }));
    failed.map(|verdict| verdict.case.name).collect()
}

#[tokio::test]
async fn an_honest_ekm_passes_every_case() {
    let signers = Signers::new();
    let (verdicts, seen) = World::with(&signers, None).await.tried(&signers, &every_case()).await;
    let others: Vec<_> = verdicts.iter().filter(|verdict| verdict.outcome != Outcome::Passed).collect();
    let told: Vec<String> = others.iter().map(|one| format!("{}: {:?}", one.case.name, one.outcome)).collect();
    assert_eq!(told, Vec::<String>::new());
    assert!(seen.calls > 300 && seen.latencies.len() > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_defect_fails_the_case_that_is_there_for_it() {
    let signers = Arc::new(Signers::new());
    let room = Arc::new(Semaphore::new(WORLDS_AT_ONCE));
    let mut worlds = JoinSet::new();
    for (defect, case, others) in ROWS {
        let (signers, room) = (Arc::clone(&signers), Arc::clone(&room));
        worlds.spawn(async move {
            let _place = room.acquire().await.expect("nobody closes it");
            let (verdicts, _) = World::with(&signers, Some(*defect)).await.tried(&signers, &every_case()).await;
            let right: BTreeSet<&str> = others.iter().copied().chain([*case]).collect();
            let found = failed(&verdicts);
            (found != right).then(|| format!("{defect:?} fails {found:?}, and should fail {right:?}"))
        });
    }
    let wrong: Vec<String> = worlds.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_case_is_without_a_defect() {
    let with: BTreeSet<&str> = ROWS.iter().map(|(_, case, _)| *case).collect();
    let all: BTreeSet<&str> = cases::all().map(|case| case.name).collect();
    assert_eq!(with, all);
}

#[test]
fn names_are_unique_and_groups_stand_together() {
    let names: Vec<&str> = cases::all().map(|case| case.name).chain(Group::ALL.map(Group::name)).collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), unique.len());
    let groups: Vec<Group> = cases::all().map(|case| case.group).collect();
    assert!(groups.is_sorted() && groups.last() == Some(&Group::Limits));
    assert_eq!(cases::all().last().map(|case| case.name), Some("serves-after-it-all"));
}
