//! The threads and tasks of the process: one runtime and one set of tasks for each thing that must not wait for another.

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::crypto::harden_process;
use crate::tasks::{Panics, Tasks};

use super::ProcessError;

/// What tasks that ignore the end may take longer than it.
const LINGER_MAX: Duration = Duration::from_secs(1);

/// The runtimes: heartbeats must not queue behind handshakes, nor probes behind either.
pub struct Runtimes {
    /// For callers.
    pub data: Runtime,
    /// For operators, other replicas, and everything in the background.
    pub control: Runtime,
    /// For probes.
    pub health: Runtime,
}

impl Runtimes {
    /// Starts them, in a process that leaves no image of its memory: before them nothing else is to be started.
    ///
    /// # Errors
    /// [`ProcessError::Harden`] or [`ProcessError::Runtime`].
    pub fn start_hardened() -> Result<Self, ProcessError> {
        harden_process().map_err(ProcessError::Harden)?;
        Self::start()
    }

    /// Starts them.
    ///
    /// # Errors
    /// [`ProcessError::Runtime`].
    pub fn start() -> Result<Self, ProcessError> {
        let start = |name: &str, threads| {
            Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()
        };
        let workers = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        Ok(Self {
            data: start("data", workers).map_err(ProcessError::Runtime)?,
            control: start("control", 2).map_err(ProcessError::Runtime)?,
            health: start("health", 1).map_err(ProcessError::Runtime)?,
        })
    }

    /// Ends them, when everything that they ran has ended or does not matter any more.
    pub fn end(self) {
        let Self { data, control, health } = self;
        for runtime in [data, health, control] {
            runtime.shutdown_timeout(LINGER_MAX);
        }
    }
}

/// The tasks by what they serve, in the order in which they are stopped.
pub struct Planes {
    /// Those that answer callers.
    pub data: Tasks,
    /// Those for operators, and in the background.
    pub control: Tasks,
    /// The probe, and the listener that tells what it found.
    pub health: Tasks,
    /// Those that keep the views fresh.
    pub feeds: Tasks,
}

impl Planes {
    /// None yet; their panics are told to `panics`.
    pub fn new(panics: &Panics, runtimes: &Runtimes) -> Self {
        Self {
            data: panics.tasks(runtimes.data.handle()),
            control: panics.tasks(runtimes.control.handle()),
            health: panics.tasks(runtimes.health.handle()),
            feeds: panics.tasks(runtimes.control.handle()),
        }
    }

    /// Ends them one after the other, each when the ones before have ended.
    pub async fn stop(self) {
        self.data.stop().await;
        self.control.stop().await;
        self.health.stop().await;
        self.feeds.stop().await;
    }
}
