//! A replica that completes something else than was asked: for each operation, every field that it could turn, one at a time.

use crate::ids::{AliasId, CheckValue, DenyId, ImportKeyId, KeyVersionId, ReplicaId, Revision, ShardId};
use crate::machine::command::{
    Action, AddReplica, AddShard, AddVersion, AdoptPlan, CreateAlias, CreateImportKey, CreateKey, EnrolSigner,
    LiftDeny, PlaceTenant, RevokeSigner, StepVersion,
};
use crate::machine::lifecycle::Event;
use crate::machine::outcome::{Outcome, Refusal};
use crate::machine::policy::Policy;
use crate::machine::request::Level;
use crate::machine::roles::PersonRole;
use crate::machine::rows::{Change, Origin, Plan, Purpose, ReplicaKind, Role, Sealed, Standing};
use crate::machine::signing::{plan_digest, verifies};
use crate::testkit::{asks, new_version, signing_key};

use super::{Machine, SHARD, name, replica, rule, tenant};

fn id(byte: u8) -> KeyVersionId {
    KeyVersionId::from_bytes([byte; 16])
}

fn imported(key: u8, check: u8) -> Origin {
    Origin::Imported { import_key: ImportKeyId::from_bytes([key; 16]), check_value: CheckValue::from_bytes([check; 3]) }
}

fn adopt(owner: &str, parent: u64, change: Change) -> Action {
    let plan = Plan { tenant: tenant(owner), parent: Revision(parent), change };
    let digest = plan_digest(&plan);
    Action::AdoptPlan(AdoptPlan { plan, digest })
}

fn add(owner: &str, key: &str, origin: Origin) -> Action {
    Action::AddVersion(AddVersion { tenant: tenant(owner), key: name(key), version: new_version(id(9), origin) })
}

fn create(owner: &str, key: &str, origin: Origin) -> Action {
    Action::CreateKey(CreateKey {
        tenant: tenant(owner),
        name: name(key),
        crypto_space: None,
        purpose: Purpose::EncryptDecrypt,
        version: new_version(id(8), origin),
    })
}

fn alias(owner: &str, version: u8) -> Action {
    Action::CreateAlias(CreateAlias {
        tenant: tenant(owner),
        id: AliasId::from_bytes([0xaa; 16]),
        version: id(version),
    })
}

fn import_key(owner: &str) -> Action {
    let (public_key, sealed) = (vec![1; 400], Sealed(vec![2; 100]));
    Action::CreateImportKey(CreateImportKey {
        tenant: tenant(owner),
        id: ImportKeyId::from_bytes([3; 16]),
        public_key,
        sealed,
    })
}

fn enrol(text: &str, seed: u8, roles: &[PersonRole], tenants: Option<&[&str]>) -> Action {
    let tenants = tenants.map(|names| names.iter().map(|text| tenant(text)).collect());
    let role = Role::Person { roles: roles.iter().copied().collect(), tenants };
    Action::EnrolSigner(EnrolSigner { signer: name(text), public_key: signing_key("x", seed).public_key(), role })
}

fn restore(owner: &str, version: u8, event: Event) -> Action {
    Action::StepVersion(StepVersion { tenant: tenant(owner), version: id(version), event })
}

/// What is asked, as the action that would answer it; and what a replica could make of it.
type Case = (Action, Vec<Action>);

fn made() -> Vec<Case> {
    let generated = Origin::Generated;
    vec![
        (
            add("acme", "k1", generated),
            vec![
                add("rival", "k1", generated),
                add("acme", "k2", generated),
                add("acme", "k1", imported(1, 1)),
                create("acme", "k1", generated),
            ],
        ),
        (
            add("acme", "k1", imported(1, 1)),
            vec![
                add("acme", "k1", generated),
                add("acme", "k1", imported(2, 1)),
                add("acme", "k1", imported(1, 2)),
                add("acme", "k2", imported(1, 1)),
            ],
        ),
        (
            create("acme", "k9", imported(1, 1)),
            vec![
                create("acme", "k9", generated),
                create("acme", "k9", imported(2, 1)),
                create("acme", "k9", imported(1, 2)),
                create("acme", "k8", imported(1, 1)),
                create("rival", "k9", imported(1, 1)),
            ],
        ),
        (alias("acme", 1), vec![alias("acme", 2), alias("rival", 1), import_key("acme")]),
        (import_key("acme"), vec![import_key("rival")]),
        (
            restore("acme", 1, Event::Restore),
            vec![
                restore("acme", 1, Event::Enable),
                restore("acme", 2, Event::Restore),
                restore("rival", 1, Event::Restore),
            ],
        ),
    ]
}

