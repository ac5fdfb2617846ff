//! The state machine against the plain one: random requests come to the same, and the same can be seen after each.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::plain::{Ask, At, Plain};
use super::{Machine, name, rule, tenant};
use crate::ids::{KeyVersionId, Revision};
use crate::machine::outcome::{Effect, Outcome};
use crate::machine::policy::Policy;
use crate::machine::request::Level;
use crate::machine::state::State;

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let (t, n) = (0..2_u8, 0..3_u8);
    let at = prop_oneof![Just(At::Tenant), n.clone().prop_map(At::Space), n.clone().prop_map(At::Key)];
    let behind = prop_oneof![4 => Just(0), 1 => 1..3_u64];
    let advanced = prop_oneof![1 => Just(0), 4 => Just(1), 1 => Just(2_u64)];
    let ask = prop_oneof![
        2 => t.clone().prop_map(Ask::Tenant),
        2 => (t.clone(), n.clone()).prop_map(|(tenant, space)| Ask::Space { tenant, space }),
        4 => (t.clone(), n.clone(), proptest::option::of(0..3_u8), n.clone())
            .prop_map(|(tenant, key, space, version)| Ask::Key { tenant, key, space, version }),
        3 => (t.clone(), at, n.clone(), prop::bool::weighted(0.1))
            .prop_map(|(tenant, at, rule, for_nobody)| Ask::Grant { tenant, at, rule, for_nobody }),
        2 => (t.clone(), n.clone()).prop_map(|(tenant, version)| Ask::Enable { tenant, version }),
        4 => (t.clone(), n.clone(), behind).prop_map(|(tenant, version, behind)| Ask::Adopt { tenant, version, behind }),
        4 => (t, n, advanced).prop_map(|(tenant, version, behind)| Ask::Advance { tenant, version, behind }),
        2 => (0..60_usize).prop_map(Ask::Again),
    ];
    proptest::collection::vec(ask, 1..60)
}

/// The same lines of a real state.
fn seen(state: &State) -> Vec<String> {
    let rules = |policy: &Option<Policy>| {
        policy.as_ref().map_or("none".to_owned(), |policy| {
            policy.rules().map(|rule| rule.name.to_string()).collect::<Vec<_>>().join(" ")
        })
    };
    let tenants = state
        .tenants()
        .iter()
        .map(|(tenant, found)| format!("tenant {tenant} at {}: {}", found.revision, rules(&found.policy)));
    let spaces = state
        .crypto_spaces()
        .iter()
        .map(|((tenant, space), found)| format!("space {tenant} {space}: {}", rules(&found.policy)));
    let keys = state.keys().iter().map(|((tenant, key), found)| {
        let space = found.crypto_space.as_ref().map_or("none".to_owned(), ToString::to_string);
        let version = found.versions[&found.primary].as_bytes()[0];
        format!("key {tenant} {key} in {space} with {version}: {}", rules(&found.policy))
    });
    let versions = state.key_versions().iter().map(|(version, found)| {
        format!("version {} of {} {}: {}", version.as_bytes()[0], found.tenant, found.key, found.state)
    });
    let mut plans: Vec<_> = state
        .plans()
        .values()
        .map(|adopted| {
            let crate::machine::rows::Plan { tenant, parent, change } = &adopted.plan;
            match change {
                crate::machine::rows::Change::DisableVersion { version } => {
                    format!("plan for {} of {tenant} made on {parent}", version.as_bytes()[0])
                }
                other => format!("plan for {other} of {tenant} made on {parent}"),
            }
        })
        .collect();
    plans.sort();
    tenants.chain(spaces).chain(keys).chain(versions).chain(plans).collect()
}

