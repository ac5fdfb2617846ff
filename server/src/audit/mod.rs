//! One record per decision, refusals included, written before the answer leaves, or, on a full disk, kept in bounded memory.
//!
//! Takes an outcome and gives a [`Response`]; nothing else makes one, so nothing leaves unrecorded. Never sees payloads,
//! associated data or tokens, and bounds every text that a caller chose.

mod file;
mod log;
mod record;
mod seen;

pub use file::AuditFile;
pub use log::{AuditLog, Standing};
pub use seen::Seen;

use std::sync::Arc;
use std::time::Duration;

use replication::clock::Clock;
use replication::machine::policy::Principal;

use crate::error::ServiceError;
use crate::operations::{Outcome, Wrapped};
use crate::wire::RequestId;

/// Records outcomes. The only maker of a [`Response`].
pub struct Audit {
    log: Arc<AuditLog>,
    clock: Arc<dyn Clock>,
    machine: Box<str>,
    seen: Seen,
}

/// What may leave: an answer whose record was taken, or counted as lost.
#[derive(Debug)]
pub struct Response {
    request: RequestId,
    result: Result<Wrapped, ServiceError>,
    latency: Duration,
}

impl Response {
    /// The id of the request, for the header and the error's details.
    pub fn request(&self) -> &RequestId {
        &self.request
    }

    /// From the first byte to the record.
    pub fn latency(&self) -> Duration {
        self.latency
    }

    /// What to answer.
    ///
    /// # Errors
    /// The refusal, if it is one.
    pub fn result(&self) -> Result<&Wrapped, &ServiceError> {
        self.result.as_ref()
    }

    /// What to answer, to be sent.
    ///
    /// # Errors
    /// The refusal, if it is one.
    pub fn into_result(self) -> Result<Wrapped, ServiceError> {
        self.result
    }
}

impl Audit {
    /// Records to `log` under this machine's name.
    pub fn new(log: Arc<AuditLog>, clock: Arc<dyn Clock>, machine: &str) -> Self {
        Self { log, clock, machine: machine.into(), seen: Seen::default() }
    }

    /// Records the outcome. A record that is lost, because the disk has long been full, is counted and told, and the answer
    /// leaves all the same.
    pub fn record(&self, outcome: Outcome<'_>) -> Response {
        let (trail, result) = outcome.into_parts();
        let latency = self.clock.now().since(trail.arrival.at);
        let line = record::line(&trail, result.as_ref().err(), &self.machine, self.clock.wall(), latency);
        self.log.append(&line);
        if trail.caller != Some(Principal::Probe) {
            self.seen.keep(trail.arrival.request, &line);
        }
        Response { request: trail.arrival.request, result, latency }
    }

    /// The records of late, those of the health probe left out.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// How the file stands.
    pub fn standing(&self) -> Standing {
        self.log.standing()
    }
}
