//! `ekmctl doctor`: what is broken, whom it hurts, what to do. `look` gathers what can be seen, also when the key store is down;
//! `findings` judges it and looks at nothing itself.

mod findings;
mod look;
mod metrics;
mod notes;
mod observed;
mod tls;
mod troubles;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) use look::{Wanted, look};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody is hurt now, or operators are locked out.
    Broken,
    /// Somebody will be.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub what: String,
    /// Whom it hurts, and how.
    pub hurts: String,
    /// What to do: a command or a page of the runbooks.
    pub todo: String,
}

/// What a look around came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diagnosis {
    /// Whether nothing is broken; warnings may stand.
    pub healthy: bool,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// What was looked at.
    pub looked_at: Vec<String>,
    /// What could not be looked at, and why.
    pub not_looked_at: Vec<String>,
}
