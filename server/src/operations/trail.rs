//! What has become known of a request on its way, for its record.

use std::borrow::Cow;

use replication::ids::{KeyName, TenantId};
use replication::machine::policy::Principal;

use crate::edge::admitted::Arrival;
use crate::policy::Decider;
use crate::wire::AccessReason;

/// Filled in as the journey goes, so that a refusal tells as much as it can. Never holds payloads or tokens.
#[derive(Debug)]
pub struct Trail<'a> {
    /// When it arrived, and its id.
    pub arrival: Arrival,
    /// What was called, as metrics name it.
    pub operation: &'static str,
    /// The path called, as it came.
    pub path: &'a str,
    /// Who was proven to ask.
    pub caller: Option<Principal>,
    /// The resource stated.
    pub resource: Option<Cow<'a, str>>,
    /// The reason stated; `None` as long as the body is unread.
    pub reason: Option<AccessReason>,
    /// Google's own check of the key.
    pub is_health_check: bool,
    /// The owner of the version reached.
    pub tenant: Option<TenantId>,
    /// The key of the version reached, and the version's number.
    pub version: Option<(KeyName, u32)>,
    /// The rule or deny entry that decided.
    pub decider: Option<Decider>,
}

impl<'a> Trail<'a> {
    /// A request of which nothing more is known yet.
    pub fn new(arrival: Arrival, operation: &'static str, path: &'a str) -> Self {
        Self {
            arrival,
            operation,
            path,
            caller: None,
            resource: None,
            reason: None,
            is_health_check: false,
            tenant: None,
            version: None,
            decider: None,
        }
    }
}
