//! The next step towards the registry, for every standing of a group.

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
    next_step(own, status, &registry(), &in_vain.iter().copied().map(ReplicaId).collect(), None)
}

fn learner(number: u64) -> Step {
    Step::AddLearner(ReplicaId(number), format!("10.0.0.{number}:1").parse().expect("it is an address"))
}

fn voters(all: &[u64], risen: &[u64]) -> Step {
    let ids = |numbers: &[u64]| numbers.iter().copied().map(ReplicaId).collect();
    Step::MakeVoters(ids(all), ids(risen))
}

#[test]
fn learners_come_one_at_a_time_and_one_that_is_off_holds_up_no_other() {
    assert_eq!(step(&status(&[1], &[], &[]), &[]), Some(learner(2)));
    assert_eq!(step(&status(&[1], &[], &[]), &[2]), Some(learner(3)));
    assert_eq!(step(&status(&[1], &[2], &[(2, 1000)]), &[]), Some(learner(3)));
    assert_eq!(step(&status(&[1], &[2, 3], &[(2, 1000), (3, 1000)]), &[]), Some(learner(4)));
}

#[test]
fn whoever_has_caught_up_votes_if_it_should() {
    let all = [(2, 0), (3, 64), (4, 0)];
    assert_eq!(step(&status(&[1], &[2, 3, 4], &all), &[]), Some(voters(&[1, 2, 3], &[2, 3])));
    assert_eq!(step(&status(&[1], &[2, 3, 4], &all), &[2]), Some(voters(&[1, 3], &[3])));
    let slow = [(2, 0), (3, 65), (4, 0)];
    assert_eq!(step(&status(&[1], &[2, 3, 4], &slow), &[]), Some(voters(&[1, 2], &[2])));
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
fn a_data_replica_that_stands_aside_hands_over_to_the_founder_alone() {
    let leading = status(&[1, 2, 3], &[4], &[(2, 3), (3, 0), (4, 0)]);
    let aside = |status: &Status, founder: u64| {
        let own = status.leader.expect("the tests have a leader");
        next_step(own, status, &registry(), &BTreeSet::new(), Some(ReplicaId(founder)))
    };
    assert_eq!(aside(&leading, 2), Some(Step::HandOver(ReplicaId(2))));
    for (founder, why) in [(1, "itself"), (3, "a witness"), (4, "a learner"), (9, "nobody")] {
        assert_eq!(aside(&leading, founder), None, "{why}");
    }
    assert_eq!(aside(&status(&[1, 2, 3], &[4], &[(2, 900), (3, 0), (4, 0)]), 2), None, "it has not caught up");
}

#[test]
fn nobody_is_taken_away_and_without_a_registry_nothing_happens() {
    assert_eq!(step(&status(&[1, 2, 3, 9], &[4], &[(2, 0), (3, 0), (4, 0), (9, 0)]), &[]), None);
    let alone = status(&[1], &[], &[]);
    assert_eq!(next_step(ReplicaId(1), &alone, &Table::<Replica>::new(), &BTreeSet::new(), None), None);
}
