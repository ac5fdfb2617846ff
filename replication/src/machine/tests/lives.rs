//! The life of versions, aliases, import keys, policies and quotas: what operators do, and what it comes to.

use std::num::NonZeroU32;

use crate::clock::Timestamp;
use crate::ids::{AliasId, CheckValue, CryptoSpaceName, ImportKeyId, KeyName, KeyVersionId, Revision, TenantId};
use crate::machine::apply::{ALIASES_MAX, IMPORT_KEYS_MAX, VERSIONS_MAX};
use crate::machine::command::{Action, AddVersion, Command, CreateAlias, CreateImportKey, CreateKey};
use crate::machine::lifecycle::{Event, VersionState};
use crate::machine::outcome::{Effect, Outcome, Refusal};
use crate::machine::policy::{Policy, ResourcePattern, Rule};
use crate::machine::request::Level;
use crate::machine::rows::{Change, IMPORT_KEY_LIFE, Key, KeyVersion, Origin, Purpose, QUOTA_MAX, Quota, Sealed};
use crate::machine::state::ROW_BYTES_MAX;
use crate::testkit::{asks, new_version};

use super::{Machine, SHARD, name, rule, tenant};

impl Machine {
    /// Adopts and advances a plan made on the tenant's revision.
    pub(super) fn planned(&mut self, tenant: &TenantId, change: Change) {
        let [adopt, advance] = self.author.plan(tenant, self.revision(tenant), change);
        self.done(&adopt);
        self.done(&advance);
    }

    /// What adopting a plan made on the tenant's revision is refused for.
    pub(super) fn plan_refused(&mut self, tenant: &TenantId, change: Change) -> Refusal {
        let [adopt, _] = self.author.plan(tenant, self.revision(tenant), change);
        self.refusal(&adopt)
    }

    fn version(&self, version: KeyVersionId) -> &KeyVersion {
        self.state.row::<KeyVersion>(&version).expect("the test made the version")
    }

    fn key(&self, tenant: &TenantId, name: &KeyName) -> &Key {
        self.state.row::<Key>(&(tenant.clone(), name.clone())).expect("the test made the key")
    }

    /// An entry at a time, under a request for exactly what it does.
    fn at(&self, at: Timestamp, action: Action) -> Vec<u8> {
        let (idempotency_id, request) = self.author.request(asks(&action).expect("operators ask for it"));
        self.author.entry(SHARD, &Command { at, idempotency_id, request: Some(request), action })
    }

    fn import_key_at(&self, at: Timestamp, tenant: &TenantId, id: ImportKeyId) -> Vec<u8> {
        let (public_key, sealed) = (vec![6; 422], Sealed(vec![7; 1821]));
        self.at(at, Action::CreateImportKey(CreateImportKey { tenant: tenant.clone(), id, public_key, sealed }))
    }
}

fn version(byte: u8) -> KeyVersionId {
    KeyVersionId::from_bytes([byte; 16])
}

fn alias(number: usize) -> AliasId {
    let mut bytes = [0xaa; 16];
    bytes[15] = u8::try_from(number).expect("few aliases");
    AliasId::from_bytes(bytes)
}

fn quota(per_second: u32, burst: u32) -> Quota {
    let positive = |number| NonZeroU32::new(number).expect("quotas are positive");
    Quota { per_second: positive(per_second), burst: positive(burst) }
}

#[test]
fn rotation_makes_the_newest_version_the_one_shown_first_and_leaves_the_others_as_they_are() {
    let mut machine = Machine::shard();
    let (acme, first) = machine.with_key();
    let key = name("k1");
    machine.planned(&acme, Change::DisableVersion { version: first });
    let rotate = machine.author.add_version(&acme, &key, version(2), Origin::Generated);
    let effect = Effect::VersionAdded { version: version(2), revision: Revision(5) };
    assert_eq!(machine.feed(&rotate), Outcome::Done(effect.clone()));
    assert_eq!(machine.feed(&rotate), Outcome::Repeated(effect));
    assert_eq!(machine.key(&acme, &key).primary, 2);
    assert_eq!(machine.key(&acme, &key).versions, [(1, first), (2, version(2))].into());
    let states = [first, version(2)].map(|id| (machine.version(id).state, machine.version(id).number));
    assert_eq!(states, [(VersionState::Disabled, 1), (VersionState::Enabled, 2)]);

    let again = machine.author.add_version(&acme, &key, first, Origin::Generated);
    assert_eq!(machine.refusal(&again), Refusal::PathTaken);
    let unknown = machine.author.add_version(&acme, &name("k9"), version(3), Origin::Generated);
    assert_eq!(machine.refusal(&unknown), Refusal::UnknownKey { tenant: acme, name: name("k9") });
}

