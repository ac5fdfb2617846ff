//! Shards: who may add one, where tenants may be placed, and whom a path belongs to.

use crate::ids::{GroupId, ReplicaId, ShardId, TenantId};
use crate::machine::command::{Action, AddShard, CreateTenant, PlaceTenant, ReservePath};
use crate::machine::outcome::{Effect, Outcome, Refusal};
use crate::machine::request::AdminOperation;
use crate::machine::roles::PersonRole;
use crate::machine::rows::{Envelope, Role, Sealed, Staleness};
use crate::testkit::signing_key;

use super::{Machine, SHARD, name, tenant};

fn shard(number: u16) -> ShardId {
    ShardId(std::num::NonZeroU16::new(number).expect("shards count from 1"))
}

fn add(number: u16) -> Action {
    Action::AddShard(AddShard { shard: shard(number), founder: ReplicaId(1) })
}

fn system() -> Machine {
    Machine::of(GroupId::SYSTEM)
}

fn make(owner: &TenantId, chosen: Option<ShardId>) -> AdminOperation {
    AdminOperation::CreateTenant { tenant: owner.clone(), staleness: Staleness::default(), shard: chosen }
}

fn place(owner: &TenantId, number: u16) -> Action {
    Action::PlaceTenant(PlaceTenant { tenant: owner.clone(), shard: shard(number) })
}

#[test]
fn a_shard_is_added_once_and_only_where_the_cluster_is_kept() {
    let mut machine = system();
    let second = machine.author.does(GroupId::SYSTEM, add(2));
    assert_eq!(machine.feed(&second), Outcome::Done(Effect::ShardAdded { shard: shard(2) }));
    assert_eq!(machine.feed(&second), Outcome::Repeated(Effect::ShardAdded { shard: shard(2) }));
    let again = machine.author.does(GroupId::SYSTEM, add(2));
    assert!(matches!(machine.refusal(&again), Refusal::Exists { .. }));
    let beyond = machine.author.does(GroupId::SYSTEM, add(65));
    assert!(matches!(machine.refusal(&beyond), Refusal::TooMany { .. }));
    assert!(machine.state.shards().eq([ShardId::FIRST, shard(2)]));
    let mut elsewhere = Machine::shard();
    let misled = elsewhere.author.does(SHARD, add(2));
    assert_eq!(elsewhere.refusal(&misled), Refusal::WrongGroup);
}

#[test]
fn the_first_shard_alone_is_added_without_being_asked_for() {
    let mut machine = system();
    let other = machine.author.automatic(GroupId::SYSTEM, add(2));
    assert_eq!(machine.refusal(&other), Refusal::RequestMissing);
    let first = machine.author.automatic(GroupId::SYSTEM, add(1));
    assert_eq!(machine.feed(&first), Outcome::Done(Effect::ShardAdded { shard: ShardId::FIRST }));
    assert!(machine.state.shards().eq([ShardId::FIRST]), "it is counted once");
}

#[test]
fn only_an_operator_who_reaches_all_tenants_adds_shards() {
    let mut machine = system();
    let (acme, mut seed) = (tenant("acme"), 20);
    let mut enrolled = |machine: &mut Machine, text: &str, role, tenants| {
        seed += 1;
        let person = signing_key(text, seed);
        let row = Role::Person { roles: [role].into(), tenants };
        let enrol =
            crate::machine::command::EnrolSigner { signer: name(text), public_key: person.public_key(), role: row };
        let entry = machine.author.does(GroupId::SYSTEM, Action::EnrolSigner(enrol));
        machine.done(&entry);
        person
    };
    let bounded = enrolled(&mut machine, "bounded", PersonRole::Operator, Some([acme].into()));
    let viewer = enrolled(&mut machine, "viewer", PersonRole::Viewer, None);
    let (officer, operator) = (signing_key("officer-1", 3), signing_key("operator-1", 2));
    for (who, may) in [(&bounded, false), (&viewer, false), (&officer, false), (&operator, true)] {
        let asked = machine.author.request_by(who, AdminOperation::AddShard { shard: shard(2) });
        let entry = machine.author.carries_out(GroupId::SYSTEM, asked, add(2));
        let outcome = machine.feed(&entry);
        let refusal = Outcome::Refused(Refusal::NotForCluster { signer: who.signer().clone() });
        assert_eq!(outcome == refusal, !may, "{}: {outcome:?}", who.signer());
    }
}

