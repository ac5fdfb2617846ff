//! What every process that serves is made of, whatever it serves: threads and tasks, signals, open files, the listener for probes,
//! the probe, and the watch over certificates. The assemblies put it together.
//!
//! Never knows which of them it is part of.

pub mod certificates;
pub mod credential_files;
pub mod files;
pub mod health;
pub mod key_memory;
pub mod open_files;
pub mod runtimes;
pub mod signals;

/// A process does not get from the system what it needs before anything else.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant says what its error says, and no more")]
pub enum ProcessError {
    #[error("the process cannot be kept from dumping its memory")]
    Harden(#[source] rustix::io::Errno),
    #[error("a runtime cannot be started")]
    Runtime(#[source] std::io::Error),
    #[error("the signals that end the process cannot be awaited")]
    Signals(#[source] std::io::Error),
}
