//! Bringing the own view up to date before a request is judged on it: another replica may have changed something a moment ago.
//!
//! Changes nothing; where no quorum answers, nothing was changed.

use std::time::Duration;

use replication::raft::group::{Group, ProposeError, ReadError};

use super::KeyStore;
use super::execute::ExecuteError;

/// How long a quorum may take to say how far a group has come.
const CURRENT_WITHIN: Duration = Duration::from_secs(5);

impl KeyStore {
    /// Waits until everything is applied here that a group had decided when this was called, and opens the tenants' keys in it.
    ///
    /// # Errors
    /// [`ExecuteError::NoQuorum`], or that the group has halted or ended.
    pub(super) async fn be_current(&self, group: &Group) -> Result<(), ExecuteError> {
        let asked = async {
            loop {
                match group.read_index().await {
                    Ok(index) => return group.wait_applied(index).await,
                    // an election is under way
                    Err(ReadError::NotLeader { .. } | ReadError::NoQuorum) => tokio::time::sleep(PAUSE).await,
                    Err(error) => return Err(error),
                }
            }
        };
        match tokio::time::timeout(CURRENT_WITHIN, asked).await {
            Ok(Ok(applied)) => {
                self.parts.open_tenant_keys(group.id(), &applied.state);
                Ok(())
            }
            Ok(Err(ReadError::Halted { since })) => Err(ProposeError::Halted { since }.into()),
            Ok(Err(ReadError::Stopped)) => Err(ProposeError::Stopped.into()),
            Ok(Err(ReadError::NotLeader { .. } | ReadError::NoQuorum)) | Err(_) => {
                Err(ExecuteError::NoQuorum(group.id()))
            }
        }
    }
}

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);
