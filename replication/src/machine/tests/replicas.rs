//! Replicas: who may add one, what is never used again, and whose signatures count where.

use crate::ids::{GroupId, ReplicaId};
use crate::machine::command::{Action, AddReplica, AddShard, CreateTenant, EnrolSigner};
use crate::machine::outcome::{Effect, Outcome, Refusal};
use crate::machine::request::AdminOperation;
use crate::machine::roles::PersonRole;
use crate::machine::rows::{Envelope, Replica, ReplicaKind, Role, Sealed, Signer, Staleness};
use crate::testkit::{asks, signing_key};

use super::{Machine, SHARD, name, replica, tenant};

const SYSTEM: GroupId = GroupId::SYSTEM;

fn system() -> Machine {
    Machine::of(SYSTEM)
}

impl Machine {
    fn joins(&mut self, group: GroupId, add: AddReplica) -> Outcome {
        let entry = self.author.does(group, Action::AddReplica(add));
        self.feed(&entry)
    }
}

fn witness(number: u64) -> AddReplica {
    AddReplica { kind: ReplicaKind::Witness, ..replica(number, "none") }
}

#[test]
fn a_replica_is_registered_in_group_0_and_signs_in_every_group() {
    for group in [SYSTEM, SHARD] {
        let mut machine = Machine::of(group);
        let entry = machine.author.does(group, Action::AddReplica(replica(2, "replica-2")));
        let added = Effect::ReplicaAdded { replica: ReplicaId(2) };
        assert_eq!(machine.feed(&entry), Outcome::Done(added.clone()));
        assert_eq!(machine.feed(&entry), Outcome::Repeated(added));
        let row = machine.state.row::<Signer>(&name("replica-2")).expect("its signatures count").clone();
        assert!(row.role == Role::Replica && row.enrolled_by.is_some());
        assert_eq!(machine.state.row::<Replica>(&ReplicaId(2)).is_some(), group == SYSTEM);
    }
    let mut machine = system();
    assert!(matches!(machine.joins(SYSTEM, witness(3)), Outcome::Done(_)));
    assert_eq!(Machine::shard().joins(SHARD, witness(3)), Outcome::Refused(Refusal::WrongGroup));
}

#[test]
fn what_a_joined_replica_completes_counts_and_what_it_asks_for_does_not() {
    let mut machine = Machine::shard();
    let joined = signing_key("replica-2", 152);
    let acme = tenant("acme");
    let operation = AdminOperation::CreateTenant { tenant: acme.clone(), staleness: Staleness::default(), shard: None };
    let envelope = Envelope { provider: "file".to_owned(), root_version: 1, sealed: Sealed(vec![1; 60]) };
    let create =
        CreateTenant { tenant: acme, staleness: Staleness::default(), envelopes: vec![envelope], policy: None };
    let (id, asked) = machine.author.request(operation);
    let command = crate::machine::command::Command {
        at: crate::clock::Timestamp(1),
        idempotency_id: id,
        request: Some(asked),
        action: Action::CreateTenant(create),
    };
    let signed = joined.sign_command(machine.author.lineage(), SHARD, crate::codec::encode_command(&command));
    let entry = crate::codec::encode_entry(&signed);
    assert_eq!(machine.refusal(&entry), Refusal::UnknownSigner { signer: name("replica-2") });
    assert!(matches!(machine.joins(SHARD, replica(2, "replica-2")), Outcome::Done(_)));
    machine.done(&entry);
    let operation = asks(&Action::AddReplica(replica(3, "replica-3"))).expect("an officer can ask for it");
    let asked = machine.author.request_by(&joined, operation);
    let entry = machine.author.carries_out(SHARD, asked, Action::AddReplica(replica(3, "replica-3")));
    assert_eq!(machine.refusal(&entry), Refusal::NotAPerson { signer: name("replica-2") });
}

