//! The immutable read side: one view per group, replaced whole, read without a lock.
//!
//! A view says how old it is; what may be answered at that age is decided in [`crate::freshness`] and by the caller. That nobody has
//! a key is known only from group 0, which names the shards, and from every shard that it names.
//! Must never ask another machine, and never forget an older view before a newer one is complete.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;

use crate::clock::{Moment, Timestamp};
use crate::deny_entries::list::{Certainty, DenyList};
use crate::freshness::Age;
use crate::ids::{AliasId, DenyId, GroupId, KeyVersionId, LineageId, LogIndex, ShardId, TenantId};
use crate::machine::deny::DenyEntry;
use crate::machine::policy::Principal;
use crate::machine::rows::{Alias, CryptoSpace, Key, KeyVersion, Tenant, Trust};
use crate::machine::state::State;

/// A group's state as this machine sees it.
#[derive(Debug, Clone)]
pub struct View {
    /// The state.
    pub state: State,
    /// The last entry in it.
    pub index: LogIndex,
    /// When the question was sent whose answer confirmed that nothing newer was missing. `None` if something newer is there
    /// that this release cannot decode, and nobody knows for how long.
    pub confirmed: Option<Moment>,
}

impl View {
    fn age(&self, now: Moment) -> Age {
        self.confirmed.map_or(Age::UNKNOWN, |confirmed| Age::new(now.since(confirmed)))
    }
}

/// What this machine knows, for every group it serves.
pub struct Directory {
    /// Replaced whole when a shard comes to be known; none ever goes.
    groups: ArcSwap<BTreeMap<GroupId, Arc<Slot>>>,
    /// Who is shut out, with or without a quorum.
    deny_entries: ArcSwap<DenyList>,
}

/// That it was looked whether a deny entry shuts a request out, and what was found. Made by [`Directory::shut_out`] alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked(Option<ShutOut>);

impl Looked {
    /// What shuts the request out.
    pub const fn found(self) -> Option<ShutOut> {
        self.0
    }
}

/// A deny entry that shuts a request out, and how old the view is that knows of no lift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutOut {
    /// Which entry.
    pub entry: DenyId,
    /// How sure it is that the entry holds.
    pub certainty: Certainty,
    /// How old the view of group 0 is, or that of the key's shard if that is older.
    pub age: Age,
}

struct Slot {
    view: ArcSwapOption<View>,
    published: watch::Sender<LogIndex>,
}

/// What a path came to.
#[derive(Debug, Clone)]
pub enum Resolution {
    /// One key version.
    Found(Target),
    /// No shard has it. `age` is that of the oldest view, of group 0 and every shard: a 404 needs all of them fresh.
    Unknown {
        /// The oldest view's age.
        age: Age,
    },
    /// Two shards have it: never to be answered from.
    Ambiguous,
    /// Group 0, or some shard that it names, has no view.
    NotLoaded,
}

/// A key version with everything a decision about it needs, and how old the view of it is.
#[derive(Debug, Clone)]
pub struct Target {
    /// The version's id. Rules, quotas and seals are its own, whichever path led to it.
    pub id: KeyVersionId,
    /// The id in the path that was asked for: the version's own, or an alias. Messages name it, since that is what callers know.
    pub path: KeyVersionId,
    /// The version.
    pub version: Arc<KeyVersion>,
    /// Its key.
    pub key: Arc<Key>,
    /// The key's crypto space, if it has one.
    pub crypto_space: Option<Arc<CryptoSpace>>,
    /// Its tenant.
    pub tenant: Arc<Tenant>,
    /// The shard that has it.
    pub shard: ShardId,
    /// Bound into every seal.
    pub lineage: LineageId,
    /// How old the view is.
    pub age: Age,
}

impl Target {
    /// The tenant's name.
    pub fn tenant_id(&self) -> &TenantId {
        &self.version.tenant
    }
}

