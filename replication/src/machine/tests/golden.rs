//! Bytes that stand in logs: one golden file per command kind, and the digest they come to.
//!
//! A changed file is a changed format. `EKM_WRITE_GOLDEN=1 cargo test -p replication golden` writes them anew.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::clock::{ClusterTime, Timestamp};
use crate::codec;
use crate::ids::{
    AliasId, CheckValue, DenyId, GroupId, ImportKeyId, KeyName, KeyVersionId, ReplicaId, Revision, ShardId, TenantId,
};
use crate::machine::apply::authority;
use crate::machine::command::{Action, AddReplica, AddShard, EnrolSigner, LiftDeny, RevokeSigner};
use crate::machine::deny;
use crate::machine::outcome::Outcome;
use crate::machine::policy::{Policy, Subject};
use crate::machine::request::{AdminOperation, Level};
use crate::machine::roles::PersonRole;
use crate::machine::rows::{Change, ClusterClock, Origin, Quota, ReplicaKind, Role};
use crate::testkit::{Author, signing_key};

use super::{Machine, SHARD, name, replica, rule, tenant};

fn entries(author: &Author) -> Vec<(&'static str, GroupId, Vec<u8>)> {
    let acme = tenant("acme");
    let version = KeyVersionId::from_bytes([0xab; 16]);
    let space = name("space");
    let [adopt, advance] = author.disable(&acme, version, Revision(4));
    let mut entries = vec![
        ("genesis", SHARD, author.genesis(SHARD)),
        ("create_tenant", SHARD, author.create_tenant(&acme)),
        ("create_crypto_space", SHARD, author.create_crypto_space(&acme, &space)),
        ("create_key", SHARD, author.create_key(&acme, &name("k1"), Some(&space), version)),
        ("add_grant", SHARD, author.grant(&acme, Level::Key(name("k1")), rule("r1"))),
        ("adopt_plan", SHARD, {
            let _ = adopt;
            author.disable(&acme, version, Revision(4))[0].clone()
        }),
        ("advance_stage", SHARD, advance),
        ("step_version", SHARD, author.enable(&acme, version)),
        ("system_genesis", GroupId::SYSTEM, author.genesis(GroupId::SYSTEM)),
        ("place_tenant", GroupId::SYSTEM, author.place_tenant(&acme)),
        ("reserve_path", GroupId::SYSTEM, author.reserve_path(&acme, &name("k1"), [0xab; 16])),
    ];
    entries.extend(later_entries(author, &acme, version));
    let founder = ReplicaId(1);
    let second = AddShard { shard: ShardId(std::num::NonZeroU16::MIN.saturating_add(1)), founder };
    entries.push(("add_shard", GroupId::SYSTEM, author.does(GroupId::SYSTEM, Action::AddShard(second))));
    let data = Action::AddReplica(replica(2, "replica-2"));
    entries.push(("add_replica", GroupId::SYSTEM, author.does(GroupId::SYSTEM, data.clone())));
    entries.push(("add_replica_to_shard", SHARD, author.does(SHARD, data)));
    let witness = AddReplica { kind: ReplicaKind::Witness, ..replica(3, "none") };
    entries.push(("add_replica_witness", GroupId::SYSTEM, author.does(GroupId::SYSTEM, Action::AddReplica(witness))));
    let lift = LiftDeny { tenant: acme, entry: DenyId::from_bytes([0xde; 16]) };
    entries.push(("lift_deny", GroupId::SYSTEM, author.does(GroupId::SYSTEM, Action::LiftDeny(lift))));
    entries
}

