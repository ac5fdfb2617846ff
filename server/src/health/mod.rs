//! Whether this machine serves: a probe that does what a caller does, its last result, and the listener that tells it.
//! It must never ask another machine, and never find out anything while someone waits for `/readyz`.

pub mod canaries;
pub mod latch;
mod own;
pub mod probe;
pub mod routes;

pub use latch::{Readiness, Verdict};
pub use probe::{Canary, Condition, Probe, ProbeTarget};