impl Directory {
    /// A directory of group 0 and these shards, with nothing in it yet. Further shards come to be known as group 0 names them, or as
    /// something of them is published.
    pub fn new(shards: impl IntoIterator<Item = ShardId>) -> Self {
        let groups = std::iter::once(GroupId::SYSTEM).chain(shards.into_iter().map(ShardId::group));
        let slots = groups.map(|group| (group, Arc::new(Slot::empty()))).collect();
        Self { groups: ArcSwap::from_pointee(slots), deny_entries: ArcSwap::default() }
    }

    /// Adds deny entries to those that are known, and forgets those that were lifted. Gives how many were left out: what no key store
    /// can have taken, and what there is no room for.
    pub fn deny(&self, entries: &[DenyEntry], now: Timestamp) -> usize {
        let view = self.view(GroupId::SYSTEM);
        let system = view.as_ref().map(|view| &view.state);
        let mut left_out = 0;
        self.deny_entries.rcu(|known| {
            let (list, count) = known.with(entries, system, now);
            left_out = count;
            list
        });
        left_out
    }

    /// How many deny entries hold, perhaps or for certain.
    pub fn deny_entry_count(&self, now: Timestamp) -> usize {
        let view = self.view(GroupId::SYSTEM);
        self.deny_entries.load().count(view.as_ref().map(|view| &view.state), now)
    }

    /// Looks whether a deny entry shuts a caller out of a key.
    pub fn shut_out(&self, target: &Target, caller: &Principal, now: Moment, wall: Timestamp) -> Looked {
        let entries = self.deny_entries.load();
        if entries.is_empty() {
            return Looked(None);
        }
        // the age before what it is the age of: what is published in between can only be younger
        let age = self.age(GroupId::SYSTEM, now).unwrap_or(Age::UNKNOWN).max(target.age);
        let view = self.view(GroupId::SYSTEM);
        let key = (target.tenant_id(), &target.version.key);
        let named = entries.find(key, caller, view.as_ref().map(|view| &view.state), wall);
        Looked(named.map(|named| ShutOut { entry: named.entry, certainty: named.certainty, age }))
    }

    fn slot(&self, group: GroupId) -> Option<Arc<Slot>> {
        self.groups.load().get(&group).cloned()
    }

    /// The group's slot, made if it is not known yet.
    fn slot_of(&self, group: GroupId) -> Arc<Slot> {
        if let Some(slot) = self.slot(group) {
            return slot;
        }
        let made = Arc::new(Slot::empty());
        self.groups.rcu(|groups| {
            let mut groups = BTreeMap::clone(groups);
            groups.entry(group).or_insert_with(|| Arc::clone(&made));
            groups
        });
        // another's, if that one was quicker
        self.slot(group).unwrap_or(made)
    }

    /// Adds what a view knows to a group's: the later state of the two, and the later confirmation. Either view was
    /// complete when it was confirmed, and the later state holds everything the earlier one does.
    pub fn publish(&self, group: GroupId, view: &View) {
        if group == GroupId::SYSTEM {
            // before it can be seen which shards there are, each of them is one that is missing
            view.state.shards().for_each(|shard| drop(self.slot_of(shard.group())));
        }
        let slot = self.slot_of(group);
        let index = view.index;
        slot.view.rcu(|current| {
            let mut merged = view.clone();
            if let Some(current) = current {
                merged.confirmed = merged.confirmed.max(current.confirmed);
                if current.index > merged.index {
                    merged.index = current.index;
                    merged.state = current.state.clone();
                }
            }
            Some(Arc::new(merged))
        });
        slot.published.send_if_modified(|published| {
            let newer = index > *published;
            *published = index.max(*published);
            newer
        });
    }

    /// Waits until a group's view holds the entry at `index`.
    pub async fn holds(&self, group: GroupId, index: LogIndex) {
        let mut published = self.slot_of(group).published.subscribe();
        // the slot lives as long as `self`, so waiting cannot end for another reason
        let _ = published.wait_for(|published| *published >= index).await;
    }

