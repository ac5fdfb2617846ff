//! The threads and tasks of the process: one runtime and one set of tasks for each thing that must not wait for another.

use std::num::NonZeroUsize;

use tokio::runtime::{Builder, Runtime};

use crate::tasks::Tasks;

use super::error::DevError;

/// The runtimes: heartbeats must not queue behind handshakes, nor probes behind either.
pub(super) struct Runtimes {
    pub(super) data: Runtime,
    pub(super) control: Runtime,
    pub(super) health: Runtime,
}

impl Runtimes {
    pub(super) fn start() -> Result<Self, DevError> {
        let start = |name: &str, threads| {
            Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()
        };
        let workers = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        Ok(Self {
            data: start("data", workers).map_err(DevError::Runtime)?,
            control: start("control", 2).map_err(DevError::Runtime)?,
            health: start("health", 1).map_err(DevError::Runtime)?,
        })
    }
}

/// The tasks by what they serve, in the order in which they are stopped.
pub(super) struct Planes {
    pub(super) data: Tasks,
    pub(super) control: Tasks,
    pub(super) health: Tasks,
    pub(super) feeds: Tasks,
}
