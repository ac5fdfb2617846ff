//! The immutable read side: one view per group, replaced whole, read without a lock.
//!
//! A view says how old it is; what may be answered at that age is decided in [`crate::freshness`] and by the caller.
//! Must never ask another machine, and never forget an older view before a newer one is complete.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::clock::Moment;
use crate::freshness::Age;
use crate::ids::{AliasId, GroupId, KeyVersionId, LineageId, LogIndex, ShardId, TenantId};
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
    groups: BTreeMap<GroupId, Slot>,
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
    /// No shard has it. `age` is that of the oldest shard's view: a 404 needs every shard fresh.
    Unknown {
        /// The oldest view's age.
        age: Age,
    },
    /// Two shards have it: never to be answered from.
    Ambiguous,
    /// Some shard has no view yet.
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
    /// A directory of group 0 and these shards, with nothing in it yet.
    pub fn new(shards: impl IntoIterator<Item = ShardId>) -> Self {
        let groups = std::iter::once(GroupId::SYSTEM).chain(shards.into_iter().map(ShardId::group));
        Self { groups: groups.map(|group| (group, Slot::empty())).collect() }
    }

    /// Adds what a view knows to a group's: the later state of the two, and the later confirmation. Either view was
    /// complete when it was confirmed, and the later state holds everything the earlier one does.
    pub fn publish(&self, group: GroupId, view: &View) {
        let Some(slot) = self.groups.get(&group) else { return };
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

    /// Waits until a group's view holds the entry at `index`. Ends never if the group is not in this directory.
    pub async fn holds(&self, group: GroupId, index: LogIndex) {
        match self.groups.get(&group) {
            Some(slot) => {
                let mut published = slot.published.subscribe();
                // the sender lives as long as `self`, so waiting cannot end for another reason
                let _ = published.wait_for(|published| *published >= index).await;
            }
            None => std::future::pending().await,
        }
    }

    /// A group's view.
    pub fn view(&self, group: GroupId) -> Option<Arc<View>> {
        self.groups.get(&group)?.view.load_full()
    }

    /// Which tokens prove a caller, once group 0 is loaded.
    pub fn trust(&self) -> Option<Arc<Trust>> {
        self.groups.get(&GroupId::SYSTEM)?.view.load().as_ref()?.state.trust().cloned()
    }

    /// The age of group 0's view, by which issuers and audiences are judged; `None` before the first.
    pub fn trust_age(&self, now: Moment) -> Option<Age> {
        self.age(GroupId::SYSTEM, now)
    }

    /// The age of a group's view; `None` before the first.
    pub fn age(&self, group: GroupId, now: Moment) -> Option<Age> {
        let view = self.groups.get(&group)?.view.load();
        Some(view.as_ref()?.age(now))
    }

    /// The groups in this directory, group 0 first.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.groups.keys().copied()
    }

    /// What a key path's id stands for, with the age of what says so. A shard without a view hides no other's keys.
    pub fn resolve(&self, id: KeyVersionId, now: Moment) -> Resolution {
        let mut found = None;
        let mut unknown = Resolution::Unknown { age: Age::new(std::time::Duration::ZERO) };
        for (_, slot) in self.groups.iter().filter(|(group, _)| **group != GroupId::SYSTEM) {
            let guard = slot.view.load();
            let Some(view) = guard.as_ref() else {
                unknown = Resolution::NotLoaded;
                continue;
            };
            let age = view.age(now);
            if let Resolution::Unknown { age: oldest } = &mut unknown {
                *oldest = age.max(*oldest);
            }
            if let Some(target) = target(&view.state, id, age)
                && found.replace(target).is_some()
            {
                return Resolution::Ambiguous;
            }
        }
        found.map_or(unknown, Resolution::Found)
    }
}

fn target(state: &State, path: KeyVersionId, age: Age) -> Option<Target> {
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
        lineage: state.meta()?.lineage,
        age,
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
