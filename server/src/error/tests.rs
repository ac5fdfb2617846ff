//! The table of errors, pinned as text: a change to an answer is a change to this text, in review.

use std::time::Duration;

use replication::freshness::Age;
use replication::ids::{DenyId, KeyVersionId, RuleName};
use replication::machine::lifecycle::VersionState;
use replication::machine::rows::Quota;

use super::*;
use crate::edge::path::{BoundedPath, PathFault};
use crate::policy::{Denial, Why};
use crate::quota::Level;
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

fn used_up(level: Level) -> ServiceError {
    let number = |number: u32| number.try_into().expect("not zero");
    let quota = Quota { per_second: number(100), burst: number(200) };
    ServiceError::QuotaUsedUp(UsedUp { path: version(), level, quota })
}

/// One of each, by the names of its variants. `tidy` finds a variant that is not here; a row of the table that no request
/// yields is found by `edge::google_tests::codes`.
fn every_error() -> Vec<(&'static str, ServiceError)> {
    let reason = AccessReason::from_number(3);
    let unjudged =
        ServiceError::ReasonUnjudged { version: version(), rule: rule(), reason: AccessReason::from_number(12) };
    let trouble = |trouble| ServiceError::KeyTrouble(version(), trouble);
    vec![
        ("Unauthenticated", ServiceError::unauthenticated(AuthnError::Expired, FRESH)),
        ("Doubtful Caller", ServiceError::unauthenticated(AuthnError::Expired, STALE)),
        ("AuthnUnavailable", ServiceError::unauthenticated(AuthnError::NoKeySet, FRESH)),
        ("PermissionDenied NotGranted", denied(Why::NotGranted, FRESH)),
        ("PermissionDenied Denied", denied(Why::Denied { rule: rule() }, FRESH)),
        ("PermissionDenied Reason", denied(Why::Reason { rule: rule(), reason }, FRESH)),
        ("PermissionDenied ShutOut", denied(Why::ShutOut { entry: DenyId::from_bytes([4; 16]) }, FRESH)),
        ("Doubtful Denial", denied(Why::NotGranted, STALE)),
        ("UnknownKey", ServiceError::unknown_key(BoundedPath::new("/v0/keys/k"), FRESH)),
        ("Doubtful Path", ServiceError::unknown_key(BoundedPath::new("/v0/keys/k"), STALE)),
        ("Unusable Disabled", state(VersionState::Disabled, FRESH)),
        ("Unusable DestroyScheduled", state(VersionState::DestroyScheduled, FRESH)),
        ("Unusable Destroyed", state(VersionState::Destroyed, FRESH)),
        ("Doubtful State", state(VersionState::Disabled, STALE)),
        ("KeyTrouble Pending", state(VersionState::Pending, FRESH)),
        ("MalformedPath", ServiceError::MalformedPath(PathFault::DotSegment)),
        ("MalformedBody Empty", ServiceError::MalformedBody(WireError::Empty)),
        ("MalformedBody Base64", ServiceError::MalformedBody(WireError::Base64 { field: Field::Plaintext })),
        ("BodyTooLarge", ServiceError::BodyTooLarge(262_144)),
        ("BodyTooSlow", ServiceError::BodyTooSlow(Duration::from_secs(5))),
        ("BodyBroken", ServiceError::BodyBroken),
        ("BlobRefused", ServiceError::BlobRefused(version())),
        ("NotOffered Known", ServiceError::NotOffered(NotOffered::Known { method: "asymmetricSign" })),
        ("NotOffered UnknownVerb", ServiceError::NotOffered(NotOffered::UnknownVerb)),
        ("NotOffered WrongMethod", ServiceError::NotOffered(NotOffered::WrongMethod { allow: "POST" })),
        ("QuotaUsedUp Key", used_up(Level::Key)),
        ("QuotaUsedUp CryptoSpace", used_up(Level::CryptoSpace)),
        ("QuotaUsedUp Tenant", used_up(Level::Tenant)),
        ("Overloaded", ServiceError::Overloaded),
        ("Doubtful BeyondBound", ServiceError::Doubtful(Doubt::BeyondBound)),
        ("NotLoaded", ServiceError::NotLoaded),
        ("Ambiguous", ServiceError::Ambiguous(version())),
        ("ReasonUnjudged", unjudged),
        ("KeyTrouble TenantKeyMissing", trouble(KeyTrouble::TenantKeyMissing)),
        ("KeyTrouble DoesNotOpen", trouble(KeyTrouble::DoesNotOpen)),
        ("KeyTrouble CanaryFailed", trouble(KeyTrouble::CanaryFailed)),
        ("KeyTrouble NoRoom", trouble(KeyTrouble::NoRoom)),
        ("KeyTrouble NoEntropy", trouble(KeyTrouble::NoEntropy)),
        ("DeadlinePassed", ServiceError::DeadlinePassed),
        ("Internal", ServiceError::Internal),
    ]
}

#[test]
fn every_error_stands_as_pinned() {
    let mut text = String::new();
    for (name, error) in every_error() {
        let (code, alarm) = (error.code(), if error.is_alarm() { " alarm" } else { "" });
        let line = format!(
            "{name}: {} {} {} {:?} {:?}{alarm}\n  {}\n",
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
    for (_, error) in every_error() {
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
