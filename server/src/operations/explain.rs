//! What a wrap or unwrap would be answered now, without one: the same steps over the same view, and no key opened.
//!
//! Judges no token, no quota and no load; it says what rules, state and age say. Counts nothing, records nothing.

use replication::directory::Target;
use replication::freshness::Serving;
use replication::ids::TenantId;
use replication::machine::policy::{Operation, Principal};

use crate::edge::path::{BoundedPath, Named};
use crate::error::ServiceError;
use crate::lookup::check_in_use;
use crate::policy::{Asked, Decider, ResourceName};
use crate::wire::AccessReason;

use super::Journey;
use super::steps::{judged, reached, unknown};

/// What is asked about.
#[derive(Debug, Clone)]
pub struct Question {
    /// The path of the key version, with or without its leading slash.
    pub path: String,
    /// Who would call.
    pub caller: Principal,
    /// What for.
    pub operation: Operation,
    /// For which Cloud KMS resource, if one would be stated.
    pub resource: Option<String>,
    /// For which reason.
    pub reason: AccessReason,
}

impl Question {
    /// The question as policy is asked it.
    pub fn asked(&self) -> Asked<'_> {
        Asked {
            caller: &self.caller,
            operation: self.operation,
            resource: self.resource.as_deref().and_then(ResourceName::parse),
            reason: &self.reason,
        }
    }
}

/// What would be answered.
#[derive(Debug)]
pub struct Explained {
    /// The version that the path reaches.
    pub target: Option<Target>,
    /// The rule or deny entry that decides.
    pub decider: Option<Decider>,
    /// Whether it would be served, or what the caller would hear.
    pub result: Result<Serving, ServiceError>,
}

/// Explains. A version of a tenant that is not `shown` to whoever asks is as unknown as any path.
pub fn explain(question: &Question, shown: impl Fn(&TenantId) -> bool, journey: &Journey) -> Explained {
    let found = match reached(&Named::parse(&question.path), journey) {
        Ok(target) if !shown(target.tenant_id()) => Err(unknown(BoundedPath::new(&question.path), journey)),
        found => found,
    };
    let target = match found {
        Ok(target) => target,
        Err(error) => return Explained { target: None, decider: None, result: Err(error) },
    };
    let (decider, result) = match judged(target.clone(), &question.asked(), journey) {
        Ok(grant) => (Some(Decider::Rule(grant.rule().clone())), check_in_use(&target)),
        Err((error, decider)) => (decider, Err(error)),
    };
    Explained { target: Some(target), decider, result }
}
