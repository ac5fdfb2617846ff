//! A frontend's end of the feed: opens the tenant keys that were sealed to this process, and publishes what is heard.
//!
//! Never holds a tenant key anywhere but in the arena, and never the root key.

use std::sync::Arc;

use replication::clock::Clock;
use replication::directory::{Directory, View};
use replication::feed::{Agreement, Following, KeyStoreAt, ProcessId, Reader};
use replication::ids::{GroupId, ShardId, TenantId};
use replication::machine::deny::DenyEntry;
use replication::peers::identity::FrontendIdentity;
use replication::peers::tls::FrontendTls;

use crate::authn::{ClockHealth, ClockVerdict};
use crate::crypto::{Arena, Draw, Entropy, EntropyError, GenerateError, Handover, ProcessSecret, TenantKey};
use crate::lookup::TenantKeys;

/// What a frontend is fed into.
pub struct Fed {
    /// What is read by requests.
    pub directory: Arc<Directory>,
    /// The keys of tenants.
    pub tenant_keys: Arc<TenantKeys>,
    /// Where keys lie in memory.
    pub arena: Arc<Arena>,
    /// What is found out about the own clock.
    pub clock_verdict: ClockVerdict,
}

/// Why the feed cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// There is no name for this start.
    #[error("there is no randomness for the process's id")]
    Entropy(#[from] EntropyError),
    /// There is no secret that tenant keys could be sealed to.
    #[error("the process's secret cannot be made")]
    Secret(#[from] GenerateError),
}

/// The feed of this process, from the key stores in the order of preference, at least one. It follows as soon as it is run.
///
/// # Errors
/// [`FollowError`].
pub fn following(
    tls: &FrontendTls,
    places: &[KeyStoreAt],
    fed: Fed,
    entropy: &dyn Entropy,
    clock: Arc<dyn Clock>,
) -> Result<Arc<Following<impl Reader>>, FollowError> {
    let mut process = [0; 16];
    entropy.fill(Draw::Id, &mut process)?;
    let secret = ProcessSecret::generate(&fed.arena, entropy)?;
    let public_key = secret.public_key();
    let end = End { own: tls.own().clone(), process, secret, fed, clock: Arc::clone(&clock) };
    Ok(Arc::new(Following::new(tls, places, (process, public_key), clock, end)))
}

/// Where the feed ends.
struct End {
    own: FrontendIdentity,
    process: ProcessId,
    secret: ProcessSecret,
    fed: Fed,
    clock: Arc<dyn Clock>,
}

impl End {
    fn open(&self, shard: ShardId, tenant: &TenantId, sealed: &[u8]) -> Option<Arc<TenantKey>> {
        let FrontendIdentity { lineage, name } = &self.own;
        let handover = Handover { lineage: *lineage, frontend: name, process: &self.process, shard, tenant };
        match self.secret.open(sealed, &handover, &self.fed.arena) {
            Ok(key) => Some(Arc::new(key)),
            Err(error) => {
                tracing::error!(%shard, %tenant, %error, "a tenant key does not open; the tenant is unavailable here");
                None
            }
        }
    }
}

impl Reader for End {
    /// A key that is here already stays: a tenant's key never changes.
    fn take_keys(&self, shard: ShardId, sealed: Vec<(TenantId, Vec<u8>)>) {
        let keys = &self.fed.tenant_keys;
        let new = sealed.into_iter().filter(|(tenant, _)| keys.find(shard, tenant).is_none());
        let opened: Vec<_> = new
            .filter_map(|(tenant, sealed)| {
                let key = self.open(shard, &tenant, &sealed)?;
                Some((tenant, key))
            })
            .collect();
        if !opened.is_empty() {
            keys.extend(shard, &opened);
        }
    }

    fn take_deny_entries(&self, entries: Vec<DenyEntry>) {
        let (directory, now) = (&self.fed.directory, self.clock.wall());
        let known = directory.deny_entry_count(now);
        let left_out = directory.deny(&entries, now);
        let count = directory.deny_entry_count(now);
        if count != known {
            tracing::info!(count, "so many deny entries of officers hold here now");
        }
        if left_out > 0 {
            tracing::error!(
                left_out,
                "deny entries of a key store do not hold here: no officers can have made them, or there are too many; look at that key store, and at \
                 this machine's clock"
            );
        }
    }

    fn publish(&self, group: GroupId, view: &View) {
        self.fed.directory.publish(group, view);
    }

    fn judge_clock(&self, agreement: Agreement) {
        let health = match agreement {
            Agreement::Agrees => ClockHealth::Agrees,
            Agreement::Differs => ClockHealth::InDoubt,
        };
        if health != self.fed.clock_verdict.health() {
            match health {
                ClockHealth::Agrees => tracing::info!("the wall clock agrees with those of the key stores"),
                ClockHealth::InDoubt => tracing::error!(
                    "the wall clock differs from those of most key stores by more than half a minute, so no token is judged and callers get 503: put this machine's clock right"
                ),
            }
        }
        self.fed.clock_verdict.note(health);
    }
}
