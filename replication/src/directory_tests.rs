//! What a path comes to while shards come to be known, and while one of them is missing.

use std::time::Duration;

use super::*;
use crate::freshness::FRESH_MAX;
use crate::ids::ReplicaId;
use crate::machine::command::{Action, AddShard, CreateKey};
use crate::machine::policy::Subject;
use crate::machine::rows::{Origin, Purpose};
use crate::testkit::{Author, new_version, played};

const KNOWN: KeyVersionId = KeyVersionId::from_bytes([1; 16]);
const NOBODYS: KeyVersionId = KeyVersionId::from_bytes([9; 16]);

fn second() -> ShardId {
    ShardId(std::num::NonZeroU16::MIN.saturating_add(1))
}

fn at(seconds: u64) -> Moment {
    Moment::since_origin(Duration::from_secs(seconds))
}

/// Group 0 with the first shard alone.
fn one_shard() -> State {
    played(&[Author::default().genesis(GroupId::SYSTEM)])
}

/// Group 0 with a second shard.
fn two_shards() -> State {
    let author = Author::default();
    let genesis = author.genesis(GroupId::SYSTEM);
    played(&[
        genesis,
        author.does(GroupId::SYSTEM, Action::AddShard(AddShard { shard: second(), founder: ReplicaId(1) })),
    ])
}

/// A shard with one key, if it has any.
fn shard(id: ShardId, version: Option<KeyVersionId>) -> State {
    let (author, tenant) = (Author::default(), "acme".parse::<TenantId>().expect("a legal name"));
    let mut entries = vec![author.genesis(id.group()), author.create_tenant_in(id, &tenant)];
    entries.extend(version.map(|version| {
        let create = CreateKey {
            tenant,
            name: "k".parse().expect("a legal name"),
            crypto_space: None,
            purpose: Purpose::EncryptDecrypt,
            version: new_version(version, Origin::Generated),
        };
        author.does(id.group(), Action::CreateKey(create))
    }));
    played(&entries)
}

fn publish(directory: &Directory, group: GroupId, state: State, index: u64, confirmed: Moment) {
    directory.publish(group, &View { state, index: LogIndex(index), confirmed: Some(confirmed) });
}

/// Whether a stranger's path is refused for good.
fn is_final(directory: &Directory, now: Moment) -> bool {
    match directory.resolve(NOBODYS, now) {
        Resolution::Unknown { age } => age.fresh().is_some(),
        Resolution::NotLoaded => false,
        other => panic!("nobody has it: {other:?}"),
    }
}

fn finds(directory: &Directory) -> bool {
    matches!(directory.resolve(KNOWN, at(1)), Resolution::Found(target) if target.shard == ShardId::FIRST)
}

#[test]
fn nobody_has_a_key_only_once_group_0_and_every_shard_that_it_names_say_so() {
    let directory = Directory::new([]);
    publish(&directory, ShardId::FIRST.group(), shard(ShardId::FIRST, Some(KNOWN)), 3, at(1));
    assert!(finds(&directory) && !is_final(&directory, at(1)), "which shards there are is not known");
    publish(&directory, GroupId::SYSTEM, one_shard(), 1, at(1));
    assert!(is_final(&directory, at(1)));
    publish(&directory, GroupId::SYSTEM, two_shards(), 2, at(1));
    assert!(finds(&directory) && !is_final(&directory, at(1)), "the second shard may have it");
    publish(&directory, second().group(), shard(second(), None), 2, at(1));
    assert!(finds(&directory) && is_final(&directory, at(1)));
}

#[test]
fn one_stale_view_is_enough_for_no_final_answer() {
    let late = at(1 + FRESH_MAX.as_secs() + 1);
    let groups = [GroupId::SYSTEM, ShardId::FIRST.group(), second().group()];
    for stale in groups {
        let directory = Directory::new([]);
        let when = |group| if group == stale { at(1) } else { late };
        publish(&directory, GroupId::SYSTEM, two_shards(), 2, when(GroupId::SYSTEM));
        for id in [ShardId::FIRST, second()] {
            publish(&directory, id.group(), shard(id, None), 2, when(id.group()));
        }
        assert!(!is_final(&directory, late), "group {stale} is stale");
        assert_eq!(directory.oldest_age(late), Some(Age::new(late.since(at(1)))));
        publish(&directory, stale, directory.view(stale).expect("published").state.clone(), 2, late);
        assert!(is_final(&directory, late));
    }
}

#[test]
fn a_key_that_two_shards_have_is_answered_by_neither() {
    let directory = Directory::new([]);
    publish(&directory, GroupId::SYSTEM, two_shards(), 2, at(1));
    for id in [ShardId::FIRST, second()] {
        publish(&directory, id.group(), shard(id, Some(KNOWN)), 3, at(1));
    }
    assert!(matches!(directory.resolve(KNOWN, at(1)), Resolution::Ambiguous));
}

#[test]
fn a_tenant_of_a_shard_that_is_not_loaded_is_waited_for() {
    let directory = Directory::new([ShardId::FIRST]);
    let waiting = directory.holds(second().group(), LogIndex(2));
    let mut waiting = std::pin::pin!(waiting);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    publish(&directory, second().group(), shard(second(), None), 2, at(1));
    assert!(waiting.as_mut().poll(&mut context).is_ready());
}

#[test]
fn whoever_is_shut_out_is_so_for_good_only_by_fresh_views_of_group_0_and_of_the_shard() {
    let directory = Directory::new([ShardId::FIRST]);
    let caller: Principal = "ann@example.com".parse().expect("a legal name");
    let (tenant, subject) =
        ("acme".parse().expect("a legal name"), Subject::Caller("ann@example.com".parse().expect("a legal name")));
    let entry = DenyEntry { id: DenyId::from_bytes([4; 16]), tenant, subject, expires_at: Timestamp(600_000) };
    assert_eq!(directory.deny(std::slice::from_ref(&entry), Timestamp(0)), 0);
    let first = ShardId::FIRST.group();
    let mut confirmed = (at(0), at(0));
    let mut is_final = |system: Option<Moment>, shard: Option<Moment>, now: Moment| {
        confirmed = (system.unwrap_or(confirmed.0), shard.unwrap_or(confirmed.1));
        publish(&directory, GroupId::SYSTEM, one_shard(), 1, confirmed.0);
        publish(&directory, first, self::shard(ShardId::FIRST, Some(KNOWN)), 3, confirmed.1);
        let Resolution::Found(target) = directory.resolve(KNOWN, now) else { panic!("the key is known") };
        let found = directory.shut_out(&target, &caller, now, Timestamp(0)).found().expect("it names the caller");
        assert_eq!((found.entry, found.certainty), (entry.id, Certainty::Certain));
        found.age.fresh().is_some()
    };
    assert!(is_final(Some(at(10)), Some(at(10)), at(10)));
    assert!(!is_final(None, Some(at(20)), at(20)), "it may have been lifted in group 0");
    assert!(is_final(Some(at(20)), None, at(20)));
    assert!(!is_final(Some(at(30)), None, at(30)), "the shard's view is an old one");
    assert!(is_final(None, Some(at(30)), at(30)));
}
