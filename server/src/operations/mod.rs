//! The operations, and the only place that knows the order of the journey. Each step consumes what the one before proved:
//! `Caller → Admitted → Grant → Metered → UsableKey → Wrapped`. The caller comes first, from the headers alone, so that the edge awaits
//! no stranger's body. A bug in one request stays in that request.
//!
//! An operation ends in an [`Outcome`], which nothing but the audit can turn into an answer.

mod explain;
mod get_info;
mod steps;
mod trail;
mod unwrap;
mod wrap;

pub use explain::{Explained, Question, explain};
pub use get_info::get_info;
pub use trail::Trail;
pub use unwrap::unwrap;
pub use wrap::wrap;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use http::HeaderMap;
use replication::clock::Clock;
use replication::directory::Directory;

use crate::authn::{Caller, ClockVerdict, Verifier};
use crate::crypto::Entropy;
use crate::edge::admitted::Admitted;
use crate::error::ServiceError;
use crate::lookup::Lookup;
use crate::policy::UnknownReasons;
use crate::quota::Quotas;

/// What a journey needs, all of it in memory.
pub struct Journey {
    /// Who is asking.
    pub verifier: Arc<Verifier>,
    /// Whether the own clock can judge a token's times.
    pub clock_verdict: ClockVerdict,
    /// Which version, whose rules, how fresh.
    pub directory: Arc<Directory>,
    /// What a reason that this release does not know does under a list.
    pub unknown_reasons: UnknownReasons,
    /// How much is used of the quotas.
    pub quotas: Arc<Quotas>,
    /// The key, for a grant that was counted.
    pub lookup: Arc<Lookup>,
    /// Nonces and request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
}

/// A success, laid out as its answer. Made by the operations alone.
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

/// How a request ended, and everything that became known of it. For the audit.
#[derive(Debug)]
pub struct Outcome<'a> {
    trail: Trail<'a>,
    result: Result<Wrapped, ServiceError>,
}

impl<'a> Outcome<'a> {
    /// A refusal that came before any operation began.
    pub fn refused(trail: Trail<'a>, error: ServiceError) -> Self {
        Self { trail, result: Err(error) }
    }

    /// For the record, and the answer.
    pub fn into_parts(self) -> (Trail<'a>, Result<Wrapped, ServiceError>) {
        (self.trail, self.result)
    }
}

/// Who is asking, by the headers of the request.
///
/// # Errors
/// A 401 if that is final, otherwise a 503.
pub fn authenticate(headers: &HeaderMap, journey: &Journey) -> Result<Caller, ServiceError> {
    // reads what is shared and writes only caches that have locks of their own
    catch_unwind(AssertUnwindSafe(|| steps::authenticate(headers, journey))).unwrap_or(Err(ServiceError::Internal))
}

/// Makes a journey and says how it ended; a panic is a way to end as well.
fn travel<'a>(
    operation: &'static str,
    request: &'a Admitted,
    caller: &Caller,
    journey: impl FnOnce(&mut Trail<'a>) -> Result<Wrapped, ServiceError>,
) -> Outcome<'a> {
    let mut trail = Trail::new(request.arrival(), operation, request.path());
    trail.caller = Some(caller.principal().clone());
    // what a panic leaves half done is this trail alone: everything shared is replaced whole or behind its own lock
    let result = catch_unwind(AssertUnwindSafe(|| journey(&mut trail))).unwrap_or(Err(ServiceError::Internal));
    Outcome { trail, result }
}
