//! The deny entries that a machine knows, as requests are held against them. Replaced whole; pure.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::freshness::deny::{Force, Lift, force};
use crate::ids::{DenyId, KeyName, TenantId};
use crate::machine::deny::DenyEntry;
use crate::machine::policy::{Principal, Subject};
use crate::machine::rows;
use crate::machine::state::State;

/// The entries, by tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DenyList {
    tenants: BTreeMap<TenantId, BTreeMap<DenyId, DenyEntry>>,
}

/// An entry that names a request, and whether it holds: never [`Force::Over`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Which entry.
    pub entry: DenyId,
    /// Whether it holds.
    pub force: Force,
}

/// How an entry stands at `now` where this much of group 0 is known.
pub fn standing(entry: &DenyEntry, system: Option<&State>, now: Timestamp) -> Force {
    let is_lifted = system.is_some_and(|system| system.row::<rows::Lift>(&entry.id).is_some());
    force(entry.expires_at, if is_lifted { Lift::Lifted } else { Lift::None }, now)
}

impl DenyList {
    /// This list and more entries, without those that `is_over`.
    #[must_use]
    pub fn with(&self, more: &[DenyEntry], is_over: impl Fn(&DenyEntry) -> bool) -> Self {
        let mut tenants = self.tenants.clone();
        for entry in more {
            tenants.entry(entry.tenant.clone()).or_default().insert(entry.id, entry.clone());
        }
        tenants.retain(|_, entries| {
            entries.retain(|_, entry| !is_over(entry));
            !entries.is_empty()
        });
        Self { tenants }
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
            Subject::Caller(shut_out) => shut_out == caller,
            Subject::Key(shut_out) => shut_out == key,
        };
        let standing = |entry: &DenyEntry| Named { entry: entry.id, force: standing(entry, system, now) };
        let mut unclear = None;
        for named in self.tenants.get(tenant)?.values().filter(names).map(standing) {
            match named.force {
                Force::Holds => return Some(named),
                Force::Unclear => unclear = unclear.or(Some(named)),
                Force::Over => {}
            }
        }
        unclear
    }

    /// How many entries are known.
    pub fn len(&self) -> usize {
        self.tenants.values().map(BTreeMap::len).sum()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u64 = 600_000;

    fn entry(id: u8, subject: Subject, expires_at: u64) -> DenyEntry {
        let tenant = "acme".parse().expect("a legal name");
        DenyEntry { id: DenyId::from_bytes([id; 16]), tenant, subject, expires_at: Timestamp(expires_at) }
    }

    fn caller(text: &str) -> Principal {
        text.parse().expect("a legal name")
    }

    #[test]
    fn a_caller_is_shut_out_of_its_tenant_alone_and_a_key_for_everybody() {
        let (ann, bob) = (caller("ann@example.com"), caller("bob@example.com"));
        let k1: KeyName = "k1".parse().expect("a legal name");
        let (k2, acme): (KeyName, TenantId) = ("k2".parse().expect("legal"), "acme".parse().expect("legal"));
        let rival: TenantId = "rival".parse().expect("a legal name");
        let entries = [entry(1, Subject::Caller(ann.clone()), END), entry(2, Subject::Key(k2.clone()), END)];
        let list = DenyList::default().with(&entries, |_| false);
        let find = |tenant, key, who| list.find((tenant, key), who, None, Timestamp(0)).map(|named| named.entry);
        let (first, second) = (Some(entries[0].id), Some(entries[1].id));
        assert_eq!([find(&acme, &k1, &ann), find(&acme, &k2, &ann)], [first, first]);
        assert_eq!([find(&acme, &k1, &bob), find(&acme, &k2, &bob)], [None, second]);
        assert_eq!([find(&rival, &k1, &ann), find(&rival, &k2, &bob)], [None, None]);
        assert_eq!(list.len(), 2);
    }

    #[test]
    fn one_that_certainly_holds_is_named_before_one_that_is_about_to_end() {
        let ann = caller("ann@example.com");
        let shut_out = |id, end| entry(id, Subject::Caller(ann.clone()), end);
        let list = DenyList::default().with(&[shut_out(1, 10_000), shut_out(2, END)], |_| false);
        let at = |list: &DenyList, now| {
            let (tenant, key) = ("acme".parse().expect("legal"), "k".parse().expect("legal"));
            list.find((&tenant, &key), &ann, None, Timestamp(now)).map(|named| (named.entry.as_bytes()[0], named.force))
        };
        assert_eq!(at(&list, 10_000), Some((2, Force::Holds)));
        assert_eq!(at(&list, END), Some((2, Force::Unclear)));
        assert_eq!(at(&list, END + 30_001), None);
        let left = list.with(&[], |entry| standing(entry, None, Timestamp(50_000)) == Force::Over);
        assert_eq!((left.len(), at(&left, 10_000)), (1, Some((2, Force::Holds))));
    }
}