#[test]
fn numbers_addresses_names_and_keys_are_used_once() {
    let mut machine = system();
    machine.joins(SYSTEM, replica(2, "replica-2"));
    let other_key = signing_key("x", 99).public_key();
    let kind = |signer: &str, public_key| ReplicaKind::Data { signer: name(signer), public_key };
    let known = |what: &str| Refusal::PersonKnown { what: what.to_owned() };
    let taken = replica(2, "replica-2");
    let ReplicaKind::Data { public_key: key_of_2, .. } = taken.kind else { panic!("it is a data replica") };
    for (add, refusal) in [
        (replica(2, "replica-2"), Refusal::ReplicaKnown { replica: ReplicaId(2) }),
        (
            AddReplica { address: taken.address.clone(), ..replica(3, "replica-3") },
            Refusal::AddressTaken { address: taken.address, replica: ReplicaId(2) },
        ),
        (AddReplica { kind: kind("replica-2", other_key), ..replica(3, "x") }, known("replica-2")),
        (AddReplica { kind: kind("officer-1", other_key), ..replica(3, "x") }, known("officer-1")),
        (AddReplica { kind: kind("replica-3", key_of_2), ..replica(3, "x") }, known("replica-2")),
        (AddReplica { replica: ReplicaId(0), ..replica(3, "replica-3") }, Refusal::ReplicaZero),
    ] {
        assert_eq!(machine.joins(SYSTEM, add), Outcome::Refused(refusal));
    }
    for number in 3..66 {
        assert!(matches!(machine.joins(SYSTEM, witness(number)), Outcome::Done(_)), "{number}");
    }
    let beyond = machine.joins(SYSTEM, witness(66));
    assert!(matches!(beyond, Outcome::Refused(Refusal::TooMany { .. })), "{beyond:?}");
}

#[test]
fn only_a_security_officer_who_reaches_all_tenants_adds_replicas() {
    let mut machine = system();
    let bounded = signing_key("bounded", 30);
    let role = Role::Person { roles: [PersonRole::SecurityOfficer].into(), tenants: Some([tenant("acme")].into()) };
    let enrol = EnrolSigner { signer: name("bounded"), public_key: bounded.public_key(), role };
    let entry = machine.author.does(SYSTEM, Action::EnrolSigner(enrol));
    machine.done(&entry);
    let (officer, operator) = (signing_key("officer-1", 3), signing_key("operator-1", 2));
    let add = Action::AddReplica(replica(2, "replica-2"));
    let operation = asks(&add).expect("an officer can ask for it");
    for (who, may) in [(&bounded, false), (&operator, false), (&officer, true)] {
        let asked = machine.author.request_by(who, operation.clone());
        let entry = machine.author.carries_out(SYSTEM, asked, add.clone());
        let outcome = machine.feed(&entry);
        let refusal = Outcome::Refused(Refusal::NotForReplicas { signer: who.signer().clone() });
        assert_eq!(outcome == refusal, !may, "{}: {outcome:?}", who.signer());
    }
}

#[test]
fn without_a_request_there_is_the_first_replica_alone_as_genesis_named_it() {
    let mut machine = system();
    let first = || {
        let kind = ReplicaKind::Data { signer: name("replica-1"), public_key: signing_key("x", 1).public_key() };
        AddReplica { kind, ..replica(1, "x") }
    };
    for foreign in [replica(1, "replica-1"), replica(1, "replica-9"), witness(1)] {
        let entry = machine.author.automatic(SYSTEM, Action::AddReplica(foreign));
        assert_eq!(machine.refusal(&entry), Refusal::RequestMissing);
    }
    let mut shard = Machine::shard();
    let entry = shard.author.automatic(SHARD, Action::AddReplica(first()));
    assert_eq!(shard.refusal(&entry), Refusal::RequestMissing);
    let entry = machine.author.automatic(SYSTEM, Action::AddReplica(first()));
    machine.done(&entry);
    let again = AddReplica { replica: ReplicaId(2), address: "other:1".parse().expect("it is one"), ..first() };
    let entry = machine.author.automatic(SYSTEM, Action::AddReplica(again));
    assert_eq!(machine.refusal(&entry), Refusal::RequestMissing, "there is one already");
}

#[test]
fn a_shard_is_founded_by_a_data_replica_of_the_cluster() {
    let mut machine = system();
    machine.joins(SYSTEM, replica(2, "replica-2"));
    machine.joins(SYSTEM, witness(3));
    let shard = crate::ids::ShardId::of(GroupId(2)).expect("it is a shard");
    for (founder, may) in [(3, false), (4, false), (2, true)] {
        let add = Action::AddShard(AddShard { shard, founder: ReplicaId(founder) });
        let entry = machine.author.does(SYSTEM, add);
        let outcome = machine.feed(&entry);
        assert_eq!(outcome == Outcome::Refused(Refusal::NotWhatWasAsked), !may, "{outcome:?}");
    }
    assert_eq!(machine.state.founder(shard), Some(ReplicaId(2)));
}
