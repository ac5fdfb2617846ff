//! The decision itself. The only maker of a [`Grant`].

use std::fmt;

use replication::deny_entries::list::Certainty;
use replication::directory::{Looked, ShutOut, Target};
use replication::freshness::Age;
use replication::ids::{DenyId, RuleName};
use replication::machine::policy::Rule;

use crate::wire::AccessReason;

use super::Levels;
use super::asked::Asked;
use super::matching::{Match, covers};

/// What a reason that this release does not know does under a list. A setting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownReasons {
    /// 503 and an alarm: Google's next new code must not disable every key.
    #[default]
    Unavailable,
    /// A denial like that of a reason that the list leaves out.
    Deny,
}

/// Leave to use one key version for one request. Made by [`decide`] alone, moved into the lookup.
#[derive(Debug)]
pub struct Grant {
    target: Target,
    rule: RuleName,
}

impl Grant {
    /// The rule that grants.
    pub fn rule(&self) -> &RuleName {
        &self.rule
    }

    /// The version and everything over it.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The version and everything over it. Consumes the leave.
    pub fn into_target(self) -> Target {
        self.target
    }
}

/// Why the answer is no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// A deny rule covers the request.
    Denied {
        /// The rule.
        rule: RuleName,
    },
    /// A deny rule covers the request by its list of reasons, or a grant covers all but the reason.
    Reason {
        /// The rule.
        rule: RuleName,
        /// The reason stated.
        reason: AccessReason,
    },
    /// No grant covers the request.
    NotGranted,
    /// Two security officers shut the caller or the key out, whatever the rules say.
    ShutOut {
        /// By which deny entry.
        entry: DenyId,
    },
}

/// What a decision rests on, as records and explanations name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decider {
    /// A rule of a policy.
    Rule(RuleName),
    /// A deny entry.
    Entry(DenyId),
}

impl fmt::Display for Decider {
    /// The rule's name, or `deny:` and the entry's id: no rule's name holds a colon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => write!(f, "{rule}"),
            Self::Entry(entry) => write!(f, "deny:{entry}"),
        }
    }
}

impl Why {
    /// What decided, if anything did.
    pub fn decider(&self) -> Option<Decider> {
        match self {
            Self::Denied { rule } | Self::Reason { rule, .. } => Some(Decider::Rule(rule.clone())),
            Self::ShutOut { entry } => Some(Decider::Entry(*entry)),
            Self::NotGranted => None,
        }
    }
}

/// The rules say no. Not yet a 403: only a fresh view makes it one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    why: Why,
}

impl Denial {
    /// Why.
    pub fn why(&self) -> &Why {
        &self.why
    }

    /// A denial that no rule made, for the tests of what is said about one.
    #[cfg(test)]
    pub fn danger_made_up(why: Why) -> Self {
        Self { why }
    }
}

/// No grant came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The rules say no.
    Denied(Denial),
    /// A deny entry says no, whatever the rules say.
    ShutOut {
        /// Which names the entry.
        denial: Denial,
        /// How sure it is that the entry holds.
        certainty: Certainty,
        /// How old the view is that knows of no lift.
        age: Age,
    },
    /// The rules cannot say, as they hang on a reason that this release does not know.
    Unjudged {
        /// The first rule whose list could not be held against the reason.
        rule: RuleName,
    },
}

/// Decides, and turns the target into leave to use it. Whoever is shut out of it is refused, whatever the rules say.
///
/// # Errors
/// [`Refused`], with the target given back for what the caller still has to say about it.
#[allow(clippy::result_large_err, reason = "the target moves back to its owner, without an allocation for a refusal")]
pub fn decide(
    target: Target,
    looked: Looked,
    asked: &Asked<'_>,
    unknown: UnknownReasons,
) -> Result<Grant, (Refused, Target)> {
    if let Some(ShutOut { entry, certainty, age }) = looked.found() {
        let denial = Denial { why: Why::ShutOut { entry } };
        return Err((Refused::ShutOut { denial, certainty, age }, target));
    }
    match judge(Levels::of(&target), asked, unknown).cloned() {
        Ok(rule) => Ok(Grant { target, rule }),
        Err(refused) => Err((refused, target)),
    }
}

/// The granting rule, or why there is none.
pub(super) fn judge<'a>(
    levels: Levels<'a>,
    asked: &Asked<'_>,
    unknown: UnknownReasons,
) -> Result<&'a RuleName, Refused> {
    let unjudged_deny = check_denies(levels, asked)?;
    let granted = check_grants(levels, asked, unknown)?;
    match unjudged_deny {
        None => Ok(granted),
        Some(rule) => Err(unknown_reason(rule, asked, unknown)),
    }
}

/// Refuses if a deny rule covers the request; otherwise the first one that might, if the reason were known.
fn check_denies<'a>(levels: Levels<'a>, asked: &Asked<'_>) -> Result<Option<&'a RuleName>, Refused> {
    let mut unjudged = None;
    for rule in levels.nearest_first().flat_map(|policy| &policy.denies) {
        match covers(rule, asked) {
            Match::Yes => return Err(Refused::Denied(Denial { why: denied_by(rule, asked) })),
            Match::Unknown => unjudged = unjudged.or(Some(&rule.name)),
            Match::No | Match::ButForReason => {}
        }
    }
    Ok(unjudged)
}

fn check_grants<'a>(levels: Levels<'a>, asked: &Asked<'_>, unknown: UnknownReasons) -> Result<&'a RuleName, Refused> {
    let Some(nearest) = levels.nearest_first().next() else {
        return Err(Refused::Denied(Denial { why: Why::NotGranted }));
    };
    let (mut unjudged, mut but_for_reason) = (None, None);
    for rule in &nearest.grants {
        match covers(rule, asked) {
            Match::Yes => return Ok(&rule.name),
            Match::Unknown => unjudged = unjudged.or(Some(&rule.name)),
            Match::ButForReason => but_for_reason = but_for_reason.or(Some(&rule.name)),
            Match::No => {}
        }
    }
    if let Some(rule) = unjudged {
        return Err(unknown_reason(rule, asked, unknown));
    }
    let why = but_for_reason.map_or(Why::NotGranted, |rule| reason_refused(rule, asked));
    Err(Refused::Denied(Denial { why }))
}

fn denied_by(rule: &Rule, asked: &Asked<'_>) -> Why {
    if rule.justifications.is_some() {
        reason_refused(&rule.name, asked)
    } else {
        Why::Denied { rule: rule.name.clone() }
    }
}

fn reason_refused(rule: &RuleName, asked: &Asked<'_>) -> Why {
    Why::Reason { rule: rule.clone(), reason: asked.reason.clone() }
}

fn unknown_reason(rule: &RuleName, asked: &Asked<'_>, unknown: UnknownReasons) -> Refused {
    match unknown {
        UnknownReasons::Unavailable => Refused::Unjudged { rule: rule.clone() },
        UnknownReasons::Deny => Refused::Denied(Denial { why: reason_refused(rule, asked) }),
    }
}
