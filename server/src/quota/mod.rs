//! How much of its quotas a key has used on this machine: of its own, of its crypto space's and of its tenant's. Every level's
//! quota holds. Pure: time is an argument, and what a quota is comes with the target, so a changed one takes effect with the
//! view that it came in.
//!
//! Every machine counts for itself, since a frontend asks no other: behind `n` frontends a tenant may get up to `n` times its
//! quota, and one that has just started counts from nothing. Only what was granted is counted; whoever has no grant
//! can neither use a quota up nor learn that there is one.
//!
//! The three levels are looked at and counted under one lock of the tenant's part of the map, so a request takes from all of them
//! or from none, whatever others do. No change holds that lock, nor anything that waits; a sweep holds it for some 40 ns a bucket.
//!
//! `governor` would be the library for this. One limiter of it has one quota for all its keys, it counts as it looks, and a
//! quota that changes means a new limiter without a memory: three levels would need refunds, and every change would be a fresh
//! burst.

mod bucket;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use replication::clock::Moment;
use replication::directory::Target;
use replication::ids::{CryptoSpaceName, KeyName, KeyVersionId, Revision, TenantId};
use replication::machine::rows::Quota;

use crate::policy::Grant;
use bucket::Bucket;
pub use bucket::ROOM_WITHIN;

/// Most levels that are counted at once, of all tenants. A bucket costs some 170 bytes, its name included.
pub const BUCKETS_MAX: usize = 1 << 20;

/// Parts of the map. A tenant lies in one of them.
const PARTS: usize = 64;

/// Where a quota stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The key's own.
    Key,
    /// Its crypto space's, shared by the keys in it.
    CryptoSpace,
    /// Its tenant's, shared by all of its keys.
    Tenant,
}

impl Level {
    /// As records and details name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::CryptoSpace => "crypto_space",
            Self::Tenant => "tenant",
        }
    }
}

/// Leave to use one key version for one request that is counted. Made by [`Quotas::take`] alone, moved into the lookup.
#[derive(Debug)]
pub struct Metered(Grant);

impl Metered {
    /// The version and everything over it. Consumes the leave.
    pub fn into_target(self) -> Target {
        self.0.into_target()
    }
}

/// A quota has no room for one more request. Passes: [`ROOM_WITHIN`] at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedUp {
    /// The id in the path that was asked for.
    pub path: KeyVersionId,
    /// The nearest level without room.
    pub level: Level,
    /// What it goes by.
    pub quota: Quota,
}

/// What is used of the quotas of every level on this machine.
#[derive(Debug)]
pub struct Quotas {
    parts: Vec<Mutex<HashMap<TenantId, Buckets>>>,
    hasher: RandomState,
    buckets_max: usize,
    buckets: AtomicUsize,
    uncounted: AtomicU64,
}

/// The buckets of one tenant.
#[derive(Debug, Default)]
struct Buckets {
    own: Option<Bucket>,
    crypto_spaces: HashMap<CryptoSpaceName, Bucket>,
    keys: HashMap<KeyName, Bucket>,
}

