//! The same decision, written a second time and differently, held against the first over random policies.
//!
//! Where the first walks rules and stops early, this one lists every rule's verdict and then reads the rules of
//! precedence off the lists. It must share no code with `decide` or `matching`.

use std::collections::BTreeSet;

use proptest::prelude::*;
use replication::machine::policy::{Justifications, Operation, Policy, Principal, ResourcePattern, Rule};

use crate::wire::AccessReason;

use super::decide::{Decider, Refused, UnknownReasons, Why, judge};
use super::{Asked, Levels, ResourceName};

#[derive(Debug, Clone)]
struct Case {
    levels: [Option<Policy>; 3],
    caller: Principal,
    operation: Operation,
    /// Project and key, the two parts that the random patterns vary.
    resource: Option<(String, String)>,
    reason: AccessReason,
}

/// The oracle. `Some(true)` grants, `Some(false)` denies, `None` cannot be judged.
fn oracle(case: &Case) -> Option<bool> {
    let fits = |rule: &Rule| {
        let resource = rule.resources.iter().any(|pattern| {
            let wanted = [(&pattern.project, 0), (&pattern.crypto_key, 1)];
            wanted
                .into_iter()
                .filter_map(|(want, at)| want.as_ref().map(|text| (text, at)))
                .all(|(text, at)| case.resource.as_ref().is_some_and(|(project, key)| text == [project, key][at]))
        });
        let plain = rule.callers.iter().any(|c| *c == case.caller)
            && rule.operations.iter().any(|o| *o == case.operation)
            && (resource || rule.resources.is_empty());
        let reason = match (&rule.justifications, &case.reason) {
            (None, _) => Some(true),
            (Some(_), AccessReason::Unknown(_)) => None,
            (Some(list), AccessReason::Missing) => Some(list.allow_missing),
            (Some(list), stated) => Some(stated.code().is_some_and(|code| list.codes.iter().any(|c| *c == code))),
        };
        if plain { reason } else { Some(false) }
    };
    let denies: Vec<_> = case.levels.iter().flatten().flat_map(|p| p.denies.iter().map(fits)).collect();
    let nearest = case.levels.iter().flatten().next().cloned().unwrap_or_default();
    let grants: Vec<_> = nearest.grants.iter().map(fits).collect();
    let no_way = denies.contains(&Some(true)) || !grants.iter().any(|g| *g != Some(false));
    match (no_way, grants.contains(&Some(true)) && !denies.contains(&None)) {
        (true, _) => Some(false),
        (false, true) => Some(true),
        (false, false) => None,
    }
}

fn ask(case: &Case, unknown: UnknownReasons) -> Result<&str, Refused> {
    let text = case.resource.as_ref().map(|(p, k)| format!("projects/{p}/locations/l/keyRings/r/cryptoKeys/{k}"));
    let asked = Asked {
        caller: &case.caller,
        operation: case.operation,
        resource: text.as_deref().and_then(ResourceName::parse),
        reason: &case.reason,
    };
    let [key, crypto_space, tenant] = case.levels.each_ref().map(Option::as_ref);
    judge(Levels { key, crypto_space, tenant }, &asked, unknown).map(replication::ids::RuleName::as_str)
}

fn word(values: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(values).prop_map(str::to_owned)
}

fn principal() -> impl Strategy<Value = Principal> {
    prop::sample::select(&["a@x", "b@x", "probe"][..]).prop_map(|text| text.parse().expect("a legal principal"))
}

fn rule() -> impl Strategy<Value = Rule> {
    let pattern = (prop::option::of(word(&["p", "q"])), prop::option::of(word(&["k", "m"])))
        .prop_map(|(project, crypto_key)| ResourcePattern { project, crypto_key, ..ResourcePattern::default() });
    let list = (prop::collection::btree_set(0_u32..12, 0..8), any::<bool>())
        .prop_map(|(codes, allow_missing)| Justifications { codes, allow_missing });
    (
        prop::collection::btree_set(principal(), 1..3),
        prop::collection::vec(pattern, 0..3),
        prop::sample::subsequence(Operation::ALL.to_vec(), 1..=2),
        prop::option::of(list),
        word(&["r1", "r2", "r3"]),
    )
        .prop_map(|(callers, resources, operations, justifications, name)| Rule {
            name: name.parse().expect("a legal rule name"),
            callers,
            resources,
            operations: operations.into_iter().collect::<BTreeSet<_>>(),
            justifications,
        })
}

