//! One Raft group on openraft, and the groups on this replica.
//!
//! What a group says to other replicas leaves as bytes through [`carrying::Peers`], and comes back through `answering`.
//!
//! Everything that names openraft is here. Entries are opaque bytes, decoded by the state machine alone.

mod announced;
pub mod answering;
pub mod carrying;
pub mod config;
mod ending;
pub mod error;
mod forward;
pub mod group;
pub mod host;
mod keeper;
mod limits;
mod links;
pub mod log;
pub mod machine;
mod measure;
pub mod membership;
pub mod network;
mod reconcile;
mod schedule;
pub mod shape;
pub mod spread;
pub mod status;
mod telling;
#[cfg(test)]
mod tests;
mod timers;
