//! Who is asking: proves a caller from the bearer token of a request, against a key set held in memory.
//!
//! The key set arrives by one background task ([`source`]); a request only reads what that task published. Must never
//! fetch inside a request, never quote a token or its claims in an error, and never make a final refusal (401) out of
//! trouble of ours: a missing or old key set and a doubtful clock are 503, because Google may disable a customer's key on
//! a final answer.

pub mod cache;
pub mod keyset;
pub mod mint;
pub mod probe;
pub mod refusal;
pub mod sightings;
pub mod source;
pub mod token;
pub mod verify;

#[cfg(any(test, feature = "testkit"))]
pub mod danger_fixed_keys;
mod fetch;
mod schedule;
mod spool;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod testing;

pub use fetch::{KeySetUrl, KeySetUrlError};
pub use keyset::KeySet;
pub use probe::{ProbeIssuer, ProbeVerifier};
pub use refusal::AuthnError;
pub use source::{KeySetReader, KeySource, key_set_channel, key_set_task};
pub use token::AuthorizationHeader;
pub use verify::{Caller, ClockHealth, ClockVerdict, Verifier};