fn planned() -> Vec<Case> {
    let level = || Level::Key(name("k1"));
    let schedule = |version, window_seconds| Change::ScheduleDestroy { version: id(version), window_seconds };
    let policy = |text: &str| Some(Policy { denies: vec![], grants: vec![rule(text)] });
    let set = |level, policy| Change::SetPolicy { level, policy };
    let drop_rule = |level, text: &str| Change::RemoveRule { level, rule: name(text) };
    let drop_alias = |byte| Change::RemoveAlias { alias: AliasId::from_bytes([byte; 16]) };
    let quota = |level, number| {
        let number = std::num::NonZeroU32::new(number).expect("positive");
        Change::SetQuota { level, quota: Some(crate::machine::rows::Quota { per_second: number, burst: number }) }
    };
    vec![
        (
            adopt("acme", 2, schedule(1, 60)),
            vec![
                adopt("acme", 2, schedule(1, 59)),
                adopt("acme", 2, schedule(2, 60)),
                adopt("acme", 3, schedule(1, 60)),
                adopt("rival", 2, schedule(1, 60)),
                adopt("acme", 2, Change::DisableVersion { version: id(1) }),
            ],
        ),
        (adopt("acme", 2, drop_alias(1)), vec![adopt("acme", 2, drop_alias(2))]),
        (
            adopt("acme", 2, set(level(), policy("a"))),
            vec![
                adopt("acme", 2, set(level(), policy("b"))),
                adopt("acme", 2, set(level(), None)),
                adopt("acme", 2, set(Level::Tenant, policy("a"))),
            ],
        ),
        (
            adopt("acme", 2, drop_rule(level(), "a")),
            vec![adopt("acme", 2, drop_rule(level(), "b")), adopt("acme", 2, drop_rule(Level::Tenant, "a"))],
        ),
        (
            adopt("acme", 2, quota(level(), 1)),
            vec![adopt("acme", 2, quota(level(), 2)), adopt("acme", 2, quota(Level::Tenant, 1))],
        ),
    ]
}

fn of_the_cluster() -> Vec<Case> {
    let shard = |number| ShardId(std::num::NonZeroU16::new(number).expect("positive"));
    let add = |number| Action::AddShard(AddShard { shard: shard(number), founder: ReplicaId(1) });
    let place = Action::PlaceTenant(PlaceTenant { tenant: tenant("acme"), shard: shard(2) });
    let joins = || replica(2, "replica-2");
    let altered = [
        AddReplica { replica: ReplicaId(3), ..joins() },
        AddReplica { address: "127.0.0.1:1".parse().expect("it is an address"), ..joins() },
        AddReplica { site: name("b"), ..joins() },
        AddReplica { kind: ReplicaKind::Witness, ..joins() },
        AddReplica { kind: replica(3, "replica-2").kind, ..joins() },
        AddReplica { kind: replica(2, "replica-3").kind, ..joins() },
        AddReplica { standing: Standing::Learner, ..joins() },
    ];
    let replicas = altered.map(Action::AddReplica).into_iter().chain([add(2)]).collect();
    let lift = |owner: &str, entry| {
        Action::LiftDeny(LiftDeny { tenant: tenant(owner), entry: DenyId::from_bytes([entry; 16]) })
    };
    let lifts = vec![lift("rival", 1), lift("acme", 2), add(2)];
    vec![
        (add(2), vec![add(3), place, import_key("acme")]),
        (Action::AddReplica(joins()), replicas),
        (lift("acme", 1), lifts),
    ]
}

fn of_people() -> Vec<Case> {
    let operator = [PersonRole::Operator].as_slice();
    let both = [PersonRole::Operator, PersonRole::Auditor];
    vec![
        (
            enrol("ann", 9, operator, Some(&["acme"])),
            vec![
                enrol("bea", 9, operator, Some(&["acme"])),
                enrol("ann", 8, operator, Some(&["acme"])),
                enrol("ann", 9, &both, Some(&["acme"])),
                enrol("ann", 9, operator, None),
                enrol("ann", 9, operator, Some(&["acme", "rival"])),
                enrol("ann", 9, &[PersonRole::SecurityOfficer], Some(&["acme"])),
            ],
        ),
        (
            Action::RevokeSigner(RevokeSigner { signer: name("operator-1") }),
            vec![Action::RevokeSigner(RevokeSigner { signer: name("officer-2") }), enrol("ann", 9, operator, None)],
        ),
    ]
}

#[test]
fn no_operation_is_completed_into_another() {
    let mut machine = Machine::shard();
    machine.with_key();
    for (asked, tampered) in made().into_iter().chain(planned()).chain(of_people()).chain(of_the_cluster()) {
        let operation = asks(&asked).expect("somebody can ask for it");
        for action in tampered {
            let request = machine.author.request_of_all(operation.clone());
            let entry = machine.author.carries_out(SHARD, request, action.clone());
            assert_eq!(machine.refusal(&entry), Refusal::NotWhatWasAsked, "{operation:?} into {action:?}");
        }
        // the table could not fail if nothing passed: the honest action gets past that check
        let request = machine.author.request_of_all(operation);
        let entry = machine.author.carries_out(SHARD, request, asked.clone());
        let outcome = machine.state.apply(crate::ids::LogIndex(999), &entry).expect("decodable").outcome;
        assert_ne!(outcome, Outcome::Refused(Refusal::NotWhatWasAsked), "{asked:?}");
        let entry = machine.author.automatic(SHARD, asked.clone());
        assert_eq!(machine.refusal(&entry), Refusal::RequestMissing, "{asked:?}");
    }
}

#[test]
fn a_signature_of_one_kind_is_none_of_another() {
    let machine = Machine::shard();
    let [officer, _] = machine.author.officers();
    let signed = officer.sign_request(b"bytes".to_vec());
    assert!(!verifies(&officer.public_key(), b"bytes", &signed.signature), "the message says what it is");
}
