//! What is on disk: the truth (log, vote, committed index, snapshots) and the mirror of the applied state.
//!
//! The only place that names redb (behind [`log`]) and sled (behind [`state`]). Knows nothing of openraft: positions, votes and
//! memberships pass through as bytes that `raft` wrote.

pub mod blocking;
mod chain;
#[cfg(test)]
mod damage_tests;
pub mod files;
pub mod folder;
#[cfg(test)]
mod full_disk_tests;
#[cfg(test)]
pub(crate) mod held;
pub mod log;
mod log_error;
mod log_file;
#[cfg(test)]
mod log_tests;
mod mirror_error;
mod open_database;
mod opening;
mod reading;
pub mod received;
pub mod record;
pub mod room;
#[cfg(test)]
pub(crate) mod small_disk;
mod snapshot_error;
mod snapshot_file;
pub mod snapshots;
pub mod state;
mod state_opening;
mod tables;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
mod waiting;
mod writes;

#[cfg(test)]
mod tests;
