//! What a replica refuses of whoever passed the handshake: wrong claims, unknown words, and speech in another's name.

use super::cluster::{GENERATION, NEVER, Replicas, SHARD};
use super::pki::OTHER_LINEAGE;
use crate::ids::{Generation, Incarnation};
use crate::peers::carried::{Refused, to_wire};
use crate::peers::connections::Connections;
use crate::peers::limits::FORMAT;
use crate::peers::wire;
use crate::raft::network::{AskError, Destination, Kind, Lane};

type Change = fn(&mut wire::Call);

fn hello() -> wire::Call {
    wire::Call { header: None, kind: to_wire(Kind::Hello).into(), within_millis: 60_000, body: vec![] }
}

/// A vote for a replica in a term that nobody has reached.
fn ballot(candidate: u64) -> Vec<u8> {
    ballot_in(99, candidate)
}

fn ballot_in(term: u64, candidate: u64) -> Vec<u8> {
    // term, candidate, not won yet; no log; a transfer, which no lease of a leader holds up
    let request = (term, candidate, false, None::<u64>, true);
    postcard::to_stdvec(&request).expect("a ballot encodes")
}

/// Why a call was refused; `None` if it was answered.
async fn refusal(
    connections: &Connections,
    to: &Destination,
    lane: Lane,
    mut call: wire::Call,
    change: impl FnOnce(&mut wire::Call),
) -> Option<wire::Reason> {
    call.header = Some(connections.header(to));
    change(&mut call);
    let link = connections.link(to.replica, &to.address);
    let answer = match lane {
        Lane::Urgent => link.urgent.heard(link.urgent.client.clone().urgent(call).await),
        Lane::Entries => link.entries.heard(link.entries.client.clone().entries(call).await),
    };
    match answer {
        Ok(_) => None,
        Err(AskError::Refused(cause)) => {
            let refused = cause.downcast_ref::<Refused>().expect("only a replica refuses");
            assert!(!refused.to_string().is_empty(), "a refusal says why");
            Some(refused.reason)
        }
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string)),
    }
}