#[test]
fn a_tenant_is_placed_in_a_shard_that_there_is_and_where_it_was_asked_for() {
    let mut machine = system();
    let acme = tenant("acme");
    let nowhere = machine.author.completed(GroupId::SYSTEM, make(&acme, None), place(&acme, 2));
    assert_eq!(machine.refusal(&nowhere), Refusal::UnknownShard { shard: shard(2) });
    let second = machine.author.does(GroupId::SYSTEM, add(2));
    machine.done(&second);
    let elsewhere = machine.author.completed(GroupId::SYSTEM, make(&acme, Some(ShardId::FIRST)), place(&acme, 2));
    assert_eq!(machine.refusal(&elsewhere), Refusal::NotWhatWasAsked);
    let there = machine.author.completed(GroupId::SYSTEM, make(&acme, Some(shard(2))), place(&acme, 2));
    assert_eq!(machine.feed(&there), Outcome::Done(Effect::TenantPlaced { shard: shard(2) }));
    let moved = machine.author.completed(GroupId::SYSTEM, make(&acme, None), place(&acme, 1));
    assert!(matches!(machine.refusal(&moved), Refusal::Exists { .. }), "a tenant stays where it is");
}

#[test]
fn a_tenant_is_made_in_the_shard_that_was_chosen_for_it_alone() {
    let mut machine = Machine::shard();
    let acme = tenant("acme");
    let envelope = Envelope { provider: "file".to_owned(), root_version: 1, sealed: Sealed(vec![1; 60]) };
    let create =
        CreateTenant { tenant: acme.clone(), staleness: Staleness::default(), envelopes: vec![envelope], policy: None };
    let create = Action::CreateTenant(create);
    let elsewhere = machine.author.completed(SHARD, make(&acme, Some(shard(2))), create.clone());
    assert_eq!(machine.refusal(&elsewhere), Refusal::NotWhatWasAsked);
    let here = machine.author.completed(SHARD, make(&acme, Some(ShardId::FIRST)), create);
    machine.done(&here);
}

#[test]
fn a_path_belongs_to_a_tenant_of_the_shard_that_it_is_reserved_for() {
    let mut machine = system();
    let second = machine.author.does(GroupId::SYSTEM, add(2));
    machine.done(&second);
    let acme = tenant("acme");
    let there = machine.author.completed(GroupId::SYSTEM, make(&acme, None), place(&acme, 2));
    machine.done(&there);
    let reserve =
        |number, byte| Action::ReservePath(ReservePath { id: [byte; 16], tenant: acme.clone(), shard: shard(number) });
    let misplaced = machine.author.does(GroupId::SYSTEM, reserve(1, 1));
    assert_eq!(machine.refusal(&misplaced), Refusal::OtherShard { tenant: acme.clone(), shard: shard(2) });
    let nowhere = machine.author.does(GroupId::SYSTEM, reserve(3, 1));
    assert_eq!(machine.refusal(&nowhere), Refusal::UnknownShard { shard: shard(3) });
    let good = machine.author.does(GroupId::SYSTEM, reserve(2, 1));
    assert_eq!(machine.feed(&good), Outcome::Done(Effect::PathReserved { id: [1; 16] }));
    let taken = machine.author.does(GroupId::SYSTEM, reserve(2, 1));
    assert_eq!(machine.refusal(&taken), Refusal::PathTaken, "a path is one in the whole cluster");
}
