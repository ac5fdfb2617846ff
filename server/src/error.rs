//! Everything that can stand between a request and its answer, as one closed list.
//!
//! A final statement makes Cloud KMS give a key up, so 401, 403, 404 and 400 by key state are made of a [`Final`], which
//! takes [`Fresh`] evidence; the functions that make them fall back to 503 without it. Messages are written for the reader
//! of the customer's logs: they name the key's path and what to do, and hold no secret and nothing of our insides.

mod code;
mod message;

use std::time::Duration;

use replication::freshness::{Age, Fresh};
use replication::ids::{KeyVersionId, RuleName};
use replication::machine::lifecycle::VersionState;

pub use code::Code;
pub use message::{Public, PublicDetail};

use crate::authn::AuthnError;
use crate::edge::path::{BoundedPath, PathFault};
use crate::policy::Denial;
use crate::quota::{ROOM_WITHIN, UsedUp};
use crate::wire::{AccessReason, WireError};

/// When a caller that got a 503 should come back.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A statement that stays true: made only together with the evidence that our view is fresh.
#[derive(Debug)]
pub struct Final<T> {
    said: T,
    _fresh: Fresh,
}

impl<T> Final<T> {
    /// Says it.
    pub fn new(said: T, fresh: Fresh) -> Self {
        Self { said, _fresh: fresh }
    }

    /// What is said.
    pub fn said(&self) -> &T {
        &self.said
    }
}

/// A denial by the rules over one version.
#[derive(Debug)]
pub struct DeniedKey {
    /// The version asked for.
    pub version: KeyVersionId,
    /// Who asked, as the message names them.
    pub caller: String,
    /// Why not.
    pub denial: Denial,
}

/// States in which a version refuses for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// Taken out of use.
    Disabled,
    /// Counting down to destruction.
    DestroyScheduled,
    /// Gone.
    Destroyed,
}

/// What our view of the key store was too old, or too empty, to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The caller's token is bad, as far as we know.
    Caller,
    /// The rules deny, as far as we know.
    Denial,
    /// The path is unknown, as far as we know.
    Path,
    /// The version is out of use, as far as we know.
    State,
    /// The view is older than the tenant lets us serve from.
    BeyondBound,
}

/// What kept a key that may be used from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyTrouble {
    /// Made, and not yet active everywhere.
    Pending,
    /// The tenant's key has not arrived in this process.
    TenantKeyMissing,
    /// The sealed material does not open.
    DoesNotOpen,
    /// It opened to a wrong key. The machine must leave.
    CanaryFailed,
    /// There is no room for its material.
    NoRoom,
    /// No randomness for a nonce.
    NoEntropy,
}

/// A method that is not served, or not so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOffered {
    /// One of Google's that this release does not offer.
    Known {
        /// Its name.
        method: &'static str,
    },
    /// None that we know.
    UnknownVerb,
    /// The right path with the wrong HTTP method.
    WrongMethod {
        /// The one that is served, for the header `Allow`.
        allow: &'static str,
    },
}

/// Whose doing an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The caller's, or the operator's who made the rules.
    Caller,
    /// Ours.
    Us,
    /// Something's that we need from elsewhere.
    Dependency,
}

/// Whether to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request gets the same answer.
    No,
    /// At once.
    Yes,
    /// After a while; the answer says how long.
    After(Duration),
}

/// Why there is no success.
#[derive(Debug)]
pub enum ServiceError {
    /// The token proves nobody.
    Unauthenticated(Final<AuthnError>),
    /// The rules say no.
    PermissionDenied(Final<DeniedKey>),
    /// No key has this path.
    UnknownKey(Final<BoundedPath>),
    /// The version is in a state that refuses.
    Unusable(Final<(KeyVersionId, Unusable)>),
    /// The path can name nothing, now or ever.
    MalformedPath(PathFault),
    /// The body cannot be read.
    MalformedBody(WireError),
    /// The body is longer than this many bytes.
    BodyTooLarge(usize),
    /// The body took longer than this to arrive.
    BodyTooSlow(Duration),
    /// The connection broke amid the body.
    BodyBroken,
    /// The blob does not open under this version with this associated data.
    BlobRefused(KeyVersionId),
    /// The method is not served.
    NotOffered(NotOffered),
    /// One of the key's quotas has no room. Says nothing for good, so a stale view may say it.
    QuotaUsedUp(UsedUp),
    /// More is asked than the machine can do.
    Overloaded,
    /// A final statement would be due, and our view does not bear it.
    Doubtful(Doubt),
    /// Nothing has arrived from the key store yet.
    NotLoaded,
    /// Two shards claim one path.
    Ambiguous(KeyVersionId),
    /// Tokens cannot be judged just now.
    AuthnUnavailable(AuthnError),
    /// The decision hangs on a reason that this release does not know.
    ReasonUnjudged {
        /// The version asked for.
        version: KeyVersionId,
        /// The first rule that could not be held against it.
        rule: RuleName,
        /// The reason stated.
        reason: AccessReason,
    },
    /// The key cannot be used, by no fault of the caller's.
    KeyTrouble(KeyVersionId, KeyTrouble),
    /// Time ran out in here.
    DeadlinePassed,
    /// A bug.
    Internal,
}

