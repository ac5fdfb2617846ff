//! From leave to use a key to a key that can be used: state, age, and material unsealed on first use.
//!
//! Only a grant that was counted, a [`Metered`], opens a key, and only an enabled version from a view young enough. Unsealed material stays in a bounded
//! cache; the first unseal of a version checks its canary, and a canary that does not open marks the machine as unfit.

mod release;
mod shares;
mod tenant_keys;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use replication::directory::Target;
use replication::freshness::Serving;
use replication::ids::KeyVersionId;

pub use release::{Looked, RELEASE_EVERY};
pub use tenant_keys::TenantKeys;

use crate::crypto::{Arena, Binding, OpenError, UsableMaterial, check_canary};
use crate::error::{Doubt, KeyTrouble, ServiceError};
use crate::quota::Metered;

use shares::Shares;

/// An unsealed key version that this request may use. Made by [`Lookup::usable`] alone.
#[derive(Debug)]
pub struct UsableKey {
    material: Arc<UsableMaterial>,
    path: KeyVersionId,
}

impl UsableKey {
    /// What wraps and unwraps.
    pub fn material(&self) -> &UsableMaterial {
        &self.material
    }

    /// The id in the path that was asked for: the version's own, or an alias. Messages name it.
    pub fn path(&self) -> KeyVersionId {
        self.path
    }
}

/// Whether the version may be used at all, by its state and the age of the view: also for who must know it before a request is
/// counted.
///
/// # Errors
/// [`ServiceError::Unusable`] if a fresh view says that the version is not enabled; 503 if an older one does, if the version is
/// not in use yet, or if the view is beyond the tenant's bound.
pub fn check_in_use(target: &Target) -> Result<Serving, ServiceError> {
    if let Some(refusal) = ServiceError::not_enabled(target.path, target.version.state, target.age) {
        return Err(refusal);
    }
    match target.age.serving(target.tenant.staleness) {
        serving @ (Serving::Serve | Serving::ServeWithAlarm) => Ok(serving),
        Serving::Refuse => Err(ServiceError::Doubtful(Doubt::BeyondBound)),
    }
}

/// Turns grants into usable keys.
pub struct Lookup {
    tenant_keys: Arc<TenantKeys>,
    opened: Shares,
    arena: Arc<Arena>,
    is_unfit: AtomicBool,
    served_beyond_bound: AtomicU64,
}

impl Lookup {
    /// Keeps at most `versions_max` versions unsealed, shared out evenly among the shards. The arena must hold some slots more than that, for the tenants' keys
    /// and for versions that are just being replaced.
    pub fn new(tenant_keys: Arc<TenantKeys>, arena: Arc<Arena>, versions_max: u64) -> Self {
        Self {
            tenant_keys,
            opened: Shares::new(versions_max),
            arena,
            is_unfit: AtomicBool::new(false),
            served_beyond_bound: AtomicU64::new(0),
        }
    }

    /// The key that the counted grant is for.
    ///
    /// # Errors
    /// As [`check_in_use`]; otherwise one of the kinds of 503.
    pub fn usable(&self, metered: Metered) -> Result<UsableKey, ServiceError> {
        let target = metered.into_target();
        if check_in_use(&target)? == Serving::ServeWithAlarm {
            self.alarm_beyond_bound(&target);
        }
        let material = match self.opened.of(target.shard).get(&target.id) {
            Some(material) => material,
            None => self.open(&target).map_err(|trouble| ServiceError::KeyTrouble(target.path, trouble))?,
        };
        Ok(UsableKey { material, path: target.path })
    }

    /// Whether a canary failed here: this machine must not get traffic any more.
    pub fn is_unfit(&self) -> bool {
        self.is_unfit.load(Ordering::Acquire)
    }

    /// Requests served from a view older than the tenant's bound, which its class allows.
    pub fn served_beyond_bound(&self) -> u64 {
        self.served_beyond_bound.load(Ordering::Relaxed)
    }

    /// Unseals. Two requests may do it at once for one version; the work is some microseconds and the later one wins.
    fn open(&self, target: &Target) -> Result<Arc<UsableMaterial>, KeyTrouble> {
        let tenant_key = self.tenant_keys.find(target.shard, target.tenant_id()).ok_or(KeyTrouble::TenantKeyMissing)?;
        let version = &target.version;
        let binding = Binding {
            lineage: target.lineage,
            tenant: &version.tenant,
            key: &version.key,
            version: target.id,
            algorithm: version.algorithm,
        };
        let material = tenant_key
            .open(&version.sealed, &binding, &self.arena)
            .or_else(|error| match error {
                // what the cache has let go of is dropped when the cache next does its housekeeping: make it do so
                OpenError::Exhausted(_) => {
                    self.opened.tidy();
                    tenant_key.open(&version.sealed, &binding, &self.arena)
                }
                other => Err(other),
            })
            .map_err(|error| match error {
                OpenError::Exhausted(_) => KeyTrouble::NoRoom,
                OpenError::NoEnvelope | OpenError::Length { .. } | OpenError::Format { .. } | OpenError::Refused => {
                    KeyTrouble::DoesNotOpen
                }
            })?;
        let usable = Arc::new(UsableMaterial::new(material, target.id));
        if check_canary(&usable, &version.canary).is_err() {
            self.is_unfit.store(true, Ordering::Release);
            return Err(KeyTrouble::CanaryFailed);
        }
        self.opened.of(target.shard).insert(target.id, Arc::clone(&usable));
        Ok(usable)
    }

    fn alarm_beyond_bound(&self, target: &Target) {
        let served = self.served_beyond_bound.fetch_add(1, Ordering::Relaxed) + 1;
        // the 1st, 2nd, 4th, 8th …: a machine cut off for a week must not fill its disk with this
        if served.is_power_of_two() {
            tracing::error!(
                tenant = %target.tenant_id(),
                age_seconds = target.age.elapsed().as_secs(),
                served,
                "serving beyond the tenant's bound, as its class allows"
            );
        }
    }
}