fn case() -> impl Strategy<Value = Case> {
    let policy = (prop::collection::vec(rule(), 0..2), prop::collection::vec(rule(), 0..4))
        .prop_map(|(denies, grants)| Policy { denies, grants });
    (
        prop::array::uniform3(prop::option::of(policy)),
        principal(),
        prop::sample::select(&Operation::ALL[..]),
        prop::option::of((word(&["p", "q"]), word(&["k", "m"]))),
        prop_oneof![
            Just(AccessReason::Missing),
            (0_i64..14).prop_map(AccessReason::from_number),
            Just(AccessReason::from_text("SOMETHING_NEW"))
        ],
    )
        .prop_map(|(levels, caller, operation, resource, reason)| Case {
            levels,
            caller,
            operation,
            resource,
            reason,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_decision_is_the_oracles(case in case()) {
        let decided = match ask(&case, UnknownReasons::Unavailable) {
            Ok(_) => Some(true),
            Err(Refused::Denied(_) | Refused::ShutOut { .. }) => Some(false),
            Err(Refused::Unjudged { .. }) => None,
        };
        prop_assert_eq!(decided, oracle(&case));
    }

    #[test]
    fn the_setting_turns_the_unjudged_into_denials_and_nothing_else(case in case()) {
        let (soft, hard) = (ask(&case, UnknownReasons::Unavailable), ask(&case, UnknownReasons::Deny));
        match soft {
            Err(Refused::Unjudged { rule }) => {
                let named = matches!(&hard, Err(Refused::Denied(denial)) if denial.why().decider() == Some(Decider::Rule(rule.clone())));
                prop_assert!(named, "{hard:?}");
            }
            same => prop_assert_eq!(same, hard),
        }
    }

    #[test]
    fn the_rule_named_stands_in_the_policy_that_decided(case in case()) {
        let nearest: Vec<_> = case.levels.iter().flatten().take(1).flat_map(|policy| &policy.grants).collect();
        let all: Vec<_> = case.levels.iter().flatten().flat_map(Policy::rules).collect();
        let names = |rules: &[&Rule], name: &str| rules.iter().any(|rule| rule.name.as_str() == name);
        match ask(&case, UnknownReasons::Unavailable) {
            Ok(name) => prop_assert!(names(&nearest, name)),
            Err(Refused::Denied(denial)) => match denial.why() {
                Why::Denied { rule } | Why::Reason { rule, .. } => prop_assert!(names(&all, rule.as_str())),
                Why::NotGranted => {}
                Why::ShutOut { .. } => prop_assert!(false, "no rule shuts out"),
            },
            Err(Refused::ShutOut { .. }) => prop_assert!(false, "no rule shuts out"),
            Err(Refused::Unjudged { .. }) => prop_assert!(matches!(case.reason, AccessReason::Unknown(_))),
        }
    }
}

fn text_rule(name: &str, callers: &[&str], justifications: Option<(&[u32], bool)>) -> Rule {
    Rule {
        name: name.parse().expect("a legal rule name"),
        callers: callers.iter().map(|text| text.parse().expect("a legal principal")).collect(),
        resources: Vec::new(),
        operations: BTreeSet::from(Operation::ALL),
        justifications: justifications
            .map(|(codes, allow_missing)| Justifications { codes: codes.iter().copied().collect(), allow_missing }),
    }
}

/// Denies and grants of one level.
#[allow(clippy::unnecessary_wraps, reason = "the rows of the table below read as the levels do")]
fn level(denies: &[Rule], grants: &[Rule]) -> Option<Policy> {
    Some(Policy { denies: denies.to_vec(), grants: grants.to_vec() })
}

#[test]
#[allow(clippy::too_many_lines, reason = "one table")]
fn precedence_reads_as_designed() {
    let open = text_rule("open", &["a@x"], None);
    let other = text_rule("other", &["b@x"], None);
    let listed = text_rule("listed", &["a@x"], Some((&[5, 6], false)));
    let lenient = text_rule("lenient", &["a@x"], Some((&[5], true)));
    let no_legal = text_rule("no-legal", &["a@x"], Some((&[3], false)));
    let new = AccessReason::from_number(12);
    let (five, three) = (AccessReason::from_number(5), AccessReason::from_number(3));
    let one = |rule: &Rule| level(&[], std::slice::from_ref(rule));
    let rows = [
        ("no policy at all", [None, None, None], AccessReason::Missing, "not granted"),
        ("the tenant's grant is inherited", [None, None, one(&open)], AccessReason::Missing, "open"),
        ("the key's policy overrides the tenant's", [one(&other), None, one(&open)], five.clone(), "not granted"),
        ("an empty policy at the key grants nothing", [level(&[], &[]), None, one(&open)], five.clone(), "not granted"),
        ("the crypto space stands before the tenant", [None, one(&other), one(&open)], five.clone(), "not granted"),
        (
            "a deny far away refuses",
            [one(&open), None, level(std::slice::from_ref(&open), &[])],
            five.clone(),
            "denied by open",
        ),
        ("no list covers an unknown reason", [one(&open), None, None], new.clone(), "open"),
        ("a listed reason", [one(&listed), None, None], five.clone(), "listed"),
        (
            "a reason that is left out",
            [one(&listed), None, None],
            three.clone(),
            "THIRD_PARTY_DATA_REQUEST not allowed by listed",
        ),
        (
            "unspecified is not missing",
            [one(&lenient), None, None],
            AccessReason::Unspecified,
            "REASON_UNSPECIFIED not allowed by lenient",
        ),
        ("no context, not allowed", [one(&listed), None, None], AccessReason::Missing, "none not allowed by listed"),
        ("no context, allowed", [one(&lenient), None, None], AccessReason::Missing, "lenient"),
        ("an unknown reason under a list", [one(&listed), None, None], new.clone(), "unjudged at listed"),
        (
            "another grant without a list",
            [level(&[], &[listed.clone(), open.clone()]), None, None],
            new.clone(),
            "open",
        ),
        (
            "a deny by reason",
            [level(std::slice::from_ref(&no_legal), std::slice::from_ref(&open)), None, None],
            three,
            "THIRD_PARTY_DATA_REQUEST not allowed by no-legal",
        ),
        (
            "a deny list and an unknown reason",
            [level(std::slice::from_ref(&no_legal), std::slice::from_ref(&open)), None, None],
            new.clone(),
            "unjudged at no-legal",
        ),
        (
            "what no grant covers is denied, whatever the deny list says",
            [level(&[no_legal], &[other]), None, None],
            new,
            "not granted",
        ),
    ];
    for (fact, levels, reason, expected) in rows {
        let caller = "a@x".parse().expect("a legal principal");
        let case = Case { levels, caller, operation: Operation::Wrap, resource: None, reason };
        let said = match ask(&case, UnknownReasons::Unavailable) {
            Ok(rule) => rule.to_owned(),
            Err(Refused::Unjudged { rule }) => format!("unjudged at {rule}"),
            Err(Refused::ShutOut { denial, .. }) => format!("{denial:?}"),
            Err(Refused::Denied(denial)) => match denial.why() {
                Why::Denied { rule } => format!("denied by {rule}"),
                Why::Reason { rule, reason } => format!("{reason} not allowed by {rule}"),
                Why::NotGranted => "not granted".to_owned(),
                Why::ShutOut { entry } => format!("shut out by {entry}"),
            },
        };
        assert_eq!(said, expected, "{fact}");
    }
}
