//! What is on disk: the truth (log, vote, committed index, snapshots) and the mirror of the applied state.
//!
//! The only place that names redb (behind [`log`]) and sled ([`state`]). Knows nothing of openraft: positions, votes and
//! memberships pass through as bytes that `raft` wrote.

pub mod blocking;
mod chain;
#[cfg(test)]
mod damage_tests;
pub mod files;
pub mod folder;
#[cfg(test)]
pub(crate) mod held;
pub mod log;
mod log_error;
#[cfg(test)]
mod log_tests;
mod opening;
mod reading;
pub mod record;
mod snapshot_error;
mod snapshot_file;
pub mod snapshots;
pub mod state;
mod tables;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
mod writes;

#[cfg(test)]
mod tests;
