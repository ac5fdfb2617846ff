//! Random logs: every invariant holds after every entry, a mirror of the changed rows is the state, and damage is never obeyed.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::codec;
use crate::ids::{KeyVersionId, LogIndex, Revision};
use crate::machine::outcome::Outcome;
use crate::machine::request::Level;
use crate::machine::state::State;
use crate::testkit::Author;

use super::{Machine, SHARD, name, rule, tenant};

/// One step of a random operator: small name spaces, so that steps meet.
#[derive(Debug, Clone)]
enum Step {
    Tenant(u8),
    Space(u8, u8),
    Key(u8, u8, Option<u8>, u8),
    Grant(u8, u8, u8),
    Enable(u8, u8),
    Disable(u8, u8, bool),
    Repeat(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (t, n) = (0..2_u8, 0..3_u8);
    let step = prop_oneof![
        t.clone().prop_map(Step::Tenant),
        (t.clone(), n.clone()).prop_map(|(t, s)| Step::Space(t, s)),
        (t.clone(), n.clone(), proptest::option::of(0..3_u8), n.clone()).prop_map(|(t, k, s, v)| Step::Key(t, k, s, v)),
        (t.clone(), 0..7_u8, n.clone()).prop_map(|(t, l, r)| Step::Grant(t, l, r)),
        (t.clone(), n.clone()).prop_map(|(t, v)| Step::Enable(t, v)),
        (t, n, any::<bool>()).prop_map(|(t, v, a)| Step::Disable(t, v, a)),
        (0..40_usize).prop_map(Step::Repeat),
    ];
    proptest::collection::vec(step, 1..40)
}

fn entries(author: &Author, state: &State, past: &[Vec<u8>], step: &Step) -> Vec<Vec<u8>> {
    let owner = |t: u8| tenant(&format!("t{t}"));
    let version = |v: u8| KeyVersionId::from_bytes([v; 16]);
    match step {
        Step::Tenant(t) => vec![author.create_tenant(&owner(*t))],
        Step::Space(t, s) => vec![author.create_crypto_space(&owner(*t), &name(&format!("s{s}")))],
        Step::Key(t, k, s, v) => {
            let space = s.map(|s| name(&format!("s{s}")));
            vec![author.create_key(&owner(*t), &name(&format!("k{k}")), space.as_ref(), version(*v))]
        }
        Step::Grant(t, level, r) => {
            let level = match level {
                0 => Level::Tenant,
                1..=3 => Level::CryptoSpace(name(&format!("s{}", level - 1))),
                _ => Level::Key(name(&format!("k{}", level - 4))),
            };
            vec![author.grant(&owner(*t), level, rule(&format!("r{r}")))]
        }
        Step::Enable(t, v) => vec![author.enable(&owner(*t), version(*v))],
        Step::Disable(t, v, advance) => {
            let parent = state.tenants().get(&owner(*t)).map_or(Revision(0), |row| row.revision);
            let [adopt, go] = author.disable(&owner(*t), version(*v), parent);
            if *advance { vec![adopt, go] } else { vec![adopt] }
        }
        Step::Repeat(at) => past.get(*at).cloned().into_iter().collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_mirror_of_the_changed_rows_is_the_state(steps in steps()) {
        let mut machine = Machine::shard();
        let mut mirror: BTreeMap<Vec<u8>, Vec<u8>> = machine.state.rows().collect();
        let mut past = Vec::new();
        for step in &steps {
            for entry in entries(&machine.author, &machine.state, &past, step) {
                for change in machine.transition(&entry).rows {
                    match change.value {
                        Some(value) => mirror.insert(change.key, value),
                        None => mirror.remove(&change.key),
                    };
                }
                past.push(entry);
            }
        }
        let rows: Vec<_> = machine.state.rows().collect();
        prop_assert_eq!(&rows, &mirror.into_iter().collect::<Vec<_>>());
        let again = State::from_rows(rows);
        prop_assert_eq!(again.as_ref(), Ok(&machine.state));
        prop_assert_eq!(again.map(|state| state.digest()), Ok(machine.state.digest()));
    }

    #[test]
    fn a_damaged_entry_is_never_obeyed(which in 0..4_usize, at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut machine = Machine::shard();
        let (acme, version) = machine.with_key();
        let [adopt, _] = machine.author.disable(&acme, version, Revision(2));
        let valid = [
            adopt,
            machine.author.grant(&acme, Level::Tenant, rule("r")),
            machine.author.create_crypto_space(&acme, &name("space")),
            machine.author.create_key(&acme, &name("k2"), None, KeyVersionId::from_bytes([4; 16])),
        ];
        let mut damaged = valid[which].clone();
        let at = at.index(damaged.len());
        damaged[at] ^= 1 << bit;
        if let Ok(transition) = machine.state.apply(LogIndex(9), &damaged) {
            prop_assert!(!matches!(transition.outcome, Outcome::Done(_)), "{:?}", transition.outcome);
            prop_assert_eq!(transition.state.digest(), machine.state.digest());
        }
        let cut = &valid[which][..at];
        prop_assert!(machine.state.apply(LogIndex(9), cut).is_err());
    }

    #[test]
    fn decoding_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in any::<u8>()) {
        let framed = [&[codec::FORMAT, kind, 1], bytes.as_slice()].concat();
        for bytes in [bytes, framed] {
            if let Ok(entry) = codec::decode_entry(&bytes) {
                prop_assert_eq!(&codec::encode_entry(&entry), &bytes);
            }
            if let Ok(command) = codec::decode_command(&bytes) {
                prop_assert_eq!(&codec::encode_command(&command), &bytes);
            }
            if let Ok(state) = State::from_rows([(bytes.clone(), bytes.clone())]) {
                prop_assert_eq!(state.rows().next(), Some((bytes.clone(), bytes)));
            }
        }
    }
}

#[test]
fn forgetting_keeps_the_newest_answers() {
    use crate::ids::IdempotencyId;
    use crate::machine::outcome::Effect;
    use crate::machine::rows::Remembered;
    use crate::machine::state::Draft;
    let mut draft = Draft::of(&Machine::of(SHARD).state);
    for i in 1..=20_u8 {
        let row = Remembered { request: [i; 32], effect: Effect::GroupMade, index: LogIndex(u64::from(i)) };
        draft.remember(IdempotencyId::from_bytes([i; 16]), row, 5);
    }
    let kept: Vec<u8> = draft.state().remembered().keys().map(|id| id.as_bytes()[0]).collect();
    assert_eq!(kept, [16, 17, 18, 19, 20]);
    crate::machine::invariants::check(draft.state()).expect("order and rows agree");
}
