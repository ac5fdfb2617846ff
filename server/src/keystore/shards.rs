//! The shards as this replica has them: which serve, why others do not, and which one a tenant lives in.
//!
//! A tenant's shard is what group 0 says, never a computation. One shard's trouble is told with its name and stops no other.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use replication::causes;
use replication::ids::{GroupId, KeyVersionId, LogIndex, ShardId, TenantId};
use replication::machine::outcome::Refusal;
use replication::machine::rows::Placement;
use replication::machine::state::State;
use replication::raft::group::{Group, ProposeError};
use replication::raft::host::HostError;

use super::KeyStore;
use super::counting::Counting;
use super::execute::ExecuteError;
use super::found::FoundError;

/// How long a shard may take to answer before a new tenant goes elsewhere.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// A shard that was brought up here.
pub struct Shard {
    id: ShardId,
    pub(super) group: Arc<Group>,
    canary: KeyVersionId,
    /// The time that this process counts for the shard.
    pub(super) counting: Mutex<Option<Counting>>,
    panics: AtomicU64,
    /// Has the next run of its feed panic.
    #[cfg(test)]
    pub(super) planted_feed_panic: std::sync::atomic::AtomicBool,
}

impl Shard {
    pub(super) fn new(id: ShardId, group: Arc<Group>, canary: KeyVersionId) -> Self {
        Self {
            id,
            group,
            canary,
            counting: Mutex::default(),
            panics: AtomicU64::new(0),
            #[cfg(test)]
            planted_feed_panic: false.into(),
        }
    }

    /// Which it is.
    pub const fn id(&self) -> ShardId {
        self.id
    }

    /// The group that orders its log.
    pub const fn group_id(&self) -> GroupId {
        self.id.group()
    }

    /// The key version that health probes of this shard use.
    pub const fn canary(&self) -> KeyVersionId {
        self.canary
    }

    /// Its state, as applied here.
    pub fn state(&self) -> State {
        self.group.watch().borrow().state.clone()
    }

    /// The entry that this release cannot decode, if the shard stopped at one.
    pub fn halted(&self) -> Option<LogIndex> {
        self.group.watch().borrow().halted
    }

    /// How often a task of it has panicked since the start.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(super) fn tasks_panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether its group confirms, and has applied here, everything up to now.
    async fn answers(&self) -> bool {
        let asked = async {
            let index = self.group.read_index().await?;
            self.group.wait_applied(index).await
        };
        matches!(tokio::time::timeout(ANSWER_MAX, asked).await, Ok(Ok(_)))
    }

    /// Why it takes no new changes, if it takes none.
    pub fn takes_none(&self) -> Option<ProposeError> {
        let halted = self.halted().map(|since| ProposeError::Halted { since });
        halted.or_else(|| self.group.shortage().map(ProposeError::NoRoom))
    }
}

/// How a shard stands on this replica.
#[derive(Clone)]
pub enum Standing {
    /// It was brought up.
    Serves(Arc<Shard>),
    /// It could not be.
    Down(Arc<FoundError>),
}

impl Standing {
    /// The shard, if it was brought up.
    pub fn serving(&self) -> Option<Arc<Shard>> {
        match self {
            Self::Serves(shard) => Some(Arc::clone(shard)),
            Self::Down(_) => None,
        }
    }
}

/// A shard that does not serve. What the frontends have of it they serve on, as each tenant's class allows.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "shard {shard} does not serve and changes nothing; the other shards do. `ekmctl doctor` says what to do: {}", self.why()
)]
pub struct ShardDown {
    /// Which.
    pub shard: ShardId,
    /// Why.
    #[source]
    pub trouble: Trouble,
}

/// What keeps a shard from serving.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Trouble {
    /// It is not brought up yet.
    #[error("it is being brought up; ask again")]
    NotYet,
    /// It was brought up, and does not answer.
    #[error("it does not answer in time; ask again, or look at its disk")]
    Silent,
    /// It could not be brought up.
    #[error(transparent)]
    Found(Arc<FoundError>),
    /// It could not be opened, or has failed since.
    #[error(transparent)]
    Host(Arc<HostError>),
}

impl Trouble {
    /// Whether bringing the shard up again, in the same process, may come to something else.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::NotYet | Self::Silent => true,
            Self::Found(error) => error.may_pass(),
            Self::Host(error) => error.may_pass(),
        }
    }
}

