//! What a case is: its row in the table, and what is known of how sure it is. Types alone; nothing is sent or judged here.

use serde::Serialize;

use super::call::Call;
use super::expect::Expect;
use super::scene::Scene;

/// One row of the table.
pub struct Case {
    /// Unique; also a test's name in reports.
    pub name: &'static str,
    pub group: Group,
    pub severity: Severity,
    pub mark: Mark,
    /// What is sent.
    pub sends: &'static str,
    /// What is right.
    pub right: &'static str,
    /// What happens otherwise, in one sentence.
    pub why: &'static str,
    /// What to look at in an EKM that fails.
    pub remedy: &'static str,
    /// Makes the calls. Pure.
    pub plan: fn(&Scene<'_>) -> Plan,
}

/// What a case does.
pub enum Plan {
    /// Sends these calls one after the other, until one is answered wrongly.
    Calls(Vec<Step>),
    /// Sends nothing: judges the retriable answers that the other cases happened to get.
    Retriables,
    /// Cannot be tried.
    Lacks(Lack),
}

/// What a case needs and was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    SecondKey,
    DisabledKey,
    GoogleIssuer,
}

impl Lack {
    /// How to have the case tried.
    pub const fn says(self) -> &'static str {
        match self {
            Self::SecondKey => "give --second-key-path, another key that the caller may use",
            Self::DisabledKey => "give --disabled-key-path, a key version that is disabled",
            Self::GoogleIssuer => "only tried where --issuer is https://accounts.google.com",
        }
    }
}

/// What cases have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    RoundTrips,
    Habits,
    Routing,
    Refusals,
    Tokens,
    Claims,
    Errors,
    Limits,
}

impl Group {
    /// In the order of the table.
    pub const ALL: [Self; 8] = [
        Self::RoundTrips,
        Self::Habits,
        Self::Routing,
        Self::Refusals,
        Self::Tokens,
        Self::Claims,
        Self::Errors,
        Self::Limits,
    ];

    /// The name that `--only` and `--skip` take.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundTrips => "round-trips",
            Self::Habits => "habits",
            Self::Routing => "routing",
            Self::Refusals => "refusals",
            Self::Tokens => "tokens",
            Self::Claims => "claims",
            Self::Errors => "errors",
            Self::Limits => "limits",
        }
    }

    /// What the group is about.
    pub const fn title(self) -> &'static str {
        match self {
            Self::RoundTrips => "Round trips: what was wrapped comes back",
            Self::Habits => "Habits of protobuf JSON and of HTTP clients",
            Self::Routing => "Routing: which call a path is",
            Self::Refusals => "Refusals of blobs and bodies",
            Self::Tokens => "Tokens: shape, signature, header",
            Self::Claims => "Tokens: who, for whom, when",
            Self::Errors => "Error bodies",
            Self::Limits => "Limits",
        }
    }
}

/// What a failed case means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Said by Google or by a standard, seen live, or keys and data are in danger otherwise.
    Required,
    /// Inferred, or good practice; an EKM may have its reasons.
    Recommended,
}

impl Severity {
    /// As reports print it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Recommended => "recommended",
        }
    }
}

/// How it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// Google's documentation, its protos, or its specification of protobuf JSON.
    Google,
    /// Seen when a server was run against the real service.
    Live,
    /// An RFC.
    Standard,
    /// Concluded from the others.
    Inferred,
}

impl Mark {
    /// As reports print it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Google => "Google says",
            Self::Live => "seen live",
            Self::Standard => "a standard says",
            Self::Inferred => "inferred",
        }
    }
}

/// One call and what is right for it.
pub struct Step {
    pub call: Call,
    pub expect: Expect,
}
