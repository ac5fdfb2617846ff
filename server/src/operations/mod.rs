//! The operations, and the only place that knows the order of the journey. Each step consumes what the one before proved:
//! `Admitted → Caller → Grant → UsableKey → Wrapped → Response`. A bug in one request stays in that request.

mod get_info;
mod service;
mod steps;
mod unwrap;
mod wrap;

pub use get_info::get_info;
pub use service::{Service, Settings};
pub use unwrap::unwrap;
pub use wrap::wrap;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::audit::{Response, Trail};
use crate::error::ServiceError;

/// A success, laid out as its answer. Made by the operations alone; the audit turns it into a [`Response`].
pub struct Wrapped(Vec<u8>);

impl Wrapped {
    /// The body of the answer.
    pub fn into_body(self) -> Vec<u8> {
        self.0
    }
}

impl std::fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wrapped({} bytes)", self.0.len())
    }
}

/// Records a refusal that came before any operation began.
pub fn refuse(trail: &Trail<'_>, error: ServiceError, service: &Service) -> Response {
    service.audit.record(trail, Err(error))
}

/// Runs a journey and records how it ended, a panic as well.
fn record<'a>(
    mut trail: Trail<'a>,
    service: &Service,
    journey: impl FnOnce(&mut Trail<'a>) -> Result<Wrapped, ServiceError>,
) -> Response {
    // what a panic leaves half done is this trail alone: everything shared is replaced whole or behind its own lock
    let outcome = catch_unwind(AssertUnwindSafe(|| journey(&mut trail))).unwrap_or(Err(ServiceError::Internal));
    service.audit.record(&trail, outcome)
}
