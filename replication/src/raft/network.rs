//! The network of a release without peers.
//!
//! A group of this release has one voter, so openraft makes no client. Should a membership ever name another replica,
//! every call says that it cannot be reached; no vote is granted in its name.

use std::future::Future;

use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::impls::BasicNode;
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AsyncRuntime, OptionalSend};

use super::config::{Leader, Replica, Types, Vote};
use crate::store::snapshots::Snapshot;

/// Reaches nobody.
#[derive(Debug, Clone, Copy)]
pub struct NoPeers;

/// What every call comes to.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("this release has no peers; a group has one voter")]
pub struct NoSuchPeer;

fn unreachable<RT: AsyncRuntime>() -> Unreachable<Types<RT>> {
    Unreachable::new(&NoSuchPeer)
}

impl<RT: AsyncRuntime> RaftNetworkFactory<Types<RT>> for NoPeers {
    type Network = Self;

    async fn new_client(&mut self, _target: Replica, _node: &BasicNode) -> Self {
        Self
    }
}

impl<RT: AsyncRuntime> RaftNetworkV2<Types<RT>> for NoPeers {
    type SnapshotData = Snapshot;

    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<Types<RT>>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types<RT>>, RPCError<Types<RT>>> {
        Err(unreachable().into())
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<Types<RT>>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types<RT>>, RPCError<Types<RT>>> {
        Err(unreachable().into())
    }

    // The default grants in the peer's name.
    async fn pre_vote(
        &mut self,
        _request: VoteRequest<Types<RT>>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types<RT>>, RPCError<Types<RT>>> {
        Err(unreachable().into())
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: openraft::Snapshot<Leader, Replica, BasicNode, Snapshot>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types<RT>>, StreamingError<Types<RT>>> {
        Err(unreachable().into())
    }

    async fn transfer_leader(
        &mut self,
        _request: TransferLeaderRequest<Types<RT>>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types<RT>>, RPCError<Types<RT>>> {
        Err(unreachable().into())
    }
}
