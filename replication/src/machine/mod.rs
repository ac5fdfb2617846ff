//! The key store's state machine: what may stand in the log, and what each entry does to the state.
//!
//! Pure: no clock, no randomness, no store, no openraft. The same entries give the same state and digest everywhere.

pub mod apply;
pub mod cluster_time;
pub mod command;
pub mod deny;
pub mod digest;
pub mod invariants;
pub mod lifecycle;
pub mod outcome;
pub mod policy;
pub mod request;
pub mod roles;
pub mod row_keys;
pub mod rows;
pub mod signed;
pub mod signing;
pub mod state;
#[cfg(test)]
mod tests;
