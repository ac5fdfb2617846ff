//! What the operations work with, put together by whoever assembles the process.

use std::sync::Arc;
use std::time::Duration;

use replication::clock::Clock;
use replication::directory::Directory;

use crate::audit::Audit;
use crate::authn::{ClockHealth, Verifier};
use crate::crypto::Entropy;
use crate::edge::admission::Admission;
use crate::lookup::Lookup;
use crate::metrics::Metrics;
use crate::policy::UnknownReasons;
use crate::wire::ErrorShape;

/// Settings of the data plane.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How an error body is laid out.
    pub error_shape: ErrorShape,
    /// What a reason that this release does not know does under a list.
    pub unknown_reasons: UnknownReasons,
    /// Paths, with their leading slash, on which GET is getInfo.
    pub info_paths: Vec<String>,
    /// How long a body may take to arrive.
    pub body_time_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            error_shape: ErrorShape::default(),
            unknown_reasons: UnknownReasons::default(),
            info_paths: vec!["/v0/info".to_owned()],
            body_time_max: Duration::from_secs(5),
        }
    }
}

/// Everything a request needs, read from memory.
pub struct Service {
    /// Who is asking.
    pub verifier: Arc<Verifier>,
    /// Whether the own clock can judge a token's times.
    pub clock_health: ClockHealth,
    /// Which version, whose rules, how fresh.
    pub directory: Arc<Directory>,
    /// The key, for a grant.
    pub lookup: Arc<Lookup>,
    /// The record, and the answer.
    pub audit: Audit,
    /// Nonces and request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// How many requests at once.
    pub admission: Admission,
    /// Settings.
    pub settings: Settings,
}