#[test]
fn a_key_with_the_largest_policy_takes_as_many_versions_as_it_may_and_no_more() {
    let mut machine = Machine::shard();
    let long = "n".repeat(63);
    let (owner, space): (TenantId, CryptoSpaceName) = (name(&long), name(&long));
    let key: KeyName = name(&long);
    let entries = [
        machine.author.create_tenant(&owner),
        machine.author.create_crypto_space(&owner, &space),
        machine.author.create_key(&owner, &key, Some(&space), version(0)),
    ];
    for entry in &entries {
        machine.done(entry);
    }
    // grants until no more fit, then smaller ones: the policy is as large as one can be
    let grants = (0..).map(|number| {
        let resources = vec![ResourcePattern { crypto_key: Some("k".repeat(120)), ..ResourcePattern::default() }; 4];
        Rule { resources, ..rule(&format!("r{number}")) }
    });
    for grant in grants {
        let entry = machine.author.grant(&owner, Level::Key(key.clone()), grant);
        if matches!(machine.feed(&entry), Outcome::Refused(Refusal::PolicyTooLarge { .. })) {
            break;
        }
    }
    machine
        .planned(&owner, Change::SetQuota { level: Level::Key(key.clone()), quota: Some(quota(QUOTA_MAX, QUOTA_MAX)) });
    let id = |number: usize| KeyVersionId::from_bytes((0xbeef_0000_u128 + number as u128).to_be_bytes());
    for number in 2..=VERSIONS_MAX {
        let entry = machine.author.add_version(&owner, &key, id(number), Origin::Generated);
        machine.index += 1;
        // the invariants are checked once, below: this is a large state
        let transition = machine.state.apply(crate::ids::LogIndex(machine.index), &entry).expect("decodable");
        assert!(matches!(transition.outcome, Outcome::Done(_)), "version {number}: {:?}", transition.outcome);
        machine.state = transition.state;
    }
    let entry = machine.author.add_version(&owner, &key, id(VERSIONS_MAX + 1), Origin::Generated);
    assert!(matches!(machine.refusal(&entry), Refusal::TooMany { count: VERSIONS_MAX, .. }));
    let largest = machine.state.rows().map(|(_, value)| value.len()).max().unwrap_or_default();
    assert!(
        (15 * 1024..=ROW_BYTES_MAX).contains(&largest),
        "{largest}: the bounds leave no room unused and none missing"
    );
}

#[test]
fn an_alias_is_one_more_path_of_one_version_until_it_is_removed() {
    let mut machine = Machine::shard();
    let (acme, id) = machine.with_key();
    let made = machine.author.create_alias(&acme, id, alias(1));
    assert_eq!(machine.feed(&made), Outcome::Done(Effect::AliasMade { alias: alias(1), revision: Revision(3) }));
    assert_eq!(machine.version(id).aliases, [alias(1)].into());
    assert_eq!(machine.state.aliases()[&alias(1)].version, id);

    let path_of_a_version = machine.author.create_alias(&acme, id, AliasId::from_bytes(*id.as_bytes()));
    assert_eq!(machine.refusal(&path_of_a_version), Refusal::PathTaken);
    let twice = machine.author.create_alias(&acme, id, alias(1));
    assert_eq!(machine.refusal(&twice), Refusal::PathTaken);
    let as_version =
        machine.author.create_key(&acme, &name("k2"), None, KeyVersionId::from_bytes(*alias(1).as_bytes()));
    assert_eq!(machine.refusal(&as_version), Refusal::PathTaken, "a version never takes the path of an alias");

    for number in 2..=ALIASES_MAX {
        let entry = machine.author.create_alias(&acme, id, alias(number));
        machine.done(&entry);
    }
    let entry = machine.author.create_alias(&acme, id, alias(ALIASES_MAX + 1));
    let refusal = machine.refusal(&entry);
    assert!(refusal.to_string().ends_with("remove one with: ekmctl alias remove"), "{refusal}");

    machine.planned(&acme, Change::RemoveAlias { alias: alias(1) });
    assert!(!machine.version(id).aliases.contains(&alias(1)) && !machine.state.aliases().contains_key(&alias(1)));
    let unknown = Refusal::UnknownAlias { tenant: acme.clone(), alias: alias(1) };
    assert_eq!(machine.plan_refused(&acme, Change::RemoveAlias { alias: alias(1) }), unknown);
    let entry = machine.author.create_alias(&acme, id, alias(ALIASES_MAX + 1));
    machine.done(&entry);
}

