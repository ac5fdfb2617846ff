//! What operators do, and what it comes to.

use crate::ids::{GroupId, KeyName, KeyVersionId, Revision};
use crate::machine::lifecycle::{Event, VersionState};
use crate::machine::outcome::{Effect, Outcome, Refusal};
use crate::machine::policy::{Justifications, Principal, ResourcePattern, Rule};
use crate::machine::request::Level;

use super::{Machine, name, rule, tenant};

#[test]
fn a_key_is_made_disabled_and_enabled_again() {
    let mut machine = Machine::shard();
    let (acme, version) = machine.with_key();
    assert_eq!(machine.revision(&acme), Revision(2));

    let [adopt, advance] = machine.author.disable(&acme, version, Revision(2));
    assert!(matches!(machine.feed(&adopt), Outcome::Done(Effect::PlanAdopted { .. })));
    assert_eq!(machine.state.key_versions()[&version].state, VersionState::Enabled, "adoption activates nothing");
    assert_eq!(machine.feed(&advance), Outcome::Done(Effect::PlanSettled { revision: Revision(4) }));
    assert_eq!(machine.state.key_versions()[&version].state, VersionState::Disabled);
    assert!(machine.state.plans().is_empty(), "a settled plan has no row");

    let enable = machine.author.enable(&acme, version);
    let effect = Effect::VersionStepped { state: VersionState::Enabled, revision: Revision(5) };
    assert_eq!(machine.feed(&enable), Outcome::Done(effect.clone()));
    assert_eq!(machine.feed(&enable), Outcome::Repeated(effect), "the same request again changes nothing");
    let enable = machine.author.enable(&acme, version);
    let refusal = Refusal::IllegalStep { version, state: VersionState::Enabled, event: Event::Enable };
    assert_eq!(refusal.to_string(), format!("key version v0/keys/{version} is enabled already"));
    assert_eq!(machine.refusal(&enable), refusal);
    let restore = Refusal::IllegalStep { version, state: VersionState::Enabled, event: Event::Restore };
    assert!(restore.to_string().ends_with("is enabled, which does not allow to restore"));
}

#[test]
fn a_plan_made_on_an_older_revision_is_a_conflict() {
    let mut machine = Machine::shard();
    let (acme, version) = machine.with_key();
    let [adopt, _] = machine.author.disable(&acme, version, Revision(1));
    let refusal = Refusal::Conflict { tenant: acme.clone(), current: Revision(2), planned: Revision(1) };
    assert_eq!(machine.refusal(&adopt), refusal);

    let [adopt, _] = machine.author.disable(&acme, version, Revision(2));
    machine.done(&adopt);
    let [again, _] = machine.author.disable(&acme, version, Revision(3));
    assert_eq!(machine.refusal(&again), Refusal::PlanUnsettled { what: format!("key version v0/keys/{version}") });
}

#[test]
fn names_and_paths_are_used_once() {
    let mut machine = Machine::shard();
    let (acme, version) = machine.with_key();
    let again = machine.author.create_tenant(&acme);
    assert!(matches!(machine.refusal(&again), Refusal::Exists { .. }));
    let again = machine.author.create_key(&acme, &name("k1"), None, KeyVersionId::from_bytes([9; 16]));
    assert!(matches!(machine.refusal(&again), Refusal::Exists { .. }));
    let again = machine.author.create_key(&acme, &name("k2"), None, version);
    assert_eq!(machine.refusal(&again), Refusal::PathTaken);

    let mut system = Machine::of(GroupId::SYSTEM);
    let entry = system.author.place_tenant(&acme);
    system.done(&entry);
    let entry = system.author.place_tenant(&acme);
    assert!(matches!(system.refusal(&entry), Refusal::Exists { .. }));
    let entry = system.author.reserve_path(&acme, &name("k1"), [5; 16]);
    system.done(&entry);
    let entry = system.author.reserve_path(&acme, &name("k2"), [5; 16]);
    assert_eq!(system.refusal(&entry), Refusal::PathTaken);
}

#[test]
fn what_is_named_must_be_there() {
    let mut machine = Machine::shard();
    let (acme, _) = machine.with_key();
    let nobody = tenant("nobody");
    let version = KeyVersionId::from_bytes([9; 16]);
    let author = &machine.author;
    let entries = [
        (author.create_key(&nobody, &name("k"), None, version), Refusal::UnknownTenant { tenant: nobody.clone() }),
        (
            author.create_key(&acme, &name("k"), Some(&name("attic")), version),
            Refusal::UnknownCryptoSpace { tenant: acme.clone(), name: "attic".into() },
        ),
        (
            author.grant(&acme, Level::Key(name("k9")), rule("r")),
            Refusal::UnknownKey { tenant: acme.clone(), name: name("k9") },
        ),
        (
            author.grant(&acme, Level::CryptoSpace(name("attic")), rule("r")),
            Refusal::UnknownCryptoSpace { tenant: acme.clone(), name: "attic".into() },
        ),
        (author.enable(&acme, version), Refusal::UnknownVersion { tenant: acme.clone(), version }),
    ];
    for (entry, refusal) in entries {
        assert_eq!(machine.refusal(&entry), refusal);
    }
}