    /// A group's view.
    pub fn view(&self, group: GroupId) -> Option<Arc<View>> {
        self.slot(group)?.view.load_full()
    }

    /// Which tokens prove a caller, once group 0 is loaded.
    pub fn trust(&self) -> Option<Arc<Trust>> {
        self.groups.load().get(&GroupId::SYSTEM)?.view.load().as_ref()?.state.trust().cloned()
    }

    /// The age of group 0's view, by which issuers and audiences are judged; `None` before the first.
    pub fn trust_age(&self, now: Moment) -> Option<Age> {
        self.age(GroupId::SYSTEM, now)
    }

    /// The age of a group's view; `None` before the first.
    pub fn age(&self, group: GroupId, now: Moment) -> Option<Age> {
        let groups = self.groups.load();
        let view = groups.get(&group)?.view.load();
        Some(view.as_ref()?.age(now))
    }

    /// The age of the oldest view, of group 0 and every shard; `None` if one has no view. What is final about things that nobody has
    /// needs it to be fresh.
    pub fn oldest_age(&self, now: Moment) -> Option<Age> {
        let system = self.age(GroupId::SYSTEM, now)?;
        let groups = self.groups.load();
        groups.values().try_fold(system, |oldest, slot| Some(oldest.max(slot.view.load().as_ref()?.age(now))))
    }

    /// The groups in this directory, group 0 first.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> + use<> {
        self.groups.load().keys().copied().collect::<Vec<_>>().into_iter()
    }

    /// What a key path's id stands for, with the age of what says so. A shard without a view hides no other's keys.
    pub fn resolve(&self, id: KeyVersionId, now: Moment) -> Resolution {
        let mut found = None;
        // group 0 first: whatever it names was made known before its view was published
        let mut unknown =
            self.age(GroupId::SYSTEM, now).map_or(Resolution::NotLoaded, |age| Resolution::Unknown { age });
        for (group, slot) in self.groups.load().iter() {
            let Some(shard) = ShardId::of(*group) else { continue };
            let guard = slot.view.load();
            let Some(view) = guard.as_ref() else {
                unknown = Resolution::NotLoaded;
                continue;
            };
            if let Resolution::Unknown { age: oldest } = &mut unknown {
                *oldest = view.age(now).max(*oldest);
            }
            if let Some(target) = target(view, shard, id, now)
                && found.replace(target).is_some()
            {
                return Resolution::Ambiguous;
            }
        }
        found.map_or(unknown, Resolution::Found)
    }
}

fn target(view: &View, shard: ShardId, path: KeyVersionId, now: Moment) -> Option<Target> {
    let state = &view.state;
    let (id, version) = version_at(state, path)?;
    let name = (version.tenant.clone(), version.key.clone());
    let key = state.row::<Key>(&name)?;
    let crypto_space = match &key.crypto_space {
        Some(space) => Some(state.row::<CryptoSpace>(&(name.0.clone(), space.clone()))?),
        None => None,
    };
    Some(Target {
        id,
        path,
        version: Arc::clone(version),
        key: Arc::clone(key),
        crypto_space: crypto_space.cloned(),
        tenant: Arc::clone(state.row::<Tenant>(&name.0)?),
        shard,
        lineage: state.meta()?.lineage,
        age: view.age(now),
    })
}

/// The version that a path leads to, as its own or as an alias.
fn version_at(state: &State, path: KeyVersionId) -> Option<(KeyVersionId, &Arc<KeyVersion>)> {
    if let Some(version) = state.row::<KeyVersion>(&path) {
        return Some((path, version));
    }
    let alias = state.row::<Alias>(&AliasId::from_bytes(*path.as_bytes()))?;
    Some((alias.version, state.row::<KeyVersion>(&alias.version)?))
}

impl Slot {
    fn empty() -> Self {
        Self { view: ArcSwapOption::empty(), published: watch::Sender::new(LogIndex(0)) }
    }
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
