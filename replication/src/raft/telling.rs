//! What a replica says to other members of a group that is no part of Raft: deny entries need no quorum and no leader.

use std::sync::Arc;
use std::time::Duration;

use openraft::AsyncRuntime;
use openraft::async_runtime::watch::WatchReceiver;

use super::carrying::AskError;
use super::group::Group;
use super::network::{Kind, Lane, Question};
use crate::ids::ReplicaId;

/// How long an answer is waited for: a disk may be slow.
const TELL_WAIT_MAX: Duration = Duration::from_secs(5);

/// The replica is not in the group.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("replica {0} is no member of the group that this replica knows")]
struct NoMember(ReplicaId);

impl<RT: AsyncRuntime> Group<RT> {
    /// The other members that are known here, voters or not.
    pub fn others(&self) -> Vec<ReplicaId> {
        let metrics = self.raft.metrics();
        let seen = metrics.borrow_watched();
        let members = seen.membership_config.membership().nodes().map(|(replica, _)| ReplicaId(*replica));
        members.filter(|replica| *replica != self.replica).collect()
    }

    /// Says something to another member about deny entries, and gives its answer.
    ///
    /// # Errors
    /// [`AskError`].
    pub(crate) async fn tell(&self, replica: ReplicaId, body: Vec<u8>) -> Result<Vec<u8>, AskError> {
        let member = {
            let metrics = self.raft.metrics();
            let seen = metrics.borrow_watched();
            seen.membership_config.membership().get_node(&replica.0).cloned()
        };
        let member = member.ok_or_else(|| AskError::Unreachable(Arc::new(NoMember(replica))))?;
        let to = self.links.to(replica.0, &member);
        let question = Question { kind: Kind::Deny, lane: Lane::Urgent, body, within: TELL_WAIT_MAX };
        let answer = RT::timeout(TELL_WAIT_MAX, self.links.peers.ask(to, question)).await;
        answer.map_err(|_| AskError::Late { within: TELL_WAIT_MAX })?
    }
}