#[test]
fn a_tenant_reaches_no_alias_and_no_import_key_of_another() {
    let mut machine = Machine::shard();
    let (acme, id) = machine.with_key();
    let rival = tenant("rival");
    let import_key = ImportKeyId::from_bytes([1; 16]);
    let entries = [
        machine.author.create_tenant(&rival),
        machine.author.create_alias(&acme, id, alias(1)),
        machine.author.create_import_key(&acme, import_key),
        machine.author.create_key(&rival, &name("k1"), None, version(7)),
    ];
    for entry in &entries {
        machine.done(entry);
    }
    let unknown = Refusal::UnknownAlias { tenant: rival.clone(), alias: alias(1) };
    assert_eq!(machine.plan_refused(&rival, Change::RemoveAlias { alias: alias(1) }), unknown);
    let entry = machine.author.create_alias(&rival, id, alias(2));
    assert_eq!(machine.refusal(&entry), Refusal::UnknownVersion { tenant: rival.clone(), version: id });
    let brought = Origin::Imported { import_key, check_value: CheckValue::from_bytes([1, 2, 3]) };
    let entry = machine.author.add_version(&rival, &name("k1"), version(8), brought);
    assert_eq!(machine.refusal(&entry), Refusal::UnknownImportKey { tenant: rival, id: import_key });
}

#[test]
fn an_import_key_is_of_use_for_a_day_and_a_tenant_has_eight_at_most() {
    let mut machine = Machine::shard();
    let (acme, _) = machine.with_key();
    let made_at = Timestamp(1_000_000);
    let end = Timestamp(made_at.0 + u64::try_from(IMPORT_KEY_LIFE.as_millis()).expect("a day"));
    let id = |number: usize| ImportKeyId::from_bytes([u8::try_from(number).expect("few"); 16]);
    for number in 1..=IMPORT_KEYS_MAX {
        let entry = machine.import_key_at(made_at, &acme, id(number));
        machine.done(&entry);
    }
    let ninth = machine.import_key_at(Timestamp(end.0 - 1), &acme, id(9));
    assert!(matches!(machine.refusal(&ninth), Refusal::TooMany { count: IMPORT_KEYS_MAX, .. }));

    let brought = Origin::Imported { import_key: id(1), check_value: CheckValue::from_bytes([1, 2, 3]) };
    let add = |number| {
        Action::AddVersion(AddVersion {
            tenant: tenant("acme"),
            key: name("k1"),
            version: new_version(version(number), brought),
        })
    };
    let in_time = machine.at(Timestamp(end.0 - 1), add(20));
    machine.done(&in_time);
    assert_eq!(machine.version(version(20)).origin, brought);
    let too_late = machine.at(end, add(21));
    assert_eq!(machine.refusal(&too_late), Refusal::UnknownImportKey { tenant: acme.clone(), id: id(1) });
    let key_too_late = machine.at(
        end,
        Action::CreateKey(CreateKey {
            tenant: acme.clone(),
            name: name("k2"),
            crypto_space: None,
            purpose: Purpose::EncryptDecrypt,
            version: new_version(version(22), brought),
        }),
    );
    assert_eq!(machine.refusal(&key_too_late), Refusal::UnknownImportKey { tenant: acme.clone(), id: id(1) });

    let after = machine.import_key_at(end, &acme, id(9));
    machine.done(&after);
    let left: Vec<_> = machine.state.import_keys_of(&acme).map(|(id, _)| id).collect();
    assert_eq!(left, [id(9)], "what has ended makes room");
}

