//! Which policy and quota hold for a level, and where they come from. Pure.
//!
//! As ARCHITECTURE.md has it: a deny counts at every level; the nearest level that has a policy decides by its grants; the quota of
//! every level holds.

use replication::machine::policy::Policy;
use replication::machine::request::Level;
use replication::machine::rows::Quota;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A level with what it says, from the nearest to the tenant.
pub(super) struct Levels(pub(super) Vec<LevelRow>);

/// One level.
pub(super) struct LevelRow {
    pub(super) level: Level,
    pub(super) policy: Option<Policy>,
    pub(super) quota: Option<Quota>,
}

/// The policy of a level, and what is inherited from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyInForce {
    /// The level's own policy: what `policy set` replaces. Null if it inherits.
    pub own: Option<Policy>,
    /// Whose grants decide; null if no level has a policy, and everybody is refused.
    pub decides: Option<Level>,
    /// Every level that has a policy, the nearest first. The denies of all of them count.
    pub levels: Vec<PolicyAt>,
}

/// The policy of one level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyAt {
    /// Which.
    pub level: Level,
    /// What it says.
    pub policy: Policy,
}

/// The quota of a level, and those above it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuotasInForce {
    /// The level's own quota; null if it has none.
    pub own: Option<Quota>,
    /// Every level that has a quota, the nearest first. All of them hold.
    pub levels: Vec<QuotaAt>,
}

/// The quota of one level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuotaAt {
    /// Which.
    pub level: Level,
    /// What it says.
    pub quota: Quota,
}

impl Levels {
    /// The policies.
    pub(super) fn policy(&self) -> PolicyInForce {
        let at = |row: &LevelRow| Some(PolicyAt { level: row.level.clone(), policy: row.policy.clone()? });
        let levels: Vec<PolicyAt> = self.0.iter().filter_map(at).collect();
        let own = self.0.first().and_then(|row| row.policy.clone());
        PolicyInForce { own, decides: levels.first().map(|at| at.level.clone()), levels }
    }

    /// The quotas.
    pub(super) fn quota(&self) -> QuotasInForce {
        let at = |row: &LevelRow| Some(QuotaAt { level: row.level.clone(), quota: row.quota? });
        QuotasInForce { own: self.0.first().and_then(|row| row.quota), levels: self.0.iter().filter_map(at).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(level: Level, policy: Option<Policy>) -> LevelRow {
        LevelRow { level, policy, quota: None }
    }

    #[test]
    fn the_nearest_level_with_a_policy_decides_and_an_empty_one_is_a_policy() {
        let key = || Level::Key("k".parse().expect("a legal name"));
        let (none, empty) = (None, Some(Policy::default()));
        let table = [
            (none.clone(), none.clone(), None, 0),
            (none.clone(), empty.clone(), Some(Level::Tenant), 1),
            (empty.clone(), none, Some(key()), 1),
            (empty.clone(), empty, Some(key()), 2),
        ];
        for (of_key, of_tenant, decides, levels) in table {
            let policy = Levels(vec![row(key(), of_key.clone()), row(Level::Tenant, of_tenant)]).policy();
            assert_eq!((policy.own, policy.decides, policy.levels.len()), (of_key, decides, levels));
        }
    }
}