/// What came into the language after its first eight actions.
fn later_entries(author: &Author, acme: &TenantId, version: KeyVersionId) -> Vec<(&'static str, GroupId, Vec<u8>)> {
    let (alias, import_key) = (AliasId::from_bytes([0xcd; 16]), ImportKeyId::from_bytes([0xef; 16]));
    let key: KeyName = name("k1");
    let [second, third] = [0xa1, 0xa2].map(|byte| KeyVersionId::from_bytes([byte; 16]));
    let brought = Origin::Imported { import_key, check_value: CheckValue::from_bytes([1, 2, 3]) };
    let policy = Policy { denies: vec![rule("d1")], grants: vec![rule("g1")] };
    let level = Level::Key(key.clone());
    let one = NonZeroU32::MIN;
    let plan = |parent, change| author.plan(acme, Revision(parent), change);
    let [set_policy, policy_set] = plan(11, Change::SetPolicy { level: level.clone(), policy: Some(policy) });
    let [remove_rule, rule_removed] = plan(13, Change::RemoveRule { level, rule: name("d1") });
    let quota = Some(Quota { per_second: one, burst: one });
    let [set_quota, quota_set] = plan(15, Change::SetQuota { level: Level::Tenant, quota });
    let [remove_alias, alias_removed] = plan(17, Change::RemoveAlias { alias });
    let [disable, disabled] = plan(19, Change::DisableVersion { version });
    let [schedule, scheduled] = plan(21, Change::ScheduleDestroy { version, window_seconds: 60 });
    let enrol = |text: &str, seed, role, tenants| {
        let public_key = signing_key(text, seed).public_key();
        let role = Role::Person { roles: [role].into(), tenants };
        author.does(SHARD, Action::EnrolSigner(EnrolSigner { signer: name(text), public_key, role }))
    };
    let revoke = author.does(SHARD, Action::RevokeSigner(RevokeSigner { signer: name("operator-2") }));
    let entries = vec![
        ("add_version", author.add_version(acme, &key, second, Origin::Generated)),
        ("create_alias", author.create_alias(acme, version, alias)),
        ("create_import_key", author.create_import_key(acme, import_key)),
        ("add_version_imported", author.add_version(acme, &key, third, brought)),
        ("adopt_plan_set_policy", set_policy),
        ("advance_set_policy", policy_set),
        ("adopt_plan_remove_rule", remove_rule),
        ("advance_remove_rule", rule_removed),
        ("adopt_plan_set_quota", set_quota),
        ("advance_set_quota", quota_set),
        ("adopt_plan_remove_alias", remove_alias),
        ("advance_remove_alias", alias_removed),
        ("adopt_plan_disable", disable),
        ("advance_disable", disabled),
        ("adopt_plan_schedule_destroy", schedule),
        ("advance_schedule_destroy", scheduled),
        ("step_version_restore", author.restore(acme, version)),
        ("adopt_plan_schedule_again", plan(24, Change::ScheduleDestroy { version, window_seconds: 60 })[0].clone()),
        ("advance_schedule_again", plan(24, Change::ScheduleDestroy { version, window_seconds: 60 })[1].clone()),
        ("tick", author.tick(ClusterClock { now: ClusterTime(0), windows: 2 }, 60_000)),
        ("destroy_version", author.destroy(version)),
        ("enrol_signer", enrol("operator-2", 5, PersonRole::Operator, Some([acme.clone()].into()))),
        ("enrol_signer_officer", enrol("officer-3", 6, PersonRole::SecurityOfficer, None)),
        ("revoke_signer", revoke),
    ];
    entries.into_iter().map(|(kind, entry)| (kind, SHARD, entry)).collect()
}

fn golden(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(file)
}

#[expect(clippy::disallowed_methods, reason = "a person asks for new golden files through the environment")]
fn written_anew() -> bool {
    std::env::var_os("EKM_WRITE_GOLDEN").is_some()
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"));
    let lines: Vec<&str> =
        digits.as_bytes().chunks(100).map(|line| std::str::from_utf8(line).expect("hex is ASCII")).collect();
    lines.join("\n") + "\n"
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex is ASCII"), 16);
    digits.chunks(2).map(|pair| byte(pair).expect("golden files hold hex")).collect()
}

#[test]
fn every_command_kind_encodes_as_it_always_did() {
    for (kind, _, entry) in entries(&Author::default()) {
        let path = golden(&format!("entry-1-{kind}.hex"));
        if written_anew() {
            std::fs::write(&path, hex(&entry)).expect("the golden folder is writable when files are written anew");
        }
        let text = std::fs::read_to_string(&path).expect("every kind has its golden file");
        assert_eq!(hex(&entry), text, "{kind}");
        let signed = codec::decode_entry(&unhex(&text)).expect("a golden entry decodes");
        let command = codec::decode_command(&signed.command).expect("a golden command decodes");
        assert_eq!(codec::encode_command(&command), signed.command, "{kind}");
    }
}

