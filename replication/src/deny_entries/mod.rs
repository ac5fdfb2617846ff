//! Deny entries on their way: kept by key stores, passed from one to the others, and read by whoever answers callers.
//!
//! No quorum is needed for any of it. No key store believes another, nor its own disk: every entry is verified by the officers'
//! signatures again, against the own group 0. An entry that was heard of holds until it ends or the log lifts it.

mod book;
mod keeping;
pub mod list;

pub use book::{BookError, BroughtBy, DenyBook, ENTRIES_MAX, ENTRIES_PER_TENANT_MAX, Entries, Taken};
pub use keeping::{Answering, catch_up, keep};
