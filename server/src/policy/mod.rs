//! May this caller do this, with this key, for the reason stated? Pure: no clock, no store, no randomness.
//!
//! Whom a deny entry shuts out is refused, before any rule. An explicit deny at any level refuses. Otherwise the nearest level that has a policy (key, crypto space, tenant)
//! decides by its grants alone. Otherwise the answer is no.
//!
//! A rule without a list of reasons covers every reason and none. A reason that this release does not know can be
//! neither in a list nor outside it: if the answer hangs on that, it is [`Refused::Unjudged`], which becomes 503 with an
//! alarm unless a setting makes it a denial. That holds for the list of a deny rule as well: a reason that Google added
//! yesterday may be the very one that the operator meant to shut out, and may not be.

mod asked;
mod decide;
mod matching;
mod met;

#[cfg(test)]
mod oracle;

pub use asked::{Asked, ResourceName};
pub use decide::{Decider, Denial, Grant, Refused, UnknownReasons, Why, decide};
pub use matching::Match;
pub use met::{Effect, Met, met};

use replication::machine::policy::Policy;

/// The policies over one key, nearest first; a level without a policy is `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Levels<'a> {
    /// The key's own.
    pub key: Option<&'a Policy>,
    /// Its crypto space's.
    pub crypto_space: Option<&'a Policy>,
    /// Its tenant's.
    pub tenant: Option<&'a Policy>,
}

impl<'a> Levels<'a> {
    /// The levels of a target.
    pub fn of(target: &'a replication::directory::Target) -> Self {
        Self {
            key: target.key.policy.as_ref(),
            crypto_space: target.crypto_space.as_ref().and_then(|space| space.policy.as_ref()),
            tenant: target.tenant.policy.as_ref(),
        }
    }

    fn nearest_first(self) -> impl Iterator<Item = &'a Policy> {
        [self.key, self.crypto_space, self.tenant].into_iter().flatten()
    }
}