#[test]
fn what_proves_a_deny_entry_encodes_as_it_always_did() {
    let deny = AdminOperation::Deny {
        tenant: tenant("acme"),
        subject: Subject::Caller("ann@example.com".parse().expect("a legal name")),
        expires_at: Timestamp(1_800_000_000_000),
    };
    let (_, proof) = Author::default().approved(deny);
    let (path, bytes) = (golden("deny-1.hex"), codec::encode_deny(&proof));
    if written_anew() {
        std::fs::write(&path, hex(&bytes)).expect("the golden folder is writable when files are written anew");
    }
    let text = std::fs::read_to_string(&path).expect("it has its golden file");
    assert_eq!(hex(&bytes), text);
    assert_eq!(codec::decode_deny(&unhex(&text)), Ok(proof.clone()));
    let request = authority::parse_request(&proof.bytes).expect("it is one");
    let AdminOperation::Approve(consent) = request.operation else { panic!("the second officer consents") };
    let id = deny::id_of(&consent.request.0).to_string();
    assert_eq!(id, "119c58c0322a7d96b469ca90aa6cc4cd", "the id that stands in logs and in names of files");
}

/// The number of an action in logs: one without a golden entry does not pass unseen.
const fn number(action: &Action) -> usize {
    match action {
        Action::Genesis(_) => 0,
        Action::PlaceTenant(_) => 1,
        Action::ReservePath(_) => 2,
        Action::CreateTenant(_) => 3,
        Action::CreateCryptoSpace(_) => 4,
        Action::CreateKey(_) => 5,
        Action::AddGrant(_) => 6,
        Action::StepVersion(_) => 7,
        Action::AdoptPlan(_) => 8,
        Action::AdvanceStage(_) => 9,
        Action::AddVersion(_) => 10,
        Action::CreateAlias(_) => 11,
        Action::CreateImportKey(_) => 12,
        Action::EnrolSigner(_) => 13,
        Action::RevokeSigner(_) => 14,
        Action::Tick(_) => 15,
        Action::DestroyVersion(_) => 16,
        Action::AddShard(_) => 17,
        Action::AddReplica(_) => 18,
        Action::LiftDeny(_) => 19,
    }
}

#[test]
fn every_action_has_a_golden_entry_with_the_number_it_always_had() {
    let mut seen = BTreeSet::new();
    for (kind, _, entry) in entries(&Author::default()) {
        let signed = codec::decode_entry(&entry).expect("the author writes decodable entries");
        let command = codec::decode_command(&signed.command).expect("the author writes decodable commands");
        let number = number(&command.action);
        let encoded = postcard::to_stdvec(&command.action).expect("an action holds nothing that postcard refuses");
        assert_eq!(usize::from(encoded[0]), number, "{kind}");
        seen.insert(number);
    }
    assert!(seen.into_iter().eq(0..=19));
}

#[test]
fn the_golden_log_comes_to_the_golden_digest() {
    let mut text = String::new();
    for group in [GroupId::SYSTEM, SHARD] {
        let mut machine = Machine { author: Author::default(), state: super::State::empty(), index: 0 };
        for (kind, of, entry) in entries(&Author::default()) {
            if of == group {
                let outcome = machine.feed(&entry);
                assert!(matches!(outcome, Outcome::Done(_)), "{kind}: {outcome:?}");
                text.push_str(&format!("{kind}: {outcome:?}\n"));
            }
        }
        text.push_str(&format!("digest: {}\n", machine.state.digest()));
    }
    let path = golden("log-1.trace");
    if written_anew() {
        std::fs::write(&path, &text).expect("the golden folder is writable when files are written anew");
    }
    assert_eq!(text, std::fs::read_to_string(path).expect("the trace is there"));
}
