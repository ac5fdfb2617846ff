//! Which rules a question meets, listed: what a person is shown of a decision. Decides nothing; the decision is made by
//! [`super::decide()`], from the same answers of [`covers`].

use replication::machine::policy::{Policy, Rule};

use super::asked::Asked;
use super::matching::{Match, covers};

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It refuses, at whatever level it stands.
    Deny,
    /// It allows, at the level that decides.
    Grant,
}

/// A rule that a question meets: all of it but perhaps the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Met<'a> {
    /// What the rule does.
    pub effect: Effect,
    /// The rule.
    pub rule: &'a Rule,
    /// Whether its list of reasons covers the question as well. Never [`Match::No`].
    pub covers: Match,
}

/// The rules of one policy that a question meets: denies first, then grants, in the order written.
pub fn met<'a>(policy: &'a Policy, asked: &Asked<'_>) -> Vec<Met<'a>> {
    let denies = policy.denies.iter().map(|rule| (Effect::Deny, rule));
    let grants = policy.grants.iter().map(|rule| (Effect::Grant, rule));
    denies
        .chain(grants)
        .map(|(effect, rule)| Met { effect, rule, covers: covers(rule, asked) })
        .filter(|met| met.covers != Match::No)
        .collect()
}
