//! Who should be a member of each group, as group 0's registry says, and the one next step towards it: decided by a pure function, taken by
//! whoever leads.
//!
//! Adds, and makes voters of learners that have caught up. Never takes a member away, and never makes a voter of a replica that does not
//! answer: a group of one that waits for a second voter that is off takes no changes.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use openraft::AsyncRuntime;
use tokio::sync::watch;

use super::group::Group;
use super::machine::Applied;
use super::membership::MembershipError;
use super::status::Status;
use crate::ids::{PeerAddress, ReplicaId};
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

/// The next step of the leader `own` towards what the registry says, but for those that were in vain a moment ago.
fn next_step(
    own: ReplicaId,
    status: &Status,
    registry: &Table<Replica>,
    in_vain: &BTreeSet<ReplicaId>,
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
        row.kind != ReplicaKind::Witness && status.voters.contains(replica) && has_caught_up(status, **replica)
    });
    let heir = heirs.min_by_key(|(replica, _)| status.behind.get(replica)).map(|(replica, _)| *replica);
    heir.filter(|_| is_witness).map(Step::HandOver)
}

/// Whether a replica has acknowledged something, and is close to the end of the log.
fn has_caught_up(status: &Status, replica: ReplicaId) -> bool {
    let behind = status.behind.get(&replica).copied();
    !status.troubles.contains_key(&replica)
        && behind.is_some_and(|behind| behind <= CAUGHT_UP && behind < status.last.0)
}

/// Keeps a group's membership as the registry has it, whenever this replica leads it, until the group ends.
pub(super) async fn keep<RT: AsyncRuntime>(group: Arc<Group<RT>>, mut system: watch::Receiver<Applied>) {
    let own = group.replica;
    let mut told = BTreeMap::new();
    while group.wait_status(|status| status.leader == Some(own)).await.is_ok() {
        round(&group, &system, &mut told).await;
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
    told: &mut BTreeMap<ReplicaId, String>,
) {
    let mut in_vain = BTreeSet::new();
    loop {
        let status = group.status();
        let registry = system.borrow().state.replicas().clone();
        if status.leader != Some(group.replica) {
            return;
        }
        let Some(step) = next_step(group.replica, &status, &registry, &in_vain) else { return };
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
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::ids::LogIndex;
    use crate::testkit::signing_key;

    fn row(number: u64, kind: ReplicaKind, standing: Standing) -> (ReplicaId, Arc<Replica>) {
        let address = format!("10.0.0.{number}:1").parse().expect("it is an address");
        let site = "a".parse().expect("it is a site");
        let row = Replica { address, site, kind, standing, added_at: Timestamp(0), added_by: None };
        (ReplicaId(number), Arc::new(row))
    }

    fn data() -> ReplicaKind {
        let key = signing_key("someone", 1);
        ReplicaKind::Data { signer: key.signer().clone(), public_key: key.public_key() }
    }

    /// Two data replicas, a witness, and a learner.
    fn registry() -> Table<Replica> {
        let rows = [
            row(1, data(), Standing::Voter),
            row(2, data(), Standing::Voter),
            row(3, ReplicaKind::Witness, Standing::Voter),
            row(4, data(), Standing::Learner),
        ];
        rows.into_iter().collect()
    }

    fn status(voters: &[u64], learners: &[u64], behind: &[(u64, u64)]) -> Status {
        let ids = |numbers: &[u64]| numbers.iter().copied().map(ReplicaId).collect();
        Status {
            term: 1,
            leader: Some(ReplicaId(voters[0])),
            voters: ids(voters),
            learners: ids(learners),
            members: BTreeMap::new(),
            purged: LogIndex(0),
            last: LogIndex(1000),
            committed: LogIndex(1000),
            applied: LogIndex(1000),
            behind: behind.iter().map(|(replica, behind)| (ReplicaId(*replica), *behind)).collect(),
            troubles: BTreeMap::new(),
        }
    }

    fn step(status: &Status, in_vain: &[u64]) -> Option<Step> {
        let own = status.leader.expect("the tests have a leader");
        next_step(own, status, &registry(), &in_vain.iter().copied().map(ReplicaId).collect())
    }

    fn learner(number: u64) -> Option<Step> {
        Some(Step::AddLearner(ReplicaId(number), format!("10.0.0.{number}:1").parse().expect("it is an address")))
    }

    fn voters(all: &[u64], risen: &[u64]) -> Option<Step> {
        let ids = |numbers: &[u64]| numbers.iter().copied().map(ReplicaId).collect();
        Some(Step::MakeVoters(ids(all), ids(risen)))
    }

    #[test]
    fn learners_come_one_at_a_time_and_one_that_is_off_holds_up_no_other() {
        assert_eq!(step(&status(&[1], &[], &[]), &[]), learner(2));
        assert_eq!(step(&status(&[1], &[], &[]), &[2]), learner(3));
        assert_eq!(step(&status(&[1], &[2], &[(2, 1000)]), &[]), learner(3));
        assert_eq!(step(&status(&[1], &[2, 3], &[(2, 1000), (3, 1000)]), &[]), learner(4));
    }

    #[test]
    fn whoever_has_caught_up_votes_if_it_should() {
        let all = [(2, 0), (3, 64), (4, 0)];
        assert_eq!(step(&status(&[1], &[2, 3, 4], &all), &[]), voters(&[1, 2, 3], &[2, 3]));
        assert_eq!(step(&status(&[1], &[2, 3, 4], &all), &[2]), voters(&[1, 3], &[3]));
        let slow = [(2, 0), (3, 65), (4, 0)];
        assert_eq!(step(&status(&[1], &[2, 3, 4], &slow), &[]), voters(&[1, 2], &[2]));
        assert_eq!(step(&status(&[1, 2], &[3, 4], &slow), &[]), None, "it is waited for");
        assert_eq!(step(&status(&[1, 2, 3], &[4], &all), &[]), None, "all is as it should be");
    }

    #[test]
    fn whoever_has_acknowledged_nothing_has_not_caught_up_however_short_the_log_is() {
        let short = Status { last: LogIndex(5), ..status(&[1], &[2, 3, 4], &[(2, 5), (3, 5), (4, 5)]) };
        assert_eq!(step(&short, &[]), None);
        let troubled = Status {
            troubles: [(ReplicaId(2), "an older store".to_owned())].into(),
            ..status(&[1], &[2, 3, 4], &[(2, 0), (3, 900), (4, 0)])
        };
        assert_eq!(step(&troubled, &[]), None);
    }

    #[test]
    fn a_witness_that_leads_hands_over_to_the_data_voter_that_has_most() {
        let leading = status(&[3, 1, 2], &[4], &[(1, 3), (2, 1), (4, 0)]);
        assert_eq!(step(&leading, &[]), Some(Step::HandOver(ReplicaId(2))));
        assert_eq!(step(&leading, &[2]), Some(Step::HandOver(ReplicaId(1))));
        assert_eq!(step(&status(&[3, 1, 2], &[4], &[(1, 900), (2, 900), (4, 0)]), &[]), None, "none has caught up");
    }

    #[test]
    fn nobody_is_taken_away_and_without_a_registry_nothing_happens() {
        assert_eq!(step(&status(&[1, 2, 3, 9], &[4], &[(2, 0), (3, 0), (4, 0), (9, 0)]), &[]), None);
        let alone = status(&[1], &[], &[]);
        assert_eq!(next_step(ReplicaId(1), &alone, &Table::<Replica>::new(), &BTreeSet::new()), None);
    }
}
