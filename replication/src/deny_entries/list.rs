//! The deny entries that a machine knows, as requests are held against them. Replaced whole; pure.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::freshness::deny::{Force, Lift, force};
use crate::ids::{DenyId, KeyName, TenantId};
use crate::machine::apply::RESERVED_TENANT;
use crate::machine::deny::{self, DenyEntry};
use crate::machine::policy::{Principal, Subject};
use crate::machine::state::State;

/// Most entries that a machine keeps: more than a key store passes on.
pub const KEPT_MAX: usize = 8192;

/// The entries, by tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DenyList {
    tenants: BTreeMap<TenantId, BTreeMap<DenyId, DenyEntry>>,
}

/// How sure it is that an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It does.
    Certain,
    /// It may have ended, by another machine's clock.
    Perhaps,
}

/// An entry that names a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Which entry.
    pub entry: DenyId,
    /// How sure it is that it holds.
    pub certainty: Certainty,
}

/// How an entry stands at `now` where this much of group 0 is known.
pub fn standing(entry: &DenyEntry, system: Option<&State>, now: Timestamp) -> Force {
    let is_lifted = system.is_some_and(|system| deny::is_lifted(system, entry));
    force(entry.expires_at, if is_lifted { Lift::Lifted } else { Lift::None }, now)
}

impl DenyList {
    /// This list and more entries, without those that are lifted, and how many were left out: what no key store can have taken, and
    /// what there is no room for. One that has ended stays as long as there is room: a clock that jumps forgets nobody.
    #[must_use]
    pub fn with(&self, more: &[DenyEntry], system: Option<&State>, now: Timestamp) -> (Self, usize) {
        let mut list = self.clone();
        list.forget(|entry| system.is_some_and(|system| deny::is_lifted(system, entry)));
        if list.len() + more.len() > KEPT_MAX {
            list.forget(|entry| standing(entry, system, now) == Force::Over);
        }
        let (mut room, mut left_out) = (KEPT_MAX.saturating_sub(list.len()), 0);
        for entry in more {
            let is_known = list.tenants.get(&entry.tenant).is_some_and(|known| known.contains_key(&entry.id));
            if is_known || system.is_some_and(|system| deny::is_lifted(system, entry)) {
                continue;
            }
            if room == 0 || entry.tenant.as_str() == RESERVED_TENANT || deny::is_too_far(entry, now) {
                left_out += 1;
                continue;
            }
            room -= 1;
            list.tenants.entry(entry.tenant.clone()).or_default().insert(entry.id, entry.clone());
        }
        (list, left_out)
    }

    fn forget(&mut self, is_done: impl Fn(&DenyEntry) -> bool) {
        self.tenants.retain(|_, entries| {
            entries.retain(|_, entry| !is_done(entry));
            !entries.is_empty()
        });
    }

    /// The entry that shuts a caller out of a key, one that certainly holds before any other; `None` if none does.
    pub fn find(
        &self,
        (tenant, key): (&TenantId, &KeyName),
        caller: &Principal,
        system: Option<&State>,
        now: Timestamp,
    ) -> Option<Named> {
        let names = |entry: &&DenyEntry| match &entry.subject {
            Subject::Caller(shut_out) => {
                matches!(caller, Principal::ServiceAccount(caller) if caller == shut_out)
            }
            Subject::Key(shut_out) => shut_out == key,
        };
        let mut perhaps = None;
        for entry in self.tenants.get(tenant)?.values().filter(names) {
            match standing(entry, system, now) {
                Force::Holds => return Some(Named { entry: entry.id, certainty: Certainty::Certain }),
                Force::Unclear => {
                    perhaps = perhaps.or(Some(Named { entry: entry.id, certainty: Certainty::Perhaps }));
                }
                Force::Over => {}
            }
        }
        perhaps
    }

    /// How many entries hold, perhaps or for certain.
    pub fn count(&self, system: Option<&State>, now: Timestamp) -> usize {
        let entries = self.tenants.values().flat_map(BTreeMap::values);
        entries.filter(|entry| standing(entry, system, now) != Force::Over).count()
    }

    fn len(&self) -> usize {
        self.tenants.values().map(BTreeMap::len).sum()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
