//! `ekm frontend`: what answers Google, alone in its process. Keys, rules and freshness come from the key stores; it keeps nothing but
//! an audit file and the last good key set.
//!
//! Never waits for a key store in a request, and never names the root key.

mod error;
mod follow;
mod prepared;
mod ready;
mod run;
mod serving;

pub use error::FrontendProcessError;
pub use run::{FrontendOptions, run};