#[test]
fn a_policy_is_set_whole_loses_a_rule_and_inherits_again() {
    let mut machine = Machine::shard();
    let (acme, _) = machine.with_key();
    let key: KeyName = name("k1");
    let level = Level::Key(key.clone());
    let grant = machine.author.grant(&acme, Level::Tenant, rule("wide"));
    machine.done(&grant);
    let policy = Policy { denies: vec![rule("d1")], grants: vec![rule("g1")] };
    machine.planned(&acme, Change::SetPolicy { level: level.clone(), policy: Some(policy.clone()) });
    assert_eq!(machine.key(&acme, &key).policy, Some(policy), "a plan may hide what is inherited");

    machine.planned(&acme, Change::RemoveRule { level: level.clone(), rule: name("d1") });
    machine.planned(&acme, Change::RemoveRule { level: level.clone(), rule: name("g1") });
    assert_eq!(machine.key(&acme, &key).policy, Some(Policy::default()), "one without rules grants nothing");
    let unknown = Refusal::UnknownRule { level: "key k1".into(), rule: name("g1") };
    assert_eq!(machine.plan_refused(&acme, Change::RemoveRule { level: level.clone(), rule: name("g1") }), unknown);

    machine.planned(&acme, Change::SetPolicy { level: level.clone(), policy: None });
    assert_eq!(machine.key(&acme, &key).policy, None);
    let twice = Policy { denies: vec![rule("r")], grants: vec![rule("r")] };
    let exists = Refusal::Exists { what: "rule".into(), name: "r".into() };
    assert_eq!(machine.plan_refused(&acme, Change::SetPolicy { level: level.clone(), policy: Some(twice) }), exists);
    let nobody = Policy { denies: vec![], grants: vec![Rule { callers: [].into(), ..rule("r") }] };
    let refusal = machine.plan_refused(&acme, Change::SetPolicy { level, policy: Some(nobody) });
    assert!(matches!(refusal, Refusal::BadRule { .. }), "{refusal:?}");
}

#[test]
fn a_quota_is_set_at_every_level_and_lifted_again() {
    let mut machine = Machine::shard();
    let (acme, _) = machine.with_key();
    let space: CryptoSpaceName = name("space");
    let entry = machine.author.create_crypto_space(&acme, &space);
    machine.done(&entry);
    let levels = [Level::Tenant, Level::CryptoSpace(space.clone()), Level::Key(name("k1"))];
    for (level, number) in levels.iter().zip(1..) {
        machine.planned(&acme, Change::SetQuota { level: level.clone(), quota: Some(quota(number, 10 * number)) });
    }
    let seen = |machine: &Machine| {
        let spaces = machine.state.crypto_spaces();
        [
            machine.state.tenants()[&acme].quota,
            spaces[&(acme.clone(), space.clone())].quota,
            machine.key(&acme, &name("k1")).quota,
        ]
    };
    assert_eq!(seen(&machine), [Some(quota(1, 10)), Some(quota(2, 20)), Some(quota(3, 30))]);
    for level in levels {
        machine.planned(&acme, Change::SetQuota { level, quota: None });
    }
    assert_eq!(seen(&machine), [None; 3]);
    for beyond in [quota(QUOTA_MAX + 1, 1), quota(1, QUOTA_MAX + 1)] {
        let refusal = machine.plan_refused(&acme, Change::SetQuota { level: Level::Tenant, quota: Some(beyond) });
        assert_eq!(refusal, Refusal::BadQuota);
    }
    let unknown = Refusal::UnknownKey { tenant: acme.clone(), name: name("k9") };
    let level = Level::Key(name("k9"));
    assert_eq!(machine.plan_refused(&acme, Change::SetQuota { level, quota: None }), unknown);
}

