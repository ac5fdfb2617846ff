//! Entries that somebody tampered with, replayed or made up: every one is refused, and nothing changes.

use crate::clock::Timestamp;
use crate::codec;
use crate::ids::{GroupId, IdempotencyId, KeyVersionId, Revision};
use crate::machine::command::{Action, AddGrant, Command, Genesis, PlaceTenant, StepVersion};
use crate::machine::lifecycle::Event;
use crate::machine::outcome::{Outcome, Refusal};
use crate::machine::request::{AdminOperation, Level, SignedRequest};
use crate::machine::rows::Staleness;
use crate::machine::state::State;

use super::{Machine, SHARD, name, rule, tenant};

fn enable(machine: &Machine, version: KeyVersionId) -> (IdempotencyId, SignedRequest, Action) {
    let operation = AdminOperation::EnableVersion { tenant: tenant("acme"), version };
    let (id, request) = machine.author.request(operation);
    (id, request, Action::StepVersion(StepVersion { tenant: tenant("acme"), version, event: Event::Enable }))
}

fn command(idempotency_id: IdempotencyId, request: Option<SignedRequest>, action: Action) -> Command {
    Command { at: Timestamp(1), idempotency_id, request, action }
}

#[test]
fn a_request_counts_only_as_it_was_signed() {
    let mut machine = Machine::shard();
    let (_, version) = machine.with_key();
    let (id, request, action) = enable(&machine, version);
    let edits: [(&str, SignedRequest); 4] = [
        ("bytes", SignedRequest { bytes: [request.bytes.clone(), b" ".to_vec()].concat(), ..request.clone() }),
        ("signature", SignedRequest { signature: vec![0; 64], ..request.clone() }),
        ("no signature", SignedRequest { signature: vec![], ..request.clone() }),
        ("signer", SignedRequest { signer: name("replica-1"), ..request.clone() }),
    ];
    for (what, edited) in edits {
        let entry = machine.author.entry(SHARD, &command(id, Some(edited), action.clone()));
        assert!(matches!(machine.refusal(&entry), Refusal::BadSignature { .. }), "{what}");
    }
    let stranger = SignedRequest { signer: name("mallory"), ..request };
    let entry = machine.author.entry(SHARD, &command(id, Some(stranger), action));
    assert_eq!(machine.refusal(&entry), Refusal::UnknownSigner { signer: name("mallory") });
}

#[test]
fn a_replica_cannot_sign_for_an_operator_nor_an_operator_for_a_replica() {
    let mut machine = Machine::shard();
    let (_, version) = machine.with_key();
    let (id, request, action) = enable(&machine, version);
    let by_replica = machine.author.replica().sign_request(request.bytes.clone());
    let entry = machine.author.entry(SHARD, &command(id, Some(by_replica), action.clone()));
    assert!(matches!(machine.refusal(&entry), Refusal::NotAPerson { .. }));

    let bytes = codec::encode_command(&command(id, Some(request), action));
    let by_operator = machine.author.operator().sign_command(machine.author.lineage(), SHARD, bytes);
    assert!(matches!(machine.refusal(&codec::encode_entry(&by_operator)), Refusal::BadSignature { .. }));
}

#[test]
fn a_command_does_what_was_asked_and_nothing_else() {
    let mut machine = Machine::shard();
    let (acme, version) = machine.with_key();
    let other = KeyVersionId::from_bytes([8; 16]);
    let (id, request, _) = enable(&machine, version);
    let step = |version, event| Action::StepVersion(StepVersion { tenant: acme.clone(), version, event });
    let actions = [
        step(other, Event::Enable),
        step(version, Event::Restore),
        Action::AddGrant(AddGrant { tenant: acme.clone(), level: Level::Tenant, rule: rule("r") }),
    ];
    for action in actions {
        let entry = machine.author.entry(SHARD, &command(id, Some(request.clone()), action));
        assert_eq!(machine.refusal(&entry), Refusal::NotWhatWasAsked);
    }
    let foreign_id = IdempotencyId::from_bytes([3; 16]);
    let entry = machine.author.entry(SHARD, &command(foreign_id, Some(request), step(version, Event::Enable)));
    assert_eq!(machine.refusal(&entry), Refusal::NotWhatWasAsked);
}

#[test]
fn no_operator_no_change() {
    let mut machine = Machine::shard();
    let (acme, version) = machine.with_key();
    for action in [
        Action::AddGrant(AddGrant { tenant: acme.clone(), level: Level::Tenant, rule: rule("r") }),
        Action::StepVersion(StepVersion { tenant: acme.clone(), version, event: Event::Enable }),
    ] {
        let entry = machine.author.automatic(SHARD, action);
        assert_eq!(machine.refusal(&entry), Refusal::RequestMissing);
    }
}

