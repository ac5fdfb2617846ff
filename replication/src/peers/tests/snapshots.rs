//! A snapshot on its way: of many parts, beside heartbeats; and everything that can be wrong with one.

use std::fs;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::iter;
use futures::stream::pending;
use sha2::{Digest, Sha256};

use super::cluster::{AMPLE, NEVER, Replicas};
use crate::ids::{LogIndex, ReplicaId};
use crate::peers::carried::Refused;
use crate::peers::limits::CHUNK_BYTES;
use crate::peers::wire;
use crate::peers::wire::part::Part;
use crate::raft::group::SnapshotLimits;
use crate::raft::network::AskError;

const KEYS: u32 = 1500;
const EVERY_FEW: SnapshotLimits = SnapshotLimits { entries: 400, bytes: u64::MAX, interval: Duration::from_hours(9) };

/// A leader whose log begins behind a snapshot of several parts, and a replica that has nothing of it yet.
async fn far_behind() -> (Replicas, LogIndex) {
    let mut replicas = Replicas::voters(1, EVERY_FEW).await;
    let index = replicas.keys(0..KEYS).await;
    replicas.wait(1, |status| status.purged > LogIndex(0)).await;
    replicas.add(ReplicaId(2)).await;
    (replicas, index)
}

async fn join(replicas: &Replicas) {
    let address = replicas.node(2).address.to_string();
    replicas.group(1).add_learner(ReplicaId(2), &address, AMPLE).await.expect("it is up");
}

/// The parts in which a sound leader sends a file.
fn parts(header: wire::Header, body: &[u8], file: &[u8]) -> Vec<Part> {
    let announcement = wire::Announcement { header: Some(header), bytes: file.len() as u64, body: body.to_vec() };
    let mut parts = vec![Part::Announcement(announcement)];
    let (mut offset, mut digest) = (0, Sha256::new());
    for bytes in file.chunks(CHUNK_BYTES) {
        digest.update(bytes);
        let digest = digest.clone().finalize().to_vec();
        parts.push(Part::Chunk(wire::Chunk { offset, bytes: bytes.to_vec(), digest }));
        offset += bytes.len() as u64;
    }
    parts
}

fn chunk(part: &mut Part) -> &mut wire::Chunk {
    match part {
        Part::Chunk(chunk) => chunk,
        Part::Announcement(_) => panic!("the announcement comes first and once"),
    }
}