#[test]
fn a_plan_that_something_additive_made_impossible_is_dropped_and_bars_nothing() {
    let mut machine = Machine::shard();
    let (acme, id) = machine.with_key();
    machine.planned(&acme, Change::DisableVersion { version: id });
    let revision = machine.revision(&acme);
    let [adopt, advance] =
        machine.author.plan(&acme, revision, Change::ScheduleDestroy { version: id, window_seconds: 9 });
    machine.done(&adopt);
    let enable = machine.author.enable(&acme, id);
    machine.done(&enable);
    let why = Refusal::IllegalStep { version: id, state: VersionState::Enabled, event: Event::ScheduleDestroy };
    let dropped = Effect::PlanDropped { revision: Revision(7), why: Box::new(why) };
    assert_eq!(machine.feed(&advance), Outcome::Done(dropped.clone()));
    assert_eq!(machine.feed(&advance), Outcome::Repeated(dropped), "asked again, it is told again");
    assert!(machine.state.plans().is_empty() && machine.state.destructions().is_empty());
    assert_eq!(machine.version(id).state, VersionState::Enabled);
    machine.planned(&acme, Change::DisableVersion { version: id });
}

#[test]
fn plans_that_meet_wait_for_one_another_and_others_do_not() {
    let mut machine = Machine::shard();
    let (acme, id) = machine.with_key();
    let made = machine.author.create_alias(&acme, id, alias(1));
    machine.done(&made);
    let level = Level::Key(name("k1"));
    let policy = Some(Policy { denies: vec![], grants: vec![rule("g1")] });
    let changes = [
        Change::DisableVersion { version: id },
        Change::RemoveAlias { alias: alias(1) },
        Change::SetPolicy { level: level.clone(), policy },
        Change::SetQuota { level: level.clone(), quota: Some(quota(1, 1)) },
        Change::SetQuota { level: Level::Tenant, quota: Some(quota(1, 1)) },
    ];
    let mut advances = Vec::new();
    for change in &changes {
        let [adopt, advance] = machine.author.plan(&acme, machine.revision(&acme), change.clone());
        machine.done(&adopt);
        advances.push(advance);
    }
    for change in changes {
        let what = change.to_string();
        assert_eq!(machine.plan_refused(&acme, change), Refusal::PlanUnsettled { what });
    }
    for advance in &advances {
        machine.done(advance);
    }
    assert!(machine.state.plans().is_empty());
}

#[test]
fn no_grant_is_lost_to_a_policy_that_was_planned_without_it() {
    let mut machine = Machine::shard();
    let (acme, _) = machine.with_key();
    let level = Level::Key(name("k1"));
    let policy = Some(Policy { denies: vec![], grants: vec![rule("planned")] });
    let change = Change::SetPolicy { level: level.clone(), policy };
    let [adopt, advance] = machine.author.plan(&acme, machine.revision(&acme), change);
    machine.done(&adopt);
    let grant = machine.author.grant(&acme, level.clone(), rule("granted"));
    assert_eq!(machine.refusal(&grant), Refusal::PlanUnsettled { what: "the policy of key k1".into() });
    let elsewhere = machine.author.grant(&acme, Level::Tenant, rule("granted"));
    machine.done(&elsewhere);
    machine.done(&advance);
    machine.done(&grant);
    let rules: Vec<_> =
        machine.key(&acme, &name("k1")).policy.iter().flat_map(Policy::rules).map(|r| r.name.to_string()).collect();
    assert_eq!(rules, ["planned", "granted"]);
}

#[test]
fn a_path_made_for_one_version_stays_with_it_under_another_request() {
    let mut machine = Machine::shard();
    let (acme, id) = machine.with_key();
    let create = CreateAlias { tenant: acme.clone(), id: alias(1), version: id };
    let entry = machine.author.does(SHARD, Action::CreateAlias(create));
    machine.done(&entry);
    let rotate = machine.author.add_version(&acme, &name("k1"), version(2), Origin::Generated);
    machine.done(&rotate);
    assert_eq!(machine.state.aliases()[&alias(1)].version, id, "rotation moves no path");
}