/// The quotas over one version, as one view has them.
#[derive(Debug, Clone, Copy)]
struct Levels<'a> {
    tenant: (&'a TenantId, Option<Quota>),
    revision: Revision,
    crypto_space: Option<(&'a CryptoSpaceName, Quota)>,
    key: Option<(&'a KeyName, Quota)>,
}

impl<'a> Levels<'a> {
    fn of(target: &'a Target) -> Self {
        let space = target.key.crypto_space.as_ref();
        Self {
            tenant: (target.tenant_id(), target.tenant.quota),
            revision: target.tenant.revision,
            crypto_space: space.zip(target.crypto_space.as_ref().and_then(|space| space.quota)),
            key: target.key.quota.map(|quota| (&target.version.key, quota)),
        }
    }

    fn are_without_quota(&self) -> bool {
        self.tenant.1.is_none() && self.crypto_space.is_none() && self.key.is_none()
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self::new(BUCKETS_MAX)
    }
}

impl Quotas {
    /// Counts at most `buckets_max` levels at once.
    pub fn new(buckets_max: usize) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            buckets_max,
            buckets: AtomicUsize::new(0),
            uncounted: AtomicU64::new(0),
        }
    }

    /// Counts one request against every level that has a quota, or against none.
    ///
    /// # Errors
    /// [`UsedUp`], for the nearest level that has no room.
    pub fn take(&self, grant: Grant, now: Moment) -> Result<Metered, UsedUp> {
        let target = grant.target();
        match self.count(&Levels::of(target), now) {
            Ok(()) => Ok(Metered(grant)),
            Err((level, quota)) => Err(UsedUp { path: target.path, level, quota }),
        }
    }

    /// Lets go of what is drained: it is worth no more than what is not there. To be called now and then.
    pub fn sweep(&self, now: Moment) {
        for part in &self.parts {
            let mut dropped = 0;
            let mut is_in_use = |bucket: &mut Bucket| {
                let is_drained = bucket.is_drained(now);
                dropped += usize::from(is_drained);
                !is_drained
            };
            part.lock().retain(|_, buckets| {
                buckets.own.take_if(|bucket| !is_in_use(bucket));
                buckets.crypto_spaces.retain(|_, bucket| is_in_use(bucket));
                buckets.keys.retain(|_, bucket| is_in_use(bucket));
                !buckets.are_none()
            });
            self.buckets.fetch_sub(dropped, Ordering::Relaxed);
        }
    }

    /// Levels that are counted now.
    pub fn buckets(&self) -> usize {
        self.buckets.load(Ordering::Relaxed)
    }

    /// How often a level was not counted since start, because [`BUCKETS_MAX`] others were. Its other levels were.
    pub fn uncounted_total(&self) -> u64 {
        self.uncounted.load(Ordering::Relaxed)
    }

    fn count(&self, levels: &Levels<'_>, now: Moment) -> Result<(), (Level, Quota)> {
        // most have none, and pay nothing for it
        if levels.are_without_quota() {
            return Ok(());
        }
        let (tenant, quota) = levels.tenant;
        let mut part = self.part(tenant).lock();
        // a name is copied for its first bucket alone
        let buckets = match part.get_mut(tenant) {
            Some(buckets) => buckets,
            None => part.entry(tenant.clone()).or_default(),
        };
        let new = |quota| self.new_bucket(quota, levels.revision, now);
        let key = levels.key.and_then(|(name, quota)| Some((of(&mut buckets.keys, name, || new(quota))?, quota)));
        let space = levels
            .crypto_space
            .and_then(|(name, quota)| Some((of(&mut buckets.crypto_spaces, name, || new(quota))?, quota)));
        if buckets.own.is_none() {
            buckets.own = quota.and_then(new);
        }
        let own = buckets.own.as_mut().zip(quota);

        let mut nearest_first = [(Level::Key, key), (Level::CryptoSpace, space), (Level::Tenant, own)];
        for (level, bucket) in &mut nearest_first {
            let Some((bucket, quota)) = bucket else { continue };
            bucket.follow(*quota, levels.revision, now);
            if !bucket.has_room() {
                return Err((*level, bucket.quota()));
            }
        }
        nearest_first.into_iter().filter_map(|(_, bucket)| bucket).for_each(|(bucket, _)| bucket.take());
        Ok(())
    }

    fn part(&self, tenant: &TenantId) -> &Mutex<HashMap<TenantId, Buckets>> {
        let hash = self.hasher.hash_one(tenant);
        &self.parts[usize::try_from(hash % PARTS as u64).expect("a part's number is small")]
    }

    /// `None` if there is no room for it, which is counted.
    fn new_bucket(&self, quota: Quota, revision: Revision, now: Moment) -> Option<Bucket> {
        // Relaxed: the count guards no other memory, only itself
        if self.buckets.fetch_add(1, Ordering::Relaxed) < self.buckets_max {
            return Some(Bucket::new(quota, revision, now));
        }
        self.buckets.fetch_sub(1, Ordering::Relaxed);
        self.uncounted.fetch_add(1, Ordering::Relaxed);
        None
    }
}

impl Buckets {
    fn are_none(&self) -> bool {
        self.own.is_none() && self.crypto_spaces.is_empty() && self.keys.is_empty()
    }
}

/// The bucket of a name; a name is copied only for its first.
fn of<'a, K: Clone + Eq + Hash>(
    buckets: &'a mut HashMap<K, Bucket>,
    name: &K,
    new: impl FnOnce() -> Option<Bucket>,
) -> Option<&'a mut Bucket> {
    if !buckets.contains_key(name) {
        buckets.insert(name.clone(), new()?);
    }
    buckets.get_mut(name)
}
