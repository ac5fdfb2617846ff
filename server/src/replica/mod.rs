//! The assembly of `ekm keystore`: one replica of a cluster, with keys and operators, or as a witness that votes and stores alone.
//!
//! Puts together and decides nothing: who belongs to the cluster is data, and what the replica answers is the key store's.

mod entering;
mod error;
mod identity;
mod prepared;
mod readiness;
mod run;
mod serving;

pub use error::ReplicaError;
pub use identity::{REPLICA_FILE, ReplicaFile};
pub use run::{ReplicaOptions, run};
