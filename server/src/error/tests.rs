//! The table of errors, pinned as text: a change to an answer is a change to this text, in review.

use std::time::Duration;

use replication::freshness::Age;
use replication::ids::{KeyVersionId, RuleName};
use replication::machine::lifecycle::VersionState;

use super::*;
use crate::edge::path::{BoundedPath, PathFault};
use crate::policy::{Denial, Why};
use crate::wire::{AccessReason, Field, WireError};

const FRESH: Age = Age::new(Duration::ZERO);
const STALE: Age = Age::new(Duration::from_secs(6));

fn version() -> KeyVersionId {
    KeyVersionId::from_bytes([0xab; 16])
}

fn rule() -> RuleName {
    "r1".parse().expect("a rule name")
}

fn denied(why: Why, age: Age) -> ServiceError {
    let caller = "a@x.example".to_owned();
    ServiceError::denied(DeniedKey { version: version(), caller, denial: Denial::danger_made_up(why) }, age)
}

fn state(state: VersionState, age: Age) -> ServiceError {
    ServiceError::not_enabled(version(), state, age).expect("a state that is not enabled")
}

fn every_error() -> Vec<ServiceError> {
    let reason = AccessReason::from_number(3);
    vec![
        ServiceError::unauthenticated(AuthnError::Expired, FRESH),
        ServiceError::unauthenticated(AuthnError::Expired, STALE),
        ServiceError::unauthenticated(AuthnError::NoKeySet, FRESH),
        denied(Why::NotGranted, FRESH),
        denied(Why::Denied { rule: rule() }, FRESH),
        denied(Why::Reason { rule: rule(), reason }, FRESH),
        denied(Why::NotGranted, STALE),
        ServiceError::unknown_key(BoundedPath::new("/v0/keys/k"), FRESH),
        ServiceError::unknown_key(BoundedPath::new("/v0/keys/k"), STALE),
        state(VersionState::Disabled, FRESH),
        state(VersionState::DestroyScheduled, FRESH),
        state(VersionState::Destroyed, FRESH),
        state(VersionState::Disabled, STALE),
        state(VersionState::Pending, FRESH),
        ServiceError::MalformedPath(PathFault::DotSegment),
        ServiceError::MalformedBody(WireError::Empty),
        ServiceError::MalformedBody(WireError::Base64 { field: Field::Plaintext }),
        ServiceError::BodyTooLarge(262_144),
        ServiceError::BodyTooSlow(Duration::from_secs(5)),
        ServiceError::BodyBroken,
        ServiceError::BlobRefused(version()),
        ServiceError::NotOffered(NotOffered::Known { method: "asymmetricSign" }),
        ServiceError::NotOffered(NotOffered::UnknownVerb),
        ServiceError::NotOffered(NotOffered::WrongMethod { allow: "POST" }),
        ServiceError::Overloaded,
        ServiceError::Doubtful(Doubt::BeyondBound),
        ServiceError::NotLoaded,
        ServiceError::Ambiguous(version()),
        ServiceError::ReasonUnjudged { version: version(), rule: rule(), reason: AccessReason::from_number(12) },
        ServiceError::KeyTrouble(version(), KeyTrouble::TenantKeyMissing),
        ServiceError::KeyTrouble(version(), KeyTrouble::DoesNotOpen),
        ServiceError::KeyTrouble(version(), KeyTrouble::CanaryFailed),
        ServiceError::KeyTrouble(version(), KeyTrouble::NoRoom),
        ServiceError::KeyTrouble(version(), KeyTrouble::NoEntropy),
        ServiceError::DeadlinePassed,
        ServiceError::Internal,
    ]
}

#[test]
fn every_error_stands_as_pinned() {
    let mut text = String::new();
    for error in every_error() {
        let (code, alarm) = (error.code(), if error.is_alarm() { " alarm" } else { "" });
        let line = format!(
            "{} {} {} {:?} {:?}{alarm}\n  {}\n",
            code.http(),
            code.as_str(),
            code.rpc(),
            error.fault(),
            error.retry(),
            error.public().message
        );
        text.push_str(&line);
    }
    assert_eq!(text, include_str!("table.txt"), "\n{text}");
}

#[test]
fn without_evidence_no_statement_is_final() {
    for error in every_error() {
        let code = error.code();
        let holds_evidence = matches!(
            error,
            ServiceError::Unauthenticated(_)
                | ServiceError::PermissionDenied(_)
                | ServiceError::UnknownKey(_)
                | ServiceError::Unusable(_)
        );
        let is_final =
            [Code::Unauthenticated, Code::PermissionDenied, Code::NotFound, Code::FailedPrecondition].contains(&code);
        assert_eq!(is_final, holds_evidence, "{error:?}");
    }
}
