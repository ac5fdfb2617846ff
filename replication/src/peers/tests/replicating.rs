//! Three replicas over mutual TLS: elected, replicated, killed, cut off, transferred, and always of one state.

use std::collections::BTreeSet;

use super::cluster::{AMPLE, NEVER, Replicas, version};
use crate::ids::ReplicaId;
use crate::machine::outcome::Outcome;
use crate::machine::rows::KeyVersion;
use crate::raft::membership::MembershipError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_elect_replicate_and_agree() {
    let replicas = Replicas::voters(3, NEVER).await;
    let index = replicas.keys(0..40).await;
    replicas.agree(index).await;
    let leader = replicas.leader().await;
    let voters: BTreeSet<_> = (1..=3).map(ReplicaId).collect();
    for (_, group) in replicas.running() {
        let status = group.status();
        assert_eq!((status.leader, &status.voters), (Some(ReplicaId(leader)), &voters));
    }
    replicas.wait(leader, |status| status.behind.len() == 2 && status.behind.values().all(|behind| *behind == 0)).await;
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_asks_the_leader_for_read_indexes_and_for_a_place_in_the_log() {
    let replicas = Replicas::voters(3, NEVER).await;
    let leader = replicas.leader().await;
    let follower = replicas.group(leader % 3 + 1);
    for number in 0..4 {
        let proposed = follower.propose(replicas.key(number), AMPLE).await.expect("the leader is asked");
        assert!(matches!(proposed.outcome, Outcome::Done(_)), "{:?}", proposed.outcome);
        let read = follower.read_index().await.expect("the leader is asked");
        assert!(read >= proposed.index);
        let applied = follower.wait_applied(read).await.expect("the follower applies");
        assert!(applied.state.row::<KeyVersion>(&version(number)).is_some());
    }
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_replaced_nothing_acknowledged_is_lost_and_it_comes_back() {
    let mut replicas = Replicas::voters(3, NEVER).await;
    replicas.keys(0..20).await;
    let killed = replicas.leader().await;
    replicas.stop(killed).await;
    let leader = replicas.leader().await;
    assert_ne!(leader, killed);
    let index = replicas.keys(20..40).await;
    replicas.start(killed).await;
    replicas.agree(index).await;
    for (_, group) in replicas.running() {
        let state = group.watch().borrow().state.clone();
        assert!((0..40).all(|number| state.row::<KeyVersion>(&version(number)).is_some()));
    }
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_to_the_voter_that_is_named() {
    let replicas = Replicas::voters(3, NEVER).await;
    let mut index = replicas.keys(0..10).await;
    for round in 1..=3 {
        let (from, term) = (replicas.leader().await, replicas.group(1).status().term);
        let to = from % 3 + 1;
        replicas.group(from).transfer_leader_to(ReplicaId(to), AMPLE).await.expect("it is up and has everything");
        let status = replicas.wait(to, |status| status.leader == Some(ReplicaId(to))).await;
        assert!(status.term > term);
        index = replicas.keys(10 * round..10 * round + 2).await;
    }
    let leader = replicas.leader().await;
    let refused = replicas.group(leader).transfer_leader_to(ReplicaId(9), AMPLE).await;
    assert!(matches!(refused, Err(MembershipError::NotVoter { replica: ReplicaId(9) })), "{refused:?}");
    let refused = replicas.group(leader % 3 + 1).transfer_leader_to(ReplicaId(leader), AMPLE).await;
    let told = matches!(refused, Err(MembershipError::NotLeader { leader: Some(told) }) if told == ReplicaId(leader));
    assert!(told, "{refused:?}");
    replicas.agree(index).await;
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_isolated_replica_that_returns_does_not_disturb_the_term() {
    let replicas = Replicas::voters(3, NEVER).await;
    let leader = replicas.leader().await;
    let (isolated, other) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    let term = replicas.wait(isolated, |status| status.leader.is_some()).await.term;
    replicas.cut(isolated, leader);
    replicas.cut(isolated, other);
    // it misses its leader, and asks for votes that it does not get
    replicas.group(isolated).danger_stand_for_election().await;
    replicas.group(isolated).danger_stand_for_election().await;
    let index = replicas.keys(0..20).await;
    replicas.mend();
    replicas.agree(index).await;
    for (_, group) in replicas.running() {
        let status = group.status();
        assert_eq!((status.term, status.leader), (term, Some(ReplicaId(leader))));
    }
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_grows_by_learners_that_become_voters_and_shrinks_again() {
    let mut replicas = Replicas::voters(1, NEVER).await;
    replicas.keys(0..10).await;
    for number in 2..=3 {
        replicas.add(ReplicaId(number)).await;
        let address = replicas.node(number).address.to_string();
        replicas.group(1).add_learner(ReplicaId(number), &address, AMPLE).await.expect("it is up");
        replicas.wait(1, |status| status.behind.get(&ReplicaId(number)) == Some(&0)).await;
    }
    let refused = replicas.group(1).change_voters(&[1, 9].map(ReplicaId).into(), AMPLE).await;
    assert!(matches!(refused, Err(MembershipError::NotMember { replica: ReplicaId(9) })), "{refused:?}");
    let refused = replicas.group(1).change_voters(&BTreeSet::new(), AMPLE).await;
    assert!(matches!(refused, Err(MembershipError::NoVoter)), "{refused:?}");
    let all: BTreeSet<_> = [1, 2, 3].map(ReplicaId).into();
    replicas.group(1).change_voters(&all, AMPLE).await.expect("all are members");
    let index = replicas.keys(10..20).await;
    replicas.agree(index).await;
    assert_eq!(replicas.wait(2, |status| status.voters.len() == 3).await.voters, all);

    let leader = replicas.leader().await;
    let kept: BTreeSet<_> = [leader, leader % 3 + 1].map(ReplicaId).into();
    replicas.group(leader).change_voters(&kept, AMPLE).await.expect("they are members");
    let status = replicas.group(leader).status();
    assert_eq!((status.voters, status.learners), (kept, BTreeSet::new()));
    replicas.shutdown().await;
}
