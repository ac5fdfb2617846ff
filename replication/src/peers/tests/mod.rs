//! What replicas promise each other, held against foreign certificates, wrong claims, broken streams and silent peers.

mod cluster;
mod growing;
pub(crate) mod pki;
mod refusals;
mod replicating;
mod silence;
mod snapshots;
mod soak;
mod stores;
mod tls;
