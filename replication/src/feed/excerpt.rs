//! What a frontend needs of a group: some kinds of rows, sent as changes of what it has.
//!
//! An excerpt is a state of these rows alone. Its digest says nothing: a [`Mark`] names the whole state that it was cut from.

use crate::codec::Undecodable;
use crate::ids::{GroupId, LineageId, LogIndex};
use crate::machine::digest::Digest;
use crate::machine::rows::RowKind;
use crate::machine::state::{RowChange, State};

/// The kinds that frontends are sent. Reservations, signers, answers to repeated requests and plans stay at the key stores.
pub(super) const SERVED: [RowKind; 10] = [
    RowKind::Meta,
    RowKind::Trust,
    RowKind::Placement,
    RowKind::Tenant,
    RowKind::CryptoSpace,
    RowKind::Key,
    RowKind::KeyVersion,
    RowKind::Alias,
    RowKind::Shard,
    RowKind::Lift,
];

/// Which whole state an excerpt was cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) index: LogIndex,
    pub(super) digest: Digest,
}

/// Why what a key store sent is not taken over. Nothing of it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExcerptError {
    #[error("a row cannot be decoded; the key store may be of a newer release")]
    Undecodable(#[from] Undecodable),
    #[error("a row is of a kind that no key store sends")]
    OtherKind,
    #[error("{found} rows came, and {told} were told")]
    Count { found: u64, told: u64 },
    #[error("the rows are of another cluster or group; look which address leads where")]
    Foreign,
    #[error("the change ends at another entry than it was begun for")]
    OtherEnd,
    #[error("the state is an older one than is in use here")]
    Older,
}

/// A change that is on its way.
#[derive(Debug)]
pub(super) struct Incoming {
    state: State,
    to: LogIndex,
    rows: u64,
}

impl Incoming {
    /// Of what is there.
    pub(super) fn begin(base: &State, to: LogIndex, current: Option<Mark>) -> Result<Self, ExcerptError> {
        if current.is_some_and(|current| to < current.index) {
            return Err(ExcerptError::Older);
        }
        Ok(Self { state: base.clone(), to, rows: 0 })
    }

    pub(super) fn take(&mut self, changes: Vec<RowChange>) -> Result<(), ExcerptError> {
        let is_served = |change: &RowChange| {
            change.key.first().is_some_and(|kind| SERVED.iter().any(|served| *served as u8 == *kind))
        };
        if !changes.iter().all(is_served) {
            return Err(ExcerptError::OtherKind);
        }
        self.rows += changes.len() as u64;
        Ok(self.state.take_changes(changes)?)
    }

    /// The state, once all of it is there.
    pub(super) fn end(
        self,
        told: u64,
        mark: Mark,
        (lineage, group): (LineageId, GroupId),
    ) -> Result<State, ExcerptError> {
        if self.rows != told {
            return Err(ExcerptError::Count { found: self.rows, told });
        }
        if mark.index != self.to {
            return Err(ExcerptError::OtherEnd);
        }
        let is_ours = |meta: &crate::machine::rows::Meta| meta.lineage == lineage && meta.group == group;
        // before its first entry a group has no row at all
        match self.state.meta() {
            Some(meta) if !is_ours(meta) => Err(ExcerptError::Foreign),
            Some(_) | None => Ok(self.state),
        }
    }
}

#[cfg(test)]
#[path = "excerpt_tests.rs"]
mod tests;
