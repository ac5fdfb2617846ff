//! The only place that touches key material: where it lies in memory and how it is made.
//!
//! Nothing outside this module ever sees a key's bytes, and nothing in it logs, copies or serialises them.

#![deny(unsafe_code)]

mod aead;
#[allow(unsafe_code, reason = "the only file that may: it owns the memory that key bytes lie in")]
mod arena;
#[cfg(any(test, feature = "testkit"))]
pub mod danger_patterned_entropy;
mod entropy;
mod material;

pub use arena::{Arena, ArenaError, ArenaExhausted, LockPolicy, Protection, harden_process};
pub use entropy::{Draw, Entropy, EntropyError, SystemEntropy};
pub use material::{GenerateError, Material, RootKey, TenantKey};