fn header(call: &mut wire::Call) -> &mut wire::Header {
    call.header.as_mut().expect("every call here has one")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_claim_is_refused_over_a_real_connection_and_changes_nothing() {
    let replicas = Replicas::voters(2, NEVER).await;
    let before = replicas.group(2).status();
    let (connections, to) = (replicas.in_the_name_of(1), replicas.way(1, 2));
    let table: [(&str, Change, wire::Reason); 12] = [
        ("no header", |call| call.header = None, wire::Reason::Malformed),
        ("newer format", |call| header(call).format = FORMAT + 1, wire::Reason::Format),
        ("no format", |call| header(call).format = 0, wire::Reason::Malformed),
        ("cluster", |call| header(call).lineage = OTHER_LINEAGE.as_bytes().to_vec(), wire::Reason::Cluster),
        ("older generation", |call| header(call).generation -= 1, wire::Reason::Generation),
        ("newer generation", |call| header(call).generation += 1, wire::Reason::Generation),
        ("another's name", |call| header(call).sender = 3, wire::Reason::Certificate),
        ("another addressee", |call| header(call).addressee = 3, wire::Reason::Addressee),
        ("another group", |call| header(call).group = 7, wire::Reason::Group),
        ("other store there", |call| header(call).sender_incarnation = vec![5; 16], wire::Reason::Incarnation),
        ("other store here", |call| header(call).addressee_incarnation = vec![5; 16], wire::Reason::Incarnation),
        ("no store here", |call| header(call).addressee_incarnation.clear(), wire::Reason::Malformed),
    ];
    for (name, change, expected) in table {
        let vote = wire::Call { kind: to_wire(Kind::Vote).into(), body: ballot(1), ..hello() };
        assert_eq!(refusal(&connections, &to, Lane::Urgent, vote, change).await, Some(expected), "{name}");
    }
    let unknown = |call: &mut wire::Call| call.kind = 99;
    let urgent = Lane::Urgent;
    assert_eq!(refusal(&connections, &to, urgent, hello(), unknown).await, Some(wire::Reason::Malformed));
    let garbage = |call: &mut wire::Call| (call.kind, call.body) = (wire::Kind::Vote.into(), vec![0xff; 40]);
    assert_eq!(refusal(&connections, &to, urgent, hello(), garbage).await, Some(wire::Reason::Malformed));
    let tail =
        |call: &mut wire::Call| (call.kind, call.body) = (wire::Kind::Vote.into(), [ballot(1), vec![0]].concat());
    assert_eq!(refusal(&connections, &to, urgent, hello(), tail).await, Some(wire::Reason::Malformed));
    let foreign = |call: &mut wire::Call| (call.kind, call.body) = (wire::Kind::Vote.into(), ballot(2));
    assert_eq!(refusal(&connections, &to, urgent, hello(), foreign).await, Some(wire::Reason::Certificate));
    // kept, it would be the last term there is
    let last = |call: &mut wire::Call| (call.kind, call.body) = (wire::Kind::Vote.into(), ballot_in(u64::MAX, 1));
    assert_eq!(refusal(&connections, &to, urgent, hello(), last).await, Some(wire::Reason::Malformed));
    // replica 1 leads term 99, no entry before, and a blank one of term 1 at index 7
    let gap = |call: &mut wire::Call| {
        (call.kind, call.body) = (wire::Kind::Append.into(), vec![99, 1, 1, 0, 1, 1, 1, 7, 0, 0]);
    };
    assert_eq!(refusal(&connections, &to, Lane::Entries, hello(), gap).await, Some(wire::Reason::Malformed));
    let large = |call: &mut wire::Call| (call.kind, call.body) = (wire::Kind::Append.into(), vec![0; 100_000]);
    assert_eq!(refusal(&connections, &to, urgent, hello(), large).await, Some(wire::Reason::Malformed));
    let lane = |call: &mut wire::Call| (call.kind, call.body) = (wire::Kind::Vote.into(), ballot(1));
    assert_eq!(refusal(&connections, &to, Lane::Entries, hello(), lane).await, Some(wire::Reason::Malformed));

    let after = replicas.group(2).status();
    assert_eq!((before.term, before.leader), (after.term, after.leader), "a refused ballot was counted");
    assert_eq!(refusal(&connections, &to, urgent, hello(), |_| {}).await, None, "the table's own call is sound");
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_proposal_is_refused_by_the_machine_and_a_replayed_one_changes_nothing() {
    let replicas = Replicas::voters(2, NEVER).await;
    let leader = replicas.leader().await;
    let follower = replicas.group(leader % 2 + 1);
    let entry = replicas.key(1);
    let first = replicas.done(entry.clone()).await;
    replicas.agree(first).await;
    let digest = follower.digest();
    let again = follower.propose(entry.clone(), super::cluster::AMPLE).await.expect("the leader orders it");
    assert!(matches!(again.outcome, crate::machine::outcome::Outcome::Repeated(_)), "{:?}", again.outcome);
    // a stranger's keys: whole, decodable, and signed by nobody who is enrolled
    let stranger = crate::testkit::Author::stranger();
    let name = "forged".parse().expect("a legal name");
    let forged = stranger.create_key(&super::cluster::tenant(), &name, None, super::cluster::version(9));
    let refused = follower.propose(forged, super::cluster::AMPLE).await.expect("the leader orders it");
    assert!(matches!(refused.outcome, crate::machine::outcome::Outcome::Refused(_)), "{:?}", refused.outcome);
    replicas.agree(refused.index).await;
    assert_eq!(follower.digest(), digest, "a replay or a forgery changed the state");
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_of_another_generation_is_not_met() {
    let replicas = Replicas::empty(2, NEVER).await;
    let older = Connections::new(replicas.authority.tls(crate::ids::ReplicaId(1)), Generation(GENERATION.0 - 1));
    let to = Destination { incarnation: None, from: Incarnation::from_bytes([1; 16]), ..replicas.way(1, 2) };
    assert_eq!(to.group, SHARD);
    assert_eq!(refusal(&older, &to, Lane::Urgent, hello(), |_| {}).await, Some(wire::Reason::Generation));
    replicas.shutdown().await;
}
