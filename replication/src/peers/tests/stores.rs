//! A replica whose disk is not the one that the group knows: empty, or an older one.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::cluster::{AMPLE, NEVER, Replicas};
use crate::ids::{LogIndex, ReplicaId};
use crate::peers::carried::Refused;
use crate::peers::wire;
use crate::raft::membership::MembershipError;
use crate::raft::network::{AskError, Kind, Lane, Peers, Question};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("the folder reads");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("it has a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("the file can be copied");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_store_under_its_old_id_is_refused_both_ways_and_joins_under_a_new_one() {
    let mut replicas = Replicas::voters(3, NEVER).await;
    replicas.keys(0..10).await;
    if replicas.leader().await == 3 {
        replicas.group(3).transfer_leader_to(ReplicaId(1), AMPLE).await.expect("it is up");
    }
    let known = replicas.way(1, 3);
    replicas.stop(3).await;
    replicas.wipe(3);
    replicas.start(3).await;
    assert_ne!(replicas.group(3).incarnation(), known.incarnation.expect("it was up"));

    let hello = || Question { kind: Kind::Hello, lane: Lane::Urgent, body: vec![], within: AMPLE };
    let leader = replicas.leader().await;
    // what is left of the group tells a person what to do, and gives the store nothing
    let told = replicas.wait(leader, |status| status.troubles.contains_key(&ReplicaId(3))).await;
    let trouble = &told.troubles[&ReplicaId(3)];
    assert!(trouble.contains("join under a new replica id"), "{trouble}");
    let refused = replicas.in_the_name_of(3).ask(replicas.way(3, 1), hello()).await;
    let Err(AskError::Refused(cause)) = refused else { panic!("{refused:?}") };
    assert_eq!(cause.downcast_ref::<Refused>().map(|refused| refused.reason), Some(wire::Reason::Incarnation));
    let address = replicas.node(3).address.to_string();
    let refused = replicas.group(leader).add_learner(ReplicaId(3), &address, AMPLE).await;
    assert!(matches!(refused, Err(MembershipError::NotMet { .. } | MembershipError::OtherStore { .. })), "{refused:?}");
    assert_eq!(replicas.group(3).status().last, LogIndex(0), "it was given entries");

    replicas.stop(3).await;
    replicas.add(ReplicaId(4)).await;
    let address = replicas.node(4).address.to_string();
    let leader = replicas.leader().await;
    replicas.group(leader).add_learner(ReplicaId(4), &address, AMPLE).await.expect("it is new");
    let voters: BTreeSet<_> = [1, 2, 4].map(ReplicaId).into();
    replicas.group(leader).change_voters(&voters, AMPLE).await.expect("all are members");
    let index = replicas.keys(10..20).await;
    replicas.agree(index).await;

    // it has left, and its id is still not free
    replicas.start(3).await;
    let leader = replicas.leader().await;
    assert!(!replicas.group(leader).status().members.contains_key(&ReplicaId(3)));
    let address = replicas.node(3).address.to_string();
    let refused = replicas.group(leader).add_learner(ReplicaId(3), &address, AMPLE).await;
    assert!(matches!(refused, Err(MembershipError::OtherStore { .. })), "{refused:?}");
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_a_store_is_found_by_the_leader_that_it_acknowledged_more_to() {
    let mut replicas = Replicas::voters(3, NEVER).await;
    replicas.keys(0..10).await;
    let leader = replicas.leader().await;
    let copied = leader % 3 + 1;
    let index = replicas.keys(10..11).await;
    replicas.agree(index).await;
    replicas.stop(copied).await;
    let older = tempfile::tempdir().expect("a temporary folder can be made");
    copy(&replicas.folder(copied), older.path());
    replicas.start(copied).await;

    let index = replicas.keys(11..30).await;
    replicas.agree(index).await;
    replicas.wait(leader, |status| status.behind.get(&ReplicaId(copied)) == Some(&0)).await;
    replicas.stop(copied).await;
    std::fs::remove_dir_all(replicas.folder(copied)).expect("the folder is there");
    copy(older.path(), &replicas.folder(copied));
    replicas.start(copied).await;

    let told = replicas.wait(leader, |status| status.troubles.contains_key(&ReplicaId(copied))).await;
    let trouble = &told.troubles[&ReplicaId(copied)];
    assert!(trouble.contains("join under a new replica id"), "{trouble}");
    assert!(replicas.group(copied).status().last < index, "the older copy was filled up again");
    // the other two go on
    replicas.keys(30..40).await;
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_has_not_applied_who_left_binds_no_id_anew() {
    let mut replicas = Replicas::voters(3, NEVER).await;
    if replicas.leader().await != 1 {
        let leader = replicas.leader().await;
        replicas.group(leader).transfer_leader_to(ReplicaId(1), AMPLE).await.expect("it is up");
    }
    replicas.agree(LogIndex(0)).await;
    let held = replicas.group(2).danger_hold();
    // comes and leaves, and replica 2 applies neither
    replicas.add(ReplicaId(4)).await;
    let address = replicas.node(4).address.to_string();
    replicas.group(1).add_learner(ReplicaId(4), &address, AMPLE).await.expect("it is new");
    for voters in [&[1, 2, 3, 4][..], &[1, 2, 3]] {
        let voters = voters.iter().copied().map(ReplicaId).collect();
        replicas.group(1).change_voters(&voters, AMPLE).await.expect("all are members");
    }
    replicas.stop(4).await;
    replicas.wipe(4);
    replicas.start(4).await;
    replicas.group(1).transfer_leader_to(ReplicaId(2), AMPLE).await.expect("it is up");
    replicas.wait(2, |status| status.leader == Some(ReplicaId(2))).await;
    let adding = replicas.group(2).add_learner(ReplicaId(4), &address, Duration::from_millis(400)).await;
    assert!(matches!(adding, Err(MembershipError::Unknown { .. })), "{adding:?}");
    assert!(!replicas.group(2).status().members.contains_key(&ReplicaId(4)), "it was bound to another store");
    drop(held);
    let refused = replicas.group(2).add_learner(ReplicaId(4), &address, AMPLE).await;
    assert!(matches!(refused, Err(MembershipError::OtherStore { .. })), "{refused:?}");
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_not_moved_to_another_address_and_whoever_asks_is_told() {
    let mut replicas = Replicas::voters(1, NEVER).await;
    replicas.add(ReplicaId(2)).await;
    let address = replicas.node(2).address.to_string();
    let add = async |address: &str| replicas.group(1).add_learner(ReplicaId(2), address, AMPLE).await;
    add(&address).await.expect("it is new");
    add(&address).await.expect("it is as it was asked for");
    let other = address.replace("127.0.0.1", "localhost");
    let refused = add(&other).await.expect_err("it stays where it is");
    assert!(matches!(&refused, MembershipError::OtherAddress { known, .. } if *known == address), "{refused:?}");
    assert!(refused.to_string().contains("join under a new id"), "{refused}");
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_founded_a_cluster_of_its_own_is_given_no_others_log() {
    let replicas = Replicas::empty(2, NEVER).await;
    for number in [1, 2] {
        replicas.group(number).initialise_single(AMPLE).await.expect("it is its only voter");
    }
    let before = replicas.group(2).status();
    let address = replicas.node(2).address.to_string();
    let refused = replicas.group(1).add_learner(ReplicaId(2), &address, AMPLE).await;
    let Err(MembershipError::NotMet { source: AskError::Refused(cause), .. }) = refused else { panic!("{refused:?}") };
    assert!(cause.to_string().contains("have it join under a new number"), "{cause}");
    let after = replicas.group(2).status();
    assert_eq!((after.leader, after.members, after.last), (before.leader, before.members, before.last));
    assert!(replicas.group(1).status().learners.is_empty());
    replicas.shutdown().await;
}
