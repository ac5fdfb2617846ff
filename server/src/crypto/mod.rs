//! The only place that touches key material: where it lies in memory, how it is made, sealed, and used to wrap and unwrap.
//!
//! Nothing outside this module ever sees a key's bytes, and nothing in it logs, copies or serialises them. Key bytes lie once,
//! in the [`Arena`]; a cipher is made from them for each use (20 ns) and wiped when it is dropped.

#![deny(unsafe_code)]

mod aead;
#[allow(unsafe_code, reason = "the only file that may: it owns the memory that key bytes lie in")]
mod arena;
mod blob;
mod canary;
#[cfg(any(test, feature = "testkit"))]
pub mod danger_patterned_entropy;
mod entropy;
mod handover;
mod hex;
pub mod import;
mod material;
pub mod root;
mod seal;
mod stack;
mod wrap;

#[cfg(test)]
mod golden;

pub use arena::{Arena, ArenaError, ArenaExhausted, LockPolicy, Protection, harden_process};
pub use blob::{BLOB_OVERHEAD, Blob, BlobError, version_hint};
pub use canary::{CanaryError, check_canary, make_canary};
pub use entropy::{Draw, Entropy, EntropyError, SystemEntropy};
pub use handover::{Handover, HandoverError, ProcessSecret};
pub use material::{GenerateError, Material, TenantKey};
pub use seal::{Binding, ImportBinding, OpenError};
pub use wrap::{UnwrapError, UsableMaterial, WrapError, unwrap, wrap};
