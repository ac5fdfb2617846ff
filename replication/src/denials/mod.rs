//! Deny entries on their way: kept by key stores, passed from one to the others, and read by whoever answers callers.
//!
//! No quorum is needed for any of it. Nothing here believes a peer: every entry is verified by the officers' signatures again,
//! against the own group 0. An entry that was heard of holds until it ends or the log lifts it.

mod book;
mod keeping;
pub mod list;

pub use book::{BookError, DenyBook, ENTRIES_MAX, ENTRIES_PER_TENANT_MAX, Held, Proven, Taken};
pub use keeping::keep;
