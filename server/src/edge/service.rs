//! What the data listener works with, put together by whoever assembles the process. No logic.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::Audit;
use crate::metrics::Metrics;
use crate::operations::Journey;
use crate::wire::ErrorShape;

use super::admission::Admission;
use super::alarms::Alarms;
use super::leftovers::Leftovers;

/// Settings of the data listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSettings {
    /// How an error body is laid out.
    pub error_shape: ErrorShape,
    /// Paths, with their leading slash, on which GET is getInfo.
    pub info_paths: Vec<String>,
    /// How long a body may take to arrive. A call is of no use to Google after 150 ms, and a body under way holds a place.
    pub body_time_max: Duration,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            error_shape: ErrorShape::default(),
            info_paths: vec!["/v0/info".to_owned()],
            body_time_max: Duration::from_secs(2),
        }
    }
}

/// Everything a request needs, read from memory.
pub struct Service {
    /// What the operations need.
    pub journey: Journey,
    /// The record, and the answer.
    pub audit: Audit,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// How often each kind of trouble was met.
    pub alarms: Alarms,
    /// How many requests at once.
    pub admission: Admission,
    /// Bodies of refused requests that are still on their way.
    pub leftovers: Leftovers,
    /// Settings.
    pub settings: DataSettings,
}