impl ShardDown {
    /// What happened, with what lies behind it.
    pub fn why(&self) -> String {
        causes::in_one_line(&self.trouble)
    }
}

impl KeyStore {
    /// A shard that serves, or why it does not.
    ///
    /// # Errors
    /// [`ShardDown`].
    pub fn shard(&self, id: ShardId) -> Result<Arc<Shard>, ShardDown> {
        let down = |trouble| ShardDown { shard: id, trouble };
        if let Some(trouble) = self.parts.host.trouble(id) {
            return Err(down(Trouble::Host(trouble)));
        }
        match self.shards.borrow().get(&id) {
            Some(Standing::Serves(shard)) => Ok(Arc::clone(shard)),
            Some(Standing::Down(error)) => Err(down(Trouble::Found(Arc::clone(error)))),
            None => Err(down(Trouble::NotYet)),
        }
    }

    /// Every shard that group 0 names or that was looked for here, in the order of their numbers.
    pub fn each_shard(&self) -> Vec<(ShardId, Result<Arc<Shard>, ShardDown>)> {
        let mut ids: Vec<ShardId> = self.system_state().shards().collect();
        ids.extend(self.shards.borrow().keys());
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().map(|id| (id, self.shard(id))).collect()
    }

    /// The shards that serve.
    pub fn serving(&self) -> Vec<Arc<Shard>> {
        self.each_shard().into_iter().filter_map(|(_, shard)| shard.ok()).collect()
    }

    /// The states that can be looked at, also those of shards that have failed since they were brought up.
    pub fn shown(&self) -> Vec<(ShardId, State)> {
        let shards = self.shards.borrow();
        let shown = shards.iter().filter_map(|(id, standing)| match standing {
            Standing::Serves(shard) => Some((*id, shard.state())),
            Standing::Down(_) => None,
        });
        shown.collect()
    }

    /// A shard's state, if it can be looked at.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn shown_in(&self, id: ShardId) -> Result<State, ShardDown> {
        let up = self.shards.borrow().get(&id).and_then(Standing::serving);
        up.map_or_else(|| self.shard(id).map(|shard| shard.state()), |shard| Ok(shard.state()))
    }

    /// The shards that tenants were placed in.
    pub fn used_shards(&self) -> BTreeSet<ShardId> {
        self.system_state().placements().values().map(|placed| placed.shard).collect()
    }

    /// The shard that a tenant was placed in; `None` if it was placed in none.
    pub fn placed(&self, tenant: &TenantId) -> Option<ShardId> {
        Some(self.system_state().row::<Placement>(tenant)?.shard)
    }

    /// The shard that a tenant lives in.
    ///
    /// # Errors
    /// [`Refusal::UnknownTenant`], or why the shard does not serve.
    pub fn shard_of(&self, tenant: &TenantId) -> Result<Arc<Shard>, ExecuteError> {
        let placed = self.placed(tenant).ok_or_else(|| Refusal::UnknownTenant { tenant: tenant.clone() })?;
        Ok(self.shard(placed)?)
    }

    /// The shard with the fewest tenants of those that take changes and answer; of two, the one of the lower number. A shard that
    /// stands still is the emptiest for ever, and what is placed there stays there.
    ///
    /// # Errors
    /// Why the first shard takes none, if no shard does.
    pub(super) async fn emptiest(&self) -> Result<Arc<Shard>, ExecuteError> {
        let system = self.system_state();
        let tenants = |shard: ShardId| system.placements().values().filter(|placed| placed.shard == shard).count();
        let mut first = None;
        let mut open = Vec::new();
        for (_, shard) in self.each_shard() {
            match shard.map_err(ExecuteError::from).and_then(taking) {
                Ok(shard) => open.push(shard),
                Err(error) => first = first.or(Some(error)),
            }
        }
        open.sort_by_key(|shard| (tenants(shard.id()), shard.id()));
        for shard in open {
            if shard.answers().await {
                return Ok(shard);
            }
            let silent = ShardDown { shard: shard.id(), trouble: Trouble::Silent };
            first = first.or(Some(silent.into()));
        }
        Err(first.unwrap_or(ExecuteError::Unexpected))
    }
}

/// The shard, if it takes new changes.
pub(super) fn taking(shard: Arc<Shard>) -> Result<Arc<Shard>, ExecuteError> {
    match shard.takes_none() {
        None => Ok(shard),
        Some(error) => Err(error.into()),
    }
}
