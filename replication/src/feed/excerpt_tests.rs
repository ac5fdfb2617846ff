//! Changes of a state, whole and not.

use super::*;
use crate::ids::{KeyName, KeyVersionId, ShardId, TenantId};
use crate::testkit::{Author, played};

const SHARD: GroupId = ShardId::FIRST.group();
const LINEAGE: LineageId = LineageId::from_bytes([7; 16]);

fn states() -> (State, State) {
    let (author, tenant): (_, TenantId) = (Author::default(), "acme".parse().expect("a legal name"));
    let key = |text: &str, id| {
        let name: KeyName = text.parse().expect("a legal name");
        author.create_key(&tenant, &name, None, KeyVersionId::from_bytes([id; 16]))
    };
    let log = [author.genesis(SHARD), author.create_tenant(&tenant), key("k1", 1), key("k2", 2)];
    (played(&log[..3]), played(&log))
}

fn mark(index: u64, state: &State) -> Mark {
    Mark { index: LogIndex(index), digest: state.digest() }
}

#[test]
fn changes_bring_one_state_to_the_other_in_either_direction() {
    let (old, new) = states();
    let all = |state: &State| state.changes_since(&State::empty(), &SERVED).collect::<Vec<_>>();
    for (from, to) in [(&old, &new), (&new, &old), (&State::empty(), &new), (&new, &new)] {
        let mut state = from.clone();
        let changes: Vec<_> = to.changes_since(from, &SERVED).collect();
        state.take_changes(changes).expect("rows that were encoded decode");
        assert_eq!(all(&state), all(to));
    }
    assert_eq!(new.changes_since(&new.clone(), &SERVED).count(), 0);
    let few = new.changes_since(&old, &SERVED).count();
    assert!((2..5).contains(&few), "a key, its version and its tenant: {few}");
}

#[test]
fn a_change_that_is_not_whole_is_not_taken_over() {
    let (old, new) = states();
    let changes = || new.changes_since(&State::empty(), &SERVED).collect::<Vec<_>>();
    let told = changes().len() as u64;
    let begin = |current| Incoming::begin(&State::empty(), LogIndex(4), current);
    let ended = |changes: Vec<RowChange>, told, mark, of| {
        let mut incoming = begin(None).expect("nothing is there yet");
        incoming.take(changes)?;
        incoming.end(told, mark, of)
    };
    assert!(ended(changes(), told, mark(4, &new), (LINEAGE, SHARD)).is_ok());
    let short = ended(changes()[1..].to_vec(), told, mark(4, &new), (LINEAGE, SHARD));
    assert!(matches!(short, Err(ExcerptError::Count { .. })));
    assert!(matches!(ended(changes(), told, mark(5, &new), (LINEAGE, SHARD)), Err(ExcerptError::OtherEnd)));
    let other = LineageId::from_bytes([8; 16]);
    assert!(matches!(ended(changes(), told, mark(4, &new), (other, SHARD)), Err(ExcerptError::Foreign)));
    let elsewhere = ended(changes(), told, mark(4, &new), (LINEAGE, GroupId::SYSTEM));
    assert!(matches!(elsewhere, Err(ExcerptError::Foreign)));
    assert!(matches!(begin(Some(mark(5, &old))), Err(ExcerptError::Older)));
    let signers = [RowKind::Signer];
    let unserved: Vec<_> = new.changes_since(&State::empty(), &signers).collect();
    let refused = ended(unserved, 1, mark(4, &new), (LINEAGE, SHARD));
    assert!(matches!(refused, Err(ExcerptError::OtherKind)));
    let torn = vec![RowChange { key: changes()[0].key.clone(), value: Some(vec![1, 2, 3]) }];
    assert!(matches!(ended(torn, 1, mark(4, &new), (LINEAGE, SHARD)), Err(ExcerptError::Undecodable(_))));
}
