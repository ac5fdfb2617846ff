//! Who should be a member of each group, as group 0's registry says, and the one next step towards it: decided by a pure function, taken by
//! whoever leads.
//!
//! Adds, and makes voters of learners that have caught up. Never takes a member away, and never makes a voter of a replica that does not
//! answer: a group of one that waits for a second voter that is off takes no changes.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{Either, select};
use openraft::AsyncRuntime;
use tokio::sync::watch;

use super::group::Group;
use super::machine::Applied;
use super::membership::MembershipError;
use super::status::Status;
use crate::ids::{PeerAddress, ReplicaId, ShardId};
use crate::machine::rows::{Replica, ReplicaKind, Standing};
use crate::machine::state::Table;

/// At most so many entries behind, a replica has caught up: it comes by the rest while the change is made.
const CAUGHT_UP: u64 = 64;
/// How often the membership is compared with the registry.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a step may take.
const STEP_MAX: Duration = Duration::from_secs(10);

/// What a leader does next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Have one more replica replicated to.
    AddLearner(ReplicaId, PeerAddress),
    /// Make these the voters, of whom the second are new.
    MakeVoters(BTreeSet<ReplicaId>, BTreeSet<ReplicaId>),
    /// Hand leadership to a data replica.
    HandOver(ReplicaId),
}

/// The next step of the leader `own` towards what the registry says, but for those that were in vain a moment ago. One that cannot do a
/// leader's duties leads in the place of another.
fn next_step(
    own: ReplicaId,
    status: &Status,
    registry: &Table<Replica>,
    in_vain: &BTreeSet<ReplicaId>,
    in_place_of: Option<ReplicaId>,
) -> Option<Step> {
    let is_member = |replica: &ReplicaId| status.voters.contains(replica) || status.learners.contains(replica);
    let open = || registry.iter().filter(|(replica, _)| !in_vain.contains(replica));
    if let Some((replica, row)) = open().find(|(replica, _)| !is_member(replica)) {
        return Some(Step::AddLearner(*replica, row.address.clone()));
    }
    let risen = open().filter(|(replica, row)| {
        row.standing == Standing::Voter && status.learners.contains(replica) && has_caught_up(status, **replica)
    });
    let risen: BTreeSet<_> = risen.map(|(replica, _)| *replica).collect();
    if !risen.is_empty() {
        return Some(Step::MakeVoters(status.voters.union(&risen).copied().collect(), risen));
    }
    let is_witness = registry.get(&own).is_some_and(|row| row.kind == ReplicaKind::Witness);
    let heirs = open().filter(|(replica, row)| {
        (is_witness || in_place_of == Some(**replica))
            && row.kind != ReplicaKind::Witness
            && status.voters.contains(replica)
            && has_caught_up(status, **replica)
    });
    heirs.min_by_key(|(replica, _)| status.behind.get(replica)).map(|(replica, _)| Step::HandOver(*replica))
}

/// Whether a replica has acknowledged something, and is close to the end of the log.
fn has_caught_up(status: &Status, replica: ReplicaId) -> bool {
    let behind = status.behind.get(&replica).copied();
    !status.troubles.contains_key(&replica)
        && behind.is_some_and(|behind| behind <= CAUGHT_UP && behind < status.last.0)
}

/// Keeps a group's membership as the registry has it, whenever this replica leads it, until the group ends.
pub(super) async fn keep<RT: AsyncRuntime>(
    group: Arc<Group<RT>>,
    mut system: watch::Receiver<Applied>,
    aside: Arc<AtomicBool>,
) {
    let own = group.replica;
    let mut told = BTreeMap::new();
    while group.wait_status(|status| status.leader == Some(own)).await.is_ok() {
        round(&group, &system, &aside, &mut told).await;
        let changed = pin!(async {
            if system.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        match select(pin!(RT::sleep(LOOK_EVERY)), changed).await {
            Either::Left(_) | Either::Right(_) => {}
        }
    }
}

/// Takes one step after the other until none is left, or this replica leads no more.
async fn round<RT: AsyncRuntime>(
    group: &Group<RT>,
    system: &watch::Receiver<Applied>,
    aside: &AtomicBool,
    told: &mut BTreeMap<ReplicaId, String>,
) {
    let mut in_vain = BTreeSet::new();
    loop {
        let status = group.status();
        let state = system.borrow().state.clone();
        let registry = state.replicas().clone();
        if status.leader != Some(group.replica) {
            return;
        }
        // the founder has what it takes; two that both lack it would hand leadership to each other for ever
        let founder = state.founder(ShardId::of(group.id()).unwrap_or(ShardId::FIRST));
        let in_place_of = founder.filter(|_| aside.load(Ordering::Relaxed));
        let Some(step) = next_step(group.replica, &status, &registry, &in_vain, in_place_of) else { return };
        match take(group, &registry, &step).await {
            Ok(()) => {
                tracing::info!(group = %group.id(), ?step, "the membership of this group follows the registry");
            }
            Err((_, MembershipError::NotLeader { .. } | MembershipError::Failed(_))) => return,
            Err((replica, error)) => {
                in_vain.insert(replica);
                let why = format!("{step:?}: {error}");
                if told.get(&replica) != Some(&why) {
                    tracing::warn!(group = %group.id(), %replica, error = &error as &dyn std::error::Error, "this replica is not yet the member that it should be; tried again");
                    told.insert(replica, why);
                }
            }
        }
    }
}

/// Takes a step. The error says whom it was in vain for.
async fn take<RT: AsyncRuntime>(
    group: &Group<RT>,
    registry: &Table<Replica>,
    step: &Step,
) -> Result<(), (ReplicaId, MembershipError)> {
    match step {
        Step::AddLearner(replica, address) => {
            group.add_learner(*replica, address.as_str(), STEP_MAX).await.map_err(|error| (*replica, error))
        }
        Step::MakeVoters(voters, risen) => {
            for replica in risen {
                is_up(group, registry, *replica).await?;
            }
            let first = risen.first().copied().unwrap_or(group.replica);
            group.change_voters(voters, STEP_MAX).await.map_err(|error| (first, error))
        }
        Step::HandOver(heir) => {
            is_up(group, registry, *heir).await?;
            group.transfer_leader_to(*heir, STEP_MAX).await.map_err(|error| (*heir, error))
        }
    }
}

async fn is_up<RT: AsyncRuntime>(
    group: &Group<RT>,
    registry: &Table<Replica>,
    replica: ReplicaId,
) -> Result<(), (ReplicaId, MembershipError)> {
    let row = registry.get(&replica).ok_or((replica, MembershipError::NotMember { replica }))?;
    let met = group.meet(replica, row.address.as_str(), STEP_MAX).await;
    met.map(drop).map_err(|error| (replica, error))
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
