//! What an error says to its reader: a message, and for some a detail that a program can read.

use std::borrow::Cow;

use replication::ids::key_path;
use replication::machine::rows::Quota;

use crate::policy::Why;
use crate::quota::{Level, ROOM_WITHIN, UsedUp};

use super::{DeniedKey, Doubt, KeyTrouble, NotOffered, ServiceError, Unusable};

/// What may be shown of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// For the reader of the customer's logs.
    pub message: Cow<'static, str>,
    /// What a program should know beside the code.
    pub detail: Option<PublicDetail>,
}

/// What a program should know beside the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicDetail {
    /// The refusal is about the stated reason.
    Reason(ReasonRefused),
    /// A quota of ours, and none of Google's, has no room.
    Quota(UsedUp),
}

/// A refusal by the stated reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonRefused {
    /// The reason stated, or `none`.
    pub justification: String,
    /// The rule that refused it.
    pub rule: String,
}

impl ServiceError {
    /// The part that may leave the machine.
    pub fn public(&self) -> Public {
        let detail = match self {
            Self::PermissionDenied(denied) => match denied.said().denial.why() {
                Why::Reason { rule, reason } => {
                    let (justification, rule) = (reason.to_string(), rule.to_string());
                    Some(PublicDetail::Reason(ReasonRefused { justification, rule }))
                }
                Why::Denied { .. } | Why::NotGranted | Why::ShutOut { .. } => None,
            },
            Self::QuotaUsedUp(used) => Some(PublicDetail::Quota(*used)),
            _ => None,
        };
        Public { message: self.message(), detail }
    }

    fn message(&self) -> Cow<'static, str> {
        match self {
            Self::Unauthenticated(error) => format!("The caller is not authenticated: {}.", error.said()).into(),
            Self::AuthnUnavailable(error) => format!("The caller cannot be authenticated just now: {error}.").into(),
            Self::PermissionDenied(denied) => denial(denied.said()),
            Self::UnknownKey(path) => format!(
                "The external key manager knows no key under the path '{}'. Check the key path in Cloud KMS.",
                path.said()
            )
            .into(),
            Self::Unusable(said) => {
                let (version, state) = said.said();
                unusable(&key_path(*version), *state)
            }
            Self::MalformedPath(fault) => format!("The path of the request names no key: {fault}.").into(),
            Self::MalformedBody(fault) => format!("The request cannot be read: {fault}.").into(),
            Self::BodyTooLarge(limit) => format!("The body of the request is longer than {limit} bytes.").into(),
            Self::BodyTooSlow(limit) => {
                format!("The body of the request did not arrive within {} ms. Try again.", limit.as_millis()).into()
            }
            Self::BodyBroken => "The body of the request did not arrive whole.".into(),
            Self::BlobRefused(version) => format!(
                "The wrapped blob does not open with key version '{}': it was wrapped with another key version or with other \
                 associated data, or was changed.",
                key_path(*version)
            )
            .into(),
            Self::NotOffered(what) => not_offered(*what),
            Self::ReasonUnjudged { version, rule, reason } => format!(
                "Rule '{rule}' of key version '{}' lists the reasons that are allowed, and this server does not know the \
                 reason '{reason}'. Upgrade the external key manager, or change the rule.",
                key_path(*version)
            )
            .into(),
            Self::Ambiguous(version) => {
                format!("The path '{}' cannot be resolved to one key. Its operator must look.", key_path(*version)).into()
            }
            Self::KeyTrouble(version, trouble) => {
                format!("Key version '{}' {}", key_path(*version), key_trouble(*trouble)).into()
            }
            Self::QuotaUsedUp(used) => quota_used_up(used),
            Self::Overloaded => "The external key manager is overloaded. Try again.".into(),
            Self::Doubtful(doubt) => doubtful(*doubt).into(),
            Self::NotLoaded => "The external key manager has not loaded its keys yet. Try again.".into(),
            Self::DeadlinePassed => "The external key manager ran out of time for this request. Try again.".into(),
            Self::Internal => "The external key manager failed. Its operator finds the request by its id.".into(),
        }
    }
}

fn denial(denied: &DeniedKey) -> Cow<'static, str> {
    let (path, caller) = (key_path(denied.version), &denied.caller);
    match denied.denial.why() {
        Why::Denied { rule } => format!("Rule '{rule}' denies {caller} the use of key version '{path}'."),
        Why::Reason { rule, reason } => format!(
            "Rule '{rule}' does not allow {caller} to use key version '{path}' for the access reason '{reason}'."
        ),
        Why::ShutOut { entry } => format!(
            "Deny entry '{entry}' of two security officers shuts {caller} or this key out, so key version '{path}' cannot be used. They can lift \
             it in the external key manager."
        ),
        Why::NotGranted => format!(
            "No grant allows {caller} this operation with key version '{path}'. Grant it in the external key manager."
        ),
    }
    .into()
}

fn unusable(path: &str, state: Unusable) -> Cow<'static, str> {
    match state {
        Unusable::Disabled => {
            format!("Key version '{path}' is disabled in the external key manager. Enable it there to use it again.")
        }
        Unusable::DestroyScheduled => format!(
            "Key version '{path}' is scheduled for destruction in the external key manager. Restore and enable it there \
             to use it again."
        ),
        Unusable::Destroyed => {
            format!("Key version '{path}' is destroyed, and what was wrapped with it cannot be unwrapped any more.")
        }
    }
    .into()
}

fn quota_used_up(used: &UsedUp) -> Cow<'static, str> {
    let (path, Quota { per_second, burst }) = (key_path(used.path), used.quota);
    let owner = match used.level {
        Level::Key => "its key",
        Level::CryptoSpace => "its crypto space",
        Level::Tenant => "its tenant",
    };
    format!(
        "Key version '{path}' is over a quota of the external key manager, not of Google: the requests of {owner} are limited \
         to {per_second} per second, and {burst} at once, on each machine. Try again in {} s, or have the quota raised \
         (ekmctl quota set).",
        ROOM_WITHIN.as_secs()
    )
    .into()
}

fn not_offered(what: NotOffered) -> Cow<'static, str> {
    match what {
        NotOffered::Known { method } => format!("This external key manager does not offer the method {method}.").into(),
        NotOffered::UnknownVerb => "This external key manager knows no such method.".into(),
        NotOffered::WrongMethod { allow } => format!("This method is served by HTTP {allow} alone.").into(),
    }
}

const fn doubtful(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Caller => "The caller's token cannot be judged by an up-to-date view just now. Try again.",
        Doubt::Denial => "The caller's rights cannot be judged by an up-to-date view just now. Try again.",
        Doubt::Path => "Whether the key exists cannot be told by an up-to-date view just now. Try again.",
        Doubt::State => "Whether the key version is in use cannot be told by an up-to-date view just now. Try again.",
        Doubt::BeyondBound => "The external key manager has been cut off from its rules for too long. Try again.",
    }
}

const fn key_trouble(trouble: KeyTrouble) -> &'static str {
    match trouble {
        KeyTrouble::Pending => "is not in use everywhere yet. Try again.",
        KeyTrouble::TenantKeyMissing | KeyTrouble::NoRoom | KeyTrouble::NoEntropy => {
            "cannot be used on this machine just now. Try again."
        }
        KeyTrouble::DoesNotOpen | KeyTrouble::CanaryFailed => "failed its check on this machine. Try again.",
    }
}
