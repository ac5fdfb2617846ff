//! One Raft group on openraft, and the groups on this replica.
//!
//! Everything that names openraft is here. Entries are opaque bytes, decoded by the state machine alone.

pub mod config;
mod ending;
pub mod error;
pub mod group;
pub mod host;
mod keeper;
mod limits;
pub mod log;
pub mod machine;
mod measure;
pub mod network;
mod schedule;
#[cfg(test)]
mod tests;
mod timers;