#[test]
fn the_reserved_tenant_is_out_of_reach() {
    let mut machine = Machine::shard();
    let system = tenant("system");
    let entry = machine.author.create_tenant(&system);
    assert_eq!(machine.refusal(&entry), Refusal::ReservedTenant { tenant: system.clone() });
    let entry = machine.author.grant(&system, Level::Tenant, rule("r"));
    assert_eq!(machine.refusal(&entry), Refusal::ReservedTenant { tenant: system });
}

#[test]
fn an_entry_counts_in_its_own_group_and_cluster_only() {
    let mut machine = Machine::shard();
    let (acme, version) = machine.with_key();
    let [adopt, _] = machine.author.disable(&acme, version, Revision(2));
    let mut other = State::empty();
    for entry in [machine.author.genesis(GroupId(2)), adopt] {
        let transition = other.apply(crate::ids::LogIndex(1), &entry).expect("decodable");
        other = transition.state;
        assert!(!matches!(transition.outcome, Outcome::Done(ref effect) if format!("{effect:?}").contains("Plan")));
    }
    assert!(other.plans().is_empty(), "the signature binds the group");

    let wrong_group =
        AdminOperation::CreateTenant { tenant: acme.clone(), staleness: Staleness::default(), shard: None };
    let place = Action::PlaceTenant(PlaceTenant { tenant: acme, shard: crate::ids::ShardId::FIRST });
    let entry = machine.author.completed(SHARD, wrong_group, place);
    assert_eq!(machine.refusal(&entry), Refusal::WrongGroup);
}

#[test]
fn one_id_one_request() {
    let mut machine = Machine::shard();
    let (_, version) = machine.with_key();
    let [adopt, advance] = machine.author.disable(&tenant("acme"), version, Revision(2));
    machine.done(&adopt);
    machine.done(&advance);
    let (id, request, action) = enable(&machine, version);
    let first = machine.author.entry(SHARD, &command(id, Some(request.clone()), action.clone()));
    machine.done(&first);
    let later = Command { at: Timestamp(99), ..command(id, Some(request), action.clone()) };
    let entry = machine.author.entry(SHARD, &later);
    assert!(matches!(machine.feed(&entry), Outcome::Repeated(_)), "completed anew, asked once");

    let text = format!(
        r#"{{"format":1,"lineage":"{}","idempotency_id":"{id}","operation":{{"enable_version":{{"tenant":"acme","version":"{version}"}}}} }}"#,
        machine.author.lineage()
    );
    let reused = machine.author.operator().sign_request(text.into_bytes());
    let entry = machine.author.entry(SHARD, &command(id, Some(reused), action));
    assert_eq!(machine.refusal(&entry), Refusal::IdempotencyReused);
}

#[test]
fn malformed_requests_say_what_is_wrong() {
    let mut machine = Machine::shard();
    let (_, version) = machine.with_key();
    let (id, request, action) = enable(&machine, version);
    let text = String::from_utf8(request.bytes).expect("requests are JSON");
    for bad in [
        String::new(),
        "{}".into(),
        text.replace(r#""format":1"#, r#""format":2"#),
        text.replace("{\"format\"", "{\"extra\":1,\"format\""),
        format!("{text}x"),
    ] {
        let signed = machine.author.operator().sign_request(bad.clone().into_bytes());
        let entry = machine.author.entry(SHARD, &command(id, Some(signed), action.clone()));
        assert!(matches!(machine.refusal(&entry), Refusal::MalformedRequest { .. }), "{bad}");
    }
    let foreign = text.replace(&machine.author.lineage().to_string(), &"0".repeat(32));
    let signed = machine.author.operator().sign_request(foreign.into_bytes());
    let entry = machine.author.entry(SHARD, &command(id, Some(signed), action));
    assert_eq!(machine.refusal(&entry), Refusal::WrongLineage);
}

#[test]
fn genesis_happens_once_and_vouches_for_itself() {
    let mut machine = Machine::shard();
    let again = machine.author.genesis(SHARD);
    assert_eq!(machine.refusal(&again), Refusal::GenesisRepeated);

    let empty = State::empty();
    let signed = codec::decode_entry(&again).expect("decodable");
    let command = codec::decode_command(&signed.command).expect("decodable");
    let Action::Genesis(genesis) = command.action.clone() else { panic!("the author wrote a genesis entry") };
    let unsigned = Genesis { signers: genesis.signers[1..].to_vec(), ..genesis };
    let entry = machine.author.entry(SHARD, &Command { action: Action::Genesis(unsigned), ..command });
    let transition = empty.apply(crate::ids::LogIndex(1), &entry).expect("decodable");
    assert!(matches!(transition.outcome, Outcome::Refused(Refusal::UnknownSigner { .. })));
    assert_eq!(transition.state, empty);
}