impl ServiceError {
    /// A token that proves nobody: final if the fault is the token's and what we trust is fresh.
    pub fn unauthenticated(error: AuthnError, trust_age: Age) -> Self {
        if !error.is_final() {
            return Self::AuthnUnavailable(error);
        }
        trust_age.fresh().map_or(Self::Doubtful(Doubt::Caller), |fresh| Self::Unauthenticated(Final::new(error, fresh)))
    }

    /// The only way to a 403.
    pub fn denied(denied: DeniedKey, age: Age) -> Self {
        age.fresh().map_or(Self::Doubtful(Doubt::Denial), |fresh| Self::PermissionDenied(Final::new(denied, fresh)))
    }

    /// The only way to a 404. The age is the oldest of all shards.
    pub fn unknown_key(path: BoundedPath, age: Age) -> Self {
        age.fresh().map_or(Self::Doubtful(Doubt::Path), |fresh| Self::UnknownKey(Final::new(path, fresh)))
    }

    /// A version that is known and not enabled.
    pub fn not_enabled(version: KeyVersionId, state: VersionState, age: Age) -> Option<Self> {
        let unusable = match state {
            VersionState::Enabled => return None,
            VersionState::Pending => return Some(Self::KeyTrouble(version, KeyTrouble::Pending)),
            VersionState::Disabled => Unusable::Disabled,
            VersionState::DestroyScheduled => Unusable::DestroyScheduled,
            VersionState::Destroyed => Unusable::Destroyed,
        };
        Some(
            age.fresh()
                .map_or(Self::Doubtful(Doubt::State), |fresh| Self::Unusable(Final::new((version, unusable), fresh))),
        )
    }

    /// Status and `google.rpc` code. With [`Self::fault`] and [`Self::retry`], the table of `google-ekm-api` section 4.
    pub fn code(&self) -> Code {
        self.row().0
    }

    /// Whose doing it is.
    pub fn fault(&self) -> Fault {
        self.row().1
    }

    /// Whether the caller should come back.
    pub fn retry(&self) -> Retry {
        match self.code() {
            Code::Unavailable => Retry::After(RETRY_AFTER),
            Code::ResourceExhausted => Retry::After(ROOM_WITHIN),
            Code::DeadlineExceeded | Code::BodyTooSlow => Retry::Yes,
            _ => Retry::No,
        }
    }

    /// Whether an operator must look: something is wrong that no retry mends, and nobody has said so yet.
    pub fn is_alarm(&self) -> bool {
        matches!(
            self,
            Self::Ambiguous(_)
                | Self::ReasonUnjudged { .. }
                | Self::KeyTrouble(_, KeyTrouble::DoesNotOpen | KeyTrouble::CanaryFailed | KeyTrouble::NoEntropy)
                | Self::Internal
        )
    }

    /// The one table.
    fn row(&self) -> (Code, Fault) {
        use Fault::{Caller, Dependency, Us};
        match self {
            Self::Unauthenticated(_) => (Code::Unauthenticated, Caller),
            Self::PermissionDenied(_) => (Code::PermissionDenied, Caller),
            Self::UnknownKey(_) => (Code::NotFound, Caller),
            Self::Unusable(_) => (Code::FailedPrecondition, Caller),
            Self::MalformedPath(_) | Self::MalformedBody(_) | Self::BodyBroken | Self::BlobRefused(_) => {
                (Code::InvalidArgument, Caller)
            }
            Self::BodyTooLarge(_) => (Code::BodyTooLarge, Caller),
            Self::BodyTooSlow(_) => (Code::BodyTooSlow, Caller),
            Self::NotOffered(_) => (Code::Unimplemented, Caller),
            Self::QuotaUsedUp(_) => (Code::ResourceExhausted, Caller),
            Self::Doubtful(_) | Self::NotLoaded | Self::AuthnUnavailable(_) => (Code::Unavailable, Dependency),
            Self::Overloaded | Self::Ambiguous(_) | Self::ReasonUnjudged { .. } | Self::KeyTrouble(..) => {
                (Code::Unavailable, Us)
            }
            Self::DeadlinePassed => (Code::DeadlineExceeded, Us),
            Self::Internal => (Code::Internal, Us),
        }
    }
}

#[cfg(test)]
mod tests;