/// A real outcome in the plain machine's words.
fn told(outcome: &Outcome) -> String {
    let word = |debug: String| debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
    match outcome {
        Outcome::Refused(refusal) => word(format!("{refusal:?}")),
        Outcome::Repeated(effect) => format!("again {}", told(&Outcome::Done(effect.clone()))),
        Outcome::Done(effect) => match effect {
            Effect::GroupMade
            | Effect::TenantPlaced { .. }
            | Effect::PathReserved { .. }
            | Effect::SignerEnrolled
            | Effect::SignerRevoked
            | Effect::ShardAdded { .. }
            | Effect::ReplicaAdded { .. }
            | Effect::DenyLifted
            | Effect::Ticked { .. } => word(format!("{effect:?}")),
            Effect::TenantMade { revision }
            | Effect::CryptoSpaceMade { revision, .. }
            | Effect::KeyMade { revision, .. }
            | Effect::Granted { revision }
            | Effect::VersionStepped { revision, .. }
            | Effect::PlanAdopted { revision, .. }
            | Effect::VersionAdded { revision, .. }
            | Effect::AliasMade { revision, .. }
            | Effect::ImportKeyMade { revision, .. }
            | Effect::VersionDestroyed { revision }
            | Effect::PlanDropped { revision, .. }
            | Effect::PlanSettled { revision } => format!("{} {revision}", word(format!("{effect:?}"))),
        },
    }
}

fn entry(machine: &Machine, ask: &Ask, parent: u64) -> Vec<u8> {
    let author = &machine.author;
    let owner = |number: &u8| tenant(&format!("t{number}"));
    let id = |number: &u8| KeyVersionId::from_bytes([*number; 16]);
    match ask {
        Ask::Tenant(tenant) => author.create_tenant(&owner(tenant)),
        Ask::Space { tenant, space } => author.create_crypto_space(&owner(tenant), &name(&format!("s{space}"))),
        Ask::Key { tenant, key, space, version } => {
            let space = space.map(|space| name(&format!("s{space}")));
            author.create_key(&owner(tenant), &name(&format!("k{key}")), space.as_ref(), id(version))
        }
        Ask::Grant { tenant, at, rule: number, for_nobody } => {
            let level = match at {
                At::Tenant => Level::Tenant,
                At::Space(space) => Level::CryptoSpace(name(&format!("s{space}"))),
                At::Key(key) => Level::Key(name(&format!("k{key}"))),
            };
            let mut rule = rule(&format!("r{number}"));
            if *for_nobody {
                rule.callers.clear();
            }
            author.grant(&owner(tenant), level, rule)
        }
        Ask::Enable { tenant, version } => author.enable(&owner(tenant), id(version)),
        Ask::Adopt { tenant, version, .. } => author.disable(&owner(tenant), id(version), Revision(parent))[0].clone(),
        Ask::Advance { tenant, version, .. } => {
            author.disable(&owner(tenant), id(version), Revision(parent))[1].clone()
        }
        Ask::Again(_) => unreachable!("a repetition is an entry that was made before"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(11), ..ProptestConfig::with_cases(120) })]

    #[test]
    fn every_command_comes_to_what_the_plain_machine_says(asks in asks()) {
        let (mut machine, mut plain) = (Machine::shard(), Plain::default());
        let mut past: Vec<(Ask, u64, Vec<u8>, Option<String>)> = Vec::new();
        for ask in asks {
            let place = if let Ask::Again(place) = ask {
                if place >= past.len() {
                    continue;
                }
                place
            } else {
                let parent = match ask {
                    Ask::Adopt { tenant, behind, .. } | Ask::Advance { tenant, behind, .. } => {
                        plain.revision(tenant).saturating_sub(behind)
                    }
                    _ => 0,
                };
                let entry = entry(&machine, &ask, parent);
                past.push((ask, parent, entry, None));
                past.len() - 1
            };
            let (ask, parent, entry, done) = &mut past[place];
            let expected = match done {
                Some(done) => format!("again {done}"),
                None => plain.take(ask, *parent),
            };
            // Only what was done is remembered; what was refused is tried anew.
            if done.is_none() && expected.contains(' ') {
                *done = Some(expected.clone());
            }
            prop_assert_eq!(told(&machine.feed(entry)), expected, "{:?}", ask);
            prop_assert_eq!(seen(&machine.state), plain.seen());
        }
    }
}
