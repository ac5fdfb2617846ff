//! Signing a command and having it ordered: the one way into the log.

use replication::codec;
use replication::ids::{GroupId, IdempotencyId, LineageId, LogIndex};
use replication::machine::command::{Action, Command};
use replication::machine::outcome::{Effect, Outcome, Refusal};
use replication::machine::request::SignedRequest;
use replication::raft::group::{Group, ProposeError, Proposed};

use crate::crypto::{Draw, EntropyError};

use super::{KeyStore, PROPOSE_DEADLINE, Parts};

/// A command came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProposalError {
    /// It was ordered, and changed nothing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It was not ordered, or its outcome is not known.
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

/// A command came to something.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) index: LogIndex,
    pub(super) effect: Effect,
    pub(super) repeated: bool,
}

impl Parts {
    /// Signs a command for a group and encodes the entry.
    pub(super) fn entry(&self, lineage: LineageId, group: GroupId, command: &Command) -> Vec<u8> {
        codec::encode_entry(&self.signer.sign_command(lineage, group, codec::encode_command(command)))
    }

    /// Has an entry ordered, and takes its outcome apart.
    pub(super) async fn propose(&self, group: &Group, entry: Vec<u8>) -> Result<Done, ProposalError> {
        takes_entries(group)?;
        done(group.propose(entry, PROPOSE_DEADLINE).await?)
    }

    /// The same for an entry that finishes what an earlier one began: also where the disk is short of room.
    pub(super) async fn finish(&self, group: &Group, entry: Vec<u8>) -> Result<Done, ProposalError> {
        takes_entries(group)?;
        done(group.propose_from_reserve(entry, PROPOSE_DEADLINE).await?)
    }

    /// A command of this moment.
    pub(super) fn command(&self, id: IdempotencyId, request: Option<SignedRequest>, action: Action) -> Command {
        Command { at: self.clock.wall(), idempotency_id: id, request, action }
    }

    /// 16 random bytes under the cluster's generation.
    pub(super) fn draw_id(&self) -> Result<[u8; 16], EntropyError> {
        let mut bytes = [0; 16];
        self.entropy.fill(Draw::Id, &mut bytes)?;
        Ok(replication::ids::Generation::FIRST.stamp(bytes))
    }
}

/// A group that has halted gets nothing: it would stand in the log and happen one day, under another release.
fn takes_entries(group: &Group) -> Result<(), ProposeError> {
    group.watch().borrow().halted.map_or(Ok(()), |since| Err(ProposeError::Halted { since }))
}

fn done(proposed: Proposed) -> Result<Done, ProposalError> {
    let index = proposed.index;
    match proposed.outcome {
        Outcome::Done(effect) => Ok(Done { index, effect, repeated: false }),
        Outcome::Repeated(effect) => Ok(Done { index, effect, repeated: true }),
        Outcome::Refused(refusal) => Err(refusal.into()),
    }
}

impl KeyStore {
    /// Completes a request into an entry of a group.
    pub(super) fn completed(
        &self,
        group: GroupId,
        id: IdempotencyId,
        asked: &SignedRequest,
        action: Action,
    ) -> Vec<u8> {
        self.parts.entry(self.lineage, group, &self.parts.command(id, Some(asked.clone()), action))
    }
}