fn announcement(parts: &mut [Part]) -> &mut wire::Announcement {
    match &mut parts[0] {
        Part::Announcement(announcement) => announcement,
        Part::Chunk(_) => panic!("the announcement comes first"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_far_behind_is_caught_up_by_a_streamed_snapshot_and_nothing_wrong_is_taken_before() {
    let (replicas, index) = far_behind().await;
    let term = replicas.group(1).status().term;
    replicas.hold_snapshots();
    join(&replicas).await;
    let (to, shipment) = replicas.held_snapshot().await;
    let file = fs::read(&shipment.path).expect("the leader keeps it");
    assert!(file.len() > CHUNK_BYTES, "{} bytes are one part", file.len());

    let leader = replicas.in_the_name_of(1);
    let link = leader.link(to.replica, &to.address);
    let sound = || parts(leader.header(&to), &shipment.body, &file);
    let with = |change: fn(&mut Vec<Part>)| {
        let mut parts = sound();
        change(&mut parts);
        parts
    };
    let mut damaged = file.clone();
    damaged[CHUNK_BYTES + 77] ^= 1;
    let table = [
        ("a flipped bit on the way", with(|parts| chunk(&mut parts[1]).bytes[99] ^= 1)),
        ("a flipped bit on the sender's disk", parts(leader.header(&to), &shipment.body, &damaged)),
        ("a wrong digest", with(|parts| chunk(&mut parts[1]).digest[0] ^= 1)),
        ("no digest", with(|parts| chunk(&mut parts[1]).digest.clear())),
        ("a part left out", with(|parts| drop(parts.remove(1)))),
        ("a part twice", with(|parts| parts.insert(1, parts[1].clone()))),
        (
            "a part with nothing in it",
            with(|parts| {
                let empty = wire::Chunk { bytes: vec![], ..chunk(&mut parts[1]).clone() };
                let offset = chunk(&mut parts[2]).offset;
                parts.insert(2, Part::Chunk(wire::Chunk { offset, ..empty }));
            }),
        ),
        ("cut short", with(|parts| drop(parts.pop()))),
        ("nothing but the announcement", with(|parts| parts.truncate(1))),
        ("more than announced", with(|parts| announcement(parts).bytes -= 1)),
        ("less than announced", with(|parts| announcement(parts).bytes += 1)),
        ("too large", with(|parts| announcement(parts).bytes = u64::MAX)),
        ("not announced", with(|parts| drop(parts.remove(0)))),
        ("announced twice", with(|parts| parts.insert(2, parts[0].clone()))),
        ("another position", with(|parts| *announcement(parts).body.last_mut().expect("it has a body") ^= 1)),
        ("in no words of ours", with(|parts| announcement(parts).body = vec![0xff; 9])),
        ("nothing at all", vec![]),
    ];
    for (name, parts) in table {
        let parts = iter(parts.into_iter().map(|part| wire::Part { part: Some(part) }));
        let refused = link.snapshots.heard(link.snapshots.client.clone().snapshot(parts).await);
        let Err(AskError::Refused(cause)) = refused else { panic!("{name}: {refused:?}") };
        let reason = cause.downcast_ref::<Refused>().expect("only a replica refuses").reason;
        let expected = matches!(reason, wire::Reason::Snapshot | wire::Reason::Malformed);
        assert!(expected, "{name}: {reason:?}: {cause}");
        let left = fs::read_dir(replicas.folder(2).join("snapshots")).expect("the folder is there").count();
        assert_eq!(left, 0, "{name} left something behind");
        assert_eq!(replicas.group(2).status().applied, LogIndex(0), "{name} was installed");
    }

    replicas.release_snapshots();
    replicas.agree(index).await;
    assert_eq!(replicas.group(1).status().term, term, "the leader was lost over a snapshot");
    assert_eq!(replicas.wait(1, |status| status.behind.get(&ReplicaId(2)) == Some(&0)).await.term, term);
    assert!(!replicas.folder(2).join("snapshots").join("received.tmp").exists());
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_not_send_a_snapshot_is_told_before_a_byte_of_it_is_looked_at() {
    let (replicas, index) = far_behind().await;
    let term = replicas.group(1).status().term;
    replicas.hold_snapshots();
    join(&replicas).await;
    let (to, shipment) = replicas.held_snapshot().await;
    let file = fs::read(&shipment.path).expect("the leader keeps it");
    let refused_at_once = async |from: u64, body: Vec<u8>| {
        let theirs = replicas.in_the_name_of(from);
        let header = wire::Header { sender_incarnation: vec![7; 16], ..theirs.header(&to) };
        let header = if from == 1 { theirs.header(&to) } else { header };
        let announced = parts(header, &body, &file).into_iter().take(1);
        // goes on for ever: only the receiver ends it
        let stream = iter(announced.map(|part| wire::Part { part: Some(part) })).chain(pending());
        let link = theirs.link(to.replica, &to.address);
        match link.snapshots.heard(link.snapshots.client.clone().snapshot(stream).await) {
            Err(AskError::Refused(cause)) => cause.to_string(),
            other => panic!("{other:?}"),
        }
    };
    // a heartbeat of the leader came
    replicas.wait(2, |status| status.term == term).await;
    let (vote, rest) = shipment.body.split_at(2);
    assert_eq!(vote, [u8::try_from(term).expect("it is low"), 1], "term and leader stand first");
    let older = [&[0, 1], rest].concat();
    let told = refused_at_once(1, older).await;
    assert!(told.contains("no sound replica"), "{told}");
    let unknown = [&[vote[0], 9], rest].concat();
    let told = refused_at_once(9, unknown).await;
    assert!(told.contains("is no member"), "{told}");
    replicas.release_snapshots();
    replicas.agree(index).await;
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_snapshot_brought_is_there_after_a_restart_and_goes_on() {
    let (mut replicas, index) = far_behind().await;
    join(&replicas).await;
    replicas.agree(index).await;
    replicas.stop(2).await;
    // a stream that a kill cut off
    let left = replicas.folder(2).join("snapshots").join("received.tmp");
    fs::write(&left, b"a part of a snapshot").expect("the folder is there");
    replicas.start(2).await;
    assert!(!left.exists(), "a received part was left");
    let index = replicas.keys(KEYS..KEYS + 10).await;
    replicas.agree(index).await;
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_leaves_nothing_behind_and_the_place_is_free_again() {
    let replicas = Replicas::voters(2, NEVER).await;
    let group = replicas.group(2);
    let received = group.receive_snapshot(10).await.expect("the place is free");
    let refused = group.receive_snapshot(10).await.expect_err("one at a time");
    assert!(std::error::Error::source(&refused).is_some(), "{refused}");
    let path = replicas.folder(2).join("snapshots").join("received.tmp");
    assert!(path.exists());
    drop(received);
    assert!(!path.exists());
    drop(group.receive_snapshot(10).await.expect("the place is free again"));
    drop(group);
    replicas.shutdown().await;
}
