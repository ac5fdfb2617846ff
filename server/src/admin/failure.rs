//! What an operator is told when something was not done: the one mapping of what can go wrong to a code and a text.
//!
//! Every failure of this listener is made here, and is JSON. It says what to do instead.

use std::io::ErrorKind;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use replication::deny_entries::BookError;
use replication::machine::outcome::Refusal;
use replication::raft::group::ProposeError;

use crate::error::ServiceError;
use crate::keystore::ExecuteError;

use super::wire::{Failure, FailureBody, FailureCode};

impl IntoResponse for FailureBody {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.http()).expect("every kind of failure has an HTTP status");
        (status, Json(Failure { error: self })).into_response()
    }
}

/// A failure that says this.
pub(super) fn refused(code: FailureCode, message: impl Into<String>) -> FailureBody {
    FailureBody { code, message: message.into(), current_revision: None }
}

/// A request that was not carried out, or is not known to have been.
pub(super) fn not_done(error: &ExecuteError) -> FailureBody {
    let code = match error {
        ExecuteError::Refused(refusal) => refusal_code(refusal),
        ExecuteError::Transport(_) => FailureCode::Invalid,
        ExecuteError::Propose(ProposeError::Unknown) | ExecuteError::NotStored(BookError::Late) => FailureCode::Unknown,
        ExecuteError::Propose(ProposeError::NoRoom(_)) => FailureCode::NoRoom,
        ExecuteError::Propose(_) | ExecuteError::Complete(_) | ExecuteError::Down(_) | ExecuteError::NoQuorum(_) => {
            FailureCode::Unavailable
        }
        ExecuteError::NotStored(BookError::Store { cause, .. }) if cause.kind() == ErrorKind::StorageFull => {
            FailureCode::NoRoom
        }
        ExecuteError::NotStored(_) => FailureCode::Unavailable,
        ExecuteError::Unexpected => FailureCode::Internal,
    };
    match code {
        FailureCode::Internal => tracing::error!(%error, "an admin request failed by a fault of this program"),
        FailureCode::Unavailable | FailureCode::Unknown => {
            tracing::warn!(%error, "an admin request was not carried out");
        }
        // why there is no room was told when it began
        FailureCode::NoRoom
        | FailureCode::Invalid
        | FailureCode::Denied
        | FailureCode::NotFound
        | FailureCode::Conflict
        | FailureCode::Method
        | FailureCode::TooLarge
        | FailureCode::TooSlow => {
            tracing::info!(%error, "an admin request was refused");
        }
    }
    let current_revision = match error {
        ExecuteError::Refused(Refusal::Conflict { current, .. }) => Some(*current),
        _ => None,
    };
    FailureBody { code, message: error.to_string(), current_revision }
}

const fn refusal_code(refusal: &Refusal) -> FailureCode {
    match refusal {
        Refusal::NoGenesis => FailureCode::Unavailable,
        Refusal::UnknownSigner { .. }
        | Refusal::RevokedSigner { .. }
        | Refusal::BadSignature { .. }
        | Refusal::NotAllowed { .. }
        | Refusal::NotAPerson { .. }
        | Refusal::NotOfficer { .. }
        | Refusal::NeedsSecondOfficer { .. }
        | Refusal::SameOfficer { .. }
        | Refusal::NotForCluster { .. }
        | Refusal::NotForReplicas { .. }
        | Refusal::NeedsTwoOfficers
        | Refusal::NotForTenant { .. }
        | Refusal::ReservedTenant { .. } => FailureCode::Denied,
        Refusal::UnknownTenant { .. }
        | Refusal::UnknownCryptoSpace { .. }
        | Refusal::UnknownKey { .. }
        | Refusal::UnknownVersion { .. }
        | Refusal::UnknownAlias { .. }
        | Refusal::UnknownImportKey { .. }
        | Refusal::UnknownRule { .. }
        | Refusal::UnknownShard { .. }
        | Refusal::UnknownPerson { .. } => FailureCode::NotFound,
        Refusal::Exists { .. }
        | Refusal::PathTaken
        | Refusal::PersonKnown { .. }
        | Refusal::ReplicaKnown { .. }
        | Refusal::AddressTaken { .. }
        | Refusal::TooFewOfficers { .. }
        | Refusal::DenyLifted { .. }
        | Refusal::TooMany { .. }
        | Refusal::OtherShard { .. }
        | Refusal::IllegalStep { .. }
        | Refusal::Conflict { .. }
        | Refusal::PlanUnsettled { .. }
        | Refusal::UnknownPlan
        | Refusal::WrongStage
        | Refusal::IdempotencyReused => FailureCode::Conflict,
        Refusal::WrongLineage
        | Refusal::MalformedRequest { .. }
        | Refusal::NeedsPlan
        | Refusal::NothingToApprove
        | Refusal::DenyOver
        | Refusal::DenyTooLong
        | Refusal::AnybodysKey { .. }
        | Refusal::NoRole { .. }
        | Refusal::NoReach { .. }
        | Refusal::OtherCheckValue { .. }
        | Refusal::BadWindow { .. }
        | Refusal::BadQuota
        | Refusal::ReplicaZero
        | Refusal::OneReplica
        | Refusal::BadRule { .. }
        | Refusal::HidesInherited { .. }
        | Refusal::PolicyTooLarge { .. }
        | Refusal::TooLarge { .. } => FailureCode::Invalid,
        Refusal::GenesisRepeated
        | Refusal::NotWhatWasAsked
        | Refusal::RequestMissing
        | Refusal::WrongGroup
        | Refusal::TooEarly { .. }
        | Refusal::BadTick => FailureCode::Internal,
    }
}

/// A body that did not arrive whole, in time and within its limit.
pub(super) fn body_not_read(error: &ServiceError) -> FailureBody {
    match error {
        ServiceError::BodyTooLarge(limit) => refused(
            FailureCode::TooLarge,
            format!("the body is longer than {limit} bytes, the most that a request may have; ask for less at once"),
        ),
        ServiceError::BodyTooSlow(limit) => refused(
            FailureCode::TooSlow,
            format!(
                "the body did not arrive within {} s, and nothing was changed; send the same request again",
                limit.as_secs_f64()
            ),
        ),
        _ => refused(
            FailureCode::Invalid,
            "the body did not arrive whole, and nothing was changed; send the same request again",
        ),
    }
}
