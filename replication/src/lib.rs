//! The replicated key store: a pure state machine, the log and state that keep it, and the Raft group that orders it.
//!
//! Knows no HTTP endpoint, no token and no settings file; sees sealed material only, never key bytes. Everything
//! named redb or sled stays in [`store`], everything named openraft in [`raft`], everything named tonic or rustls in [`peers`].

pub mod causes;
pub mod clock;
pub mod codec;
pub mod deny_entries;
pub mod directory;
pub mod feed;
pub mod freshness;
pub mod ids;
pub mod machine;
pub mod peers;
pub mod raft;
#[cfg(feature = "schema")]
mod schema;
pub mod store;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