#[test]
fn a_tenant_reaches_no_version_of_another() {
    let mut machine = Machine::shard();
    let (_, version) = machine.with_key();
    let rival = tenant("rival");
    let entry = machine.author.create_tenant(&rival);
    machine.done(&entry);
    let unknown = Refusal::UnknownVersion { tenant: rival.clone(), version };
    let entry = machine.author.enable(&rival, version);
    assert_eq!(machine.refusal(&entry), unknown);
    let [adopt, _] = machine.author.disable(&rival, version, Revision(1));
    assert_eq!(machine.refusal(&adopt), unknown);
}

#[test]
fn a_grant_never_hides_one_that_is_inherited() {
    let mut machine = Machine::shard();
    let acme = tenant("acme");
    let (space, key): (_, KeyName) = (name("space"), name("k1"));
    for entry in [
        machine.author.create_tenant(&acme),
        machine.author.create_crypto_space(&acme, &space),
        machine.author.create_key(&acme, &key, Some(&space), KeyVersionId::from_bytes([1; 16])),
        machine.author.grant(&acme, Level::CryptoSpace(space.clone()), rule("in-space")),
    ] {
        machine.done(&entry);
    }
    let entry = machine.author.grant(&acme, Level::Key(key.clone()), rule("on-key"));
    assert_eq!(machine.refusal(&entry), Refusal::HidesInherited { level: "crypto space space".into() });
    for (level, text) in [(Level::CryptoSpace(space), "again"), (Level::Tenant, "in-tenant")] {
        let entry = machine.author.grant(&acme, level, rule(text));
        machine.done(&entry);
    }
    let entry = machine.author.create_key(&acme, &name("k2"), None, KeyVersionId::from_bytes([2; 16]));
    machine.done(&entry);
    let entry = machine.author.grant(&acme, Level::Key(name("k2")), rule("on-key"));
    assert_eq!(machine.refusal(&entry), Refusal::HidesInherited { level: "tenant acme".into() });
}

#[test]
fn a_rule_that_covers_nothing_is_a_mistake() {
    let mut machine = Machine::shard();
    let (acme, _) = machine.with_key();
    let good = rule("r");
    let pattern = |part: &str| ResourcePattern { project: Some(part.into()), ..ResourcePattern::default() };
    let reasons =
        |codes: &[u32], allow_missing| Some(Justifications { codes: codes.iter().copied().collect(), allow_missing });
    let bad = [
        Rule { callers: [].into(), ..good.clone() },
        Rule { callers: [Principal::Probe].into(), ..good.clone() },
        Rule { operations: [].into(), ..good.clone() },
        Rule { resources: vec![pattern("")], ..good.clone() },
        Rule { resources: vec![pattern("a/b")], ..good.clone() },
        Rule { resources: vec![pattern(&"p".repeat(129))], ..good.clone() },
        Rule { resources: vec![pattern("p"); 33], ..good.clone() },
        Rule { justifications: reasons(&[], false), ..good.clone() },
        Rule { justifications: reasons(&[12], false), ..good.clone() },
    ];
    for rule in bad {
        let entry = machine.author.grant(&acme, Level::Key(name("k1")), rule.clone());
        assert!(matches!(machine.refusal(&entry), Refusal::BadRule { .. }), "{rule:?}");
    }
    for (text, justifications) in [("a", None), ("b", reasons(&[0, 11], false)), ("c", reasons(&[], true))] {
        let rule = Rule { name: name(text), justifications, ..good.clone() };
        let entry = machine.author.grant(&acme, Level::Key(name("k1")), rule);
        machine.done(&entry);
    }
}

#[test]
fn a_policy_stays_within_its_limits() {
    let mut machine = Machine::shard();
    let (acme, _) = machine.with_key();
    let wide = |i: usize| Rule {
        resources: vec![ResourcePattern { crypto_key: Some("k".repeat(100)), ..ResourcePattern::default() }; 8],
        ..rule(&format!("r{i}"))
    };
    let refusal = (0..).find_map(|i| {
        let entry = machine.author.grant(&acme, Level::Key(name("k1")), wide(i));
        match machine.feed(&entry) {
            Outcome::Refused(refusal) => Some(refusal),
            Outcome::Done(_) | Outcome::Repeated(_) => None,
        }
    });
    assert!(matches!(refusal, Some(Refusal::PolicyTooLarge { .. })), "{refusal:?}");
    let twice = machine.author.grant(&acme, Level::Key(name("k1")), rule("r0"));
    assert!(matches!(machine.refusal(&twice), Refusal::Exists { .. }));
}
