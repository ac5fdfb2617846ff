//! What happens in a scenario, as it is told: who, when, what. Nothing is decided here.

use std::time::Duration;

use super::scenario::Move;
use super::workload::Revocation;
use crate::cloud_kms::{KeyUse, KmsError};

/// What a service told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The revision has its data key.
    Deployed,
    /// One more instance runs.
    InstanceStarted { running: u32 },
    /// An error that a retry can mend: everything goes on, and it is tried again.
    Waits { context: KeyUse, error: KmsError },
    /// A final error.
    Refused { context: KeyUse, error: KmsError },
    /// The key counts as revoked from here on.
    Revoked,
    /// The key works again.
    Restored,
    /// Running instances will be stopped.
    StopPlanned { after: Duration },
    /// They will not.
    StopCalledOff,
    /// Running instances were stopped.
    Stopped { instances: u32 },
    /// What came back is not what was encrypted.
    WrongPlaintext { context: KeyUse },
}

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Whoever plays the scenario: the operator of the key manager, the customer at Google, the network, traffic.
    Hand,
    /// Cloud KMS.
    CloudKms,
    /// The service with this revocation action.
    Service(Revocation),
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A move of the scenario.
    Moved(Move),
    /// A service told this.
    Told(Event),
    /// Cloud KMS disabled the key version.
    VersionDisabled,
    /// The step that was waited for has come.
    Reached(String),
}

/// One line of a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Since the scenario began, in the service's time.
    pub at: Duration,
    pub who: Who,
    pub what: What,
}

impl Event {
    /// The error it is about, if any.
    pub const fn error(&self) -> Option<(KeyUse, &KmsError)> {
        match self {
            Self::Waits { context, error } | Self::Refused { context, error } => Some((*context, error)),
            _ => None,
        }
    }
}
