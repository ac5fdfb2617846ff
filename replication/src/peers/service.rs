//! What other replicas call: each call is admitted by its header, handed to its group, and answered within its deadline.
//!
//! Decides nothing about what is said; refuses whatever is said by anybody who may not.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status, Streaming};

use super::carried::{answer_reason, answered, from_wire, header_reason, refusal};
use super::header::{Admitted, HeaderError, Here, Meeting, Store, admit};
use super::limits::CALL_WAIT_MAX;
use super::receiving::{self, ReceiveError};
use super::wire;
use super::wire::peer_server::Peer;
use crate::deny_entries::Answering;
use crate::ids::{GroupId, ReplicaId};
use crate::raft::answering::{AnswerError, expect_snapshot};
use crate::raft::group::Group;
use crate::raft::network::{Kind, Lane};

/// Largest message over the connection of what is urgent, in bytes.
const URGENT_BYTES_MAX: usize = 64 * 1024;

type Proven = super::accept::Proven<ReplicaId>;

/// The message is none that this release knows.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum Unknown {
    #[error("the kind of the message is not known; its sender may be of a newer release")]
    Kind,
    #[error("the message is larger than {URGENT_BYTES_MAX} bytes, which this connection does not take")]
    TooLarge,
    #[error("a message of this kind does not come over this connection")]
    Lane,
    #[error("deny entries are of group 0 alone")]
    Group,
}

/// The groups of a replica, looked up whenever one is meant: more of them come while it runs.
pub type Groups = Arc<dyn Fn(GroupId) -> Option<Arc<Group>> + Send + Sync>;

/// The service of one replica.
pub(super) struct Service {
    here: Here,
    groups: Groups,
    deny_entries: Answering,
}

impl Service {
    pub(super) fn new(here: Here, groups: Groups, deny_entries: Answering) -> Self {
        Self { here, groups, deny_entries }
    }

    fn admitted(
        &self,
        header: Option<&wire::Header>,
        proven: Proven,
        meeting: Meeting,
    ) -> Result<(Admitted, Arc<Group>), HeaderError> {
        let store = |group, sender| {
            let group = (self.groups)(group)?;
            Some(Store { incarnation: group.incarnation(), bound: group.bound(sender) })
        };
        let admitted = admit(header, proven.0, meeting, self.here, store)?;
        let group = (self.groups)(admitted.group);
        let group = group.ok_or(HeaderError::NoSuchGroup { group: admitted.group.0.into() })?;
        Ok((admitted, group))
    }

    async fn called(&self, request: Request<wire::Call>, lane: Lane) -> Result<Response<wire::Reply>, Status> {
        let proven = proven(&request)?;
        let call = request.into_inner();
        let kind = from_wire(call.kind);
        let meeting = if kind == Some(Kind::Hello) { Meeting::First } else { Meeting::Known };
        let (admitted, group) = match self.admitted(call.header.as_ref(), proven, meeting) {
            Ok(admitted) => admitted,
            Err(error) => {
                tracing::warn!(sender = %proven.0, %error, "a replica's message is refused");
                return Ok(Response::new(refusal(header_reason(&error), &error)));
            }
        };
        let unknown = |error: Unknown| Ok(Response::new(refusal(wire::Reason::Malformed, &error)));
        let Some(kind) = kind else { return unknown(Unknown::Kind) };
        match lane {
            Lane::Urgent if call.body.len() > URGENT_BYTES_MAX => return unknown(Unknown::TooLarge),
            Lane::Urgent if kind == Kind::Propose => return unknown(Unknown::Lane),
            Lane::Entries if kind != Kind::Propose && kind != Kind::Append => return unknown(Unknown::Lane),
            Lane::Urgent | Lane::Entries => {}
        }
        if kind == Kind::Deny {
            if admitted.group != GroupId::SYSTEM {
                return unknown(Unknown::Group);
            }
            let system = group.watch().borrow().state.clone();
            let answer = self.deny_entries.answer(&system, &call.body).await;
            return replied(answer.ok_or(AnswerError::Malformed));
        }
        let within = Duration::from_millis(call.within_millis.into()).min(CALL_WAIT_MAX);
        replied(group.answer(admitted.sender, kind, call.body, within).await)
    }

    async fn received(&self, proven: Proven, mut parts: Streaming<wire::Part>) -> Result<Vec<u8>, ReceiveError> {
        let wire::Announcement { header, bytes, body } = receiving::announcement(&mut parts).await?;
        let (admitted, group) = self.admitted(header.as_ref(), proven, Meeting::Known)?;
        let expected = expect_snapshot(admitted.sender, &body)?;
        receiving::receive(&group, admitted.sender, expected, bytes, &mut parts).await
    }
}

fn proven<T>(request: &Request<T>) -> Result<Proven, Status> {
    let proven = request.extensions().get::<Proven>().copied();
    proven.ok_or_else(|| Status::unauthenticated("the connection proved no replica"))
}

fn replied(answer: Result<Vec<u8>, AnswerError>) -> Result<Response<wire::Reply>, Status> {
    match answer {
        Ok(body) => Ok(Response::new(answered(body))),
        Err(error) => match answer_reason(&error) {
            Some(reason) => Ok(Response::new(refusal(reason, &error))),
            // it may yet be done, so it is no refusal
            None => Err(Status::aborted(error.to_string())),
        },
    }
}

#[tonic::async_trait]
impl Peer for Service {
    async fn urgent(&self, request: Request<wire::Call>) -> Result<Response<wire::Reply>, Status> {
        self.called(request, Lane::Urgent).await
    }

    async fn entries(&self, request: Request<wire::Call>) -> Result<Response<wire::Reply>, Status> {
        self.called(request, Lane::Entries).await
    }

    async fn snapshot(&self, request: Request<Streaming<wire::Part>>) -> Result<Response<wire::Reply>, Status> {
        let proven = proven(&request)?;
        let error = match self.received(proven, request.into_inner()).await {
            Ok(body) => return Ok(Response::new(answered(body))),
            Err(ReceiveError::Answer(error)) => {
                tracing::warn!(sender = %proven.0, error = &error as &dyn std::error::Error, "a snapshot is not taken");
                return replied(Err(error));
            }
            Err(error) => error,
        };
        tracing::warn!(sender = %proven.0, %error, "a snapshot is not taken");
        let reason = match &error {
            ReceiveError::Header(error) => header_reason(error),
            ReceiveError::NotAnnounced
            | ReceiveError::TooLarge { .. }
            | ReceiveError::OutOfPlace { .. }
            | ReceiveError::Empty { .. }
            | ReceiveError::Digest { .. }
            | ReceiveError::Truncated { .. }
            | ReceiveError::Excess { .. }
            | ReceiveError::Late { .. }
            | ReceiveError::TooSlow { .. }
            | ReceiveError::Broken(_)
            | ReceiveError::Answer(_) => wire::Reason::Snapshot,
        };
        Ok(Response::new(refusal(reason, &error)))
    }
}
